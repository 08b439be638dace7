"""Signals at the worst instants: none is swallowed, and each has its exit code."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxsweep as js
from jaxsweep import cli, interruption
from jaxsweep.cli import interrupt
from jaxsweep.cli.interrupt import Interrupts

pytestmark = pytest.mark.usefixtures("one_cache")


@pytest.fixture(autouse=True)
def stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second interrupt of this process would end it, and the suite with it."""

    def ended(code: int) -> None:
        raise AssertionError(f"it has ended with {code}")

    monkeypatch.setattr(os, "_exit", ended)


class Here:
    """What is interrupted, or goes away, in this process."""


def _kill(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _wait() -> None:
    """Do something for long enough that an interrupt which comes later comes here."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        time.sleep(0.001)


def test_an_interrupt_in_a_callback_of_the_garbage_collector_comes_again() -> None:
    def once(phase: str, _: object) -> None:
        if phase == "start":
            _kill()

    def collect() -> None:
        gc.callbacks.append(once)
        try:
            gc.collect()
        finally:
            gc.callbacks.remove(once)
        _wait()

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        collect()
    assert interrupts.caught == signal.SIGINT


def test_an_interrupt_as_something_dies_comes_again() -> None:
    here = Here()
    gone = weakref.ref(here, _kill)

    def forget() -> None:
        nonlocal here
        del here
        _wait()

    with Interrupts(), pytest.raises(KeyboardInterrupt):
        forget()
    assert gone() is None


def test_an_interrupt_that_is_swallowed_without_a_word_comes_again() -> None:
    """As by C code that asks for an attribute."""

    def swallow() -> None:
        with suppress(KeyboardInterrupt):
            _kill()
            _wait()
        _wait()

    with Interrupts(), pytest.raises(KeyboardInterrupt):
        swallow()


def test_an_interrupt_that_is_on_its_way_or_acted_on_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "QUIET_SECONDS", 0.01)
    done = []

    def closing() -> Generator[int, None, None]:
        try:
            yield 1
        finally:
            time.sleep(0.05)
            done.append("generator")

    def stopped() -> None:
        numbers = closing()
        try:
            next(numbers)
            _kill()
            _wait()
        except KeyboardInterrupt:
            numbers.close()
            time.sleep(0.05)
            done.append("except")
            raise
        finally:
            time.sleep(0.05)
            done.append("finally")

    with Interrupts():
        try:
            stopped()
        except KeyboardInterrupt:
            interruption.act()
        time.sleep(0.05)
        done.append("after")
    assert done == ["generator", "except", "finally", "after"]


def test_signals_that_come_together_are_one_wish_and_a_later_one_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes a session may send SIGTERM and SIGHUP; a second interrupt would strike what the first lets be done."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        interruption.act()
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.raise_signal(number)
        assert (interrupts.caught, Interrupts.exit_code(), ended) == (signal.SIGTERM, 143, [])
        monkeypatch.setattr(interrupt, "SAME_SECONDS", 0.0)
        with interruption.waiting(), pytest.raises(KeyboardInterrupt):  # for workers: it ends the waiting
            signal.raise_signal(signal.SIGINT)
        interruption.act()
        monkeypatch.setattr(interrupts, "_raise", lambda *_: None)
        signal.raise_signal(signal.SIGHUP)
    assert ended == [129]


def test_an_interrupt_that_c_code_prints_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """As Cython's does, which then says that it cannot raise it."""
    before = sys.excepthook
    with Interrupts():
        for error in (KeyboardInterrupt(), ValueError("told")):
            sys.excepthook(type(error), error, None)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    assert capsys.readouterr().err.strip() == "ValueError: told"
    assert sys.excepthook is before


def test_a_signal_while_a_last_sentence_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    say, calls = cli._say, 0

    def interrupted(text: str, code: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            signal.raise_signal(signal.SIGTERM)
        return say(text, code)

    monkeypatch.setattr(cli, "_say", interrupted)
    assert cli.main(["show", str(tmp_path / "nothing")]) == 143
    assert capsys.readouterr().err == "jaxsweep: interrupted\n"


def test_what_is_being_imported_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.1)\nwhole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def load() -> None:
        import_module("slow_to_import")
        _wait()

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        load()
    assert interrupts.caught == signal.SIGTERM
    assert sys.modules["slow_to_import"].whole


@pytest.mark.parametrize("begun", [False, True])
def test_before_a_sweep_begins_nobody_waits_for_imports(begun: bool, tmp_path: Path) -> None:
    """In a real process, whose command takes long to import."""
    begins = "from jaxsweep import interruption; interruption.begins()" if begun else ""
    (tmp_path / "training.py").write_text(
        f"import sys, time\n{begins}\nprint('importing', file=sys.stderr, flush=True)\n"
        f"for _ in range({10 if begun else 3000}): time.sleep(0.02)\nprint('imported', file=sys.stderr, flush=True)\n"
        "def run(arguments): time.sleep(60)\n"
    )
    start = f"import sys; from jaxsweep import cli; cli.__path__.insert(0, {str(tmp_path)!r}); sys.argv = ['', 'run']; "
    with subprocess.Popen([sys.executable, "-c", start + "cli.entry()"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "importing\n"
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read() == ("imported\n" if begun else "") + "jaxsweep: interrupted\n"
    assert process.returncode == 143


def test_a_closed_terminal_stays_ignored_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
        assert interrupts.caught is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_is_heard_in_the_background() -> None:
    """Where a shell lets processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    def interrupt() -> None:
        _kill()
        _wait()

    try:
        with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
            interrupt()
        assert interrupts.caught == signal.SIGINT
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_things_that_cannot_be_raised_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    here = Here()
    gone = weakref.ref(here, lambda _: 1 / 0)
    with Interrupts():
        del here
    assert gone() is None
    assert [each.exc_type for each in told] == [ZeroDivisionError]


CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture
def terminal() -> Iterator[None]:
    """Processes hear that their terminal is closed, also where the suite runs under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def hear(process: "subprocess.Popen[str]", numbers: Sequence[int]) -> None:
    """Wait until a process has handlers for signals: before that it is Python that starts, for long if all is busy."""
    status = Path(f"/proc/{process.pid}/status")
    end = time.monotonic() + 60
    while status.exists() and time.monotonic() < end and process.poll() is None:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        if all(int(caught.split()[1], 16) >> (number - 1) & 1 for number in numbers):
            return
        time.sleep(0.001)
    time.sleep(0.15)  # where there is no such file


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    "numbers", [*((number,) for number in CODES), (signal.SIGTERM, signal.SIGHUP) * 2],
    ids=["SIGINT", "SIGTERM", "SIGHUP", "all that a closed session sends"],
)  # fmt: skip
def test_signals_at_any_instant(numbers: tuple[signal.Signals, ...], tmp_path: Path) -> None:
    """From the first imports to the end of a sweep, all at work at once; `experiments/torture.py` has hundreds."""
    instants = np.linspace(0.0, 3.0, 4)
    line = [sys.executable, "-m", "jaxsweep", "run", "--data", "iris", "--trials", "20000", "--set", "width=8"]
    line += ["--set", "epochs=5", "--format", "json", "--out"]
    for instant in instants:
        out = tmp_path / f"{instant:.2f}"
        with subprocess.Popen([*line, str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            hear(process, tuple(CODES))
            time.sleep(instant)
            for number in numbers:
                process.send_signal(number)
            printed, said = process.communicate()
        assert process.returncode in {CODES[number] for number in numbers}, said
        assert "Traceback" not in said
        assert "ignored" not in said
        if printed:
            last = json.loads(printed.splitlines()[-1])
            assert last["trials"]["finished"] == last["trials"]["recorded"] == len(js.load(out).trials)
