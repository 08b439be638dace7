"""What a shell offers after Tab: commands, options, choices, and the names of data sets, searchers and hyperparameters.

It rests on argcomplete, which need not be installed: without it nothing is offered. Imports no JAX.
"""

from argparse import Action, ArgumentParser
from typing import Any

from jaxsweep.cli.parser import actions_of
from jaxsweep.data import datasets
from jaxsweep.schedulers import SCHEDULERS
from jaxsweep.search import SEARCHERS
from jaxsweep.spec.sweepfile import NAMES


def answer(parser: ArgumentParser) -> None:
    """Tell the shell how its line may go on, and end the process; return if argcomplete is not installed."""
    try:
        import argcomplete
        from argcomplete.completers import ChoicesCompleter, SuppressCompleter
    except ImportError:
        return
    completers: dict[str, Any] = {
        "data": _or_files([row.name for row in datasets()]),
        "search": ChoicesCompleter(dict.fromkeys(SEARCHERS, "")),
        "scheduler": ChoicesCompleter(dict.fromkeys(SCHEDULERS, "")),
        "set": ChoicesCompleter({f"{name}=": "" for known in NAMES.values() for name in known}),
        "sections": SuppressCompleter(),
    }
    for action in actions_of(parser):
        if action.dest in completers:
            vars(action)["completer"] = completers[action.dest]
    argcomplete.autocomplete(parser)


def _or_files(names: list[str]) -> Any:
    from argcomplete.completers import FilesCompleter

    files = FilesCompleter()

    def offered(prefix: str, action: Action, parser: ArgumentParser, **more: Any) -> list[str]:
        return [*(name for name in names if name.startswith(prefix)), *files(prefix)]

    return offered
