"""The check of programs for absent devices finds what is wrong with one, on a program as XLA writes them."""

from dataclasses import dataclass
from typing import Any

import pytest
from devices.hlo import Compiled, size
from devices.rules import Evidence, Finding, driven_by_host, figures, findings

LAUNCHES = """\
000: kCommandBuffer [source | sink]
    001: kKernel       [source | next=002 (1)] loop_broadcast_fusion
    002: kWhile        [prev=001 (1) | sink]
condition:
        003: kKernel       [source | sink] loop_compare_fusion
      body:
        004: kConditional  [source | sink]
"""

# A training program in small: an epoch of steps, each a product and an update of 4 lanes with 8 weights.
PROGRAM = """\
HloModule jit_call, is_scheduled=true, input_output_alias={ {0}: (0, {}, may-alias) }

%update (p.1: f32[4,8], p.2: f32[4,8]) -> f32[4,8] {
  %p.1 = f32[4,8]{1,0} parameter(0)
  %p.2 = f32[4,8]{1,0} parameter(1)
  ROOT %sum = f32[4,8]{1,0} add(%p.1, %p.2)
}

%step (s: (f32[4,8], s32[])) -> (f32[4,8], s32[]) {
  %s = (f32[4,8]{1,0:T(8,128)}, s32[]) parameter(0)
  %w = f32[4,8]{1,0:T(8,128)} get-tuple-element(%s), index=0
  %n = s32[] get-tuple-element(%s), index=1
  %product = f32[4,8]{1,0} dot(%w, %w), operand_precision={highest,highest}
  %new = f32[4,8]{1,0} fusion(%w, %product), kind=kLoop, calls=%update
  ROOT %both = (f32[4,8]{1,0}, s32[]) tuple(%new, %n)
}

%epoch (e: (f32[4,8], s32[])) -> (f32[4,8], s32[]) {
  %e = (f32[4,8]{1,0}, s32[]) parameter(0)
  %order = s32[4]{0} iota(), iota_dimension=0
  ROOT %steps = (f32[4,8]{1,0}, s32[]) while(%e), condition=%more, body=%step
}

%more (c: (f32[4,8], s32[])) -> pred[] {
  %c = (f32[4,8]{1,0}, s32[]) parameter(0)
  ROOT %yes = pred[] constant(true)
}

ENTRY %main (a: f32[4,8], b: s32[]) -> (f32[4,8], s32[]) {
  %a = f32[4,8]{1,0} parameter(0)
  %b = s32[] parameter(1)
  %first = (f32[4,8]{1,0}, s32[]) tuple(%a, %b)
  ROOT %epochs = (f32[4,8]{1,0}, s32[]) while(%first), condition=%more, body=%epoch
}
"""
TRACED = "%1 = stablehlo.dot_general %0, %0, precision = [HIGHEST, HIGHEST] : (tensor<4x8xf32>)"
FACTS: dict[str, Any] = {"tile": 4, "state": ["f32[4,8]"], "state_bytes": 128, "donated_bytes": 128}
GOOD = Evidence("gpu", "uniform", FACTS, TRACED, PROGRAM, LAUNCHES)


def _broken(evidence: Evidence) -> list[str]:
    return [finding.rule for finding in findings(evidence) if not finding.kept]


def test_a_program_as_it_should_be_keeps_every_rule() -> None:
    assert _broken(GOOD) == []
    assert _broken(GOOD._replace(kind="tpu", launches=None)) == []


def test_a_program_is_read() -> None:
    program = Compiled.read(PROGRAM)
    assert (program.entry, program.epoch, program.step) == ("main", "epoch", "step")
    cost = program.cost("step")
    assert (cost.kernels, cost.bytes, cost.loops, cost.copies) == (2, 2 * 3 * 128, (), ())  # each reads two, writes one
    assert figures(GOOD).bytes == 2 * 3 * 128 / 4
    assert program.cost("epoch").loops == ("steps",)
    assert size("(f32[2,3]{1,0:T(8,128)S(1)}, pred[], bf16[5], s4[2])") == 24 + 1 + 10 + 1
    with pytest.raises(ValueError, match="no ENTRY"):
        Compiled.read("HloModule nothing")


@dataclass(frozen=True)
class Fault:
    """What is put in place of a part of the program, and the rule that then is broken."""

    rule: str
    old: str
    new: str


