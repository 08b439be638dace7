"""Compiled programs: one network's functions from `train`, vmapped over a tile and looped over steps and epochs.

Each is compiled ahead of time for a `Program`, a tile size and the data's shapes, once in a process; values never
compile anything. The choices of optimizer, activation and normalization are shared by a tile (`in_axes=None`), so
that a `switch` on them stays a branch, unless a program has them by lane.
"""

import functools
import inspect
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxsweep.engine import cache, exported, fingerprint, machine
from jaxsweep.engine.borrowed import borrowed
from jaxsweep.engine.exported import Traced
from jaxsweep.network import ambient, train
from jaxsweep.network.mlp import Architecture, Params
from jaxsweep.network.train import RUNNING, Choices, Data, Few, Lane, Program, State
from jaxsweep.spec.own import Own

LENGTH = 64  # most epochs of one call; a call may do fewer
KEPT = 16  # programs that a process keeps, of 10 to 20 MB each; those beyond, least recently used, are loaded again


class Options(NamedTuple):
    """What XLA is asked for on one kind of device, as far as its version knows of it."""

    training: dict[str, Any]
    brief: dict[str, Any]  # of programs that run once for a lane


# On a GPU XLA races candidates for each product, which decides last bits, and which JAX's cache remembers. Without that
# race (xla_gpu_autotune_level = 0) a step takes twice as long on an H200.
OPTIONS = {
    # XLA's emitters make vectors themselves: LLVM's higher levels take a tenth longer and change nothing. What runs
    # once for a lane is compiled in half the time by the older emitters, where XLA still has them, and runs as fast.
    # Training does not: LLVM, to which these leave the vectors, takes an array that is written in place for a conflict,
    # and an optimizer's step runs seven times as long. Vectors of 512 bits make a step of Adam a tenth shorter on an
    # EPYC of 2025, and none longer; JAX's are of 256.
    "cpu": Options(
        {
            "xla_backend_optimization_level": 1,
            **({"xla_cpu_prefer_vector_width": 512} if machine.wide_vectors() else {}),
        },
        {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False},
    ),
    # A loop or a choice is driven by the host, which waits for a predicate each time, unless it is part of a command
    # buffer (a CUDA graph), of which loops and choices become part only where graphs may be small, too.
    "gpu": Options(
        {
            "xla_gpu_enable_command_buffer": (
                "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,WHILE,CONDITIONAL"
            ),
            "xla_gpu_graph_min_graph_size": 1,
        },
        {},
    ),
}


class Advanced(NamedTuple):
    """What a call of the training program returns. The next call takes the state's memory, not that of the others."""

    state: State  # [tile, ...]
    history: Array  # float [LENGTH, tile, columns]; NaN where a lane did not train
    epochs: Array  # int32 [], epochs done by the loop
    lanes: Array  # int32 [3, tile]: status, steps and epochs of each lane


class TestData(NamedTuple):
    """The device's copy of the test rows."""

    x: Array  # float [splits, rows, features]
    y: Array  # [splits, rows] or [splits, rows, targets]
    w: Array | None = None  # float [rows], weights, where rows have any


for _kind in (Choices, Data, Few, TestData, Lane, State, Advanced):
    exported.register(_kind)


def start(
    program: Program, first: tuple[Params, Params] | None, choices: Choices, lanes: Lane, fresh: Array, old: State
) -> State:
    """Return a tile's state with new networks in the lanes where `fresh`, bool [tile]; `first` is `Data.start`."""
    new = _fresh(program, first, choices, lanes)
    return jax.tree.map(lambda a, b: jnp.where(fresh.reshape((-1,) + (1,) * (a.ndim - 1)), a, b), new, old)


def advance(
    program: Program, data: Data, choices: Choices, lanes: Lane, state: State, epochs: Array, steps: Array
) -> Advanced:
    """Train a tile for at most `epochs` (up to LENGTH) epochs of at most `steps` steps each.

    The loops run to bounds that the tile shares, not to bounds under vmap; a lane with fewer steps or epochs waits.
    """
    tile = lanes.rows.shape[0]
    one = lambda *network: train.train_step(program, data, *network)  # noqa: E731
    steps_of_lanes = jax.vmap(one, in_axes=(_axes(program), 0, 0, None, 0))
    shuffle = jax.vmap(lambda lane, state: train.shuffle(program, data, lane, state))
    finish = jax.vmap(
        lambda choices, lane, state: train.finish_epoch(program, data, choices, lane, state),
        in_axes=(_axes(program), 0, 0),
    )

    def deepest(trains: Array) -> Choices:
        return _with_deepest(choices, lanes, trains)

    def step(order: Array, number: Array, state: State) -> State:
        trains = (state.status == RUNNING) & (number < lanes.epoch_steps)
        return steps_of_lanes(deepest(trains), lanes, order, number, state)

    def goes_on(carry: tuple[Array, State, Array]) -> Array:
        number, state, _ = carry
        return (number < epochs) & jnp.any(state.status == RUNNING)

    def epoch(carry: tuple[Array, State, Array]) -> tuple[Array, State, Array]:
        number, state, history = carry
        order = shuffle(lanes, state)
        state = jax.lax.fori_loop(0, steps, lambda i, state: step(order, i, state), state)
        state, row = finish(deepest(state.status == RUNNING), lanes, state)
        return number + 1, state, history.at[number].set(row)

    history = jnp.full((LENGTH, tile, program.columns), jnp.nan, jnp.result_type(float))
    number, state, history = jax.lax.while_loop(goes_on, epoch, (jnp.zeros((), jnp.int32), state, history))
    return Advanced(state, history, number, jnp.stack([state.status, state.step, state.epoch]))


