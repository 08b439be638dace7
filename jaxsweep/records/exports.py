"""What a result can be written as: tables, a study of Optuna, files for TensorBoard, runs of MLflow."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxsweep.records import files, studies
from jaxsweep.records.confirmed import Confirmed
from jaxsweep.records.front import rows_of
from jaxsweep.records.lanes import lane_rows
from jaxsweep.records.model import Model
from jaxsweep.records.trials import Trial
from jaxsweep.records.understanding import Understanding
from jaxsweep.spec import arguments
from jaxsweep.spec.aims import Aims

if TYPE_CHECKING:
    from optuna.study import Study

    from jaxsweep.records.mlflow import Logged
    from jaxsweep.records.tensorboard import Written


class Exports(Understanding):
    """The ways in which the trials of a sweep leave for other programs."""

    status: str
    run: Path | None
    models: Mapping[int, Model]
    confirmed: tuple[Confirmed, ...]

    @property
    def aims(self) -> Aims:
        """The objectives of the sweep and its constraints."""
        raise NotImplementedError

    def top(self, k: int) -> list[Trial]:
        """Return the `k` best trials."""
        raise NotImplementedError

    def summary(self) -> dict[str, Any]:
        """Return the run in numbers."""
        raise NotImplementedError

    def told(self) -> str:
        """Return in a sentence what the sweep came to."""
        raise NotImplementedError

    def why_none(self) -> str:
        """Return in a sentence why there is no best trial."""
        raise NotImplementedError

    def rows(self, lanes: bool = False) -> list[dict[str, Any]]:
        """Return a row for each trial, or for each network, as `to_pandas` has them."""
        if not arguments.flag("lanes", lanes):
            return rows_of(self.trials, self.aims)
        known, keep_best = self.lanes, self.request.keep_best
        each = [lane_rows(trial, known[trial.id], self.columns, keep_best) for trial in self.trials]
        return [row for several in each for row in several]

    def to_csv(self, path: "Path | str", lanes: bool = False) -> None:
        """Write the table of trials as a CSV file, with the columns of `to_pandas`.

        A text in which a spreadsheet would find a formula has an apostrophe before it.

        Args:
            path: the file to write; one that is there is replaced.
            lanes: a row for each network instead of each trial.

        Raises:
            RequestError: the file cannot be written.
        """
        files.save(arguments.path("path", path), files.csv_text(self.rows(lanes)).encode())

    def to_parquet(self, path: "Path | str", lanes: bool = False) -> None:
        """Write the table of trials as a Parquet file, with the columns of `to_pandas`.

        Columns are bool, int64, double or string; one with values of several kinds, or with lists (widths such as 64
        and [64, 32]), has their texts. What is no finite number is null. It takes the extra `parquet`.

        Args:
            path: the file to write; one that is there is replaced.
            lanes: a row for each network instead of each trial.

        Raises:
            RequestError: pyarrow is not installed, or the file cannot be written.
        """
        files.save(arguments.path("path", path), files.parquet_bytes(self.rows(lanes)))

    def to_optuna(self, storage: Any = None, study_name: str | None = None) -> "Study":
        """Return the trials as a new study of Optuna, for its dashboard, its plots and its importances.

        A trial has the hyperparameters that the sweep varied, with their distributions; its objectives, and by how much
        it breaks each constraint; the first objective after each epoch as intermediate values; and as user attributes
        its id, status, metrics and whole config. One without a score has failed. Optuna is the extra `optuna`. To
        write a trial into a database takes it 0.1 s.

        Args:
            storage: a storage of Optuna or its URL, such as "sqlite:///studies.db"; by default memory.
            study_name: of the study, which must be new in its storage; by default Optuna makes one up.

        Raises:
            RequestError: Optuna is not installed, the storage cannot be used, or has a study of that name.
        """
        return studies.written(self.trials, self.curves(self.objective), self.request, self.aims, storage, study_name)

    def to_tensorboard(self, folder: "Path | str", trials: int | None = 100, show_test: bool = False) -> "Written":
        """Write the best trials as event files for TensorBoard, and return what was written.

        Each trial is a run `trial_ID`, with the hyperparameters that the sweep varied, for the HParams plugin, its
        learning curves, and under `final/` the metrics that it came to, the objective first. A curve has 1,000 points
        at most, evenly chosen. In the folder itself are the sweep file and what the sweep came to, as a text. It takes
        the extra `tensorboard`, which writes; to look at it takes TensorBoard itself.

        Args:
            folder: a new folder, as `tensorboard --logdir` takes it.
            trials: how many, the best first; None for all, also those that diverged. A trial of 20 epochs takes 4 kB
                and some hundredths of a second.
            show_test: whether all trials show their metrics of the test rows, which are the best one's alone otherwise.

        Raises:
            RequestError: tensorboardX is not installed, there is no trial, or the folder is not new or cannot be
                written.
            SweepFailed: no trial has a score, and the best are asked for.
        """
        from jaxsweep.records import tensorboard

        where = arguments.path("folder", folder)
        return tensorboard.write(self, where, trials, arguments.flag("show_test", show_test))

    def to_mlflow(
        self, tracking_uri: str | None = None, experiment: str = "jaxsweep", run_name: str | None = None,
        trials: int | None = 20, show_test: bool = False,
    ) -> "Logged":  # fmt: skip
        """Write the sweep to MLflow as one run, the best trials as runs below it, and return their ids.

        The run of the sweep has the settings of its sweep file as params, its numbers and the metrics of the best trial
        as metrics, and as artifacts `sweep.toml`, `summary.json`, `trials.csv` with all trials, and in `model/` the
        network of the best trial, if it was kept. A trial's run has the hyperparameters that the sweep varied as
        params, learning curves as metrics by epoch, `score`, under `final/` the metrics that it came to, and its whole
        config as `config.json`. A curve has 1,000 points at most, evenly chosen. It takes the extra `mlflow`.

        Args:
            tracking_uri: a database or a server, such as "sqlite:///mlflow.db" or "http://localhost:5000"; by default
                what MLflow is set to. With a database in a file MLflow puts artifacts into `mlruns` of the current
                directory.
            experiment: the name of the experiment, which is made if there is none.
            run_name: of the sweep's run; by default the run directory's.
            trials: how many, the best first; None for all, also those that diverged. A database takes some tenths of
                a second for each.
            show_test: whether all trials show their metrics of the test rows, which are the best one's alone otherwise.

        Raises:
            RequestError: MLflow is not installed, there is no trial, or MLflow cannot write there.
            SweepFailed: no trial has a score, and the best are asked for.
        """
        from jaxsweep.records import mlflow

        return mlflow.write(self, tracking_uri, experiment, run_name, trials, arguments.flag("show_test", show_test))
