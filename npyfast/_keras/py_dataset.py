"""The class of what `npyfast.keras_dataset` returns."""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from npyfast._batches.batching import make_batching
from npyfast._batches.description import batches_and_order
from npyfast._batches.options import Options
from npyfast._batches.statistics import Statistics, of_counters
from npyfast._engines.interpreter_exit import UntilExit
from npyfast._errors import shown
from npyfast._keras.calls import asks_for_all_epochs, epoch_end_call
from npyfast._keras.elements import Elements, as_bfloat16, needs_view
from npyfast._keras.installed import import_keras
from npyfast._keras.reader import Reader
from npyfast._keras.requested import Requested
from npyfast._nest import Nest, map_nest
from npyfast._options import integer

NO_PROCESSES = (
    "use_multiprocessing must be False, got {}: npyfast makes batches ahead in threads of its own, "
    "without Python's lock; threads= sets their number, and workers= that of the threads which run "
    "a transform"
)


class EpochDataset:
    """The batches of one epoch after another, by index; the part that needs no Keras.

    The epoch is the current one until Keras, or the caller, ends it by `on_epoch_end`. Keras' own
    queue of workers is never used: it would hand out batches that it has read ahead in one epoch in
    the next.
    """

    _delivery = "as NumPy arrays, to Keras"  # for npyfast.describe

    def __init__(self, source: Nest, options: Options, backend: str) -> None:
        super().__init__()
        self._batching = make_batching(source, options)
        plan = self._batching.plan
        elements = Elements(backend)
        self._convert: Callable[[Nest], Nest] | None = None
        if options.transform is not None:
            self._convert = elements.made
        else:
            elements.check(self._batching.structure)
            if needs_view(self._batching.structure):
                self._convert = functools.partial(map_nest, as_bfloat16)
        # To make it again: with the seed that was drawn.
        self._made_from: tuple[Nest, Options] | None = (source, replace(options, seed=plan.seed))
        self._reader = Reader(self._batching, UntilExit if backend == "tensorflow" else iter)
        self._closed = False
        self._adapter: Callable[[], Any] = lambda: None  # Keras' reader of the dataset
        self._go_to(options.start_epoch, 0)

    def _go_to(self, epoch: int, batch: int) -> None:
        with self._reader.lock:
            self._reader.begin(epoch)
            self._first = batch  # where the current pass begins
            self._begun = False  # whether Keras has begun the pass
            self._left = False  # whether Keras has left the pass, and may come back to it
            self._requested = Requested(batch, len(self))

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return self._batching.plan.batches

    @property
    def num_batches(self) -> int:
        """The number of batches, for Keras: of the current pass once it has begun, otherwise of an
        epoch."""
        if self._begun and not asks_for_all_epochs():
            return len(self) - self._first
        return len(self)

    def __getitem__(self, index: int) -> Any:
        """A batch of the current epoch; negative indexes count from its end.

        Raises IndexError if there is none of this index, and otherwise as an iterator of
        `npyfast.batches`.
        """
        count = len(self)
        try:
            number = operator.index(index)
        except TypeError:
            raise TypeError(f"the index of a batch is an int, got {shown(index)}") from None
        with self._reader.lock:
            first = self._first if self._begun else 0
            if not first - count <= number < count - first:
                raise IndexError(
                    f"batch {number} is out of range: this epoch has {count - first} batches"
                )
            number += first if number >= 0 else count
            self._requested.add(number)
        return self._batch(number)

    def __iter__(self) -> Iterator[Any]:
        """The batches of the current epoch; `on_epoch_end()` goes to the next one."""
        for number in range(self._first, len(self)):
            yield self._batch(number)

    def _batch(self, number: int) -> Any:
        if self._closed:
            raise ValueError("the dataset was closed")
        made = self._reader.batch(number)
        return made if self._convert is None else self._convert(made)

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self._reader.epoch

    def set_epoch(self, epoch: int, batch: int = 0) -> None:
        """Goes to an epoch: the next pass is this one, and the epochs after it follow.

        Args:
            epoch: the number of the epoch.
            batch: where that one pass begins. Keras then warns that the first epoch has run out of
                data.

        Raises:
            ValueError: `epoch` is negative, or `batch` beyond the batches of an epoch.
        """
        epoch = integer("epoch", epoch, 0, 2**62)
        self._go_to(epoch, integer("batch", batch, 0, len(self) + 1))

    def on_epoch_begin(self) -> None:
        """Called by Keras."""
        self._begun = True

    def on_epoch_end(self) -> None:
        """Goes to the next epoch. Called by Keras; and by your own loop, if you write one."""
        call = epoch_end_call()
        if call.adapter is not None:
            self._adapter = weakref.ref(call.adapter)
        if self._batching.plan.seed is not None and (
            getattr(call.adapter, "py_dataset", None) is self
        ):
            # Shuffled already, and read ahead in this order: not to be shuffled once more.
            call.adapter.shuffle = False
        with self._reader.lock:
            if call.reason == "user" or (self._left and call.reason == "start"):
                self._go_to(self.epoch + 1, 0)
            elif call.reason == "start":
                self._begun = False
                self._requested = Requested(self._first, len(self))
            elif self._requested.complete:
                self._go_to(self.epoch + 1, 0)
            else:
                self._left = bool(self._requested)

    def _end_pass(self) -> None:
        """Tells Keras that the pass under way has ended, which `model.stop_training` does not."""
        adapter = self._adapter()
        if getattr(adapter, "_within_epoch", False):
            adapter.on_epoch_end()

    @property
    def workers(self) -> int:
        """Always 1: npyfast's own threads work ahead."""
        return 1

    @workers.setter
    def workers(self, value: int) -> None:
        raise ValueError(
            f"workers cannot be set to {shown(value)} later: pass it to npyfast.keras_dataset"
        )

    @property
    def use_multiprocessing(self) -> bool:
        """Always False."""
        return False

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        if value is not False:
            raise ValueError(NO_PROCESSES.format(shown(value)))

    @property
    def seed(self) -> int | None:
        """The seed of the order, drawn if none was given; None without shuffling."""
        return self._batching.plan.seed

    @property
    def statistics(self) -> Statistics:
        """What was delivered so far; the same as `npyfast.statistics(dataset)`."""
        return of_counters(*self._reader.counts())

    def __repr__(self) -> str:
        return f"<npyfast.keras_dataset: {batches_and_order(self._batching)}; epoch {self.epoch}>"

    def close(self) -> None:
        """Stops reading and making batches ahead, and lets go of files, arrays and the transform.
        Asking for a batch then raises ValueError."""
        self._closed = True
        self._batching = self._reader.close()
        self._made_from = None

    def __reduce__(self) -> Any:
        if self._made_from is None:
            raise ValueError("the dataset was closed")
        return _made_again, (*self._made_from, (self.epoch, self._first))


@functools.cache
def dataset_class() -> Any:
    """The class, which can only be made once Keras is imported."""
    keras = import_keras()
    base: Any = keras.utils.PyDataset
    return type("KerasDataset", (EpochDataset, base), {"__doc__": EpochDataset.__doc__})


def make_dataset(source: Nest, options: Options) -> Any:
    """A keras.utils.PyDataset."""
    made = dataset_class()
    return made(source, options, import_keras().backend.backend())


def _made_again(source: Nest, options: Options, place: tuple[int, int]) -> Any:
    made = make_dataset(source, options)
    made.set_epoch(*place)
    return made
