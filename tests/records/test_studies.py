"""A sweep as a study of Optuna, and a study as what a sweep knows beforehand."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import jaxsweep as js
from jaxsweep.errors import RequestError
from jaxsweep.records import earlier as earlier_module
from jaxsweep.records.studies import points, written
from jaxsweep.records.trials import Trial
from jaxsweep.spec import studies
from jaxsweep.spec.aims import Aims, Constraint
from jaxsweep.spec.hyperparameters import resolve
from jaxsweep.spec.lineage import Part
from jaxsweep.spec.metrics import Direction
from jaxsweep.spec.request import Request
from jaxsweep.spec.space import Choice, Int, LogUniform, Space, Uniform
from jaxsweep.spec.swept import Swept

pytestmark = pytest.mark.usefixtures("one_tile")

WHOLE = partial(resolve, task="classification", rows=90)
SPACE = Space(
    learning_rate=LogUniform(1e-3, 1e-1),
    optimizer=Choice(["sgd", "adam"]),
    momentum=Uniform(0.5, 0.9, when={"optimizer": "sgd"}),
    batch_size=Choice([30, 128, "full"]),
    width=Choice([16, [16, 8]]),
    epochs=2,
)
CONFIGS: list[dict[str, Any]] = [
    {"learning_rate": 0.05, "optimizer": "adam", "batch_size": 30, "width": 16, "epochs": 2},
    {"learning_rate": 0.05, "optimizer": "sgd", "momentum": 0.75, "batch_size": 30, "width": [16, 8], "epochs": 2},
    {"learning_rate": 0.002, "optimizer": "adam", "batch_size": 128, "width": 16, "epochs": 2},
]
ACCURACY = Aims(("val_accuracy",))
SCORES = (0.5, None, 0.75)
CURVES = np.array([[0.25, 0.5], [np.nan, np.nan], [0.75, np.nan]])


def trials(request: Request, configs: list[dict[str, Any]] = CONFIGS) -> list[Trial]:
    swept = Swept.of(request)
    return [
        Trial(
            number, "diverged" if score is None else "completed", score, 0.0, 2, 0.1,
            {"val_loss": 0.1 if score else np.nan}, tuple(WHOLE(config).values()), swept=swept,
        )
        for number, (config, score) in enumerate(zip(configs, SCORES, strict=True))
    ]  # fmt: skip


def study(storage: Any = None, name: str | None = None) -> optuna.Study:
    request = Request(space=SPACE)
    return written(trials(request), CURVES, request, ACCURACY, storage, name)


def test_trials_have_parameters_scores_curves_and_metrics() -> None:
    known = study()
    first, second, third = known.trials
    assert first.params == {"learning_rate": 0.05, "optimizer": "adam", "batch_size": 30, "width": 16}
    assert second.params["momentum"] == 0.75
    assert second.params["width"] == "[16, 8]"
    assert third.params["batch_size"] == 128  # it was cut to 90 rows
    assert third.distributions["batch_size"] == optuna.distributions.CategoricalDistribution((30, 128, "full"))
    assert third.distributions["learning_rate"] == optuna.distributions.FloatDistribution(1e-3, 1e-1, log=True)
    assert [trial.state.name for trial in known.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert first.intermediate_values == {1: 0.25, 2: 0.5}
    assert third.intermediate_values == {1: 0.75}
    assert (first.user_attrs["val_loss"], second.user_attrs["val_loss"]) == (0.1, None)
    assert second.user_attrs["status"] == "diverged"
    assert known.best_trial.user_attrs["config"]["epochs"] == 2
    assert known.direction.name == "MAXIMIZE"
    assert known.user_attrs["objective"] == "val_accuracy"


def test_a_study_has_all_objectives_and_constraints(tmp_path: Path) -> None:
    request = Request(space=SPACE)
    limits = tuple(map(Constraint.parse, ("parameters <= 200", "val_loss <= 0.5")))
    aims = Aims(("val_accuracy", "parameters"), limits)
    mine = trials(request)
    for trial, size in zip(mine, (100.0, 150.0, 300.0), strict=True):
        trial.metrics["parameters"] = size
    mine[2].metrics["val_loss"] = float("nan")
    for storage in (None, f"sqlite:///{tmp_path / 'x.db'}"):
        known = written(mine, CURVES, request, aims, storage, None)
        assert [way.name for way in known.directions] == ["MAXIMIZE", "MINIMIZE"]
        assert known.metric_names == ["val_accuracy", "parameters"]
        assert [trial.values for trial in known.trials] == [[0.5, 100.0], None, [0.75, 300.0]]
        assert known.trials[0].constraints == {"parameters <= 200": 0.0, "val_loss <= 0.5": 0.0}
        assert known.trials[2].constraints["parameters <= 200"] == 0.5
        assert known.trials[2].constraints["val_loss <= 0.5"] > 1e300
        assert [trial.number for trial in known.best_trials] == [0]  # the other one breaks constraints


def test_what_a_scheduler_stopped_is_pruned_and_known_by_its_score() -> None:
    request = Request(space=SPACE, scheduler="asha")
    mine = trials(request)
    mine[0].status = mine[2].status = "stopped"
    mine[2].values = tuple(WHOLE({**CONFIGS[2], "patience": 1}).values())  # it may have stopped by itself
    known = written(mine, CURVES, request, ACCURACY, None, None)
    assert [trial.state.name for trial in known.trials] == ["PRUNED", "FAIL", "COMPLETE"]
    np.testing.assert_array_equal([score for _, score in told(known)[0]], [0.5, np.nan, 0.75])
    mine[2].values = tuple(WHOLE({**CONFIGS[2], "patience": 2}).values())  # of 2 epochs it cannot have
    assert written(mine, CURVES, request, ACCURACY, None, None).trials[2].state.name == "PRUNED"


def test_listed_configs_span_their_distributions() -> None:
    request = Request(configs=({"depth": 1, "l2": 0.5}, {"depth": 3, "width": [8, 8, 8]}, {"activation": "tanh"}))
    known = written(trials(request, list(request.configs or ())), CURVES, request, Aims(("val_loss",)), None, None)
    assert known.direction.name == "MINIMIZE"
    assert known.trials[0].distributions["depth"] == optuna.distributions.IntDistribution(1, 3)
    assert known.trials[0].distributions["l2"] == optuna.distributions.FloatDistribution(0.0, 0.5)
    assert known.trials[1].params["width"] == "[8, 8, 8]"
    assert known.trials[2].params["activation"] == "tanh"


def test_a_study_is_new_in_its_storage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    study(url, "a")
    with pytest.raises(RequestError, match="the storage has a study 'a' already: give the new one another name"):
        study(url, "a")
    with pytest.raises(RequestError, match="'nowhere' cannot be used as Optuna's storage"):
        study("nowhere")
    with pytest.raises(RequestError, match=r"has a '#', after which .* its name by itself \(--study NAME\)"):
        study(f"{url}#b")
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]
    wrong: Any = 3
    with pytest.raises(RequestError, match="study_name = 3 is not legal"):
        study(url, wrong)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_what_optuna_does_with_studies_works() -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from optuna.visualization import matplotlib as plots

    rng = np.random.default_rng(0)
    configs = SPACE.sample(rng, 30)
    request = Request(space=SPACE)
    curves = rng.random((30, 2))
    swept = Swept.of(request)
    many = [
        Trial(number, "completed", float(curve[-1]), 0.0, 2, 0.1, {}, tuple(WHOLE(config).values()), swept=swept)
        for number, (config, curve) in enumerate(zip(configs, curves, strict=True))
    ]
    known = written(many, curves, request, ACCURACY, None, None)
    importances = optuna.importance.get_param_importances(known)
    assert set(importances) == {"learning_rate", "optimizer", "momentum", "batch_size", "width"}
    assert sum(importances.values()) == pytest.approx(1)
    assert len(plots.plot_intermediate_values(known).lines) == 30
    plots.plot_optimization_history(known)
    mpl.pyplot.close("all")


# --- what a sweep knows of it --------------------------------------------------------------------------------------


def told(source: Any, space: Space = SPACE, objective: str = "val_accuracy") -> tuple[list[Any], str]:
    (remembered,) = studies.sources("warm_start", source)
    return points(remembered, space, objective, WHOLE)


@pytest.mark.parametrize("stored", [True, False])
def test_what_a_sweep_wrote_is_known_as_it_was(tmp_path: Path, stored: bool) -> None:
    known = study(f"sqlite:///{tmp_path / 'x.db'}" if stored else None, "a" if stored else None)
    found, note = told(known)
    assert [config for config, _ in found] == CONFIGS
    np.testing.assert_array_equal([score for _, score in found], [0.5, np.nan, 0.75])
    assert note == ""
    longer = Space(**{**SPACE.entries, "epochs": 3})
    assert [config for config, _ in told(known, longer)[0]] == ["epochs"] * 3


def test_what_went_on_from_others_weights_is_nobodys_point() -> None:
    request = Request(space=SPACE)
    mine = trials(request)
    mine[0].lineage = (Part(0, 2, mine[2].config), Part(1, 0, mine[0].config))
    known = written(mine, CURVES, request, ACCURACY, None, None)
    assert [config for config, _ in told(known)[0]] == [None, *CONFIGS[1:]]
    warm = Request(space=SPACE, warm_start=known)  # type: ignore[arg-type]
    (note,) = earlier_module.earlier(warm, "val_accuracy", "f" * 64, WHOLE).notes
    assert note.endswith(
        "knows 2 of 3 trials of optuna:memory#" + known.study_name + "; 1 is a copy of another one, by pbt"
    )


def foreign(direction: Direction = "maximize") -> optuna.Study:
    """A study that somebody made with Optuna alone."""
    with studies.quiet():
        made = optuna.create_study(direction=direction)
    real, whole = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
    kinds = optuna.distributions.CategoricalDistribution(["sgd", "adam"])
    for params, state in (
        ({"learning_rate": 0.05, "optimizer": "adam"}, "COMPLETE"),
        ({"learning_rate": 0.05, "optimizer": "sgd", "momentum": 0.75}, "PRUNED"),
        ({"learning_rate": 0.5, "optimizer": "adam"}, "COMPLETE"),
        ({"learning_rate": 0.05, "optimizer": "adam", "depth": 2}, "COMPLETE"),
        ({"learning_rate": 0.05, "optimizer": "adam", "depth": 3}, "COMPLETE"),
        ({"learning_rate": 0.05, "optimizer": "adam", "colour": 3}, "COMPLETE"),
        ({"learning_rate": 0.05}, "COMPLETE"),
        ({"learning_rate": 0.05, "optimizer": "adam", "momentum": 0.75}, "COMPLETE"),
    ):
        names: dict[str, Any] = {
            name: kinds if name == "optimizer" else whole(0, 9) if isinstance(value, int) else real(0, 1)
            for name, value in params.items()
        }
        made.add_trial(
            optuna.trial.create_trial(
                params=params, distributions=names, state=optuna.trial.TrialState[state], value=0.5
            )
        )
    with studies.quiet():
        made.ask()  # one that runs
    return made


def test_parameters_of_others_are_points_where_they_fit() -> None:
    """What they leave out is the space's constant, or the default: here a depth of 2 is that."""
    space = Space(
        learning_rate=LogUniform(1e-3, 1e-1),
        optimizer=Choice(["sgd", "adam"]),
        momentum=Uniform(0.5, 0.9, when={"optimizer": "sgd"}),
        epochs=2,
    )
    found, note = told(foreign(), space)
    adam = {"learning_rate": 0.05, "optimizer": "adam", "epochs": 2}
    sgd = {"learning_rate": 0.05, "optimizer": "sgd", "momentum": 0.75, "epochs": 2}
    assert [point for point, _ in found] == [adam, sgd, "learning_rate", adam, "depth", "colour", "optimizer", adam]
    assert np.isnan(found[1][1])
    assert note == "it does not say by which metric"
    for point, _ in found:
        if isinstance(point, dict):
            space.check(point)
    deeper = Space(**{**space.entries, "depth": Int(1, 3)})
    points = [point for point, _ in told(foreign(), deeper)[0]]
    assert [point["depth"] for point in points if isinstance(point, dict)] == [2, 3]
    assert points[:3] == points[5:] == ["depth"] * 3


