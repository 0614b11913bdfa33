"""`npyfast.batches`: NumPy arrays, without TensorFlow."""

from __future__ import annotations

import weakref

from npyfast._batches.batching import Batching, make_batching
from npyfast._batches.description import batches_and_order
from npyfast._batches.iterator import BatchIterator, Iterations
from npyfast._batches.options import Options
from npyfast._batches.statistics import Statistics, of_counters
from npyfast._batches.transform import Transform
from npyfast._nest import Nest, map_nest
from npyfast._options import Readahead
from npyfast._order.plan import Shard
from npyfast._order.selection import RowChoice
from npyfast._order.shuffle import Shuffle
from npyfast._unknown_options import BATCHES, explaining

_OF_DATASET = dict.fromkeys(("prefetch", "engine"), "it is an option of npyfast.dataset only")


class Batches:
    """An iterable of batches; made by `npyfast.batches`.

    Its k-th iteration is epoch `start_epoch + k`; with an explicit `epochs`, all iterations are the
    same. `len()` is the number of batches of one iteration. Its iterators are `BatchIterator`s,
    whose place can be saved and restored.
    """

    def __init__(self, batching: Batching) -> None:
        self._batching = batching
        self._iterations = Iterations(
            batching.plan, batching.run, batching.endless_epochs, lambda: batching.values
        )
        # Weak references: an iterator that the caller drops must not stay alive, with its threads.
        self._iterators: weakref.WeakSet[BatchIterator] = weakref.WeakSet()
        self._closed = False

    def __iter__(self) -> BatchIterator:
        if self._closed:
            raise ValueError("the batches were closed")
        run = self._batching.run_of(self._iterations.begun)
        iterator = self._batching.iterator(self._iterations, run)
        self._iterators.add(iterator)
        self._iterations.begun += 1  # last: an interrupted one has not begun
        return iterator

    def close(self) -> None:
        """Ends all iterators, and stops reading and making batches ahead. Iterating again raises
        ValueError."""
        self._closed = True
        for iterator in list(self._iterators):
            iterator.close()

    def __len__(self) -> int:
        """The number of batches of one iteration. Raises TypeError if it is endless."""
        count = self._batching.run.batches(self._batching.plan)
        if count < 0:
            raise TypeError("batches with epochs=-1 are endless: they have no len()")
        return count

    @property
    def statistics(self) -> Statistics:
        """What all iterations together have delivered so far, and how long they waited; the same
        as `npyfast.statistics(batches)`."""
        return of_counters(self._batching.counters.counters())

    @property
    def seed(self) -> int | None:
        """The seed of the order, drawn if none was given; None without shuffling."""
        return self._batching.plan.seed

    def __repr__(self) -> str:
        elements = map_nest(
            lambda column: f"{column.dtype}{list(column.shape)}", self._batching.structure
        )
        return f"<npyfast.Batches: {batches_and_order(self._batching)}; each row {elements}>"


@explaining(BATCHES | _OF_DATASET)
def batches(
    source: Nest,
    batch_size: int = 32,
    shuffle: Shuffle = False,
    *,
    seed: int | None = None,
    epochs: int | None = None,
    drop_remainder: bool = False,
    shard: Shard = None,
    rows: RowChoice = None,
    transform: Transform | None = None,
    transform_threads: int = 1,
    start_epoch: int = 0,
    start_batch: int = 0,
    threads: int | None = None,
    readahead: Readahead = "auto",
) -> Batches:
    """Batches of rows as NumPy arrays: `npyfast.dataset` without TensorFlow.

    The options and exceptions are those of `npyfast.dataset`, which documents them, and so are the
    batches and their order. Only `transform` differs: its result is yielded without a copy, so it
    must be new each time, and its exception is raised in the place of the element.

    Returns:
        `Batches`: iterable, with `len()`, `close()` and `statistics`; its iterators have
        `position`, `get_state()` and `set_state()`. Each element has the nest of `source`, each
        array the shape `(batch, *row_shape)`, in native byte order. A structured dtype gives a dict
        of its fields. The arrays are the caller's to keep and to write.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.arange(10)); np.save("y.npy", np.arange(10) % 2)
        >>> for x, y in npyfast.batches(("X.npy", "y.npy"), batch_size=4):
        ...     print(x, y)
        [0 1 2 3] [0 1 0 1]
        [4 5 6 7] [0 1 0 1]
        [8 9] [0 1]
    """
    return Batches(
        make_batching(
            source,
            Options(
                batch_size=batch_size,
                shuffle=shuffle,
                seed=seed,
                epochs=epochs,
                drop_remainder=drop_remainder,
                shard=shard,
                rows=rows,
                transform=transform,
                transform_threads=transform_threads,
                start_epoch=start_epoch,
                start_batch=start_batch,
                threads=threads,
                readahead=readahead,
            ),
        )
    )
