"""Words in which progress is told: times, rates, configs, and what goes on right now."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxsweep import interruption
from jaxsweep.errors import printable
from jaxsweep.report.progress import Preparing, Snapshot


def duration(seconds: float | None) -> str:
    """Return a time such as 0:07 or 1:02:45; -:-- while it is unknown."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rate_text(rate: float) -> str:
    """Return configs a second with as many digits as mean something."""
    return f"{rate:.0f} configs/s" if rate >= 100 else f"{rate:.2g} configs/s"


def short(value: Any) -> str:
    """Return a hyperparameter's value in few characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.3g}"
    return printable("-".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


def telling(params: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells a config from others, in few characters each."""
    return {name: short(value) for name, value in params.items()}


def best_text(now: Snapshot) -> str:
    """Return the best score and whose it is."""
    if now.best_score is None:
        return "none yet"
    fresh = f" in {now.confirmed} fresh trainings" if now.confirmed else ""
    return f"{now.objective} {now.best_score:.4g}{fresh} (trial {now.best_trial})"


def activity(now: Snapshot) -> str:
    """Return what goes on, such as "compiling program 1 of 2, about 5 s · training 16 networks of depth 3"."""
    if now.interrupted:
        return f"interrupted: keeping what has finished{_awaited(now)}"
    parts = [f"confirming {now.confirming} trial{'s' * (now.confirming != 1)}"] if now.confirming else []
    for kept, word in ((False, "compiling"), (True, "loading")):
        programs = [each for each in now.preparing if each.kept == kept]
        if programs:
            about = "" if kept else _about(max(programs, key=lambda each: each.expected))
            which = f"program{'s' * (len(programs) > 1)} {_listed([each.number for each in programs])}"
            parts.append(f"{word} {which} of {programs[0].of}{about}")
    if now.training:
        of = f" of depth {_listed(now.depths)}" if now.depths else ""
        parts.append(f"training {now.training} network{'s' * (now.training != 1)}{of}")
    return " · ".join(parts) or ("recording" if now.finished >= now.requested else "planning")


def _about(program: Preparing) -> str:
    expected = f"about {max(1, round(program.expected))} s"
    late = program.taken > max(1.5 * program.expected, 2.0)
    return f", {round(program.taken)} s so far where {expected} was expected" if late else f", {expected}"


def _awaited(now: Snapshot) -> str:
    compiled = sum(not each.kept for each in now.preparing)
    if compiled and not interruption.process_ends():
        return f", waiting for the program{'s' * (compiled > 1)} being compiled"
    return ", waiting for the calls under way" if now.training else ""


def _listed(numbers: Sequence[int]) -> str:
    return " and ".join(filter(None, [", ".join(map(str, numbers[:-1])), str(numbers[-1])]))


def clock_text(now: Snapshot) -> str:
    """Return how long a sweep has taken, and how long it will."""
    so_far = f"{duration(now.seconds)} taken"
    return f"interrupted, {so_far}" if now.interrupted else f"{so_far}, {duration(now.left)} left"


def taken(now: Snapshot) -> str:
    """Return how long a sweep that has ended took, and whether it came to its end."""
    return f"interrupted after {duration(now.seconds)}" if now.interrupted else f"{duration(now.seconds)} taken"
