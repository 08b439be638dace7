"""Checkpoints on disk: what is written is read, and what is broken, foreign or malicious is none."""

import pickle
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as tensors_as_bytes

from jaxsweep.engine.bank import Bank
from jaxsweep.engine.checkpoint import Checkpoint, Identity, Still, digest
from jaxsweep.engine.outcome import Parked
from jaxsweep.records import checkpoints
from jaxsweep.records.checkpoints import Checkpoints
from jaxsweep.records.trials import Columns

DICE = np.random.default_rng(0)


def lane(trial: int, epochs: int = 3, test: bool = False) -> Checkpoint:
    """Return a lane after so many epochs, whose numbers are random, NaN among them."""
    curves = DICE.normal(size=(epochs, 2))
    curves[0, 0] = np.nan
    state = {"params/out/kernel": DICE.normal(size=(4, 3)).astype(np.float32), "step": np.int32(epochs * 5)}
    return Checkpoint(
        Identity(trial, 1, 2), "a program", -(2**63) + trial, epochs, epochs * 5, 0.25, curves,
        DICE.normal(size=3) if test else None, {name: np.asarray(array) for name, array in state.items()},
    )  # fmt: skip


def assert_same(found: dict[Identity, Checkpoint], lanes: Sequence[Checkpoint]) -> None:
    assert found.keys() == {each.identity for each in lanes}
    for each in lanes:
        other = found[each.identity]
        for name in ("program", "config", "epochs", "steps", "seconds"):
            assert getattr(other, name) == getattr(each, name)
        np.testing.assert_array_equal(other.curves, each.curves)
        assert (other.test is None) == (each.test is None)
        if each.test is not None:
            np.testing.assert_array_equal(other.test, each.test)
        assert other.state.keys() == each.state.keys()
        for name, array in each.state.items():
            assert (other.state[name].dtype, other.state[name].shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(other.state[name], array)


def read(run: Path) -> dict[Identity, Checkpoint]:
    found, remarks = Checkpoints(run, resumed=True).read()
    assert remarks == []
    return found


def test_what_is_written_is_read(tmp_path: Path) -> None:
    lanes = [lane(0), lane(1, 5, test=True), lane(7, 1)]
    Checkpoints(tmp_path, resumed=False).save(lanes)
    assert_same(read(tmp_path), lanes)
    again = Checkpoints(tmp_path, resumed=True)
    later = [lane(1, 9), lane(8)]
    again.save(later)
    assert_same(read(tmp_path), [lanes[0], lanes[2], *later])
    again.clear()
    assert read(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_worker_keeps_its_last_two(tmp_path: Path) -> None:
    saver = Checkpoints(tmp_path, resumed=False)
    for epochs in range(1, 6):
        saver.save([lane(0, epochs)])
    assert len(list(saver.folder.iterdir())) == 2
    assert read(tmp_path)[0, 1, 2].epochs == 5  # type: ignore[index]
    assert len(list(saver.folder.iterdir())) == 1  # who reads needs the last one alone


def test_lanes_that_stand_are_kept_while_somebody_holds_them(tmp_path: Path) -> None:
    bank = Bank()
    rows = bank.put({"w": np.arange(6.0).reshape(3, 2)}, [0, 1, 2], in_place=True)
    config = {"learning_rate": 0.1}
    saver = Checkpoints(tmp_path, resumed=False)
    parked = Parked(None, 2, 10, np.ones((2, 2)), np.ones(3), 0.5)
    saver.stand(
        [
            Still(Identity(trial, 0, 0), f"program {trial % 2}", 3, config, parked, weakref.ref(row))
            for trial, row in enumerate(rows)
        ]
    )
    del rows[1]  # it has gone on
    saver.save([])
    found = read(tmp_path)
    assert {trial for trial, _, _ in found} == {0, 2}
    np.testing.assert_array_equal(found[Identity(2, 0, 0)].state["w"], [4.0, 5.0])
    assert {each.config for each in found.values()} == {digest(3, config)}
    saver.save([])
    assert read(tmp_path).keys() == found.keys()


def test_no_other_seed_or_config_has_the_same_digest() -> None:
    config = {"learning_rate": 0.1, "width": [8, 8], "optimizer": "adam"}
    others = [{**config, "learning_rate": 0.1000000001}, {**config, "width": [8, 9]}, {**config, "depth": 2}]
    assert len({digest(0, config), digest(1, config), *(digest(0, other) for other in others)}) == 5
    assert digest(0, dict(reversed(config.items()))) == digest(0, config)


# --- broken files ---------------------------------------------------------------------------------------------------


def test_a_broken_file_leaves_the_one_before(tmp_path: Path) -> None:
    """Truncated at every 64th byte, or with a bit of 200 bytes changed."""
    saver = Checkpoints(tmp_path, resumed=False)
    before, last = [lane(0, 2), lane(1, 2)], [lane(0, 4), lane(1, 4)]
    saver.save(before)
    saver.save(last)
    path = max(saver.folder.iterdir())
    whole = path.read_bytes()
    broken = [whole[:length] for length in range(0, len(whole), 64)]
    for place in DICE.choice(len(whole), 200, replace=False).tolist():
        changed = bytearray(whole)
        changed[place] ^= 1 << int(DICE.integers(8))
        broken.append(bytes(changed))
    for content in broken:
        path.write_bytes(content)
        found, remarks = Checkpoints(tmp_path, resumed=True).read()
        assert_same(found, before)
        assert len(remarks) == 1
        assert str(path) in remarks[0]
    path.write_bytes(whole)
    assert_same(read(tmp_path), last)


def tensors(**changed: Any) -> bytes:
    """Return a file of one lane with 2 epochs, in which some arrays are others, or (None) are missing."""
    arrays = {
        "program": np.frombuffer(b"a program", np.uint8),
        "lanes": np.array([[0, 0, 0, 5, 2, 10, 0]]),
        "seconds": np.ones(1),
        "curves": np.ones((2, 2)),
        "test": np.zeros((1, 0)),
        "state/step": np.ones(1, np.int32),
        **changed,
    }
    return tensors_as_bytes({name: array for name, array in arrays.items() if array is not None})


HUGE = b'{"lanes":{"dtype":"I64","shape":[1000000,1000000],"data_offsets":[0,8000000000000]}}'
FOREIGN = {
    "a pickle": pickle.dumps({"lanes": [1, 2]}),
    "nothing": b"",
    "an array of 10^12 numbers": len(HUGE).to_bytes(8, "little") + HUGE,
    "a header of 10^18 bytes": (10**18).to_bytes(8, "little") + b"{}",
    "no lanes": tensors(lanes=None),
    "lanes as floats": tensors(lanes=np.array([[0, 0, 0, 5, 2, 10, 0.0]])),
    "lanes without columns": tensors(lanes=np.zeros((1, 3), np.int64)),
    "no epochs": tensors(lanes=np.array([[0, 0, 0, 5, 0, 10, 0]]), curves=np.zeros((0, 2))),
    "fewer than no epochs": tensors(
        lanes=np.array([[0, 0, 0, 5, 4, 10, 0], [1, 0, 0, 5, -2, 10, 0]]), seconds=np.ones(2), test=np.zeros((2, 0)),
        **{"state/step": np.ones(2, np.int32)},
    ),
    "too short curves": tensors(curves=np.ones((1, 2))),
    "curves of one axis": tensors(curves=np.ones(2)),
    "more seconds than lanes": tensors(seconds=np.ones(2)),
    "a state of more lanes": tensors(**{"state/step": np.ones(2, np.int32)}),
    "a state of none": tensors(**{"state/step": np.array(1, np.int32)}),
    "a program of floats": tensors(program=np.ones(3)),
    "a program of no text": tensors(program=np.full(3, 255, np.uint8)),
    "no test": tensors(test=np.zeros((0, 0))),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_checkpoint_is_said(tmp_path: Path, kind: str) -> None:
    """Though its checksum is right."""
    saver = Checkpoints(tmp_path, resumed=False)
    saver.save([lane(3)])
    content = FOREIGN[kind]
    path = saver.folder / f"000009-{checkpoints._checksum(content)}.safetensors"
    path.write_bytes(content)
    found, remarks = Checkpoints(tmp_path, resumed=True).read()
    assert {identity.trial for identity in found} == {3}
    assert len(remarks) == 1
    assert f"{path} is broken (" in remarks[0]


def test_files_like_those_above_are_read_where_they_are_whole(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    content = tensors()
    (tmp_path / "checkpoints" / f"000009-{checkpoints._checksum(content)}.safetensors").write_bytes(content)
    assert read(tmp_path)[Identity(0, 0, 0)].epochs == 2


def test_other_things_in_the_folder_are_nobodys_concern(tmp_path: Path) -> None:
    saver = Checkpoints(tmp_path, resumed=False)
    saver.save([lane(3)])
    (saver.folder / "notes.txt").write_text("mine")
    (saver.folder / f"000009-{'0' * 32}.safetensors").mkdir()
    (saver.folder / "000010.new").write_bytes(b"half")
    assert read(tmp_path).keys() == {Identity(3, 1, 2)}
    assert not (saver.folder / "000010.new").exists()  # a kill left it


def test_lanes_of_other_metrics_are_not_of_this_run(tmp_path: Path) -> None:
    """Whoever made them knew how to seal them."""
    Checkpoints(tmp_path, resumed=False).save([lane(3, test=True)])
    for curves, test, fits in ((2, 3, True), (3, 3, False), (2, 2, False)):
        columns = Columns(("a", "b", "c")[:curves], ("d", "e", "f")[:test], "b")
        found, remarks = Checkpoints(tmp_path, resumed=True, columns=columns).read()
        assert bool(found) is fits
        assert [remark for remark in remarks if "its lanes have other metrics" in remark] == remarks
        assert len(remarks) == 1 - fits


def test_what_is_not_this_runs_any_more_stays(tmp_path: Path) -> None:
    def gone() -> None:
        raise OSError(2, "No such file or directory")

    Checkpoints(tmp_path, resumed=False).save([lane(3)])
    before = [path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()]
    saver = Checkpoints(tmp_path, resumed=True, check=gone)
    saver.save([lane(4)])
    assert "cannot be written (No such file or directory): training goes on" in saver.problem
    saver.clear()
    assert [path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()] == before


# --- when, and when not ---------------------------------------------------------------------------------------------


def test_what_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    saver = Checkpoints(tmp_path, resumed=False)
    saver.save([lane(0)])
    assert "checkpoints cannot be written (File exists): training goes on" in saver.problem
    saver.problem = ""
    saver.save([lane(0)])
    assert saver.problem == ""


def test_they_cost_a_fiftieth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    saver = Checkpoints(tmp_path, resumed=False)

    def next_after(took: float) -> float:
        """Return how long after a save that took so long the next one is due."""
        nonlocal now

        def slow(*lanes: Any) -> Path:
            nonlocal now
            now += took
            return tmp_path / "nothing"

        monkeypatch.setattr(saver, "_write", slow)
        saver.save([lane(0)])
        ended = now
        while not saver.due():
            now += 1.0
        return now - ended

    while not saver.due():
        now += 1.0
    assert now == 60.0
    assert next_after(0.5) == 60.0
    assert next_after(4.0) == 200.0
