"""The documentation: what is generated covers the tables, links lead somewhere, and what it shows runs.

`make docs` builds the site; here is what can be known without Sphinx.
"""

import inspect
import re
import shlex
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import drawing
import generate
import pictures
import pytest
import reference

import jaxsweep as js
from jaxsweep import schedulers, search
from jaxsweep.cli.parser import actions_of, make_parser
from jaxsweep.spec import sweepfile
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.metrics import METRICS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
PARTS = generate.parts()
EVERY = {**PAGES, **PARTS}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?!http)([^)\s#]*)(#[^)\s]+)?\)")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], flags=re.MULTILINE | re.DOTALL)


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


# --- what is generated -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("hyperparameters", HYPERPARAMETERS),
        ("metrics", METRICS),
        ("searchers", search.SEARCHERS),
        ("schedulers", schedulers.SCHEDULERS),
        ("datasets", [row.name for row in js.datasets()]),
    ],
)
def test_tables_have_a_row_for_every_name(part: str, names: dict[str, object]) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PARTS[f"generated/{part}.md"], flags=re.MULTILINE)
    assert sorted(rows) == sorted(names)


def test_every_option_is_told() -> None:
    for part, kinds, options in (
        ("searchers_each", search.SEARCHERS, search.options),
        ("schedulers_each", schedulers.SCHEDULERS, schedulers.options),
    ):
        sections = re.split(r"^### ", PARTS[f"generated/{part}.md"], flags=re.MULTILINE)[1:]
        told = {section.partition("\n")[0].strip("`"): section for section in sections}
        assert list(told) == list(kinds)
        for name in kinds:
            for option, default in options(name).items():
                line = rf"^- `{option}` \(default `{re.escape(str(default))}`\): \w"
                assert re.search(line, told[name], flags=re.MULTILINE), (name, option)


def test_the_reference_has_every_public_name_and_method() -> None:
    api = PARTS["generated/api.md"]
    assert sorted(name for names in reference.KINDS.values() for name in names) == js.__all__
    for name in js.__all__:
        assert f"### `js.{name}`\n" in api
    for name in inspect.signature(js.sweep).parameters:
        assert re.search(rf"^- `(\*\*)?{name}`: \w", api, flags=re.MULTILINE), name
    for kind in (js.Result, js.Model):
        methods = {name for name in dir(kind) if not name.startswith("_")} - reference.INNER
        told = set(re.findall(rf"^#### `{kind.__name__}\.(\w+)`$", api, flags=re.MULTILINE))
        assert {name for name in methods if inspect.getdoc(getattr(kind, name, None))} >= told
        assert {"predict", "save"} <= told or {"best", "importance", "plot", "to_pandas", "front"} <= told


def test_the_reference_has_every_command_and_option() -> None:
    told = PARTS["generated/command_line.md"]
    parser = make_parser()
    options = {option for action in actions_of(parser) for option in action.option_strings}
    assert {"--trials", "--confirm", "--warm-start"} <= options
    assert [option for option in options if option not in told] == []
    for command in ("run", "plan", "resume", "solo", "doctor"):
        assert f"## `{command}`\n" in told


def test_every_part_is_in_a_page() -> None:
    included = {name for text in PAGES.values() for name in re.findall(r"```{include} (generated/\w+\.md)", text)}
    assert included == {name for name in PARTS if name.startswith("generated/")}
    listed = re.findall(r"^(measured/\w+)$", PAGES["measured.md"], flags=re.MULTILINE)
    assert {f"{name}.md" for name in listed} == {name for name in PARTS if name.startswith("measured/")}


# --- links, pictures, names --------------------------------------------------------------------------------------


def anchors(page: str) -> set[str]:
    """Return what a link into a page can name: headings as MyST makes anchors of them, and targets."""
    text = EVERY[page]
    for name in re.findall(r"```{include} (generated/\w+\.md)", text):
        text += "\n" + PARTS[name]
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, flags=re.MULTILINE))


