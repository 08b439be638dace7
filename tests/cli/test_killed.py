"""Real processes that are killed, and that begin at the same instant: what is recorded, and that another goes on."""

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from same import assert_same

import jaxsweep as js
from jaxsweep.engine import tile
from jaxsweep.records.rundir import LOCK

pytestmark = pytest.mark.usefixtures("one_tile", "one_cache")


@pytest.fixture(autouse=True)
def short_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call of this process is for an epoch."""
    monkeypatch.setattr(tile, "CALL_SECONDS", 0.0)


SWEEP = """
import os, signal, sys, time
from pathlib import Path
import jaxsweep as js
from jaxsweep import loop, recording
from jaxsweep.engine import engine
from jaxsweep.records import checkpoints, rundir, stored
from jaxsweep.report.progress import Progress
from jaxsweep.spec.request import Request

checkpoints.SHARE = 0
recording.FLUSH_SECONDS = loop.TICK_SECONDS = 0.0
out, search, scheduler, enough = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
before = stored.load(out) if rundir.holds_run(out) else None
already = len(before.trials) if before else 0

class Dies(Progress):
    def update(self, snapshot):
        print(snapshot.finished, flush=True)
        if enough > 0 and snapshot.finished >= already + enough:
            os.kill(os.getpid(), signal.SIGKILL)
        if enough < 0 and snapshot.finished >= 3:
            time.sleep(600)  # until it is killed

write = checkpoints.Checkpoints.write_together

def written(self, recorded):
    waits = self.waiting is not None
    write(self, recorded)
    if enough > 0 and waits and self.waiting is None:  # a population is there, from which the next process goes on
        os.kill(os.getpid(), signal.SIGKILL)

checkpoints.Checkpoints.write_together = written
engine.TICK_SECONDS = 1e-3

space = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), epochs=300, depth=1, width=8, batch_size=30)
request = Request(
    space=space, trials=60, keep=3, search=search, scheduler=scheduler or None, checkpoint_seconds=1e-9,
    options={"population": 20} if search == "evolution" else {},
)
loop.execute(js.load_dataset("iris"), request, out, Dies(), before=before)
"""


def begun(out: Path, search: str = "random", scheduler: str = "") -> "subprocess.Popen[str]":
    """Return a process that has told of trials that have finished, and holds on there."""
    process = subprocess.Popen(
        [sys.executable, "-c", SWEEP, str(out), search, scheduler, "-1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 3:
            return process
    raise AssertionError(f"it ended with {process.wait()}")


@pytest.mark.parametrize(("search", "scheduler"), [("random", ""), ("evolution", "asha")])
def test_a_killed_run_goes_on_and_nobody_else_writes_before(tmp_path: Path, search: str, scheduler: str) -> None:
    out = tmp_path / "run"
    with begun(out, search, scheduler) as process:
        with pytest.raises(js.RequestError, match=f"run is being written by process {process.pid}: wait until it ends"):
            js.resume(out)
        assert len(js.load(out).trials) >= 3  # readers may read
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert (out / LOCK).read_text() == str(process.pid)
    recorded = js.load(out).to_pandas().set_index("trial")
    result = js.resume(out, progress=False)
    pd.testing.assert_frame_equal(result.to_pandas().set_index("trial").loc[recorded.index], recorded, check_exact=True)
    assert len(result.trials) == 60
    assert not (out / LOCK).exists()


@pytest.mark.parametrize(
    ("search", "scheduler", "kills"),
    [
        ("random", "", [7, 11, 5]),
        ("evolution", "", [9, 25, 3]),
        ("random", "hyperband", [6, 13]),
        ("random", "pbt", [99, 99]),
    ],
)
def test_ten_kills_change_nothing(tmp_path: Path, search: str, scheduler: str, kills: list[int]) -> None:
    """The table, the curves and the kept networks are those of a process that nobody has killed, to the last bit."""

    def run(out: Path, enough: int) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", SWEEP, str(out), search, scheduler, str(enough)]
        return subprocess.run(command, text=True, capture_output=True, check=False)

    assert run(tmp_path / "plain", 0).returncode == 0
    out = tmp_path / "run"
    for enough in kills:
        killed = run(out, enough)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert len(js.load(out).trials) >= max(map(int, killed.stdout.split()))
    assert run(out, 0).returncode == 0
    assert_same(js.load(out), js.load(tmp_path / "plain"))


def test_of_two_that_begin_at_once_one_runs(tmp_path: Path) -> None:
    out = tmp_path / "run"
    line = [sys.executable, "-m", "jaxsweep", "run", "--data", "iris", "--trials", "2", "--set", "epochs=1", "--quiet"]
    line += ["--out", str(out)]
    both = [subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    refused = next(text for process, text in zip(both, said, strict=True) if process.returncode == 2)
    holder = next(process.pid for process in both if process.returncode == 0)
    assert f"is being written by process {holder}" in refused or "already holds a run" in refused
    assert len(js.load(out).trials) == 2
