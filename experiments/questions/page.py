"""The page of answers, a pure function of them: what stands in it was measured, and no word of a verdict is by hand."""

from collections.abc import Mapping
from typing import Any

from questions.measures import MEASURES, verdict
from questions.registry import QUESTIONS, Claim, Question

INTRODUCTION = """# What is commonly said of hyperparameters, and what was measured

`make experiments` trains everything on this page and writes it, pictures and verdicts included; nothing here is typed.
The data of the tables that are not part of scikit-learn are read from a folder, `TABLES=...`.

Each question has a sweep file in [questions/](questions), and each config of it was trained 20 times, under four seeds
on each of five folds (or as its remark says), on each of three data sets. A score is accuracy, or r2 in regression. ±
is half of a 95 % interval of Student's t over these trainings, corrected for the rows that they share (Nadeau and
Bengio, 2003), so that it also holds for other rows of the kind. A claim *held* on a data set if the interval of the
difference is on its side of 0; it is *the other way round* if it is on the other side, and *open* if 0 is within. With
so many comparisons one in forty may fall on a wrong side by luck.
"""


def page(answers: Mapping[str, Any]) -> str:
    """Return the page in Markdown."""
    known = [question for question in QUESTIONS if question.name in answers["questions"]]
    parts = [INTRODUCTION, _made(answers), _overview(known, answers["questions"])]
    parts += [_section(question, answers["questions"][question.name]) for question in known]
    return "\n".join(parts)


def _made(answers: Mapping[str, Any]) -> str:
    found = answers["questions"].values()
    trainings, seconds = sum(each["trainings"] for each in found), sum(each["seconds"] for each in found)
    return (
        f"{trainings:,} networks were trained in {seconds / 60:.0f} minutes on {answers['machine']}, with "
        f"{answers['versions']}.\n"
    )


def _overview(known: list[Question], found: Mapping[str, Any]) -> str:
    lines = ["| question | what is said | held |", "| --- | --- | --- |"]
    for question in known:
        for i, claim in enumerate(question.claims):
            title = f"[{question.title}](#{anchor(question.title)})" if i == 0 else ""
            lines.append(f"| {title} | {claim.says} | {_held(found[question.name]['data'], i)} |")
    return "\n".join([*lines, ""])


def anchor(title: str) -> str:
    """Return the name that a heading has as a target of links."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def _verdicts(data: Mapping[str, Any], i: int) -> dict[str, list[str]]:
    by: dict[str, list[str]] = {"yes": [], "no": [], "open": []}
    for name, each in data.items():
        by[verdict(each["claims"][i])].append(name)
    return by


def _held(data: Mapping[str, Any], i: int) -> str:
    by = _verdicts(data, i)
    words = f"{len(by['yes'])} of {len(data)}"
    return words + (f", {len(by['no'])} the other way round" if by["no"] else "")


def sentence(claim: Claim, data: Mapping[str, Any], i: int) -> str:
    """Return whether a claim held, in words with figures."""
    by = _verdicts(data, i)
    head = "held" if len(by["yes"]) == len(data) else "held in part" if by["yes"] else "did not hold"
    if not by["yes"] and not by["no"]:
        head = "not decided"
    told = []
    for kind, word in (("yes", ""), ("no", "the other way round "), ("open", "open " if by["yes"] or by["no"] else "")):
        told += [f"{word}on {name} ({_figure(data[name]['claims'][i], claim.measure)})" for name in by[kind]]
    return f"- {claim.says[:1].upper()}{claim.says[1:]}: **{head}**, {'; '.join(told)}."


def _figure(judged: list[Any], measure: str) -> str:
    mean, half, _ = judged
    if mean is None or half is None:
        return "no figure"
    decimals = MEASURES[measure].decimals
    return f"{mean:+.{decimals}f} ± {half:.{decimals}f}"


def _section(question: Question, found: Mapping[str, Any]) -> str:
    lines = [f"## {question.title}", ""]
    lines += [sentence(claim, found["data"], i) for i, claim in enumerate(question.claims)]
    lines += ["", f"![{question.title}](pictures/{question.name}.png)", ""]
    if question.remark:
        lines += [question.remark, ""]
    lines += ["<details><summary>Tables</summary>", ""]
    for name, each in found["data"].items():
        lines += [f"**{name}**", "", *_table(question, each["groups"]), ""]
    lines += ["</details>", ""]
    lines.append(
        f"[questions/{question.name}.toml](questions/{question.name}.toml): {found['trainings']:,} networks, "
        f"{found['seconds']:.0f} s.\n"
    )
    return "\n".join(lines)


def _table(question: Question, groups: Mapping[str, Any]) -> list[str]:
    chosen = any(group["chosen"] for group in groups.values())
    diverged = any(group["diverged"] for group in groups.values())
    titles = ["", *(MEASURES[measure].title for measure in question.measures)]
    titles += ["chosen"] * chosen + ["diverged"] * diverged
    lines = ["| " + " | ".join(titles) + " |", "| --- |" + " ---: |" * len(question.measures) + " --- |" * chosen]
    lines[1] += " ---: |" * diverged
    for name, group in groups.items():
        cells = [name, *(_cell(group.get(measure), measure) for measure in question.measures)]
        cells += [group["chosen"]] * chosen + [str(group["diverged"] or "")] * diverged
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cell(given: list[Any] | None, measure: str) -> str:
    if given is None or given[0] is None:
        return ""
    decimals = MEASURES[measure].decimals
    mean, half = given[:2]
    return f"{mean:,.{decimals}f}" + (f" ± {half:.{decimals}f}" if half else "")
