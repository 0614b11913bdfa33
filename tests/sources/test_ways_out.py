"""Errors that show the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import Save
from ways_out import CALLS, has_one_way_out, save_all

import npyfast

pytestmark = pytest.mark.usefixtures("backend")


@pytest.fixture(autouse=True)
def here(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_all(save)


@pytest.mark.parametrize("case", CALLS)
def test_the_way_out(case: str) -> None:
    CALLS[case].check(npyfast.batches)


def test_the_way_out_works() -> None:
    has_one_way_out(npyfast.batches)


@pytest.mark.parametrize("name", ["mean", "std"])
def test_a_source_says_how_to_normalize(name: str) -> None:
    with pytest.raises(TypeError, match="scale=1 / std, shift=-mean / std"):
        npyfast.source("X.npy", **{name: 0.5})


def test_an_option_of_batches_for_a_source() -> None:
    with pytest.raises(TypeError, match="option of npyfast.dataset and npyfast.batches"):
        npyfast.source("X.npy", batch_size=32)  # type: ignore[arg-type]


def test_an_option_that_nobody_knows() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        npyfast.source("X.npy", nonsense=1)  # type: ignore[call-arg]


def test_options_of_dataset_only() -> None:
    for name in ("prefetch", "engine"):
        with pytest.raises(TypeError, match="option of npyfast.dataset only"):
            npyfast.batches("X.npy", **{name: 1})
