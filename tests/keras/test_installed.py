"""`npyfast.keras_dataset` beside a Keras that is missing, too old or lacks its backend."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import keras  # type: ignore[import-untyped]
import numpy as np
import processes
import pytest

import npyfast
from npyfast._keras.py_dataset import dataset_class

X = np.zeros((9, 2), "f4")


class Refusing:
    """An import hook by which Keras fails to import."""

    def __init__(self, error: ImportError) -> None:
        self.error = error

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "keras":
            raise self.error


@pytest.fixture(autouse=True)
def _class_is_made_anew() -> Any:
    dataset_class.cache_clear()
    yield
    dataset_class.cache_clear()


def refused(monkeypatch: pytest.MonkeyPatch, error: ImportError) -> str:
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(sys, "meta_path", [Refusing(error), *sys.meta_path])
    with pytest.raises(ImportError) as caught:
        npyfast.keras_dataset(X, 4)
    return str(caught.value)


def test_keras_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(monkeypatch, ModuleNotFoundError("No module named 'keras'", name="keras"))
    assert "needs Keras 3: pip install 'npyfast[keras]'" in text


def test_the_package_of_its_backend_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(monkeypatch, ModuleNotFoundError("No module named 'jax'", name="jax"))
    assert "Keras cannot be imported (No module named 'jax'): install" in text
    assert "KERAS_BACKEND" in text


@pytest.mark.parametrize("version", ["2.15.0", "3.7.0", "nightly"])
def test_keras_is_too_old(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    old = ModuleType("keras")
    old.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keras", old)
    with pytest.raises(
        ImportError, match=f"needs Keras 3.8 or later, found keras {version}: pip install"
    ):
        npyfast.keras_dataset(X, 4)


def test_it_is_a_py_dataset() -> None:
    assert isinstance(npyfast.keras_dataset(X, 4), keras.utils.PyDataset)


def test_importing_npyfast_imports_no_keras() -> None:
    process = processes.start_python(
        "-c", "import sys, npyfast; print([m for m in sys.modules if m in ('keras', 'jax')])"
    )
    assert processes.finish(process)[0] == "[]"


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="Keras itself imports it")
def test_other_backends_import_no_tensorflow() -> None:
    made = npyfast.keras_dataset(X, 4)
    made[0], made[1]
    assert "tensorflow" not in sys.modules
