"""How Optuna has what a space has: distributions, and the parameters of a config. Optuna is an extra.

Optuna's categories are words, numbers, truth values and None. A value that is none of these, a list of widths, stands
there as its text, `[64, 32]`, and a function of the user's own as its name. Constants are no parameters.
"""

import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxsweep.errors import RequestError, cut, shown
from jaxsweep.spec import arguments, databases
from jaxsweep.spec.distributions import Choice, Constant, Distribution, Int, LogUniform, Uniform, plain
from jaxsweep.spec.extras import extra

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def distribution(entry: Distribution) -> "BaseDistribution":
    """Return Optuna's distribution of an entry that is no constant; RequestError if Optuna is not installed."""
    kinds = extra("optuna", "an Optuna study").distributions
    if isinstance(entry, Choice):
        return kinds.CategoricalDistribution(tuple(map(category, entry.values)))  # type: ignore[no-any-return]
    if isinstance(entry, Int):
        return kinds.IntDistribution(entry.low, entry.high, log=entry.log)  # type: ignore[no-any-return]
    assert isinstance(entry, (Uniform, LogUniform))
    return kinds.FloatDistribution(  # type: ignore[no-any-return]
        entry.low, entry.high, log=isinstance(entry, LogUniform)
    )


def suggested(trial: Any, name: str, entry: Distribution) -> Any:
    """Return the parameter that an open trial of Optuna gets for an entry that is no constant."""
    if isinstance(entry, Choice):
        return trial.suggest_categorical(name, tuple(map(category, entry.values)))
    if isinstance(entry, Int):
        return trial.suggest_int(name, entry.low, entry.high, log=entry.log)
    assert isinstance(entry, (Uniform, LogUniform))
    return trial.suggest_float(name, entry.low, entry.high, log=isinstance(entry, LogUniform))


def category(value: Any) -> Any:
    """Return a value of a choice as one of Optuna's categories."""
    if isinstance(value, str):
        return str(value)  # also a function of the user's own, which is its name with the function
    return value if value is None or isinstance(value, (bool, int, float)) else str(plain(value))


def value_of(entry: Distribution, given: Any) -> Any:
    """Return the value of an entry that a parameter of Optuna stands for; LookupError if it cannot have it."""
    if isinstance(entry, Constant):
        values: tuple[Any, ...] = (entry.value,)
    elif isinstance(entry, Choice):
        values = tuple(entry.values)
    else:
        return entry.values_from_codes(entry.codes_from_values([given]))[0]
    for value in values:
        known = category(value)
        if known == given and isinstance(known, bool) == isinstance(given, bool):
            return plain(value)
    raise LookupError(given)


def parameter(entry: Distribution, value: Any) -> Any:
    """Return the parameter that Optuna would have for a value of an entry."""
    return category(value) if isinstance(entry, Choice) else value


MEMORY = "optuna:memory"  # in the place of a storage's URL
SQLITE = "sqlite:///"  # before the path of a file
LISTED = 20  # studies of a storage that a sentence names
GROWS = 4  # times as long as its file a study in memory may be: a file may lack the indices that Optuna makes


