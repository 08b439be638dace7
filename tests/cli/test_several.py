"""Several objectives and constraints from the command line: what is asked for, printed, recorded and refused."""

import json
import tomllib
from pathlib import Path

import pytest
from cli_helpers import Out, ok, refused

from jaxsweep.cli import main

pytestmark = pytest.mark.usefixtures("one_tile")

SMALL = ["depth=1", "width={int=[1,16]}", "epochs=2", "learning_rate=0.01", "sweep.keep=0"]
ASK = ["--data", "iris", "--trials", "8", *(word for each in SMALL for word in ("--set", each))]
AIMS = ["--objective", "val_accuracy, parameters", "--constraint", "parameters <= 99", "--constraint", "val_loss<=9"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run directory, and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "a"
    return out, ok("run", *ASK, *AIMS, "--out", out, "--quiet")


def test_the_front_is_marked_and_said(run: tuple[Path, str], capsys: Out) -> None:
    out, printed = run
    lines = printed.splitlines()
    assert lines[0] == "8 trials on iris, score is val_accuracy"
    assert lines[1].split()[:5] == ["trial", "score", "parameters", "val_loss", "front"]
    (told,) = (line for line in lines if "on the Pareto front" in line)
    table = json.loads(ok("show", out, "--format", "json"))
    front = [row["trial"] for row in table if row["front"]]
    many, broken = f"{len(front)} trial{'s' * (len(front) > 1)}", sum(not row["feasible"] for row in table)
    assert told == (
        f"{many} on the Pareto front of val_accuracy and parameters; {broken} of 8 trials "
        f"break{'s' * (broken == 1)} a constraint (parameters <= 99 and val_loss <= 9)"
    )
    assert broken
    assert "feasible" in lines[1]
    assert [row["feasible"] for row in table] == sorted((row["feasible"] for row in table), reverse=True)
    at = lines.index(told)
    assert lines[at + 1].split() == ["trial", "val_accuracy", "parameters"]
    assert sorted(int(line.split()[0]) for line in lines[at + 3 : at + 3 + len(front)]) == sorted(front)
    shown = ok("show", out)
    assert told in shown
    assert "parameters" in shown.splitlines()[0]


def test_what_was_asked_for_is_recorded(run: tuple[Path, str]) -> None:
    table = tomllib.loads((run[0] / "sweep.toml").read_text())["sweep"]
    assert table["objective"] == ["val_accuracy", "parameters"]
    assert table["constraints"] == ["parameters <= 99", "val_loss <= 9"]
    assert "objective_weights" not in table


def test_json_has_the_front(tmp_path: Path) -> None:
    last = json.loads(ok("run", *ASK, *AIMS, "--out", tmp_path / "a", "--quiet", "--format", "json").splitlines()[-1])
    assert last["objective"] == "val_accuracy"
    assert last["front"]
    assert all(list(row) == ["trial", "val_accuracy", "parameters"] for row in last["front"])
    assert max(row["val_accuracy"] for row in last["front"]) == last["best"]["score"]


def test_a_sweep_file_has_lists(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(
        "[sweep]\nobjective = ['val_loss', 'iterations']\nobjective_weights = [1, 0.5]\nconstraints = 'seconds <= 9'\n"
        "search = 'de'\n[search]\npopulation = 4\n"
    )
    out = tmp_path / "a"
    ok("run", file, *ASK, "--set", "space.batch_size={choice=[30,90]}", "--out", out, "--quiet")
    table = tomllib.loads((out / "sweep.toml").read_text())["sweep"]
    assert table["objective_weights"] == [1.0, 0.5]
    assert table["constraints"] == ["seconds <= 9"]
    assert "on the Pareto front of val_loss and iterations" in ok("show", out)


def test_where_nothing_meets_the_constraints_it_says_so(tmp_path: Path, capsys: Out) -> None:
    argv = ["run", *ASK, "--constraint", "val_accuracy >= 2", "--out", str(tmp_path / "a"), "--quiet"]
    assert main(argv) == 3
    said = capsys.readouterr()
    assert "8 of 8 trials break a constraint (val_accuracy >= 2)" in said.out
    assert "no trial meets the constraints: 8 finished, and each breaks one of val_accuracy >= 2" in said.err
    assert "none of its trials" in refused(capsys, "export", tmp_path / "a", "--out", tmp_path / "model")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--objective", "parameters"], "the first objective must be a validation metric"),
        (["--objective", "val_accuracy,parameter"], "unknown objective 'parameter'"),
        (["--objective", "val_accuracy,"], "unknown objective ''"),
        (["--objective", "val_accuracy,seconds", "--search", "bayes"], "search = 'bayes' follows one objective"),
        (["--constraint", "parameters < 5"], "constraint 'parameters < 5' is not legal"),
        (["--constraint", "size <= 5"], "unknown metric 'size'"),
    ],
)
def test_refusals(argv: list[str], said: str, capsys: Out) -> None:
    assert said in refused(capsys, "plan", "--data", "iris", *argv)
