"""What stands below a table of trials: what the best one is worth, and what the others came to when trained again."""

from collections.abc import Sequence

from rich.console import Console

from jaxsweep.records.confirmed import Confirmed
from jaxsweep.report import tables

SHOWN_TEST = (
    "test scores of many trials are shown: a trial that is chosen by them has a validation score there, and none of an "
    "unseen test any more"
)


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
    console.print(told, soft_wrap=True)
    if show_test:
        tables.say(SHOWN_TEST)
