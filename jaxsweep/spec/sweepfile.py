"""Sweep files: a request as TOML, read, changed by flags and `--set`, and written with every default.

Later wins: the file, then flags, then `--set KEY=VALUE` in their order. Paths in a file are relative to the current
directory, as they are in a shell. What is written reads back as an equal request.
"""

import copy
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxsweep.data.assign import check_folds
from jaxsweep.data.source import TABLE_KEYS, Source
from jaxsweep.data.splits import DEFAULT_SPLIT
from jaxsweep.errors import RequestError, meant, nearest, shown, suggestion
from jaxsweep.spec import documents
from jaxsweep.spec.default import adapted_space
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.request import LARGEST, Request
from jaxsweep.spec.space import Space
from jaxsweep.spec.toml import toml_text

Table = Mapping[str, Any]
Rule = tuple[tuple[type, ...], str]

_TEXT: Rule = ((str,), "text")
_INTEGER: Rule = ((int,), "an integer")
_COLUMNS: Rule = ((list, tuple, str, int, float), "a list")
KEYS: dict[str, dict[str, Rule]] = {
    "data": {
        "name": ((str,), "the name of a built-in data set"),
        "path": ((str,), "the path of a CSV or Parquet file"),
        "target": ((str, int, list, tuple), "a column's name, or its number from 0, or a list of them"),
        "task": ((str,), "classification or regression"),
        "validation": ((str,), "the path of a table whose rows validate"),
        "test": ((str,), "the path of a table whose rows test"),
        "group": ((str, int), "a column's name, or its number from 0"),
        "weight": ((str, int), "a column's name, or its number from 0"),
        "header": ((bool,), "true or false"),
        "delimiter": ((str,), "the character between cells"),
        "decimal": ((str,), "the mark before the decimals, '.' or ','"),
        "encoding": ((str,), "the encoding of the text, such as latin-1"),
        "skip": ((int,), "the number of lines above the table"),
        "missing": _COLUMNS,
        "drop": _COLUMNS,
        "keep": _COLUMNS,
        "categories": _COLUMNS,
        "numbers": _COLUMNS,
        "day_first": ((bool,), "true or false"),
        "missing_target": ((str,), "drop, which leaves out rows without a target"),
        "min_class_rows": _INTEGER,
        "most_categories": _INTEGER,
        "split": ((list, tuple), "three fractions: train, validation, test"),
    },
    "sweep": {
        "trials": _INTEGER,
        "search": ((str,), "the name of a searcher"),
        "scheduler": ((str,), "the name of a scheduler"),
        "minutes": ((int, float), "a number above 0"),
        "objective": ((str, list, tuple), "a validation metric, or a list of objectives"),
        "objective_weights": ((list, tuple), "a list of numbers, one for each objective"),
        "constraints": ((list, tuple, str), "a list of bounds, such as ['parameters <= 10000']"),
        "seed": _INTEGER,
        "replicates": _INTEGER,
        "folds": ((int, list, tuple), "an integer, or a list of pairs of row numbers"),
        "keep": _INTEGER,
        "confirm": _INTEGER,
        "keep_weights": ((str,), "last or best"),
        "train_metrics": ((bool,), "true or false"),
        "precision": ((str,), "highest or default"),
        "checkpoint_seconds": ((int, float), "a number of seconds"),
        "initial": ((list, tuple), "a list of configs, such as [{ depth = 2 }]"),
        "start_from": ((str,), "the folder of an exported network"),
        "warm_start": ((list, tuple, str), "a list of run directories and studies, such as ['runs/a']"),
    },
}
OPTIONS_OF = {"search": "searcher", "scheduler": "scheduler"}  # sections with options, and whose these are
SECTIONS = ("data", "sweep", "search", "scheduler", "space")
NAMES: dict[str, Collection[str]] = {**KEYS, "space": HYPERPARAMETERS}  # what each section may hold, where it is known
TWICE = ("keep",)  # columns of [data], how many networks in [sweep]: the value tells
RECORDED = ("run", "versions")  # what a run directory notes beside the request; no part of it
BARE_WORD = re.compile(r"[^\s\"'\[\]{}=,#]+( [^\s\"'\[\]{}=,#]+)*")


