"""What a run directory is made of: its files, and who may make or read one.

`sweep.toml` is the resolved request, `trials.sqlite` the one source of truth about trials, `models/` the weights of
the best, `checkpoints/` what is under way. `records/store.py` writes it, `records/stored.py` reads it.
"""

import hashlib
import os
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from jaxsweep.errors import RequestError
from jaxsweep.spec.databases import Bound, copied

SWEEP = "sweep.toml"
TRIALS = "trials.sqlite"
MODELS = "models"
CHECKPOINTS = "checkpoints"
LOCK = "writer.lock"
START = "start.safetensors"  # of a sweep whose networks start with a trained one's weights
# Of the tables, as `PRAGMA user_version` says it. 0: before it was said, tables as in 1. 2: of a lane its status and
# test metrics, too. 3: whether it was halted, without which nobody could go on with the run. 4: checksums of all, and
# searchers were asked for whole batches.
FORMAT, RESUMABLE, WHOLE_BATCHES = 4, 3, 4  # this one's, the first one that may go on, and the first with whole ones
LEFT_OPEN: set[tuple[int, int]] = set()  # databases, by device and number, that this process can write no more
CURVE = np.dtype("<f8")  # of a learning curve in the database, one value an epoch

OF_LANES = ("trial", "replicate", "fold", "epochs", "status", "halted")  # columns of `evaluations` that are no metrics


def holds_run(out: Path) -> bool:
    """Return whether a directory has a run that can be read; one that was killed as it was made has no tables yet."""
    if not (out / TRIALS).exists():
        return False
    try:
        with _opened(out, whole=False) as db:
            return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = 'summary'").fetchone())
    except RequestError:
        return True  # a broken one is the user's to look after


def check_free(out: Path, left_behind: bool = False) -> None:
    """Raise RequestError if a directory holds a run, or the bare beginning of one that no killed process has left."""
    if holds_run(out) or (not left_behind and ((out / TRIALS).exists() or (out / SWEEP).exists())):
        raise RequestError(
            f"--out {out} already holds a run: name a new directory, or go on with it (jaxsweep resume {out})"
        )
    for folder in (out / MODELS, out / CHECKPOINTS):  # they may be anybody's: nothing is removed
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise RequestError(f"--out {out}: there is {folder}, of no run: name a new directory, or remove it")


def check_plain(out: Path) -> None:
    """Raise RequestError if something of a run directory is a link: what is written there would be elsewhere."""
    names = (
        SWEEP,
        TRIALS,
        MODELS,
        CHECKPOINTS,
        LOCK,
        START,
        *(f"{TRIALS}-{kind}" for kind in ("wal", "shm", "journal")),
    )
    inside = [each for folder in (MODELS, CHECKPOINTS) if (out / folder).is_dir() for each in (out / folder).iterdir()]
    for path in (*(out / name for name in names), *inside):
        if path.is_symlink():
            raise RequestError(f"{path} is a link, which no run directory has: it would lead out of it, so remove it")


def check_writable(out: Path) -> None:
    """Make a directory; RequestError if it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".writable.{os.getpid()}"  # another process may ask at the same moment
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"--out {out} cannot be written ({reason}): name a directory that can") from None


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection, None, None]:
    """Open the database of a run directory to read it.

    Raises:
        RequestError: it is no database, or a broken one.
    """
    # SQLite would play it back, and remove a file that it names.
    if (journal := path / f"{TRIALS}-journal").exists():
        raise RequestError(f"{journal} is of no run, whose journal is another one: remove it")
    with _opened(path) as db:
        yield db


@contextmanager
def _opened(path: Path, whole: bool = True) -> Generator[sqlite3.Connection, None, None]:
    """Open a database; if it need not be `whole`, without playing back a journal that no run has.

    SQLite writes beside a database in WAL mode even to read it, which a folder may not allow, and leaves that there.
    Without a journal there is nothing to be read but the file.
    """
    check_plain(path)
    file = path / TRIALS
    beside = file.with_name(f"{file.name}-wal").exists() and (
        whole or not file.with_name(f"{file.name}-journal").exists()
    )
    how = "mode=ro" if beside else "immutable=1"
    bound = Bound(sum(map(_size, (file, file.with_name(f"{file.name}-wal")))))
    try:
        if beside and not _shareable(file):
            with copied(file, str(path)) as (db, _):
                yield db
            return
        name = quote(os.fsencode(file.absolute()))  # it may have any character
        with closing(sqlite3.connect(f"file:{name}?{how}", uri=True)) as db:
            bound.hold(db)
            db.execute("BEGIN")  # all that is read is of one moment, whoever writes meanwhile
            yield db
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} cannot be read as a run directory: {TRIALS}: {bound.said(error)}") from None


def _size(file: Path) -> int:
    """Return how many bytes a file has, 0 if there is none: who writes may end, and remove its journal."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _shareable(file: Path) -> bool:
    """Return whether SQLite can share memory with who writes into a database; without that it reads no journal."""
    there = file.stat()
    if (there.st_dev, there.st_ino) in LEFT_OPEN:
        return False
    return file.with_name(f"{file.name}-shm").exists() or os.access(file.parent, os.W_OK)


def seal(rows: Iterable[Sequence[Any]]) -> int:
    """Return a checksum of rows as SQLite gives them: SQLite itself does not notice that a number has changed."""
    hashed = hashlib.blake2b(digest_size=8)
    for row in rows:
        # 0 may come back for -0.
        plain = [value + 0.0 if isinstance(value, float) else value for value in row if not isinstance(value, bytes)]
        hashed.update(repr(plain).encode("utf-8", "surrogatepass"))
        hashed.update(b"".join(value for value in row if isinstance(value, bytes)))
    return int.from_bytes(hashed.digest(), "little", signed=True)


def replace_text(path: Path, text: str) -> None:
    """Write a file at once, as UTF-8: whoever reads it sees what it held before, or all of what it holds now."""
    replace_bytes(path, text.encode("utf-8"))


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file at once, as `replace_text` does."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)  # whatever a kill has left, or somebody has put there
    with beside.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