def score_test(program: Program, test: TestData, choices: Choices, lanes: Lane, state: State) -> Array:
    """Return the measures of the test rows by a tile's networks, float [tile, measures]."""

    def score(choices: Choices, lane: Lane, state: State) -> Array:
        params, stats = train.final_weights(program, state)
        split: Any = 0 if test.x.shape[0] == 1 else lane.fold
        rows = jnp.asarray(test.x.shape[1], jnp.int32)
        sizes = (test.x.shape[1],)
        network = (program, choices, lane, params, stats)
        measures = train.evaluate(*network, test.x[split], test.y[split], rows, test.w, sizes)
        return train.in_a_row([measures[name] for name in program.measures])

    every = jnp.ones(lanes.rows.shape, bool)
    return jax.vmap(score, in_axes=(_axes(program), 0, 0))(_with_deepest(choices, lanes, every), lanes, state)


def _fresh(program: Program, first: tuple[Params, Params] | None, choices: Choices, lanes: Lane) -> State:
    """Return the state of a tile of new networks."""
    one = lambda choices, lane: train.init(program, first, choices, lane)  # noqa: E731
    new: State = jax.vmap(one, in_axes=(_axes(program), 0))(choices, lanes)
    return new


def _with_deepest(choices: Choices, lanes: Lane, which: Array) -> Choices:
    """Return choices with the depth of the deepest network of some lanes, bool [tile], where these differ in that."""
    return choices if lanes.depth is None else choices._replace(deepest=jnp.max(jnp.where(which, lanes.depth, 0)))


def state_of(program: Program, choices: Choices, lanes: Lane) -> State:
    """Return shapes and types of the state of a tile with such lanes, without compiling anything."""
    with tracing(program):
        shapes: State = jax.eval_shape(functools.partial(_fresh, program, None), choices, lanes)
    return shapes


def _axes(program: Program) -> Choices:
    """Return along which axis of each choice lanes stand; None where a tile shares it."""
    axes: Any = [0 if name in program.by_lane else None for name in Choices._fields]  # deepest is one for all
    return Choices(*axes)


class Compiled(NamedTuple):
    """The executables of one bucket, and the seconds that compiling them took (0 if they were there already)."""

    start: Callable[..., State]
    advance: Callable[..., Advanced]
    score_test: Callable[..., Array] | None
    state: State  # shapes and types of a tile's state
    bytes: int  # that a tile takes at its most, as XLA counts them: arguments, results and what lies between


_cache: OrderedDict[Any, dict[jax.Device | None, Compiled]] = OrderedDict()  # the least recently used first
_locks: dict[Any, threading.Lock] = {}
_guard = threading.Lock()


def clear() -> None:
    """Forget every compiled program."""
    with _guard:
        _cache.clear()
        _locks.clear()


def code(own: Sequence[Own] = ()) -> str:
    """Return a hash of what programs are traced from, as it stands in this process: code, data, JAX's settings.

    The user's own functions belong to it, if there are any.
    """
    types = (Program, Choices, Data, TestData, Lane, State, Architecture)  # whose methods traced code calls
    traced_functions: tuple[Any, ...] = (advance, start, score_test)
    plain = map(inspect.unwrap, traced_functions)  # of a wrapper, as tests count calls with, its code, not its counter
    wrappers = (function.__code__ for function in traced_functions)
    functions = (value.function for value in own)
    return fingerprint.of(*plain, *wrappers, *types, exported.settings(), *functions)


def signature(tree: Any) -> Any:
    """Return shapes and types of a tree of arrays, as a hashable key."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)


def key_of(program: Program, data: Data, test: TestData | None, choices: Choices, lanes: Lane) -> Any:
    """Return what the compiled programs depend on."""
    return program, signature(data), signature(test), signature(choices), signature(lanes)


@contextmanager
def tracing(program: Program) -> Generator[None, None, None]:
    """Inside, products are traced with the precision of a program, and functions of the user's own as they stand."""
    own = ambient.retraced(program.code) if program.own else nullcontext()
    with jax.default_matmul_precision(program.precision), own:
        yield


