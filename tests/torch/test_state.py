"""Resuming `npyfast.torch_dataset`, by torchdata's StatefulDataLoader and without it."""

from __future__ import annotations

import itertools
import json
import pickle
from typing import Any

import numpy as np
import pytest
from samples import Save
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

import npyfast

pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata 0.11
]


@pytest.fixture
def path(save: Save) -> str:
    return save(np.arange(103))


def dataset(path: str, **options: Any) -> Any:
    return npyfast.torch_dataset(path, 10, **{"shuffle": True, "seed": 1, **options})


def stateful(path: str, workers: int, *, persistent: bool = False, **options: Any) -> Any:
    return StatefulDataLoader(
        dataset(path, **options),
        batch_size=None,
        num_workers=workers,
        persistent_workers=persistent and workers > 0,
    )


def rows(batches: Any) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


def epoch(path: str, number: int, **options: Any) -> list[list[int]]:
    return rows(npyfast.batches(path, 10, True, seed=1, start_epoch=number, **options))


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("stop", [0, 1, 2, 5, 10, 11])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_stateful_loader_resumes_exactly(
    path: str, workers: int, stop: int, persistent: bool
) -> None:
    stopped = stateful(path, workers, persistent=persistent)
    assert rows(stopped) == epoch(path, 0)
    iterator = iter(stopped)
    before = rows(itertools.islice(iterator, stop))
    state = pickle.loads(pickle.dumps(stopped.state_dict()))
    del iterator, stopped

    resumed = stateful(path, workers, persistent=persistent)
    resumed.load_state_dict(state)
    assert before + rows(resumed) == epoch(path, 1)
    assert rows(resumed) == epoch(path, 2)
    assert rows(resumed) == epoch(path, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_state_before_the_first_pass_and_after_one(path: str, workers: int) -> None:
    stopped = stateful(path, workers)
    for wanted in (0, 1):
        state = stopped.state_dict()
        resumed = stateful(path, workers)
        resumed.load_state_dict(state)
        assert rows(resumed) == epoch(path, wanted)
        assert rows(resumed) == epoch(path, wanted + 1)
        assert rows(stopped) == epoch(path, wanted)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [3, 20, 27])
def test_several_epochs_in_a_pass(path: str, workers: int, stop: int) -> None:
    options: dict[str, Any] = {"epochs": 3, "start_epoch": 2, "start_batch": 4}
    wanted = rows(npyfast.batches(path, 10, True, seed=1, **options))
    stopped = stateful(path, workers, **options)
    before = rows(itertools.islice(stopped, stop))
    state = stopped.state_dict()
    resumed = stateful(path, workers, **options)
    resumed.load_state_dict(state)
    assert before + rows(resumed) == wanted
    assert rows(resumed) == wanted


@pytest.mark.parametrize("workers", [0, 2])
def test_states_of_other_batches_are_refused(path: str, workers: int) -> None:
    stopped = stateful(path, workers)
    next(iter(stopped))
    other = stateful(path, workers, seed=2)
    other.load_state_dict(stopped.state_dict())
    with pytest.raises(ValueError, match="seed is 1 in the state and 2 here"):
        list(other)


@pytest.mark.parametrize("stop", [0, 4, 11])
def test_a_dataset_resumes_without_torchdata(path: str, stop: int) -> None:
    stopped = dataset(path)
    list(stopped)
    iterator = iter(stopped)
    before = rows(itertools.islice(iterator, stop))
    state = json.loads(json.dumps(stopped.state_dict()))
    for workers in (0, 2):
        resumed = dataset(path)
        resumed.load_state_dict(state)
        loader = DataLoader(resumed, batch_size=None, num_workers=workers)
        if stop < 11:
            assert before + rows(loader) == epoch(path, 1)
        assert rows(loader) == epoch(path, 2)
    assert rows(iterator) == epoch(path, 1)[stop:]
    assert rows(stopped) == epoch(path, 2)


def test_a_state_of_batches_is_one_of_a_dataset(path: str) -> None:
    batches = iter(npyfast.batches(path, 10, True, seed=1))
    before = rows(itertools.islice(batches, 6))
    resumed = dataset(path)
    resumed.load_state_dict(batches.get_state())
    assert before + rows(resumed) == epoch(path, 0)
    resumed.load_state_dict(batches.get_state())
    iterator = iter(resumed)
    state = iterator.state_dict()
    batches.set_state(state)
    assert rows(batches) == rows(iterator) == epoch(path, 0)[6:]


def test_a_state_with_workers_needs_a_stateful_loader(path: str) -> None:
    ds = dataset(path)
    list(DataLoader(ds, batch_size=None, num_workers=2))
    with pytest.raises(ValueError, match="use torchdata's StatefulDataLoader"):
        ds.state_dict()
    list(ds)
    assert ds.state_dict()["epoch"] == 2


@pytest.mark.parametrize("state", [None, 3, {"epoch": 1}, {"npyfast_state": 9}])
def test_what_is_no_state_is_refused(path: str, state: Any) -> None:
    ds = dataset(path)
    with pytest.raises(ValueError, match="the state must be a dict"):
        ds.load_state_dict(state)
    assert rows(ds) == epoch(path, 0)


def test_states_outside_a_pass_are_refused(path: str) -> None:
    state = iter(dataset(path, epochs=4)).state_dict()
    ds = dataset(path, epochs=2, start_epoch=1)
    with pytest.raises(ValueError, match="pass other start_epoch"):
        ds.load_state_dict(state)
    ds.load_state_dict({**state, "epoch": 2})
    assert rows(ds) == epoch(path, 2)
    assert rows(ds) == epoch(path, 1) + epoch(path, 2)