LOOP = "(f32[4,8]{1,0}, s32[]) while(%s), condition=%more, body=%other"
OTHER = "%other (o: f32[4]) -> f32[4] {\n  ROOT %o = f32[4]{0} parameter(0)\n}\n\n%step ("
FAULTS = [
    Fault("numbers of fewer than 32 bits", "%product = f32", "%product = bf16"),
    Fault("arrays of float64", "%order = s32[4]{0} iota()", "%order = f64[4]{0} iota()"),
    Fault("sorts", "%order = s32[4]{0} iota()", "%order = s32[4]{0} sort(%e)"),
    Fault("share of the state copied in a step", "f32[4,8]{1,0} dot(%w, %w)", "f32[4,8]{1,0} copy(%w)"),
    Fault("loops inside a step", "%new = f32[4,8]{1,0} fusion", f"%lanes = {LOOP}\n  %new = f32[4,8]{{1,0}} fusion"),
    Fault("kernels of a step", "  %new =", "".join(f"  %k.{i} = f32[] negate(%n)\n" for i in range(30)) + "  %new ="),
    Fault("KB a lane-step", "%product = f32[4,8]", "%product = f32[4,9999999]"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.rule)
def test_each_fault_of_a_compiled_program_is_found(fault: Fault) -> None:
    assert fault.old in PROGRAM
    text = PROGRAM.replace(fault.old, fault.new).replace("%step (", OTHER, 1)
    assert _broken(GOOD._replace(compiled=text)) == [fault.rule]


def test_what_a_choice_of_code_copies_is_found_in_its_dearest_branch() -> None:
    branches = (
        "%little (l: f32[4,8]) -> f32[4,8] {\n  %l = f32[4,8]{1,0} parameter(0)\n"
        "  ROOT %same = f32[4,8]{1,0} negate(%l)\n}\n\n"
        "%much (m: f32[4,8]) -> f32[4,8] {\n  %m = f32[4,8]{1,0} parameter(0)\n"
        "  %twice = f32[4,8]{1,0} negate(%m)\n  ROOT %copied = f32[4,8]{1,0} copy(%twice)\n}\n\n%step ("
    )
    choice = "%product = f32[4,8]{1,0} conditional(%n, %w, %w), branch_computations={%little, %much}"
    whole = "%product = f32[4,8]{1,0} dot(%w, %w), operand_precision={highest,highest}"
    text = PROGRAM.replace(whole, choice).replace("%step (", branches, 1)
    program = Compiled.read(text)
    assert program.cost("step").kernels == 2 + 1
    assert program.choices("step") == 1
    assert _broken(GOOD._replace(compiled=text)) == ["share of the state copied in a step"]


def test_faults_beside_the_compiled_program_are_found() -> None:
    soft = TRACED.replace(", precision = [HIGHEST, HIGHEST]", "")
    assert _broken(GOOD._replace(traced=soft)) == ["matrix products of default precision"]
    kept = GOOD._replace(facts={**FACTS, "donated_bytes": 64})
    assert _broken(kept) == ["bytes of the state that the next call may reuse"]


@pytest.mark.parametrize(
    ("launches", "found"),
    [
        (LAUNCHES, (1, 0)),
        (LAUNCHES.replace("kCommandBuffer", "kSequential"), (0, 2)),
        (LAUNCHES + LAUNCHES, (2, 0)),
        (LAUNCHES + "005: kConditional  [source | sink]\n", (1, 1)),
        ("", (0, 0)),
    ],
)
def test_what_the_host_drives_is_read_from_the_launches(launches: str, found: tuple[int, int]) -> None:
    assert driven_by_host(launches) == found
    broken = {finding.rule for finding in findings(GOOD._replace(launches=launches)) if not finding.kept}
    expected = {"command buffers"} if found[0] != 1 else set()
    assert broken == expected | ({"loops and choices driven by the host"} if found[1] else set())


def test_a_finding_says_what_was_found_and_what_would_be_right() -> None:
    text = PROGRAM.replace("%order = s32[4]{0} iota()", "%order = s32[4]{0} sort(%e)")
    (found,) = (finding for finding in findings(GOOD._replace(compiled=text)) if not finding.kept)
    assert found == Finding("sorts", "1", "0", False)
