"""What this machine is: its cores, its memory, its processor. No JAX."""

import ctypes
import os
import platform
import sys
from pathlib import Path


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the processor's name."""
    names = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def described() -> str:
    """Return what the last bits of a sweep may depend on: the processor, and how many of its cores are used."""
    return f"{cores()} x {processor()}"


def instruction_set() -> list[str]:
    """Return lines that differ between processors for which code is compiled differently."""
    return sorted({line for line in _cpuinfo() if line.startswith(("flags", "Features", "model name"))})


def wide_vectors() -> bool:
    """Return whether vectors of 512 bits are worth their while: AMD's processors do not slow down for them."""
    lines = _cpuinfo()
    amd = any(line.startswith("vendor_id") and "AMD" in line for line in lines)
    return amd and any(line.startswith("flags") and "avx512f" in line.split() for line in lines)


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def accelerators() -> list[str]:
    """Return the GPUs and TPUs that the system shows, whether or not JAX can use them; none where nothing says."""
    found = []
    for gpu in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = [line.split(":", 1)[1].strip() for line in gpu.read_text().splitlines() if line.startswith("Model")]
        found += lines or ["an NVIDIA GPU"]
    found += ["a TPU" for _ in Path("/dev").glob("accel[0-9]*")]
    return found


def memory_available() -> float:
    """Return the bytes that this process can still take, infinity where nothing says."""
    limits = [float("inf")]
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = [line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable")]
        limits += [float(line.split()[1]) * 1024 for line in lines]
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        if Path(limit).exists() and Path(used).exists() and (text := Path(limit).read_text().strip()) != "max":
            limits.append(float(text) - float(Path(used).read_text()))
    return min(limits)


def memory_used() -> int:
    """Return the bytes that this process has in memory now, 0 where nothing says."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def peak_memory() -> int:
    """Return the most bytes that this process has had in memory so far, 0 where nothing says."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def give_back_memory() -> None:
    """Let the C library return what it keeps of freed memory: after a compilation a hundred MB; glibc's alone does."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)
