"""How Optuna has what a space has: distributions, and the parameters of a config. Optuna is an extra.

Optuna's categories are words, numbers, truth values and None. A value that is none of these, a list of widths, stands
there as its text, `[64, 32]`, and a function of the user's own as its name. Constants are no parameters.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxsweep.errors import RequestError
from jaxsweep.spec import arguments
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
    known = isinstance(url, str) and url.startswith(SQLITE) and ":memory:" not in url
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

    Raises:
        RequestError: there is no such study, it cannot be read, or Optuna is not installed.
    """
    if isinstance(source, Studied):
        return source.study
    optuna = extra("optuna", f"the study {source}")
    url, _, name = source.partition("#")
    if url == MEMORY:
        raise RequestError(f"the study {source} was in memory alone, and is gone: give it again, or leave it out")
    check_there(url)
    try:
        with quiet():
            storage = optuna.storages.RDBStorage(url, skip_table_creation=True)
            known = optuna.get_all_study_names(storage)
            if not name and len(known) == 1:
                (name,) = known
            if name in known:
                return optuna.load_study(study_name=name, storage=storage)
    except Exception as error:  # of whatever database
        raise unreadable(url, error) from error
    listed = ", ".join(map(repr, known)) or "none"
    hint = f"has no study {name!r}" if name else "holds several studies" if known else "holds no study"
    raise RequestError(f"{url} {hint}: its studies are {listed}, to be named as {url}#NAME")


def check_there(url: str) -> None:
    """Raise RequestError for what is no file of SQLite with a study.

    Text may come from a stranger's sweep file: nothing is made or written where it leads to, and no driver is loaded.
    """
    if not url.startswith(SQLITE):
        raise RequestError(f"{url} is no file of SQLite: write {SQLITE}FILE#NAME, or give the study itself, in Python")
    path = Path(url.removeprefix(SQLITE))
    if not path.is_file():
        raise RequestError(f"{url}: the file {path} does not exist, so that there is no study in it")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            there = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'studies'").fetchone()
    except sqlite3.DatabaseError as error:
        raise unreadable(url, error) from error
    if not there:
        raise RequestError(f"{url}: the file {path} has no studies of Optuna")


def unreadable(url: str, error: Exception) -> RequestError:
    """Return what to say where a storage cannot be used."""
    said = " ".join(str(error).split())[:200]
    return RequestError(f"{url} cannot be used as Optuna's storage: {said}; it must be like sqlite:///studies.db")
