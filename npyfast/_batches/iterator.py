"""The iterators of `npyfast.batches`: where they are, and how they get elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from npyfast._backends.interface import Stream
from npyfast._batches.state import State, Values, make_state, place_of
from npyfast._order.plan import Plan, Run


@dataclass
class Passes:
    """What iterators share with the `Batches` that made them, which it lets them outlive."""

    plan: Plan
    first: Run  # of the first iteration
    endless_epochs: bool  # whether each iteration is the next epoch (epochs=None)
    values: Callable[[], Values]  # npyfast._batches.state.described(), when it is asked for
    iterations: int = 0  # that have begun


class BatchIterator:
    """An iterator over `npyfast.batches`, with a place of its own.

    Several iterators of one `Batches` are independent of each other. One that is referred to by
    nobody any more stops reading at once.

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

    _passes: Passes
    _closed = False

    if TYPE_CHECKING:

        def __iter__(self) -> BatchIterator: ...

        # Not here: a __next__ of Python's would cost as much as a small batch.
        def __next__(self) -> Any: ...

    def _progress(self) -> tuple[Run, int]:
        """The run, and how many batches of it have been delivered."""
        raise NotImplementedError

    def _restart(self, run: Run) -> None:
        """Goes on with another run."""
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError

    @property
    def position(self) -> tuple[int, int]:
        """The epoch, and the batch in it, that comes next. A batch in whose place an error was
        raised has been.

        Given as `start_epoch` and `start_batch` (with the same seed, and an explicit `epochs`) they
        go on exactly there.
        """
        run, delivered = self._progress()
        return run.place(self._passes.plan, delivered)

    def get_state(self) -> State:
        """The place of this iterator, as a small dict that JSON can hold.

        Beside the place (`epoch`, `batch`) it has all that decides which rows are there: seed,
        batch_size and number of workers, shuffle and its block sizes, the rows that take part, the
        rows, types and files of the source, the versions of the orders; and their digest. The seed
        is there even if it was drawn. What is in the files is not.
        """
        passes = self._passes
        run, delivered = self._progress()
        epoch, batch = run.place(passes.plan, delivered)
        if passes.plan.batches and delivered == run.batches(passes.plan):
            # Behind the last batch of an epoch rather than before the first of the next one, which
            # with epochs=None is another iteration's.
            epoch, batch = epoch - 1, passes.plan.batches
        return make_state(passes.values(), epoch, batch)

    def set_state(self, state: State) -> None:
        """Goes on exactly where the iterator was that `state` is of.

        The batches must have the same order: the same seed, batch_size, shuffle, rows, source and
        so on. Their `epochs` may be another number, as long as the place is within them. So may
        the number of workers, if the global batch, which is batch_size times workers, has as many
        rows. Threads, readahead, the backend, the folder of the files and `transform` don't
        matter.

        With `epochs=None` the iterator goes on to the end of the state's epoch, and the next
        iteration of its `Batches` is the epoch after it.

        Raises:
            ValueError: the state is of other batches (the message names what differs), beyond what
                this iteration has, or none at all; or the iterator was closed. The iterator is
                left as it was.
        """
        passes = self._passes
        epoch, batch = place_of(state, passes.values())
        run = self._run_from(epoch, batch)
        if self._closed:
            raise ValueError("the iterator was closed: make another one")
        self._restart(run)
        if passes.endless_epochs:
            passes.iterations = epoch - passes.first.start_epoch + 1

    def _run_from(self, epoch: int, batch: int) -> Run:
        """What comes from a place on."""
        plan, first = self._passes.plan, self._passes.first
        if batch > plan.batches:
            raise ValueError(
                f"the state is damaged: batch {batch} is beyond the {plan.batches} batches of an "
                "epoch"
            )
        if self._passes.endless_epochs:
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

    def close(self) -> None:
        """Ends the iteration, and with it what is read and made ahead."""
        self._closed = True
        self._end()


class StreamIterator(BatchIterator):
    """The batches of a stream, which is replaced by another one elsewhere.

    What an interrupt keeps from being handed over comes again: see _transform.py.
    """

    def __init__(self, passes: Passes, begin: Callable[[Run], Stream], run: Run) -> None:
        self._passes = passes
        self._begin = begin
        # With the batches that were interrupted.
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
                taken.extend(islice(stream, 1))  # a call that leaves nothing behind
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
