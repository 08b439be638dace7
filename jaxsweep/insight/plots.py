"""Pictures of a sweep for notebooks and files, by matplotlib: `result.plot.slices()` and the like.

Each returns a matplotlib figure; those of one picture draw into `ax`, if one is given. They show what the charts of a
report do, in the same colours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxsweep.errors import RequestError
from jaxsweep.insight import charts
from jaxsweep.insight.far import worse_end
from jaxsweep.insight.importance import importance
from jaxsweep.insight.rungs import Stops
from jaxsweep.insight.sheet import Factor, FloatArray, Sheet
from jaxsweep.insight.surface import grid_of, slice_of
from jaxsweep.spec.extras import extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4  # pictures in a row
SIZE = (3.2, 2.6)  # inches of one of several


@dataclass(frozen=True, repr=False)
class Plots:
    """Pictures of the trials of a sweep.

    Args:
        sheet: the trials.
        table: returns a metric after each epoch, [trials, epochs].
        seconds: float [trials], what each took.
        stops: returns how far each trial came under a scheduler, None without one.
    """

    sheet: Sheet
    table: Callable[[str], FloatArray]
    seconds: FloatArray
    stops: Callable[[], Stops | None] = lambda: None

    def __repr__(self) -> str:
        names = [name for name in vars(type(self)) if not name.startswith("_") and callable(getattr(self, name))]
        return f"Plots({', '.join(name for name in names if name not in ('table', 'stops'))})"

    def curves(self, metric: str | None = None, best: int = charts.LINES, ax: "Axes | None" = None) -> "Figure":
        """Draw a metric after each epoch (by default the objective): how many trials are where, and the best trials.

        Where a scheduler stopped trials there are a line, how many came and went on, and a cross at the end of each.

        Raises:
            RequestError: a metric that has no learning curve; or matplotlib is not installed.
        """
        name = self.sheet.objective if metric is None else metric
        table, axes = self.table(name), _axes(ax)
        epochs = np.arange(1, table.shape[1] + 1)
        known = np.isfinite(table)
        on = np.asarray(known.any(axis=0))
        if not on.any():
            raise RequestError(f"no trial has a finite {name}: there is nothing to draw")
        low, high = charts.bounds(table[:, on], worse_end(self.sheet.way(name)))
        rows, columns = np.nonzero(known)
        edges = [np.append(epochs - 0.5, epochs[-1] + 0.5), np.linspace(low, high, 61)]
        counts, *_ = np.histogram2d(columns + 1.0, table[rows, columns], bins=edges)
        share = counts / np.maximum(known.sum(axis=0), 1)[:, None]
        axes.imshow(
            share.T**0.5, origin="lower", aspect="auto", cmap="Greys", extent=(0.5, epochs[-1] + 0.5, low, high)
        )
        for level, style in ((0.1, ":"), (0.5, "-"), (0.9, ":")):
            line = [np.quantile(table[known[:, i], i], level) if on[i] else np.nan for i in range(len(epochs))]
            label = "median" if level == 0.5 else "tenths at both ends" if level == 0.1 else None
            axes.plot(epochs, line, style, color=charts.BLUE, label=label)
        for place, row in enumerate(self.sheet.best_first[:best].tolist()):
            color = charts.ORANGE if place else charts.RED
            axes.plot(epochs, table[row], color=color, label=f"trial {self.sheet.ids[row]}" if not place else None)
        if (stops := self.stops()) is not None:
            marked = charts.most_stopped(stops.rungs(table, 1))
            across, up = axes.transData, axes.transAxes
            for rung, height in zip(marked, charts.steps(marked, len(epochs)), strict=True):
                axes.axvline(rung.epoch, color=charts.GREEN, linestyle="--", linewidth=0.8)
                axes.annotate(
                    charts.told(rung), (rung.epoch, height), xycoords=(across, up), xytext=(2, -2),
                    textcoords="offset points", va="top", fontsize="x-small", color=charts.GREEN,
                )  # fmt: skip
            ends, values = stops.ends(table)
            some = charts.sampled(np.arange(len(ends)))
            if len(some):
                axes.plot(ends[some], values[some], "x", color=charts.GREEN, markersize=3, label="stopped")
        axes.set(xlabel="epoch", ylabel=name, ylim=(low, high))
        axes.legend(loc="best", fontsize="small")
        return _figure(axes)

    def importance(self, of: str = "score", most: int = charts.SHOWN, ax: "Axes | None" = None) -> "Figure":
        """Draw the shares of the variance of a response, with 95 % intervals; RequestError as `Result.importance`."""
        shares = importance(self.sheet, of).shares[:most]
        axes = _axes(ax)
        values = np.array([each.share for each in shares])
        errors = np.array([[each.share - each.low for each in shares], [each.high - each.share for each in shares]])
        colors = [charts.BLUE if len(each.names) == 1 else charts.ORANGE for each in shares]
        axes.barh([" x ".join(each.names) for each in shares], values, xerr=errors, color=colors, capsize=2)
        axes.invert_yaxis()
        axes.set(xlabel=f"share of the variance of {of}", xlim=(0, None))
        return _figure(axes)

    def slice(self, name: str, of: str = "score", ax: "Axes | None" = None) -> "Figure":
        """Draw a response against a hyperparameter: trials, and means of bins with 95 % intervals.

        Raises:
            RequestError: it was not varied, or there is no such response.
        """
        factor, response, axes = self.sheet.factor(name), self.sheet.response(of), _axes(ax)
        rows = np.flatnonzero(np.isfinite(response) & factor.present)
        near, _ = self.sheet.tamed(of)
        some, found = charts.sampled(rows), slice_of(factor, near)
        axes.plot(charts.scattered(factor, some), response[some], ".", color=charts.GREY, markersize=3, alpha=0.4)
        axes.errorbar(
            found.at, found.mean, found.high - found.mean, color=charts.BLUE, marker="o", markersize=4,
            linestyle="none" if factor.words else "-",
        )  # fmt: skip
        if len(rows):
            axes.set_ylim(*charts.bounds(near[rows], "none"))
        axes.set_ylabel(self.sheet.objective if of == "score" else of)
        _label(axes.xaxis, axes.set_xscale, factor)
        return _figure(axes)

    def slices(self, names: Sequence[str] | None = None, of: str = "score") -> "Figure":
        """Draw a response against each hyperparameter, by default all that the sweep varied, in one figure."""
        chosen = [*self.sheet.factors] if names is None else [self.sheet.factor(name).name for name in names]
        if not chosen:
            raise RequestError("nothing was varied in this sweep: there is nothing to draw")
        pyplot = _pyplot()
        across = min(COLUMNS, len(chosen))
        down = -(-len(chosen) // across)
        figure, several = pyplot.subplots(
            down, across, figsize=(SIZE[0] * across, SIZE[1] * down), squeeze=False, layout="constrained"
        )
        for place, axes in enumerate(several.flat):
            if place < len(chosen):
                self.slice(chosen[place], of, axes)
            else:
                axes.set_axis_off()
        return figure  # type: ignore[no-any-return]

    def interaction(self, a: str, b: str, of: str = "score", ax: "Axes | None" = None) -> "Figure":
        """Draw the mean of a response over two hyperparameters, the first upwards; RequestError as `slice`."""
        first, second, axes = self.sheet.factor(a), self.sheet.factor(b), _axes(ax)
        at_a, at_b, mean, _ = grid_of(first, second, self.sheet.tamed(of)[0], 10)
        if not mean.size:
            raise RequestError(f"no trial has {a}, {b} and a finite {of} together: there is nothing to draw")
        better = self.sheet.sign < 0 and of == "score"
        image = axes.imshow(mean, origin="lower", aspect="auto", cmap="viridis_r" if better else "viridis")
        axes.set_xticks(range(len(at_b)), [second.shown(value) for value in at_b], rotation=45, ha="right")
        axes.set_yticks(range(len(at_a)), [first.shown(value) for value in at_a])
        axes.set(xlabel=b, ylabel=a)
        figure = _figure(axes)
        figure.colorbar(image, ax=axes, label=self.sheet.objective if of == "score" else of)
        return figure

    def cost(self, ax: "Axes | None" = None) -> "Figure":
        """Draw scores against the seconds of each trial, with those that no other one beats in both."""
        sheet, axes = self.sheet, _axes(ax)
        rows = np.flatnonzero(np.isfinite(sheet.scores) & (self.seconds > 0))
        front = charts.front(sheet, self.seconds)
        some = charts.sampled(rows)
        axes.plot(self.seconds[some], sheet.scores[some], ".", color=charts.GREY, markersize=4, alpha=0.5)
        axes.step(self.seconds[front], sheet.scores[front], where="post", color=charts.RED, marker="o", markersize=5)
        axes.set(xlabel="seconds of a trial", ylabel=sheet.objective)
        _logarithmic(axes.xaxis, axes.set_xscale, self.seconds[rows])
        if len(rows):
            axes.set_ylim(*charts.bounds(sheet.tamed()[0][rows], "none"))
        return _figure(axes)

    def parallel(self, names: Sequence[str] | None = None, most: int = 500, ax: "Axes | None" = None) -> "Figure":
        """Draw up to `most` configs, evenly taken by rank, as lines over parallel axes, the best on top."""
        sheet, axes = self.sheet, _axes(ax, (9.0, 4.0))
        factors = [sheet.factor(name) for name in (sheet.factors if names is None else names)]
        rows = charts.sampled(sheet.best_first, most)[::-1]
        if not len(rows):
            raise RequestError("no trial has a score: there is nothing to draw")
        columns = [*(_unit(factor, rows) for factor in factors), _scaled(sheet.sign * sheet.tamed()[0][rows])]
        pyplot = _pyplot()
        shades = pyplot.get_cmap("viridis")(np.linspace(0, 1, len(rows)))
        for line, color in zip(np.column_stack(columns), shades, strict=True):
            axes.plot(line, color=color, linewidth=0.7, alpha=0.6)
        labels = [*(factor.name for factor in factors), sheet.objective]
        axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
        axes.set_yticks([ABSENT, 0, 1], ["absent", "lowest", "highest"])
        axes.grid(axis="x", color="#cccccc")
        return _figure(axes)


NARROW = 100.0  # a logarithmic axis over less than such a factor has more words than one a decade
ABSENT = -0.15  # where the lines of parallel axes go that lack a hyperparameter


def _unit(factor: Factor, rows: Any) -> FloatArray:
    x = factor.x[rows]
    return _scaled(np.log(x) if factor.log and not (x <= 0).any() else x)


def _scaled(x: FloatArray) -> FloatArray:
    low, high = np.nanmin(x, initial=np.inf), np.nanmax(x, initial=-np.inf)
    return np.where(np.isnan(x), ABSENT, (x - low) / (high - low) if high > low else 0.5)


def _pyplot() -> Any:
    extra("matplotlib", "a picture", "report")
    from matplotlib import pyplot

    return pyplot


def _axes(ax: "Axes | None", size: tuple[float, float] = (6.0, 3.8)) -> "Axes":
    pyplot = _pyplot()
    return pyplot.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def _figure(axes: "Axes") -> "Figure":
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _logarithmic(axis: Any, scale: Callable[[str], object], values: FloatArray) -> None:
    """Scale an axis by logarithms; of few decades only 1, 2 and 5 of each have words: more of them would touch."""
    scale("log")
    if len(values) and values.max() < NARROW * values.min():
        from matplotlib.ticker import LogLocator

        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")


def _label(axis: Any, scale: Callable[[str], object], factor: Factor) -> None:
    """Name an axis, with its words or its scale."""
    axis.set_label_text(factor.name)
    if factor.words:
        long = max(map(len, factor.labels)) > charts.LONG
        axis.set_ticks(range(len(factor.words)), factor.labels, **({"rotation": 30, "ha": "right"} if long else {}))
    elif factor.log and not (factor.x <= 0).any():
        _logarithmic(axis, scale, factor.x[factor.present])
    elif len(values := np.unique(factor.x[factor.present])) <= charts.TICKS:
        axis.set_ticks(values, [f"{value:.3g}" for value in values])