@dataclass
class Draft:
    """A request in the making: the tables of a sweep file, and what was set for the space."""

    table: dict[str, Any] = field(default_factory=dict)
    space: dict[str, Any] = field(default_factory=dict)

    def put(self, key: str, value: Any) -> None:
        """Set `section.key`, or `configs`."""
        if key == "configs":
            self.table["configs"] = value
            return
        section, _, name = key.partition(".")
        if section == "space":
            self.space[name] = value
            return
        table = self.table.setdefault(section, {})
        if section == "data" and name in ("name", "path"):
            for stale in ("name", "path", *(TABLE_KEYS if name == "name" else ())):
                table.pop(stale, None)  # other data take the place of the file's
        table[name] = value

    def source(self) -> Source:
        """Return where the data come from: `name`, or `path`; RequestError for contradictions."""
        _check_keys(self.table)
        data = self.table.get("data", {})
        if "name" in data and "path" in data:
            raise RequestError(
                f"[data] has name = {shown(data['name'])} and path = {shown(data['path'])}: it must have one"
            )
        alien = next((key for key in TABLE_KEYS if key in data), None)
        if "name" in data and alien is not None:
            raise RequestError(
                f"{alien} = {shown(data[alien])} goes with a table on disk: the built-in {shown(data['name'])} has "
                f"its own target and task, so leave {alien} out"
            )
        return Source(**{key: data[key] for key in ("name", *TABLE_KEYS) if key in data})

    def request(self, rows: int | None = None) -> Request:
        """Return the request; `rows` of data help to choose the default space where none is given.

        Raises:
            RequestError: an unknown section or key, a value of the wrong type, or an illegal one.
        """
        source = self.source()
        sweep, data = self.table.get("sweep", {}), self.table.get("data", {})
        fields: dict[str, Any] = {key: sweep[key] for key in KEYS["sweep"] if key in sweep}
        if "split" in data:
            fields["split"] = _split(data["split"])
        configs = _configs(self.table)
        if configs is not None and fields.get("search") == "configs":
            del fields["search"]  # as files of before may say it
        space = None
        if configs is None or "space" in self.table or self.space:
            space = Space.from_toml(self._space(_training_rows(rows, fields)))
        return Request(
            space=space, configs=configs, options=dict(self.table.get("search", {})),
            scheduler_options=dict(self.table.get("scheduler", {})), source=source, **fields,
        )  # fmt: skip

    def _space(self, rows: int | None) -> Table:
        if "space" in self.table:
            return {**self.table["space"], **self.space}
        return adapted_space(self.space, rows)


def read(path: str | Path) -> Draft:
    """Return the tables of a sweep file, their sections and keys checked.

    Raises:
        RequestError: the file cannot be read, is no TOML, or has an unknown section or key.
    """
    try:
        table = documents.toml(documents.text_of(Path(path)))
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}): it must be a sweep file in TOML") from None
    except RequestError:
        raise  # of a pipe
    except ValueError as error:
        raise RequestError(f"{path} is not TOML: {error}") from None
    try:
        _check_keys(table)
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from None
    return Draft(table)


def from_table(table: Table) -> Request:
    """Return the request in parsed tables, such as those of a run directory's sweep.toml."""
    return Draft(copy.deepcopy(dict(table))).request()


