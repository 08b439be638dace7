"""Compile a training program for a device that is absent, and write down what came out.

Command: PYTHONPATH=.:tests python tests/devices/absent.py gpu uniform FOLDER, in an environment that has the compiler
of the device but needs neither the device nor its driver: see `check.py`, which makes one. Into FOLDER go
`program.mlir` (what was traced), `compiled.hlo` (what XLA made of it), `facts.json`, and of a GPU, if XLA_FLAGS ask
for it, the sequence in which the host launches kernels.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ["JAXSWEEP_CACHE"] = "off"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # nobody asks a cloud what it has

import jax
import numpy as np
from devices.training import training
from jax import export
from jax.experimental import topologies

from jaxsweep.bench import work
from jaxsweep.engine import calibrate, programs
from jaxsweep.engine.costs import kernel_flops
from jaxsweep.network import ambient

LANES = 1024  # of a tile, unless told otherwise

# An NVIDIA H100 SXM with 80 GB, as its driver describes it.
H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 minor: 0 feature_extension: ACCELERATED_FEATURES }
  core_count: 132  fpus_per_core: 128  clock_rate_ghz: 1.98
  threads_per_warp: 32  threads_per_block_limit: 1024  threads_per_core_limit: 2048
  thread_dim_limit_x: 1024  thread_dim_limit_y: 1024  thread_dim_limit_z: 64
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
  shared_memory_per_block: 49152  shared_memory_per_core: 233472  shared_memory_per_block_optin: 232448
  l2_cache_size: 52428800  memory_bandwidth: 3352320000000  device_memory_size: 84942979072
  device_address_bits: 64  ecc_enabled: true
  device_vendor: "NVIDIA Corporation"  name: "NVIDIA H100 80GB HBM3"
  driver_version: "13.0.0"  runtime_version: "13.0.0"  compile_time_toolkit_version: "13.0.0"  dnn_version: "9.12.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 12 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def device(kind: str) -> Any:
    """Return an absent device: an H100, or one core of a TPU v5e."""
    if kind == "gpu":
        return topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1").devices[0]
    return topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices[0]


def everything(count: int) -> list[dict[str, Any]]:
    """Return the uniform work with dropout, batch norm and augmentation in every config."""
    return [
        {**config, "dropout": 0.2, "norm": "batch", "rotation": 10.0, "scaling": 0.1, "shift": 0.1, "flip": 0.5}
        for config in work.uniform(count)
    ]


SCENARIOS = {"uniform": work.uniform, "mixed": work.mixed, "everything": everything}


def compiled(kind: str, scenario: str, tile: int = LANES) -> tuple[dict[str, Any], str, str]:
    """Return facts, the traced program and the compiled one of a scenario's training on digits."""
    where = device(kind)
    sharding = jax.sharding.SingleDeviceSharding(where)
    asked = training(SCENARIOS[scenario](64), kind, calibrate._ACCELERATOR, tile)

    def there(array: Any) -> Any:
        """Return what stands for an array, or for its shape, on the absent device."""
        dtype = array.dtype if hasattr(array, "dtype") else np.asarray(array).dtype
        return jax.ShapeDtypeStruct(np.shape(array), dtype, sharding=sharding)  # type: ignore[no-untyped-call]

    with ambient.own():
        arguments = jax.tree.map(there, asked.arguments)
        traced = export.export(jax.jit(asked.function), platforms=["cuda" if kind == "gpu" else "tpu"])(*arguments)
        options = programs.OPTIONS[kind].training if kind in programs.OPTIONS else {}
        executable = jax.jit(traced.call, donate_argnums=3).lower(*arguments).compile(options)
    memory, optimized, bucket = executable.memory_analysis(), executable.as_text(), asked.group.bucket
    assert memory is not None
    assert optimized is not None
    facts = {
        "device": where.device_kind,
        "scenario": scenario,
        "tile": tile,
        "by_lane": list(asked.group.program.by_lane),
        "jax": jax.__version__,
        "flops": float(kernel_flops(np.array([bucket.widths]), asked.sizes)[0]) * bucket.batches[-1],
        "state_bytes": sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(asked.state)),
        "state": sorted(asked.types()),
        "donated_bytes": memory.alias_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
    }
    return facts, str(traced.mlir_module()), optimized


def main() -> None:
    """Compile one program and write it down."""
    parser = argparse.ArgumentParser(description="Compiles a training program for an absent device.")
    parser.add_argument("kind", choices=["gpu", "tpu"])
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tile", type=int, default=LANES)
    asked = parser.parse_args()
    facts, traced, optimized = compiled(asked.kind, asked.scenario, asked.tile)
    asked.folder.mkdir(parents=True, exist_ok=True)
    (asked.folder / "program.mlir").write_text(traced)
    (asked.folder / "compiled.hlo").write_text(optimized)
    (asked.folder / "facts.json").write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