def test_another_objective_or_direction_is_refused() -> None:
    with pytest.raises(RequestError, match=r"is to maximize, by 'val_accuracy', and this sweep to minimize, by 'val_l"):
        told(study(), objective="val_loss")
    with pytest.raises(
        RequestError, match="is to maximize, by 'val_accuracy', and this sweep to maximize, by 'val_f1'"
    ):
        told(study(), objective="val_f1")
    with pytest.raises(RequestError, match="is to minimize, and this sweep to maximize"):
        told(foreign("minimize"))
    with studies.quiet():
        several = optuna.create_study(directions=["minimize", "maximize"])
    with pytest.raises(RequestError, match="has 2 objectives: it must have one"):
        told(several)


def refused_or_told(source: Any, space: Space) -> bool:
    """Whether a study is refused, in a sentence that names it; any other error fails."""
    try:
        told(source, space)
    except RequestError as error:
        said = str(error)
    else:
        return False
    assert str(source if isinstance(source, str) else source.study_name) in said
    assert len(said) < 1000
    return True


DEEP = "[" * 3000 + "]" * 3000


def test_whatever_stands_in_a_column_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    """Each column of each table that Optuna has, with what is nothing of its kind."""
    path = tmp_path / "x.db"
    study(url := f"sqlite:///{path}", "a")._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    with closing(sqlite3.connect(path)) as db:
        columns = db.execute(
            "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
        ).fetchall()
    content, refused = path.read_bytes(), set()
    for table, column in columns:
        path.write_bytes(content)
        with closing(sqlite3.connect(path)) as db:
            text = DEEP if column == "value_json" else f"x{DEEP}"
            try:
                db.execute(f'UPDATE OR IGNORE "{table}" SET "{column}" = ?', (text,))
            except sqlite3.IntegrityError:  # of a number of rows SQLite itself takes no text
                continue
            db.commit()
        if refused_or_told(url, SPACE):
            refused.add((table, column))
    assert refused >= {
        ("study_directions", "direction"),
        ("trials", "state"),
        ("trial_params", "distribution_json"),
        ("trial_user_attributes", "value_json"),
        ("study_user_attributes", "value_json"),
        ("trial_values", "value_type"),
    }
    path.write_bytes(content)
    assert not refused_or_told(url, SPACE)


