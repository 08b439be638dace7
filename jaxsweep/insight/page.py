"""A page that explains itself: sections of sentences, tables and charts as one HTML file that asks nobody for anything.

Everything that comes from data or from a record is escaped; the page loads nothing and sends nothing, which its own
policy says to the browser, too.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from jaxsweep.errors import RequestError
from jaxsweep.insight.charts import Chart

# Plotly compiles what it draws many points with (WebGL) into functions.
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"

FEW = 4  # charts that stand two in a row

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 0 auto; max-width: 60rem;
  padding: 1rem; }
h1 { font-size: 1.6rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .3rem; } p { margin: .4rem 0; }
nav { display: flex; flex-wrap: wrap; column-gap: .8rem; } nav a { white-space: nowrap; } a { color: #0072B2; }
h1, p, .note { overflow-wrap: anywhere; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f5f5f5; padding: .6rem; overflow-x: auto; font-size: .85rem; }
.several, .few { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: .5rem; }
.few { grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); }
.chart { min-width: 0; } .note { color: #555; font-size: .9rem; }
@media print { nav { display: none; } section { break-inside: avoid; } body { max-width: none; } }
"""

_SCRIPT = """
const charts = JSON.parse(document.getElementById('charts').textContent);
const how = {responsive: true, displaylogo: false, modeBarButtonsToRemove: ['select2d', 'lasso2d']};
const waiting = Object.entries(charts);
const draw = () => {  // one after the other, so that the page can be read meanwhile
  const next = waiting.shift();
  if (next === undefined) return;
  const [name, chart] = next;
  Plotly.newPlot(name, chart.data, chart.layout, how).then(() => setTimeout(draw, 0));
};
draw();
"""


@dataclass(frozen=True)
class Table:
    """A table: its head, and cells as they are shown."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Section:
    """A part of a page.

    Attributes:
        title: what it is about.
        words: sentences, a paragraph each.
        charts: pictures; several stand beside each other where there is room.
        tables: below them.
        text: what is to be copied as it stands.
        note: how to read it.
    """

    title: str
    words: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    text: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """The name of its place in the page."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


def page(title: str, sections: Sequence[Section]) -> str:
    """Return the page as one HTML document."""
    charts: dict[str, Chart] = {}
    parts = [_section(section, charts) for section in sections]
    links = "".join(f'<a href="#{section.name}">{html.escape(section.title)}</a>' for section in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n<nav>{links}</nav>\n{''.join(parts)}"
        f'<script type="application/json" id="charts">{_json(charts)}</script>\n'
        f"<script>{library()}</script>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def _section(section: Section, charts: dict[str, Chart]) -> str:
    parts = [f'<section id="{section.name}">\n<h2>{html.escape(section.title)}</h2>\n']
    parts += [f"<p>{html.escape(words)}</p>\n" for words in section.words]
    places = []
    for number, chart in enumerate(section.charts):
        name = f"{section.name}-{number}"
        charts[name] = chart
        height = int(chart["layout"].get("height", 360))
        places.append(f'<div class="chart" id="{name}" style="height:{height}px"></div>')
    if places:
        kind = "one" if len(places) == 1 else "few" if len(places) <= FEW else "several"
        parts.append(f'<div class="{kind}">{"".join(places)}</div>\n')
    parts += [_table(table) for table in section.tables]
    parts += [f"<pre>{html.escape(section.text)}</pre>\n"] if section.text else []
    parts += [f'<p class="note">{html.escape(section.note)}</p>\n'] if section.note else []
    return "".join([*parts, "</section>\n"])


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.head)
    rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in table.rows)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n'


def _json(charts: Mapping[str, Any]) -> str:
    """Return JSON that ends no script, whatever texts it has."""
    text = json.dumps(charts, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def library() -> str:
    """Return the program that draws the charts, as the package plotly holds it; RequestError if that is missing."""
    try:
        return (resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        raise RequestError(
            "a report needs the package plotly, which is not installed: pip install 'jaxsweep[report]'"
        ) from None
