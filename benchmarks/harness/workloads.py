"""The arrays that are measured: random numbers in .npy files, written once and kept."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path
from typing import Literal

import numpy as np

from harness.machine import cpus

Shuffle = bool | Literal["block"]

_CHUNK_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class Workload:
    """One array."""

    name: str
    rows: int
    row_shape: tuple[int, ...]
    dtype: str = "|u1"
    numbered: bool = False  # of bytes: the first four of a row are its number, little-endian

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, *self.row_shape)

    @property
    def row_bytes(self) -> int:
        return math.prod(self.row_shape) * np.dtype(self.dtype).itemsize

    @property
    def nbytes(self) -> int:
        return self.rows * self.row_bytes

    def scaled(self, scale: float) -> Workload:
        """The same with fewer rows, at least 2,000, for a quick trial of a benchmark."""
        return dataclasses.replace(self, rows=min(self.rows, max(2000, int(self.rows * scale))))


WORKLOADS: dict[str, Workload] = {
    each.name: each
    for each in (
        Workload("mnist", 60_000, (28, 28)),
        Workload("cifarf", 50_000, (32, 32, 3), "<f4"),
        Workload("img", 8_000, (224, 224, 3)),
        Workload("feat", 2_000_000, (64,), "<f4"),
    )
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A workload in its file, and how its batches are wanted."""

    workload: Workload
    path: Path
    batch: int
    seed: int = 0
    shuffle: Shuffle = True  # "block" is for npyfast alone
    cold: bool = False  # the file may be larger than memory: read nothing beforehand
    threads: int = dataclasses.field(default_factory=cpus)  # for contenders that must be told

    @property
    def name(self) -> str:
        return f"{self.workload.name}/{self.batch}"

    @property
    def batch_bytes(self) -> int:
        return self.batch * self.workload.row_bytes

    @property
    def batches_per_epoch(self) -> int:
        return -(-self.workload.rows // self.batch)


def make_file(workload: Workload, folder: Path) -> Path:
    """Returns the workload's file in `folder`, and writes it unless it exists.

    Raises OSError where the disk has no room for it.
    """
    path = make_path(workload, folder)
    if path.exists():
        array = np.load(path, mmap_mode="r")
        if (array.shape, array.dtype.str) == (workload.shape, workload.dtype):
            return path
    folder.mkdir(parents=True, exist_ok=True)
    require_space(folder, workload.nbytes)
    unfinished = path.with_suffix(".unfinished")
    array = np.lib.format.open_memmap(unfinished, "w+", workload.dtype, workload.shape)
    rng = np.random.default_rng(0)
    step = max(1, _CHUNK_BYTES // workload.row_bytes)
    for first in range(0, workload.rows, step):
        part = array[first : first + step]
        if part.dtype.kind == "f":
            part[...] = rng.random(part.shape, "f4")
        else:
            part[...] = rng.integers(0, 256, part.shape, "u1")
        if workload.numbered:
            numbers = np.arange(first, first + len(part), dtype="<u4").view("u1")
            part.reshape(len(part), -1)[:, :4] = numbers.reshape(-1, 4)
    array.flush()
    unfinished.replace(path)
    return path


def make_path(workload: Workload, folder: Path) -> Path:
    """Where make_file writes."""
    kind = "-numbered" if workload.numbered else ""
    return folder / f"{workload.name}-{workload.rows}{kind}.npy"


def require_space(folder: Path, nbytes: float) -> None:
    """Raises OSError unless `folder` has room for `nbytes` and a tenth more."""
    free = shutil.disk_usage(folder).free
    if free < nbytes * 1.1:
        raise OSError(
            f"{folder}: {free / 1e9:.1f} GB free, {nbytes / 1e9:.1f} GB needed; "
            "choose another folder with --data or --folder"
        )


def read_into_page_cache(path: Path) -> None:
    """Reads a file, or all files of a folder."""
    for each in path.rglob("*") if path.is_dir() else [path]:
        if each.is_file():
            with each.open("rb") as file:
                while file.read(_CHUNK_BYTES):
                    pass