@contextmanager
def quiet() -> Iterator[None]:
    """Let Optuna say no more than warnings meanwhile; its own setting is the user's."""
    logging = extra("optuna", "an Optuna study").logging
    before = logging.get_verbosity()
    logging.set_verbosity(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(before)


class Studied(str):
    """A study that is known to this process, as an earlier run goes by a path: its name, and the study."""

    study: Any

    def __new__(cls, study: Any) -> "Studied":
        """Return the name of a study, with the study."""
        new = super().__new__(cls, f"{MEMORY}#{study.study_name}")
        new.study = study
        return new

    def __deepcopy__(self, memo: Any) -> "Studied":
        return self


def is_study(value: Any) -> bool:
    """Return whether a value is a study of Optuna, or text that leads to one: `URL#NAME`; imports no Optuna."""
    if isinstance(value, str):
        return "://" in value or value.startswith(f"{MEMORY}#")
    return type(value).__module__.partition(".")[0] == "optuna" and hasattr(value, "study_name")


def source_of(value: Any) -> str:
    """Return what a study, or text that leads to one, is remembered as: where it lies, if that can be said."""
    if isinstance(value, str):
        return value
    storage = value._storage
    url = getattr(getattr(storage, "_backend", storage), "url", None)
    # Other databases have passwords in their URLs, which no record of a run should hold unasked.
    # What `opened` would take for something else, or not take, a link to a file among it, is the object itself.
    known = isinstance(url, str) and url.startswith(SQLITE) and not any(mark in url for mark in (":memory:", "?", "#"))
    known = known and not Path(str(url).removeprefix(SQLITE)).is_symlink()
    return f"{url}#{value.study_name}" if known else Studied(value)


def sources(name: str, value: Any) -> tuple[str, ...]:
    """Return run directories and studies, one or several, as they are remembered, each once.

    Raises:
        RequestError: something is no path, no study and no list of them.
    """
    several = [value] if is_study(value) else value
    if not isinstance(several, (list, tuple)) or not any(map(is_study, several)):
        return arguments.paths(name, value)
    each = (source_of(item) if is_study(item) else arguments.paths(name, [item])[0] for item in several)
    return tuple(dict.fromkeys(each))


def resolved(source: str) -> str:
    """Return a run directory, or a study in a file of SQLite, by its absolute path: as a record has it."""
    if isinstance(source, Studied):
        return source
    if not is_study(source):
        return str(Path(source).resolve())
    url, mark, name = source.partition("#")
    if not url.startswith(SQLITE):
        return source
    return f"{SQLITE}{Path(url.removeprefix(SQLITE)).resolve()}{mark}{name}"


def opened(source: str) -> Any:
    """Return the study of `URL#NAME`; of a storage that holds one alone the name may be left out.

    What lies in a file is read from there, and is a study in memory: Optuna opens nothing that a stranger has made, and
    what is done to the study is not done to the file.

    Raises:
        RequestError: there is no such study, it cannot be read, or Optuna is not installed.
    """
    if isinstance(source, Studied):
        return source.study
    optuna = extra("optuna", f"the study {cut(source)}")
    url, _, name = source.partition("#")
    if url == MEMORY:
        raise RequestError(f"the study {cut(source)} was in memory alone, and is gone: give it again, or leave it out")
    path, url = check_there(url), cut(url)
    try:
        with quiet():
            storage = _taken(optuna, path, url)
            known = optuna.get_all_study_names(storage)
            if not name and len(known) == 1:
                (name,) = known
            if name in known:
                return optuna.load_study(study_name=name, storage=storage)
    except RequestError:
        raise
    except Exception as error:  # of whatever is in it
        raise unreadable(url, error) from error
    listed = ", ".join(map(shown, known[:LISTED])) or "none"
    more = f" and {len(known) - LISTED:,} more" if len(known) > LISTED else ""
    hint = f"has no study {shown(name)}" if name else "holds several studies" if known else "holds no study"
    raise RequestError(f"{url} {hint}: its studies are {listed}{more}, to be named as {url}#NAME")


def check_there(url: str) -> Path:
    """Return the file of SQLite that a URL leads to; RequestError for what leads to none.

    Text may come from a stranger's sweep file: nothing is made or written where it leads to, and no driver is loaded.
    """
    if not url.startswith(SQLITE):
        raise RequestError(
            f"{cut(url)} is no file of SQLite: write {SQLITE}FILE#NAME, or give the study itself, in Python"
        )
    if "?" in url:  # it would be a file with such a name here, and another one to a database's driver
        raise RequestError(
            f"{cut(url)} has a question mark, and options after it are not for who reads: write {SQLITE}FILE#NAME"
        )
    path = Path(url.removeprefix(SQLITE))
    try:
        there = path.is_file()
    except (OSError, ValueError):  # nobody may look, or it has a NUL
        there = False
    if not there:
        raise RequestError(f"{cut(url)}: the file {cut(str(path))} does not exist, so that there is no study in it")
    return path


def _taken(optuna: Any, path: Path, url: str) -> Any:
    """Return a storage in memory, of tables that Optuna makes, with the rows that a file has in tables of these names.

    What else the file says of its tables, checks, indices and defaults, is of no effect. RequestError if there is more
    than tables, or if they are of another version of Optuna.
    """
    with databases.copied(path, url) as (theirs, size):
        if (odd := databases.strange(theirs)) is not None:
            raise RequestError(f"{url} is no database of studies: {odd} no study has")
        if not theirs.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'studies'").fetchone():
            raise RequestError(f"{url}: the file {cut(str(path))} has no studies of Optuna")
        ours = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            pool = extra("sqlalchemy", "an Optuna study", "optuna").pool.StaticPool
            storage = optuna.storages.RDBStorage("sqlite://", {"creator": lambda: ours, "poolclass": pool})
            mine, other = (db.execute("SELECT version_num FROM alembic_version").fetchmany(2) for db in (ours, theirs))
            if mine != other:
                raise RequestError(
                    f"{url} has tables of another version of Optuna ({shown(_first(other))}, and not "
                    f"{shown(_first(mine))}): bring it to this one (optuna storage upgrade --storage {url}), or leave "
                    "it out"
                )
            _copy_rows(theirs, ours, size)
        except BaseException:
            ours.close()
            raise
    weakref.finalize(storage, ours.close)
    return storage


def _first(rows: list[Any]) -> Any:
    return rows[0][0] if rows else None


def _copy_rows(theirs: sqlite3.Connection, ours: sqlite3.Connection, size: int) -> None:
    """Copy what the tables of a new storage can hold, of a database of so many bytes; sqlite3.Error if it is none."""
    # Cells of a damaged file may share what they hold: without a bound it would become longer than it is.
    (pages,), (bytes_each,) = (ours.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    ours.execute(f"PRAGMA max_page_count = {pages + 256 + GROWS * size // bytes_each}")
    tables = [name for (name,) in ours.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    with ours:
        for table in tables:
            if table in ("alembic_version", "version_info"):  # of the new storage itself
                continue
            columns = [name for (name,) in ours.execute("SELECT name FROM pragma_table_info(?)", (table,))]
            # With its table a name is none of SQLite's strings, whatever columns there are.
            asked = ", ".join(f'"{table}"."{name}"' for name in columns)
            rows = theirs.execute(f'SELECT {asked} FROM "{table}" NOT INDEXED')
            names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
            ours.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', rows)


def unreadable(url: str, error: Exception) -> RequestError:
    """Return what to say where a storage cannot be used."""
    return RequestError(
        f"{url} cannot be used as Optuna's storage: {_said(error)}; it must be like sqlite:///studies.db"
    )


def damaged(source: str, error: Exception, trial: int | None = None) -> RequestError:
    """Return what to say where a study, or one of its trials, has what neither Optuna nor a sweep would write."""
    where = "" if trial is None else f" at its trial {trial}"
    return RequestError(
        f"the study {cut(source)} cannot be read{where} ({type(error).__name__}: {_said(error)}): give another one, or "
        "leave it out"
    )


def _said(error: Exception) -> str:
    return " ".join(str(error)[:1000].split())[:200]
