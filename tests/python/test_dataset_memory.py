"""Tensors are made without a copy, memory is let go, threads end with their iterator."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest
from expected import epoch_batches
from samples import Save

import npyfast
from npyfast import _dataset
from npyfast._batches import Batching, make_batching

# 2 MB a batch: too large for groups.
LARGE = np.random.default_rng(0).integers(0, 256, (160, 1 << 16), dtype="u1")

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def address(array: Any) -> int:
    return int(np.asarray(array).__array_interface__["data"][0])


def used_bytes() -> int:
    return int(importlib.import_module("npyfast._core").pool_bytes()[0])


def eventually(condition: Any, seconds: float = 20) -> bool:
    """Whether it becomes true: TensorFlow's threads end when they come to it."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        gc.collect()
        time.sleep(0.01)
    return True


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


def test_a_large_batch_becomes_a_tensor_without_a_copy(
    native: None, save: Save, addresses: list[int]
) -> None:
    made = npyfast.dataset(save(LARGE), 32, True, seed=1)
    tensors = list(made)
    assert [address(tensor) for tensor in tensors] == addresses
    assert all(a % 64 == 0 for a in addresses)
    # All are alive, so they are five pieces of memory with the right bytes.
    assert len(set(addresses)) == 5
    for tensor, rows in zip(tensors, epoch_batches(160, batch_size=32, seed=1), strict=True):
        assert (tensor.numpy() == LARGE[rows]).all()


@pytest.mark.usefixtures("backend")
def test_tensors_kept_are_not_written_by_later_batches(save: Save) -> None:
    for data, batch_size in ((LARGE, 32), (LARGE[:, :100], 8)):
        kept = list(npyfast.dataset(save(data), batch_size, True, seed=1, epochs=4))
        wanted = [
            rows
            for k in range(4)
            for rows in epoch_batches(160, batch_size=batch_size, seed=1, epoch=k)
        ]
        for tensor, rows in zip(kept, wanted, strict=True):
            assert (tensor.numpy() == data[rows]).all()


def test_a_view_of_a_tensor_keeps_its_memory(native: None, save: Save) -> None:
    iterator = iter(npyfast.dataset(save(LARGE), 32, epochs=-1))
    view = next(iterator).numpy()[3:5]
    for _ in range(50):
        next(iterator)
    assert (view == LARGE[3:5]).all()


def test_memory_comes_back(native: None, save: Save) -> None:
    gc.collect()
    assert eventually(lambda: used_bytes() == 0)
    made = npyfast.dataset(save(LARGE), 32, True)
    for _ in range(3):
        tensors = list(made)
        assert used_bytes() >= LARGE.nbytes
        del tensors
    assert eventually(lambda: used_bytes() == 0)


@pytest.mark.usefixtures("backend")
def test_leaving_early_ends_what_was_started(save: Save) -> None:
    made = npyfast.dataset((save(LARGE), save(LARGE[:, 0])), 8, True, epochs=-1)
    next(iter(made))
    threads = threading.active_count()
    for _ in range(20):
        for _element in made:
            break
    assert eventually(lambda: threading.active_count() <= threads)


@linux
def test_leaving_early_lets_go_of_memory_and_threads(native: None, save: Save) -> None:
    made = npyfast.dataset(save(LARGE), 32, True, epochs=-1)

    def tasks() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    for _ in range(5):
        next(iter(made))
    assert eventually(lambda: used_bytes() == 0)
    before = tasks()
    for _ in range(30):
        next(iter(made))
    assert eventually(lambda: used_bytes() == 0)
    assert eventually(lambda: tasks() <= before + 2)


@linux
@pytest.mark.usefixtures("backend")
def test_many_epochs_take_no_more_memory(save: Save) -> None:
    made = npyfast.dataset((save(LARGE), save(LARGE[:, 0])), 32, True)

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    def run(epochs: int) -> None:
        for _ in range(epochs):
            for _element in made:
                pass

    run(30)
    before = resident()
    run(60)
    # One batch for each epoch would be 120 MB.
    assert resident() - before < 30 << 20


def test_small_batches_go_in_groups() -> None:
    batching: Any = make_batching(
        np.zeros((1000, 8), "u1"),
        10,
        False,
        seed=None,
        epochs=None,
        drop_remainder=False,
        shard=None,
        rows=None,
        transform=None,
        start_epoch=0,
        start_batch=0,
        threads=None,
        readahead="auto",
    )
    assert _dataset._group(batching) > 1


@pytest.mark.parametrize("batch_size", [1, 32])
def test_the_interpreter_ends_with_a_live_iterator(
    save: Save, backend: str, batch_size: int
) -> None:
    out, _ = processes.finish(
        processes.start(
            """
            import sys, warnings
            warnings.simplefilter("ignore")
            import npyfast
            made = npyfast.dataset(sys.argv[1], int(sys.argv[2]), True, epochs=-1)
            iterator = iter(made)
            next(iterator)
            kept = list(made.take(3))
            print("reading", flush=True)
            """,
            save(LARGE),
            batch_size,
            backend=backend,
        )
    )
    assert out == "reading"
