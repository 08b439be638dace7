"""What an option that a command does not have may mean: a key for --set, or the nearest option."""

import shlex
from argparse import ArgumentParser
from collections.abc import Sequence

from jaxsweep.cli.parser import options_of
from jaxsweep.errors import RequestError, meant, nearest
from jaxsweep.schedulers import SCHEDULERS
from jaxsweep.schedulers import options as scheduler_options
from jaxsweep.search import SEARCHERS, options
from jaxsweep.spec.hyperparameters import ELSEWHERE
from jaxsweep.spec.sweepfile import NAMES

SETTING = ("run", "plan")  # the commands that have --set


def refused(parser: ArgumentParser, command: str, unknown: Sequence[str], argv: Sequence[str]) -> RequestError:
    """Return the refusal of the arguments that a command does not know, with what would be right of the first option.

    Args:
        parser: of the whole command line.
        command: the name of the command.
        unknown: what no argument of it takes, in order.
        argv: the whole command line, in which an option's value stands.
    """
    settings = command in SETTING
    for option in (word for word in unknown if word.startswith("--")):
        name, equals, value = option.partition("=")
        key = name.removeprefix("--").replace("-", "_")
        known = _key(key) if settings else None
        near = None if known else nearest(name, options_of(parser, command))
        if near is not None:
            return RequestError(f"{command} has no option {name}{meant(near)}")
        if known is None and settings and (close := nearest(key, _KEYS)) is not None:
            known = close, f"there is {close}"
        if known is None:
            continue
        full, what = known
        if not equals:
            following = argv[argv.index(option) + 1 :][:1]
            value = next((word for word in following if not word.startswith("--")), "VALUE")
        return RequestError(f"{command} has no option {name}: {what}, to be given as --set {full}={shlex.quote(value)}")
    return RequestError(f"unrecognized arguments: {' '.join(unknown)} (see jaxsweep {command} --help)")


_KEYS = [name for known in NAMES.values() for name in known]


def _key(name: str) -> tuple[str, str] | None:
    """Return the key of the sweep file that is called so, and what it is; None if there is none."""
    for section, known in NAMES.items():
        if name in known:
            return name, f"{name} is a {'hyperparameter' if section == 'space' else f'key of [{section}]'}"
    if name in ELSEWHERE:
        return ELSEWHERE[name], f"here it is called {ELSEWHERE[name]}"
    for searcher in SEARCHERS:
        if name in options(searcher):
            return f"search.{name}", f"{name} is an option of the searcher {searcher}"
    for scheduler in SCHEDULERS:
        if name in scheduler_options(scheduler):
            return f"scheduler.{name}", f"{name} is an option of the scheduler {scheduler}"
    return None
