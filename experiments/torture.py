"""What is left of a run that is killed, again and again, at any instant?

Question: sweeps with four ways of searching, and three of a few long trainings, are killed (SIGKILL) at random instants
and resumed until they end. Is any trial lost that progress had told of, is any there twice, and is the table bit by bit
that of a sweep that nobody has stopped? Do SIGINT, SIGTERM and SIGHUP, each at random instants from 0.1 s after the
start to the end, give their exit codes, with what is printed, recorded and told in agreement, and nothing swallowed? Of
two processes that begin in one directory at the same instant, does one run, and the other name it? And does who reads
while a sweep writes always see whole trials?

Command: python experiments/torture.py [--kills 100] [--signals 100] [--pairs 50] [--reads 100] [--seed 0]
Answer: stands in experiments/torture.md, as this printed it.
"""

import argparse
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import jaxsweep as js

TRIALS = 120
RUN = [
    "run", "--data", "iris", "--trials", str(TRIALS), "--set", "width=16", "--set", "epochs={int=[20,400]}",
    "--set", "checkpoint_seconds=0.05",
]  # fmt: skip
WAYS = {
    "random": [],
    "evolution": ["--search", "evolution", "--set", "search.population=20"],
    "hyperband": ["--scheduler", "hyperband"],
    "pbt": ["--scheduler", "pbt"],
    "long": ["--trials", "12", "--set", "epochs={int=[4000,12000]}"],
    "confirmed": ["--trials", "12", "--set", "epochs={int=[1000,6000]}", "--confirm", "4"],
    "long pbt": ["--trials", "12", "--set", "epochs={int=[4000,12000]}", "--scheduler", "pbt"],
}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
LAST = 0.5  # seconds that a process may take to end with its own code after a signal: it had done all it was to do


