"""What the documents show runs, and gives what they say."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import pkgutil
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import BACKENDS, PACKAGES, TENSORFLOW

import npyfast

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(npyfast.__path__, "npyfast.")
    if module.name not in ("npyfast._core", "npyfast._tensorflow", "npyfast.__main__")
)
if not TENSORFLOW:
    MODULES.remove("npyfast._engines.dataset")
    MODULES.remove("npyfast.service")
if "keras" not in PACKAGES:
    MODULES.remove("npyfast._keras.keras_dataset")
if "keras" not in PACKAGES or not TENSORFLOW:
    MODULES.remove("npyfast._callbacks.set_epoch")
if "native" not in BACKENDS:
    MODULES.remove("npyfast._backends.native")
    MODULES.remove("npyfast._batches.native_iterator")
if "torch" not in PACKAGES:
    MODULES.remove("npyfast._torch.batch_dataset")
    MODULES.remove("npyfast._torch.tensors")


@pytest.mark.parametrize("name", ["npyfast", *MODULES])
def test_examples_of_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the examples save files
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_every_public_name_has_a_docstring() -> None:
    for name in npyfast.__all__:
        value = getattr(npyfast, name)
        if not isinstance(value, str):
            assert value.__doc__, name


def blocks(document: Path) -> list[tuple[int, str]]:
    """The line and the text of each example in Python."""
    text = document.read_text()
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text[: block.start(1)].count("\n"), block[1]) for block in found]


# What examples contain that need a package which is not tested.
NEEDS = [] if TENSORFLOW else [r"npyfast\.dataset\(", "tensorflow"]
for package in {"keras", "jax", "torch"} - {*PACKAGES}:
    NEEDS += [rf"npyfast\.{package}_dataset\(", rf"import {package}"]


def without_missing_packages(examples: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Those that need neither a package that is left out nor a variable of one that does."""
    missing: set[str] = set()
    found = []
    for line, text in examples:
        names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
        bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        used = {node.id for node in names} - bound
        if any(re.search(need, text) for need in NEEDS) or used & missing:
            missing |= bound
        else:
            missing -= bound
            found.append((line, text))
    return found


# Those whose examples run in order, in an empty folder. Others show fragments of a program.
DOCUMENTS = [
    "README.md",
    "docs/getting-started.md",
    "docs/index.md",
    "docs/recipes.md",
    "docs/resume.md",
    "docs/shuffling.md",
    "docs/sources.md",
    "docs/training-loops.md",
    "docs/transform.md",
]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_examples_of_documents(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = ROOT / name
    examples = blocks(document)
    assert examples, "no examples were found"
    examples = without_missing_packages(examples)
    if not examples:
        pytest.skip("NPYFAST_TEST_TENSORFLOW leaves TensorFlow out")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for line, example in examples:
        # With its place in the document, for the traceback.
        exec(compile("\n" * line + example, str(document), "exec"), namespace)


@pytest.mark.skipif(not TENSORFLOW, reason="NPYFAST_TEST_TENSORFLOW leaves TensorFlow out")
def test_the_table_of_ways_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.zeros((40, 4, 4, 3), "uint8")
    np.save("X.npy", images)
    np.save("y.npy", np.arange(40))
    for number, part in enumerate(np.split(images, 4)):
        np.save(f"part-{number}.npy", part)
    os.mkdir("samples")
    for number, row in enumerate(images):
        np.save(f"samples/{number}.npy", row)
    import h5py

    with h5py.File("data.h5", "w") as file:
        file["images"] = images
    table = re.search(r"<!-- ways table -->\n(.*)<!-- /ways table -->", README, re.DOTALL)
    assert table is not None
    rows = [row.split(" | ") for row in table[1].strip().splitlines()[2:]]
    assert len(rows) >= 7
    for _, ours in rows:
        call = re.search(r"`(npyfast\..*?)`", ours)
        assert call is not None
        made = eval(call[1], {"npyfast": npyfast, "augment": lambda batch: batch})
        assert sum(1 for _ in made) == 2


def test_the_tests_that_reliability_names_exist() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`([\w/]+\.(?:py|cc))(?:::(\w+))?`", text)
    assert len(named) > 40
    for file, test in named:
        found = [path for path in (ROOT / file, ROOT / "tests" / file) if path.exists()]
        assert found, file
        source = found[0].read_text()
        assert not test or f"def {test}(" in source, f"{file}::{test}"


def test_the_readme_is_short() -> None:
    assert len(README.split()) < 1300


PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert [line for line in text.splitlines() if len(line) > 140] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", page.read_text()):
        assert link in ("", "changelog.md") or (page.parent / link).exists(), link
    for link, anchor in re.findall(r"\]\(([^):]*)#([^)]+)\)", page.read_text()):
        headings = re.findall(
            r"^#+ (.*)$", ((page.parent / link) if link else page).read_text(), re.M
        )
        assert anchor in [_anchor(heading) for heading in headings], (link, anchor)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
