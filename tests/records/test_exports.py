"""A sweep as tables and in trackers, each read back by the library that it is for."""

import csv
import json
import sys
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from cli_helpers import Out, ok

import jaxsweep as js
from jaxsweep.records import tracked
from jaxsweep.records.files import csv_text
from jaxsweep.records.mlflow import Logged
from jaxsweep.records.trials import Trial, mean_of

pytestmark = pytest.mark.usefixtures("one_tile")

SHARED = {"depth": 1, "epochs": 3, "activation": "relu", "norm": "none"}
CONFIGS: list[dict[str, Any]] = [
    {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "batch_size": 30, "width": 4},
    {"optimizer": "adam", "learning_rate": 0.01, "batch_size": "full", "width": [5]},
    {"optimizer": "adam", "learning_rate": 0.02, "batch_size": 30, "width": 4, "epochs": 2},
    {"optimizer": "sgd", "learning_rate": 1e35, "momentum": 0.5, "nesterov": False, "batch_size": 30, "width": 4},
]
DIVERGED = 3


def gain(outputs: Any, targets: Any) -> Any:
    return -jnp.mean(outputs**2)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> js.Result:
    """Two kinds of widths, what is inactive under adam, a trial that diverges, a metric of one's own."""
    out = tmp_path_factory.mktemp("runs") / "flowers"
    made = js.sweep(
        "iris", configs=[{**SHARED, **config} for config in CONFIGS], replicates=2, keep=1, metrics={"gain": gain},
        out=out, progress=False,
    )  # fmt: skip
    assert [trial.status for trial in made.trials] == ["completed"] * 3 + ["diverged"]
    return js.load(out)


# --- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [False, True])
def test_a_parquet_file_has_the_frame_in_types_that_other_programs_know(
    result: js.Result, tmp_path: Path, lanes: bool
) -> None:
    result.to_parquet(path := tmp_path / "x.parquet", lanes=lanes)
    table = pyarrow.parquet.read_table(path)
    frame = result.to_pandas(lanes=lanes)
    assert table.column_names == list(frame)
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert set(kinds.values()) == {"bool", "int64", "double", "string"}
    assert (kinds["trial"], kinds["score"], kinds["nesterov"]) == ("int64", "double", "bool")
    assert (kinds["width"], kinds["batch_size"], kinds["dropout"]) == ("string", "int64", "double")
    back = table.to_pandas()
    assert back["width"].tolist() == [str(value) for value in frame["width"]]
    plain = [name for name in frame if name != "width"]
    pd.testing.assert_frame_equal(back[plain], frame[plain], check_dtype=False, check_exact=True)
    last = table["score"].to_pylist()[-1]
    assert last is None  # not a number that is none, which other programs would sort among the others
    assert table["status"].to_pylist()[-1] == "diverged"


def test_a_csv_file_has_the_frame_and_no_formula(result: js.Result, tmp_path: Path) -> None:
    result.to_csv(path := tmp_path / "x.csv")
    frame = result.to_pandas()
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == list(frame)
    assert [row[head.index("width")] for row in rows] == ["4", "[5]", "4", "4"]
    assert [float(row[head.index("score")] or "nan") for row in rows][:3] == frame["score"].tolist()[:3]
    assert pd.read_csv(path)["learning_rate"].tolist() == [0.05, 0.01, 0.02, 1e35]
    assert csv_text([{"=a": "=1+1", "b": -1.5}]) == "'=a,b\n'=1+1,-1.5\n"


