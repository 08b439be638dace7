"""`doctor`: check this machine and what is installed."""

from argparse import Namespace

from jaxsweep.doctor import examine
from jaxsweep.report import tables


def doctor(arguments: Namespace) -> int:
    """Print what `examine` finds; 1 if something is wrong."""
    findings = examine()
    if arguments.format == "json":
        tables.print_json([finding._asdict() for finding in findings])
    else:
        rows = [(finding.name, "ok" if finding.ok else "WRONG", finding.detail) for finding in findings]
        tables.stdout().print(tables.plain_table(("check", "", "detail"), rows))
    wrong = [finding for finding in findings if not finding.ok]
    for finding in wrong:
        tables.say(f"jaxsweep: {finding.name}: {finding.detail}")
    return 1 if wrong else 0
