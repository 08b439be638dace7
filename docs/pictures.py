"""The pictures of the documentation, made by sweeps: `python docs/pictures.py` writes them into docs/pictures.

Two sweeps on the built-in digits, some two minutes on two cores: a grid of learning rates and momenta, and random
configs of docs/first_sweep.md. The same versions give the same pictures. docs/drawing.py has what is drawn by hand.
"""

import io
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import jaxsweep as js

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path(__file__).resolve().parent / "pictures"
LARGEST = 60_000  # bytes of a picture
COLORS = 128  # of the palette of one that would be larger: thin lines of a rare colour may lose it
SIDE = 64  # learning rates, and momenta
TRIALS = 1000
NAMES = ("edge", "curves", "importance", "slices", "interaction")

EDGE = js.Space(
    learning_rate=js.LogUniform(1e-3, 1e1),
    momentum=js.Uniform(0.0, 0.99),
    optimizer="sgd",
    depth=1,
    width=32,
    batch_size=64,
    epochs=5,
)
FIRST = js.Space(  # of docs/first_sweep.md
    learning_rate=js.LogUniform(1e-4, 1.0),
    optimizer=js.Choice(["sgd", "adam", "rmsprop"]),
    momentum=js.Uniform(0.0, 0.95, when={"optimizer": "sgd"}),
    width=js.Choice([16, 32, 64]),
    depth=js.Int(1, 2),
    activation=js.Choice(["relu", "tanh"]),
    dropout=js.Uniform(0.0, 0.5),
    batch_size=64,
    epochs=10,
)


def edge() -> "Figure":
    """Return what each of 4,096 networks came to, over its learning rate and its momentum."""
    from matplotlib import pyplot

    result = _swept(EDGE, search="grid", resolution=SIDE)
    frame = result.to_pandas().pivot(index="momentum", columns="learning_rate", values="score")
    figure, axes = pyplot.subplots(figsize=(8.4, 3.5), layout="constrained")
    low, high = np.log10(frame.columns[[0, -1]].to_numpy(float))
    image = axes.imshow(
        frame.to_numpy(), origin="lower", aspect="auto", extent=(low, high, frame.index[0], frame.index[-1]),
        cmap="viridis", interpolation="nearest",
    )  # fmt: skip
    ticks = range(int(low), int(high) + 1)
    axes.set_xticks(ticks, [f"{10.0**power:g}" for power in ticks])
    axes.set(xlabel="learning rate", ylabel="momentum of sgd")
    axes.set_title(f"{len(result.trials):,} networks, one in each cell, trained in one sweep", fontsize="medium")
    figure.colorbar(image, ax=axes, label="accuracy on the validation rows")
    return figure


def understood() -> "tuple[Figure, ...]":
    """Return the pictures that a result draws of random configs of the first sweep: NAMES but for the first."""
    result = _swept(FIRST, trials=TRIALS)
    print(result.importance().told(), result.compare("optimizer").told(), sep="\n")
    plot = result.plot
    slices = plot.slices(["learning_rate", "momentum", "optimizer", "width"])
    return plot.curves(), plot.importance(most=8), slices, plot.interaction("learning_rate", "optimizer")


def _swept(space: js.Space, **more: object) -> js.Result:
    before = time.monotonic()
    result = js.sweep("digits", space, progress=False, **more)  # type: ignore[arg-type]
    print(f"{len(result.trials):,} networks in {time.monotonic() - before:.0f} s: {result!r}")
    return result


def write(name: str, figure: "Figure") -> None:
    """Write a figure as a PNG, of few colours if it would be large, which it must not be in a repository."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    image = Image.open(drawn).convert("RGB")
    image.save(small, "PNG", optimize=True)
    if small.tell() > LARGEST:
        small = io.BytesIO()
        image.quantize(COLORS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    if small.tell() > LARGEST:
        sys.exit(f"{name}.png has {small.tell():,} bytes, more than {LARGEST:,}: draw it smaller")
    (FOLDER / f"{name}.png").write_bytes(small.getvalue())
    print(f"docs/pictures/{name}.png: {small.tell():,} bytes")


def main() -> None:
    """Train, draw and write all of them."""
    import matplotlib

    matplotlib.use("Agg")
    FOLDER.mkdir(exist_ok=True)
    for name, figure in zip(NAMES, (edge(), *understood()), strict=True):
        write(name, figure)


if __name__ == "__main__":
    main()
