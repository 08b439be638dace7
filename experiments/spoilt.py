"""What becomes of a run whose files were cut off or changed?

Question: a sweep is stopped in the middle: some trials are in the database, some in its journal, some trainings in a
checkpoint. Each of these files is cut off at every so many bytes, and changed by one bit at so many places, and each
time somebody resumes the run. Is the table, bit by bit, that of a sweep that nobody has stopped, or is a file refused
by its name? Is there ever another table, or another error?

Command: python experiments/spoilt.py [--step 64] [--flips 200] [--seed 0]
Answer: stands in experiments/torture.md, as this printed it.
"""

import argparse
import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

import jaxsweep as js
from jaxsweep.loop import execute
from jaxsweep.records import checkpoints
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec.request import Request

SPACE = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), epochs=js.Int(2, 300), depth=1, width=4, batch_size=30)


class Copies(Progress):
    """Copies the run directory once a third of its trials are recorded, as a kill would leave it."""

    def __init__(self, run: Path, to: Path) -> None:
        self.run, self.to = run, to

    def update(self, snapshot: Snapshot) -> None:
        """Copy it, if it is time."""
        there = [*(self.run / "checkpoints").glob("*.safetensors")]
        if snapshot.finished >= snapshot.requested / 3 and there and not self.to.exists():
            shutil.copytree(self.run, self.to)


def spoilt(content: bytes, step: int, flips: int, dice: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield what a file may have become."""
    for length in range(0, len(content), step):
        yield "cut off", content[:length]
    for _ in range(flips):
        place, bit = dice.randrange(len(content)), dice.randrange(8)
        yield "one bit", content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def outcome(run: Path, data: js.Dataset, plain: js.Result, name: str) -> str:
    """Resume a run and say what came of it; AssertionError if that is another table."""
    try:
        result = js.resume(run, data=data, progress=False)
    except (js.RequestError, OSError) as error:
        if name not in str(error):
            raise AssertionError("refused without the file's name") from error
        return "refused by its name"
    pd.testing.assert_frame_equal(result.to_pandas(lanes=True), plain.to_pandas(lanes=True), check_exact=True)
    np.testing.assert_array_equal(result.curves("val_loss", lanes=True), plain.curves("val_loss", lanes=True))
    pd.testing.assert_frame_equal(js.load(run).to_pandas(), plain.to_pandas(), check_exact=True)
    said = any("is broken" in note or "somebody or something has removed" in note for note in result.notes)
    return "said, and the same table" if said else "the same table"


def main() -> None:
    """Print what came of it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=int, default=64)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    data, dice = js.load_dataset("iris"), random.Random(asked.seed)
    checkpoints.SHARE = 0
    request = Request(space=SPACE, trials=12, keep=1, checkpoint_seconds=1e-9)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = execute(data, request, folder / "plain", Copies(folder / "plain", folder / "stopped"))
        folded = Path(shutil.copytree(folder / "stopped", folder / "folded"))
        with closing(sqlite3.connect(folded / "trials.sqlite")) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the journal becomes part of the database
        files = [folded / "trials.sqlite", folder / "stopped" / "trials.sqlite-wal"]
        files += sorted((folder / "stopped" / "checkpoints").iterdir())[-1:]
        print("| file | bytes | what was done | times | what came of it |")
        print("| --- | ---: | --- | ---: | --- |")
        for path in files:
            content = path.read_bytes()
            whole = folded if folded in path.parents else folder / "stopped"
            inside = path.relative_to(whole)
            found: dict[str, Counter[str]] = {}
            for how, changed in spoilt(content, asked.step, asked.flips, dice):
                run = folder / "run"
                shutil.copytree(whole, run)
                (run / inside).write_bytes(changed)
                found.setdefault(how, Counter())[outcome(run, data, plain, "trials.sqlite")] += 1
                shutil.rmtree(run)
            for how, counts in found.items():
                came = ", ".join(f"{count} {what}" for what, count in counts.most_common())
                shown = inside if inside.parts[0] != "checkpoints" else "a checkpoint"
                print(f"| {shown} | {len(content):,} | {how} | {sum(counts.values())} | {came} |", flush=True)


if __name__ == "__main__":
    main()