@pytest.mark.parametrize("page", EVERY)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in LINK.findall(without_code(EVERY[page])):
        where = target.removeprefix("/") or page
        assert where in EVERY, f"{page} links to {target}"
        assert not anchor or anchor[1:] in anchors(where), f"{page} links to {target}{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_files_that_exist(page: str) -> None:
    named = re.findall(r"`((?:jaxsweep|tests|experiments|notebooks|docs)/[\w./]+)`", PAGES[page])
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_pictures_are_small_and_each_is_described_and_used() -> None:
    text = "\n".join(PAGES.values())
    shown = re.findall(r"```{(?:image|figure)} (\S+)\n:alt: (.{40,})\n", text)
    there = {f"pictures/{path.name}" for path in (DOCS / "pictures").iterdir()}
    made = {*(f"pictures/{name}.png" for name in pictures.NAMES), f"pictures/{drawing.PATH.name}"}
    assert {name for name, _ in shown} == there == made
    assert len(re.findall(r"```{(?:image|figure)}", text)) == len(shown)
    assert all(path.stat().st_size <= pictures.LARGEST for path in (DOCS / "pictures").iterdir())
    assert "](docs/pictures/edge.png)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_drawing_is_what_its_script_draws_and_loads_nothing() -> None:
    text = drawing.PATH.read_text(encoding="utf-8")
    assert text == drawing.drawing(), "run: python docs/drawing.py"
    root = ET.fromstring(text)
    tags = {element.tag.partition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "defs", "marker", "pattern", "path", "rect", "text"}
    assert not [key for element in root.iter() for key in element.attrib if "href" in key or key.startswith("on")]
    assert {"configs, by a searcher", "buckets, by the plan"} <= {element.text for element in root.iter()}


def test_the_versions_that_build_the_site_are_exact() -> None:
    lines = (DOCS / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert {"Sphinx", "myst-parser", "furo"} <= {pin.partition("==")[0] for pin in pins}


# --- what it shows -----------------------------------------------------------------------------------------------


def commands(page: str) -> list[list[str]]:
    """Return the words of every command of this program in a page."""
    text = "\n".join(blocks(page, "console")).replace("\\\n", " ")
    lines = re.findall(r"^\$ python -m jaxsweep (.*)$", text, flags=re.MULTILINE)
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("page", [page for page in PAGES if "$ python -m jaxsweep" in PAGES[page]])
def test_commands_are_legal(page: str) -> None:
    assert commands(page)
    for words in commands(page):
        asked = make_parser().parse_args(words)
        if asked.command in ("run", "plan"):
            sweepfile.assemble(sweepfile.Draft(), {}, asked.set).request(1000)


def test_the_comparison_has_the_figures_of_what_was_measured() -> None:
    page, measured = PAGES["comparison.md"], PARTS["measured/throughput.md"]
    assert f"| searchers | {len(search.SEARCHERS)}, Optuna's samplers among them |" in page
    for told, row in (("9.0 times as fast as by scikit-learn", "scikit-learn"), ("12.7 times", "PyTorch")):
        times = re.search(rf"^\| {row} \|.*?\| ([\d.]+)x \|", measured, flags=re.MULTILINE)
        assert times is not None
        assert told in page.replace("\n", " ")
        assert told.startswith(f"{times[1]} times")


def test_the_sweep_file_asks_for_what_the_python_does() -> None:
    (text,) = blocks("first_sweep.md", "toml")
    request = sweepfile.from_table(tomllib.loads(text))
    assert request.trials == pictures.TRIALS
    assert request.space == pictures.FIRST


SMALLER = {  # what is run of the pages, in place of what they show
    "trials=1000": "trials=26, progress=False", "trials=500": "trials=2, progress=False", "trials=1100": "trials=28",
    "trials=300": "trials=2, progress=False", "epochs=10,": "epochs=2,", "js.Choice([16, 32, 64])": "js.Choice([4, 8])",
    "js.Int(1, 2)": "1", "js.Choice([32, 64]))": "8, epochs=1)", "js.Choice([32, 64]),\n": "8, epochs=1,\n",
    "result.best)": "result.trials[0])", "[result.best.id, -1]": "[0, -1]",
}  # fmt: skip


@pytest.mark.usefixtures("one_tile")
def test_the_python_of_the_pages_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order in which they build on each other, as one user's script."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    order = ["first_sweep", "understanding", "reproduce", "resume", "index", "hyperparameters", "your_table"]
    assert {page for page in PAGES if blocks(page, "python")} == {f"{page}.md" for page in order}
    names: dict[str, object] = {}
    for page in order:
        code = "\n".join(blocks(f"{page}.md", "python"))
        for shown, run in SMALLER.items():
            code = code.replace(shown, run)
        exec(compile(code, f"{page}.md", "exec"), names)
        if page == "first_sweep":
            assert names["curves"].shape == (26, 2)  # type: ignore[attr-defined]
            assert len(names["labels"]) == 1  # type: ignore[arg-type]
        if page == "resume":
            assert len(names["result"].trials) == 28  # type: ignore[attr-defined]
    printed = capsys.readouterr().out
    assert "of the variance of score over 26 trials" in printed
    assert "'bought' is read as dates in the format %d.%m.%Y" in printed
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert drawn == {*pictures.NAMES} - {"edge"}
