"""A scene as a few lines of text for a terminal, in dots of Braille or in ASCII, and as SVG for a notebook."""

import html

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from jaxsweep.report.scene import Scene

Floats = NDArray[np.float64]

HEIGHT = 5  # lines of a picture
WIDEST = 44  # columns
NARROWEST = 18
LABEL = 7  # columns of a score at its side
GAP = 3
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of a character, from the top
_SHADES = " .:*#"
SVG = (260, 90)  # pixels of a picture
CIRCLES = 300


def lines(scene: Scene, columns: int, ascii_only: bool) -> list[Text]:
    """Return a scene as lines of text that are at most so many columns wide; none where there is no room for it.

    On the left scores against the hyperparameter, on the right, if there is room, the best curve.
    """
    both = len(scene.curve) > 1 and columns >= 2 * (NARROWEST + LABEL) + GAP
    width = min(WIDEST, ((columns - GAP) // 2 if both else columns) - LABEL)
    if width < NARROWEST:
        return []
    found = _panel(
        scene.title, _points(scene, width, ascii_only), scene.low, scene.high,
        _ticks(scene.ticks, width), width,
    )  # fmt: skip
    if both:
        last = len(scene.curve)
        low, high, cells = _line(scene.curve, width, ascii_only)
        ticks = _ticks(((0.0, "epoch 1"), (1.0, str(last))), width)
        right = _panel(f"{scene.objective} of trial {scene.trial}", cells, low, high, ticks, width)
        for left, other in zip(found, right, strict=True):
            left.append(" " * GAP)
            left.append_text(other)
    return found


def _panel(
    title: str, cells: list[list[tuple[str, str]]], low: float, high: float, ticks: str, width: int
) -> list[Text]:
    """Return a picture with its title, the scores at its ends, and what is written below it."""
    found = [Text(f"{title:<{LABEL + width}.{LABEL + width}}", style="dim", no_wrap=True)]
    for row, cells_of_row in enumerate(cells):
        label = f"{high:.4g}" if row == 0 else f"{low:.4g}" if row == HEIGHT - 1 else ""
        line = Text(f"{label:>{LABEL - 1}.{LABEL - 1}} ", style="dim", no_wrap=True)
        for character, style in cells_of_row:
            line.append(character, style=style or "not dim cyan")
        found.append(line)
    return [*found, Text(" " * LABEL + ticks, style="dim", no_wrap=True)]


def _ticks(ticks: tuple[tuple[float, str], ...], width: int) -> str:
    """Return words at their places, as far as they find room."""
    line = [" "] * width
    for place, word in ticks:
        shown = word[: max(3, width // len(ticks) - 1)]
        start = int(np.clip(round(place * width - len(shown) / 2), 0, width - len(shown)))
        if all(character == " " for character in line[max(0, start - 1) : start + len(shown) + 1]):
            line[start : start + len(shown)] = shown
    return "".join(line)


def _points(scene: Scene, width: int, ascii_only: bool) -> list[list[tuple[str, str]]]:
    """Return the characters of a scatter, with the style of each: the best trial's stands out."""
    grid, counts = np.zeros((HEIGHT, width), np.int64), np.zeros((HEIGHT, width), np.int64)
    across = np.minimum((scene.x * 2 * width).astype(np.int64), 2 * width - 1)
    down = np.minimum(((1 - scene.y) * 4 * HEIGHT).astype(np.int64), 4 * HEIGHT - 1)
    np.bitwise_or.at(grid, (down // 4, across // 2), _DOTS[down % 4, across % 2])
    np.add.at(counts, (down // 4, across // 2), 1)
    shade = np.minimum(np.ceil(np.log2(counts + 1)).astype(np.int64), len(_SHADES) - 1)
    rows = [
        [(_SHADES[shade[r, c]] if ascii_only else _braille(grid[r, c]), "") for c in range(width)]
        for r in range(HEIGHT)
    ]
    r, c = int(down[scene.best] // 4), int(across[scene.best] // 2)
    rows[r][c] = ("@" if ascii_only else rows[r][c][0], "not dim bold green")
    return rows


def _line(curve: Floats, width: int, ascii_only: bool) -> tuple[float, float, list[list[tuple[str, str]]]]:
    """Return the scores at both ends, and the characters of a curve."""
    low, high = float(curve.min()), float(curve.max())
    at = np.linspace(0, len(curve) - 1, 2 * width)
    values = np.interp(at, np.arange(len(curve)), curve)
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    down = np.minimum(((1 - share) * 4 * HEIGHT).astype(np.int64), 4 * HEIGHT - 1)
    grid = np.zeros((HEIGHT, width), np.int64)
    for place, row in enumerate(down.tolist()):
        before = int(down[max(place - 1, 0)])
        for dot in range(min(row, before + (row > before)), max(row, before - (row < before)) + 1):  # no gaps
            grid[dot // 4, place // 2] |= int(_DOTS[dot % 4, place % 2])
    rows = [[("*" if ascii_only else _braille(bits), "") if bits else (" ", "") for bits in row] for row in grid]
    return low, high, rows


def _braille(bits: int) -> str:
    return chr(0x2800 + int(bits)) if bits else " "


def svg(scene: Scene) -> str:
    """Return a scene as pictures in SVG, whose words are text and nothing else."""
    across, down = SVG
    some = np.unique([*np.linspace(0, len(scene.x) - 1, min(CIRCLES, len(scene.x))).astype(np.int64), scene.best])
    circles = "".join(
        f'<circle cx="{scene.x[n] * across:.0f}" cy="{(1 - scene.y[n]) * down:.0f}" '
        + ('r="4" fill="#D55E00"/>' if n == scene.best else 'r="2" fill="#0072B2" fill-opacity="0.4"/>')
        for n in some
    )
    words = " · ".join(word for _, word in scene.ticks)
    found = _framed(scene.title, circles, scene.low, scene.high, words)
    if len(scene.curve) > 1:
        low, high = float(scene.curve.min()), float(scene.curve.max())
        x = np.linspace(0, across, len(scene.curve))
        y = (high - scene.curve) / ((high - low) or 1.0) * down
        step = -(-len(x) // CIRCLES)
        places = " ".join(f"{a:.0f},{b:.0f}" for a, b in zip(x[::step], y[::step], strict=True))
        line = f'<polyline points="{places}" fill="none" stroke="#D55E00" stroke-width="2"/>'
        title = f"{scene.objective} of trial {scene.trial}"
        found += _framed(title, line, low, high, f"epoch 1 · {len(scene.curve)}")
    return f"<div>{found}</div>"


def _framed(title: str, inside: str, low: float, high: float, below: str) -> str:
    across, down = SVG
    font = 'font-family="sans-serif" font-size="10" fill="currentColor"'
    said = (
        f'<text x="46" y="10" {font}>{html.escape(title)}</text>'
        f'<text x="42" y="24" text-anchor="end" {font}>{high:.4g}</text>'
        f'<text x="42" y="{down + 18}" text-anchor="end" {font}>{low:.4g}</text>'
        f'<text x="46" y="{down + 34}" {font}>{html.escape(below)}</text>'
        f'<path d="M46 18V{down + 20}H{across + 50}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>'
    )
    return (
        f'<svg width="{across + 56}" height="{down + 40}" role="img">{said}'
        f'<g transform="translate(48 19)">{inside}</g></svg>'
    )
