"""The engine: thousands of lanes through compiled programs, a tile at a time on every core.

`Engine.run` takes a plan and trains its lanes. Worker threads share the queues of lanes; each advances its own tile on
its device, collects the lanes that have ended, and puts new ones in their slots. A lane's numbers depend on its config
and key alone, so that which worker trains it, on which of several like devices, beside whom and when, changes nothing.
"""

import math
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax

from jaxsweep import interruption
from jaxsweep.data import Prepared
from jaxsweep.engine import cache, exported, programs
from jaxsweep.engine.bank import Bank
from jaxsweep.engine.calibrate import default_devices, default_workers
from jaxsweep.engine.changing import Changing
from jaxsweep.engine.checkpoint import Checkpoint, Identity, Saver
from jaxsweep.engine.director import Director, Settled, Standing, entrants, with_weights
from jaxsweep.engine.lanes import Group, Supply
from jaxsweep.engine.memory import Room
from jaxsweep.engine.outcome import Done, Job, LaneResult, Parked, Wanted
from jaxsweep.engine.placement import Place
from jaxsweep.engine.planner import Bucket, Plan
from jaxsweep.engine.population import Population
from jaxsweep.engine.programs import Compiled
from jaxsweep.engine.restoring import Restorer, go_on
from jaxsweep.engine.tile import Tile
from jaxsweep.engine.tiling import Alike, alike, each_alike
from jaxsweep.engine.underway import Work
from jaxsweep.engine.usage import Usage
from jaxsweep.errors import RequestError
from jaxsweep.network import ambient
from jaxsweep.network.mlp import Architecture
from jaxsweep.network.train import Program
from jaxsweep.spec.hyperparameters import Config, depth_of, epoch_steps
from jaxsweep.spec.own import OwnMetric
from jaxsweep.spec.scope import Scope

# How long a thread may keep Python to itself. A worker needs it for a moment between calls, often; while another thread
# traces a program, or records trials, it would wait for 5 ms each time by default.
SWITCH_SECONDS = 0.0005
TICK_SECONDS = 0.2  # how often a caller that waits for lanes hears that it does
LEAVE_SECONDS = 1.0  # of waiting for workers, where the process is to end: one call of large networks may take longer


