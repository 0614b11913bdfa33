"""Arrays of names of files, which were probably meant as lists of paths."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from expected import assert_same
from samples import Save

import npyfast

pytestmark = pytest.mark.usefixtures("backend")


@pytest.fixture
def names(save: Save) -> list[str]:
    return [save(np.full(2, number)) for number in range(3)]


@pytest.mark.parametrize("make", [np.array, lambda names: np.array(names, "S")])
def test_an_array_of_names(names: list[str], make: Any) -> None:
    array = make(names)
    with pytest.warns(UserWarning, match="array.tolist") as caught:
        made = npyfast.source(array)
    (warning,) = caught
    assert "an array of 3 strings is data" in str(warning.message)
    assert warning.filename == __file__
    assert_same(npyfast.open(made)[:], array)  # it is data all the same


@pytest.mark.parametrize("kind", [str, Path])
def test_an_array_of_objects_that_name_files(names: list[str], kind: Any) -> None:
    array = np.array([kind(name) for name in names], object)
    with pytest.raises(TypeError, match="3 Python objects, all names of files: pass array.tolist"):
        npyfast.batches(array)
    assert_same(npyfast.open(array.tolist())[:], np.repeat(np.arange(3), 2))


def test_other_strings_are_taken_silently(names: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for values in (["cat", "dog"], [*names, "cat"], [names], ["a\0b"], ["."]):
            npyfast.source(np.array(values))
        npyfast.source(np.array([], "U3"))
        npyfast.source(np.arange(3))
