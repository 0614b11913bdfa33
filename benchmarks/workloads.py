"""The benchmark's data: four arrays of random numbers in .npy files, made once and kept."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.lib import format as npy_format

_CHUNK_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Workload:
    """One array: `rows` rows of shape `row_shape` and type `dtype`."""

    name: str
    rows: int
    row_shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, *self.row_shape)

    @property
    def row_bytes(self) -> int:
        return math.prod(self.row_shape) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.rows * self.row_bytes

    def scaled(self, scale: float) -> Workload:
        """The same workload with fewer rows, at least 2,000, for a quick trial of the benchmark."""
        rows = max(2000, int(self.rows * scale))
        return dataclasses.replace(self, rows=min(self.rows, rows))


WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload("mnist", 60_000, (28, 28), np.dtype("u1")),
        Workload("cifarf", 50_000, (32, 32, 3), np.dtype("<f4")),
        Workload("img", 8_000, (224, 224, 3), np.dtype("u1")),
        Workload("feat", 2_000_000, (64,), np.dtype("<f4")),
    )
}
BATCHES = (32, 256)


@dataclasses.dataclass(frozen=True)
class Case:
    """One column of the table: a workload in its file, and a batch size."""

    workload: Workload
    path: Path
    batch: int
    seed: int = 0
    shuffle: bool | Literal["block"] = True  # "block" is for npyfast alone
    cold: bool = False  # the file is larger than memory: nothing is to be read beforehand

    @property
    def name(self) -> str:
        return f"{self.workload.name}/{self.batch}"

    @property
    def batch_bytes(self) -> int:
        return self.batch * self.workload.row_bytes

    @property
    def batches_per_epoch(self) -> int:
        return -(-self.workload.rows // self.batch)


def make_file(workload: Workload, directory: Path) -> Path:
    """Returns the workload's .npy file in `directory`, writing it unless it is there already.

    Raises OSError where the disk has no room for it.
    """
    path = directory / f"{workload.name}-{workload.rows}.npy"
    if _matches(path, workload):
        return path
    directory.mkdir(parents=True, exist_ok=True)
    require_space(directory, workload.nbytes)
    unfinished = path.with_suffix(".unfinished")
    rng = np.random.default_rng(0)
    rows_per_chunk = max(1, _CHUNK_BYTES // workload.row_bytes)
    with unfinished.open("wb") as file:
        npy_format.write_array_header_1_0(
            file,
            {
                "descr": npy_format.dtype_to_descr(workload.dtype),
                "fortran_order": False,
                "shape": workload.shape,
            },
        )
        for first in range(0, workload.rows, rows_per_chunk):
            rows = min(rows_per_chunk, workload.rows - first)
            file.write(_random((rows, *workload.row_shape), workload.dtype, rng).tobytes())
    unfinished.replace(path)
    return path


def require_space(directory: Path, nbytes: int) -> None:
    """Raises OSError unless `directory` has room for `nbytes` and a tenth more."""
    free = shutil.disk_usage(directory).free
    if free < nbytes * 1.1:
        raise OSError(
            f"{directory}: {free / 1e9:.1f} GB free, {nbytes / 1e9:.1f} GB needed; "
            "choose another folder with --data"
        )


def read_into_page_cache(path: Path) -> None:
    """Reads a file, or all files of a folder, so that their pages are cached."""
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    buffer = bytearray(_CHUNK_BYTES)
    for each in files:
        with each.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def clean(directory: Path) -> list[Path]:
    """Deletes what the benchmarks wrote into `directory` and returns what that was."""
    deleted = []
    for name in (*WORKLOADS, "sparse"):
        for path in sorted(directory.glob(f"{name}-*")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            deleted.append(path)
    return deleted


def _matches(path: Path, workload: Workload) -> bool:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return False
    offset = array.offset if isinstance(array, np.memmap) else 0
    return (
        array.shape == workload.shape
        and array.dtype == workload.dtype
        and path.stat().st_size == offset + workload.nbytes
    )


def _random(
    shape: tuple[int, ...], dtype: np.dtype[np.generic], rng: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    if dtype.kind == "f":
        return rng.random(shape, dtype=np.float32).astype(dtype, copy=False)
    return rng.integers(0, 256, shape, dtype=np.uint8).astype(dtype, copy=False)