@pytest.mark.parametrize(
    "given", [None, [], {}, "x", -1, 10**400, 1e308, True, [[1]], {"a": [1]}, float("nan"), DEEP[:900]]
)
def test_a_recorded_config_may_have_any_values(given: Any) -> None:
    space = Space(learning_rate=LogUniform(1e-3, 1e-1), width=Choice([16, [16, 8]]), epochs=Int(1, 3))
    whole = WHOLE({"learning_rate": 0.05, "width": 16, "epochs": 2})
    for name in whole:
        with studies.quiet():
            made = optuna.create_study(study_name="odd", direction="maximize")
        attributes = {"config": {**whole, name: given}}
        made.add_trial(optuna.trial.create_trial(value=0.5, user_attrs=attributes))
        refused_or_told(made, space)


def test_a_score_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    study(url := f"sqlite:///{path}", "a")._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE trial_values SET value = 'abc'")
    with pytest.raises(RequestError, match=r"the study sqlite:///.*x.db cannot be read at its trial 0 \(ValueError"):
        told(url)


def test_reasons_of_others_are_few_and_short() -> None:
    with studies.quiet():
        made = optuna.create_study(direction="maximize")
    entry = optuna.distributions.FloatDistribution(0, 1)
    for number in range(100):
        name = "x" * 5000 + str(number)
        made.add_trial(optuna.trial.create_trial(params={name: 0.5}, distributions={name: entry}, value=0.5))
    space = Space(epochs=2)
    request = Request(space=space, warm_start=made)  # type: ignore[arg-type]
    (note,) = earlier_module.earlier(request, "val_accuracy", "f" * 64, WHOLE).notes
    assert len(note) < 6000
    assert "and others" in note


