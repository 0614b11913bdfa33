"""Files and functions stay small enough to be read in one go."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "npyfast"

MOST_LINES_OF_A_FILE = 450
MOST_LINES_OF_A_FUNCTION = 60


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("folder", ["npyfast", "csrc"])
def test_files(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*.*") if path.suffix in (".py", ".h", ".cc")]
    assert files
    long = {path.relative_to(ROOT): lines_of(path) for path in files}
    assert {path: n for path, n in long.items() if n > MOST_LINES_OF_A_FILE} == {}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """The functions of a file and their lengths, without their docstrings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                docstring = node.body[0]
                assert docstring.end_lineno is not None
                lines -= docstring.end_lineno - docstring.lineno + 1
            yield node.name, lines


def test_functions() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}": lines
        for path in PACKAGE.rglob("*.py")
        for name, lines in functions(path)
    }
    assert {name: n for name, n in found.items() if n > MOST_LINES_OF_A_FUNCTION} == {}
