"""`npyfast.torch_dataset` in PyTorch's DataLoader."""

from __future__ import annotations

import itertools
import os
import pickle
import re
import signal
from collections.abc import Callable
from typing import Any

import expected
import numpy as np
import pytest
import torch
from picklable import twice
from samples import Save
from torch.utils.data import DataLoader, IterableDataset

import npyfast

pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]

X = np.arange(103 * 3, dtype="i4").reshape(103, 3)


@pytest.fixture
def source(save: Save) -> tuple[str, str]:
    return save(X), save(np.arange(103))


@pytest.fixture(autouse=True)
def same_backend(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes that are started anew."""
    monkeypatch.setenv("NPYFAST_BACKEND", backend)


def loader(ds: Any, workers: int = 0, **options: Any) -> Any:
    return DataLoader(ds, batch_size=None, num_workers=workers, **options)


def rows(batches: Any) -> list[list[int]]:
    return [y.tolist() for _, y in batches]


def same(batches: Any, wanted: Any) -> bool:
    """Whether tensors are these arrays."""
    pairs = itertools.zip_longest(batches, wanted)
    return all(
        len(one) == len(other)
        and all(a.numpy().tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))
        for one, other in pairs
    )


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("options", [{}, *expected.OPTIONS, *expected.RUNS[:4]], ids=str)
@pytest.mark.parametrize("shuffle", [False, True, npyfast.BlockShuffle(4, 16)])
def test_the_order_is_that_of_batches(
    source: Any, workers: int, options: dict[str, Any], shuffle: Any
) -> None:
    ds = npyfast.torch_dataset(source, 10, shuffle, seed=1, **options)
    wanted = npyfast.batches(source, 10, shuffle, seed=1, **options)
    made = loader(ds, workers)
    assert len(ds) == len(made) == len(wanted)
    for _ in range(2):
        assert same(made, wanted)


# To start processes anew takes seconds, so for these it happens once.
@pytest.mark.parametrize(
    ("method", "persistent"),
    [("fork", False), ("fork", True), ("spawn", True), ("forkserver", True)],
)
def test_workers_however_they_are_started(source: Any, method: str, persistent: bool) -> None:
    options: dict[str, Any] = {"seed": 1, "transform": twice}
    ds = npyfast.torch_dataset(source, 10, True, start_epoch=2, **options)
    epochs = [list(npyfast.batches(source, 10, True, start_epoch=e, **options)) for e in range(5)]
    made = loader(ds, 2, multiprocessing_context=method, persistent_workers=persistent)
    assert same(made, epochs[2])
    assert same(made, epochs[3])
    ds.set_epoch(3, 4)
    assert same(made, epochs[3][4:])
    assert same(made, epochs[4])


def test_endless_batches(source: Any) -> None:
    ds = npyfast.torch_dataset(source, 10, True, seed=1, epochs=-1)
    wanted = npyfast.batches(source, 10, True, seed=1, epochs=-1)
    with pytest.raises(TypeError, match="endless"):
        len(ds)
    for workers in (0, 2):
        assert same(itertools.islice(loader(ds, workers), 30), itertools.islice(wanted, 30))


def test_a_drawn_seed_is_the_same_in_workers(source: Any) -> None:
    ds = npyfast.torch_dataset(source, 10, True)
    wanted = npyfast.batches(source, 10, True, seed=ds.seed)
    assert same(loader(ds, 2, multiprocessing_context="spawn"), wanted)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_passes_left_early_count(source: Any, workers: int, persistent: bool) -> None:
    ds = npyfast.torch_dataset(source, 10, True, seed=1)
    made = loader(ds, workers, persistent_workers=persistent and workers > 0)
    for _ in range(2):
        next(iter(made))
    assert same(made, npyfast.batches(source, 10, True, seed=1, start_epoch=2))


def test_seeding_every_epoch_alike_repeats_no_order(source: Any) -> None:
    ds = npyfast.torch_dataset(source, 10, True, seed=1)
    wanted = npyfast.batches(source, 10, True, seed=1)
    made = loader(ds, 2, generator=torch.Generator())
    for _ in range(3):
        made.generator.manual_seed(0)
        assert same(made, wanted)


def test_passes_are_counted_however_they_are_made(source: Any) -> None:
    ds = npyfast.torch_dataset(source, 10, True, seed=1)
    wanted = npyfast.batches(source, 10, True, seed=1)
    for passes in (ds, loader(ds, 2), loader(ds), loader(ds, 3), ds, loader(ds, 2)):
        assert same(passes, wanted)


def test_set_epoch(source: Any) -> None:
    ds = npyfast.torch_dataset(source, 10, True, seed=1, start_epoch=5)
    epochs = [rows(npyfast.batches(source, 10, True, seed=1, start_epoch=e)) for e in range(6)]
    for workers in (0, 2):
        made = loader(ds, workers)
        ds.set_epoch(3)
        assert [rows(made), rows(made)] == epochs[3:5]
        ds.set_epoch(np.int64(0), batch=7)
        assert [rows(made), rows(made)] == [epochs[0][7:], epochs[1]]
        ds.set_epoch(2, batch=11)
        assert [rows(made), rows(made)] == [[], epochs[3]]
        assert len(made) == 11


@pytest.mark.parametrize("place", [(-1,), (True,), (1.0,), ("1",), (0, -1), (0, 12), (2**62,)])
def test_set_epoch_refuses(source: Any, place: Any) -> None:
    ds = npyfast.torch_dataset(source, 10, True, seed=1)
    with pytest.raises(ValueError, match="must be an int"):
        ds.set_epoch(*place)
    assert same(ds, npyfast.batches(source, 10, True, seed=1))
    with pytest.raises(ValueError, match="set_epoch needs epochs=None: with epochs=2"):
        npyfast.torch_dataset(source, 10, epochs=2).set_epoch(1)


@pytest.mark.parametrize("threads", [1, 2])
def test_transforms_run_in_workers(source: Any, threads: int) -> None:
    options: dict[str, Any] = {"transform": twice, "transform_threads": threads}
    ds = npyfast.torch_dataset(source, 10, True, seed=1, **options)
    wanted = npyfast.batches(source, 10, True, seed=1, **options)
    assert same(loader(ds, 2), wanted)


def set_in_worker(id: int) -> None:
    torch.utils.data.get_worker_info().dataset.set_epoch(3)


def test_workers_cannot_set_the_epoch(source: Any) -> None:
    made = loader(npyfast.torch_dataset(source, 10, True), 2, worker_init_fn=set_in_worker)
    with pytest.raises(ValueError, match="set_epoch was called in a worker of a DataLoader: call"):
        list(made)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("epochs", [None, 3, -1])
def test_no_rows(workers: int, epochs: int | None) -> None:
    ds = npyfast.torch_dataset(np.zeros((0, 3)), 10, True, seed=1, epochs=epochs)
    for _ in range(2):
        assert list(loader(ds, workers)) == []
    assert len(ds) == 0


def failing(batch: Any) -> Any:
    if 42 in batch[1]:
        raise KeyError(42)
    return batch


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_an_error_takes_the_place_of_its_batch(source: Any, workers: int) -> None:
    ds = npyfast.torch_dataset(source, 10, transform=failing)
    made = iter(loader(ds, workers))
    found = [next(made)[1][0].item() for _ in range(4)]
    with pytest.raises(KeyError, match="42"):
        next(made)
    assert [*found, *(y[0].item() for _, y in made)] == [0, 10, 20, 30, *range(50, 103, 10)]


def killing(batch: Any) -> Any:
    if os.path.exists(os.environ["NPYFAST_TEST_KILL"]) and 42 in batch[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch


def test_a_worker_that_dies(source: Any, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save(X, "kill.npy")
    monkeypatch.setenv("NPYFAST_TEST_KILL", file)
    ds = npyfast.torch_dataset(source, 10, True, seed=1, transform=killing)
    made = loader(ds, 2)
    with pytest.raises(RuntimeError, match=r"DataLoader worker .* (is killed by signal|exited)"):
        list(made)
    os.remove(file)
    assert same(made, npyfast.batches(source, 10, True, seed=1, start_epoch=1))


def test_files_that_changed_before_workers_opened_them(source: Any, save: Save) -> None:
    ds = npyfast.torch_dataset(source, 10)
    np.save(source[0], X[:50])
    np.save(source[1], np.arange(50))
    with pytest.raises(ValueError, match="the files are not those that the dataset was made for"):
        pickle.loads(pickle.dumps(ds))


@pytest.mark.parametrize("persistent", [False, True])
def test_pinned_memory_is_accepted(source: Any, persistent: bool) -> None:
    ds = npyfast.torch_dataset(source, 10)
    made = loader(ds, 2, pin_memory=True, persistent_workers=persistent)
    made.multiprocessing_context = "fork"
    with pytest.warns(UserWarning, match="pin_memory"):
        assert same(made, npyfast.batches(source, 10))


def test_copies_are_independent(source: Any) -> None:
    ds = npyfast.torch_dataset(source, 10, True)
    list(ds)
    other = pickle.loads(pickle.dumps(ds))
    assert other.seed == ds.seed
    wanted = npyfast.batches(source, 10, True, seed=ds.seed, start_epoch=1)
    assert same(ds, wanted)
    assert same(other, npyfast.batches(source, 10, True, seed=ds.seed, start_epoch=1))
    assert same(ds, wanted)


def test_two_iterators_are_independent(source: Any) -> None:
    ds = npyfast.torch_dataset(source, 10, True, seed=1)
    one, two = itertools.tee(ds)
    other = iter(ds)
    wanted = npyfast.batches(source, 10, True, seed=1)
    assert same(one, wanted)
    assert same(other, wanted)
    assert same(two, npyfast.batches(source, 10, True, seed=1))


@pytest.mark.parametrize(
    "leaf",
    [
        lambda path: npyfast.source(path, cast="float32", scale=0.5, shift=-1),
        lambda path: np.load(path, mmap_mode="r"),
        lambda path: np.load(path),
        lambda path: [path, path],
        lambda path: npyfast.source(path, rows=slice(5, 60)),
    ],
)
@pytest.mark.parametrize("pickled", [False, True], ids=["forked", "pickled"])
def test_every_kind_of_leaf(save: Save, leaf: Callable[[str], Any], pickled: bool) -> None:
    nest = {"a": leaf(save(X))}
    ds = npyfast.torch_dataset(nest, 10, True, seed=1)
    wanted = [(batch["a"],) for batch in npyfast.batches(nest, 10, True, seed=1)]
    found = pickle.loads(pickle.dumps(ds)) if pickled else loader(ds, 2)
    assert same([(batch["a"],) for batch in found], wanted)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_maps_are_pickled_as_files(save: Save, order: Any) -> None:
    array = np.arange(100_000.0).reshape(10_000, 10)
    mapped = np.load(save(np.asarray(array, order=order)), mmap_mode="r")
    ds = npyfast.torch_dataset({"a": mapped, "b": (mapped[:, 0],)}, 100, True)
    pickled = pickle.dumps(npyfast.torch_dataset(mapped, 100, True, seed=1))
    assert len(pickled) < 10_000
    assert len(pickle.dumps(ds)) < 200_000  # a column is no run of the file
    wanted = npyfast.batches(mapped, 100, True, seed=1)
    assert same([(batch,) for batch in pickle.loads(pickled)], [(batch,) for batch in wanted])


def test_it_describes_itself(source: Any) -> None:
    ds = npyfast.torch_dataset(source, 10, True, seed=1)
    assert isinstance(ds, IterableDataset)
    assert "11 batches of 10 of 103 rows, shuffled with seed 1" in repr(ds)
    assert "as tensors of PyTorch" in npyfast.describe(ds)
    list(ds)
    assert npyfast.statistics(ds).rows == ds.statistics.rows == 103
    list(loader(ds, 2))
    assert npyfast.statistics(ds).rows == 103  # workers count by themselves


@pytest.mark.parametrize("name", ["num_workers", "pin_memory", "engine", "drop_last"])
def test_options_of_others_are_explained(source: Any, name: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"torch_dataset() has no option {name!r}: ")):
        npyfast.torch_dataset(source, **{name: 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"shuffle": "no"}, {"shard": (2, 2)}])
def test_bad_options_are_refused_at_once(source: Any, options: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        npyfast.torch_dataset(source, **options)
