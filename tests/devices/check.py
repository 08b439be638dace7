"""Compile the training programs for an NVIDIA H100 and a TPU v5e that are absent, and judge what comes out.

Command: make check-devices, or python tests/devices/check.py [gpu | tpu]. It makes an environment of its own, in
.venv-devices beside .venv, with the compilers of both: about 700 MB from the package registry, said before it begins.
Another version of JAX: --jax 0.11.2 --folder .venv-devices-0.11. It prints a table of figures and exits with 1 if a
rule of `rules.py` is broken.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from devices.rules import Evidence, Finding, figures, findings

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ("uniform", "mixed", "everything")
COMPILERS = (
    "jax=={jax}",
    "jaxlib=={jax}",
    "jax-cuda13-plugin=={jax}",
    "jax-cuda13-pjrt=={jax}",
    "nvidia-cuda-nvcc",
    "nvidia-nvvm",
    "libtpu",
)
KINDS = ("gpu", "tpu")


class Peak(NamedTuple):
    """What the makers of a device say that it can do."""

    name: str
    kind: str
    bandwidth: float  # bytes/s of its memory
    rate: float  # FLOP/s of products of float32, by which means it has


# NVIDIA's data sheets; of a TPU v5e 197e12 in bfloat16, of which a product of float32 takes six.
PEAKS = (
    Peak("H100 SXM", "gpu", 3.35e12, 67e12),
    Peak("H200", "gpu", 4.8e12, 67e12),
    Peak("TPU v5e", "tpu", 0.819e12, 197e12 / 6),
)


def environment(folder: Path, version: str | None) -> Path:
    """Return the Python of an environment with the compilers, which is made if it is not there or not as asked for."""
    pins = (ROOT / "requirements.lock").read_text().splitlines()
    locked = next(line.split("==")[1] for line in pins if line.startswith("jax=="))
    version = version or locked
    others = [line for line in pins if line.split("==")[0] not in ("jax", "jaxlib")]
    wanted = "\n".join([*others, *(each.format(jax=version) for each in COMPILERS)]) + "\n"
    python, made = folder / "bin" / "python", folder / "requirements.txt"
    if not made.exists() or made.read_text() != wanted:
        print(f"making {folder}: JAX {version} and its compilers for GPU and TPU, about 700 MB to load", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        asked = folder / "asked.txt"
        asked.write_text(wanted)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(asked)], check=True)
        asked.rename(made)  # once all of it is there
    return python


def evidence(python: Path, kind: str, scenario: str, folder: Path) -> Evidence:
    """Compile a program in the environment of `python`, and return what came out."""
    shutil.rmtree(folder, ignore_errors=True)  # nothing of an earlier program is to be taken for one of this
    folder.mkdir(parents=True)
    flags = f"--xla_dump_to={folder}/dump --xla_dump_hlo_as_text" if kind == "gpu" else ""
    settings = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flags,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    }
    command = [str(python), str(ROOT / "tests/devices/absent.py"), kind, scenario, str(folder)]
    ran = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stderr[-3000:]}")
    launches = None
    if kind == "gpu":
        dumps = sorted((folder / "dump").glob("*thunk_sequence_after_thunk_passes.txt"))
        if not dumps:
            raise SystemExit(f"XLA wrote no sequence of launches into {folder / 'dump'}: what drives the loops?")
        launches = dumps[-1].read_text()
    facts = json.loads((folder / "facts.json").read_text())
    return Evidence(
        kind, scenario, facts, (folder / "program.mlir").read_text(), (folder / "compiled.hlo").read_text(), launches
    )


def report(judged: Sequence[tuple[Evidence, Sequence[Finding]]]) -> str:
    """Return the figures as tables of Markdown, and what is computed from them."""
    first, read = judged[0][0].facts, [figures(each) for each, _ in judged]
    lines = [
        f"JAX {first['jax']}, tiles of {first['tile']:,} networks.\n",
        "| device | sweep | kernels a step | KB a lane-step | kernels an epoch | KB a lane in it | rules kept |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (each, found), f in zip(judged, read, strict=True):
        kept = f"{sum(rule.kept for rule in found)} of {len(found)}"
        lines.append(
            f"| {each.kind} | {each.scenario} | {f.kernels} | {f.bytes / 1e3:.0f} | {f.epoch_kernels} | "
            f"{f.epoch_bytes / 1e3:.0f} | {kept} |"
        )
    lines += [
        "\n**Computed, not measured**: the least time of a lane-step if its bytes moved at the full bandwidth of a "
        "device's memory, or its products ran at its peak of float32.\n",
        "| device | sweep | by bytes | by products |",
        "| --- | --- | --- | --- |",
    ]
    for (each, _), f in zip(judged, read, strict=True):
        for peak in PEAKS:
            if peak.kind == each.kind:
                by_bytes, by_flops = f.bytes / peak.bandwidth, each.facts["flops"] / peak.rate
                lines.append(f"| {peak.name} | {each.scenario} | {1e6 * by_bytes:.3f} us | {1e6 * by_flops:.3f} us |")
    return "\n".join(lines)


def main() -> None:
    """Compile, judge, print; exit with 1 if a rule is broken."""
    parser = argparse.ArgumentParser(description="Compiles training programs for absent devices and judges them.")
    parser.add_argument("kinds", nargs="*", default=[], help="gpu, tpu; by default both")
    parser.add_argument("--jax", help="the version of JAX; by default that of requirements.lock")
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv-devices")
    asked = parser.parse_args()
    python = environment(asked.folder.absolute(), asked.jax)
    judged = []
    for kind in asked.kinds or KINDS:
        if kind not in KINDS:
            parser.error(f"{kind!r} is no kind of device: give gpu, tpu or nothing")
        for scenario in SCENARIOS:
            print(f"compiling the {scenario} sweep for a {kind}", file=sys.stderr, flush=True)
            found = evidence(python, kind, scenario, asked.folder.absolute() / "compiled" / kind / scenario)
            judged.append((found, findings(found)))
    print(report(judged))
    broken = [(each, rule) for each, found in judged for rule in found if not rule.kept]
    for each, rule in broken:
        print(f"BROKEN: {each.kind}, {each.scenario}: {rule.rule}: {rule.found} (limit: {rule.limit})")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
