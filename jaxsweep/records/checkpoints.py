"""Checkpoints on disk: lanes under way in a run directory, so that a kill costs a minute and not a training.

Each file of `checkpoints/` holds lanes of one program as plain arrays, and is never changed: a worker writes what its
tile has come to beside what it wrote before, under the next number, and removes what it wrote before that. The name of
a file holds a checksum of its content; one that does not fit is no checkpoint, and then an earlier one counts.
"""

import hashlib
import os
import re
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_of_bytes
from safetensors.numpy import save as tensors_as_bytes

from jaxsweep.engine.checkpoint import Checkpoint, Identity, Still
from jaxsweep.engine.population import STANDS, Heard, Population
from jaxsweep.records.rundir import CHECKPOINTS, CURVE
from jaxsweep.records.trials import Columns

SHARE = 50  # so many times as long as one took is the time until the next: it costs 2 % at most
KEPT = 2  # files of what a worker trains; a broken last one leaves the one before
_NAME = re.compile(r"(\d+)-([0-9a-f]{32})\.safetensors")
_TOGETHER = re.compile(r"(\d+)-([0-9a-f]{32})\.population")
_HEARD = ("call", "trial", "replicate", "fold", "epochs", "how")  # columns of `heard`
_HOW = (STANDS, "completed", "stopped", "diverged")
_POPULATIONS = -1  # among workers, of which each has its own time
_STATE = "state/"
_NUMBERS = ("trial", "replicate", "fold", "config", "epochs", "steps", "tested")  # columns of `lanes`


