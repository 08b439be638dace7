"""One process that trains for one contender: `python -m jaxsweep.bench.child NAME DATA`.

It reads one JSON object a line from stdin, {"configs": [...]}, of a sweep with "out": DIR to record it there and
"calibrate": true to measure the machine first, trains, and answers with one: the seconds that took, the mean validation
accuracy, its peak memory so far and, of a sweep, the summary and what was predicted. It ends when stdin ends. Between
requests it only waits, so that the processes of several contenders do not disturb each other.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxsweep.engine import machine
from jaxsweep.spec.hyperparameters import Config

SWEEP = "jaxsweep"
SGEMM = "sgemm"
Answer = dict[str, Any]


def serve(name: str, data: str) -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not stand between answers
    work = {SWEEP: _sweep, SGEMM: _sgemm}.get(name)
    carry_out = work(data) if work else _contender(name, data)
    for line in sys.stdin:
        request = json.loads(line)
        began = time.perf_counter()
        answer = carry_out(request)
        answer.setdefault("seconds", time.perf_counter() - began)
        answer["peak_bytes"] = machine.peak_memory()
        print(json.dumps(answer), file=answers, flush=True)


def _sweep(data: str) -> Callable[[Any], Answer]:
    import jaxsweep as js

    dataset = js.load_dataset(data)

    def carry_out(request: Any) -> Answer:
        if request.get("calibrate"):
            from jaxsweep.engine.calibrate import device_costs

            device_costs(measure=True)
        out = Path(request["out"]) if request.get("out") else None
        keep = 10 if out else 0
        result = js.sweep(dataset, configs=request["configs"], keep=keep, progress=False, out=out)
        scores = [trial.score for trial in result.trials if trial.score is not None]
        return {
            "accuracy": sum(scores) / max(len(scores), 1),
            "summary": result.summary(),
            "prediction": result.numbers["prediction"],
        }

    return carry_out


def _contender(name: str, data: str) -> Callable[[Any], Answer]:
    from jaxsweep.bench.contenders import CONTENDERS, load

    contender = CONTENDERS[name]
    train = contender.make(load(data))

    def carry_out(request: Any) -> Answer:
        configs: Sequence[Config] = request["configs"]
        return {"accuracy": train(configs)}

    return carry_out


def _sgemm(data: str) -> Callable[[Any], Answer]:
    """Measure float32 matrix products and the traffic of memory, on all cores or the accelerator.

    Products are NumPy's BLAS and XLA's, whichever is faster; the traffic is that of reading and writing a large array.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    size = 2048 if jax.default_backend() == "cpu" else 8192
    a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    on_device = jnp.asarray(a)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    product(on_device).block_until_ready()
    much = jnp.zeros(2**26, jnp.float32)  # 268 MB, more than any cache
    passing = jax.jit(lambda a: a + 1)
    passing(much).block_until_ready()

    def seconds(work: Callable[[], Any]) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return sorted(times)[2]

    def carry_out(request: Any) -> Answer:
        flops = 2.0 * size**3
        rates = {"xla": flops / seconds(lambda: product(on_device).block_until_ready())}
        if jax.default_backend() == "cpu":
            rates["numpy"] = flops / seconds(lambda: a @ a)
        traffic = 2.0 * much.nbytes / seconds(lambda: passing(much).block_until_ready())
        return {"flops": max(rates.values()), "rates": rates, "bandwidth": traffic}

    return carry_out


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
