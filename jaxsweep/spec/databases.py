"""A database of SQLite that a stranger may have made: read in a copy, once it is known to be plain tables.

SQLite does more for who opens a file than read it: it plays back a journal that lies beside, and removes what that
names; it makes files beside one in WAL mode; and what looks like a table may be a view that never ends. So what is not
a run of this project's own is opened nowhere but in a folder that holds copies, and takes no more than it is long.
"""

import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from jaxsweep.errors import RequestError, cut, shown

LARGEST = 2**30  # bytes of a database with its journal: millions of trials
TRIES, PAUSE = 20, 0.05  # to copy one that somebody writes into, and seconds between
STEPS = 20  # of SQLite's machine for each byte: a row of 30 bytes takes about 50
EACH = 10_000  # steps, after which they are counted
LONGEST_DEFAULT = 64  # characters of a column's default, which a row that lacks the column has without holding it
_TABLE, _INDICES = "CREATE TABLE ", ("CREATE INDEX ", "CREATE UNIQUE INDEX ")


class Bound:
    """What reading a database of so many bytes may take: a file may be made so that it takes for ever."""

    def __init__(self, size: int) -> None:
        self.size, self._left = size, 100 + size * STEPS // EACH

    def hold(self, db: sqlite3.Connection) -> None:
        """Let whoever reads from a connection take no more than that, in steps and in memory for a value."""
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(self.size, 2**16))
        db.set_progress_handler(self._count, EACH)

    def _count(self) -> bool:
        self._left -= 1
        return self._left < 0

    def said(self, error: Exception) -> str:
        """Return in words why something could not be read."""
        if self._left < 0:
            return "reading it takes more steps than its length allows"
        return " ".join(str(error)[:1000].split())[:200]


class _Changed(Exception):
    """A file changed while it was copied."""


def strange(db: sqlite3.Connection) -> str | None:
    """Return what a database has beside plain tables and their indices, as a sentence goes on that ends with who has
    none of that; None if there is nothing.

    SQLite writes the beginning of each statement in one way, and it reads the statement, not the kind beside it: of
    whoever has edited the text, to look like something else, it begins in another way.
    """
    found = db.execute("SELECT type, name, rootpage, sql FROM sqlite_master").fetchall()
    for kind, name, page, sql in found:
        table = kind == "table" and isinstance(sql, str) and sql.startswith(_TABLE)
        index = kind == "index" and (sql is None or (isinstance(sql, str) and sql.startswith(_INDICES)))
        if not (table or index) or not page:  # a view or a trigger may do anything, and take for ever
            return f"it has {shown(name)}, which"
    for kind, name, *_ in found:
        for default, hidden in db.execute("SELECT dflt_value, hidden FROM pragma_table_xinfo(?)", (name,)):
            # Of a column that is computed as it is read a few bytes make as many as its maker likes.
            if kind == "table" and (hidden or len(str(default or "")) > LONGEST_DEFAULT):
                return f"{shown(name)} has columns that"
    return None


@contextmanager
def copied(file: Path, name: str) -> Generator[tuple[sqlite3.Connection, int], None, None]:
    """Yield a database to be read, in a copy, and how many bytes it has; nothing is written where it lies.

    Args:
        file: of the database; with it what has been committed into its write-ahead log.
        name: that errors begin with.

    Raises:
        RequestError: it is no file of its own, larger than LARGEST, being written, or no database; also for what SQLite
            says while it is read.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        logged = _copy_whole(file, copy, name)
        size = sum(each.stat().st_size for each in copy.parent.iterdir())
        bound = Bound(size)
        try:
            # Without a log SQLite need make nothing beside it.
            with closing(sqlite3.connect(f"{copy.as_uri()}?{'mode=ro' if logged else 'immutable=1'}", uri=True)) as db:
                bound.hold(db)
                yield db, size
        except sqlite3.Error as error:
            why = bound.said(error)
            raise RequestError(f"{name} cannot be read as a database of SQLite: {why}; give another one") from error


def _copy_whole(file: Path, copy: Path, name: str) -> bool:
    """Copy a database as it was at one moment; return whether there is a log. RequestError as `copied`."""
    journal = Path(f"{file}-journal")
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE)
        if os.path.lexists(journal):
            continue
        try:
            before = _states(file, name)
            for suffix, size in before.items():
                _copy(Path(f"{file}{suffix}"), Path(f"{copy}{suffix}"), size[0])
            if _states(file, name) == before and not os.path.lexists(journal):
                return "-wal" in before
        except (_Changed, FileNotFoundError):
            pass
        except (OSError, ValueError) as error:  # a path may have a NUL
            if isinstance(error, RequestError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise RequestError(f"{name}: the file {cut(str(file))} cannot be read ({reason})") from None
        for each in copy.parent.iterdir():
            each.unlink()
    if os.path.lexists(journal):
        raise RequestError(
            f"{name}: beside the file there is {cut(str(journal))}, of somebody who writes into it, or was killed "
            "over that: wait, or let who wrote it open it once"
        )
    raise RequestError(f"{name}: the file {cut(str(file))} is being written all the time: give a copy of it")


def _states(file: Path, name: str) -> dict[str, tuple[int, int, int]]:
    """Return size, time of the last change and number of a database and its log, by what follows its name.

    Raises:
        RequestError: one of them is no file of its own, or they are too large.
        OSError: there is no database.
    """
    found = {}
    for suffix in ("", "-wal"):
        path = Path(f"{file}{suffix}")
        if suffix and not os.path.lexists(path):
            continue
        there = path.lstat()
        if not stat.S_ISREG(there.st_mode):
            kind = (
                "a link: name the file that it leads to" if stat.S_ISLNK(there.st_mode) else "no file: it must be one"
            )
            raise RequestError(f"{name}: {cut(str(path))} is {kind}")
        found[suffix] = (there.st_size, there.st_mtime_ns, there.st_ino)
    if (size := sum(each for each, *_ in found.values())) > LARGEST:
        raise RequestError(
            f"{name}: the file has {size:,} bytes, more than the {LARGEST:,} that are read: give one with less in it"
        )
    return found


def _copy(file: Path, copy: Path, size: int) -> None:
    """Copy so many bytes of a file; `_Changed` if it has fewer, or is something else now."""
    # What has taken its place since must lead nowhere, and not wait.
    how = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(file, "rb", opener=lambda path, _: os.open(path, how)) as source, copy.open("xb") as target:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            raise _Changed
        left = size
        while left:
            part = source.read(min(left, 2**20))
            if not part:
                raise _Changed
            target.write(part)
            left -= len(part)
