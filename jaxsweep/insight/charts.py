"""Pictures of a sweep for a page, as Plotly has them: plain dicts of data and layout, made without Plotly itself.

Colours are those of Okabe and Ito (2008), which people who see colours differently tell apart, and viridis.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxsweep.insight.far import Side, fences, worse_end
from jaxsweep.insight.importance import Importance
from jaxsweep.insight.rungs import Rung, Stops
from jaxsweep.insight.sheet import Factor, FloatArray, Sheet
from jaxsweep.insight.surface import grid_of, slice_of
from jaxsweep.insight.variance import BINS

Chart = dict[str, Any]

BLUE, ORANGE, GREEN, RED, GREY, BLACK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8A8A8A", "#222222"
SCALE = "Viridis"
POINTS = 400  # of a scatter; of more trials a part is drawn, evenly taken
PARALLEL = 2000  # lines of parallel coordinates
LINES = 5  # best curves drawn by themselves
GOLDEN = 0.618034  # whose multiples lie evenly in the unit interval
LONG = 8  # characters of a word beside which others find no room
TICKS = 6  # of an axis that has one for each value
SHOWN = 12  # hyperparameters of a picture
# Under the axis and its title, where a legend of several lines, as on a phone, grows away from the curves.
BELOW = {"orientation": "h", "y": -0.2, "yanchor": "top"}


def text(value: Any) -> str:
    """Return a text that Plotly shows as it stands: it takes a part of HTML for markup."""
    return html.escape(str(value))


def layout(**more: Any) -> dict[str, Any]:
    """Return the layout that all charts share, with what one has of its own."""
    shared: dict[str, Any] = {
        "margin": {"l": 60, "r": 20, "t": 30, "b": 50},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": BLACK},
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "showlegend": False,
        "hovermode": "closest",
    }
    return {**shared, **more}


def axis(title: str, log: bool = False, **more: Any) -> dict[str, Any]:
    """Return an axis with a title."""
    kind = {"type": "log", "exponentformat": "power", "dtick": 1} if log else {}
    said = {"text": text(title), "standoff": 8}
    return {"title": said, "gridcolor": "#e6e6e6", "zeroline": False, "automargin": True, **kind, **more}


def of_factor(factor: Factor, **more: Any) -> dict[str, Any]:
    """Return the axis of a hyperparameter."""
    values = np.unique(factor.x[factor.present])
    if not factor.words and len(values) > TICKS:
        return axis(factor.name, factor.log, **more)
    if not factor.words:
        named: dict[str, Any] = {"tickvals": numbers(values), "ticktext": [f"{value:.3g}" for value in values]}
        return axis(factor.name, factor.log, **named, **more)
    ticks: dict[str, Any] = {
        "tickvals": [*range(len(factor.words))],
        "ticktext": [text(word) for word in factor.labels],
    }
    if max(map(len, factor.labels)) > LONG:
        ticks["tickangle"] = -30
    return axis(factor.name, **ticks, **more)


def sampled(rows: NDArray[np.int64], most: int = POINTS) -> NDArray[np.int64]:
    """Return up to `most` rows, evenly taken."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def numbers(values: Any) -> list[Any]:
    """Return an array as lists of numbers of five digits, with None for what is not finite."""
    array = np.asarray(values, np.float64)
    if array.ndim > 1:
        return [numbers(row) for row in array]
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in array.tolist()]


def bounds(values: FloatArray, side: Side, room: float = 0.04) -> list[float]:
    """Return the range of an axis on which all values are but those that are far at an end."""
    known = values[np.isfinite(values)]
    if not len(known):
        return [0.0, 1.0]
    ends = np.clip([known.min(), known.max()], *fences(known, side))
    margin = room * (ends[1] - ends[0]) or 1e-9
    return [float(ends[0] - margin), float(ends[1] + margin)]


