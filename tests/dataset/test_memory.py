"""Tensors are made without a copy, memory is let go, threads end with their iterator."""

from __future__ import annotations

import functools
import gc
import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest
from deadlines import wait_until
from expected import epoch_batches
from samples import Dataset, Save

import npyfast
from npyfast._batches.batching import Batching, make_batching
from npyfast._batches.options import Options
from npyfast._engines import generator

# 2 MB a batch: too large for groups.
LARGE = np.random.default_rng(0).integers(0, 256, (160, 1 << 16), dtype="u1")


# The generator engine takes its buffers from the pool of the extension, which says what is in use;
# the graph engine's library has a pool of its own, of which the process's memory must tell.
by_generator = functools.partial(npyfast.dataset, engine="generator")


def address(array: Any) -> int:
    return int(np.asarray(array).__array_interface__["data"][0])


def used_bytes() -> int:
    return int(importlib.import_module("npyfast._core").pool_bytes()[0])


def memory(name: str) -> int:
    """A number of /proc/self/status, in bytes."""
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) << 10
    raise KeyError(name)


def tasks() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def eventually(condition: Callable[[], bool]) -> None:
    """Waits until it becomes true: TensorFlow's threads end when they come to it."""

    def collected() -> bool:
        gc.collect()
        return condition()

    wait_until(collected)


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where the arrays lie that are handed to TensorFlow."""
    seen: list[int] = []
    original = Batching.stream

    def stream(self: Batching, *arguments: Any, **options: Any) -> Any:
        for element in original(self, *arguments, **options):
            seen.append(address(element))
            yield element

    monkeypatch.setattr(Batching, "stream", stream)
    return seen


def test_a_large_batch_of_the_generator_becomes_a_tensor_without_a_copy(
    native: None, save: Save, addresses: list[int]
) -> None:
    made = by_generator(save(LARGE), 32, True, seed=1)
    tensors = list(made)
    assert [address(tensor) for tensor in tensors] == addresses
    assert all(a % 64 == 0 for a in addresses)
    # All are alive, so they are five pieces of memory with the right bytes.
    assert len(set(addresses)) == 5
    for tensor, rows in zip(tensors, epoch_batches(160, batch_size=32, seed=1), strict=True):
        assert (tensor.numpy() == LARGE[rows]).all()


@pytest.mark.parametrize("engine", ["graph", "generator"])
@pytest.mark.slow
def test_a_large_batch_is_in_memory_once(native: None, save: Save, engine: str) -> None:
    size = 96 << 20  # more than the pool keeps
    data = np.zeros((96, 1 << 20), "u1")
    path = save(data)
    del data
    made = npyfast.dataset(path, 96, True, engine=engine)
    before = memory("RssAnon")
    (tensor,) = made  # which maps the file, and opens whatever is opened once
    del tensor
    eventually(lambda: memory("RssAnon") < before + size // 2)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from here on
    (tensor,) = made
    assert tensor.shape == (96, 1 << 20)
    assert memory("VmHWM") < before + memory("RssFile") + memory("RssShmem") + size * 3 // 2
    del tensor
    eventually(lambda: memory("RssAnon") < before + size // 2)


def test_tensors_kept_are_not_written_by_later_batches(dataset: Dataset, save: Save) -> None:
    for data, batch_size in ((LARGE, 32), (LARGE[:, :100], 8)):
        kept = list(dataset(save(data), batch_size, True, seed=1, epochs=4))
        wanted = [
            rows
            for k in range(4)
            for rows in epoch_batches(160, batch_size=batch_size, seed=1, epoch=k)
        ]
        for tensor, rows in zip(kept, wanted, strict=True):
            assert (tensor.numpy() == data[rows]).all()


def test_a_view_of_a_tensor_keeps_its_memory(dataset: Dataset, save: Save) -> None:
    iterator = iter(dataset(save(LARGE), 32, epochs=-1))
    view = next(iterator).numpy()[3:5]
    for _ in range(50):
        next(iterator)
    assert (view == LARGE[3:5]).all()


@pytest.mark.own_process
@pytest.mark.slow
def test_memory_comes_back(native: None, save: Save) -> None:
    gc.collect()
    eventually(lambda: used_bytes() == 0)
    made = by_generator(save(LARGE), 32, True)
    for _ in range(3):
        tensors = list(made)
        assert used_bytes() >= LARGE.nbytes
        del tensors
    eventually(lambda: used_bytes() == 0)


def test_leaving_early_ends_what_was_started(dataset: Dataset, save: Save) -> None:
    made = dataset((save(LARGE), save(LARGE[:, 0])), 8, True, epochs=-1)
    next(iter(made))
    threads = threading.active_count()
    for _ in range(20):
        for _element in made:
            break
    eventually(lambda: threading.active_count() <= threads)


@pytest.mark.own_process
@pytest.mark.slow
def test_leaving_early_lets_go_of_the_generators_buffers(native: None, save: Save) -> None:
    made = by_generator(save(LARGE), 32, True, epochs=-1)
    for _ in range(5):
        next(iter(made))
    eventually(lambda: used_bytes() == 0)
    before = tasks()
    for _ in range(30):
        next(iter(made))
    eventually(lambda: used_bytes() == 0)
    eventually(lambda: tasks() <= before + 2)


@pytest.mark.parametrize("epochs", [None, -1])
@pytest.mark.slow
def test_leaving_early_lets_go_of_memory_and_threads(
    dataset: Dataset, save: Save, epochs: int | None
) -> None:
    made = dataset(save(LARGE), 32, True, epochs=epochs)

    def leave(times: int) -> None:
        for _ in range(times):
            next(iter(made))

    leave(20)
    threads, before = tasks(), memory("VmRSS")
    leave(60)
    # One batch for each would be 120 MiB.
    eventually(lambda: memory("VmRSS") - before < 40 << 20)
    eventually(lambda: tasks() <= threads + 2)


@pytest.mark.slow
def test_many_epochs_take_no_more_memory(dataset: Dataset, save: Save) -> None:
    made = dataset((save(LARGE), save(LARGE[:, 0])), 32, True)

    def run(epochs: int) -> None:
        for _ in range(epochs):
            for _element in made:
                pass

    run(30)
    before = memory("VmRSS")
    run(60)
    # One batch for each epoch would be 120 MB.
    assert memory("VmRSS") - before < 30 << 20


# What from_generator is given stays alive in TensorFlow for as long as the process does.
def test_datasets_of_the_graph_engine_let_go_of_their_files(native: None, save: Save) -> None:
    def mapped() -> int:
        gc.collect()
        lines = Path("/proc/self/maps").read_text().splitlines()
        return len({line.split()[-1] for line in lines if line.endswith("dropped.npy")})

    for i in range(30):
        path = save(LARGE[:40], f"{i}-dropped.npy")
        made = npyfast.dataset(path, 8, True, epochs=-1, engine="graph")
        assert len(list(made.take(3))) == 3
        del made
    # A few that nobody uses are kept open for the next epoch.
    eventually(lambda: mapped() <= 10)


def test_small_batches_go_in_groups() -> None:
    options = Options(
        batch_size=10,
        shuffle=False,
        seed=None,
        epochs=None,
        drop_remainder=False,
        shard=None,
        rows=None,
        transform=None,
        transform_threads=1,
        start_epoch=0,
        start_batch=0,
        threads=None,
        readahead="auto",
    )
    batching: Any = make_batching(np.zeros((1000, 8), "u1"), options)
    assert generator._group(batching) > 1


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.slow
def test_the_interpreter_ends_with_a_live_iterator(
    save: Save, engine: str, batch_size: int
) -> None:
    out, _ = processes.finish(
        processes.start(
            "live_iterator.py",
            save(LARGE),
            batch_size,
            engine,
            backend=npyfast.backend,
        )
    )
    assert out == "reading"