def test_a_table_is_whole_or_not_there(result: js.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.csv").write_text("before")
    for wrong in (tmp_path / "none" / "x.csv", tmp_path):
        with pytest.raises(js.RequestError, match=r"cannot be written \(.*\): name a file that can"):
            result.to_csv(wrong)
    with pytest.raises(js.RequestError, match="lanes = 3 is not legal"):
        result.to_parquet(tmp_path / "x.parquet", lanes=3)  # type: ignore[arg-type]
    result.to_csv(tmp_path / "x.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    (tmp_path / "link.csv").symlink_to("elsewhere.csv")
    result.to_csv(tmp_path / "link.csv")
    assert (tmp_path / "elsewhere.csv").read_text() == (tmp_path / "x.csv").read_text()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(js.RequestError, match=r"pyarrow, which is not installed: pip install 'jaxsweep\[parquet\]'"):
        result.to_parquet(tmp_path / "x.parquet")


# --- what trackers are told ----------------------------------------------------------------------------------------


def expected(result: js.Result, trial: Trial) -> dict[str, list[float]]:
    """Learning curves, from the lanes themselves."""
    table = mean_of([lane.curves for lane in result.lanes[trial.id]])
    return dict(zip(result.columns.curves, table.T.tolist(), strict=True))


def test_long_curves_become_points(result: js.Result, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = 20_001
    curve = np.arange(epochs, dtype=np.float64)[:, None] * np.ones(len(result.columns.curves))
    curve[0] = np.nan
    monkeypatch.setattr(tracked, "mean_of", lambda lanes: curve)
    points = tracked.curves(result, result.trials[0])["val_loss"]
    assert len(points) == tracked.POINTS - 1
    assert points[-1] == (epochs, epochs - 1.0)
    assert all(value == epoch - 1 for epoch, value in points)
    assert max(np.diff([epoch for epoch, _ in points])) == 21


def test_names_are_legal_and_apart() -> None:
    names = ["val_loss", "a b", "a_b", "a/b", "/x/", "", "\u00e9\u00e9", "x" * 300, "x" * 299 + "y"]
    found = tracked.legal(names, 250)
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    assert found["val_loss"] == "val_loss"
    assert (found["a b"], found["a_b"]) == ("a_b", "a_b_2")
    assert all(0 < len(name) <= 250 for name in found.values())


def test_how_many_trials_are_written(result: js.Result) -> None:
    best = [trial.id for trial in result.top(9)]
    assert [trial.id for trial in tracked.chosen(result, 2)] == best[:2]
    assert [trial.id for trial in tracked.chosen(result, 100)] == best
    assert [trial.id for trial in tracked.chosen(result, None)] == [*best, DIVERGED]
    for wrong in (0, True, "x"):
        with pytest.raises(js.RequestError, match=r"trials = .* is not legal"):
            tracked.chosen(result, wrong)
    none = js.load(str(result.run))
    none.trials = [result.trials[DIVERGED]]
    with pytest.raises(js.SweepFailed, match="no trial finished: 1 diverged"):
        tracked.chosen(none, 2)
    none.trials = []
    with pytest.raises(js.RequestError, match="has no finished trials yet: there is nothing to write"):
        tracked.chosen(none, None)


# --- TensorBoard ---------------------------------------------------------------------------------------------------


class Board:
    """What TensorBoard, and its HParams plugin, see in a folder."""

    def __init__(self, folder: Path) -> None:
        from tensorboard import context
        from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
        from tensorboard.plugins import base_plugin
        from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

        self.multiplexer = plugin_event_multiplexer.EventMultiplexer()
        self.multiplexer.AddRunsFromDirectory(str(folder)).Reload()
        provider = data_provider.MultiplexerDataProvider(self.multiplexer, str(folder))
        backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
        asked, self.api = context.RequestContext(), api_pb2
        request = api_pb2.GetExperimentRequest()
        self.experiment: Any = get_experiment.Handler(asked, backend, "", request).run()
        statuses = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE]
        request = api_pb2.ListSessionGroupsRequest(allowed_statuses=statuses, start_index=0, slice_size=1000)
        found: Any = list_session_groups.Handler(asked, backend, "", request).run()
        self.groups = {group.name: group for group in found.session_groups}

    def scalars(self, run: str, tag: str) -> list[tuple[int, float]]:
        return [(event.step, event.tensor_proto.float_val[0]) for event in self.multiplexer.Tensors(run, tag)]


@pytest.fixture(scope="module")
def board(result: js.Result, tmp_path_factory: pytest.TempPathFactory) -> Board:
    folder = tmp_path_factory.mktemp("boards") / "a" / "b"
    written = result.to_tensorboard(folder, trials=None)
    assert written.trials == tuple(trial.id for trial in tracked.chosen(result, None))
    assert repr(written) == f"all 4 trials are in {folder}: tensorboard --logdir {folder}"
    assert [path.name for path in folder.parent.iterdir()] == ["b"]
    return Board(folder)


def test_the_hparams_plugin_knows_what_was_varied(result: js.Result, board: Board) -> None:
    infos = {info.name: info for info in board.experiment.hparam_infos}
    assert set(infos) == {name for trial in result.trials for name in trial.params}
    assert infos["nesterov"].type == board.api.DATA_TYPE_BOOL
    assert infos["learning_rate"].type == board.api.DATA_TYPE_FLOAT64
    ends = infos["learning_rate"].domain_interval
    assert (ends.min_value, ends.max_value) == (0.01, 1e35)
    assert [value.string_value for value in infos["width"].domain_discrete.values] == ["4", "[5]"]
    assert infos["batch_size"].domain_interval.max_value == 90  # 'full'
    metrics = [(info.name.tag, info.display_name, info.description) for info in board.experiment.metric_infos]
    assert metrics[0] == ("final/val_accuracy", "val_accuracy", "larger is better")
    assert ("final/val_gain", "val_gain", "larger is better") in metrics
    assert ("final/val_loss", "val_loss", "smaller is better") in metrics
    assert not [tag for tag, *_ in metrics if "test" in tag]


def test_each_trial_is_a_session_with_its_hyperparameters_and_metrics(result: js.Result, board: Board) -> None:
    assert set(board.groups) == {f"trial_{trial.id}" for trial in result.trials}
    for trial in result.trials:
        group = board.groups[f"trial_{trial.id}"]
        values = {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()}
        wanted = {n: v if isinstance(v, (bool, str)) else float(v) for n, v in trial.params.items() if n != "width"}
        wanted["width"] = str(trial.params["width"])
        assert values == wanted
        (session,) = group.sessions
        diverged = trial.id == DIVERGED
        assert session.status == (board.api.STATUS_FAILURE if diverged else board.api.STATUS_SUCCESS)
        assert session.end_time_secs - session.start_time_secs == pytest.approx(trial.seconds, abs=1e-3)
        assert abs(session.end_time_secs - time.time()) < 3600
        came = {value.name.tag: value.value for value in session.metric_values}
        known = {f"final/{n}": v for n, v in trial.metrics.items() if np.isfinite(v) and not n.startswith("test_")}
        assert came == pytest.approx(known, rel=1e-6)
        assert bool(came) != diverged


def test_learning_curves_are_scalars(result: js.Result, board: Board) -> None:
    for trial in result.trials:
        for name, curve in expected(result, trial).items():
            finite = [(epoch, value) for epoch, value in enumerate(curve, 1) if np.isfinite(value)]
            if not finite:
                continue
            came = board.scalars(f"trial_{trial.id}", name)
            assert [step for step, _ in came] == [step for step, _ in finite]
            assert [value for _, value in came] == np.array([value for _, value in finite], np.float32).tolist()
    assert len(board.scalars("trial_0", "val_loss")) == 3
    best = result.best
    tags = {f"trial_{trial.id}": board.multiplexer.Runs()[f"trial_{trial.id}"]["tensors"] for trial in result.trials}
    shown = {run for run, known in tags.items() if any(tag.startswith("final/test_") for tag in known)}
    assert shown == {f"trial_{best.id}"}
    assert board.scalars(f"trial_{best.id}", "final/test_accuracy")[0][1] == pytest.approx(
        best.metrics["test_accuracy"]
    )


def test_the_sweep_is_there_as_a_text(result: js.Result, board: Board) -> None:
    (event,) = board.multiplexer.Tensors(".", "sweep")
    text = event.tensor_proto.string_val[0].decode()
    told, _, code = text.partition("\n\n")
    assert told == result.told()
    read = tomllib.loads("\n".join(line.removeprefix("    ") for line in code.splitlines()))
    assert read["configs"][0]["momentum"] == 0.9
    metadata = board.multiplexer.SummaryMetadata(".", "sweep")
    assert metadata.plugin_data.plugin_name == "text"


def test_few_trials_are_written_and_test_scores_on_demand(result: js.Result, tmp_path: Path) -> None:
    written = result.to_tensorboard(tmp_path / "a", trials=2, show_test=True)
    assert written.told().startswith("the best 2 of 4 trials are in ")
    board = Board(tmp_path / "a")
    assert set(board.groups) == {f"trial_{trial.id}" for trial in result.top(2)}
    assert "final/test_accuracy" in [info.name.tag for info in board.experiment.metric_infos]
    for trial in result.top(2):
        ((_, value),) = board.scalars(f"trial_{trial.id}", "final/test_accuracy")
        assert value == pytest.approx(trial.metrics["test_accuracy"])


def test_nothing_of_others_is_replaced(result: js.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    result.to_tensorboard(tmp_path / "a", trials=1)  # an empty folder will do
    with pytest.raises(js.RequestError, match=r"a is there already: choose a new folder for TensorBoard"):
        result.to_tensorboard(tmp_path / "a")
    (tmp_path / "file").write_text("x")
    with pytest.raises(js.RequestError, match="file is there already"):
        result.to_tensorboard(tmp_path / "file")
    with pytest.raises(js.RequestError, match=r"cannot be written .*: choose another folder"):
        result.to_tensorboard(tmp_path / "file" / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "file"]
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(js.RequestError, match=r"needs the package tensorboardX, .*'jaxsweep\[tensorboard\]'"):
        result.to_tensorboard(tmp_path / "b")


# --- MLflow --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of MLflow, whose tables take it ten seconds to make; artifacts go beside it, as from a shell there."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_LOGGING_LEVEL", "WARNING")
        patch.chdir(folder)
        yield f"sqlite:///{folder / 'mlflow.db'}"


def client(store: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        mlflow: Any = import_module("mlflow")  # which is Any, since mypy would read all that it needs

    return mlflow.MlflowClient(tracking_uri=store)


@pytest.fixture(scope="module")
def logged(result: js.Result, store: str) -> Logged:
    made = result.to_mlflow(store, "flowers", trials=None)
    assert (made.experiment, made.tracking_uri, made.among) == ("flowers", store, 4)
    return made


def asked(function: Callable[..., Any], *arguments: Any, **further: Any) -> Any:
    """Ask MLflow, whose own dependencies warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **further)


def test_a_sweep_is_a_run_with_its_settings_and_what_it_came_to(result: js.Result, logged: Logged, store: str) -> None:
    run = asked(client(store).get_run, logged.run_id)
    assert run.info.run_name == "flowers"
    assert run.info.status == "FINISHED"
    params = run.data.params
    assert (params["data.name"], params["sweep.replicates"], params["sweep.trials"]) == ("iris", "2", "4")
    assert params["data.split"] == "[0.6, 0.2, 0.2]"
    tags = run.data.tags
    assert (tags["jaxsweep.version"], tags["jaxsweep.objective"]) == (js.__version__, "val_accuracy")
    assert tags["mlflow.note.content"] == result.told()
    metrics, best = run.data.metrics, result.best
    assert (metrics["trials/completed"], metrics["trials/diverged"]) == (3, 1)
    assert metrics["best_score"] == metrics["final/val_accuracy"] == best.score
    assert metrics["final/test_accuracy"] == best.metrics["test_accuracy"]
    assert metrics["seconds/total"] > 0
    history = asked(client(store).get_metric_history, logged.run_id, "best_score")
    scores = [trial.score or 0.0 for trial in result.trials[:DIVERGED]]
    assert {each.step: each.value for each in history} == {
        number: score for number, score in enumerate(scores) if score > max(scores[:number], default=-1.0)
    }


def test_a_sweeps_files_are_artifacts(result: js.Result, logged: Logged, store: str, tmp_path: Path) -> None:
    folder = Path(asked(client(store).download_artifacts, logged.run_id, "", str(tmp_path)))
    assert {path.name for path in folder.iterdir()} == {"sweep.toml", "summary.json", "trials.csv", "model"}
    assert tomllib.loads((folder / "sweep.toml").read_text())["sweep"]["keep"] == 1
    assert json.loads((folder / "summary.json").read_text()) == json.loads(json.dumps(result.summary()))
    assert pd.read_csv(folder / "trials.csv")["trial"].tolist() == [0, 1, 2, 3]
    X = np.random.default_rng(0).normal(3, 2, (20, 4))
    np.testing.assert_array_equal(js.load_model(folder / "model").predict(X), result.model().predict(X))


def test_trials_are_runs_below_it(result: js.Result, logged: Logged, store: str, tmp_path: Path) -> None:
    known = client(store)
    number = asked(known.get_experiment_by_name, "flowers").experiment_id
    below = asked(known.search_runs, [number], f"tags.mlflow.parentRunId = '{logged.run_id}'")
    assert {run.info.run_id for run in below} == set(logged.trials.values())
    assert list(logged.trials) == [trial.id for trial in tracked.chosen(result, None)]
    for trial in result.trials:
        run = asked(known.get_run, logged.trials[trial.id])
        assert run.info.run_name == f"trial {trial.id}"
        assert run.info.status == ("FAILED" if trial.id == DIVERGED else "FINISHED")
        assert run.data.params == {name: str(value) for name, value in trial.params.items()}
        assert (run.info.end_time - run.info.start_time) / 1000 == pytest.approx(trial.seconds, abs=2e-3)
        metrics = run.data.metrics
        assert metrics.get("score") == trial.score
        final = {n: v for n, v in trial.metrics.items() if np.isfinite(v)}
        if trial != result.best:
            final = {name: value for name, value in final.items() if not name.startswith("test_")}
        assert {n.removeprefix("final/"): v for n, v in metrics.items() if n.startswith("final/")} == final
        for name, curve in expected(result, trial).items():
            history = asked(known.get_metric_history, run.info.run_id, name)
            finite = [(epoch, value) for epoch, value in enumerate(curve, 1) if np.isfinite(value)]
            assert sorted((each.step, each.value) for each in history) == finite
        path = asked(known.download_artifacts, run.info.run_id, "config.json", str(tmp_path))
        assert json.loads(Path(path).read_text()) == trial.config


def test_the_best_are_added_to_an_experiment_that_is_there(result: js.Result, logged: Logged, store: str) -> None:
    again = result.to_mlflow(store, "flowers", run_name="again", trials=1, show_test=True)
    assert list(again.trials) == [result.best.id]
    where = f"the run {again.run_id} of the experiment flowers in {store}"
    assert repr(again) == f"the sweep is {where}, with the best 1 of 4 trials below it"
    runs = [asked(client(store).get_run, each.run_id) for each in (logged, again)]
    assert len({run.info.experiment_id for run in runs}) == 1
    assert runs[1].info.run_name == "again"


def test_a_run_goes_to_mlflow_from_the_command_line(result: js.Result, store: str, capsys: Out) -> None:
    ok("mlflow", result.run, "--tracking-uri", store, "--experiment", "from a shell", "--top", "2")
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f" of the experiment from a shell in {store}, with the best 2 of 4 trials below it")
    number = asked(client(store).get_experiment_by_name, "from a shell").experiment_id
    names = [run.info.run_name for run in asked(client(store).search_runs, [number])]
    assert sorted(names) == sorted(["flowers", *(f"trial {trial.id}" for trial in result.top(2))])


def test_no_password_is_shown() -> None:
    made = Logged("1a", {}, "cars", "postgresql://me:secret@db/mlflow", 3)
    assert repr(made) == "the sweep is the run 1a of the experiment cars in postgresql://...@db/mlflow, with " + (
        "the best 0 of 3 trials below it"
    )


def test_what_mlflow_refuses_is_said_in_a_sentence(
    result: js.Result, logged: Logged, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in ("nowhere://x", "sqlite:////dev/null/x.db"):
        with pytest.raises(js.RequestError, match=rf"MLflow at {where} cannot be written to \(.*sqlite:///mlflow.db"):
            result.to_mlflow(where)
    for wrong in ({"tracking_uri": 3}, {"experiment": None}, {"run_name": 3}, {"trials": 0}, {"show_test": 3}):
        with pytest.raises(js.RequestError, match=f"{next(iter(wrong))} = .* is not legal"):
            result.to_mlflow(**{"tracking_uri": store, **wrong})  # type: ignore[arg-type]

    def fails(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(tracked, "curves", fails)
    with pytest.raises(js.RequestError, match=r"cannot be written to \(OSError: the disk is full\)"):
        result.to_mlflow(store, "broken")
    number = asked(client(store).get_experiment_by_name, "broken").experiment_id
    runs = asked(client(store).search_runs, [number])
    assert {run.info.status for run in runs if "mlflow.parentRunId" not in run.data.tags} == {"FAILED"}
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(js.RequestError, match=r"needs the package mlflow, .*: pip install 'jaxsweep\[mlflow\]'"):
        result.to_mlflow(store)
