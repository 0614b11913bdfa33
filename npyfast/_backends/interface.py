"""What a backend offers, and what it opens: the protocols that both backends implement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from npyfast._backends.cast import Cast
from npyfast._backends.fields import AnyArray
from npyfast._backends.header import Header, LocatedHeader
from npyfast._backends.row_view import PLAIN, RowView
from npyfast._options import Readahead
from npyfast._order.plan import Plan, Run
from npyfast._order.selection import RowNumbers


@dataclass(frozen=True)
class Storage:
    """Where the rows of a leaf lie, and what reading them costs."""

    # "mapped": in files, in place; "row files": in a file each, which is opened for each read;
    # "h5py": in HDF5 files from which only h5py can read them; "python": in an object of another
    # package.
    kind: Literal["memory", "mapped", "row files", "h5py", "python"]
    # Whether the items of a row are adjacent, which in Fortran order they are not.
    dense: bool = True
    chunk_rows: int | None = None  # of the largest chunk, which is always read whole


class OpenedLeaf(Protocol):
    """The opened rows of one array."""

    storage: Storage
    dtype: np.dtype[np.generic]  # in native byte order
    row_shape: tuple[int, ...]
    cast: Cast | None  # applied to the stored rows
    view: RowView  # which rows of the arrays they are

    def __len__(self) -> int: ...

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        """The path of each file and its number of rows, in order; empty without files."""

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        """The listed rows (negative ones from the end) as a fresh array; structures stay whole.

        Raises IndexError naming the first row number that is out of range, and as check_files() if
        one of the files that hold the rows was changed before the copy was done.
        """

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        """Copies the listed rows into `out`, C-contiguous and of the right shape and dtype."""

    def check_files(self) -> None:
        """Raises NpyFormatError or OSError naming a file that was changed since it was opened."""

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> OpenedLeaf:
        """The same rows in another shape of equal size, then cast."""


class Stream(Iterator[Any], Protocol):
    """An iterator of batches that knows how many it has delivered."""

    @property
    def position(self) -> int: ...

    def close(self) -> None:
        """Ends the iteration."""


class Counts(NamedTuple):
    """Values of Counters, in the order of csrc/core/base/stream_counters.h, which explains them;
    and those of Python's transforms."""

    batches: int
    rows: int
    bytes: int
    waits: int
    wait_ns: int
    batches_ahead: int
    needed_bytes: int
    read_bytes: int
    direct_bytes: int = 0
    resident_bytes: int = 0
    read_depth: int = 0
    cpu_ns: int = 0
    elapsed_ns: int = 0
    transform_ns: int = 0


class Counters(Protocol):
    """Counters that streams share. They may be read at any time."""

    def counters(self) -> Counts:
        """The current values."""


class Backend(Protocol):
    """What a backend module offers."""

    NAME: str  # for people
    SERVES_GRAPHS: bool  # whether the ops of TensorFlow's graphs read what it opens
    NATIVE_STREAMS: bool  # whether its streams are npyfast._core.Stream, and may be a `kind` of it
    READS_AHEAD: bool  # whether its streams read files before a batch needs them

    def usable_memory(self) -> int | None:
        """Bytes of memory that this process can use now; None if unknown."""

    def read_header(self, path: str) -> Header: ...

    def parse_header(self, data: bytes) -> Header:
        """The header that these bytes begin with. Raises NpyFormatError, which names no file."""

    def open(
        self,
        files: Sequence[str],
        located: Sequence[LocatedHeader] | None = None,
        *,
        map_now: bool = True,
        view: RowView = PLAIN,
    ) -> OpenedLeaf:
        """Opens the files of one array: `.npy` files; or, with `located`, files of any format whose
        headers were found elsewhere and whose data begins at `data_offset`.

        Without `map_now`, files are mapped when they are first read. Raises OSError if a file is no
        longer in the state in which its header was read.
        """

    def open_row_files(self, files: Sequence[str]) -> OpenedLeaf:
        """The rows of `.npy` files that hold one row each, opened when a row is taken."""

    def view(self, memory: AnyArray, view: RowView = PLAIN) -> OpenedLeaf:
        """The rows of an array in memory."""

    def make_counters(self) -> Counters:
        """New counters, for streams of this backend."""

    def rows_of(self, plan: Plan) -> Callable[[int, int], RowNumbers]:
        """The function `(epoch, batch) -> row numbers` of a plan: what `plan.rows` gives."""

    def stream(
        self,
        leaves: Sequence[OpenedLeaf],
        plan: Plan,
        run: Run,
        *,
        group: int,
        threads: int | None,
        readahead: Readahead,
        counters: Counters,
        pack: Callable[..., Any] | None,
        records: bool = False,
    ) -> Stream:
        """The batches of a run.

        `pack` makes an element from the flat columns of all leaves; with None, an element is the
        only column, or the tuple of all. With `group` above one, an item is up to that many full
        batches in arrays of shape (batches, batch_size, ...); the first items are smaller. With
        `records`, a structured dtype stays one column.
        """
