"""The drawing of how configs become lanes, tiles and trials: `.venv/bin/python docs/drawing.py` writes it.

An SVG of plain shapes and of text that stays text. Colours are those of Okabe and Ito (2008); what they say is said by
words and by hatching, too.
"""

from html import escape
from pathlib import Path

PATH = Path(__file__).resolve().parent / "pictures" / "lanes.svg"
BLUE, ORANGE, RED, INK, GREY = "#0072B2", "#E69F00", "#D55E00", "#222222", "#777777"
WIDTH, HEIGHT = 960, 452
CONFIGS = (  # of a sweep, each with its bucket
    ("64-64, adam", BLUE), ("32-32, sgd", BLUE), ("256-256-256, adam", ORANGE), ("64, adam", BLUE),
    ("128-256-128, sgd", ORANGE), ("48-48, adam", BLUE), ("...", GREY),
)  # fmt: skip
SLOTS = ((64, 64), (32, 32), (40, 40), (48, 48), (64, 64), (24, 24), (0, 0), (64, 64))  # true widths in the upper tile
LARGE = ((256, 256, 256), (128, 256, 128), (200, 256, 100), (256, 128, 64))


def rect(x: float, y: float, width: float, height: float, fill: str = "none", stroke: str = INK, more: str = "") -> str:
    """Return a box."""
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect {place} fill="{fill}" stroke="{stroke}" {more}/>'


def text(x: float, y: float, words: str, size: int = 13, anchor: str = "start", more: str = "") -> str:
    """Return a line of text."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" {more}>{escape(words)}</text>'


def arrow(x: float, y: float, to_x: float, to_y: float, color: str = INK) -> str:
    """Return an arrow that leaves and arrives level."""
    half = (x + to_x) / 2
    path = f"M{x:g},{y:g} C{half:g},{y:g} {half:g},{to_y:g} {to_x - 7:g},{to_y:g}"
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.5" marker-end="url(#head)"/>'


def lane(x: float, y: float, widths: tuple[int, ...], largest: int, color: str) -> str:
    """Return a slot of a tile: a column for each layer, the network's own units filled, its padding hatched."""
    side, deep = 40, len(widths)
    column = side / deep
    parts = [rect(x, y, side, side, "url(#padding)", color)]
    for number, units in enumerate(widths):
        high = side * units / largest
        if high:
            parts.append(rect(x + number * column, y + side - high, column, high, color, "#ffffff", 'stroke-width="1"'))
    return "".join(parts)


def configs() -> list[str]:
    """Return the configs and their ways into buckets."""
    parts = [text(20, 56, "configs, by a searcher", more='font-weight="bold"')]
    for number, (words, color) in enumerate(CONFIGS):
        y = 72 + 38 * number
        dashed = 'stroke-width="2" rx="5"' + (' stroke-dasharray="6 3"' if color == ORANGE else "")
        parts += [rect(20, y, 150, 28, "#ffffff", color, dashed), text(95, y + 19, words, anchor="middle")]
        if color != GREY:
            parts.append(arrow(172, y + 14, 240, 118 if color == BLUE else 292, color))
    return parts


def buckets() -> list[str]:
    """Return the buckets, each with its program."""
    parts = [text(240, 56, "buckets, by the plan", more='font-weight="bold"')]
    for y, color, shape in ((82, BLUE, "up to 2 layers of 64"), (256, ORANGE, "3 layers of 256")):
        dashed = 'stroke-width="2" rx="5"' + (' stroke-dasharray="6 3"' if color == ORANGE else "")
        parts += [
            rect(240, y, 176, 76, "#ffffff", color, dashed),
            text(328, y + 22, shape, anchor="middle"),
            text(328, y + 42, "one compiled program", anchor="middle"),
            text(328, y + 62, "a queue of waiting lanes", anchor="middle"),
            arrow(418, y + 38, 478, y + 38, color),
        ]
    return parts


def tiles() -> list[str]:
    """Return two tiles, and what leaves and enters them."""
    parts = [text(480, 56, "tiles of lanes, by workers", more='font-weight="bold"')]
    for number, widths in enumerate(SLOTS):
        parts.append(lane(482 + 44 * (number % 4), 76 + 44 * (number // 4), widths, 64, BLUE))
    free = (482 + 44 * 2 + 20, 76 + 44 + 20)
    parts += [
        rect(free[0] - 15, free[1] - 9, 30, 18, "#ffffff", "none"), text(free[0], free[1] + 4, "free", 12, "middle"),
        text(482, 184, "worker 1: one call trains all 8", 12), text(482, 200, "for some epochs, about 0.15 s", 12),
    ]  # fmt: skip
    for number, large in enumerate(LARGE):
        parts.append(lane(482 + 44 * number, 274, large, 256, ORANGE))
    parts += [
        text(482, 336, "worker 2 trains the other tile", 12), text(482, 352, "at the same time", 12),
        arrow(664, 120, 742, 120, BLUE), arrow(664, 294, 742, 174, ORANGE),
    ]  # fmt: skip
    return parts


def trials() -> list[str]:
    """Return what becomes of lanes that end."""
    said = (
        "a lane that ends leaves:", "status, learning curves,", "test metrics, weights of", "the best; a waiting lane",
        "takes its slot",
    )  # fmt: skip
    parts = [text(744, 56, "trials", more='font-weight="bold"'), rect(744, 76, 196, 132, "#ffffff", INK, 'rx="5"')]
    parts += [text(756, 100 + 22 * number, words) for number, words in enumerate(said)]
    parts += [
        rect(744, 254, 196, 76, "#ffffff", INK, 'rx="5"'),
        text(842, 278, "committed to trials.sqlite,", anchor="middle"),
        text(842, 298, "then shown, then told", anchor="middle"),
        text(842, 318, "to the searcher", anchor="middle"),
        '<path d="M842,210 L842,246" stroke="#222222" stroke-width="1.5" marker-end="url(#head)"/>',
        '<path d="M842,332 L842,368 L95,368 L95,346" fill="none" stroke="#222222" stroke-width="1.5" '
        'stroke-dasharray="2 3" marker-end="url(#head)"/>',
        text(470, 386, "the next batch, where the searcher learns", 12, "middle"),
    ]  # fmt: skip
    return parts


def legend() -> list[str]:
    """Return what fillings mean."""
    return [
        rect(240, 412, 22, 22, BLUE), text(270, 428, "units that a network has"),
        rect(470, 412, 22, 22, "url(#padding)"), text(500, 428, "padding: computed, and selected away"),
    ]  # fmt: skip


def drawing() -> str:
    """Return the whole drawing."""
    title = "How configs become trials"
    about = (
        "Configs of a searcher are put into buckets of similar shapes. Each bucket has one compiled program and a "
        "queue of lanes. Workers fill tiles from the queues and advance each tile by calls of its program. Lanes that "
        "end leave their slots to waiting ones, and become trials, which are recorded and told to the searcher."
    )
    head = (
        '<marker id="head" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#222222"/></marker>'
    )
    padding = (
        '<pattern id="padding" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="6" height="6" fill="#ffffff"/><path d="M0,0 L0,6" stroke="#999999" stroke-width="2"/></pattern>'
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" fill="{INK}">',
        f"<title>{title}</title>", f"<desc>{about}</desc>", f"<defs>{head}{padding}</defs>",
        rect(0, 0, WIDTH, HEIGHT, "#ffffff", "none"),
        text(20, 28, title, 16, more='font-weight="bold"'),
        *configs(), *buckets(), *tiles(), *trials(), *legend(), "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(drawing(), encoding="utf-8")
