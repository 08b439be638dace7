"""Networks that start with a trained one's weights: beside the plain reference, recorded, resumed, and refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxsweep as js
from jaxsweep.cli import main
from jaxsweep.records.rundir import START
from jaxsweep.records.stored import load as read_run

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
FIRST = js.Dataset.from_arrays(X[:60], (X[:60, 0] > 0).astype(int))
SECOND = js.Dataset.from_arrays(X[60:], (X[60:, 0] + X[60:, 1] > 0).astype(int))
SHAPE: dict[str, Any] = {
    "depth": 2,
    "width": 6,
    "epochs": 3,
    "batch_size": 10,
    "optimizer": "sgd",
    "learning_rate": 0.1,
}
STILL = {"learning_rate": 1e-30}
CONFIGS: list[dict[str, Any]] = [
    {**SHAPE, **STILL},
    {**SHAPE, **STILL, "transfer": 1},
    {**SHAPE, **STILL, "transfer": 0},
    {**SHAPE, **STILL, "width": [6, 4]},
    {**SHAPE, "frozen": 2},
    {**SHAPE, **STILL, "depth": 1},
    {**SHAPE, "norm": "none"},
]


@pytest.fixture(scope="module")
def trained() -> js.Model:
    config = {**SHAPE, "norm": "batch", "epochs": 6}
    return js.sweep(FIRST, configs=[config], keep=1, progress=False).model(0)


@pytest.fixture(scope="module")
def tuned(trained: js.Model, tmp_path_factory: pytest.TempPathFactory) -> js.Result:
    out = tmp_path_factory.mktemp("start") / "run"
    configs = [{"norm": "batch", **config} for config in CONFIGS]
    return js.sweep(SECOND, configs=configs, keep=len(configs), start_from=trained, out=out, progress=False)


def _scaled(params: Any) -> Any:
    return {layer: {name: 2 * array for name, array in arrays.items()} for layer, arrays in params.items()}


def _taken(model: js.Model, from_: js.Model) -> set[str]:
    """Return the layers whose kernel (or scale) is another network's."""
    found = set()
    for layer, arrays in model.params.items():
        for name, array in arrays.items():
            other = from_.params.get(layer, {}).get(name)
            if other is None or other.shape != array.shape or name not in ("kernel", "scale"):
                continue
            if np.allclose(array, other, atol=1e-6):
                found.add(layer)
    return found


def test_layers_start_with_its_weights_where_shapes_agree(tuned: js.Result, trained: js.Model) -> None:
    every = {"hidden_0", "norm_0", "hidden_1", "norm_1"}
    taken = [_taken(tuned.model(trial), trained) for trial in range(len(CONFIGS))]
    assert taken[0] == {*every, "output"}
    assert taken[1] == {"hidden_0", "norm_0"}
    assert not taken[2] & {"hidden_0", "hidden_1", "output"}
    assert taken[3] & {"hidden_0", "hidden_1", "output"} == {"hidden_0"}
    assert taken[4] == every
    assert taken[5] == {"hidden_0", "norm_0", "output"}
    still = tuned.model(0)
    assert still.params["norm_1"]["bias"] == pytest.approx(trained.params["norm_1"]["bias"], abs=1e-6)


def test_running_statistics_go_on_from_its_own(trained: js.Model) -> None:
    """With a rate of 0 they are those of the start, moved towards the new rows': not from 0 and 1."""
    config = {**SHAPE, **STILL, "norm": "batch", "epochs": 1, "batch_size": "full"}
    result = js.sweep(SECOND, configs=[config], keep=1, start_from=trained, progress=False)
    rows = result.data.x[0][result.data.train[0]]
    before = rows @ trained.params["hidden_0"]["kernel"]
    expected = 0.9 * trained.stats["norm_0"]["mean"] + 0.1 * before.mean(axis=0)
    assert result.model(0).stats["norm_0"]["mean"] == pytest.approx(expected, abs=1e-5)


