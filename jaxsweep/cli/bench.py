"""`bench`: measure throughput on this machine."""

import sys
from argparse import Namespace

from jaxsweep.bench.suite import SECTIONS, Options, Section, run, setting
from jaxsweep.errors import RequestError, suggestion
from jaxsweep.report import tables


def bench(arguments: Namespace) -> int:
    """Measure, and print the tables as they come."""
    for name in arguments.sections:
        if name not in SECTIONS:
            raise RequestError(f"bench has no section {name!r}{suggestion(name, SECTIONS)}")
    for name in ("configs", "repeats"):
        if getattr(arguments, name) < 1:
            raise RequestError(f"--{name} {getattr(arguments, name)} is not legal: it must be at least 1")
    options = Options(arguments.device, arguments.configs, arguments.repeats, tuple(arguments.sections))
    sections, sgemm = run(options, lambda name: tables.say(f"bench: {name} ..."))
    lines = setting(sgemm, options.device)
    if arguments.format == "json":
        tables.print_json({"machine": lines, "sgemm": sgemm, **{section.name: section.data for section in sections}})
    elif arguments.format == "markdown":
        sys.stdout.write("\n".join([*(f"{line}  " for line in lines), "", *map(_markdown, sections)]))
    else:
        console = tables.stdout()
        for line in lines:
            console.print(line)
        for section in sections:
            console.print(f"\n{section.title}")
            console.print(tables.plain_table(section.columns, section.rows, numbers=section.columns[1:]))
            if section.note:
                console.print(section.note)
    return 0


def _markdown(section: Section) -> str:
    rows = [section.columns, ("---", *("---:" for _ in section.columns[1:])), *section.rows]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"## {section.title[0].upper()}{section.title[1:]}\n\n{table}\n\n{section.note}\n".replace("\n\n\n", "\n")
