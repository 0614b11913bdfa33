"""Warnings where labels may be in another order than the files beside them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import Save

import npyfast
from npyfast._sources.paths import natural_key

pytestmark = pytest.mark.usefixtures("backend")

# Of the classes 1, 2 and 10.
FOLDERS = ["s1", "s2", "s10"]


@pytest.fixture(autouse=True)
def here(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in FOLDERS:
        for number in range(2):
            save(np.full(3, int(folder[1:])), f"root/{folder}/{number}.npy")
    for number in range(12):
        save(np.full((1, 3), number), f"samples/{number}.npy")


def paths(folder: str = "samples") -> list[str]:
    return [str(path) for path in Path(folder).iterdir()]


def silent(call: Any) -> Any:
    """The result of a call that must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return call()


@pytest.mark.parametrize("per_file", [None, "row"])
def test_a_list_that_is_sorted_as_text(per_file: Any) -> None:
    text = sorted(paths())
    with pytest.warns(UserWarning, match="sorted as text") as caught:
        made = npyfast.source(text, per_file=per_file)
    (warning,) = caught
    message = str(warning.message)
    assert "12 paths is sorted as text: 'samples/11.npy' comes before 'samples/2.npy'" in message
    assert "pass the pattern or the directory itself" in message
    assert warning.filename == __file__
    assert made.files == tuple(text)  # a list keeps its order


def test_a_list_in_any_other_order_is_taken_silently() -> None:
    natural = sorted(paths(), key=natural_key)
    for order in (natural, natural[::-1], sorted(paths())[::-1], natural[3:] + natural[:3]):
        assert silent(lambda order=order: npyfast.source(order)).files == tuple(order)


def test_text_in_natural_order_is_taken_silently(save: Save) -> None:
    for names in (
        [f"w/{number:03}.npy" for number in range(120)],
        [f"c/{name}/{number:02}.npy" for name in ("cats", "dogs") for number in range(12)],
        ["one.npy"],
    ):
        for name in names:
            save(np.zeros(1), name)
        assert silent(lambda names=names: npyfast.source(names)).files == tuple(names)


def test_patterns_in_a_list_are_expanded_in_natural_order() -> None:
    silent(lambda: npyfast.source(["samples/*.npy", "samples"]))


def test_a_list_as_a_leaf() -> None:
    with pytest.warns(UserWarning, match="sorted as text") as caught:
        npyfast.batches(sorted(paths()))
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("path", ["root/*/*.npy", ["root/*/*.npy"]])
def test_a_pattern_beside_an_array_in_memory(path: Any) -> None:
    files = npyfast.source(path, per_file="row")
    labels = np.array([int(Path(file).parent.name[1:]) for file in sorted(files.files)])
    with pytest.warns(UserWarning, match="natural order") as caught:
        npyfast.batches((files, labels))
    (warning,) = caught
    message = str(warning.message)
    assert (
        "natural order, 'root/s2/0.npy' before 'root/s10/1.npy', and sorted() has them" in message
    )
    assert "list(source.files)" in message
    assert warning.filename == __file__


def test_the_way_out_of_wrong_labels() -> None:
    """As the warning has it: labels made from `files`, and these as a list."""
    files = npyfast.source("root/*/*.npy", per_file="row").files
    labels = np.array([int(Path(file).parent.name[1:]) for file in files])
    leaf = npyfast.source(list(files), per_file="row")
    for x, y in silent(lambda: npyfast.batches((leaf, labels), 4, shuffle=True)):
        assert np.array_equal(x[:, 0], y)


def test_a_pattern_whose_orders_agree_is_taken_silently() -> None:
    leaf = npyfast.source("root/s[12]/*.npy", per_file="row")
    silent(lambda: npyfast.batches((leaf, np.arange(4))))


def test_a_pattern_beside_a_file_is_taken_silently(save: Save) -> None:
    """Files of labels were made once, from files whose order was decided then."""
    leaf = npyfast.source("root/*/*.npy", per_file="row")
    silent(lambda: npyfast.batches((leaf, save(np.arange(6)))))
