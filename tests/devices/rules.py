"""What a training program that was compiled for an accelerator has to be, and what of it is not.

The figures are read from what XLA made of the program, so that they hold for a device that nobody has at hand.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from devices.hlo import Compiled

# Of a step of 1,024 digit networks 64-64, batch 64: kernels, and bytes that these read and write for each network.
# Those of a TPU count what it brings into its own memory beforehand.
BUDGETS = {
    ("gpu", "uniform"): (22, 700e3),
    ("gpu", "mixed"): (30, 800e3),
    ("gpu", "everything"): (48, 1_010e3),
    ("tpu", "uniform"): (110, 1_250e3),
    ("tpu", "mixed"): (125, 1_600e3),
    ("tpu", "everything"): (300, 3_300e3),
}
# Of the bytes of a state, what a step may copy: on a TPU the last layer and biases, for their layout, .039 of it at the
# most, and where optimizers are mixed one of two kernels.
COPIED = {("tpu", "mixed"): 0.18}
LITTLE = 0.04


class Evidence(NamedTuple):
    """A compiled training program, as `absent.py` writes it down."""

    kind: str  # of device: gpu or tpu
    scenario: str
    facts: Mapping[str, Any]
    traced: str  # StableHLO
    compiled: str  # optimized HLO
    launches: str | None = None  # of a GPU: XLA's sequence of launches, after its passes


class Finding(NamedTuple):
    """A rule, what was found, and what would be right."""

    rule: str
    found: str
    limit: str
    kept: bool


class Figures(NamedTuple):
    """What a step and an epoch take."""

    kernels: int
    bytes: float  # of one lane, in a step ...
    epoch_kernels: int
    epoch_bytes: float  # ... and in the rest of an epoch


def figures(evidence: Evidence) -> Figures:
    """Return what a step takes, and what is done once an epoch, loops not counted."""
    program, tile = Compiled.read(evidence.compiled), evidence.facts["tile"]
    step, epoch = program.cost(program.step), program.cost(program.epoch)
    return Figures(step.kernels, step.bytes / tile, epoch.kernels, epoch.bytes / tile)


def findings(evidence: Evidence) -> list[Finding]:
    """Return what every rule has to say."""
    program, facts = Compiled.read(evidence.compiled), evidence.facts
    step, most = program.cost(program.step), BUDGETS[evidence.kind, evidence.scenario]
    products = re.findall(r"stablehlo\.(?:dot_general|convolution).*", evidence.traced)
    soft = [product for product in products if "precision = [HIGHEST, HIGHEST]" not in product]
    narrow = sorted({name for name in ("bf16", "f16", "tf32") if re.search(rf"\b{name}\b", evidence.compiled)})
    sorts = sum(each.kind == "sort" for operations in program.computations.values() for each in operations)
    copied = step.copied(facts["state"]) / facts["state_bytes"]
    little = COPIED.get((evidence.kind, evidence.scenario), LITTLE)
    a_lane = step.bytes / facts["tile"]
    found = [
        _rule("matrix products of default precision", len(soft), 0, f" of {len(products)}"),
        Finding("numbers of fewer than 32 bits", ", ".join(narrow) or "none", "none", not narrow),
        _rule("arrays of float64", len(re.findall(r"\bf64\[", evidence.compiled)), 0),
        Finding(
            "bytes of the state that the next call may reuse", f"{facts['donated_bytes']:,}",
            f"at least {facts['state_bytes']:,}", facts["donated_bytes"] >= facts["state_bytes"],
        ),
        _rule("loops inside a step", len(step.loops), 0),
        _rule("sorts", sorts, 0),
        Finding("share of the state copied in a step", f"{copied:.3f}", f"at most {little}", copied <= little),
        _rule("kernels of a step", step.kernels, most[0]),
        Finding("KB a lane-step", f"{a_lane / 1e3:.0f}", f"at most {most[1] / 1e3:.0f}", a_lane <= most[1]),
    ]  # fmt: skip
    if evidence.kind == "gpu":
        buffers, driven = driven_by_host(evidence.launches or "")
        found += [
            _rule("loops and choices driven by the host", driven, 0),
            Finding("command buffers", str(buffers), "1", buffers == 1),
        ]
    return found


def _rule(rule: str, found: int, most: int, of: str = "") -> Finding:
    return Finding(rule, f"{found}{of}", f"at most {most}" if most else "0", found <= most)


def driven_by_host(launches: str) -> tuple[int, int]:
    """Return how many command buffers a program has, and how many loops and choices are outside of them."""
    buffers, driven, inside = 0, 0, None
    for line in launches.splitlines():
        if (thunk := re.match(r"(\s*)\d+: (\w+)", line)) is None:
            continue
        indent, kind = len(thunk[1]), thunk[2]
        if inside is not None and indent <= inside:
            inside = None
        if inside is not None:
            continue
        if kind == "kCommandBuffer":
            buffers, inside = buffers + 1, indent
        driven += kind in ("kWhile", "kConditional")
    return buffers, driven
