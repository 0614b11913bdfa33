"""Errors that show the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import Dataset, Save
from ways_out import CALLS, has_one_way_out, save_all


@pytest.fixture(autouse=True)
def here(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_all(save)


@pytest.mark.parametrize("case", CALLS)
def test_the_way_out(dataset: Dataset, case: str) -> None:
    CALLS[case].check(dataset)


def test_the_way_out_works(dataset: Dataset) -> None:
    has_one_way_out(lambda *sources, **options: dataset(*sources, **{**options, "engine": "auto"}))
