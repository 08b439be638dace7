"""What stands below a table of trials: the Pareto front, what the best one is worth, what others came to once more."""

from collections.abc import Sequence

from rich.console import Console

from jaxsweep.errors import printable
from jaxsweep.records.confirmed import Confirmed
from jaxsweep.records.front import front_rows, front_told
from jaxsweep.records.trials import Trial
from jaxsweep.report import tables
from jaxsweep.spec.aims import Aims

SHOWN_TEST = (
    "test scores of many trials are shown: a trial that is chosen by them has a validation score there, and none of an "
    "unseen test any more"
)


FRONT = 20  # trials of a front that are printed


def print_front(console: Console, trials: Sequence[Trial], aims: Aims) -> None:
    """Print how many trials are on the Pareto front and break constraints, and the front, where there are such."""
    if told := front_told(trials, aims):
        console.print(f"\n{told}", soft_wrap=True)
    rows = front_rows(trials, aims)
    if rows:
        cells = [[tables.cell(name, value) for name, value in row.items()] for row in rows[:FRONT]]
        console.print(tables.plain_table(list(rows[0]), cells, numbers=list(rows[0])))
    if len(rows) > FRONT:
        tables.say(f"{len(rows) - FRONT} more are on the front, marked in `show --top {len(trials)}`")


def print_winner(console: Console, told: str, confirmed: Sequence[Confirmed], show_test: bool) -> None:
    """Print the trials that were confirmed, if any were, and the sentence on the best one.

    Args:
        console: where to print.
        told: the sentence.
        confirmed: what was confirmed, the best first.
        show_test: whether test scores of all trials stand in the table above, which gets a word of warning.
    """
    if confirmed:
        console.print(f"\nthe best {len(confirmed)} of the search, trained again under fresh seeds")
        columns = ("trial", "search score", "confirmed score", "spread", "trainings")
        values = (
            (each.trial, each.search_score, each.confirmed_score, each.spread, each.trainings) for each in confirmed
        )
        rows = [["-" if value is None else tables.cell("", value) for value in row] for row in values]
        console.print(tables.plain_table(columns, rows, numbers=columns))
        for each in confirmed:
            if each.without_score:
                tables.say(
                    f"trial {each.trial} is last: {each.without_score} of its {each.trainings} fresh trainings "
                    "diverged, or have no finite score"
                )
            elif each.broken:
                tables.say(
                    f"trial {each.trial} breaks {' and '.join(each.broken)} in the mean of its fresh trainings, which "
                    "puts it behind those that do not"
                )
    console.print(printable(told), soft_wrap=True)
    if show_test:
        tables.say(SHOWN_TEST)
