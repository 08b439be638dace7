"""The arguments of every command, with their help."""

import argparse
from typing import NoReturn

from jaxsweep import __version__
from jaxsweep.errors import RequestError

_DESCRIPTION = """\
Trains thousands of neural-network hyperparameter configurations at once.

Results go to stdout, progress and messages to stderr.
Exit codes: 0 done, 1 failed, 2 the request is wrong, 3 no trial finished, 129, 130 and 143 interrupted
(what had finished is kept)."""

_EXAMPLES = """\
examples:
  jaxsweep run                                          256 random configs on the built-in digits
  jaxsweep run --data cars.csv --target price --trials 1000
  jaxsweep run sweep.toml --set epochs=50 --out runs/long
  jaxsweep show runs/long --top 5
  jaxsweep export runs/long --trial 17 --out car-model
  jaxsweep predict car-model new-cars.csv --out prices.csv

`jaxsweep COMMAND --help` explains a command."""

_RUN_EXAMPLES = """\
examples:
  jaxsweep {0} --data iris --trials 64 --search sobol
  jaxsweep {0} --data cars.csv --target price --task regression
  jaxsweep {0} sweep.toml --set optimizer=adam --set 'learning_rate={{loguniform=[1e-4,1e-2]}}'
  jaxsweep {0} --set sweep.replicates=3 --set data.split=[0.7,0.2,0.1]

A sweep file has the sections [data], [sweep], [search] (options of the searcher), [scheduler] (its options) and
[space]; its paths are relative to the current directory. Flags go before the file, and --set before both. VALUE is
TOML; a bare word is text. KEY may leave out its section: --set epochs=5 is --set space.epochs=5."""


