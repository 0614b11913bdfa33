"""What the documents show runs, and gives what they say."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
from pathlib import Path

import pytest

import npyfast

MODULES = sorted(
    f"npyfast.{module.name}"
    for module in pkgutil.iter_modules(npyfast.__path__)
    if module.name not in ("_core", "_tensorflow") and not module.ispkg
)
if os.environ.get("NPYFAST_TEST_TENSORFLOW", "1") == "0":
    MODULES.remove("npyfast._dataset")
    MODULES.remove("npyfast.service")


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
