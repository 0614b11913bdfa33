from collections.abc import Callable, Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

_AnyArray = npt.NDArray[np.generic]

# The numbers of npyfast._backends.row_view.RowView.
_View = tuple[Sequence[int], Sequence[int], int, int, int]

BLOCK_ORDER_VERSION: int
BUILD_TYPE: str
COMPILER: str
FLAGS: str
ORDER_VERSION: int
PREFIX_BYTES: int
VERSION: str

def encode_arrays(
    arrays: Sequence[Array], memory: Sequence[tuple[bytes, int, Sequence[int]]]
) -> dict[str, int | list[int] | list[bytes]]: ...
def share_memory(memory: _AnyArray) -> tuple[object, int]: ...
def header_bytes(prefix: bytes) -> int: ...
def parse_header(
    data: bytes,
) -> tuple[tuple[int, int], tuple[int, ...], np.dtype[Any], bool, int]: ...
def order(
    rows: int, seed: int, epoch: int, positions: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]: ...
def pool_bytes() -> tuple[int, int]: ...
def usable_cpus() -> int: ...
def direct_reads() -> str: ...
def usable_memory() -> int: ...

@final
class Array:
    @staticmethod
    def open(paths: Sequence[bytes], map_now: bool, view: _View) -> Array: ...
    @staticmethod
    def open_extents(
        extents: Sequence[tuple[bytes, bytes, int, tuple[int, int, int, int, int]]],
        map_now: bool,
        view: _View,
    ) -> Array: ...
    @staticmethod
    def open_row_files(paths: Sequence[bytes]) -> Array: ...
    @staticmethod
    def view(memory: _AnyArray, view: _View) -> Array: ...
    @property
    def dtype(self) -> np.dtype[np.generic]: ...
    @property
    def file_bytes(self) -> int: ...
    @property
    def name(self) -> bytes: ...
    @property
    def has_dense_rows(self) -> bool: ...
    @property
    def parts(self) -> list[tuple[bytes, int]]: ...
    @property
    def row_shape(self) -> tuple[int, ...]: ...
    @property
    def rows(self) -> int: ...
    @property
    def storage(self) -> Literal["memory", "mapped", "row files"]: ...
    def check_files(self) -> None: ...

@final
class Cast:
    def __init__(
        self,
        array: Array,
        to: np.dtype[np.generic],
        row_shape: Sequence[int],
        scale: _AnyArray | None,
        shift: _AnyArray | None,
    ) -> None: ...

@final
class Gather:
    def __init__(
        self,
        array: Array,
        apart: bool,
        columns: Sequence[tuple[np.dtype[np.generic], Sequence[int]]],
        cast: Cast | None,
    ) -> None: ...
    def take(self, rows: npt.NDArray[np.int64], threads: int) -> list[_AnyArray]: ...
    def take_into(self, rows: npt.NDArray[np.int64], out: _AnyArray, threads: int) -> None: ...

@final
class Plan:
    def __init__(
        self,
        *,
        start: int,
        step: int,
        size: int,
        list: npt.NDArray[np.int64] | None,
        order: tuple[int, int] | None = None,
        batch_size: int,
        seed: int | None,
        blocks: tuple[int, int] | None,
        shard_index: int,
        shard_count: int,
        drop_remainder: bool,
    ) -> None: ...
    @property
    def batches(self) -> int: ...
    def rows(self, epoch: int, batch: int) -> npt.NDArray[np.int64]: ...

class Statistics:
    def __init__(self) -> None: ...
    def counters(self) -> tuple[int, ...]: ...

class Stream:
    def __init__(
        self,
        *,
        leaves: Sequence[Gather],
        plan: Plan,
        start_epoch: int,
        start_batch: int,
        epochs: int,
        group: int,
        threads: int,
        readahead: str,
        statistics: Statistics,
        pack: Callable[..., Any] | None,
    ) -> None: ...
    def __iter__(self) -> Stream: ...
    def __next__(self) -> Any: ...
    @property
    def items(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def run(self) -> tuple[int, int, int]: ...
    def close(self) -> None: ...
    def restart(self, *, start_epoch: int, start_batch: int, epochs: int) -> None: ...
