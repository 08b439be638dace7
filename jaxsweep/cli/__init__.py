# PYTHON_ARGCOMPLETE_OK
"""The command line: `python -m jaxsweep COMMAND`.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 failed, 2 the request is wrong (one line
says what, where and what would be right), 3 no trial finished, 129, 130 and 143 interrupted. Commands are imported
when they are called, so that help does not wait for JAX.
"""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from jaxsweep import interruption
from jaxsweep.cli.interrupt import Interrupts
from jaxsweep.cli.outputs import make_steady
from jaxsweep.cli.parser import make_parser
from jaxsweep.errors import RequestError, SweepFailed, printable, suggestion

FAILED, WRONG, NOTHING_FINISHED = 1, 2, 3

_COMMANDS = {
    "run": "training",
    "resume": "training",
    "plan": "training",
    "show": "runs",
    "report": "runs",
    "export": "exports",
    "solo": "runs",
    "optuna": "exports",
    "tensorboard": "exports",
    "mlflow": "exports",
    "predict": "models",
    "bench": "bench",
    "doctor": "checks",
    "hyperparameters": "lists",
    "datasets": "lists",
    "searchers": "lists",
    "schedulers": "lists",
}


_warned: set[str] = set()


def entry() -> None:
    """Run the command line of this process and exit."""
    make_steady()
    warnings.showwarning = _show_warning
    interruption.ends_process()
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:  # all is done, and nobody hears signals any more
        code = Interrupts.exit_code()
    # Python's own end takes a while, in which it hears signals as it likes, and aborts where a thread is still within
    # XLA, for which a second interrupt has not waited.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(argv: Sequence[str]) -> int:
    """Carry out a command and return its exit code."""
    with Interrupts() as interrupts:
        try:
            return _answered(argv)
        except KeyboardInterrupt:  # also while an answer is said
            interruption.act()
            return _say("interrupted", 128 + (interrupts.caught or signal.SIGINT))


def _answered(argv: Sequence[str]) -> int:
    """Carry out a command, say what is wrong if something is, and return the exit code."""
    try:
        return _carry_out(argv)
    except RequestError as error:
        return _say(str(error), WRONG)
    except SweepFailed as error:
        return _say(str(error), NOTHING_FINISHED)
    except BrokenPipeError:
        # The reader (`| head`) has what it wants. Python flushes stdout once more at exit, which must not fail.
        _drop_stdout()
        return 0
    except MemoryError:
        return _say("failed: there is no memory for this", FAILED)
    except OSError as error:
        unnamed = _drop_stdout() or (error.errno is not None and error.filename is None)
        return _say(f"failed: {f'stdout: {error.strerror}' if unnamed else error}", FAILED)


def _carry_out(argv: Sequence[str]) -> int:
    name = next((argument for argument in argv if not argument.startswith("-")), None)
    if name is not None and name not in _COMMANDS:
        raise RequestError(f"unknown command {name!r}{suggestion(name, _COMMANDS)}")
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks how the line may go on, and gets no more than that
        import_module("jaxsweep.cli.complete").answer(parser)
    try:
        arguments, unknown = parser.parse_known_args(argv)
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    if unknown:
        raise import_module("jaxsweep.cli.unknown").refused(parser, arguments.command, unknown, argv)
    module = import_module(f"jaxsweep.cli.{_COMMANDS[arguments.command]}")
    command: Callable[[Any], int] = getattr(module, arguments.command)
    arguments.argv = list(argv)
    code = command(arguments)
    sys.stdout.flush()
    return code


def _drop_stdout() -> bool:
    """Let what Python still holds for stdout go nowhere; return whether stdout does not take it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _show_warning(message: Warning | str, *where: Any, **further: Any) -> None:
    """Say a warning of Python's, of JAX's for example, like everything else: in a line, without its place in a file."""
    if (text := str(message)) not in _warned:
        _warned.add(text)
        _say(f"warning: {text}", 0)


def _say(text: str, code: int) -> int:
    print("jaxsweep: " + printable(" ".join(text.split("\n"))), file=sys.stderr)
    return code
