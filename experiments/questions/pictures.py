"""The pictures of the page, a function of its answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxsweep.insight.charts import BLUE, ORANGE
from questions.measures import MEASURES
from questions.registry import Question

PANEL = (3.6, 0.32, 1.3)  # inches: width; height of a group, and beside the groups
DPI = 90


def draw(question: Question, found: Mapping[str, Any], folder: Path) -> None:
    """Write the picture of a question: a panel a data set."""
    panels = found["data"]
    maps = any("map" in each for each in panels.values())
    rows = max(len(each["map"]["rows"] if maps else _shown(question, each)) for each in panels.values())
    size = (PANEL[0] * len(panels), PANEL[1] * rows + PANEL[2] + 0.6 * maps)
    figure = Figure(figsize=size, layout="constrained")  # not pyplot's: no state, and no display
    axes = figure.subplots(1, len(panels), squeeze=False)
    for (name, each), ax in zip(panels.items(), axes[0], strict=True):
        if maps:
            _map(each["map"], question, ax)
        else:
            _dots(_shown(question, each), question.measures[0], ax)
        ax.set_title(name, fontsize=10)
    figure.savefig(folder / f"{question.name}.png", dpi=DPI, metadata={"Software": None})


def _shown(question: Question, each: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the first measure of the groups that have it."""
    measure = question.measures[0]
    return {name: group[measure] for name, group in each["groups"].items() if measure in group}


def _dots(groups: Mapping[str, list[Any]], measure: str, ax: Any) -> None:
    best = MEASURES[measure].larger
    means = [np.nan if mean is None else mean for mean, *_ in groups.values()]
    halves = [half or 0.0 for _, half, _ in groups.values()]
    places = np.arange(len(groups))
    finest = (np.nanargmax if best else np.nanargmin)(means)
    for i in places:
        color = ORANGE if i == finest else BLUE
        ax.errorbar(means[i], i, xerr=halves[i], fmt="o", color=color, capsize=3, markersize=5)
    ax.set_yticks(places, list(groups), fontsize=8)
    ax.invert_yaxis()
    ax.set_xlabel(MEASURES[measure].title, fontsize=9)
    ax.tick_params(axis="x", labelsize=8)
    ax.grid(axis="x", alpha=0.3)


def _map(given: Mapping[str, Any], question: Question, ax: Any) -> None:
    values = np.array(given["values"], dtype=float)
    less = question.way == "carried"  # training losses; else scores
    image = ax.imshow(np.log10(values) if less else values, aspect="auto", cmap="viridis_r" if less else "viridis")
    ax.set_xticks(range(len(given["columns"])), [f"{value:g}" for value in given["columns"]], fontsize=8, rotation=45)
    ax.set_yticks(range(len(given["rows"])), given["rows"], fontsize=8)
    ax.set_xlabel(given["column"], fontsize=9)
    ax.set_ylabel(given["row"], fontsize=9)
    for row, best in enumerate((np.nanargmin if less else np.nanargmax)(values, axis=1)):
        ax.plot(best, row, "o", color=ORANGE, markersize=6, markeredgecolor="black")
    bar = ax.figure.colorbar(image, ax=ax)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("log10 of the training loss" if less else "mean validation score", fontsize=8)
