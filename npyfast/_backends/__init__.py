"""Backends: who copies the bytes. `native`, the C++ extension, or `numpy`, the specification."""

from __future__ import annotations

import functools
import importlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from npyfast._backends.fields import AnyArray
from npyfast._order.plan import Plan, RowNumbers, Run

if TYPE_CHECKING:
    from npyfast._backends.cast import Cast
    from npyfast._backends.header import Header
    from npyfast._sources.formats import Located

VARIABLE = "NPYFAST_BACKEND"


class Rows(Protocol):
    """The opened rows of one array."""

    dtype: np.dtype[np.generic]  # in native byte order
    row_shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def parts(self) -> Sequence[tuple[str | bytes, int]]:
        """The paths of the files, in their order, and how many rows each has; or nothing."""

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        """The listed rows (negative ones from the end) as a fresh array; structures stay whole.

        Raises IndexError naming the first row number that is out of range; and as check_files(), by
        a look after the copy, where one of the files that hold them was changed.
        """

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        """The same into `out`, which has the right shape and dtype and is C-contiguous."""

    def check_files(self) -> None:
        """Raises NpyFormatError or OSError, naming a file, where one was changed after it was
        opened."""

    def converted(self, cast: Cast | None, row_shape: tuple[int, ...] | None) -> Rows:
        """The same rows in another shape, of as many items, then cast."""


class Stream(Iterator[Any], Protocol):
    """An iterator of batches that knows how many it has delivered."""

    @property
    def position(self) -> int: ...

    def close(self) -> None:
        """Ends the iteration."""


class Counters(Protocol):
    """What streams count together; anybody may read it at any time."""

    def counters(self) -> tuple[int, ...]:
        """All of them now, in the order of csrc/core/base/stream_counters.h."""


class Backend(Protocol):
    """What a backend module offers."""

    NAME: str
    # A BatchIterator that is one of its streams, and loses no time between them, if it has one: the
    # `kind` of stream().
    ITERATOR: type | None

    def read_header(self, path: str) -> Header: ...

    def open(self, files: Sequence[str], located: Sequence[Located] | None = None) -> Rows:
        """Opens the shards of one array: `.npy` files; or, with `located`, files of any kind that
        hold what its headers say, from byte `data_offset` on.

        Raises OSError where a file is not in the state that it was found in."""

    def open_row_files(self, files: Sequence[str]) -> Rows:
        """The rows of `.npy` files that hold one each; they are opened when a row is taken."""

    def view(self, memory: AnyArray) -> Rows:
        """Rows of an array in memory."""

    def can_read(self, rows: Rows) -> bool:
        """Whether it makes batches of these rows, whoever has opened them."""

    def statistics(self) -> Counters:
        """New counters, for streams of this backend."""

    def stream(
        self,
        leaves: Sequence[Rows],
        plan: Plan,
        run: Run,
        *,
        group: int,
        threads: int | None,
        readahead: str,
        statistics: Counters,
        pack: Callable[..., Any] | None,
        records: bool = False,
    ) -> Stream:
        """The batches of a run. `pack` makes an element of the flat columns of all leaves; None:
        the only column itself, or the tuple of them. With `group` larger than one,
        an item is up to that many full batches in arrays of shape (batches, batch_size, ...); the
        first items are smaller. With `records` a structured dtype stays one column."""


@functools.cache
def _chosen() -> tuple[Any, str]:
    """The backend's module, and why it is this one."""
    wanted = os.environ.get(VARIABLE, "auto") or "auto"
    if wanted not in ("auto", "native", "numpy"):
        raise ValueError(f"{VARIABLE} must be auto, native or numpy, got {wanted!r}")
    if wanted == "numpy":
        return importlib.import_module("npyfast._backends.numpy"), f"{VARIABLE}=numpy asks for it"
    try:
        importlib.import_module("npyfast._core")  # by itself first: its error says more
        module = importlib.import_module("npyfast._backends.native")
    except ImportError as error:
        why = f"the extension npyfast._core cannot be imported ({error}){_shadow_hint()}"
        if wanted == "native":
            raise ImportError(f"{VARIABLE}=native, but {why}") from error
        warnings.warn(
            f"npyfast copies with NumPy, several times slower, because {why}",
            RuntimeWarning,
            stacklevel=4,  # the line that imports npyfast
        )
        return importlib.import_module("npyfast._backends.numpy"), why
    return module, f"{VARIABLE}=native asks for it" if wanted == "native" else "it is installed"


def _shadow_hint() -> str:
    """A source tree on the import path hides the installed package, extension and all."""
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if not os.path.exists(os.path.join(folder, "CMakeLists.txt")):
        return "; installing npyfast where a C++ compiler works builds it"
    return (
        f"; npyfast was imported from its source tree {folder}, which holds no built extension: "
        "start Python elsewhere to get the installed package"
    )


def backend() -> Backend:
    """The backend of this process."""
    module: Backend = _chosen()[0]
    return module


def backend_reason() -> str:
    """Why it is this one."""
    return _chosen()[1]


def backend_for(leaves: Sequence[Rows]) -> Backend:
    """The backend that makes batches of these rows: NumPy's, where some are read by Python."""
    chosen = backend()
    if all(chosen.can_read(rows) for rows in leaves):
        return chosen
    made_by_numpy: Backend = importlib.import_module("npyfast._backends.numpy")
    return made_by_numpy
