"""Does what is commonly said of hyperparameters hold? Answers to the questions of `questions/`, as one page.

Question: nineteen, each with a sweep file in `questions/`: learning rates, batches, depth, width, activations,
regularizers, optimizers, dropout, initializers, epochs, schedules, augmentation, losses under outliers, what interacts
with the learning rate, overfitting the validation rows, ways of searching, muP, and starting from a trained network.

Command: python experiments/answers.py [--tables ../shared/data] [--only NAME ...], or `make experiments`
Needs: the folder of the tables vehicle, vowel, dresses and winequality_white (of OpenML), and the extra `report`
Answer: stands in experiments/README.md, which this writes from experiments/answers.json, with its pictures.
"""

import argparse
import json
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from questions.answering import answer
from questions.page import page
from questions.pictures import draw
from questions.registry import QUESTIONS
from questions.sweeping import Settings

from jaxsweep.engine import machine
from jaxsweep.spec.request import Request

HERE = Path(__file__).parent


def quick(request: Request) -> Request:
    """Return the request with one seed on two folds, to see that everything runs."""
    folds = 2 if request.folds else 0
    trials = request.trials if request.trials is None else 20
    return replace(request, folds=folds, replicates=1 if folds else 2, trials=trials)


def versions() -> str:
    """Return the versions of what trains."""
    return ", ".join(f"{name} {version(name)}" for name in ("jaxsweep", "jax", "jaxlib"))


def main() -> None:
    """Train, and write the answers, the pictures and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[question.name for question in QUESTIONS])
    parser.add_argument("--out", type=Path, default=HERE, help="the folder that is written to")
    parser.add_argument("--quick", action="store_true", help="few trainings, to see that everything runs")
    parser.add_argument("--drawn", action="store_true", help="write page and pictures from answers.json again")
    asked = parser.parse_args()
    kept = asked.out / "answers.json"
    answers = json.loads(kept.read_text()) if kept.exists() else {"questions": {}}
    if not asked.drawn:
        if not (asked.tables / "vehicle.csv").exists():
            sys.exit(f"{asked.tables} has no vehicle.csv: --tables must name the folder of the tables")
        settings = Settings(asked.tables, 2, quick) if asked.quick else Settings(asked.tables)
        for question in QUESTIONS:
            if asked.only is None or question.name in asked.only:
                answers |= {"machine": f"{machine.cores()} cores of {machine.processor()}", "versions": versions()}
                answers["questions"][question.name] = answer(question, settings)
                print(f"{question.name}: {answers['questions'][question.name]['seconds']:.0f} s", flush=True)
                kept.write_text(json.dumps(answers, indent=1) + "\n")
    pictures = asked.out / "pictures"
    pictures.mkdir(exist_ok=True)
    for question in QUESTIONS:
        if question.name in answers["questions"]:
            draw(question, answers["questions"][question.name], pictures)
    (asked.out / "README.md").write_text(page(answers))


if __name__ == "__main__":
    main()