def kept(key: Any) -> bool:
    """Return whether the programs with this key were traced before, so that making them ready takes but a moment."""
    return cache.has(exported.name_of(advance.__name__, key))


def compiled(
    program: Program, data: Data, test: TestData | None, choices: Choices, lanes: Lane,
    device: jax.Device | None = None,
) -> tuple[Compiled, float]:  # fmt: skip
    """Return the executables for these shapes and the seconds that compiling them took just now.

    They run on `device`, which must be JAX's default one in the calling thread; each device has its own.
    """
    key = key_of(program, data, test, choices, lanes)
    with _guard:
        lock = _locks.setdefault((key, device), threading.Lock())
    with lock:
        if (known := _known(key, device)) is not None:
            return known, 0.0
        began = time.perf_counter()
        with tracing(program):
            new = _compile(key, program, data, test, choices, lanes)
        _keep(key, device, new)
        return new, time.perf_counter() - began


def _known(key: Any, device: jax.Device | None) -> Compiled | None:
    with _guard:
        if key in _cache:
            _cache.move_to_end(key)
        return _cache.get(key, {}).get(device)


def _keep(key: Any, device: jax.Device | None, new: Compiled) -> None:
    """Keep a program, and forget those that have not been used for longest; who runs one of them still holds it."""
    with _guard:
        _cache.setdefault(key, {})[device] = new
        _cache.move_to_end(key)
        while len(_cache) > KEPT:
            _cache.popitem(last=False)
        for name in [name for name in _locks if name[0] not in _cache and not _locks[name].locked()]:
            del _locks[name]


def _compile(
    key: Any, program: Program, data: Data, test: TestData | None, choices: Choices, lanes: Lane
) -> Compiled:  # fmt: skip
    tile = lanes.rows.shape[0]
    fresh = jax.ShapeDtypeStruct((tile,), jnp.bool_)
    number = jax.ShapeDtypeStruct((), jnp.int32)
    names = {function: exported.name_of(function.__name__, key) for function in (advance, start, score_test)}
    kept = {function: exported.load(name) for function, name in names.items()}

    def text_of(function: Callable[..., Any], *arguments: Any) -> Traced:
        return kept[function] or exported.trace(names[function], functools.partial(function, program), *arguments)

    if (known := kept[start]) is None:
        shape = jax.eval_shape(functools.partial(_fresh, program, None), choices, lanes)
    else:  # what `start` returns tells it without tracing
        shape = jax.tree.unflatten(known.out_tree, known.out_avals)
    options = known_options(program.net.platform)

    def compile_(lowered: Any, options: dict[str, Any] | None = None) -> Any:
        with ambient.own(), borrowed():  # in the thread that compiles
            return lowered.compile(options)

    # XLA compiles on the other core while the next one is traced here: first what is short to trace.
    with ThreadPoolExecutor(2) as pool:
        starting = (data.start, choices, lanes, fresh, shape)
        start_it = pool.submit(compile_, _lowered(text_of(start, *starting), starting, 4), options.brief)
        training = (data, choices, lanes, shape, number, number)
        advance_it = pool.submit(compile_, _lowered(text_of(advance, *training), training, 3), options.training)
        score_it = None
        if test is not None:
            scoring = (test, choices, lanes, shape)
            score_it = compile_(_lowered(text_of(score_test, *scoring), scoring), options.brief)
        executables = (start_it.result(), advance_it.result(), score_it)
    return Compiled(*executables, shape, max(_bytes(executable) for executable in executables if executable))


def _lowered(program: Traced, arguments: tuple[Any, ...], donated: int | None = None) -> Any:
    """Return a traced program ready for XLA, which may reuse the memory of argument number `donated`."""
    return jax.jit(program.call, donate_argnums=() if donated is None else donated).lower(*arguments)


@functools.cache
def known_options(platform: str) -> Options:
    """Return those of XLA's options for a kind of device that this version of it has: they come and go."""
    asked = OPTIONS.get(platform, Options({}, {}))
    return Options(_known_of(asked.training), _known_of(asked.brief))


def _known_of(options: dict[str, Any]) -> dict[str, Any]:
    trivial = jax.jit(lambda: jnp.zeros(())).lower()
    known = {}
    for name, value in options.items():
        try:
            with borrowed(keep=False):
                trivial.compile({name: value})
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):
                raise
        else:
            known[name] = value
    return known


def _bytes(executable: Any) -> int:
    """Return the bytes that a call takes, arguments included; 0 on a device for which XLA does not say."""
    memory = executable.memory_analysis()
    if memory is None:
        return 0
    total = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return int(total - memory.alias_size_in_bytes)