def curves(
    table: FloatArray, metric: str, sign: int, best: Sequence[tuple[int, FloatArray]], stops: Stops | None = None
) -> Chart:
    """Return learning curves [trials, epochs] as a density with quantiles, and the best ones on top, by their ids.

    The picture ends where values are far at the bad end, for what is good to have room. Where a scheduler
    stopped trials there are a line, how many came and went on, and a cross at the end of each.
    """
    epochs = table.shape[1]
    at = np.unique(np.linspace(1, epochs, min(epochs, 120)).astype(np.int64))
    columns = table[:, at - 1]
    low, high = bounds(columns[:, len(at) // 4 :] if len(at) > 4 else columns, worse_end(sign))
    edges = np.linspace(low, high, 61)
    known = np.isfinite(columns)
    counts = np.array([np.histogram(columns[known[:, i], i], edges)[0] for i in range(len(at))], np.float64)
    shares = counts / np.maximum(known.sum(axis=0), 1)[:, None]
    quartiles = np.array([
        np.quantile(columns[known[:, i], i], [0.1, 0.5, 0.9]) if known[:, i].any() else [np.nan] * 3
        for i in range(len(at))
    ])  # fmt: skip
    density = {
        "type": "heatmap", "x": at.tolist(), "y": numbers((edges[1:] + edges[:-1]) / 2), "z": numbers(shares.T**0.5),
        "colorscale": "Greys", "reversescale": True, "showscale": False, "hoverinfo": "skip", "zsmooth": "best",
    }  # fmt: skip
    data: list[dict[str, Any]] = [density]
    for column, name, dash in ((0, "10 %", "dot"), (1, "median", "solid"), (2, "90 %", "dot")):
        line = {"color": BLUE, "width": 2, "dash": dash}
        data.append({
            "type": "scatter", "mode": "lines", "x": at.tolist(), "y": numbers(quartiles[:, column]), "name": name,
            "line": line,
        })  # fmt: skip
    for place, (number, curve) in enumerate(best):
        data.append({
            "type": "scatter", "mode": "lines", "x": at[at <= len(curve)].tolist(),
            "y": numbers(curve[at[at <= len(curve)] - 1]), "name": f"trial {number}",
            "line": {"color": ORANGE if place else RED, "width": 2 if place else 3},
        })  # fmt: skip
    vertical = axis(metric, range=[low, high])
    lines, words = [], []
    if stops is not None:
        marked = most_stopped(stops.rungs(table, 1))
        lines = [
            {"type": "line", "x0": rung.epoch, "x1": rung.epoch, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": GREEN, "width": 1, "dash": "dash"}}
            for rung in marked
        ]  # fmt: skip
        words = [
            {"x": rung.epoch, "yref": "paper", "y": place, "text": text(told(rung)), "showarrow": False,
             "xanchor": "left", "yanchor": "top", "font": {"color": GREEN, "size": 11}}
            for rung, place in zip(marked, steps(marked, epochs), strict=True)
        ]  # fmt: skip
        ends, values = stops.ends(table)
        some = sampled(np.arange(len(ends)))
        data += [] if not len(some) else [{
            "type": "scatter", "mode": "markers", "x": ends[some].tolist(), "y": numbers(values[some]),
            "name": "stopped", "marker": {"symbol": "x-thin-open", "color": GREEN, "size": 6},
            "hovertemplate": "stopped after %{x} epochs at %{y}<extra></extra>",
        }]  # fmt: skip
    return {
        "data": data,
        "layout": layout(
            xaxis=axis("epoch"), yaxis=vertical, showlegend=True, height=420, legend=BELOW,
            shapes=lines, annotations=words,
        ),
    }  # fmt: skip


def most_stopped(rungs: Sequence[Rung]) -> list[Rung]:
    """Return the rungs that a picture has room for, in their order: those at which most was decided."""
    chosen = sorted(rungs, key=lambda rung: -(rung.stopped + rung.copied))[:SHOWN]
    return sorted(chosen, key=lambda rung: rung.epoch)


def told(rung: Rung) -> str:
    """Return in a few characters how many came to a rung and how many went on, or were copied."""
    return f"{rung.came}→{rung.went_on}" if rung.stopped else f"{rung.copied} copied"


def steps(rungs: Sequence[Rung], epochs: int) -> list[float]:
    """Return the heights, as shares of the picture's, at which what is told of rungs finds room beside each other."""
    heights: list[float] = []
    taken: dict[int, float] = {}  # of each step, up to where it is written on
    for rung in rungs:
        room = 0.016 * epochs * (len(told(rung)) + 1)
        step = next((step for step in range(len(rungs)) if taken.get(step, -1.0) <= rung.epoch), 0)
        taken[step] = rung.epoch + room
        heights.append(1.0 - 0.055 * step)
    return heights


def importances(found: Importance, most: int = SHOWN) -> Chart:
    """Return shares of variance as bars with their intervals, the largest first."""
    shares = [*reversed(found.shares[:most])]
    names = [" x ".join(each.names) for each in shares]
    values = np.array([each.share for each in shares])
    above, below = np.array([each.high for each in shares]) - values, values - np.array([each.low for each in shares])
    bars = {
        "type": "bar", "orientation": "h", "x": numbers(values), "y": [text(name) for name in names],
        "marker": {"color": [BLUE if len(each.names) == 1 else ORANGE for each in shares]},
        "error_x": {"type": "data", "array": numbers(above), "arrayminus": numbers(below), "color": BLACK, "width": 4},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }  # fmt: skip
    across = axis(f"share of the variance of {found.of}", tickformat=".0%", rangemode="tozero")
    return {
        "data": [bars],
        "layout": layout(
            xaxis=across,
            yaxis={"automargin": True},
            height=110 + 28 * len(shares),
            margin={"l": 20, "r": 20, "t": 30, "b": 50},
        ),
    }


def scattered(factor: Factor, rows: NDArray[np.int64]) -> FloatArray:
    """Return where trials stand along the axis of a hyperparameter: beside each other, where it has few values."""
    x, values = factor.x[rows], np.unique(factor.x[factor.present])
    if not factor.words and len(values) > BINS:
        return x
    shift = (np.arange(len(x)) * GOLDEN % 1.0 - 0.5) / 2
    if factor.log:
        return np.asarray(x * (1 + 0.2 * shift))
    apart = 1.0 if factor.words or len(values) < 2 else float(np.diff(values).min())
    return np.asarray(x + apart * shift)


def slice_chart(sheet: Sheet, factor: Factor) -> Chart:
    """Return the score against a hyperparameter: trials, the mean of bins with its interval, and the best trial."""
    rows = np.flatnonzero(np.isfinite(sheet.scores) & factor.present)
    near, _ = sheet.tamed()  # over all trials: one scale, and the same means, in each picture
    some, found = sampled(rows), slice_of(factor, near)
    x = scattered(factor, some)
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "markers", "x": numbers(x), "y": numbers(sheet.scores[some]),
            "text": [f"trial {number}" for number in sheet.ids[some].tolist()],
            "marker": {"color": GREY, "size": 4, "opacity": 0.35}, "hovertemplate": "%{text}: %{y}<extra></extra>",
        },
        {
            "type": "scatter", "mode": "lines+markers" if not factor.words else "markers", "x": numbers(found.at),
            "y": numbers(found.mean), "line": {"color": BLUE, "width": 2}, "marker": {"color": BLUE, "size": 7},
            "error_y": {
                "type": "data", "array": numbers(found.high - found.mean), "color": BLUE, "thickness": 1.5, "width": 3
            },
            "hovertemplate": "mean %{y}<extra></extra>",
        },
    ]  # fmt: skip
    best = sheet.best_first[:1]
    if len(best) and factor.present[best[0]]:
        data.append({
            "type": "scatter", "mode": "markers", "x": numbers(factor.x[best]), "y": numbers(sheet.scores[best]),
            "marker": {"color": RED, "size": 10, "symbol": "star"}, "hovertemplate": "best: %{y}<extra></extra>",
        })  # fmt: skip
    up = axis(sheet.objective, range=bounds(near[rows], "none"))
    return {"data": data, "layout": layout(xaxis=of_factor(factor), yaxis=up, height=300)}


def parallel(sheet: Sheet, factors: Sequence[Factor]) -> Chart:
    """Return parallel coordinates of trials with a score, which can be brushed; the score stands first.

    Of many trials they are PARALLEL, evenly taken by rank.
    """
    rows = np.sort(sampled(sheet.best_first, PARALLEL))
    scores = sheet.tamed()[0][rows]
    low, high = bounds(scores, "none", 0.0)
    dimensions: list[dict[str, Any]] = [{"label": text(sheet.objective), "values": numbers(scores)}]
    for factor in factors[:SHOWN]:
        x = factor.x[rows]
        known = x[~np.isnan(x)]
        if not len(known):  # only where no trial has a score
            continue
        if factor.words:
            values, at, words = x, [*range(len(factor.words))], [*factor.labels]
        elif factor.log:
            values = np.log10(x)
            at = [*range(int(np.ceil(np.log10(known.min()))), int(np.floor(np.log10(known.max()))) + 1)]
            words = [f"{10.0**power:g}" for power in at]
            if len(at) < 2:
                at, words = [*np.log10([known.min(), known.max()])], [f"{known.min():.3g}", f"{known.max():.3g}"]
        else:
            values = x
            at = [*np.linspace(known.min(), known.max(), min(5, len(np.unique(known))))]
            span = float(at[-1] - at[0]) or 1.0
            words = [f"{round(value / span, 3) * span:.3g}" for value in at]
        if np.isnan(values).any():  # a place of its own below, for those in which it is absent
            floor = np.nanmin(values) - 0.15 * (np.nanmax(values) - np.nanmin(values) or 1.0)
            values = np.where(np.isnan(values), floor, values)
            at, words = [floor, *at], ["absent", *words]
        dimensions.append({
            "label": text(factor.name), "values": numbers(values), "tickvals": numbers(at),
            "ticktext": [text(word) for word in words],
        })  # fmt: skip
    line = {
        "color": numbers(scores), "colorscale": SCALE, "reversescale": sheet.sign < 0, "showscale": True,
        "cmin": low, "cmax": high,
    }  # fmt: skip
    chart = {"type": "parcoords", "line": line, "dimensions": dimensions, "labelangle": -20, "labelside": "top"}
    return {"data": [chart], "layout": layout(height=460, margin={"l": 80, "r": 40, "t": 90, "b": 30})}


def heat(a: Factor, b: Factor, response: FloatArray, name: str, sign: int = 1, most: int = 10) -> Chart:
    """Return the mean of a response over two hyperparameters: the first upwards, the second to the right."""
    at_a, at_b, mean, counts = grid_of(a, b, response, most)
    hover = [[f"{n} trials" for n in row] for row in counts.tolist()]
    chart = {
        "type": "heatmap", "x": [text(b.shown(value)) for value in at_b], "y": [text(a.shown(value)) for value in at_a],
        "z": numbers(mean), "colorscale": SCALE, "reversescale": sign < 0, "text": hover,
        "colorbar": {"title": {"text": text(name), "side": "right"}},
        "hovertemplate": f"{text(a.name)} %{{y}}, {text(b.name)} %{{x}}: %{{z}} (%{{text}})<extra></extra>",
    }  # fmt: skip
    across, up = axis(b.name, type="category"), axis(a.name, type="category", automargin=True)
    return {"data": [chart], "layout": layout(xaxis=across, yaxis=up, height=360)}


def front(sheet: Sheet, seconds: FloatArray) -> NDArray[np.int64]:
    """Return the rows of trials that no other one beats in score and in seconds, the cheapest first."""
    rows = np.flatnonzero(np.isfinite(sheet.scores) & (seconds > 0))
    order = rows[np.lexsort((-sheet.sign * sheet.scores[rows], seconds[rows]))]
    merits = sheet.sign * sheet.scores[order]
    return order[merits > np.concatenate([[-np.inf], np.maximum.accumulate(merits)[:-1]])]


def cost(sheet: Sheet, seconds: FloatArray, label: str) -> Chart:
    """Return the score against what a trial cost, with those that no other one beats in both."""
    rows = np.flatnonzero(np.isfinite(sheet.scores) & (seconds > 0))
    some = sampled(rows)
    best = front(sheet, seconds)
    data = [
        {
            "type": "scatter", "mode": "markers", "x": numbers(seconds[some]), "y": numbers(sheet.scores[some]),
            "text": [f"trial {number}" for number in sheet.ids[some].tolist()],
            "marker": {"color": GREY, "size": 4, "opacity": 0.4}, "hovertemplate": "%{text}: %{y}<extra></extra>",
        },
        {
            "type": "scatter", "mode": "lines+markers", "x": numbers(seconds[best]), "y": numbers(sheet.scores[best]),
            "line": {"color": RED, "shape": "hv"}, "marker": {"size": 8, "color": RED},
            "text": [f"trial {number}" for number in sheet.ids[best].tolist()],
            "hovertemplate": "%{text}: %{y}<extra></extra>",
        },
    ]  # fmt: skip
    log = bool(len(rows)) and float(seconds[rows].max() / seconds[rows].min()) > 10
    up = axis(sheet.objective, range=bounds(sheet.tamed()[0][rows], "none"))
    return {"data": data, "layout": layout(xaxis=axis(label, log), yaxis=up, height=360)}


def bars(labels: Sequence[str], values: Sequence[float], across: str, up: str) -> Chart:
    """Return counts as bars."""
    chart = {"type": "bar", "x": [text(label) for label in labels], "y": [*values], "marker": {"color": BLUE}}
    return {"data": [chart], "layout": layout(xaxis=axis(across, type="category"), yaxis=axis(up), height=280)}


def confusion(truth: Sequence[str], predicted: Sequence[str]) -> Chart:
    """Return how often each class was taken for each."""
    classes = sorted({*truth, *predicted})
    place = {name: i for i, name in enumerate(classes)}
    table = np.zeros((len(classes), len(classes)))
    for true, said in zip(truth, predicted, strict=True):
        table[place[true], place[said]] += 1
    labels = [text(name) for name in classes]
    chart = {
        "type": "heatmap", "x": labels, "y": labels, "z": numbers(table), "colorscale": "Blues", "reversescale": True,
        "texttemplate": "%{z}" if len(classes) <= 15 else "", "showscale": len(classes) > 15,
        "hovertemplate": "%{y} taken for %{x}: %{z}<extra></extra>",
    }  # fmt: skip
    size = 180 + 30 * min(len(classes), 15)
    return {
        "data": [chart],
        "layout": layout(
            xaxis=axis("predicted", type="category"),
            yaxis=axis("true", type="category", autorange="reversed", automargin=True),
            height=size,
        ),
    }  # fmt: skip


def residuals(truth: FloatArray, predicted: FloatArray, name: str) -> Chart:
    """Return what was predicted against the truth, with the line on which both are the same."""
    some = sampled(np.arange(len(truth)))
    ends = [float(np.nanmin(truth)), float(np.nanmax(truth))]
    data = [
        {
            "type": "scatter", "mode": "markers", "x": numbers(truth[some]), "y": numbers(predicted[some]),
            "marker": {"color": BLUE, "size": 5, "opacity": 0.5},
        },
        {"type": "scatter", "mode": "lines", "x": ends, "y": ends, "line": {"color": RED, "dash": "dash"}},
    ]  # fmt: skip
    return {"data": data, "layout": layout(xaxis=axis(f"true {name}"), yaxis=axis("predicted"), height=360)}


def spreads(values: Mapping[str, FloatArray], across: str) -> Chart:
    """Return up to three distributions beside each other, as boxes, by what they are called."""
    data = [
        {
            "type": "box",
            "x": numbers(each),
            "name": text(label),
            "marker": {"color": color},
            "boxpoints": False,
        }
        for (label, each), color in zip(values.items(), (BLUE, ORANGE, GREEN), strict=False)
    ]
    return {"data": data, "layout": layout(xaxis=axis(across), yaxis={"automargin": True}, height=120 + 70 * len(data))}