_SHOW_TEST = "give the table a column of test scores, which are the best one's alone otherwise"


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence, like all others of this program."""

    def error(self, message: str) -> NoReturn:
        """Raise RequestError."""
        raise RequestError(f"{message} (see {self.prog} --help)")


def make_parser() -> Parser:
    """Return the parser of the command line; `command` is the name of the command."""
    parser = Parser(
        prog="jaxsweep", description=_DESCRIPTION, epilog=_EXAMPLES, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"jaxsweep {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser, dest="command", title="commands")
    _add_training(commands)
    _add_runs(commands)
    _add_exports(commands)
    _add_rest(commands)
    commands.required = True
    return parser


def actions_of(parser: argparse.ArgumentParser, command: str | None = None) -> list[argparse.Action]:
    """Return the arguments of a command, or of all of them."""
    found: list[argparse.Action] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            chosen = action.choices.values() if command is None else [action.choices[command]]
            found += [inner for each in chosen for inner in each._actions]
    return found


def options_of(parser: argparse.ArgumentParser, command: str) -> list[str]:
    """Return the options of a command, such as --trials."""
    return [option for action in actions_of(parser, command) for option in action.option_strings]


def _add(commands: "argparse._SubParsersAction[Parser]", name: str, text: str, epilog: str = "") -> Parser:
    return commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def _add_training(commands: "argparse._SubParsersAction[Parser]") -> None:
    for name, text in (
        ("run", "train a sweep and print its table"),
        ("plan", "say what `run` with the same arguments would compile, and what that would cost; train nothing"),
    ):
        parser = _add(commands, name, text, _RUN_EXAMPLES.format(name))
        parser.add_argument("file", nargs="?", metavar="SWEEP.toml", help="a sweep file")
        data = parser.add_argument_group("data")
        data.add_argument(
            "--data", metavar="NAME or FILE", help="a built-in data set, or a CSV or Parquet file (default: digits)"
        )
        data.add_argument(
            "--target", metavar="COLUMN", help="the column to predict: its name, or its number from 0; several: A,B"
        )
        data.add_argument("--validation", metavar="FILE", help="another table, whose rows validate")
        data.add_argument("--test", metavar="FILE", help="another table, whose rows test")
        data.add_argument("--group", metavar="COLUMN", help="rows with the same value there stay together in a split")
        data.add_argument("--weight", metavar="COLUMN", help="how much each row counts in losses and metrics")
        data.add_argument(
            "--task", choices=("classification", "regression"),
            help="default: text, booleans and up to 20 distinct whole numbers are classes, all else is regression",
        )  # fmt: skip
        search = parser.add_argument_group("search")
        search.add_argument("--trials", metavar="N", type=_integer, help="configs to train (default: 256)")
        search.add_argument("--search", metavar="NAME", help="the searcher (default: random; see `searchers`)")
        search.add_argument(
            "--scheduler", metavar="NAME", help="stops trials that lag behind (default: none; see `schedulers`)"
        )
        search.add_argument(
            "--minutes", metavar="M", type=_number, help="begin no training after M minutes (default: no limit)"
        )
        search.add_argument(
            "--objective", metavar="METRIC",
            help="the validation metric to search on (default: val_accuracy, or val_mse for regression); several, of "
            "which parameters, iterations or seconds may be some, apart by commas",
        )  # fmt: skip
        search.add_argument(
            "--constraint", metavar="BOUND", action="append",
            help="what a trial must meet to be the best, such as 'parameters <= 10000'; repeat it for more",
        )  # fmt: skip
        search.add_argument(
            "--warm-start", metavar="DIR", action="append",
            help="an earlier run, or a study of Optuna (sqlite:///FILE#NAME), of whose trials the searcher is told "
            "first; repeat it for more",
        )  # fmt: skip
        search.add_argument(
            "--start-from", metavar="MODEL_DIR",
            help="an exported network with whose weights all networks start, layer by layer where shapes agree "
            "(see transfer and frozen among the hyperparameters)",
        )  # fmt: skip
        search.add_argument(
            "--replicates", metavar="R", type=_integer, help="trainings of each config under other seeds (default: 1)"
        )
        search.add_argument(
            "--confirm", metavar="K", type=_integer,
            help="train the best K trials again under fresh seeds, R times and at least 5, and rank them by that "
            "(default: 0)",
        )  # fmt: skip
        search.add_argument("--seed", metavar="S", type=_integer, help="decides every random number (default: 0)")
        search.add_argument(
            "--set", metavar="KEY=VALUE", action="append", default=[],
            help="any key of the sweep file, or any hyperparameter; repeat it for more",
        )  # fmt: skip
        output = parser.add_argument_group("output")
        output.add_argument("--out", metavar="DIR", help="a new run directory (default: runs/DATA-TIME)")
        output.add_argument(
            "--resume", action="store_true", help="go on with the run in --out, if there is one (for job scripts)"
        )
        output.add_argument(
            "--keep", metavar="K", type=_integer, help="keep the weights of the best K trials (default: 10)"
        )
        _add_shown(output)


def _add_shown(parser: "argparse._ActionsContainer") -> None:
    """Add how a sweep is shown, while it runs and once it has ended."""
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="json: the last line is one object"
    )
    parser.add_argument("--show-test", action="store_true", help=_SHOW_TEST)
    parser.add_argument("--quiet", action="store_true", help="show no progress")


def _add_runs(commands: "argparse._SubParsersAction[Parser]") -> None:
    resume = _add(
        commands, "resume", "go on with a run that was interrupted or killed, or give it more trials",
        "What is recorded is not trained again; the table is that of a run that nobody has stopped.\n\n"
        "examples:\n  jaxsweep resume runs/a\n  jaxsweep resume runs/a --trials 2000",
    )  # fmt: skip
    resume.add_argument("run", metavar="DIR", help="a run directory")
    resume.add_argument(
        "--trials", metavar="N", type=_integer, help="trials in all (default: as many as were asked for)"
    )
    resume.add_argument(
        "--minutes",
        metavar="M",
        type=_number,
        help="begin no training after M minutes from now (default: the run's; inf: no limit)",
    )
    _add_shown(resume)
    show = _add(
        commands, "show", "print the table of a run, or write it to a file",
        "examples:\n  jaxsweep show runs/a --sort val_loss --top 5\n  jaxsweep show runs/a --out trials.parquet",
    )  # fmt: skip
    show.add_argument("run", metavar="DIR", help="a run directory")
    show.add_argument("--top", metavar="K", type=_integer, help="the first K rows (default: 10 of a table, else all)")
    show.add_argument("--sort", metavar="COLUMN", default="score", help="default: score; of metrics, the best first")
    show.add_argument(
        "--format", choices=("table", "json", "csv", "parquet"), default="table",
        help="default: table; of a file, what its name ends in",
    )  # fmt: skip
    show.add_argument("--out", metavar="FILE", help="write it to a file: .csv, .json or .parquet (default: stdout)")
    show.add_argument("--show-test", action="store_true", help=_SHOW_TEST)
    report = _add(
        commands, "report", "write what a run came to as a page of HTML, and print where it is",
        "One file that loads nothing: the best configs, learning curves, what matters and interacts, where trainings\n"
        "diverge, the winner, luck, and how to run it again.\n\n"
        "example:\n  jaxsweep report runs/a",
    )  # fmt: skip
    report.add_argument("run", metavar="DIR", help="a run directory")
    report.add_argument("--out", metavar="FILE.html", help="default: report.html in the run directory")
    solo = _add(
        commands, "solo", "train one trial again with plain Flax and Optax, and compare the learning curves",
        "example:\n  jaxsweep solo runs/a --trial 17",
    )  # fmt: skip
    solo.add_argument("run", metavar="DIR", help="a run directory")
    solo.add_argument("--trial", metavar="ID", type=_integer, required=True, help="the trial's number")


def _add_exports(commands: "argparse._SubParsersAction[Parser]") -> None:
    export = _add(
        commands, "export", "write a trained network, or an ensemble of several, as a folder, or a network for ONNX",
        "Weights that were not kept are trained again, which gives the same network. An ensemble is chosen among the\n"
        "kept ones by the objective on the validation rows, and averages their predictions: run with --keep 50.\n\n"
        "examples:\n  jaxsweep export runs/a --trial 17 --out model\n  jaxsweep export runs/a --onnx model.onnx\n"
        "  jaxsweep export runs/a --ensemble 20 --out model",
    )  # fmt: skip
    export.add_argument("run", metavar="DIR", help="a run directory")
    which = export.add_mutually_exclusive_group()
    which.add_argument("--trial", metavar="ID", type=_integer, help="default: the best trial")
    which.add_argument(
        "--ensemble", metavar="N", type=_integer, help="at most N networks that predict together, some of them twice"
    )
    export.add_argument("--out", metavar="DIR", help="the folder to write")
    export.add_argument("--onnx", metavar="FILE", help="the file to write for ONNX, preprocessing included")
    export.add_argument(
        "--onnx-features", action="store_true", help="its graph takes standardized features, and no raw columns"
    )
    optuna = _add(
        commands, "optuna", "write a run as a study of Optuna, for its dashboard and its plots",
        "example:\n  jaxsweep optuna runs/a --storage sqlite:///studies.db\n  optuna-dashboard sqlite:///studies.db",
    )  # fmt: skip
    optuna.add_argument("run", metavar="DIR", help="a run directory")
    optuna.add_argument(
        "--storage", metavar="URL", required=True, help="a storage of Optuna, made if need be: sqlite:///FILE"
    )
    optuna.add_argument("--study", metavar="NAME", help="a new one (default: the name of the run directory)")
    tensorboard = _add(
        commands, "tensorboard", "write the best trials of a run for TensorBoard and its HParams",
        "Each is a run with its hyperparameters, learning curves, and what it came to.\n\n"
        "example:\n  jaxsweep tensorboard runs/a --out boards/a\n  tensorboard --logdir boards",
    )  # fmt: skip
    tensorboard.add_argument("run", metavar="DIR", help="a run directory")
    tensorboard.add_argument("--out", metavar="LOGDIR", required=True, help="a new folder")
    _add_chosen(tensorboard, 100)
    mlflow = _add(
        commands, "mlflow", "write a run to MLflow, with the best trials as runs below it",
        "The run of the sweep has its settings, numbers and files, that of a trial hyperparameters and learning\n"
        "curves.\n\nexample:\n  jaxsweep mlflow runs/a --tracking-uri sqlite:///mlflow.db --experiment cars",
    )  # fmt: skip
    mlflow.add_argument("run", metavar="DIR", help="a run directory")
    mlflow.add_argument("--tracking-uri", metavar="URI", help="a database or a server (default: what MLflow is set to)")
    mlflow.add_argument("--experiment", metavar="NAME", default="jaxsweep", help="made if need be (default: jaxsweep)")
    mlflow.add_argument("--run-name", metavar="NAME", help="default: the name of the run directory")
    _add_chosen(mlflow, 20)


def _add_chosen(parser: Parser, default: int) -> None:
    """Add which trials a tracker gets."""
    parser.add_argument(
        "--top", metavar="K", type=_integer_or_all, default=default,
        help=f"the best K trials, or `all`, also without a score (default: {default})",
    )  # fmt: skip
    parser.add_argument(
        "--show-test", action="store_true", help="write the test scores of all trials, not of the best one alone"
    )


def _add_rest(commands: "argparse._SubParsersAction[Parser]") -> None:
    predict = _add(
        commands, "predict", "print predictions of an exported network, or ensemble, for a table",
        "Columns: prediction and, for classes, proba_CLASS for each. The table is raw, as for training; other\n"
        "columns than the network needs, such as the target, are ignored.\n\n"
        "example:\n  jaxsweep predict model new.csv --out predictions.csv",
    )  # fmt: skip
    predict.add_argument("model", metavar="MODEL_DIR", help="a folder that `export` wrote")
    predict.add_argument("table", metavar="FILE.csv", help="a CSV or Parquet file")
    predict.add_argument("--out", metavar="FILE.csv", help="default: stdout")
    predict.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[],
        help="what there is to say of the file: delimiter, encoding, skip; default: as the one that was trained on",
    )  # fmt: skip
    bench = _add(
        commands, "bench", "measure throughput on this machine, side by side with what else is installed",
        "Sections: contenders (everyone on the same work), mixtures (configs that differ in everything), shapes\n"
        "(other widths and depths), starts (new processes), many (20,000 tiny trials), predictions (of time and\n"
        "memory, with what came of them).\n\n"
        "example:\n  jaxsweep bench contenders --configs 128",
    )  # fmt: skip
    bench.add_argument("sections", nargs="*", metavar="SECTION", help="default: all")
    bench.add_argument("--device", choices=("cpu", "gpu", "tpu"), default="cpu", help="where JAX runs (default: cpu)")
    bench.add_argument(
        "--configs", metavar="N", type=_integer, default=512, help="configs of the first race (default: 512)"
    )
    bench.add_argument("--repeats", metavar="N", type=_integer, default=5, help="rounds of a race (default: 5)")
    bench.add_argument("--format", choices=("table", "json", "markdown"), default="table", help="default: table")
    for name, text in (
        ("doctor", "check versions, devices, known compiler bugs and a small training"),
        ("hyperparameters", "list the hyperparameters"),
        ("datasets", "list the built-in data sets"),
        ("searchers", "list the searchers and their options"),
        ("schedulers", "list the schedulers and their options"),
    ):
        parser = _add(commands, name, text)
        parser.add_argument("--format", choices=("table", "json"), default="table", help="default: table")


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not legal: it must be an integer") from None


def _integer_or_all(text: str) -> int | None:
    return None if text == "all" else _integer(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not legal: it must be a number") from None
