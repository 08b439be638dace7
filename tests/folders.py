"""Draws which folder imports which, and writes it into ARCHITECTURE.md; a test compares. `python tests/folders.py`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "jaxsweep"
DOCUMENT = ROOT / "ARCHITECTURE.md"


def module_name(path: Path) -> str:
    """Return a module's name without `jaxsweep.`; a package is `search`, the whole one `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def place(module: str) -> str:
    """Return the folder of a module, or the module itself where it lies in none."""
    return module.partition(".")[0]


MODULES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules of jaxsweep that code imports when it runs, in functions too."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    if isinstance(node, ast.ImportFrom) and place(node.module or "") == "jaxsweep":
        package = (node.module or "").removeprefix("jaxsweep").removeprefix(".")
        for alias in node.names:
            name = f"{package}.{alias.name}".removeprefix(".")
            yield name if name in MODULES else package or "__init__"
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


IMPORTS = {name: set(_imported(tree)) - {name} for name, tree in MODULES.items()}


def layers() -> list[tuple[list[str], bool]]:
    """Return the layers from the bottom, as ARCHITECTURE.md has them: folders and modules, and whether without JAX."""
    rows = [line.split("|") for line in _between("layers").strip().splitlines()[2:]]
    return [(re.findall(r"`(\w+)/?`", row[1]), "no JAX" in row[2]) for row in rows]


def picture() -> str:
    """Return the matrix of imports: in the row of a folder, an `x` below each folder that it imports from."""
    places = [name for names, _ in layers() for name in names if not name.startswith("__")]
    width = max(map(len, places))
    used = {name: {place(other) for module in MODULES if place(module) == name for other in IMPORTS[module]}
            for name in places}  # fmt: skip
    head = " ".join([" " * width, *places])
    rows = [
        " ".join([
            name.ljust(width),
            *(("x" if other in used[name] else "." if below < row else " ").center(len(other))
              for below, other in enumerate(places)),
        ]).rstrip()
        for row, name in enumerate(places)
    ]  # fmt: skip
    return "\n".join(["```", head, *rows, "```"])


def filled(text: str) -> str:
    """Return the document with the matrix made anew."""
    start, end = "<!-- imports -->\n", "\n<!-- end imports -->"
    return text[: text.index(start) + len(start)] + picture() + text[text.index(end) :]


def _between(mark: str) -> str:
    text = DOCUMENT.read_text(encoding="utf-8")
    return text.partition(f"<!-- {mark} -->")[2].partition(f"<!-- end {mark} -->")[0]


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
