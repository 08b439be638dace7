"""Consoles for results, whose reader (`| head`) may go when it has what it wants."""

from rich.console import Console


class Results(Console):
    """A console on which a reader that has gone is an error like any other: rich's own ends the process with 1."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that this is called for."""
        raise  # noqa: PLE0704
