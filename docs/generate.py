"""What the documentation takes from the code and from other documents: `make docs` writes it.

Parts, which pages include, go into docs/generated, and the measurements of experiments/, each a page, into
docs/measured: so no table and no promise is typed a second time. Run it with `PYTHONPATH=tests:experiments`:
`readme_tables.py` of the first makes the tables.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import readme_tables
import reference
from questions.page import anchor

from jaxsweep import schedulers, search
from jaxsweep.spec.metrics import METRICS, Metric, sign

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MEASURED = {  # pages, and the documents of experiments/ that they are
    "claims": "README",
    **{name: name for name in ("throughput", "search_quality", "real_training", "accelerators", "torture", "soak")},
}
SECTIONS = {  # of README.md, each with what it is called here
    "How fast": "how_fast", "Install": "install", "Data": "data", "Metrics": "metrics_told",
    "Your own metric, loss, activation": "own", "Searchers": "searchers_told", "Schedulers": "schedulers_told",
    "Several objectives, and constraints": "objectives", "Honest winners": "honest", "What a sweep says": "says",
    "What is promised, and how to check it": "promised", "Limits": "limits",
}  # fmt: skip
PAGES = {  # what a link of README.md is here
    "SECURITY.md": "/security.md", "#honest-winners": "/understanding.md#honest-winners",
    **{f"experiments/{file}.md": f"/measured/{name}.md" for name, file in MEASURED.items()},
}  # fmt: skip


def parts() -> dict[str, str]:
    """Return every part, and every measured page, by the path of its file in docs/."""
    sections = _sections((ROOT / "README.md").read_text(encoding="utf-8"))
    found = {
        **{name: readme_tables.TABLES[name]() for name in ("hyperparameters", "datasets", "searchers", "schedulers")},
        "metrics": metrics(),
        "searchers_each": each_of(search.SEARCHERS, search.options),
        "schedulers_each": each_of(schedulers.SCHEDULERS, schedulers.options),
        "security": _body((ROOT / "SECURITY.md").read_text(encoding="utf-8")),
        "changes": _body((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
        "api": reference.api(),
        "command_line": reference.command_line(),
        **{part: _told(sections[title]) for title, part in SECTIONS.items()},
    }
    measured = {name: (ROOT / f"experiments/{file}.md").read_text(encoding="utf-8") for name, file in MEASURED.items()}
    return {
        **{f"generated/{name}.md": text for name, text in found.items()},
        **{f"measured/{name}.md": _leveled(_told(text)) for name, text in measured.items()},
    }


def metrics() -> str:
    """Return a table of the metrics: for which task, which way is better, where."""
    rows = [
        f"| `{row.name}` | {row.task or 'both'} | {'larger' if sign(row.name) > 0 else 'smaller'} | {_units(row)} |"
        for row in METRICS.values()
    ]
    return "\n".join(["| name | task | better | unit |", "| --- | --- | --- | --- |", *rows])


def _units(row: Metric) -> str:
    if row.task is None:
        return "that of the trial's own loss"
    if row.task == "classification":
        return "-, of two classes alone" if row.two_classes else "-"
    return {"mse": "squared units of the target", "r2": "-"}.get(row.name, "units of the target")


def each_of(kinds: Mapping[str, type[Any]], options: Callable[[str], Mapping[str, Any]]) -> str:
    """Return a section for each searcher or scheduler: what its module says of it, and its options."""
    lines: list[str] = []
    for name, kind in kinds.items():
        module = inspect.getmodule(kind)
        lines += [f"### `{name}`", "", reference.prose(inspect.getdoc(module) or ""), ""]
        said = reference.arguments(kind)
        for option, default in options(name).items():
            lines.append(f"- `{option}` (default `{default}`): {said[option]}")
        lines.append("")
    return "\n".join(lines).strip()


def _sections(text: str) -> dict[str, str]:
    """Return the sections of README.md by their titles."""
    found = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def _body(text: str) -> str:
    """Return a document without its title."""
    return text.partition("\n")[2].strip()


def _told(text: str) -> str:
    """Return prose of the repository for the site: without generated tables, and links as they are here."""
    text = re.sub(r"<!-- table: (\w+) -->.*?<!-- end: \1 -->\n*", "", text, flags=re.DOTALL)
    text = text.replace("](pictures/", "](/../experiments/pictures/")
    own = {f"#{anchor(title)}" for title in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)}
    link = r"(?<!!)\[([^\]]+)\]\((?!http)([^)]+)\)"
    return re.sub(link, lambda found: found[0] if found[2] in own else _link(found), text).strip()


def _leveled(text: str) -> str:
    """Return a page whose headings follow its title without a level left out."""
    return text if re.search("^## ", text, flags=re.MULTILINE) else re.sub("^###", "##", text, flags=re.MULTILINE)


def _link(found: re.Match[str]) -> str:
    label, target = found.groups()
    here = PAGES.get(target) or PAGES.get(f"experiments/{target}")  # the latter of a document of experiments/ itself
    if here is None:
        return f"`{target}`" if label == target else f"{label} (`{target}`)"
    return f"[{'' if label.endswith('.md') else label}]({here})"  # without a label it is the title of the page


def write() -> None:
    """Write all of it; a file whose text is the same is left as it is, so that a build need not read it again."""
    for name, text in parts().items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text + "\n":
            path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