def assemble(
    draft: Draft, flags: Table, sets: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Collection[str]]] | None = None,
) -> Draft:  # fmt: skip
    """Return a sweep file's draft changed by flags (`section.key`: value, None for not given) and by `KEY=VALUE`.

    `options` are those of each searcher, under "search", and of each scheduler, under "scheduler": a key that is one of
    them is refused with the section that it needs.
    """
    sets = list(sets)
    changed = copy.deepcopy(draft)
    for key, value in flags.items():
        if value is not None:
            changed.put(key, value)
    for assignment in sets:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise RequestError(f"--set {assignment}: it must be KEY=VALUE, such as epochs=5 or sweep.seed=3")
        if key.strip() in TWICE:
            value = _value(assignment, text.strip(), f"data.{key.strip()}")
            changed.put(f"{'data' if isinstance(value, (str, list)) else 'sweep'}.{key.strip()}", value)
            continue
        for section, owners in (options or {}).items():
            _refuse_option(key.strip(), changed, sets, section, owners)
        full = _full_key(key.strip())
        changed.put(full, _value(assignment, text.strip(), full))
    _check_keys(changed.table)
    return changed


def _refuse_option(
    key: str, draft: Draft, sets: Iterable[str], section: str, options: Mapping[str, Collection[str]]
) -> None:
    """Raise RequestError for an option without its section, with the name of whoever is chosen if it has it."""
    owners = [name for name, known in options.items() if key in known]
    if not owners or any(key in known for known in NAMES.values()):
        return
    chosen = str(draft.table.get("sweep", {}).get(section, ""))
    for name, _, value in (text.partition("=") for text in sets):
        chosen = value.strip(" '\"") if name.strip() in (section, f"sweep.{section}") else chosen
    named = [chosen] if chosen in owners else owners
    whose = f"{OPTIONS_OF[section]}{'s' * (len(named) > 1)} {', '.join(named)}"
    raise RequestError(f"--set {key}: {key} is an option of the {whose}, to be given as --set {section}.{key}=...")


def _full_key(key: str) -> str:
    """Return `section.key` for a key, whose section may be left out where only one has it."""
    section, dot, name = key.partition(".")
    if dot:
        if section == "options":
            raise RequestError(f"--set {key}: an option of the searcher is to be given as --set search.{name}=...")
        if section not in SECTIONS:
            raise RequestError(f"--set {key}: unknown section {shown(section)}{suggestion(section, SECTIONS)}")
        known = NAMES.get(section)
        if known is not None and name not in known:
            raise RequestError(f"--set {key}: {_unknown(section, name)}")
        return key
    homes = [home for home, known in NAMES.items() if key in known]
    if key == "configs" or len(homes) == 1:
        return key if key == "configs" else f"{homes[0]}.{key}"
    hint = meant(nearest(key, [*HYPERPARAMETERS, *KEYS["sweep"], *KEYS["data"]]))
    # A list of all of them would be too long.
    hint = hint or (
        "; `jaxsweep hyperparameters` lists them, and an option of a searcher is set as search.KEY, one of a scheduler "
        "as scheduler.KEY"
    )
    raise RequestError(f"--set {key}: unknown key {shown(key)}{hint}")


def _value(assignment: str, text: str, key: str) -> Any:
    """Return a value given as TOML; what is no TOML is a bare word, or several apart by commas where a list is due."""
    try:
        parsed = documents.toml(f"value = {text}")
        if list(parsed) == ["value"]:
            return parsed["value"]
    except ValueError:
        pass
    try:
        return float(text)  # .5 and 5. are numbers to everyone but TOML
    except ValueError:
        words = [word.strip() for word in text.split(",")]
        section, _, name = key.partition(".")
        several = KEYS["data"].get(name) == _COLUMNS or name == "target"
        if section == "data" and several and len(words) > 1 and all(words):
            return words
        if BARE_WORD.fullmatch(text) or len(text) == 1:
            return text
    raise RequestError(f"--set {assignment}: {shown(text)} is neither a TOML value nor a word: quote it as TOML does")


