"""What Optuna has of an entry, and back; where a study lies."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from jaxsweep.errors import RequestError
from jaxsweep.spec import studies
from jaxsweep.spec.distributions import plain
from jaxsweep.spec.space import Choice, Int, LogUniform, Space, Uniform

SPACE = Space(
    depth=Int(1, 3),
    width=Choice([64, [64, 32]], when={"depth": 2}),
    activation=Choice(["relu", abs]),
    nesterov=Choice([True, False]),
    learning_rate=LogUniform(1e-4, 1),
    dropout=Uniform(0, 0.5),
    batch_size=Choice([16, "full"]),
)


def test_parameters_are_what_their_distributions_have_and_lead_back() -> None:
    for config in SPACE.sample(np.random.default_rng(0), 50):
        for name, value in config.items():
            entry = SPACE.entries[name]
            given = studies.parameter(entry, value)
            distribution = studies.distribution(entry)
            assert distribution._contains(distribution.to_internal_repr(given)), (name, given)
            back = studies.value_of(entry, given)
            assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [("width", "[64, 32]", [64, 32]), ("activation", "abs", "abs"), ("batch_size", "full", "full"), ("depth", 2.0, 2)],
)
def test_categories_are_words(name: str, written: Any, value: Any) -> None:
    assert plain(studies.value_of(SPACE.entries[name], written)) == value


@pytest.mark.parametrize(
    ("name", "given"),
    [("nesterov", 1), ("width", 32), ("depth", 9), ("depth", "2"), ("dropout", 0.6), ("dropout", None)],
)
def test_what_an_entry_cannot_have_is_no_value(name: str, given: Any) -> None:
    with pytest.raises(LookupError):
        studies.value_of(SPACE.entries[name], given)


def test_sources_are_runs_and_studies_each_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    with studies.quiet():
        kept = optuna.create_study(study_name="a", storage=url)
        lost = optuna.create_study(study_name="b")
    assert studies.sources("w", kept) == (f"{url}#a",)
    assert studies.sources("w", [lost, kept, "runs/a", f"{url}#a", Path("runs/a")]) == (
        "optuna:memory#b",
        f"{url}#a",
        "runs/a",
    )
    assert studies.opened(studies.sources("w", lost)[0]) is lost
    assert studies.opened(f"{url}#a").study_name == studies.opened(url).study_name == "a"
    with pytest.raises(RequestError, match=r"w = 3 is not legal: it must be a list of paths"):
        studies.sources("w", 3)


def test_records_have_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert studies.resolved("runs/a") == str(tmp_path / "runs" / "a")
    assert studies.resolved("sqlite:///x.db#a") == f"sqlite:///{tmp_path}/x.db#a"
    assert studies.resolved("mysql://h/x#a") == "mysql://h/x#a"


def test_what_leads_to_no_study_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    with pytest.raises(RequestError, match=r"x.db does not exist, so that there is no study in it"):
        studies.opened(url)
    assert not (tmp_path / "x.db").exists()
    with studies.quiet():
        for name in ("a", "b"):
            optuna.create_study(study_name=name, storage=url)
    with pytest.raises(RequestError, match=r"holds several studies: its studies are 'a', 'b', to be named as .*#NAME"):
        studies.opened(url)
    with pytest.raises(RequestError, match="has no study 'c'"):
        studies.opened(f"{url}#c")
    with pytest.raises(RequestError, match="was in memory alone, and is gone"):
        studies.opened("optuna:memory#b")
    with pytest.raises(RequestError, match=r"nothing://x is no file of SQLite: write sqlite:///FILE#NAME, or give"):
        studies.opened("nothing://x#b")


def test_the_users_verbosity_stays() -> None:
    before = optuna.logging.get_verbosity()
    with studies.quiet():
        assert optuna.logging.get_verbosity() >= optuna.logging.WARNING
    assert optuna.logging.get_verbosity() == before
