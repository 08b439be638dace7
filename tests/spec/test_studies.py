"""What Optuna has of an entry, and back; where a study lies."""

import sqlite3
from contextlib import closing
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


def kept(path: Path, trials: int = 2) -> str:
    """The URL of a file with a study `a` of some trials."""
    url = f"sqlite:///{path}"
    with studies.quiet():
        made = optuna.create_study(study_name="a", storage=url)
        made.enqueue_trial({"x": 0.5})
        made.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)
    made._storage._backend.engine.dispose()  # type: ignore[attr-defined]
    return url


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_study_in_a_file_is_read_and_no_more(tmp_path: Path, mode: str) -> None:
    """Neither by opening it, nor by whatever is done to the study."""
    url = kept(tmp_path / "x.db")
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.execute(f"PRAGMA journal_mode = {mode}")
    content, there = (tmp_path / "x.db").read_bytes(), (tmp_path / "x.db").stat()
    study = studies.opened(f"{url}#a")
    assert [trial.params["x"] for trial in study.trials] == [trial.value for trial in study.trials]
    assert study.trials[0].params == {"x": 0.5}
    with studies.quiet():
        study.add_trial(study.trials[0])
    assert [len(each.trials) for each in (study, studies.opened(url))] == [3, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]
    assert (tmp_path / "x.db").read_bytes() == content
    assert (tmp_path / "x.db").stat().st_mtime_ns == there.st_mtime_ns


@pytest.mark.parametrize("name", ["s.db?x=1", "t.db?timeout=1", "s.db?mode=rwc&uri=true"])
def test_a_url_leads_to_one_file(tmp_path: Path, name: str) -> None:
    """For a driver it ends before the question mark, where another file may lie, or a link to one that is to be."""
    kept(tmp_path / name.partition("?")[0])
    (tmp_path / "s.db").rename(tmp_path / name) if name[0] == "s" else kept(tmp_path / "y.db")
    (tmp_path / "s.db").symlink_to(tmp_path / "made.db")
    with pytest.raises(RequestError, match="has a question mark"):
        studies.opened(f"sqlite:///{tmp_path / name}#a")
    with pytest.raises(RequestError, match=r"s.db does not exist"):
        studies.opened(f"sqlite:///{tmp_path}/s.db#a")
    assert not (tmp_path / "made.db").exists()


def test_a_study_whose_url_says_more_than_a_file_is_the_object(tmp_path: Path) -> None:
    kept(tmp_path / "x.db")
    (tmp_path / "link.db").symlink_to("x.db")
    (tmp_path / "a#b.db").write_bytes((tmp_path / "x.db").read_bytes())
    for name in ("x.db?timeout=5", "link.db", "a#b.db"):
        study = optuna.load_study(study_name="a", storage=f"sqlite:///{tmp_path}/{name}")
        assert studies.opened(studies.source_of(study)) is study


@pytest.mark.parametrize("path", ["a\0b.db", "x" * 5000, "/" * 90_000 + "x.db"])
def test_a_path_that_none_can_have_is_refused_in_a_sentence(path: str) -> None:
    with pytest.raises(RequestError, match="does not exist") as raised:
        studies.opened(f"sqlite:///{path}#a")
    assert len(str(raised.value)) < 1500


def test_only_rows_are_taken_of_a_file(tmp_path: Path) -> None:
    """What it says of its tables has no effect: a check here, an index of an expression and a missing one."""
    url = kept(tmp_path / "x.db")
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.executescript(
            "DELETE FROM version_info; ALTER TABLE version_info ADD COLUMN c CHECK (c > 0); DROP INDEX "
            "ix_trials_study_id; CREATE INDEX i ON trials (abs(number)); CREATE TABLE more (a); "
            "INSERT INTO studies (study_name) VALUES ('b')"
        )
    assert len(studies.opened(f"{url}#a").trials) == 2
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.executescript("ALTER TABLE trials RENAME COLUMN number TO other")
    with pytest.raises(RequestError, match=r"no such column: trials\.number"):
        studies.opened(f"{url}#a")


def test_tables_of_another_version_are_refused(tmp_path: Path) -> None:
    url = kept(tmp_path / "x.db")
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        db.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    with pytest.raises(RequestError, match=r"another version of Optuna \('v2.6.0.a', and not 'v3.*storage upgrade"):
        studies.opened(url)


def test_a_study_becomes_no_longer_than_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of a file that is made for it may share what they hold."""
    url = kept(tmp_path / "x.db")
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        text = "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (1, 'x', ?)"
        db.execute(text, (f'"{"x" * 2_000_000}"',))
    assert len(studies.opened(url).trials) == 2
    monkeypatch.setattr(studies, "GROWS", 0)
    with pytest.raises(RequestError, match="is full"):
        studies.opened(url)


def test_a_sentence_names_few_of_many_studies(tmp_path: Path) -> None:
    url = kept(tmp_path / "x.db")
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        names = ((f"\x1b[2J{'x' * 1000}{number}",) for number in range(2000))
        db.executemany("INSERT INTO studies (study_name) VALUES (?)", names)
    with pytest.raises(RequestError, match="and 1,981 more") as raised:
        studies.opened(f"{url}#{'b' * 9000}")
    assert len(str(raised.value)) < 5000
    assert "\x1b" not in str(raised.value)


def test_the_users_verbosity_stays() -> None:
    before = optuna.logging.get_verbosity()
    with studies.quiet():
        assert optuna.logging.get_verbosity() >= optuna.logging.WARNING
    assert optuna.logging.get_verbosity() == before