def _check_keys(table: Table) -> None:
    """Raise RequestError for unknown sections and keys, and for values of the wrong type."""
    for section, content in table.items():
        if section in RECORDED or section == "configs":
            continue
        if section not in SECTIONS:
            raise RequestError(f"unknown section or key {shown(section)}{suggestion(section, (*SECTIONS, 'configs'))}")
        if not isinstance(content, Mapping):
            raise RequestError(f"{section} = {shown(content)} is not a section: write [{section}] and its keys below")
        for key, value in content.items():
            if section not in KEYS:
                continue  # searchers and spaces check their own
            if key not in KEYS[section]:
                raise RequestError(_unknown(section, key))
            types, words = KEYS[section][key]
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise RequestError(f"{key} = {shown(value)} is not legal: it must be {words}")


def _unknown(section: str, key: str) -> str:
    if section == "space":
        return f"unknown hyperparameter {shown(key)}{suggestion(key, HYPERPARAMETERS)}"
    home = next((home for home, known in NAMES.items() if key in known), None)
    hint = f"; it belongs into [{home}]" if home else suggestion(key, KEYS[section])
    return f"unknown key {shown(key)} in [{section}]{hint}"


def _split(split: Any) -> tuple[float, ...]:
    if any(isinstance(part, bool) or not isinstance(part, (int, float)) or not abs(part) <= LARGEST for part in split):
        raise RequestError(f"split = {shown(split)} is not legal: it must be three fractions: train, validation, test")
    return tuple(float(part) for part in split)


def _configs(table: Table) -> tuple[dict[str, Any], ...] | None:
    configs = table.get("configs")
    if configs is None:
        return None
    if not isinstance(configs, list) or not all(isinstance(config, Mapping) for config in configs):
        raise RequestError(f"configs = {shown(configs)} is not legal: it must be a list such as [{{ depth = 2 }}]")
    return tuple(dict(config) for config in configs)


def _training_rows(rows: int | None, fields: Table) -> int | None:
    if rows is None:
        return None
    split, folds = fields.get("split", DEFAULT_SPLIT), fields.get("folds", 0)
    if len(split) != 3:
        return rows  # refused later, with the words of the split
    if not isinstance(folds, int):
        pairs = check_folds(folds)
        return min(len(train) for train, _ in pairs) if isinstance(pairs, tuple) else rows
    share = (split[0] + split[1]) * ((folds - 1) / folds) if folds > 1 else split[0]
    return int(rows * min(max(share, 0.0), 1.0))


def to_toml(request: Request, extra: Mapping[str, Table] | None = None) -> str:
    """Return a request as a sweep file with every default written out, and further sections after it.

    `extra` may have the sections in RECORDED: what a run directory notes about the run.
    """
    source = request.source
    # A list has no place for "nothing": what is None or empty is left out, and means the same.
    data: dict[str, Any] = {"name": source.name}
    if source.path is not None:
        data |= {key: _listed(getattr(source, key)) for key in TABLE_KEYS}
    data["split"] = list(request.split)
    sweep = {key: _listed(getattr(request, key)) for key in KEYS["sweep"]}
    if request.further:
        sweep["objective"] = [str(request.objective), *map(str, request.further)]
    lines = []
    if request.configs is not None:
        lines += ["configs = [", *(f"    {toml_text(config)}," for config in request.configs), "]", ""]
    lines += [*_section("data", data), *_section("sweep", sweep)]
    if request.options:
        lines += _section("search", request.options)
    if request.scheduler_options:
        lines += _section("scheduler", request.scheduler_options)
    if request.space is not None:
        lines += ["[space]", *request.space.toml_lines(), ""]
    for name, content in (extra or {}).items():
        lines += _section(name, content)
    return "\n".join(lines).rstrip() + "\n"


def _listed(value: Any) -> Any:
    """Return a value of a sweep file, None for an empty list."""
    return (list(value) or None) if isinstance(value, tuple) else value


def _section(name: str, content: Table) -> list[str]:
    return [f"[{name}]", *(f"{key} = {toml_text(value)}" for key, value in content.items() if value is not None), ""]