def test_each_is_as_it_would_be_alone(tuned: js.Result, trained: js.Model) -> None:
    for trial in tuned.trials:
        alone = js.solo(SECOND, trial, start_from=trained)
        curve = tuned.curves("train_loss")[trial.id]
        np.testing.assert_allclose(alone.curves["train_loss"], curve, rtol=2e-4, atol=1e-5)
        for layer, arrays in tuned.model(trial.id).params.items():
            for name, array in arrays.items():
                np.testing.assert_allclose(alone.params[layer][name], array, rtol=2e-3, atol=2e-4)


def test_a_run_keeps_the_weights(tuned: js.Result, tmp_path: Path, trained: js.Model) -> None:
    assert tuned.run is not None
    again = js.load(tuned.run)
    assert again.request.start_from == "in memory"
    kept = read_run(tuned.run).start
    assert kept is not None
    assert kept.shapes == {"hidden_0": (5, 6), "hidden_1": (6, 6), "output": (6, 2)}
    more = js.Space(learning_rate=js.LogUniform(0.01, 0.1), **{k: v for k, v in SHAPE.items() if k != "learning_rate"})
    folder = tmp_path / "model"
    trained.save(folder)
    whole = js.sweep(SECOND, more, trials=6, start_from=folder, progress=False)
    part = js.sweep(SECOND, more, trials=3, start_from=folder, out=tmp_path / "run", progress=False)
    for file in folder.iterdir():
        file.unlink()
    assert part.run is not None
    more_of_it = js.resume(part.run, trials=6, data=SECOND, progress=False)
    assert more_of_it.to_pandas().learning_rate.tolist() == whole.to_pandas().learning_rate.tolist()
    np.testing.assert_allclose(more_of_it.curves("val_loss"), whole.curves("val_loss"), rtol=1e-4)  # in other tiles
    path = part.run / START
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(
        js.RequestError, match=r"start\.safetensors does not hold the weights that the run started with"
    ):
        js.resume(part.run, trials=7, data=SECOND, progress=False)
    assert len(js.load(part.run).trials) == 6  # which needs no weights


def test_from_the_command_line(trained: js.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.csv"
    rows = [",".join(map(str, [*x, int(x[0] > 0)])) for x in np.round(X, 3)]
    table.write_text("\n".join(["a,b,c,d,e,y", *rows]) + "\n")
    trained.save(tmp_path / "model")
    run = ["run", "--data", str(table), "--target", "y", "--trials", "2", "--set", "epochs=1", "--set", "depth=2"]
    where = ["--set", "width=6", "--start-from", str(tmp_path / "model"), "--out", str(tmp_path / "run")]
    assert main([*run, *where]) == 0
    assert main(["solo", str(tmp_path / "run"), "--trial", "0"]) == 0
    capsys.readouterr()
    other = js.Model(trained.task, trained.config, _scaled(trained.params), trained.stats, trained.preprocessor)
    other.save(tmp_path / "model")
    assert main([*run, *where, "--resume"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "run holds a run whose networks start with other weights than start_from =" in said
    assert f"(jaxsweep resume {tmp_path / 'run'})" in said
    assert main([*run, "--start-from", str(tmp_path / "nothing"), "--out", str(tmp_path / "other")]) == 2
    assert "start_from = " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("configs", "start", "words"),
    [
        ([{**SHAPE, "width": 7}], None, "has layers hidden_0 5 x 6, hidden_1 6 x 6, output 6 x 2, and no network"),
        ([SHAPE], "nowhere", "start_from = 'nowhere': nowhere is no exported network"),
        ([SHAPE], 3, "start_from = 3"),
        ([{**SHAPE, "transfer": -2}], None, "transfer = -2 is not legal"),
    ],
)
def test_refused(configs: Any, start: Any, words: str, trained: js.Model) -> None:
    with pytest.raises(js.RequestError, match=words):
        js.plan(SECOND, configs=configs, start_from=trained if start is None else start)


def test_transfer_without_a_start_is_said() -> None:
    from jaxsweep.setup import set_up
    from jaxsweep.spec.request import Request

    notes = set_up(SECOND, Request(configs=({**SHAPE, "transfer": 1},))).notes
    assert "transfer has no effect without start_from" in notes