class Engine:
    """Trains lanes on prepared data.

    Args:
        data: the prepared data; put on each device once.
        scope: what the sweep can use; programs hold code for that and no more.
        objective: the metric that `monitor = objective`, the best epoch and `wanted` follow, such as val_accuracy.
        seed: the sweep's seed.
        keep_best: whether lanes end with the weights of their best epoch.
        train_metrics: whether training rows are evaluated at the end of each epoch, as validation rows are.
        workers: threads that train, by default one for each core of a CPU and two for each accelerator.
        devices: where they train, in turn; by default all accelerators of this host, or the CPU.
        metrics: those of the user's own.
        precision: of matrix products, `highest` or `default`; a CPU has no other than the highest.
    """

    def __init__(
        self, data: Prepared, scope: Scope, objective: str, seed: int, keep_best: bool = False,
        train_metrics: bool = False, workers: int | None = None, devices: Sequence[jax.Device | None] | None = None,
        metrics: Sequence[OwnMetric] = (), precision: str = "highest",
    ) -> None:  # fmt: skip
        cache.enable()
        self.objective = objective.removeprefix("val_")
        self.scope, self.keep_best, self.train_metrics = scope, keep_best, train_metrics
        self.metrics, self.asked_precision = tuple(metrics), precision
        self.wide = ambient.x64()  # of this thread; the workers do not inherit it
        devices = devices or default_devices()
        self.platform = jax.default_backend() if devices[0] is None else devices[0].platform
        with ambient.own():
            self.supply = Supply(data, scope, seed, self.objective, devices, len(self.metrics))
            # As it stands now: a later sweep of this process may find another activation.
            self.code = programs.code((*scope.own, *self.metrics))
        self.workers = workers or default_workers()
        self.usage = Usage()
        self.restorer = Restorer(self.supply, self.usage, self.wide)
        self.works: list[Work] = []  # of the last call of `run`, a bucket each
        self.stop = threading.Event()
        self.interrupted = False  # while it waited for lanes
        self._training: set[int] = set()  # threads that do

    @property
    def precision(self) -> str:
        """The precision of matrix products, in a word of JAX."""
        return "highest" if self.platform == "cpu" else self.asked_precision

    def program(self, bucket: Bucket) -> Program:
        """Return what the bucket's compiled program is specialized to."""
        values = self.scope.values
        net = Architecture(
            self.supply.sizes.features, bucket.widths, self.supply.sizes.outputs, bucket.padded,
            values("activation"), values("norm"), values("init"), self.platform, shallower=bucket.shallower,
        )  # fmt: skip
        return Program(
            self.supply.prepared.task, net, bucket.batches,
            values("optimizer"), values("schedule"), values("loss"), values("monitor"), self.objective, self.keep_best,
            self.train_metrics, self.supply.few_rows, self.supply.prepared.image_shape, self.code, bucket.by_lane,
            *self._own(),
        )._replace(precision=self.precision)  # fmt: skip

    def _own(self) -> tuple[Any, ...]:
        """Return what a program knows of the user's own metrics, and the sizes of the splits for them; else nothing."""
        if not self.metrics:
            return ()
        data = self.supply.prepared
        return self.metrics, *(tuple(sorted({len(part) for part in parts})) for parts in (data.train, data.val))

    def run(
        self,
        plan: Plan,
        configs: Sequence[Config],
        trials: Sequence[int],
        replicates: int = 1,
        wanted: Wanted = lambda lanes: [False] * len(lanes),
        tick: Callable[[], object] = lambda: None,
        director: Director | None = None,
        deadline: float = math.inf,
        first: int = 0,
        without: Container[int] = (),
        over: Container[Identity] = (),
        saver: Saver | None = None,
        underway: Mapping[Identity, Checkpoint] | None = None,
        population: Population | None = None,
    ) -> Generator[LaneResult, None, None]:
        """Train every config on every split, `replicates` times, and yield lanes as they end.

        Args:
            plan: buckets over `configs`.
            configs: resolved configs.
            trials: the id of each config's trial.
            replicates: trainings of each config on each split under different seeds.
            wanted: tells, from a worker's thread, of lanes that have ended together whose weights are worth fetching
                from the device.
            director: lets a scheduler decide how long trials train; by default all train to their ends. It puts
                configs of its own into its list, which is then to be that of `configs`.
            deadline: the time, as `time.perf_counter` has it, after which no lane begins; those that run are stopped
                after their current call.
            tick: called, from this thread, a few times a second while no lane ends; `works` then says what goes on.
            first: the number of the first replicate.
            without: trials that train no more; their buckets are those of the plan all the same.
            over: lanes that train no more, of trials whose other ones do; none where a director decides.
            saver: keeps what lanes have come to, now and then and when they are stopped, for another process.
            underway: lanes that an earlier process has left in the middle of their training. They go on from there, if
                they are lanes of these configs and of programs that are made from the same code.
            population: all lanes of a scheduler that changes trials, as an earlier process has left them. They go on
                from there, if their programs are made from the same code.

        Setting `stop` makes the workers end after their current call; lanes under way are then not yielded. Whoever
        ends early waits for these calls and, unless the process is to end, for programs that are being compiled, which
        nobody can stop; an interrupt while it waits ends that too.
        """
        named = saver is not None or bool(underway) or population is not None
        groups = self._groups(plan, configs, trials, replicates, first, without, over, named)
        standing = self.restorer.standing(groups, underway) if underway else {}
        done: Done = queue.SimpleQueue()  # whose locks an interrupt cannot come between
        if director is None and standing:
            go_on(groups, standing)
        begun: list[Settled] = []
        if director is not None:
            if saver is not None and isinstance(director, Changing):
                director.keep(saver, self.restorer.kept)
                saver = None  # of the workers: what a lane has come to is of use with all others alone
            begun = self._direct(director, groups, configs, trials, replicates, standing, population)
        pool, places = (
            _Pool(groups, self.stop, director, deadline),
            [(place, Room(plan.room)) for place in self.supply.places],
        )
        threads = [
            threading.Thread(
                target=self._work,
                args=(pool, *places[i % len(places)], wanted, done, director, deadline, saver),
                daemon=True,
                name=f"jaxsweep-{i}",
            )
            for i in range(min(self.workers, plan.workers))
        ]
        with _switching.often():
            try:
                for thread in threads:
                    thread.start()
                yield from with_weights(begun, wanted, configs)
                for _ in threads:
                    while (item := _next(done, tick)) is not None:
                        if isinstance(item, BaseException):
                            raise item
                        yield from item
                if director is not None:
                    yield from with_weights(director.conclude(), wanted, configs)
            except KeyboardInterrupt:
                self.interrupted = True
                raise
            finally:
                self.stop.set()
                # Those that have started: an interrupt may come before all are.
                if self._ended([thread for thread in threads if thread.ident is not None], tick):
                    self.stop.clear()  # not if a second interrupt ends the waiting: workers must still end

    def _ended(self, threads: Sequence[threading.Thread], tick: Callable[[], object]) -> bool:
        """Wait for workers to end, and return whether they have; `tick` hears of it, at once if any of them has not.

        After an interrupt in a process that ends nobody waits for those that train nothing: they compile; and for
        others LEAVE_SECONDS at most: what they train then goes on from its last checkpoint, if there is one.
        """
        began = time.perf_counter()
        with interruption.waiting():
            for thread in threads:
                while thread.is_alive():
                    tick()
                    if interruption.process_ends() and not interruption.acted():
                        left = began + LEAVE_SECONDS - time.perf_counter()
                        if not self._training or left <= 0:
                            return False
                    thread.join(TICK_SECONDS)
        return True

    def _groups(
        self, plan: Plan, configs: Sequence[Config], trials: Sequence[int], replicates: int, first: int = 0,
        without: Container[int] = (), over: Container[Identity] = (), named: bool = False,
    ) -> list[Group]:  # fmt: skip
        groups = []
        sizes = self.supply.sizes
        every = [(replicate, fold) for replicate in range(first, first + replicates) for fold in range(sizes.splits)]
        self.works = []
        for bucket in plan.buckets:
            program = self.program(bucket)
            training = [i for i in bucket.members if trials[i] not in without]
            lanes = {
                i: [each for each in every if Identity(trials[i], *each) not in over] if over else every
                for i in training
            }
            in_epoch = {i: epoch_steps(configs[i], sizes.rows) for i in training}
            steps = [configs[i]["epochs"] * in_epoch[i] * len(lanes[i]) for i in training]
            work = Work(bucket, sum(steps))
            self.works.append(work)
            bank, states = Bank(), ""
            if named:
                with ambient.own(self.wide):
                    states = exported.name_of("state", program)
            together: dict[Alike, list[int]] = {}
            members_alike = each_alike((configs[i] for i in training), bucket.batches, bucket.by_lane)
            for i, shared in zip(training, members_alike, strict=True):
                together.setdefault(shared, []).append(i)
            for shared, members in together.items():
                # Lanes that take equally long stand together, the longest first.
                config = configs.__getitem__
                members.sort(
                    key=lambda i: (
                        -depth_of(config(i)), in_epoch[i], -config(i)["batch_size"], -config(i)["epochs"], i
                    )
                )  # fmt: skip
                jobs = deque(Job(i, trials[i], *each) for i in members for each in lanes[i])
                groups.append(Group(program, work, shared, jobs, configs, bank, states))
        return groups

    def _direct(
        self, director: Director, groups: list[Group], configs: Sequence[Config], trials: Sequence[int],
        replicates: int, underway: Mapping[Identity, Parked], population: Population | None = None,
    ) -> list[Settled]:  # fmt: skip
        """Let a director begin with the lanes of some groups, and put into their queues what it lets train.

        Return the lanes about which all is decided already, since they are recorded, or stand where they are stopped.
        """
        sizes = self.supply.sizes
        standing: dict[int, Standing] = {}
        for group in groups:
            for job in group.pop(len(group.jobs)):
                if job.trial not in standing:
                    standing[job.trial] = Standing(job.position, group, replicates * sizes.splits)

        def group_of(group: Group, config: Config) -> Group:
            shared = alike(config, group.bucket.batches, group.bucket.by_lane)
            like = [other for other in groups if other.bucket is group.bucket and other.alike == shared]
            if not like:
                like = [Group(group.program, group.work, shared, deque(), group.configs, group.bank, group.states)]
                groups.append(like[0])
            return like[0]

        lanes = [(replicate, fold) for replicate in range(replicates) for fold in range(sizes.splits)]
        entering = entrants({trial: configs[each.position] for trial, each in standing.items()}, sizes)
        if population is not None and isinstance(director, Changing):
            same = {known.program for known in population.lanes.values()} <= {group.states for group in groups}
            if same:
                return director.begin_again(
                    standing, entering, group_of, lanes, population, partial(self.restorer.stood, population)
                )
            self.usage.continues(0, len(population.lanes))
        return director.begin(standing, entering, group_of, lanes, underway)

    def _work(
        self, pool: "_Pool", place: Place, room: Room, wanted: Wanted, done: Done,
        director: Director | None, deadline: float, saver: Saver | None,
    ) -> None:  # fmt: skip
        """One worker: take a group, train tiles of it until its queue is empty, take the next."""
        try:
            with ambient.own(self.wide), jax.default_device(place.device):
                while (group := pool.take()) is not None and not self.stop.is_set():  # it may have waited to take one
                    compiled = self._fitting(group, place, room)
                    pool.open.set()
                    with room.taken(compiled.bytes):
                        shared = self.supply, place, self.usage, self.stop
                        tile = Tile(*shared, group, compiled, director, deadline, saver)
                        self._training.add(threading.get_ident())
                        try:
                            tile.run(wanted, done)
                        except jax.errors.JaxRuntimeError as error:
                            if "RESOURCE_EXHAUSTED" not in str(error):
                                raise
                            self._make_smaller(tile, error)
                        finally:
                            self._training.discard(threading.get_ident())
                    pool.leave(group)
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
            done.put(error)
        finally:
            pool.open.set()
            done.put(None)

    def _make_smaller(self, tile: Tile, error: Exception) -> None:
        """Let the lanes of a tile for which there was no memory begin again in smaller ones, or raise RequestError."""
        group, widths = tile.group, tile.group.bucket.widths
        if tile.size == 1:
            why = str(error).splitlines()[0]
            raise RequestError(f"there is no memory for one network of widths {widths}: {why}") from error
        jobs = [job for job in tile.jobs if job is not None]
        group.push(jobs)
        group.work.leave(len(jobs), 0)
        if group.shrink(tile.size):
            self.usage.remark(
                f"there was no memory for {tile.size} networks of widths {widths} at a time: they train "
                f"{tile.size // 2} at a time from now on"
            )

    def _fitting(self, group: Group, place: Place, room: Room) -> Compiled:
        """Return the programs of a group; where XLA asks for more memory than there is, those of smaller tiles."""
        while (compiled := self._compiled(group, place, tile := group.tile)).bytes > room.total and tile > 1:
            group.tile = tile // 2
        self.usage.needs(compiled.bytes)
        return compiled

    def _compiled(self, group: Group, place: Place, tile: int) -> Compiled:
        empty = (self.supply.choices([], group, tile), self.supply.lanes([], group, tile))
        shapes = (group.program, place.data, place.test, *empty)
        began = time.perf_counter()
        key = programs.key_of(*shapes)
        with group.work.preparing(group.work.compiled is None and programs.kept(key)):
            compiled, seconds = programs.compiled(*shapes, place.device)
        self.usage.compiled(key, (began, time.perf_counter()) if seconds else None)
        return compiled


