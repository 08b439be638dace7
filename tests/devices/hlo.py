"""Read what XLA made of a training program: its loops, kernels, bytes and copies, from the text of its optimized HLO.

A kernel is an operation that a device runs, a fusion as one. Its bytes are the sizes of what it reads and writes, each
operand as a whole, so that they are more than what moves where a kernel reads but rows of an array.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

BITS = {
    "pred": 8, "s4": 4, "u4": 4, "s8": 8, "u8": 8, "s16": 16, "u16": 16, "bf16": 16, "f16": 16, "s32": 32, "u32": 32,
    "f32": 32, "s64": 64, "u64": 64, "f64": 64, "c64": 64,
}  # fmt: skip
# What names values, or waits for what was begun elsewhere, and runs nothing.
NAMES = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"}
ENDS = {"copy-done", "slice-done", "async-done", "fusion-done", "all-reduce-done"}
_ARRAY = re.compile(rf"\b({'|'.join(BITS)})\[([0-9,]*)\]")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_CALLED = re.compile(r"\b(body|condition|to_apply|calls|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")


def size(kind: str) -> int:
    """Return the bytes of all arrays in a type, such as (f32[2,3]{1,0}, s32[])."""
    found = ((name, math.prod(int(n) for n in shape.split(",") if n)) for name, shape in _ARRAY.findall(kind))
    return sum(BITS[name] * count // 8 for name, count in found)


class Operation(NamedTuple):
    """One line of a computation."""

    name: str
    kind: str  # such as fusion
    type: str  # of its result
    operands: tuple[str, ...]
    called: Mapping[str, tuple[str, ...]]  # computations, by what they are to it


class Cost(NamedTuple):
    """What running a computation once takes; of a choice the dearest branch."""

    kernels: int = 0
    bytes: int = 0
    loops: tuple[str, ...] = ()  # those inside it, whose costs are not counted
    copies: tuple[str, ...] = ()  # types of the arrays that are copied as they are

    def plus(self, other: "Cost") -> "Cost":
        """Return the cost of both."""
        kernels, moved = self.kernels + other.kernels, self.bytes + other.bytes
        return Cost(kernels, moved, self.loops + other.loops, self.copies + other.copies)

    def copied(self, shapes: Collection[str]) -> int:
        """Return the bytes of copied arrays of some types, such as f32[2,3]."""
        return sum(size(kind) for kind in self.copies if kind.split("{")[0] in shapes)


@dataclass(frozen=True)
class Compiled:
    """The computations of a compiled program."""

    computations: Mapping[str, tuple[Operation, ...]]
    entry: str

    @classmethod
    def read(cls, text: str) -> "Compiled":
        """Read the text of optimized HLO."""
        computations: dict[str, list[Operation]] = {}
        entry, current = "", None
        for line in text.splitlines():
            if (head := _HEAD.match(line)) is not None:
                current = computations.setdefault(head[2], [])
                entry = head[2] if head[1] else entry
            elif line.startswith("}"):
                current = None
            elif current is not None and " = " in line:
                current.append(_operation(line))
        if not entry:
            raise ValueError("this is not the text of a compiled program: it has no ENTRY")
        return cls({name: tuple(operations) for name, operations in computations.items()}, entry)

    def loops(self, computation: str) -> list[Operation]:
        """Return the loops of a computation and of what it calls, those with the largest state first."""
        found = [operation for operation in self._inside(computation) if operation.kind == "while"]
        return sorted(found, key=lambda loop: -size(loop.type))

    def _inside(self, computation: str) -> Iterator[Operation]:
        for operation in self.computations[computation]:
            yield operation
            if operation.kind in ("call", "conditional"):
                for names in operation.called.values():
                    for name in names:
                        yield from self._inside(name)

    @cached_property
    def epoch(self) -> str:
        """The computation that trains a tile for an epoch."""
        return self.loops(self.entry)[0].called["body"][0]

    @cached_property
    def step(self) -> str:
        """The computation that trains a tile for a step."""
        return self.loops(self.epoch)[0].called["body"][0]

    def cost(self, computation: str) -> Cost:
        """Return what running a computation once takes."""
        operations = self.computations[computation]
        types = {operation.name: operation.type for operation in operations}
        total = Cost()
        for operation in operations:
            if operation.kind in NAMES or operation.kind in ENDS:
                continue
            if operation.kind == "while":
                total = total.plus(Cost(loops=(operation.name,)))
            elif operation.kind in ("call", "conditional"):
                branches = [self.cost(name) for names in operation.called.values() for name in names]
                total = total.plus(max(branches, key=lambda cost: (cost.bytes, cost.kernels)))
            else:
                moved = size(operation.type) + sum(size(types.get(name, "")) for name in operation.operands)
                copied = (operation.type,) if operation.kind == "copy" else ()
                total = total.plus(Cost(1, moved, copies=copied))
        return total

    def choices(self, computation: str) -> int:
        """Return how many choices of code a computation makes."""
        return sum(operation.kind == "conditional" for operation in self._inside(computation))


def _operation(line: str) -> Operation:
    """Return one line `name = type kind(operands), attributes`; types and operands have parentheses of their own."""
    left, right = line.strip().removeprefix("ROOT ").split(" = ", 1)
    end = _closing(right) if right.startswith("(") else right.index(" ")
    kind, rest = right[end:].strip().split("(", 1)
    close = _closing("(" + rest) - 1
    operands, attributes = rest[: close - 1], rest[close:]
    called: dict[str, tuple[str, ...]] = {role: (name,) for role, name in _CALLED.findall(attributes)}
    if (branches := _BRANCHES.search(attributes)) is not None:
        called["branches"] = tuple(name.strip().removeprefix("%") for name in branches[1].split(","))
    return Operation(left.removeprefix("%"), kind, right[:end], tuple(re.findall(r"%([\w.\-]+)", operands)), called)


def _closing(text: str) -> int:
    """Return the position after the parenthesis that closes the first one."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return place + 1
    raise ValueError(f"no parenthesis closes the first one of {text[:60]}")