class Checkpoints:
    """The checkpoints of a run directory, whose one writer this process is. It is a `Saver`.

    What cannot be written is not: training goes on, and `problem` says why, until somebody has taken it from there.

    Args:
        run: the run directory.
        resumed: whether the run goes on; else nothing in it counts.
        seconds: between two checkpoints of a worker, at least.
        check: raises OSError if the run directory is another's now.
        columns: the metrics of its lanes; those of another number are not of this run.
    """

    def __init__(
        self, run: Path, resumed: bool, seconds: float = 60.0, check: Callable[[], None] = lambda: None,
        columns: Columns | None = None,
    ) -> None:  # fmt: skip
        self.seconds, self._check, self._columns = seconds, check, columns
        self.folder = run / CHECKPOINTS
        self.problem = ""
        self.gives_way = False  # whether there is no room for what matters more
        self._told = False
        self._lock = threading.Lock()
        self._still: list[Still] = []
        if resumed:
            self._remove(self.folder.glob("*.new"))  # which a kill has left
        self._number = max(map(_number_of, [*self._files(), *self._files(_TOGETHER)]), default=0)
        self.waiting: Population | None = None
        self._next: dict[int, float] = {}  # by worker, and of populations: when the next one is due
        self._written: dict[int, deque[list[Path]]] = {}  # likewise: the files of each one that counts
        self._began = time.perf_counter()

    def _files(self, name: re.Pattern[str] = _NAME) -> list[Path]:
        """Return the files of such names in the order in which they were written."""
        if not self.any:
            return []
        files = [path for path in self.folder.iterdir() if name.fullmatch(path.name) and path.is_file()]
        return sorted(files, key=_number_of)

    def due(self) -> bool:
        """Return whether the calling thread should save its lanes now."""
        return self._is_due(threading.get_ident())

    def _is_due(self, worker: int) -> bool:
        return not self.gives_way and time.perf_counter() >= self._next.get(worker, self._began + self.seconds)

    def stand(self, lanes: Iterable[Still]) -> None:
        """Note lanes that stand still from now on."""
        with self._lock:
            self._still += lanes

    def save(self, running: Sequence[Checkpoint], began: float | None = None) -> None:
        """Write the lanes that the calling thread trains, all of one program, and those of all that stand still."""
        began, worker = time.perf_counter() if began is None else began, threading.get_ident()
        if self.gives_way:
            return
        with self._lock:
            noted, self._still = self._still, []
        standing = [lane for still in noted if (lane := still.checkpoint()) is not None]
        with self._timed(worker, began):
            self._write_lanes(standing)
            if running:
                self._replace(worker, self._write_lanes(running))

    def due_together(self) -> bool:
        """Return whether a population should be saved now."""
        return self.waiting is None and self._is_due(_POPULATIONS)

    def save_together(self, population: Population) -> None:
        """Note a population, to be written once those of its trials that are over are recorded."""
        self.waiting = population

    def write_together(self, recorded: Set[int]) -> None:
        """Write the population that waits for that, if trials that are over are among those recorded."""
        if (population := self.waiting) is None or self.gives_way or not population.over <= recorded:
            return
        with self._timed(_POPULATIONS, time.perf_counter()):
            files = self._write_lanes([*population.lanes.values()])
            files.append(self._write(_told_as_bytes(population, files), ".population"))  # it names the others
            self._replace(_POPULATIONS, files)
        self.waiting = None

    def _replace(self, worker: int, files: list[Path]) -> None:
        """Let files count, and the one before them; remove what was written before that, the last file first."""
        written = self._written.setdefault(worker, deque())
        written.append(files)
        while len(written) > KEPT:
            self._remove(reversed(written.popleft()))

    def _remove(self, files: Iterable[Path]) -> None:
        """Remove files that nobody needs; if that cannot be, they are left."""
        try:
            for path in files:
                path.unlink(missing_ok=True)
        except OSError as error:
            self._cannot_remove(error)

    def _cannot_remove(self, error: OSError) -> None:
        self.problem = f"{self.folder} cannot be removed from ({error.strerror or error}): nobody needs what is there"

    @contextmanager
    def _timed(self, worker: int, began: float) -> Iterator[None]:
        """Inside, something is written; afterwards it is known when next, and why it was not, if it was not."""
        try:
            yield
        except OSError as error:
            if not self._told:
                self._told = True
                self.problem = (
                    f"{self.folder} cannot be written ({error.strerror or error}): training goes on, and what is under "
                    "way would train again from its first epoch after a kill"
                )
        now = time.perf_counter()
        self._next[worker] = now + max(self.seconds, SHARE * (now - began))

    def _write_lanes(self, lanes: Sequence[Checkpoint]) -> list[Path]:
        """Write lanes, those of each program into a file of its own."""
        programs = {lane.program: None for lane in lanes}
        return [
            self._write(_as_bytes([lane for lane in lanes if lane.program == program]), ".safetensors")
            for program in programs
        ]

    def _write(self, content: bytes, ending: str) -> Path:
        with self._lock:
            self._number += 1
            number = self._number
        self._check()
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"{number:06d}-{_checksum(content)}{ending}"
        beside = path.with_name(f"{number:06d}.new")
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            return beside.rename(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    def read(self) -> tuple[dict[Identity, Checkpoint], list[str]]:
        """Return the last good checkpoint of each lane, and what is to be said of files that are none."""
        found: dict[Identity, Checkpoint] = {}
        remarks = []
        last: dict[Identity, Path] = {}
        good: list[Path] = []
        for path in self._files():
            try:
                lanes = self._fitting(_read(path))
            except (OSError, ValueError) as error:
                remarks.append(
                    f"{path} is broken ({error}): its lanes go on from an earlier checkpoint, or from their first epoch"
                )
                continue
            for lane in lanes:
                if lane.identity not in found or lane.epochs >= found[lane.identity].epochs:
                    found[lane.identity], last[lane.identity] = lane, path
            good.append(path)
        self._remove(set(good) - {*last.values()})  # those of before, which the last ones have replaced
        return found, remarks

    def _fitting(self, lanes: Iterable[Checkpoint]) -> list[Checkpoint]:
        """Return lanes; ValueError if they have other metrics than the run."""
        found = list(lanes)
        if self._columns is not None:
            for lane in found:
                known = len(self._columns.test) if lane.test is None else len(lane.test)
                if (lane.curves.shape[1], known) != (len(self._columns.curves), len(self._columns.test)):
                    raise ValueError("its lanes have other metrics")
        return found

    def read_together(self, recorded: Container[int]) -> tuple[Population | None, list[str]]:
        """Return the last good population all of whose trials that are over are recorded; what is to be said else."""
        remarks = []
        for path in reversed(self._files(_TOGETHER)):
            try:
                population, files = _read_together(path)
                self._fitting(population.lanes.values())
            except (OSError, ValueError) as error:
                remarks.append(f"{path} is broken ({error}): its trials go on from an earlier one, or from the start")
                continue
            if all(trial in recorded for trial in population.over):
                self._remove({*self._files(), *self._files(_TOGETHER)} - {path, *files})
                self._replace(_POPULATIONS, [*files, path])
                return population, remarks
        return None, remarks

    def give_way(self) -> bool:
        """Remove what there is, and write no more while `gives_way`; return whether there was something."""
        there, self.gives_way = self.any, True
        if there and not self._told:
            self._told = True
            self.problem = (
                f"{self.folder} is removed to make room for what has finished: what is under way would train again "
                "from its first epoch after a kill"
            )
        self.clear()
        return there

    @property
    def any(self) -> bool:
        """Whether there are some."""
        return self.folder.is_dir()

    def clear(self) -> None:
        """Remove all of them: every lane that they hold is over."""
        try:
            self._check()
            shutil.rmtree(self.folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._cannot_remove(error)
        self._written.clear()


def _number_of(path: Path) -> int:
    return int(path.name.split("-")[0])


def _checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _as_bytes(lanes: Sequence[Checkpoint]) -> bytes:
    numbers = [(*each.identity, each.config, each.epochs, each.steps, each.test is not None) for each in lanes]
    width = max((len(each.test) for each in lanes if each.test is not None), default=0)
    test = [np.full(width, np.nan) if each.test is None else each.test for each in lanes]
    tensors = {
        "program": np.frombuffer(lanes[0].program.encode(), np.uint8),
        "lanes": np.array(numbers, np.int64),
        "seconds": np.array([each.seconds for each in lanes], CURVE),
        "curves": np.concatenate([each.curves for each in lanes]).astype(CURVE),
        "test": np.array(test, CURVE).reshape(len(lanes), width),
    }
    for name in lanes[0].state:
        tensors[f"{_STATE}{name}"] = np.stack([each.state[name] for each in lanes])
    return tensors_as_bytes({name: np.ascontiguousarray(array) for name, array in tensors.items()})


def _told_as_bytes(population: Population, files: Sequence[Path]) -> bytes:
    rows, curves = [], []
    for call, reports in enumerate(population.story):
        for heard in reports:
            for lane, (how, new) in heard.lanes.items():
                rows.append((call, heard.trial, *lane, len(new), _HOW.index(how)))
                curves.append(new)
    tensors = {
        "heard": np.array(rows, np.int64),
        "curves": np.concatenate(curves).astype(CURVE),
        "over": np.array(sorted(population.over), np.int64),
        "files": np.frombuffer("\n".join(path.name for path in files).encode(), np.uint8),
    }
    return tensors_as_bytes({name: np.ascontiguousarray(array) for name, array in tensors.items()})


def _read_together(path: Path) -> tuple[Population, list[Path]]:
    """Return the population that a file tells of, and the files of its lanes; ValueError if one is not whole."""
    tensors = _tensors(path)
    rows, curves = _array(tensors, "heard", "<i8", 2), _array(tensors, "curves", "<f8", 2)
    if rows.shape[1] != len(_HEARD):
        raise ValueError(f"it has {rows.shape[1]} numbers of what was heard, and not {len(_HEARD)}")
    lengths, hows = rows[:, _HEARD.index("epochs")], {*rows[:, _HEARD.index("how")].tolist()}
    if lengths.min(initial=0) < 0 or lengths.sum() != len(curves) or hows - {*range(len(_HOW))}:
        raise ValueError("its arrays do not belong together")
    story: list[dict[int, dict[tuple[int, int], Any]]] = []
    ends = np.cumsum(lengths)
    last = -1
    for (call, trial, replicate, fold, length, how), end in zip(rows.tolist(), ends.tolist(), strict=True):
        if call != last:
            story.append({})
            last = call
        story[-1].setdefault(trial, {})[replicate, fold] = _HOW[how], curves[end - length : end]
    names = bytes(_array(tensors, "files", "u1", 1)).decode().split("\n")
    if not all(map(_NAME.fullmatch, names)):
        raise ValueError("it names files that are no checkpoints")
    files = [path.with_name(name) for name in names]
    lanes = {lane.identity: lane for file in files for lane in _read(file)}
    told = [[Heard(trial, each) for trial, each in call.items()] for call in story]
    return Population(told, frozenset(_array(tensors, "over", "<i8", 1).tolist()), lanes), files


def _tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file; ValueError if it is none of this module's, or not whole."""
    content = path.read_bytes()
    if not path.name.endswith(f"-{_checksum(content)}{path.suffix}"):
        raise ValueError("its checksum is another one")
    try:
        return tensors_of_bytes(content)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from None


def _read(path: Path) -> Iterator[Checkpoint]:
    """Yield the lanes of a file; ValueError if it is none of this module's, or not whole."""
    tensors = _tensors(path)
    state = {name.removeprefix(_STATE): array for name, array in tensors.items() if name.startswith(_STATE)}
    seconds, numbers = _array(tensors, "seconds", "<f8", 1), _array(tensors, "lanes", "<i8", 2)
    curves, test = _array(tensors, "curves", "<f8", 2), _array(tensors, "test", "<f8", 2)
    program, count = bytes(_array(tensors, "program", "u1", 1)).decode(), len(seconds)
    lengths = numbers[:, _NUMBERS.index("epochs")].tolist() if numbers.shape == (count, len(_NUMBERS)) else []
    whole = len(lengths) == count == len(test) and min(lengths, default=1) > 0 and sum(lengths) == len(curves)
    if not whole or any(array.ndim == 0 or len(array) != count for array in state.values()):
        raise ValueError("its arrays do not belong together")
    start = 0
    for place, row in enumerate(numbers.tolist()):
        known = dict(zip(_NUMBERS, row, strict=True))
        end = start + known["epochs"]
        yield Checkpoint(
            Identity(known["trial"], known["replicate"], known["fold"]), program, known["config"], known["epochs"],
            known["steps"], float(seconds[place]), curves[start:end], test[place] if known["tested"] else None,
            {name: array[place] for name, array in state.items()},
        )  # fmt: skip
        start = end


def _array(tensors: dict[str, NDArray[Any]], name: str, dtype: str, axes: int) -> NDArray[Any]:
    if name not in tensors or tensors[name].ndim != axes or tensors[name].dtype != dtype:
        raise ValueError(f"it has no array {name} of {dtype} with {axes} axes")
    return tensors[name]
