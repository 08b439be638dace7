"""Every choice in the tiles that the planner gives to users, wider than those of most tests, on one and two workers."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from parity import BASE, SEED, close, run_lanes, three_classes

from jaxsweep.engine.costs import sizes_of
from jaxsweep.engine.planner import make_plan
from jaxsweep.network.reference import train
from jaxsweep.spec import scope
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS, resolve

EACH = 64
VALUES = {name: HYPERPARAMETERS[name].choices for name in ("init", "optimizer", "norm")}

# In a process of its own: LAPACK's QR, batched, would wait for ever in the threads of this one.
ORTHOGONAL = """
import jaxsweep as js
from jaxsweep.engine import engine
config = dict(depth=1, width=32, epochs=1, batch_size=64, init="orthogonal")
for workers in (1, 2):
    engine.default_workers = lambda: workers
    result = js.sweep(js.load_dataset("digits"), configs=[config] * 400, progress=False, keep=1)
    q = result.model().params["hidden_0"]["kernel"]
    print(result.status, len(result.trials), abs(q.T @ q).diagonal().round(1).max())
"""


def test_orthogonal_weights_are_drawn_in_finite_time() -> None:
    done = subprocess.run([sys.executable, "-c", ORTHOGONAL], capture_output=True, text=True, check=True, timeout=240)
    assert len(done.stdout.splitlines()) == 2  # by one worker, and by two
    for line in done.stdout.splitlines():
        status, trials, length = line.split()
        assert (status, trials) == ("completed", "400")
        assert 0.8 < float(length) < 1.3  # after an epoch, still near to orthonormal


# By program: every initializer with a norm, which share one, and every optimizer.
CHANGES = {
    "init and norm": [{"init": init, "norm": VALUES["norm"][i % 3]} for i, init in enumerate(VALUES["init"])],
    "optimizer": [{"optimizer": optimizer} for optimizer in VALUES["optimizer"]],
}


def _configs(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**BASE, "epochs": 2, "learning_rate": 0.005, **change} for change in changes for _ in range(EACH)]


@pytest.mark.parametrize("what", CHANGES)
def test_every_value_in_a_wide_tile(what: str) -> None:
    seen = {(name, value) for change in CHANGES[what] for name, value in change.items()}
    assert seen == {(name, value) for name in CHANGES[what][0] for value in VALUES[name]}
    data, configs = three_classes(), _configs(CHANGES[what])
    full = [resolve(config, data.task, len(data.train[0])) for config in configs]
    assert min(bucket.tile for bucket in make_plan(full, sizes_of(data)).buckets) >= 16
    one, two = (run_lanes(data, configs, workers=workers) for workers in (1, 2))
    assert all(np.array_equal(a.curves, b.curves) for a, b in zip(one, two, strict=True))
    assert all(lane.status == "completed" for lane in one)
    used = scope.of_configs(full)
    for position in range(EACH // 2, len(configs), EACH):  # one of each value, from the middle of its tile
        (alone,) = run_lanes(data, [configs[position]], tile=1, trials=[position], what=used)
        reference = train(data, configs[position], SEED, trial=position)
        for column in (0, 1):
            close(one[position].curves[:, column], alone.curves[:, column], 1e-4, str(configs[position]))
        close(one[position].curves[:, 0], reference.curves["train_loss"], 1e-4, str(configs[position]))
