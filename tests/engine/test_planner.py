"""Buckets: every config in exactly one that is large enough, padded only where that is cheaper than compiling."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxsweep.engine.costs import Costs, Sizes
from jaxsweep.engine.planner import make_plan
from jaxsweep.spec.hyperparameters import layer_widths, resolve

SIZES = Sizes(rows=500, val_rows=100, test_rows=100, features=20, outputs=4, splits=1)


def _resolved(configs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [resolve(config, "classification", SIZES.rows) for config in configs]


CONFIGS = st.lists(
    st.fixed_dictionaries(
        {
            "depth": st.integers(0, 3),
            "width": st.integers(1, 300),
            "batch_size": st.integers(1, 500),
            "epochs": st.integers(1, 50),
            "optimizer": st.sampled_from(["adam", "sgd"]),
        }
    ),
    min_size=1,
    max_size=30,
)


@given(CONFIGS, st.integers(1, 6))
def test_every_config_is_in_one_bucket_that_holds_it(configs: list[dict[str, Any]], lanes_each: int) -> None:
    full = _resolved(configs)
    plan = make_plan(full, SIZES, lanes_each)
    assert sorted(i for bucket in plan.buckets for i in bucket.members) == list(range(len(full)))
    for bucket in plan.buckets:
        assert bucket.lanes == len(bucket.members) * lanes_each
        assert bucket.padding_waste >= -1e-9
        for i in bucket.members:
            own = layer_widths(full[i], 4)
            assert len(own) == bucket.depth or (bucket.shallower and 0 < len(own) < bucket.depth)
            through = own + own[-1:] * (bucket.depth - len(own))  # what its last layer gives passes the others by
            assert all(w <= p for w, p in zip(through, bucket.widths, strict=True))
            assert full[i]["batch_size"] <= bucket.batch_size
            assert bucket.shape.holds(own, full[i]["batch_size"])
    steps = sum(config["epochs"] * -(-500 // config["batch_size"]) for config in full)
    assert plan.lane_steps == steps * lanes_each


def test_dear_compilation_pads_and_cheap_compilation_does_not() -> None:
    configs = _resolved([{"width": width, "epochs": 50} for width in (16, 20, 64, 90, 128)] * 20)
    assert make_plan(configs, SIZES, costs=Costs(compilation=1e6)).programs == 1
    exact = make_plan(configs, SIZES, costs=Costs(compilation=0.0, compilation_layer=0.0))
    assert exact.programs == 5
    assert exact.padding_waste == 0


def test_one_shape_is_one_program_whatever_the_values() -> None:
    rng = np.random.default_rng(0)
    optimizers = ["adam", "sgd", "lion"]
    configs = _resolved(
        [{"learning_rate": float(rng.uniform(0.1, 1)), "optimizer": str(rng.choice(optimizers))} for _ in range(99)]
    )
    plan = make_plan(configs, SIZES)
    assert plan.programs == 1
    assert plan.to_json()["buckets"][0]["lanes"] == 99


def test_shapes_do_not_depend_on_the_number_of_cores() -> None:
    configs = _resolved([{"width": width, "epochs": 50} for width in (16, 20, 64, 90, 128)] * 9)
    few, many = (make_plan(configs, SIZES, costs=Costs(workers=workers)) for workers in (1, 64))
    shapes = [[(b.widths, b.batch_size, b.tile, b.members) for b in plan.buckets] for plan in (few, many)]
    assert sorted(shapes[0]) == sorted(shapes[1])
    assert many.predicted_seconds < few.predicted_seconds


def test_more_work_is_predicted_to_cost_more() -> None:
    one = make_plan(_resolved([{"epochs": 10}] * 64), SIZES)
    two = make_plan(_resolved([{"epochs": 20}] * 64), SIZES)
    wide = make_plan(_resolved([{"epochs": 10, "width": 512}] * 64), SIZES)
    assert two.predicted_seconds > one.predicted_seconds
    assert wide.predicted_seconds > one.predicted_seconds
    assert wide.predicted_bytes > one.predicted_bytes


def test_the_grid_of_a_tabular_benchmark_is_planned_quickly_into_few_programs() -> None:
    widths = [16, 25, 40, 64, 101, 161, 256, 406, 645, 1024]
    batches = [4, 6, 10, 16, 25, 40, 64, 101, 161, 256]
    rng = np.random.default_rng(0)
    configs = _resolved(
        [
            {
                "depth": int(rng.integers(1, 4)),
                "width": int(rng.choice(widths)),
                "batch_size": int(rng.choice(batches)),
                "epochs": 243,
            }
            for _ in range(200)
        ]
    )
    plan = make_plan(configs, SIZES)
    assert 3 <= plan.programs < 150


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("costs", [Costs(), Costs(several_batches=False)])
def test_no_config_is_lost_among_very_many_shapes(depth: int, costs: Costs) -> None:
    full = _resolved([{"depth": depth, "batch_size": batch, "width": 1 + batch % 7} for batch in range(1, 400)])
    plan = make_plan(full, SIZES, costs=costs)
    assert sorted(i for bucket in plan.buckets for i in bucket.members) == list(range(len(full)))
    assert all(full[i]["batch_size"] <= bucket.batch_size for bucket in plan.buckets for i in bucket.members)


def test_a_plan_says_of_itself_what_counts() -> None:
    """Not which of many thousand configs are in which bucket."""
    plan = make_plan(_resolved([{"depth": 1 + number % 2} for number in range(3000)]), SIZES)
    assert repr(plan).startswith("Plan(3000 lanes, 2 programs, 0% padding, about ")
    assert len(repr(plan)) < 100
    assert len(repr(plan.buckets)) < 1000
    assert repr(plan) in plan._repr_html_()
