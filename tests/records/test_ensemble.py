"""Ensembles: metrics and choices beside scikit-learn's, by which rows is chosen, folders, and those of strangers."""

import copy
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

import jaxsweep as js
from jaxsweep.cli import main
from jaxsweep.network.scores import SCORES, Judged
from jaxsweep.records import selection
from jaxsweep.records.judging import Judge
from jaxsweep.records.selection import selected
from jaxsweep.spec.metrics import sign

pytestmark = pytest.mark.usefixtures("one_tile")

DICE = np.random.default_rng(0)
CONFIG: dict[str, Any] = {"depth": 1, "width": 4, "epochs": 3, "batch_size": 16}
RATES = [{**CONFIG, "learning_rate": rate} for rate in (0.003, 0.01, 0.02, 0.03, 0.05, 0.1)]
FRAME = pd.DataFrame({"size": DICE.normal(5, 2, 120), "colour": DICE.choice(["red", "green", "blue"], 120)})
KIND = np.where(FRAME["size"] + DICE.normal(size=120) > 5, "large", "small")
QUIET: dict[str, Any] = {"progress": False, "keep": 6}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> js.Result:
    path = tmp_path_factory.mktemp("runs")
    FRAME.assign(kind=KIND).to_csv(path / "table.csv", index=False)
    data = js.read_table(path / "table.csv", target="kind")
    return js.sweep(data, configs=RATES, out=path / "run", **QUIET)


@pytest.fixture(scope="module")
def ensemble(swept: js.Result) -> js.Ensemble:
    return swept.ensemble(8)


# --- metrics -----------------------------------------------------------------------------------------------------


def probabilities(classes: int, rows: int, candidates: int = 1) -> np.ndarray:
    """Some of them are 0 and 1, so that means of several are alike."""
    logits = DICE.normal(size=(candidates, classes, rows)) * DICE.choice([1.0, 1000.0], (candidates, 1, rows))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def judge_of(task: str, outputs: int, y: np.ndarray, weights: np.ndarray) -> Judge:
    scale = np.array([2.0, 0.01, 300.0])[:outputs]
    return Judge("classification" if task == "classification" else "regression", outputs, y, weights,
                 np.zeros(outputs), scale, np.ones(outputs) * 1.5)  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3, 11])
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_classes_are_those_of_scikit_learn(classes: int, weighted: bool) -> None:
    """Of rows that weigh nothing too, and of a class that does not occur."""
    rows = 60
    y = DICE.integers(0, max(2, classes - 1), rows)
    weights = DICE.choice([0.0, 0.5, 1.7], rows) if weighted else np.ones(rows)
    shares, some = probabilities(classes, rows, 3), weights > 0
    judge = judge_of("classification", classes, y, weights)
    for name in judge.names:
        found = judge.scores(name, shares)
        for each, value in zip(shares, found, strict=True):
            logits = np.log(np.maximum(each.T, np.finfo(float).tiny))[some]
            reference = SCORES[name].reference
            assert reference is not None
            assert value == pytest.approx(reference(Judged(y[some], logits, 1.0, False, weights[some])), rel=1e-12), (
                name
            )
    assert np.isnan(judge_of("classification", 2, y * 0, weights).scores("auc", shares[:, :2])).all()


@pytest.mark.parametrize("targets", [1, 3])
def test_metrics_of_numbers_are_those_of_scikit_learn(targets: int) -> None:
    y, said = DICE.normal(size=(targets, 50)), DICE.normal(size=(2, targets, 50))
    y *= np.sqrt(1.5) / y.std(axis=1, keepdims=True)  # the variance that the judge is told
    y -= y.mean(axis=1, keepdims=True)
    judge = judge_of("regression", targets, y, np.ones(50))
    for name in judge.names:
        reference = SCORES[name].reference
        assert reference is not None
        for each, value in zip(said, judge.scores(name, said), strict=True):
            plain = Judged(y.T if targets > 1 else y[0], each.T, judge.scale, constant=False)
            assert value == pytest.approx(reference(plain), rel=1e-9), name


# --- choices -----------------------------------------------------------------------------------------------------