class Sweep:
    """A process that runs a sweep, or goes on with it."""

    def __init__(self, out: Path, cache: Path, way: list[str], resume: bool = True) -> None:
        command = [sys.executable, "-m", "jaxsweep", *RUN, *way, "--format", "json", "--out", str(out)]
        command += ["--resume"] * resume
        self.began = time.monotonic()
        self.sent = 0.0  # when a signal was, if one was
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "JAXSWEEP_CACHE": str(cache)},
        )  # fmt: skip

    def end(self, number: signal.Signals | None = None, after: float = 0.0) -> tuple[int, str, str]:
        """Wait for its end, which a signal may bring; return exit code, stdout and stderr."""
        if number is not None:
            try:
                self.process.wait(max(0.0, self.began + after - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.sent = time.monotonic()
                self.process.send_signal(number)
        printed, said = self.process.communicate()
        self.ended = time.monotonic()
        return self.process.returncode, printed, said


def rows(out: Path) -> tuple[list[Any], list[Any]]:
    """Return the trials, without the seconds that they took, and all learning curves."""
    with closing(sqlite3.connect(f"file:{out / 'trials.sqlite'}?mode=ro", uri=True)) as db:
        trials = db.execute(
            "SELECT trial, status, score, spread, epochs_done, metrics, config FROM trials ORDER BY trial"
        ).fetchall()
        return trials, db.execute("SELECT * FROM evaluations ORDER BY trial, replicate, fold").fetchall()


def told(said: str) -> int:
    """Return the most trials that progress has told of."""
    return max((int(number.replace(",", "")) for number in re.findall(r"([\d,]+)/[\d,]+ trials", said)), default=0)


def kills(name: str, count: int, folder: Path, dice: random.Random) -> dict[str, Any]:
    """Kill sweeps of one kind so often, and say what came of it."""
    cache, plain = folder / "cache", folder / f"{name}-plain"
    assert Sweep(plain, cache, WAYS[name]).end()[0] == 0
    whole, seconds, done, starts, runs, continued = rows(plain), 0.0, 0, 0, 0, 0
    first = Sweep(folder / f"{name}-timed", cache, WAYS[name])
    assert first.end()[0] == 0
    seconds = time.monotonic() - first.began
    while done < count:
        out, runs = folder / f"{name}-{runs}", runs + 1
        while True:
            sweep, starts = Sweep(out, cache, WAYS[name]), starts + 1
            after = dice.uniform(0.1, seconds)
            code, _, said = sweep.end(signal.SIGKILL if done < count else None, after)
            continued += "go on from their checkpoints" in said
            if code == 0:
                break
            assert code == -signal.SIGKILL, (code, said)
            done += 1
            recorded = rows(out)[0] if (out / "trials.sqlite").exists() and told(said) else []
            assert len(recorded) >= told(said), f"{name}: {told(said)} were told of, and {len(recorded)} are recorded"
            assert len({row[0] for row in recorded}) == len(recorded)
        assert rows(out) == whole, f"{name}: another table"
    return {"kills": done, "runs": runs, "starts": starts, "continued": continued, "seconds": seconds}


def signals(number: signal.Signals, count: int, folder: Path, dice: random.Random) -> dict[str, Any]:
    """Send a signal to so many sweeps, and say what came of it."""
    cache, seconds, ended, slowest = folder / "cache", 0.0, 0, 0.0
    first = Sweep(folder / f"{number.name}-timed", cache, [])
    assert first.end()[0] == 0
    seconds = time.monotonic() - first.began
    for k in range(count):
        out, after = folder / f"{number.name}-{k}", dice.uniform(0.1, seconds)
        sweep = Sweep(out, cache, [])
        code, printed, said = sweep.end(number, after)
        assert not re.search("Traceback|ignored", said), said
        if code == 0:  # it had ended before, or all that it was to do was done
            assert not sweep.sent or sweep.ended - sweep.sent < LAST, (after, said)
            ended += 1
            continue
        slowest = max(slowest, sweep.ended - sweep.sent)
        assert code == CODES[number], (code, after, said)
        if printed:
            trials = json.loads(printed.splitlines()[-1])["trials"]
            assert trials["finished"] == trials["recorded"] == len(rows(out)[0])
    return {"signal": number.name, "sent": count - ended, "ended before": ended, "slowest to end": slowest}


def pairs(count: int, folder: Path) -> None:
    """Start so many pairs of sweeps in one directory at the same instant, and check what becomes of each."""
    for number in range(count):
        out = folder / f"pair-{number}"
        both = [Sweep(out, folder / "cache", ["--trials", "4"], resume=False) for _ in range(2)]
        ends = [(sweep.process.pid, *sweep.end()) for sweep in both]
        (winner,) = [end for end in ends if end[1] == 0]
        (loser,) = [end for end in ends if end[1] == 2]
        assert f"process {winner[0]}" in loser[3] or "already holds a run" in loser[3], loser
        assert len(rows(out)[0]) == 4


def reads(count: int, folder: Path) -> int:
    """Read a run so often while it is written, check that each trial is whole; return how many tables there were."""
    out, seen = folder / "read", set[int]()
    sweep = Sweep(out, folder / "cache", ["--trials", "20000", "--replicates", "2"])
    done = 0
    while done < count and sweep.process.poll() is None:
        if not (out / "trials.sqlite").exists() or (out / "trials.sqlite-wal").exists() is False:
            time.sleep(0.01)
            continue
        result = js.load(out)
        ids = [trial.id for trial in result.trials]
        if not ids:
            continue
        assert sorted(result.lanes) == sorted(ids) or set(ids) <= set(result.lanes)
        assert all(len(result.lanes[number]) == 2 for number in ids)
        done, seen = done + 1, seen | {len(ids)}
        time.sleep(0.01)
    assert done == count, f"the sweep ended after {done} reads"
    assert sweep.end(signal.SIGTERM)[0] == 143
    return len(seen)


def main() -> None:
    """Print what came of it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--reads", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    dice = random.Random(asked.seed)
    for number in (signal.SIGHUP, signal.SIGINT):  # or the sweeps would ignore what this process does in the background
        signal.signal(number, signal.SIG_DFL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        head = "| way | kills | runs resumed until done | starts | that went on in the middle of trainings |"
        print(f"{head} seconds of one that is not stopped |")
        print("| --- | --- | --- | --- | --- | --- |")
        for way in WAYS:
            found = kills(way, -(-asked.kills // len(WAYS)), folder, dice)
            print(
                f"| {way} | {found['kills']} | {found['runs']} | {found['starts']} | {found['continued']} | "
                f"{found['seconds']:.1f} |",
                flush=True,
            )
        print("\nEvery trial that progress had told of was recorded, none was there twice, and each table and all")
        print("learning curves were those of the sweep that nobody had stopped, to the last bit.\n")
        print("| signal | sent | had ended before | longest time to end |")
        print("| --- | --- | --- | --- |")
        for number in CODES:
            found = signals(number, asked.signals, folder, dice)
            line = f"{found['signal']} | {found['sent']} | {found['ended before']} | {found['slowest to end']:.1f} s"
            print(f"| {line} |", flush=True)
        print("\nEach ended with its exit code, without a traceback; the JSON line and the database agreed.\n")
        pairs(asked.pairs, folder)
        print(f"Of {asked.pairs} pairs of processes that began in one directory at the same instant one ran, and the")
        print("other ended with exit code 2 and the number of the first.\n")
        tables = reads(asked.reads, folder)
        print(f"{asked.reads} reads while a sweep wrote gave {tables} different tables, each of them whole.")


if __name__ == "__main__":
    main()
