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

# Headers of C++ have neither a slash nor an extension in their names. Those of POSIX, of Linux, of
# a CPU's intrinsics and of C do, so <cerrno> may be used everywhere, and <errno.h> may not. What
# <csignal> and <csetjmp> are used for is not portable either.
SYSTEM_HEADER = re.compile(r"#include (<[^>]*[./][^>]*>|<csignal>|<csetjmp>)")

# What a condition of the preprocessor asks for: nothing but names of our own, which are include
# guards and what csrc/core/os defines.
CONDITION = re.compile(r"^\s*#\s*(?:el)?if(?:n?def)?\b(.*)$", re.MULTILINE)
OUR_NAME = re.compile(r"NPYFAST_\w+")


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


def sources_outside_os() -> list[Path]:
    return [path for path in sources(CORE) if path.relative_to(CORE).parts[0] != "os"]


def test_system_headers_are_included_by_os_only() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} includes {included}"
        for path in sources_outside_os()
        for included in SYSTEM_HEADER.findall(path.read_text())
    ]
    assert wrong == []


def test_only_os_asks_for_the_platform() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} asks for {condition.strip()}"
        for path in sources_outside_os()
        for condition in CONDITION.findall(path.read_text())
        if not OUR_NAME.fullmatch(condition.strip())
    ]
    assert wrong == []


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0 or node.level == 1, path
            yield node.module


# Each module or package may import those before it.
PACKAGES = [
    *("_errors", "_warnings", "_unknown_options", "_nest", "_options", "_memory"),
    *("_order", "_backends", "_sources", "_rows", "_batches", "_torch", "_engines", "_keras"),
    *("_callbacks", "_build", "_data_wait", "_packing", "_commands", "service"),
]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_below_it(package: str) -> None:
    below = PACKAGES[: PACKAGES.index(package) + 1]
    folder = PACKAGE / package
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")])
        for name in imported(path)
        if name.startswith("npyfast._") and name.split(".")[1] not in (*below, "_core")
    ]
    assert wrong == []


def test_there_are_no_other_packages() -> None:
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert found - {"__init__", "__main__", "__pycache__"} == set(PACKAGES)


def test_only_the_engines_and_the_service_import_tensorflow() -> None:
    found = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "tensorflow" for name in imported(path))
    }
    assert found <= {"_engines", "service.py"}


def test_only_modules_that_are_imported_on_demand_import_pytorch() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "torch" for name in imported(path))
    }
    assert found == {"_torch/batch_dataset.py", "_torch/tensors.py"}
