"""`npyfast.statistics`: how long the training waits for data, and how much is read from disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from npyfast._backends.interface import Counts
from npyfast._errors import shown

# The attribute of a tf.data.Dataset of npyfast's own that holds its Counters.
COUNTERS = "_npyfast_counters"


@dataclass(frozen=True)
class Statistics:
    """What was delivered up to one moment, and how long readers waited for it.

    Made by `npyfast.statistics`; it never changes. `later - earlier` is what happened in between,
    and `str()` gives a line for a log.

    Attributes:
        batches: batches delivered.
        rows: rows of these batches.
        bytes: bytes of these rows in memory.
        waits: how often a reader had to wait for its next batch. (Small batches may be delivered
            several at once, with one wait for all of them.)
        wait_seconds: total time of these waits, including that of a `transform` that the reader
            runs itself.
        batches_ahead: batches that were ready at that moment.
        bytes_needed: bytes of the files, in whole pages, that readahead looked for in the page
            cache. If looking would take as long as reading, this is estimated from a sample.
        bytes_read: those of them that were not cached and had to be read.
        bytes_direct: bytes that were read directly, past the page cache, because the data does not
            fit in memory.
        bytes_resident: bytes of rows that were copied from the part of such data that stays in
            memory.
        read_depth: direct reads that were kept in flight at that moment.
        cpu_seconds: CPU time of the threads that read and make batches. A batch that its reader
            makes itself is not included.
        seconds: time since a reader asked for the first batch. It goes on while nobody reads.
        transform_seconds: time spent in `transform`, of all its threads together.
    """

    batches: int = 0
    rows: int = 0
    bytes: int = 0
    waits: int = 0
    wait_seconds: float = 0.0
    batches_ahead: int = 0
    bytes_needed: int = 0
    bytes_read: int = 0
    bytes_direct: int = 0
    bytes_resident: int = 0
    read_depth: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0
    transform_seconds: float = 0.0

    @property
    def wait_share(self) -> float | None:
        """The share of `seconds` that the reader waited, 0 to 1; None before the first batch.
        Waits of several readers at once are added up, to 1 at most."""
        return min(1.0, self.wait_seconds / self.seconds) if self.seconds > 0 else None

    @property
    def hit_share(self) -> float | None:
        """The share of `bytes_needed` that was in the page cache, 0 to 1; None if nothing was
        looked for."""
        return 1 - self.bytes_read / self.bytes_needed if self.bytes_needed else None

    def __sub__(self, earlier: Statistics) -> Statistics:
        """What happened after `earlier`; `batches_ahead` and `read_depth` are those of the later
        moment."""
        if not isinstance(earlier, Statistics):
            return NotImplemented
        differences = (
            getattr(self, field.name) - getattr(earlier, field.name) for field in fields(self)
        )
        return replace(
            Statistics(*differences),
            batches_ahead=self.batches_ahead,
            read_depth=self.read_depth,
        )

    def __str__(self) -> str:
        text = (
            f"{_several(self.batches, 'batch', 'es')}, {_several(self.rows, 'row')}, "
            f"{_size(self.bytes)}; "
        )
        if self.waits:
            text += f"waited {_several(self.waits, 'time')}, {self.wait_seconds:,.2f} s in all"
        else:
            text += "never waited"
        if self.wait_share is not None:
            text += f" ({100 * self.wait_share:.0f} % of {self.seconds:,.2f} s)"
        if self.transform_seconds > 0:
            text += f"; transform took {self.transform_seconds:,.2f} s"
        text += f"; {_several(self.batches_ahead, 'batch', 'es')} ahead"
        if self.bytes_needed:
            # Rounded down, so that 100 % means all of it.
            cached = 100 * (self.bytes_needed - self.bytes_read) // self.bytes_needed
            text += f"; {_size(self.bytes_read)} read, {cached} % cached"
        if self.bytes_direct:
            text += (
                f"; {_size(self.bytes_direct)} directly, {_size(self.bytes_resident)} resident, "
                f"depth {self.read_depth}"
            )
        return text


def _several(number: int, thing: str, plural: str = "s") -> str:
    return f"{number:,} {thing}{'' if number == 1 else plural}"


def _size(number: float) -> str:
    if number < 1024:
        return _several(int(number), "byte")
    for unit in ("KiB", "MiB", "GiB"):
        number /= 1024
        if number < 1024:
            return f"{number:,.1f} {unit}"
    return f"{number / 1024:,.1f} TiB"


def of_counters(*several: Counts) -> Statistics:
    """The statistics of several datasets together; the time is that since the first of them."""
    total = Counts(*map(sum, zip(*several, strict=True)))
    return Statistics(
        batches=total.batches,
        rows=total.rows,
        bytes=total.bytes,
        waits=total.waits,
        wait_seconds=total.wait_ns / 1e9,
        batches_ahead=total.batches_ahead,
        bytes_needed=total.needed_bytes,
        bytes_read=total.read_bytes,
        bytes_direct=total.direct_bytes,
        bytes_resident=total.resident_bytes,
        read_depth=total.read_depth,
        cpu_seconds=total.cpu_ns / 1e9,
        seconds=max(counts.elapsed_ns for counts in several) / 1e9,
        transform_seconds=total.transform_ns / 1e9,
    )


def statistics(made: Any) -> Statistics:
    """Reports what `npyfast.batches` or `npyfast.dataset` has delivered, and the waits for it.

    If `wait_share` is small, data is not the bottleneck; `npyfast.DataWait` measures the training
    itself. A call costs a few microseconds.

    Args:
        made: what `npyfast.batches` or `npyfast.dataset` returned, or a `tf.data.Dataset` built on
            it by `map`, `prefetch` and so on. Several datasets below one (`zip`,
            `sample_from_datasets`) are added up. A dataset made inside a function of another one
            (`flat_map`, `interleave`) cannot be found.

    Returns:
        `Statistics` of all iterations since it was made. The reader whose waits are counted is

        - the training itself, with `batches`, and with `engine="graph"` without a `prefetch`;
        - a thread of TensorFlow that reads ahead, with a `prefetch` and with `engine="generator"`.
          Its waits may end before the training needs the batch, so they are an upper bound: only
          if they fill nearly all the time, the training waits.

        A batch is ready once it has been transformed: with `transform_threads=1`, the reader runs
        the `transform` itself, and waits as long as it takes.

        The NumPy backend makes each batch when it is requested: every batch is waited for, none is
        ready ahead, and disk reads are not known. tf.data service counts a dataset in the processes
        that run it, not in this one.

    Raises:
        TypeError: `made` is none of these.
        ValueError: a dataset with no `npyfast.dataset` below it.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.zeros((100, 28, 28), np.uint8))
        >>> made = npyfast.batches("X.npy", batch_size=32, shuffle=True)
        >>> for epoch in range(2):
        ...     before = npyfast.statistics(made)
        ...     for x in made:
        ...         pass
        ...     spent = npyfast.statistics(made) - before
        ...     print(spent.batches, spent.rows, spent.bytes)
        4 100 78400
        4 100 78400
    """
    if isinstance(getattr(made, "statistics", None), Statistics):
        return made.statistics  # type: ignore[no-any-return]
    found = noted_below(made, COUNTERS, "statistics")
    return of_counters(*(counters.counters() for counters in found))


def noted_below(made: Any, attribute: str, function: str) -> list[Any]:
    """What npyfast.dataset has noted as an attribute of each of its datasets that `made` is built
    on; `function` is that of npyfast which was called with it. Raises TypeError if it is no
    dataset, and ValueError if there is none below."""
    if not callable(getattr(made, "_inputs", None)):
        raise TypeError(
            f"{function} takes what npyfast.batches or npyfast.dataset returned, or a "
            f"tf.data.Dataset that was built on it; got {shown(made)}"
        )
    found = [getattr(one, attribute) for one in _datasets_below(made) if hasattr(one, attribute)]
    if not found:
        raise ValueError(
            f"there is no npyfast.dataset below {shown(made)}: pass what npyfast.dataset returned "
            "(one that is made within a function of another dataset, or that tf.data service "
            "delivers, cannot be found)"
        )
    return found


def _datasets_below(dataset: Any) -> Iterator[Any]:
    """All datasets that a dataset is built on, and itself; each once."""
    seen: dict[int, Any] = {}  # by identity: zip((ds, ds)) has the same one twice
    left = [dataset]
    while left:
        one = left.pop()
        if id(one) not in seen:
            seen[id(one)] = one
            left.extend(reversed(one._inputs()))
            yield one