def chosen_plainly(predictions: np.ndarray, score: Callable[[np.ndarray], tuple[float, ...]], size: int) -> list[int]:
    """As the paper says it."""
    chosen: list[int] = []
    reached = []
    for _ in range(size):
        ranks = [score(np.mean([predictions[i] for i in [*chosen, n]], axis=0)) for n in range(len(predictions))]
        best = max(ranks)
        chosen.append(next(n for n, rank in enumerate(ranks) if rank >= best))
        reached.append(best)
    return chosen[: reached.index(max(reached)) + 1]


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "f1"])
def test_choices_are_those_of_the_paper(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    y = DICE.integers(0, 3, 40)
    shares = np.clip(probabilities(3, 40, 9), 0.001, 0.99)
    shares[:, y, np.arange(40)] += 0.2
    shares /= shares.sum(axis=1, keepdims=True)
    shares[4] = shares[2]
    judge = judge_of("classification", 3, y, np.ones(40))

    def score(mean: np.ndarray) -> tuple[float, ...]:
        loss = -sk.log_loss(y, mean.T, labels=[0, 1, 2])
        said = mean.argmax(axis=0)
        value = {"accuracy": sk.accuracy_score(y, said), "f1": sk.f1_score(y, said, average="macro"), "log_loss": loss}
        return round(value[metric], 12), round(loss, 12)

    plainly = chosen_plainly(shares, score, 7)
    assert len(set(plainly)) > 2
    assert 4 not in plainly  # like candidate 2, which is the first
    for block in (2**20, 1, 3 * 8 * 3 * 40):
        monkeypatch.setattr(selection, "BLOCK_BYTES", block)
        assert selected(shares, judge, metric, sign(metric), 7) == plainly


def test_of_numbers_the_mean_is_judged_not_the_networks() -> None:
    y = DICE.normal(size=(1, 200))
    noise = DICE.normal(size=200)
    said = y + np.stack([noise, -0.9 * noise, 0.5 * DICE.normal(size=200)])[:, None]
    judge = judge_of("regression", 1, y, np.ones(200))
    chosen = Counter(selected(said, judge, "mse", -1, 20))
    assert chosen[0] > 3
    assert chosen[1] > 3  # each of the two is worse than the third alone
    lone = judge.scores("mse", said).min()
    assert judge.scores("mse", np.average(said, axis=0, weights=[chosen[i] for i in range(3)])[None])[0] < 0.1 * lone


def test_what_is_not_defined_is_chosen_last() -> None:
    y = np.array([0, 1, 1, 0])
    judge = judge_of("classification", 2, y, np.ones(4))
    shares = probabilities(2, 4, 3)
    seen = []

    def of(name: str, predictions: np.ndarray) -> np.ndarray:
        seen.append(name)
        return np.where(np.arange(len(predictions)) == 1, 0.5, np.nan)

    object.__setattr__(judge, "scores", of)
    assert set(selected(shares, judge, "auc", 1, 3)) == {1}
    object.__setattr__(judge, "scores", lambda name, predictions: np.full(len(predictions), np.nan))
    assert selected(shares, judge, "auc", 1, 1) == [int(np.argmax(judge.smooth(judge.reduced(shares))))]


# --- of a sweep --------------------------------------------------------------------------------------------------


def test_an_ensemble_averages_what_its_networks_say(swept: js.Result, ensemble: js.Ensemble) -> None:
    shares = [swept.model(trial).predict_proba(FRAME) for trial in ensemble.trials]
    mean = np.average(shares, axis=0, weights=ensemble.weights)
    np.testing.assert_allclose(ensemble.predict_proba(FRAME), mean, rtol=1e-12)
    assert ensemble.predict(FRAME).tolist() == np.array(["large", "small"])[mean.argmax(axis=1)].tolist()
    assert 1 < sum(ensemble.weights) <= 8
    assert list(ensemble.weights) == sorted(ensemble.weights, reverse=True)
    assert ensemble.classes == ("large", "small")
    pure = jax.jit(ensemble.apply)(ensemble.params, ensemble.features(FRAME))
    np.testing.assert_allclose(pure, mean, atol=1e-6)
    with pytest.raises(js.RequestError, match="it must have the form of the ensemble's `params`"):
        ensemble.apply(ensemble.params[:1], ensemble.features(FRAME))


def test_its_metrics_are_those_of_rows_that_no_network_was_trained_on(swept: js.Result, ensemble: js.Ensemble) -> None:
    data = swept.data
    for part, numbers in (("val", data.numbers[data.val[0]]), ("test", data.test_numbers)):
        shares = ensemble.predict_proba(FRAME.iloc[numbers])
        truth = KIND[numbers]
        loss = sk.log_loss(truth, shares, labels=["large", "small"])
        assert ensemble.metrics[f"{part}_log_loss"] == pytest.approx(loss, rel=1e-9)
        assert ensemble.metrics[f"{part}_accuracy"] == (ensemble.predict(FRAME.iloc[numbers]) == truth).mean()
        assert ensemble.metrics[f"{part}_auc"] == pytest.approx(sk.roc_auc_score(truth == "small", shares[:, 1]))
    assert ensemble.objective == "val_accuracy"
    assert ensemble.score == ensemble.metrics["val_accuracy"]
    assert ensemble.score >= max(trial.score or 0 for trial in swept.trials) - 1e-6
    assert "val_loss" not in ensemble.metrics  # which is a network's own
    assert f"weights {list(ensemble.weights)}, val_accuracy {ensemble.score:.6g}" in repr(ensemble)


def test_one_choice_is_the_best_network(swept: js.Result) -> None:
    one = swept.ensemble(1)
    assert (len(one.members), one.weights) == (1, (1,))
    best = max(trial.score or 0 for trial in swept.trials)
    assert {trial.id: trial.score for trial in swept.trials}[one.trials[0]] == best
    assert one.score == pytest.approx(best, abs=1e-6)


def test_a_run_gives_the_same_and_all_rows_train_again(swept: js.Result, ensemble: js.Ensemble) -> None:
    assert swept.run is not None
    loaded = js.load(swept.run).ensemble(8)
    assert (loaded.trials, loaded.weights, loaded.metrics) == (ensemble.trials, ensemble.weights, ensemble.metrics)
    again = loaded.retrain()
    np.testing.assert_array_equal(
        again.members[-1].predict_proba(FRAME), swept.retrain(loaded.trials[-1]).predict_proba(FRAME)
    )
    assert again.score is None


def test_of_folds_and_replicates_the_first_fold_decides() -> None:
    """Which is the one that the kept networks were trained on."""
    result = js.sweep((FRAME, KIND), configs=RATES[:4], folds=3, replicates=2, objective="val_log_loss", **QUIET)
    found, data = result.ensemble(4), result.data
    rows = data.val[0]
    shares = found.predict_proba(FRAME.iloc[data.numbers[rows]])
    loss = sk.log_loss(KIND[data.numbers[rows]], shares, labels=["large", "small"])
    assert found.score == pytest.approx(loss)
    alone = [
        sk.log_loss(KIND[data.numbers[rows]], model.predict_proba(FRAME.iloc[data.numbers[rows]]))
        for model in result.models.values()
    ]
    lanes = [result.lanes[number][0].curves[-1, result.columns.place] for number in result.models]
    np.testing.assert_allclose(alone, lanes, rtol=1e-4)  # the lanes of replicate 0 on fold 0
    assert loss <= min(alone) + 1e-9
    assert not set(rows.tolist()) & set(data.train[0].tolist())


def test_weights_of_rows_and_several_targets_count() -> None:
    y = pd.DataFrame({"a": 1000 * FRAME["size"], "b": FRAME["size"] ** 2 / 1000})
    weights = DICE.choice([0.0, 1.0, 3.0], 120)
    result = js.sweep((FRAME, y), configs=RATES, weights=weights, objective="val_r2", **QUIET)
    found, data = result.ensemble(), result.data
    numbers = data.test_numbers
    said = found.predict(FRAME.iloc[numbers])
    assert said.shape == (len(numbers), 2)
    r2 = sk.r2_score(y.iloc[numbers], said, sample_weight=weights[numbers])
    assert found.metrics["test_r2"] == pytest.approx(r2, rel=1e-6)
    assert found.metrics["val_r2"] >= max(trial.score or -9 for trial in result.trials) - 1e-5
    assert found.targets == ("a", "b")
    with pytest.raises(js.RequestError, match="an ensemble for regression has no class probabilities"):
        found.predict_proba(FRAME)
    assert found.predict(FRAME[:0]).shape == (0, 2)


@pytest.mark.parametrize(("task", "followed"), [("classification", "val_log_loss"), ("regression", "val_mse")])
def test_for_the_loss_which_is_each_networks_own_stands_a_metric(task: str, followed: str) -> None:
    y = KIND if task == "classification" else FRAME["size"] ** 2
    result = js.sweep((FRAME, y), configs=RATES[:3], objective="val_loss", **QUIET)
    found = result.ensemble()
    assert found.objective == followed
    best = min(trial.metrics[followed] for trial in result.trials)
    assert found.score is not None
    assert found.score <= best * (1 + 1e-5)
    assert found.predict(FRAME[:0]).shape == (0,)


def test_metrics_of_the_users_own_decide_and_are_told() -> None:
    def brier(outputs: Any, targets: Any, weights: Any) -> Any:
        wrong = (jax.nn.softmax(outputs) - jax.nn.one_hot(targets, outputs.shape[-1])) ** 2
        return (weights * wrong.sum(axis=1)).sum() / weights.sum()

    result = js.sweep(
        (FRAME, KIND), configs=RATES[:4], metrics={"brier": js.Metric(brier, direction="minimize")},
        objective="val_brier", **QUIET
    )  # fmt: skip
    found, data = result.ensemble(5), result.data
    for part, numbers in (("val", data.numbers[data.val[0]]), ("test", data.test_numbers)):
        shares = found.predict_proba(FRAME.iloc[numbers])
        by_hand = ((shares - np.stack([KIND[numbers] == "large", KIND[numbers] == "small"], axis=1)) ** 2).sum(axis=1)
        assert found.metrics[f"{part}_brier"] == pytest.approx(by_hand.mean(), rel=1e-5)
    assert found.objective == "val_brier"
    assert found.metrics["val_brier"] <= min(trial.score or 9 for trial in result.trials) + 1e-6


def test_what_cannot_be_made_is_refused(swept: js.Result) -> None:
    for keep, what in ((1, "1 network"), (0, "none")):
        few = js.sweep((FRAME, KIND), configs=RATES[:2], progress=False, keep=keep)
        words = f"an ensemble needs at least 2 networks, and this sweep kept {what}: sweep with keep=50"
        with pytest.raises(js.RequestError, match=words):
            few.ensemble()
    for size in (0, 1001, 2.0, True):
        with pytest.raises(js.RequestError, match=r"size = .* is not legal: it must be an integer in \[1, 1000\]"):
            swept.ensemble(size)  # type: ignore[arg-type]


def broken(model: js.Model) -> js.Model:
    wrong = copy.deepcopy(model)
    wrong.params["output"]["kernel"][:] = 1e38
    object.__setattr__(wrong, "params", {**wrong.params, "output": {**wrong.params["output"]}})
    wrong.params["output"]["bias"][:] = np.inf
    return wrong


def test_networks_without_finite_outputs_are_left_out_and_said(swept: js.Result, ensemble: js.Ensemble) -> None:
    result = copy.copy(swept)
    first = ensemble.trials[0]
    result.models = {**swept.models, first: broken(swept.models[first])}
    assert first not in result.ensemble(8).trials
    result.models = {number: broken(model) for number, model in swept.models.items()}
    with pytest.raises(js.RequestError, match="of all kept networks some outputs are no finite numbers"):
        result.ensemble()
    some = js.Ensemble((ensemble.members[0], broken(ensemble.members[0])), (1, 1))
    with pytest.warns(RuntimeWarning, match="the ensemble's outputs are no finite numbers for 120 of 120 rows") as said:
        some.predict(FRAME)
    assert len(said) == 1


def test_predictions_that_do_not_fit_into_memory_are_those_of_the_best(
    swept: js.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = len(swept.data.val[0])
    monkeypatch.setattr(selection, "LARGEST_BYTES", 3 * 8 * 2 * rows)
    assert set(swept.ensemble(50).trials) <= {trial.id for trial in swept.top(3)}


# --- folders -----------------------------------------------------------------------------------------------------


def test_a_folder_is_a_model_like_any_other(
    swept: js.Result, ensemble: js.Ensemble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensemble.save(tmp_path / "m")
    names = {str(path.relative_to(tmp_path / "m")) for path in (tmp_path / "m").rglob("*") if path.is_file()}
    each = itertools.product(range(len(ensemble.members)), ("model.json", "model.safetensors"))
    assert names == {"ensemble.json", *(f"{number}/{name}" for number, name in each)}
    assert json.loads((tmp_path / "m" / "ensemble.json").read_text()) == {"weights": list(ensemble.weights)}
    loaded = js.load_model(tmp_path / "m")
    assert isinstance(loaded, js.Ensemble)
    np.testing.assert_array_equal(loaded.predict_proba(FRAME), ensemble.predict_proba(FRAME))
    assert (loaded.score, loaded.metrics, loaded.trials) == (None, {}, ())
    with pytest.raises(js.RequestError, match="comes without its data"):
        loaded.retrain()
    # the command line writes the same, and predicts with it
    assert main(["export", str(swept.run), "--ensemble", "8", "--out", str(tmp_path / "cli")]) == 0
    told = capsys.readouterr().err + capsys.readouterr().out
    test = ensemble.metrics["test_accuracy"]
    assert f"an ensemble of {len(ensemble.members)} of 6 kept networks (val_accuracy {ensemble.score:.4g}" in told
    assert f"{test:.4g} on the test rows) is in {tmp_path / 'cli'}" in told
    FRAME.to_csv(tmp_path / "new.csv", index=False)
    assert main(["predict", str(tmp_path / "cli"), str(tmp_path / "new.csv"), "--out", str(tmp_path / "p.csv")]) == 0
    table = pd.read_csv(tmp_path / "p.csv")
    assert table["prediction"].tolist() == ensemble.predict(FRAME).tolist()
    np.testing.assert_allclose(table["proba_small"], ensemble.predict_proba(FRAME)[:, 1], rtol=1e-12)
    assert main(["export", str(swept.run), "--ensemble", "8", "--trial", "1", "--out", str(tmp_path / "no")]) == 2
    assert "not allowed with argument" in capsys.readouterr().err


def test_an_ensemble_is_replaced_but_nothing_else_is(ensemble: js.Ensemble, swept: js.Result, tmp_path: Path) -> None:
    ensemble.save(tmp_path / "m")
    one = swept.ensemble(1)
    one.save(tmp_path / "m")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["0", "ensemble.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    with pytest.raises(js.RequestError, match=r"holds other things \(0\)"):
        swept.model().save(tmp_path / "m")
    (tmp_path / "m" / "0" / "notes.txt").write_text("mine")
    with pytest.raises(js.RequestError, match=r"holds other things \(0\): choose a new folder for the ensemble"):
        one.save(tmp_path / "m")
    swept.model().save(tmp_path / "network")
    with pytest.raises(js.RequestError, match=r"holds other things \(model.json\)"):
        one.save(tmp_path / "network")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(js.RequestError, match="file is a file: choose a new folder"):
        one.save(tmp_path / "file")
    with pytest.raises(js.RequestError, match="cannot be written"):
        one.save("/proc/nowhere/m")


def bell(z: Any) -> Any:
    return jnp.exp(-z * z)


def wave(z: Any) -> Any:
    return jnp.sin(z)


def test_activations_of_the_users_own_are_given_again(tmp_path: Path, swept: js.Result) -> None:
    configs = [{**RATES[n], "activation": f} for n, f in enumerate((bell, wave, "relu", bell))]
    result = js.sweep((FRAME, KIND), configs=configs, **QUIET)
    of = dict(enumerate(result.models[n] for n in range(4)))
    js.Ensemble((of[0], of[1], of[2]), (3, 2, 1)).save(tmp_path / "two")
    with pytest.raises(js.RequestError, match=r"has 2 activations of your own: give activation=\{'bell': ..., 'wave'"):
        js.load_model(tmp_path / "two", activation=bell)
    with pytest.raises(js.RequestError, match="'bell' is a function of your own"):
        js.load_model(tmp_path / "two").predict(FRAME)
    with pytest.raises(js.RequestError, match=r"activation has 'sine', which is no function of .*two"):
        js.load_model(tmp_path / "two", activation={"bell": bell, "sine": wave})
    whole = js.load_model(tmp_path / "two", activation={"bell": bell, "wave": wave})
    mean = np.average([of[n].predict_proba(FRAME) for n in range(3)], axis=0, weights=[3, 2, 1])
    np.testing.assert_allclose(whole.predict_proba(FRAME), mean, rtol=1e-9)
    js.Ensemble((of[0], of[2]), (1, 1)).save(tmp_path / "one")
    js.load_model(tmp_path / "one", activation=bell).predict(FRAME)
    with pytest.raises(js.RequestError, match="bell is not the function that"):
        js.load_model(tmp_path / "one", activation=wave)
    of[0].save(tmp_path / "network")
    js.load_model(tmp_path / "network", activation={"bell": bell}).predict(FRAME)
    js.Ensemble((of[2],), (1,)).save(tmp_path / "none")
    with pytest.raises(js.RequestError, match=r"activation has 'bell', which is no function of .*none, which has none"):
        js.load_model(tmp_path / "none", activation=bell)


# --- folders of strangers ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(ensemble: js.Ensemble, tmp_path: Path) -> Path:
    ensemble.save(tmp_path / "m")
    return tmp_path / "m"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deep"),
        ("{", "broken exported ensemble"),
        ("[]", "has no list of 1 to 1,000 weights"),
        ('{"weights": []}', "has no list of 1 to 1,000 weights"),
        ('{"weights": "../../etc"}', "has no list of 1 to 1,000 weights"),
        ('{"weights": {"0": 1}}', "has no list of 1 to 1,000 weights"),
        (json.dumps({"weights": [1] * 1001}), "has no list of 1 to 1,000 weights"),
        ('{"weights": [1, "x"]}', r"weight 1 = 'x': it must be an integer in \[1, 1000\]"),
        ('{"weights": [true]}', "weight 0 = True: it must be an integer"),
        ('{"weights": [0]}', "weight 0 = 0: it must be an integer"),
        ('{"weights": [NaN]}', "weight 0 = nan: it must be an integer"),
        (f'{{"weights": [{"9" * 4000}]}}', "weight 0 = an integer of 13,288 bits: it must be"),
        (f'{{"weights": ["{"x" * 100_000}"]}}', "weight 0 = 'xxx"),
        (json.dumps({"weights": [1] * 1000}), "is no exported network: it has no model.json"),
        ("\udcff", "broken exported ensemble"),
    ],
)
def test_weights_of_strangers_are_checked(folder: Path, text: str, words: str) -> None:
    (folder / "ensemble.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(js.RequestError, match=words) as raised:
        js.load_model(folder)
    assert len(str(raised.value)) < 2500


@pytest.mark.parametrize("name", ["ensemble.json", "0", "0/model.json", "0/model.safetensors"])
def test_what_leads_out_of_an_ensemble_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    shutil.move(folder / name, tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    with pytest.raises(js.RequestError, match=f"{name} is a link, which no exported ensemble has"):
        js.load_model(folder)


def test_networks_of_an_ensemble_belong_together(
    folder: Path, ensemble: js.Ensemble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = js.sweep("iris", configs=[{"epochs": 1, "width": 4}], progress=False).model()
    shutil.rmtree(folder / "1")
    other.save(folder / "1")
    assert main(["predict", str(folder), "new.csv"]) == 2
    assert "its network 1 was trained on other data than the first" in capsys.readouterr().err
    shutil.rmtree(folder / "1")
    ensemble.save(folder / "1")  # an ensemble is no member of another one
    with pytest.raises(js.RequestError, match=r"is no exported network: it has no model\.json"):
        js.load_model(folder)
    shutil.rmtree(folder / "1")
    ensemble.members[1].save(folder / "1")
    content = bytearray((folder / "1" / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "1" / "model.safetensors").write_bytes(content)
    with pytest.raises(js.RequestError, match="their checksum is another one"):
        js.load_model(folder)
