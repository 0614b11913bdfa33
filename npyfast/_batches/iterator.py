"""The iterators of `npyfast.batches`, and how their place is saved and restored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from npyfast._backends.interface import Stream
from npyfast._batches.state import State, Values, make_state, place_of
from npyfast._order.plan import Plan, Run


@dataclass
class Iterations:
    """What iterators share with the `Batches` that made them. They may outlive it."""

    plan: Plan
    first: Run  # of the first iteration
    endless_epochs: bool  # whether each iteration is the next epoch (epochs=None)
    values: Callable[[], Values]  # npyfast._batches.state.described(), computed when needed
    begun: int = 0  # how many iterations have begun

    def run_from(self, epoch: int, batch: int) -> Run:
        """The run from a place of a state on; ValueError if an iteration has no such place."""
        plan, first = self.plan, self.first
        if batch > plan.batches:
            raise ValueError(
                f"the state is damaged: batch {batch} is beyond the {plan.batches} batches of an "
                "epoch"
            )
        if self.endless_epochs:
            if epoch < first.start_epoch:
                raise ValueError(
                    f"the state is in epoch {epoch}, and these batches begin with epoch "
                    f"{first.start_epoch}: pass start_epoch={epoch}"
                )
            return Run(epoch, batch)
        place = (epoch + 1, 0) if batch == plan.batches > 0 else (epoch, batch)
        begin = (first.start_epoch, first.start_batch)
        end = (first.start_epoch + first.epochs, 0)
        if place < begin or (first.epochs >= 0 and place > end):
            last = "" if first.epochs < 0 else f" and end before epoch {end[0]}"
            raise ValueError(
                f"the state is before batch {place[1]} of epoch {place[0]}, and these batches "
                f"begin with batch {begin[1]} of epoch {begin[0]}{last}: pass other start_epoch, "
                "start_batch or epochs"
            )
        left = first.epochs if first.epochs < 0 else end[0] - place[0]
        return Run(*place, left)


class BatchIterator:
    """An iterator over `npyfast.batches`, with a place of its own.

    Several iterators of one `Batches` are independent of each other. An iterator stops reading as
    soon as its last reference is gone.

    Example:
        >>> import json, numpy as np, npyfast
        >>> np.save("X.npy", np.arange(10))
        >>> iterator = iter(npyfast.batches("X.npy", 4, shuffle=True, seed=1, epochs=2))
        >>> first = next(iterator)
        >>> iterator.position
        (0, 1)
        >>> saved = json.dumps(iterator.get_state())  # with the weights, in a checkpoint
        >>> again = iter(npyfast.batches("X.npy", 4, shuffle=True, seed=1, epochs=2))
        >>> again.set_state(json.loads(saved))
        >>> all((next(again) == batch).all() for batch in iterator)
        True
    """

    _iterations: Iterations
    _closed = False

    if TYPE_CHECKING:

        def __iter__(self) -> BatchIterator: ...

        # Not defined here: a __next__ in Python would cost as much as a small batch.
        def __next__(self) -> Any: ...

    def _progress(self) -> tuple[Run, int]:
        """The run, and how many batches of it have been delivered."""
        raise NotImplementedError

    def _restart(self, run: Run) -> None:
        """Continues with another run."""
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError

    @property
    def position(self) -> tuple[int, int]:
        """The epoch and the batch that come next. A batch for which an error was raised counts as
        delivered.

        As `start_epoch` and `start_batch` (with the same seed, and an explicit `epochs`) they
        continue exactly there.
        """
        run, delivered = self._progress()
        return run.place(self._iterations.plan, delivered)

    def get_state(self) -> State:
        """The place of this iterator, as a small dict that JSON can hold.

        Besides the place (`epoch`, `batch`) it holds everything that determines which rows come
        there: the seed, even if it was drawn; batch_size and number of workers; shuffle and its
        block sizes; the selected rows; the rows, types and files of the source; the versions of the
        orders; and a digest of all this. It does not depend on the contents of the files.
        """
        iterations = self._iterations
        run, delivered = self._progress()
        epoch, batch = run.place(iterations.plan, delivered)
        if iterations.plan.batches and delivered == run.batches(iterations.plan):
            # After the last batch of an epoch, rather than before the first of the next one, which
            # with epochs=None belongs to another iteration.
            epoch, batch = epoch - 1, iterations.plan.batches
        return make_state(iterations.values(), epoch, batch)

    def set_state(self, state: State) -> None:
        """Continues exactly where the iterator was whose state this is.

        The batches must have the same order: the same seed, batch_size, shuffle, rows, source and
        so on. `epochs` may differ, as long as it includes the place. The number of workers may
        differ if the global batch (batch_size times workers) has the same size. Threads,
        readahead, the backend, the folder of the files and `transform` do not matter.

        With `epochs=None` the iterator continues to the end of the state's epoch, and the next
        iteration of its `Batches` is the epoch after it.

        Raises:
            ValueError: the state belongs to other batches (the message names what differs), is
                outside this iteration, or is not a state; or the iterator was closed. The iterator
                is unchanged.
        """
        iterations = self._iterations
        epoch, batch = place_of(state, iterations.values())
        run = iterations.run_from(epoch, batch)
        if self._closed:
            raise ValueError("the iterator was closed: make another one")
        self._restart(run)
        if iterations.endless_epochs:
            iterations.begun = epoch - iterations.first.start_epoch + 1

    def close(self) -> None:
        """Ends the iteration, and stops reading and making batches ahead."""
        self._closed = True
        self._end()


class StreamIterator(BatchIterator):
    """An iterator over a stream. Setting its state replaces the stream.

    A batch that was not handed over because of an interrupt comes again: see transform.py.
    """

    def __init__(self, iterations: Iterations, begin: Callable[[Run], Stream], run: Run) -> None:
        self._iterations = iterations
        self._begin = begin
        # The run, its stream, and the batches that an interrupt kept from being handed over.
        self._current: tuple[Run, Stream, list[Any]] = (run, begin(run), [])

    def __iter__(self) -> StreamIterator:
        return self

    def __next__(self) -> Any:
        _, stream, interrupted = self._current
        taken: list[Any] = []
        try:
            if interrupted:
                taken += interrupted[:1]
                del interrupted[:1]
            else:
                taken.extend(islice(stream, 1))  # one call: an interrupt loses nothing
            if taken:
                return taken[0]
        except Exception:
            raise
        except BaseException:
            interrupted += taken
            raise
        raise StopIteration

    def _progress(self) -> tuple[Run, int]:
        run, stream, interrupted = self._current
        return run, stream.position - len(interrupted)

    def _restart(self, run: Run) -> None:
        self._end()
        self._current = (run, self._begin(run), [])

    def _end(self) -> None:
        _, stream, interrupted = self._current
        stream.close()
        interrupted.clear()
