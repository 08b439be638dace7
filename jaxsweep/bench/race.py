"""Processes that take turns: contenders are measured one after the other, round by round, never side by side."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxsweep.bench.child import SWEEP
from jaxsweep.spec.hyperparameters import Config

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Child:
    """A process that answers requests, see `jaxsweep.bench.child`."""

    def __init__(self, name: str, data: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jaxsweep.bench.child", name, data],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
        )  # fmt: skip

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request; `receive` has its answer."""
        assert self.process.stdin is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)

    def receive(self) -> dict[str, Any]:
        """Wait for an answer; raise ChildProcessError if the process has died."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ChildProcessError(f"the process that trains with {self.name} ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let the process end."""
        self.process.communicate()  # closes its stdin, and what it has printed


class Crew:
    """The processes of one contender, kept from one request to the next."""

    def __init__(self, name: str, data: str, count: int, environment: Mapping[str, str]) -> None:
        self.children = [Child(name, data, environment) for _ in range(count)]

    def train(self, configs: Sequence[Config], **more: Any) -> dict[str, Any]:
        """Train `configs`, each process its share, and return the wall time with what the processes answered."""
        shares = [list(configs[k :: len(self.children)]) for k in range(len(self.children))]
        began = time.perf_counter()
        for child, share in zip(self.children, shares, strict=True):
            child.send({"configs": share, **more})
        answers = [child.receive() for child in self.children]
        seconds = time.perf_counter() - began
        peak = sum(answer["peak_bytes"] for answer in answers)
        accuracy = statistics.fmean(answer.get("accuracy", 0.0) for answer in answers)
        return {**answers[0], "seconds": seconds, "peak_bytes": peak, "accuracy": accuracy}

    def close(self) -> None:
        """Let the processes end."""
        for child in self.children:
            child.close()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Timing:
    """Repeated measurements of the same work, in seconds."""

    count: int  # configs
    first: float  # the first time, compilation in it
    seconds: list[float] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)  # the last one

    @property
    def median(self) -> float:
        """Return the median seconds."""
        return statistics.median(self.seconds)

    @property
    def rate(self) -> float:
        """Return configs a second, by the median."""
        return self.count / self.median

    @property
    def spread(self) -> float:
        """Return (slowest - fastest) / median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


@dataclass(frozen=True)
class Entry:
    """What one contender is to do in a race."""

    label: str
    crew: Crew
    configs: Sequence[Config]
    more: Mapping[str, Any] = field(default_factory=dict)


def race(entries: Sequence[Entry], repeats: int) -> dict[str, Timing]:
    """Let everyone warm up once, then measure in turn, `repeats` rounds."""
    timings = {}
    for entry in entries:
        answer = entry.crew.train(entry.configs, **entry.more)
        timings[entry.label] = Timing(len(entry.configs), answer["seconds"])
    for _ in range(repeats):
        for entry in entries:
            answer = entry.crew.train(entry.configs, **entry.more)
            timings[entry.label].seconds.append(answer["seconds"])
            timings[entry.label].answer = answer
    return timings


def cold(
    data: str, configs: Sequence[Config], environment: Mapping[str, str], cache: str | None = None, name: str = SWEEP,
    count: int = 1,
) -> float:  # fmt: skip
    """Return the seconds of a contender in `count` new processes, from their start.

    The compile cache is empty, or that in the folder `cache`.
    """
    with tempfile.TemporaryDirectory() as empty:
        began = time.perf_counter()
        with Crew(name, data, count, {**environment, "JAXSWEEP_CACHE": cache or empty}) as crew:
            crew.train(configs)
            return time.perf_counter() - began
