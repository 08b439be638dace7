"""The repository itself: what the code imports, what documents say of it, and that they keep in step."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import requires, version
from pathlib import Path

import folders
import pytest
import readme_tables
from folders import IMPORTS, MODULES, layers, place
from packaging.requirements import Requirement

import jaxsweep as js
from jaxsweep.spec import sweepfile
from jaxsweep.spec.hyperparameters import HYPERPARAMETERS
from jaxsweep.spec.metrics import METRICS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "jaxsweep"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def where(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- what the code may not do ------------------------------------------------------------------------------------

RUN_CODE_WHEN_LOADED = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
RUN_CODE = {"eval", "exec", "read_pickle", "to_pickle"}


@pytest.mark.parametrize("path", SOURCES, ids=where)
def test_nothing_that_is_loaded_can_run_code(path: Path) -> None:
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & RUN_CODE_WHEN_LOADED
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in RUN_CODE_WHEN_LOADED
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            assert name not in RUN_CODE, f"line {node.lineno}"
            for keyword in node.keywords:
                allowed = keyword.arg != "allow_pickle" or getattr(keyword.value, "value", True) is False
                assert allowed, f"line {node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=where)
def test_everything_public_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(TREES[path])
    for node in TREES[path].body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def test_everything_that_is_exported_exists_and_says_what_it_is() -> None:
    for name in js.__all__:
        assert getattr(js, name).__doc__, name
    assert set(js.__all__) <= set(dir(js))


def test_type_checkers_and_editors_see_every_name_that_is_exported() -> None:
    """`typed_tour.py` is for mypy; here is that no name is forgotten, and that it has all that the README shows."""
    (block,) = (
        node for node in TREES[PACKAGE / "__init__.py"].body if ast.unparse(node).startswith("if TYPE_CHECKING")
    )
    seen = [alias.asname for node in ast.walk(block) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(filter(None, seen)) == sorted(js.__all__) == js.__all__
    assert {*js._HOME, "search"} == set(js.__all__)
    assert (PACKAGE / "py.typed").exists()
    tour = (ROOT / "tests" / "typed_tour.py").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert code.partition("\n\n")[2].strip() in tour, "copy it into tests/typed_tour.py"
    assert [name for name in js.__all__ if f"js.{name}" not in tour] == []


# --- who imports whom --------------------------------------------------------------------------------------------


# Of folders that need JAX, what help, lists, `show`, `predict` and plans of costs do without.
WITHOUT_JAX = [
    "engine.checkpoint", "engine.costs", "engine.machine", "engine.memory", "engine.merging", "engine.outcome",
    "engine.planner", "engine.tiling", "engine.usage", "engine.underway", "network.late", "cli.complete", "cli.lists",
    "cli.models", "cli.parser", "cli.unknown",
]  # fmt: skip


def test_imports_have_no_circles() -> None:
    graph = {name: set(others) for name, others in IMPORTS.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
    assert set(order) == set(MODULES)
    assert order.index("errors") < order.index("network.train") < order.index("loop")


def test_folders_import_from_those_below_them() -> None:
    level = {name: number for number, (names, _) in enumerate(layers()) for name in names}
    assert {place(name) for name in MODULES} == set(level), "the layers in ARCHITECTURE.md and the folders differ"
    wrong = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if place(other) != place(name) and level[place(other)] >= level[place(name)]
    ]
    assert not wrong


def test_the_picture_of_folders_is_that_of_the_imports() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert folders.filled(text) == text, "run: python tests/folders.py"


def test_every_module_says_first_what_it_holds() -> None:
    for name, tree in MODULES.items():
        first = (ast.get_docstring(tree) or "").partition("\n")[0]
        assert first.endswith((".", ":")), name
        assert len(first) > 20, name


def test_tests_lie_in_the_folders_of_what_they_test() -> None:
    mirrored = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    assert mirrored == {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}


def test_what_needs_no_jax_does_without() -> None:
    """Nor does anything import packages that only extras install."""
    without = {name for names, free in layers() if free for name in names}
    names = [name for name in MODULES if place(name) in without] + WITHOUT_JAX
    code = (
        "; ".join(f"import jaxsweep.{name}" for name in names)
        + "; import sys; names = {'jax', 'cmaes', 'optuna', 'mlflow', 'onnx', 'tensorboardX', 'pyarrow.parquet'}"
        + "; sys.exit(not names.isdisjoint(sys.modules))"
    )
    assert {"spec.sweepfile", "search.evolution", "records.store", "records.stored"} <= set(names)
    subprocess.run([sys.executable, "-c", code], check=True)


# --- documents and the code --------------------------------------------------------------------------------------


def test_the_tables_of_the_readme_are_those_of_the_code() -> None:
    text = readme_tables.README.read_text(encoding="utf-8")
    assert readme_tables.filled(text) == text, "run: python tests/readme_tables.py"
    for name in HYPERPARAMETERS:
        assert f"| `{name}` |" in text


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_documents_name_every_metric(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert [name for name in METRICS if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_documents_name_files_that_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    paths = re.findall(r"`((?:jaxsweep|tests|experiments|notebooks)/[\w./]+)`", text)
    assert [path for path in [*links, *paths] if not (ROOT / path).exists()] == []


def test_the_readmes_python_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    small = code.replace("trials=500", "trials=3, progress=False").replace("epochs=20", "epochs=2, batch_size=256")
    exec(small.replace("js.Int(1, 3)", "1"), names)
    assert names["curves"].shape == (3, 2)  # type: ignore[attr-defined]
    assert js.load_model("model").task == "classification"


def test_the_sweep_file_of_the_experiments_is_legal() -> None:
    draft = sweepfile.read(str(ROOT / "experiments" / "digits.toml"))
    request = draft.request(js.load_dataset(draft.source().name or "").rows)
    planned = js.plan(js.load_dataset("digits"), request.space, trials=request.trials, split=request.split)
    assert request.trials == 512
    assert planned.lanes == 512


# --- versions ----------------------------------------------------------------------------------------------------


def test_the_lock_holds_exactly_one_version_of_all_that_is_required() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    names = [re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower() for pin in pins]
    assert len(names) == len(set(names))
    for requirement in map(Requirement, requires("jaxsweep") or []):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}) and requirement.name == "torch":
            continue  # gigabytes, and only for `bench` to compare with: its extra is not in the lock
        assert requirement.name.lower() in names
        assert requirement.specifier.contains(pins[names.index(requirement.name.lower())].partition("==")[2])


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == js.__version__ == version("jaxsweep")
    assert js.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
