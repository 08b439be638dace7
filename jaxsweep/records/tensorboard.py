"""A sweep as event files of TensorBoard: a run for each of the best trials, and what its HParams plugin needs.

In the folder stands what is common to all (the hyperparameters, the metrics, the sweep file as a text), in
`trial_ID/` what a trial has: hyperparameters, learning curves, and under `final/` what it came to.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxsweep.errors import RequestError
from jaxsweep.records import tracked
from jaxsweep.records.trials import FINISHED, Trial
from jaxsweep.spec.extras import extra
from jaxsweep.spec.metrics import sign
from jaxsweep.spec.own import directed
from jaxsweep.spec.sweepfile import to_toml

if TYPE_CHECKING:
    from jaxsweep.records.exports import Exports

# What the plugin looks for; its own module has these words too, and is not needed for anything else.
PLUGIN = "hparams"
EXPERIMENT, START, END = (f"_hparams_/{name}" for name in ("experiment", "session_start_info", "session_end_info"))
FINAL = "final/"  # before a metric that a trial came to
LONGEST = 200  # letters of a tag


@dataclass(frozen=True)
class Written:
    """What was written for TensorBoard.

    Attributes:
        folder: what `tensorboard --logdir` takes.
        trials: ids of the trials that are there, the best first.
        among: how many trials the sweep has.
    """

    folder: Path
    trials: tuple[int, ...]
    among: int

    def told(self) -> str:
        """Return in a sentence what was written."""
        which = "all" if len(self.trials) == self.among else f"the best {len(self.trials):,} of"
        return f"{which} {self.among:,} trials are in {self.folder}: tensorboard --logdir {self.folder}"

    def __repr__(self) -> str:
        return self.told()


def write(result: "Exports", folder: Path, trials: Any, show_test: bool) -> Written:
    """Write a sweep as event files; see `Result.to_tensorboard`."""
    library = _Library()
    chosen = tracked.chosen(result, trials)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError(f"{folder} is there already: choose a new folder for TensorBoard, or remove it")
    story = _Story(library, result, chosen, show_test)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
            new = Path(beside) / "new"
            library.file(new, story.now, story.common())
            for trial in chosen:
                library.file(new / f"trial_{trial.id}", story.now, story.of(trial))
            if folder.exists():
                folder.rmdir()
            new.rename(folder)
    except OSError as error:
        raise RequestError(f"{folder} cannot be written ({error.strerror or error}): choose another folder") from None
    return Written(folder, tuple(trial.id for trial in chosen), len(result.trials))


class _Library:
    """The messages of TensorBoard's files, as tensorboardX has them, which is small and brings no TensorFlow."""

    def __init__(self) -> None:
        def module(name: str) -> Any:
            return extra(f"tensorboardX{name}", "writing for TensorBoard", "tensorboard")

        module("")
        self.events, self.summaries = module(".proto.event_pb2"), module(".proto.summary_pb2")
        self.tensors, self.shapes = module(".proto.tensor_pb2"), module(".proto.tensor_shape_pb2")
        self.kinds, self.api = module(".proto.types_pb2"), module(".proto.api_pb2")
        self.hparams, self.records = module(".proto.plugin_hparams_pb2"), module(".record_writer")

    def file(self, folder: Path, now: float, events: Iterator[Any]) -> None:
        """Write an event file into a new folder."""
        folder.mkdir()
        writer = self.records.RecordWriter(str(folder / f"events.out.tfevents.{int(now):010d}.jaxsweep"))
        writer.write(self.events.Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for event in events:
            writer.write(event.SerializeToString())
        writer.close()

    def event(self, values: Sequence[Any], when: float, step: int = 0) -> Any:
        """Return an event with some values of a summary."""
        return self.events.Event(wall_time=when, step=step, summary=self.summaries.Summary(value=values))

    def scalar(self, tag: str, value: float) -> Any:
        """Return a number of a summary, which has the precision of float32."""
        return self.summaries.Summary.Value(tag=tag, simple_value=value)

    def plugin(self, tag: str, **content: Any) -> Any:
        """Return what the HParams plugin reads: all of it is in the metadata."""
        data = self.hparams.HParamsPluginData(version=0, **content).SerializeToString()
        return self.summaries.Summary.Value(tag=tag, metadata=self._metadata(PLUGIN, data))

    def text(self, tag: str, text: str) -> Any:
        """Return a text, which TensorBoard reads as Markdown."""
        shape = self.shapes.TensorShapeProto(dim=[self.shapes.TensorShapeProto.Dim(size=1)])
        tensor = self.tensors.TensorProto(dtype=self.kinds.DT_STRING, string_val=[text.encode()], tensor_shape=shape)
        return self.summaries.Summary.Value(tag=tag, metadata=self._metadata("text", b""), tensor=tensor)

    def _metadata(self, plugin: str, content: bytes) -> Any:
        kind = self.summaries.SummaryMetadata
        return kind(plugin_data=kind.PluginData(plugin_name=plugin, content=content))


class _Story:
    """What is told of a sweep, event by event."""

    def __init__(self, library: _Library, result: "Exports", trials: Sequence[Trial], show_test: bool) -> None:
        self.library, self.result, self.trials, self.show_test = library, result, trials, show_test
        self.tested = tracked.tested(result, show_test)
        self.now = time.time()
        values = tracked.hyperparameters(trials)
        names = tracked.legal(values, LONGEST)
        self.values = {names[name]: known for name, known in values.items()}
        metrics = dict.fromkeys(name for trial in trials for name in trial.metrics)
        self.tags = tracked.legal({**dict.fromkeys(result.columns.curves), **metrics}, LONGEST)

    def common(self) -> Iterator[Any]:
        """Return the events that stand in no trial: the experiment, and the sweep file as a text."""
        api, result = self.library.api, self.result
        each = (tracked.final(result, trial, self.tested) for trial in self.trials)
        shown = dict.fromkeys(name for came in each for name in came if self.show_test or not name.startswith("test_"))
        experiment = api.Experiment(
            description=f"jaxsweep: {len(self.trials)} of {len(result.trials)} trials, score is {result.objective}",
            time_created_secs=self.now,
            hparam_infos=[_info(api, name, known) for name, known in self.values.items()],
            metric_infos=[self._metric(name) for name in shown],
        )
        yield self.library.event([self.library.plugin(EXPERIMENT, experiment=experiment)], self.now)
        indented = "\n".join(f"    {line}" for line in to_toml(result.request).splitlines())  # code in Markdown
        text = f"{tracked.sentence(result)}\n\n{indented}\n"
        yield self.library.event([self.library.text("sweep", text)], self.now)

    def _metric(self, name: str) -> Any:
        way = "larger" if sign(directed(name, self.result.request.metrics)) > 0 else "smaller"
        called = self.library.api.MetricName(tag=FINAL + self.tags[name])
        return self.library.api.MetricInfo(name=called, display_name=name, description=f"{way} is better")

    def of(self, trial: Trial) -> Iterator[Any]:
        """Return the events of a trial.

        Nobody has noted when an epoch ended: the trial counts as having ended now, and all of its epochs as having
        taken equally long.
        """
        library, began = self.library, self.now - trial.seconds
        start = library.hparams.SessionStartInfo(start_time_secs=began)
        for name, known in self.values.items():
            if trial.id in known:
                _put(start.hparams[name], known[trial.id])
        yield library.event([library.plugin(START, session_start_info=start)], began)
        each: dict[int, list[Any]] = {}
        for name, points in tracked.curves(self.result, trial).items():
            for epoch, value in points:
                each.setdefault(epoch, []).append(library.scalar(self.tags[name], value))
        for epoch, scalars in sorted(each.items()):
            yield library.event(scalars, began + trial.seconds * epoch / max(trial.epochs_done, 1), epoch)
        came = tracked.final(self.result, trial, self.tested)
        if came:
            scalars = [library.scalar(FINAL + self.tags[name], value) for name, value in came.items()]
            yield library.event(scalars, self.now, trial.epochs_done)
        status = library.api.STATUS_SUCCESS if trial.status in FINISHED else library.api.STATUS_FAILURE
        end = library.hparams.SessionEndInfo(status=status, end_time_secs=self.now)
        yield library.event([library.plugin(END, session_end_info=end)], self.now)


def _info(api: Any, name: str, values: Mapping[int, bool | float | str]) -> Any:
    """Return what the plugin is told of a hyperparameter: its type, and what values it has in these trials."""
    distinct = sorted(set(values.values()))  # which are of one kind
    if isinstance(distinct[0], float):
        interval = api.Interval(min_value=distinct[0], max_value=distinct[-1])
        return api.HParamInfo(name=name, type=api.DATA_TYPE_FLOAT64, domain_interval=interval)
    boolean = isinstance(distinct[0], bool)
    info = api.HParamInfo(name=name, type=api.DATA_TYPE_BOOL if boolean else api.DATA_TYPE_STRING)
    for value in distinct:
        _put(info.domain_discrete.values.add(), value)
    return info


def _put(message: Any, value: bool | float | str) -> None:
    """Give a message `google.protobuf.Value` its value."""
    kind = "bool" if isinstance(value, bool) else "number" if isinstance(value, float) else "string"
    setattr(message, f"{kind}_value", value)
