"""Classes that a request names, such as searchers, and their options: the keyword arguments of their constructors."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from jaxsweep.errors import RequestError, shown, suggestion

Made = TypeVar("Made")


class Registry(Generic[Made]):
    """One kind of classes by their names.

    Args:
        kind: what messages call one of them, such as searcher.
        rows: the classes; this very table is looked into, each time.
        given: arguments of their constructors that are no options, since whoever makes one gives them.
    """

    def __init__(self, kind: str, rows: Mapping[str, type[Made]], given: tuple[str, ...]) -> None:
        self.kind, self.rows, self.given = kind, rows, given

    def find(self, name: str) -> type[Made]:
        """Return the class called `name`, or raise RequestError that suggests the nearest known name."""
        if not isinstance(name, str) or name not in self.rows:
            raise RequestError(f"unknown {self.kind} {shown(name)}{suggestion(str(name)[:100], self.rows)}")
        return self.rows[name]

    def options(self, name: str) -> dict[str, Any]:
        """Return the options of the class called `name` with their defaults."""
        found = inspect.signature(self.find(name)).parameters.values()
        return {each.name: each.default for each in found if each.name not in self.given}

    def make(self, name: str, settings: Mapping[str, Any], **given: Any) -> Made:
        """Return one of the class called `name`: `settings` are options, and `given` the arguments that are none.

        Raises:
            RequestError: an unknown name or option, or what the class says of a value.
        """
        self.check(name, settings)
        return self.find(name)(**given, **settings)

    def check(self, name: str, settings: Iterable[str]) -> None:
        """Raise RequestError if there is no class called `name`, or it has no option of some name."""
        known = self.options(name)
        for setting in settings:
            if setting not in known:
                hint = suggestion(setting, known) if known else "; it has none"
                raise RequestError(f"unknown option {shown(setting)} of {self.kind} {name!r}{hint}")
