"""The sections of `bench`: what is raced, and the tables that come of it."""

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jaxsweep.bench import work
from jaxsweep.bench.child import SGEMM, SWEEP
from jaxsweep.bench.contenders import CONTENDERS, load
from jaxsweep.bench.race import ONE_THREAD, Crew, Entry, Timing, cold, race
from jaxsweep.engine import machine
from jaxsweep.engine.costs import sizes_of
from jaxsweep.errors import RequestError
from jaxsweep.spec.hyperparameters import Config

SHAPES = ((16, 2), (32, 2), (64, 2), (128, 2), (256, 2), (64, 1), (64, 3), (64, 4))  # (width, depth)
SLOW = {"jit": 128, "scikit-learn": 64, "PyTorch": 32}  # configs that a slow contender is timed on instead of 512


@dataclass(frozen=True)
class Options:
    """What `bench` was asked for. `configs` in the first race, `repeats` rounds; device cpu, gpu or tpu."""

    device: str = "cpu"
    configs: int = 512
    repeats: int = 5
    sections: tuple[str, ...] = ()


@dataclass
class Section:
    """A table, with a sentence on what it shows, and the same in numbers."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    note: str = ""
    data: Any = None


@dataclass
class Bench:
    """The machine, and how contenders are started on it."""

    options: Options
    cores: int
    sgemm: float = 0.0  # FLOP/s
    bandwidth: float = 0.0  # bytes/s of memory

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of processes that use the device."""
        platforms = {"gpu": "cuda"}.get(self.options.device, self.options.device)
        # Processes take turns on the device: none may take all of its memory at once.
        return {"JAX_PLATFORMS": platforms, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

    def check_device(self) -> None:
        """Raise RequestError if JAX finds no such device here; another process looks, so that this one holds none."""
        look = [sys.executable, "-c", "import jax; jax.devices()"]
        found = subprocess.run(look, env={**os.environ, **self.environment}, capture_output=True, text=True)
        if found.returncode:
            reason = found.stderr.strip().splitlines()[-1:]
            raise RequestError(
                f"--device {self.options.device}: JAX finds none here ({' '.join(reason)}); cpu is always there"
            )

    @contextmanager
    def crews(self, names: Sequence[str]) -> Iterator[dict[str, Crew]]:
        """Start the processes of contenders, and end them afterwards."""
        with ExitStack() as stack:
            crews = {}
            for name in names:
                contender = CONTENDERS.get(name)
                alone = contender is not None and contender.one_core
                environment = ONE_THREAD if alone else self.environment
                crews[name] = stack.enter_context(Crew(name, work.DATA, self.cores if alone else 1, environment))
            yield crews

    def timed_on(self, name: str, count: int) -> int:
        """Return how many of `count` configs a contender is timed on: a slow one trains fewer of the same kind."""
        return count if name not in SLOW else max(self.cores, min(SLOW[name], SLOW[name] * count // 512))


def run(options: Options, say: Callable[[str], None]) -> tuple[list[Section], float]:
    """Run the chosen sections, all by default; return their tables, and the machine's FLOP/s in matrix products."""
    bench = Bench(options, machine.cores())
    bench.check_device()
    say("matrix products")
    with bench.crews([SGEMM]) as crews:
        measured = crews[SGEMM].train([])
        bench.sgemm, bench.bandwidth = measured["flops"], measured["bandwidth"]
    sections = []
    for name in options.sections or tuple(SECTIONS):
        say(name)
        sections.append(SECTIONS[name](bench))
    return sections, bench.sgemm


def setting(sgemm: float, device: str) -> list[str]:
    """Return lines that say where and with what this was measured."""
    versions = []
    for package in ("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn", "torch"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    where = f"{machine.processor()}, {machine.cores()} cores; device {device}"
    return [
        f"{date.today().isoformat()}; {where}; Python {platform.python_version()}",
        ", ".join(versions),
        f"float32 matrix products of this machine, measured in this run: {sgemm / 1e9:.0f} GFLOP/s",
    ]


# --- sections ----------------------------------------------------------------------------------------------------


def _installed() -> list[str]:
    return [SWEEP, *(name for name, contender in CONTENDERS.items() if contender.installed)]


def contenders(bench: Bench) -> Section:
    """The same work through everyone."""
    configs = work.uniform(bench.options.configs)
    sizes = sizes_of(load(work.DATA))
    names = _installed()
    with bench.crews(names) as crews:
        entries = [Entry(name, crews[name], work.uniform(bench.timed_on(name, len(configs)))) for name in names]
        timings = race(entries, bench.options.repeats)
    section = Section(
        "contenders",
        f"{work.DATA}, {work.describe(configs)}, warm",
        (
            "contender",
            "configs/s",
            "spread",
            "jaxsweep is",
            "GFLOP/s",
            "of sgemm",
            "of memory",
            "host alone",
            "first",
            "memory",
            "accuracy",
        ),
        note="of memory: the least that must be read and written, of the "
        f"{bench.bandwidth / 1e9:,.0f} GB/s measured in this run, the roofline of an accelerator (the caches of a CPU "
        "serve most of it); host alone: seconds in which nothing trains; spread: (slowest - fastest) / median of "
        f"{bench.options.repeats} rounds; first: seconds of the first call beyond a later one, mostly compilation; "
        "memory: peak of all its processes; accuracy: mean on the validation rows, a check that all train the same.",
        data={},
    )
    for name, timing in timings.items():
        trained = work.uniform(timing.count)
        rate = work.flops(trained, sizes) / timing.median
        of_memory = work.least_bytes(trained, sizes) / timing.median / bench.bandwidth
        apart = timing.answer.get("summary", {}).get("seconds", {})  # device and host, of the last round
        section.rows.append(
            (name, f"{timing.rate:.0f}", f"{timing.spread:.0%}", f"{timings[SWEEP].rate / timing.rate:.1f}x",
             f"{rate / 1e9:.1f}", f"{rate / bench.sgemm:.0%}", f"{of_memory:.0%}",
             f"{apart['host']:.2f} of {apart['total']:.2f} s" if apart else "", f"{timing.first - timing.median:.1f} s",
             f"{timing.answer['peak_bytes'] / 2**20:.0f} MiB", f"{timing.answer['accuracy']:.3f}")
        )  # fmt: skip
        section.data[name] = {
            "configs_per_second": timing.rate, "of_sgemm": rate / bench.sgemm, "of_memory": of_memory,
            **({"host": apart["host"], "device": apart["train"]} if apart else {}), **_numbers(timing)
        }  # fmt: skip
    return section


def _numbers(timing: Timing) -> dict[str, Any]:
    return {"seconds": timing.seconds, "first": timing.first, "peak_bytes": timing.answer["peak_bytes"]}


def shapes(bench: Bench) -> Section:
    """The first race for other widths and depths."""
    sizes = sizes_of(load(work.DATA))
    names = [name for name in _installed() if name != "jit"]
    section = Section(
        "shapes",
        f"{work.DATA}, other widths and depths, batch 64, 10 epochs, warm",
        ("width", "depth", "configs/s", "of sgemm", *(f"x {name}" for name in names[1:]), "spread"),
        data=[],
    )
    with bench.crews(names) as crews:
        for width, depth in SHAPES:
            count = max(32, int(bench.options.configs * min(1.0, (64 / width) ** 1.5) / max(depth / 2, 1)))
            timings = race(
                [Entry(n, crews[n], work.uniform(bench.timed_on(n, count), width, depth)) for n in names],
                bench.options.repeats,
            )
            own = timings[SWEEP]
            rate = work.flops(work.uniform(own.count, width, depth), sizes) / own.median
            ratios = [own.rate / timings[name].rate for name in names[1:]]
            section.rows.append(
                (str(width), str(depth), f"{own.rate:.0f}", f"{rate / bench.sgemm:.0%}",
                 *(f"{ratio:.1f}" for ratio in ratios), f"{max(t.spread for t in timings.values()):.0%}")
            )  # fmt: skip
            section.data.append({"width": width, "depth": depth, **{n: _numbers(t) for n, t in timings.items()}})
    return section


def mixtures(bench: Bench) -> Section:
    """What it costs that configs differ in more than the learning rate."""
    count = bench.options.configs
    kinds: dict[str, list[Config]] = {
        "uniform": work.uniform(count),
        "mixed": work.mixed(count),
        "dropout and L2": work.regularized(count),
        "epochs 1 to 100": work.ragged(count),
    }
    with bench.crews([SWEEP]) as crews:
        timings = race([Entry(name, crews[SWEEP], configs) for name, configs in kinds.items()], bench.options.repeats)
    base = timings["uniform"]
    steps = {name: sum(config["epochs"] for config in configs) for name, configs in kinds.items()}
    section = Section(
        "mixtures",
        f"{work.DATA}, {count} configs, MLP 64-64, batch 64: what differences cost, warm",
        ("work", "seconds", "a lane-step, x uniform", "spread", "occupancy", "programs"),
        note="mixed: 4 optimizers, 4 activations, 3 initializers, 3 schedules. Epochs are drawn log-uniformly.",
        data={},
    )
    for name, timing in timings.items():
        ratio = (timing.median / steps[name]) / (base.median / steps["uniform"])
        summary = timing.answer["summary"]
        section.rows.append(
            (name, f"{timing.median:.2f}", f"{ratio:.2f}", f"{timing.spread:.0%}",
             f"{summary['lane_occupancy']:.2f}", str(summary["programs"]))
        )  # fmt: skip
        section.data[name] = {"ratio": ratio, "occupancy": summary["lane_occupancy"], **_numbers(timing)}
    return section


def starts(bench: Bench) -> Section:
    """New processes, with an empty and with a filled compile cache."""
    count = bench.options.configs
    section = Section(
        "starts",
        f"{work.DATA}, {count} configs in a new process, seconds from its start",
        ("work", "empty cache", "filled cache"),
        data={},
    )
    for name, configs in {"uniform": work.uniform(count), "mixed": work.mixed(count)}.items():
        times = _cold(bench, configs)
        timings = [Timing(count, each[0], each) for each in times.values()]
        section.rows.append((name, *(f"{timing.median:.2f} ({timing.spread:.0%})" for timing in timings)))
        section.data[name] = times
    return section


def _cold(bench: Bench, configs: Sequence[Config]) -> dict[str, list[float]]:
    """Return the seconds of a sweep in new processes, from their start, with an empty and with a filled cache."""
    repeats = range(bench.options.repeats)
    empty = [cold(work.DATA, configs, bench.environment) for _ in repeats]
    with tempfile.TemporaryDirectory() as cache:
        cold(work.DATA, configs, bench.environment, cache)
        return {"empty": empty, "filled": [cold(work.DATA, configs, bench.environment, cache) for _ in repeats]}


def usual(bench: Bench) -> Section:
    """A study as people make it, cold and warm, beside scikit-learn and beside its shapes swept alone."""
    count, repeats = bench.options.configs * 25 // 16, bench.options.repeats  # 800 by default
    configs = work.usual(count)
    some = configs[:: max(1, count // 100)]  # what scikit-learn is timed on
    section = Section(
        "usual",
        f"{work.DATA}, {count} configs of 3 widths, 3 depths, 2 optimizers, 2 activations, 4 batch sizes; 20 epochs",
        ("work", "seconds", "x scikit-learn", "spread", "programs"),
        note=f"scikit-learn: one process a core, timed on {len(some)} of the configs; empty cache: a new process, from "
        "its start; shapes alone: a sweep for each width and depth, one after another, warm.",
        data={},
    )
    empty = [cold(work.DATA, configs, bench.environment) for _ in range(repeats)]
    entries = {"warm": [configs], "shapes alone": work.by_shape(configs)}
    names = [SWEEP, *(["scikit-learn"] if CONTENDERS["scikit-learn"].installed else [])]
    with bench.crews(names) as crews:
        parts = [
            Entry(f"{label} {number}", crews[SWEEP], part)
            for label, several in entries.items()
            for number, part in enumerate(several)
        ]
        others = [Entry(name, crews[name], some) for name in names if name != SWEEP]
        timings = race([*parts, *others], repeats)
    alone = timings.get("scikit-learn")
    reference = alone.median * count / alone.count if alone else float("nan")
    rows = {"empty cache": (empty, timings["warm 0"].answer["summary"]["programs"])}
    for label, several in entries.items():
        each = [timings[f"{label} {number}"] for number in range(len(several))]
        programs = sum(timing.answer["summary"]["programs"] for timing in each)
        rows[label] = [sum(times) for times in zip(*(timing.seconds for timing in each), strict=True)], programs
    for name, (seconds, programs) in rows.items():
        timing = Timing(count, seconds[0], seconds)
        ratio = reference / timing.median
        section.rows.append((name, f"{timing.median:.1f}", f"{ratio:.2f}", f"{timing.spread:.0%}", str(programs)))
        section.data[name] = {"seconds": seconds, "ratio": ratio, "programs": programs}
    if alone:
        section.rows.append(("scikit-learn", f"{reference:.1f}", "1", f"{alone.spread:.0%}", ""))
        section.data["scikit-learn"] = {"seconds": reference, "timed_on": alone.count, **_numbers(alone)}
    return section


def small(bench: Bench) -> Section:
    """A little study in new processes, where compilation is all."""
    repeats = bench.options.repeats
    configs = work.little(60)
    section = Section(
        "small",
        f"{work.DATA}, 60 configs of widths 10 to 100, depths 1 to 3, 8 epochs, new processes, from their start",
        ("work", "seconds", "of a scikit-learn loop", "spread"),
        note="scikit-learn has no dropout.",
        data={},
    )
    found = {f"{name} cache": seconds for name, seconds in _cold(bench, configs).items()}
    if CONTENDERS["scikit-learn"].installed:
        for name, count in {"scikit-learn": 1, "scikit-learn, a process a core": bench.cores}.items():
            found[name] = [cold(work.DATA, configs, ONE_THREAD, None, "scikit-learn", count) for _ in range(repeats)]
    loop = Timing(60, 0.0, found.get("scikit-learn", [float("nan")])).median
    for name, seconds in found.items():
        timing = Timing(60, seconds[0], seconds)
        section.rows.append((name, f"{timing.median:.1f}", f"{timing.median / loop:.2f}", f"{timing.spread:.0%}"))
        section.data[name] = {"seconds": seconds, "ratio": timing.median / loop}
    return section


def many(bench: Bench) -> Section:
    """20,000 tiny trials, recorded; and how much time the host keeps everyone waiting."""
    section = Section(
        "many",
        "iris, one hidden layer of 16, batch 64, everything recorded in a run directory",
        ("trials", "epochs", "ms each", "seconds", "of which compiling", "trials/s", "host alone", "memory"),
        note="ms each: on one core; host alone: share of the time, compilation apart, in which nothing trains.",
        data=[],
    )
    for count, epochs in ((20_000, 5), (100_000, 5), (4_000, 75), (100, 8_000)):
        with Crew(SWEEP, "iris", 1, bench.environment) as crew, tempfile.TemporaryDirectory() as folder:
            answer = crew.train(work.small(count, epochs), out=str(Path(folder) / "run"))
        seconds = answer["summary"]["seconds"]
        waiting = seconds["host"] / (seconds["total"] - seconds["compile"])
        each = 1e3 * seconds["train"] * bench.cores / count
        section.rows.append(
            (f"{count:,}", str(epochs), f"{each:.2g}", f"{answer['seconds']:.1f}", f"{seconds['compile']:.1f}",
             f"{count / answer['seconds']:.0f}", f"{waiting:.1%}", f"{answer['peak_bytes'] / 2**20:.0f} MiB")
        )  # fmt: skip
        section.data.append({"trials": count, "epochs": epochs, "host": waiting, **answer})
    return section


def predictions(bench: Bench) -> Section:
    """What plans say of time and memory, and what came of it, each sweep in a new process."""
    section = Section(
        "predictions",
        "ten sweeps, each in a new process with an empty compile cache: predicted and measured",
        ("sweep", "seconds", "predicted", "off by", "peak MiB", "predicted MiB", "mem. off by", "programs"),
        data={},
    )
    with tempfile.TemporaryDirectory() as cache:
        for name, (data, configs) in work.different().items():
            with Crew(SWEEP, data, 1, {**bench.environment, "JAXSWEEP_CACHE": cache}) as crew:
                answer = crew.train(configs, calibrate=True)
            said, took = answer["prediction"], answer["summary"]["seconds"]["total"]
            section.rows.append(
                (f"{data}, {len(configs)} x {name}", f"{took:.1f}", f"{said['seconds']:.1f}",
                 f"{said['seconds'] / took - 1:+.0%}", f"{said['peak_bytes'] / 2**20:.0f}",
                 f"{said['bytes'] / 2**20:.0f}", f"{said['bytes'] / said['peak_bytes'] - 1:+.0%}",
                 str(answer["summary"]["programs"]))
            )  # fmt: skip
            section.data[name] = {"seconds": took, **said}
    return section


SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "contenders": contenders,
    "mixtures": mixtures,
    "shapes": shapes,
    "starts": starts,
    "usual": usual,
    "small": small,
    "many": many,
    "predictions": predictions,
}