def test_a_note_says_how_many(tmp_path: Path) -> None:
    known = foreign()
    request = Request(space=SPACE, warm_start=known)  # type: ignore[arg-type]
    found = earlier_module.earlier(request, "val_accuracy", "f" * 64, WHOLE)
    (note,) = found.notes
    assert note == (
        f"warm start: the searcher knows 0 of 8 trials of optuna:memory#{known.study_name}; 8 are no points of this "
        "space (by width); it does not say by which metric, so that its scores may not compare"
    )


def test_a_sweep_becomes_a_study_and_warms_another_one(tmp_path: Path) -> None:
    """The whole way, by training."""
    space = js.Space(learning_rate=js.LogUniform(1e-3, 1e-1), depth=1, width=4, epochs=2, batch_size="full")
    asked: dict[str, Any] = {"trials": 4, "progress": False, "objective": "val_loss"}
    result = js.sweep("iris", space, out=tmp_path / "a", **asked)
    url = f"sqlite:///{tmp_path / 'x.db'}"
    for made in (result.to_optuna(), js.load(tmp_path / "a").to_optuna(url, "a")):
        assert [trial.value for trial in made.trials] == [trial.score for trial in result.trials]
        assert [list(trial.intermediate_values) for trial in made.trials] == [[1, 2]] * 4
    warm = js.sweep("iris", space, search="cmaes", population=4, warm_start=f"{url}#a", out=tmp_path / "b", **asked)
    also = js.sweep("iris", space, search="cmaes", population=4, warm_start=tmp_path / "a", **asked)
    assert [trial.params for trial in warm.trials] == [trial.params for trial in also.trials]
    assert js.load(tmp_path / "b").request.warm_start == (f"{url}#a",)
