"""Includes and imports go one way: a folder or package never depends on one above it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "csrc" / "core"
PACKAGE = ROOT / "npyfast"

# Each folder may include those before it.
FOLDERS = ["base", "os", "npy", "order", "source", "gather", "readahead", "stream"]

SYSTEM_HEADERS = re.compile(
    r"<(unistd|fcntl|pthread|sched|signal|csignal|csetjmp|setjmp|ucontext|dlfcn|sys/\w+)(\.h)?>"
)


def sources(folder: Path) -> list[Path]:
    return sorted([*folder.rglob("*.h"), *folder.rglob("*.cc")])


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_the_core_includes_only_those_below_it(folder: str) -> None:
    below = FOLDERS[: FOLDERS.index(folder) + 1]
    wrong = [
        f"{path.relative_to(ROOT)} includes {included}"
        for path in sources(CORE / folder)
        for included in re.findall(r'#include "core/(\w+)/', path.read_text())
        if included not in below
    ]
    assert wrong == []


def test_the_core_has_no_other_folders() -> None:
    assert sorted(path.name for path in CORE.iterdir() if path.is_dir()) == sorted(FOLDERS)


def test_the_core_includes_nothing_of_its_bindings() -> None:
    for path in sources(CORE):
        assert not re.search(r'#include [<"](python|tensorflow|pybind11)', path.read_text()), path


# To be moved below csrc/core/os; remove an entry once it is.
SYSTEM_HEADERS_ABOVE_OS = {
    "readahead/array_prefetcher.cc",  # madvise
    "readahead/readahead.cc",  # the name of a thread
    "stream/batch_stream.cc",  # pthread_atfork
}


def test_system_headers_are_included_by_os_only() -> None:
    found = {
        str(path.relative_to(CORE))
        for path in sources(CORE)
        if path.relative_to(CORE).parts[0] != "os" and SYSTEM_HEADERS.search(path.read_text())
    }
    assert found <= SYSTEM_HEADERS_ABOVE_OS


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0 or node.level == 1, path
            yield node.module


def test_only_the_engines_and_the_service_import_tensorflow() -> None:
    found = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "tensorflow" for name in imported(path))
    }
    assert found <= {"_engines", "service.py"}
