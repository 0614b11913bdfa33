"""`npyfast.open`: one array, read by row."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from npyfast._backends.fields import AnyArray
from npyfast._backends.interface import OpenedLeaf
from npyfast._options import make_threads
from npyfast._order.selection import RowNumbers
from npyfast._sources.paths import Path
from npyfast._sources.source import Source, as_source


class Rows:
    """The rows of one array on disk (or in memory), read on demand.

    Indexed like a NumPy array along axis 0: `rows[i]`, `rows[a:b]`, `rows[[3, 1]]`, `rows[mask]`.
    The results are new arrays in native byte order, the caller's to keep and to write. Structured
    dtypes stay structured. Thread-safe. A context manager.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.arange(12.0).reshape(4, 3))
        >>> with npyfast.open("X.npy") as rows:
        ...     rows.shape, rows[[3, 0]].tolist()
        ((4, 3), [[9.0, 10.0, 11.0], [0.0, 1.0, 2.0]])
    """

    def __init__(self, leaf: OpenedLeaf, name: str) -> None:
        self._opened: OpenedLeaf | None = leaf
        self._name = name
        self._shape = (len(leaf), *leaf.row_shape)
        self._dtype = leaf.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, rows first."""
        return self._shape

    @property
    def ndim(self) -> int:
        """The number of dimensions, at least 1."""
        return len(self._shape)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of the results: that of the file, in native byte order."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all rows together."""
        return int(np.prod([int(n) for n in self._shape], dtype=object)) * self._dtype.itemsize

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._opened is None

    def __len__(self) -> int:
        return self._shape[0]

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self)))

    def _leaf(self) -> OpenedLeaf:
        if self._opened is None:
            raise ValueError(f"{self._name} is closed")
        return self._opened

    def gather(
        self, indices: npt.ArrayLike, out: AnyArray | None = None, *, threads: int | None = None
    ) -> AnyArray:
        """Copies the listed rows.

        Args:
            indices: row numbers, of any integer dtype and any shape; negative ones count from the
                end.
            out: the array to fill: C-contiguous and writeable, of shape
                `(*indices.shape, *rows.shape[1:])` and of the same dtype. By default a new array.
            threads: how many threads may work on the call; by default as many as there are CPUs
                that this process may use. A small number of bytes is copied by one thread.

        Returns:
            `out`, or the new array.

        Raises:
            IndexError: a row number is out of range; names the first one, and `out` is unchanged.
            TypeError: `indices` are not integers.
            ValueError: `out` has the wrong shape, dtype or layout.
        """
        leaf = self._leaf()
        numbers = _row_numbers(indices)
        threads = make_threads(threads)
        shape = (*numbers.shape, *self._shape[1:])
        flat = numbers.reshape(-1)
        if out is None:
            return leaf.take(flat, threads).reshape(shape)
        if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != self._dtype:
            got = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
            raise ValueError(f"out must be an array of {self._dtype} {shape}, got {got}")
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise ValueError("out must be C-contiguous and writeable")
        leaf.take_into(flat, out.reshape((len(flat), *self._shape[1:])), threads)
        return out

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            raise TypeError(
                "rows are indexed along axis 0 only: write rows[i][j] instead of rows[i, j]"
            )
        if index is Ellipsis:
            index = slice(None)
        if isinstance(index, slice):
            return self.gather(np.arange(*index.indices(len(self)), dtype=np.int64))
        try:
            row = operator.index(index)
        except TypeError:
            pass
        else:
            if not isinstance(index, (bool, np.bool_)):
                return self.gather([row])[0]
        listed = np.asarray(index)
        if listed.dtype == np.bool_:
            if listed.shape != (len(self),):
                raise IndexError(f"a mask of shape {listed.shape} does not fit {len(self):,} rows")
            listed = np.flatnonzero(listed)
        return self.gather(listed)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError(
                "reading the rows of a file makes a copy, so copy=False is not possible"
            )
        array: npt.NDArray[Any] = self[:]
        return array if dtype is None else array.astype(dtype, copy=False)

    def close(self) -> None:
        """Closes the files. Arrays that were read before stay valid; reading raises ValueError."""
        self._opened = None

    def __enter__(self) -> Rows:
        self._leaf()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = ", closed" if self.closed else ""
        return f"npyfast.Rows({self._name}, shape={self._shape}, dtype={self._dtype}{state})"


def _row_numbers(indices: npt.ArrayLike) -> RowNumbers:
    listed = np.asarray(indices)
    if listed.size == 0 and listed.dtype == np.float64:
        listed = listed.astype(np.int64)  # an empty list becomes float64
    if listed.dtype.kind not in "iu":
        raise TypeError(f"row numbers are integers, not {listed.dtype}")
    if listed.dtype == np.uint64 and listed.size and listed.max() > np.iinfo(np.int64).max:
        raise IndexError(f"row {listed.max()} is out of range")
    return np.ascontiguousarray(listed, dtype=np.int64).reshape(listed.shape)


def open_rows(source: Source | Path | Sequence[Path] | AnyArray) -> Rows:
    """Opens one array, to be read by row.

    Args:
        source: a `.npy` file, a glob pattern, a directory, a list of files (those of one
            array), an `.npz` or HDF5 file of one array, an array in memory, or what
            `npyfast.source` returns.

    Returns:
        `Rows`, with the shape of all files together.

    Raises:
        NpyFormatError: a file is not a readable `.npy`.
        TypeError: the dtype holds Python objects.
        ValueError: files differ in dtype or row shape; the array is 0-dimensional.
        OSError: as `open` raises it.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.eye(3))
        >>> npyfast.open("X.npy")[1]
        array([0., 1., 0.])
    """
    leaf = as_source(source)
    return Rows(leaf.open(), leaf.name)
