"""Who owns memory: batches are the caller's, buffers are aligned and recycled, nothing grows."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest
from expected import epoch_batches
from samples import Save

import npyfast

X = np.arange(2000 * 24, dtype="i4").reshape(2000, 24)


def pool_bytes() -> tuple[int, int]:
    used, free = importlib.import_module("npyfast._core").pool_bytes()
    return used, free


def address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.usefixtures("backend")
def test_batches_kept_are_not_written_by_later_ones(save: Save) -> None:
    kept = list(npyfast.batches((save(X), save(X[:, 0])), 30, True, seed=1, epochs=5))
    wanted = [
        rows for k in range(5) for rows in epoch_batches(2000, batch_size=30, seed=1, epoch=k)
    ]
    assert len(kept) == len(wanted)
    for (x, y), rows in zip(kept, wanted, strict=True):
        assert (x == X[rows]).all()
        assert (y == X[rows, 0]).all()


@pytest.mark.usefixtures("backend")
def test_batches_written_do_not_change_others_nor_the_source(save: Save) -> None:
    path = save(X)
    memory = X.copy()
    kept: list[Any] = []
    made = npyfast.batches((path, memory), 30, True, seed=1, epochs=3)
    wanted = [
        rows for k in range(3) for rows in epoch_batches(2000, batch_size=30, seed=1, epoch=k)
    ]
    for (x, y), rows in zip(made, wanted, strict=True):
        assert (x == X[rows]).all()
        assert (y == X[rows]).all()
        for array in (x, y):
            assert array.flags.writeable
            assert array.flags.c_contiguous
            array[...] = -1
        kept.append((x, y))
    assert all((x == -1).all() and (y == -1).all() for x, y in kept)
    assert (memory == X).all()
    assert (np.load(path) == X).all()


@pytest.mark.usefixtures("backend")
def test_a_view_keeps_its_batch(save: Save) -> None:
    stream = iter(npyfast.batches(save(X), 30, epochs=-1))
    view = next(stream)[5:7, ::-1].T
    for _ in range(300):
        next(stream)[...] = -1
    assert (view == X[5:7, ::-1].T).all()


@pytest.mark.parametrize("row_shape", [(), (1,), (3,), (1000,), (100_000,)])
def test_batches_are_aligned_to_64_bytes(native: None, save: Save, row_shape: Any) -> None:
    array = np.zeros((40, *row_shape), "u1")
    for x, fields in npyfast.batches(
        (save(array), np.zeros(40, [("a", "u1"), ("b", "f8", (3,))])), 7, epochs=2
    ):
        for batch in (x, fields["a"], fields["b"]):
            assert address(batch) % 64 == 0
    assert address(npyfast.open(save(array))[[3, 1]]) % 64 == 0


def test_buffers_are_recycled(native: None, save: Save) -> None:
    large = np.zeros((64, 1 << 16), "u1")
    stream = iter(npyfast.batches(save(large), 16, epochs=-1, threads=1))
    seen = set()
    for _ in range(500):
        seen.add(address(next(stream)))
    assert len(seen) < 100


@pytest.mark.own_process
@pytest.mark.slow
def test_the_pool_keeps_no_more_than_a_stream_needs(native: None) -> None:
    gc.collect()
    large = np.zeros((64, 1 << 20), "u1")
    for _ in range(3):
        kept = list(npyfast.batches(large, 16, epochs=8))
        assert pool_bytes()[0] >= sum(batch.nbytes for batch in kept)
        del kept
    gc.collect()
    used, free = pool_bytes()
    assert used < 1 << 20
    assert free < 128 << 20


@pytest.mark.usefixtures("backend")
@pytest.mark.slow
def test_an_endless_run_takes_no_more_memory(save: Save) -> None:
    stream = iter(npyfast.batches((save(X), save(X[:, :7])), 50, True, epochs=-1))

    def anonymous() -> int:
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) << 10
        raise AssertionError("no anonymous memory?")

    for _ in range(3000):
        next(stream)
    gc.collect()
    before = anonymous()
    for _ in range(12_000):
        next(stream)
    gc.collect()
    assert anonymous() - before < 4 << 20


def test_a_trillion_rows(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "trillion.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array_header_2_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (10**12,)}
        )
        start = file.tell()
        file.seek(start + 10**12 - 1)
        file.write(b"\x07")  # the last row; all others are holes
    try:
        out = processes.run(
            "trillion_rows.py",
            path,
            backend=backend,
        )
    finally:
        path.unlink()
    assert int(out) < 100, f"{out} MiB"
