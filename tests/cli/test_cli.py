"""The command line: its contracts, its refusals, and what is kept of an interrupted run."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from cli_helpers import SETS, Out, ok, refused
from shared_data import shared

import jaxsweep as js
from jaxsweep import doctor
from jaxsweep.cli import main, training
from jaxsweep.engine import machine
from jaxsweep.records import stored
from jaxsweep.report import tables
from jaxsweep.report.progress import Progress, Snapshot
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.metrics import metric_names

ASK = ["--trials", "6", "--keep", "2", *SETS]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A small run directory, and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "a"
    return out, ok("run", "--data", "iris", *ASK, "--out", out, "--format", "json", "--quiet")


# --- the contract of run, plan and show ----------------------------------------------------------------------------


def _rows(out: Path) -> pd.DataFrame:
    return pd.DataFrame([trial.row() for trial in stored.load(out).trials])


def test_the_last_line_of_run_is_the_contract(finished: tuple[Path, str]) -> None:
    out, printed = finished
    last = json.loads(printed.splitlines()[-1])
    assert list(last) == [
        "run", "status", "objective", "trials", "best", "front", "confirmed", "time_limit_reached", "seconds",
        "programs", "lane_occupancy", "padding_waste", "iterations",
    ]  # fmt: skip
    assert (last["run"], last["status"], last["objective"]) == (str(out), "completed", "val_accuracy")
    counts = {"requested": 6, "finished": 6, "recorded": 6, "completed": 6, "stopped": 0, "diverged": 0, "failed": 0}
    assert last["trials"] == counts
    assert set(last["best"]) == {"trial", "score", "config", "metrics"}
    assert list(last["best"]["config"]) == list(HYPERPARAMETERS)
    assert set(last["seconds"]) == {"total", "compile", "train", "host"}
    assert last["programs"] == 1
    assert last["iterations"] == 6 * 3 * 3  # trials x epochs x ceil(90 / 32)


def test_a_run_directory_says_how_to_run_it_again(
    finished: tuple[Path, str], tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = finished
    table = tomllib.loads((out / "sweep.toml").read_text())
    assert table["data"]["name"] == "iris"
    assert table["sweep"]["trials"] == 6
    assert table["versions"]["jaxsweep"] == js.__version__
    assert table["run"]["fingerprint"] == js.load_dataset("iris").fingerprint
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(out / "sweep.toml")]) == 0
    (again,) = (tmp_path / "runs").iterdir()
    assert again.name.startswith("iris-")
    assert _rows(out).equals(_rows(again))
    printed = capsys.readouterr()
    assert "6 trials on iris, score is val_accuracy" in printed.out
    header = printed.out.splitlines()[1].split()
    assert header[:3] == ["trial", "score", "train_loss"]
    assert "learning_rate" in header
    assert "optimizer" not in header  # it does not vary
    assert f"jaxsweep show {again.relative_to(tmp_path)}" in printed.err
    assert "6/6 trials" in printed.err


def test_plan_trains_nothing_and_has_the_contracts_fields() -> None:
    planned = json.loads(ok("plan", "--data", "iris", *ASK, "--format", "json").splitlines()[-1])
    assert list(planned) == ["programs", "predicted_seconds", "predicted_bytes", "buckets"]
    assert [list(bucket) for bucket in planned["buckets"]] == [
        ["depth", "width", "batch_size", "lanes", "tile", "padding_waste", "bytes"]
    ]
    assert planned["buckets"][0]["lanes"] == 6
    assert "1 program for 6 lanes" in ok("plan", "--data", "iris", *ASK)


def test_show_in_every_format(finished: tuple[Path, str], capsys: Out) -> None:
    out, _ = finished
    frame = _rows(out)
    rows = json.loads(ok("show", out, "--format", "json"))
    assert [row["score"] for row in rows] == sorted(frame["score"], reverse=True)
    assert list(rows[0])[:4] == ["trial", "status", "score", "epochs_done"]
    assert list(rows[0])[-len(HYPERPARAMETERS) :] == list(HYPERPARAMETERS)
    table = list(csv.DictReader(io.StringIO(ok("show", out, "--format", "csv", "--sort", "val_loss", "--top", "3"))))
    assert [float(row["val_loss"]) for row in table] == sorted(frame["val_loss"])[:3]
    table = list(csv.DictReader(io.StringIO(ok("show", out, "--format", "csv", "--sort", "trial"))))
    assert [int(row["trial"]) for row in table] == list(range(6))
    lines = ok("show", out, "--top", "2", "--sort", "dropout").splitlines()
    assert len(lines) == 5
    assert lines[0].split()[:3] == ["trial", "score", "dropout"]
    assert lines[4].startswith(f"trial {frame['score'].idxmax()}: val_accuracy ")
    assert lines[4].endswith(" on the test rows")
    assert main(["show", str(out), "--sort", "vall_loss"]) == 2
    assert "did you mean 'val_loss'?" in capsys.readouterr().err
    assert main(["show", str(out), "--top", "0"]) == 2


def test_show_survives_a_closed_pipe(finished: tuple[Path, str]) -> None:
    command = f"{sys.executable} -m jaxsweep show {finished[0]} --format csv | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_sorting_puts_the_best_first_and_nothing_last() -> None:
    values = [0.5, float("nan"), 0.9, 0.5]
    pairs = enumerate(zip(values, [8, [4, 4], 16, 8], strict=True))
    rows = [{"trial": trial, "score": value, "val_loss": value, "width": width} for trial, (value, width) in pairs]

    def order(column: str, objective: str = "val_accuracy") -> list[int]:
        return [row["trial"] for row in tables.sort_rows(rows, column, objective)]

    assert order("score") == [2, 0, 3, 1]
    assert order("score", "val_mse") == [0, 3, 2, 1]
    assert order("val_loss") == [0, 3, 2, 1]
    assert order("width") == [2, 0, 3, 1]


# --- networks ------------------------------------------------------------------------------------------------------


def test_export_and_predict(finished: tuple[Path, str], tmp_path: Path, capsys: Out) -> None:
    out, _ = finished
    best = json.loads(finished[1])["best"]["trial"]
    ok("export", out, "--out", tmp_path / "best")
    exported = js.load_model(tmp_path / "best")
    assert isinstance(exported, js.Model)
    assert exported.config == stored.load(out).trial(best).config
    worst = min(stored.load(out).trials, key=lambda trial: trial.score or 0.0).id
    assert not stored.load(out).has_model(worst)
    ok("export", out, "--trial", worst, "--out", tmp_path / "worst")
    assert "trained again" in capsys.readouterr().err

    iris = js.load_dataset("iris")
    names = [column.name for column in iris.inputs]
    lines = [
        ",".join(names),
        *(",".join(f"{c.values[k]}" for c in iris.inputs) for k in range(0, 150, 30)),
        ",?,4.0,1.3",
    ]
    (tmp_path / "new.csv").write_text("\n".join(lines))
    rows = list(csv.DictReader(io.StringIO(ok("predict", tmp_path / "best", tmp_path / "new.csv"))))
    assert list(rows[0]) == ["prediction", "proba_setosa", "proba_versicolor", "proba_virginica"]
    for row in rows:
        probabilities = {name: float(row[f"proba_{name}"]) for name in iris.classes or ()}
        assert sum(probabilities.values()) == pytest.approx(1)
        assert row["prediction"] == max(probabilities, key=lambda name: probabilities[name])
    ok("predict", tmp_path / "best", tmp_path / "new.csv", "--out", tmp_path / "p.csv")
    assert list(csv.DictReader(io.StringIO((tmp_path / "p.csv").read_text()))) == rows
    assert main(["predict", str(tmp_path / "best"), str(tmp_path / "new.csv"), "--out", "/proc/none/p.csv"]) == 2


def test_a_run_becomes_a_study_of_optuna(finished: tuple[Path, str], tmp_path: Path, capsys: Out) -> None:
    import optuna

    out, url = finished[0], f"sqlite:///{tmp_path / 'x.db'}"
    ok("optuna", out, "--storage", url)
    assert f"trials are in the study {out.name} of {url}" in capsys.readouterr().err
    assert optuna.get_all_study_names(url) == [out.name]
    assert f"the storage has a study {out.name!r} already" in refused(capsys, "optuna", out, "--storage", url)
    ok("optuna", out, "--storage", url, "--study", "again")
    (known,) = (study for study in optuna.get_all_study_summaries(url) if study.study_name == "again")
    assert known.n_trials == len(stored.load(out).trials)


def test_solo_gives_the_curves_of_the_sweep(finished: tuple[Path, str]) -> None:
    lines = ok("solo", finished[0], "--trial", "3").splitlines()
    assert lines[0].split()[:5] == ["epoch", "train_loss", "sweep", "train_loss", "solo"]
    assert [line.split()[0] for line in lines[2:5]] == ["1", "2", "3"]
    gaps = dict(pair.split() for pair in lines[-1].removeprefix("largest difference: ").split(", "))
    assert set(gaps) == {"train_loss", *(f"val_{name}" for name in metric_names("classification", 3))}
    assert max(float(gap) for gap in gaps.values()) < 1e-4


# --- tables from files ---------------------------------------------------------------------------------------------

FILES = {
    "vehicle": ("vehicle.csv", "Class", []),
    "vowel": ("vowel.csv", "Class", []),
    "mushroom": ("mushroom.csv", "0", []),
    "letter": ("letter.csv", "16", []),
    "winequality": ("winequality_white.csv", "quality", ["--task", "regression"]),
    "winequality classes": ("winequality_white.csv", "quality", []),
    "dresses": ("dresses.csv", "Class", []),
}


@pytest.mark.parametrize("name", FILES)
def test_files_train_with_no_option_but_the_target(name: str, tmp_path: Path) -> None:
    file, target, more = FILES[name]
    path = shared("data", file)
    sets = [*SETS, "--set", "epochs=1", "--set", "batch_size=256"]
    argv = ["run", "--data", path, "--target", target, "--trials", "2", *more, *sets, "--out", tmp_path / "r"]
    last = json.loads(ok(*argv, "--format", "json", "--quiet").splitlines()[-1])
    assert last["trials"]["completed"] == 2
    assert last["objective"] == ("val_mse" if "regression" in more else "val_accuracy")
    if name == "letter":
        return  # 20,000 rows take long to read, and mushroom has no header either
    ok("export", tmp_path / "r", "--out", tmp_path / "m")
    rows = list(csv.DictReader(io.StringIO(ok("predict", tmp_path / "m", path))))
    assert len(rows) == js.read_table(path, target).rows


def test_other_commands_refuse_too(finished: tuple[Path, str], tmp_path: Path, capsys: Out) -> None:
    out, _ = finished
    assert "unknown command 'rnu'; did you mean 'run'?" in refused(capsys, "rnu")
    assert "the following arguments are required: COMMAND" in refused(capsys)
    assert "is no run directory" in refused(capsys, "show", tmp_path)
    assert "trial 99 is not in" in refused(capsys, "export", out, "--trial", "99", "--out", tmp_path / "m")
    assert "trial 99 is not in" in refused(capsys, "solo", out, "--trial", "99")
    assert "is no exported network" in refused(capsys, "predict", out, "x.csv")
    assert "the following arguments are required: --out" in refused(capsys, "export", out)


# --- endings -------------------------------------------------------------------------------------------------------


def test_nothing_finished_is_an_exit_code_of_its_own(tmp_path: Path, capsys: Out) -> None:
    argv = [
        "run",
        "--data",
        "iris",
        *ASK,
        "--set",
        "learning_rate=1e30",
        "--out",
        str(tmp_path / "r"),
        "--format",
        "json",
    ]
    assert main(argv) == 3
    printed = capsys.readouterr()
    last = json.loads(printed.out.splitlines()[-1])
    assert (last["status"], last["best"], last["trials"]["diverged"]) == ("failed", None, 6)
    assert "no trial finished: 6 diverged; try smaller learning rates" in printed.err
    assert "no trial that finished" in refused(capsys, "export", tmp_path / "r", "--out", tmp_path / "m")
    assert "trial 0 has no network: it is diverged" in refused(
        capsys, "export", tmp_path / "r", "--trial", 0, "--out", tmp_path / "m"
    )
    assert len(json.loads(ok("show", tmp_path / "r", "--format", "json"))) == 6


class _Killer(Progress):
    """Sends this process a signal once the first trial has finished."""

    def __init__(self, number: int) -> None:
        self.number, self.sent = number, False

    def update(self, snapshot: Snapshot) -> None:
        if not self.sent and snapshot.finished:
            self.sent = True
            os.kill(os.getpid(), self.number)


def test_an_interrupted_run_keeps_what_has_finished(
    tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "make_progress", lambda *_: _Killer(signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    argv = ["run", "--data", "iris", "--trials", "5000", *SETS, "--out", str(tmp_path / "r"), "--format", "json"]
    assert main(argv) == 143
    printed = capsys.readouterr()
    last = json.loads(printed.out.splitlines()[-1])
    assert last["status"] == "interrupted"
    done = last["trials"]["completed"]
    assert 1 <= done < 5000
    assert done == last["trials"]["finished"] == last["trials"]["recorded"]
    assert f": {done} of 5000 trials finished ({done} completed), and {done} are recorded in " in printed.err
    assert len(json.loads(ok("show", tmp_path / "r", "--format", "json"))) == done
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupt_does_not_wait_for_a_compilation(tmp_path: Path) -> None:
    """Nor does the process end otherwise than by its exit code, though a thread is still within XLA."""
    sets = ["--set", "depth=6", "--set", "width=32", "--set", "epochs=9"]
    command = [sys.executable, "-m", "jaxsweep", "run", "--data", "iris", *sets, "--out", str(tmp_path / "r")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "compiling program 1 of 1" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "interrupted: keeping what has finished\n" in rest
    assert "waiting" not in rest
    assert "0 of 256 trials finished, and 0 are recorded in" in rest


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_before_training_has_its_code_too(
    number: int, code: int, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "open_source", lambda source: os.kill(os.getpid(), number))
    assert main(["plan", "--data", "iris"]) == code
    assert capsys.readouterr().err == "jaxsweep: interrupted\n"


def test_a_refusal_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "jaxsweep", "run", "--data", "none.csv", "--target", "y"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "jaxsweep: none.csv does not exist: it must be a CSV or Parquet file\n"


# --- help, lists, doctor -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [["--help"], ["run", "--help"], ["--version"], ["searchers"], ["hyperparameters"]])
def test_help_and_lists_do_not_wait_for_jax(argv: list[str]) -> None:
    code = f"import sys; from jaxsweep.cli import main; assert main({argv!r}) == 0; assert 'jax' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr == ""


def test_prediction_needs_no_jax(finished: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,2,3,4\n5,6,7,8\n")
    model = next((finished[0] / "models").iterdir())
    argv = ["predict", str(model), str(tmp_path / "x.csv")]
    code = f"import sys; sys.modules['jax'] = None; from jaxsweep.cli import main; sys.exit(main({argv!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 3


def test_lists() -> None:
    listed = json.loads(ok("hyperparameters", "--format", "json"))
    assert [row["name"] for row in listed] == list(HYPERPARAMETERS)
    assert all(set(row) == {"name", "group", "role", "legal", "default", "meaning"} for row in listed)
    text = ok("hyperparameters")
    assert all(name in text for name in HYPERPARAMETERS)
    assert "[0, 1)" in text  # no brackets lost to markup
    assert {row["name"] for row in json.loads(ok("datasets", "--format", "json"))} == {
        row.name for row in js.datasets()
    }
    assert {row["name"] for row in json.loads(ok("searchers", "--format", "json"))} == set(js.search.SEARCHERS)
    assert "resolution = 5" in ok("searchers")
    assert {row["name"] for row in json.loads(ok("schedulers", "--format", "json"))} == {
        "halving", "hyperband", "asha", "median", "pbt"
    }  # fmt: skip
    assert "first = 1, unit = epochs, slots = auto" in ok("schedulers")
    assert "8 x 8" in ok("datasets")


def test_the_doctor_finds_this_machine_well() -> None:
    findings = {row["name"]: row["ok"] for row in json.loads(ok("doctor", "--format", "json"))}
    assert findings == dict.fromkeys(
        [
            "versions", "known bad versions", "devices", "accelerators", "disks", "compiled programs",
            "row reduction under vmap", "training",
        ],
        True,
    )  # fmt: skip


def test_the_doctor_looks_at_disks_caches_and_accelerators(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "accelerators", lambda: ["NVIDIA H100"])
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    found = doctor.accelerators()
    assert (found.ok, "pip install 'jax[cuda13]'" in found.detail) == (False, True)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert "NVIDIA H100 is there, and JAX computes on the CPU: JAX_PLATFORMS=cpu keeps" in doctor.accelerators().detail
    monkeypatch.setattr(doctor, "LEAST_DISK", 1e18)
    assert "make room, or name other folders (--out, JAXSWEEP_CACHE)" in doctor.disks().detail
    (tmp_path / "file").touch()
    monkeypatch.setenv("JAXSWEEP_CACHE", str(tmp_path / "file" / "cache"))
    found = doctor.compiled_programs()
    assert not found.ok
    assert "compiled programs are not kept" in found.detail
    assert "name another folder in JAXSWEEP_CACHE, or set it to off" in found.detail
    monkeypatch.setenv("JAXSWEEP_CACHE", "off")
    assert doctor.compiled_programs() == ("compiled programs", True, "not kept (JAXSWEEP_CACHE=off)")
    assert not list(tmp_path.glob("**/.probe*"))


def test_the_doctor_tells_what_is_wrong(monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    def broken() -> doctor.Finding:
        raise RuntimeError("no backend")

    for name in ("devices", "canary", "training"):
        monkeypatch.setattr(doctor, name, broken)
    monkeypatch.setattr(doctor, "version", lambda name: "0.10.2")
    assert main(["doctor"]) == 1
    printed = capsys.readouterr()
    assert "jaxlib 0.10.2 computes wrong sums" in printed.err
    assert "RuntimeError: no backend" in printed.err