def _next(done: Done, tick: Callable[[], object]) -> Any:
    """Return what comes next from the workers, calling `tick` while nothing comes."""
    while True:
        try:
            return done.get(timeout=TICK_SECONDS)
        except queue.Empty:
            tick()


class _Switching:
    """Python's switch interval, which is one for all threads: short while any engine runs, then again as it was."""

    def __init__(self) -> None:
        self._lock, self._users, self._before = threading.Lock(), 0, 0.0

    @contextmanager
    def often(self) -> Generator[None, None, None]:
        """Inside, threads take turns every SWITCH_SECONDS."""
        with self._lock:
            if not self._users:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(SWITCH_SECONDS)
                self._set = sys.getswitchinterval()  # in whole microseconds
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and sys.getswitchinterval() == self._set:  # else somebody else has set it meanwhile
                    sys.setswitchinterval(self._before)


_switching = _Switching()


class _Pool:
    """The groups, in the order in which they should start; workers take them from here.

    Where a director decides what goes on, a worker that finds no lanes waits until there are some or all have ended.
    """

    def __init__(self, groups: list[Group], stop: threading.Event, director: Director | None, deadline: float) -> None:
        self.groups, self.lock = groups, threading.Lock()
        self.stop, self.director, self.deadline = stop, director, deadline
        self.open = threading.Event()  # whether the first group has its programs
        self._first = True

    def take(self) -> Group | None:
        """Return a group with waiting lanes, rather one whose program no other worker is compiling.

        The first group has all cores to itself until it is compiled: its compilation can use several, Python traces one
        program at a time anyway, and results appear in half the time.
        """
        with self.lock:
            waits, self._first = not self._first, False
        if waits:
            self.open.wait()
        while (group := self._chosen()) is None and self.director is not None:
            with self.director.changed:
                over = self.director.done or self.stop.is_set() or time.perf_counter() > self.deadline
                if not over and not any(group.jobs for group in self.groups):
                    self.director.changed.wait(TICK_SECONDS)
            if over:
                break
        return group

    def leave(self, group: Group) -> None:
        """Note that a worker has done what there was to do in a group."""
        with self.lock:
            group.workers -= 1

    def _chosen(self) -> Group | None:
        if time.perf_counter() > self.deadline:
            return None
        with self.lock:
            groups = [group for group in self.groups if group.jobs]
            if not groups:
                return None
            busy = {id(group.bucket) for group in groups if group.workers}
            idle = [group for group in groups if id(group.bucket) not in busy]
            group = idle[0] if idle else min(groups, key=lambda group: group.workers)
            group.workers += 1
            return group
