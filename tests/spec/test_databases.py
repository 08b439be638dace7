"""Databases of strangers: what is refused of them, and that reading one leaves everything as it was."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from jaxsweep.errors import RequestError
from jaxsweep.spec import databases

EDIT = "; PRAGMA writable_schema = ON; UPDATE sqlite_master SET "


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "PAUSE", 0.0)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE IF NOT EXISTS kept (a INTEGER PRIMARY KEY, b TEXT UNIQUE DEFAULT 'FINITE'); "
            'CREATE  unique index i ON kept (b); ALTER TABLE kept RENAME TO "renamed";'
            "INSERT INTO renamed (b) VALUES ('x'); ANALYZE"
        )
    return path


def read(path: Path) -> list[str]:
    """The rows of a database, in a copy; RequestError if it is more than tables."""
    with databases.copied(path, "it") as (db, _):
        odd = databases.strange(db)
        if odd is not None:
            raise RequestError(odd)
        return [b for (b,) in db.execute("SELECT b FROM renamed ORDER BY a")]


def states(folder: Path) -> dict[str, tuple[int, int, int]]:
    return {
        each.name: (there.st_mtime_ns, there.st_size, there.st_ino)
        for each in (folder, *folder.iterdir())
        if (there := each.lstat())
    }


def test_tables_and_indices_are_plain(plain: Path) -> None:
    assert read(plain) == ["x"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CREATE VIEW v AS SELECT 1", "it has 'v', which"),
        ("CREATE TRIGGER v AFTER INSERT ON renamed BEGIN DELETE FROM renamed; END", "it has 'v', which"),
        ("CREATE VIRTUAL TABLE v USING fts5(text)", "it has 'v', which"),
        # As something else, by whoever has edited what the schema says; some of it SQLite notices itself.
        (f"CREATE VIEW v AS SELECT 1{EDIT} type = 'table' WHERE name = 'v'", "it.*malformed database schema"),
        (
            "CREATE TRIGGER v AFTER INSERT ON renamed BEGIN DELETE FROM renamed; END"
            f"{EDIT} type = 'index' WHERE name = 'v'",
            "it.*malformed database schema",
        ),
        (
            f"CREATE VIRTUAL TABLE v USING fts5(text){EDIT} rootpage = 2, "
            "sql = 'create /**/ virtual table v USING fts5(text)' WHERE name = 'v'",
            "it has 'v', which",
        ),
        ("ALTER TABLE renamed ADD COLUMN c TEXT AS (printf('%.*c', 900000000, 'x'))", "'renamed' has columns that"),
        ("CREATE TABLE c (a, b AS (a || a) STORED)", "'c' has columns that"),
        (f"ALTER TABLE renamed ADD COLUMN c TEXT DEFAULT '{'x' * 900}'", "'renamed' has columns that"),
    ],
)
def test_what_is_more_than_tables_is_refused(plain: Path, sql: str, words: str) -> None:
    with closing(sqlite3.connect(plain)) as db:
        db.executescript(sql)
    with pytest.raises(RequestError, match=f"^{words}"):
        read(plain)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_nothing_is_written_where_a_database_lies(plain: Path, mode: str) -> None:
    """What a writer has committed is read, also where it stands in the log alone."""
    with closing(sqlite3.connect(plain)) as writer:
        writer.execute(f"PRAGMA journal_mode = {mode}")
        writer.execute("INSERT INTO renamed (b) VALUES ('y')")
        writer.commit()
        if mode == "WAL":
            plain.with_name("x.db-shm").unlink()
        before = states(plain.parent)
        assert ("x.db-wal" in before) == (mode == "WAL")
        assert read(plain) == ["x", "y"]
        assert states(plain.parent) == before
    if mode == "WAL":
        # As who has closed it leaves it: in WAL mode, and without a log.
        before = states(plain.parent)
        assert read(plain) == ["x", "y"]
        assert states(plain.parent) == before


def _linked(path: Path) -> None:
    path.rename(path.with_name("other"))
    path.symlink_to("other")


def _piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_linked, "x.db is a link: name the file that it leads to"),
        (_piped, "x.db is no file: it must be one"),
        (lambda path: path.with_name("x.db-wal").symlink_to("nowhere"), "x.db-wal is a link"),
        (lambda path: path.with_name("x.db-journal").touch(), r"there is .*x.db-journal, of somebody who writes"),
        (lambda path: path.with_name("x.db-journal").symlink_to("nowhere"), r"there is .*x.db-journal, of somebody"),
        (lambda path: os.truncate(path, databases.LARGEST + 1), "has 1,073,741,825 bytes, more than the 1,073,741,824"),
        (lambda path: path.unlink(), "x.db is being written all the time"),
        (lambda path: path.write_text("a,b\n1,2\n"), "cannot be read as a database of SQLite: file is not a database"),
    ],
)
def test_what_is_no_database_by_itself_is_refused(plain: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(plain)
    before = states(plain.parent)
    with pytest.raises(RequestError, match=f"^it.*{words}"):
        read(plain)
    assert states(plain.parent) == before


@pytest.mark.parametrize("always", [False, True])
def test_a_copy_is_of_one_moment(plain: Path, always: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, calls = databases._copy, 0

    def disturbed(file: Path, target: Path, size: int) -> None:
        nonlocal calls
        calls += 1
        copy(file, target, size)
        if always or calls == 1:
            os.utime(file, ns=(calls, calls))

    monkeypatch.setattr(databases, "_copy", disturbed)
    if always:
        with pytest.raises(RequestError, match="is being written all the time: give a copy of it"):
            read(plain)
    else:
        assert read(plain) == ["x"]
    assert calls == (databases.TRIES if always else 2)


def test_reading_takes_no_more_than_a_database_is_long(plain: Path) -> None:
    with (
        pytest.raises(RequestError, match="reading it takes more steps than its length allows; give another one"),
        databases.copied(plain, "it") as (db, _),
    ):
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n").fetchone()
    with pytest.raises(RequestError, match="too big"), databases.copied(plain, "it") as (db, size):
        db.execute("SELECT zeroblob(?)", (size + 2**16,)).fetchone()
