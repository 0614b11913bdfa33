"""`npyfast.DataWait`: the share of a training that waits for data."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from npyfast._data_wait.keras_fit import NotMeasurable, measure_fit
from npyfast._data_wait.meter import Meter
from npyfast._data_wait.timed import LoopTimer
from npyfast._warnings import warn

# The share and the seconds of an epoch from which on the waits are worth a word.
_HIGH = 0.2
_LONG = 1.0


class DataWait:
    """Measures the share of each epoch, and step, that training waits for data.

    A callback for `keras.Model.fit` with any backend, and a context manager for loops of your own.
    It measures any dataset, not only those of npyfast, where the training takes its batches. A
    batch that was prefetched in time is not waited for. It costs some microseconds a step.

    As a callback, put it first in the list, so that the other callbacks see its log: `data_wait`,
    the share of the epoch so far, 0 to 1, in the progress bar, `history`, `CSVLogger` and
    `TensorBoard`. Validation is not included. The waits are left out, and a RuntimeWarning says so,
    where they cannot be measured: with `steps_per_execution` above 1, with strategies that train in
    other processes, and with a `train_function` that Keras did not make.

    In a loop, iterate over `wait(dataset)`: each such loop is an epoch, and the time in which the
    loop waits for its next batch is measured. If the loop runs ahead of an accelerator, this is an
    upper bound.

    If the second epoch, or an only one, waits 20 % or more (and a second or more), a RuntimeWarning
    says what to do.

    Attributes:
        share: of the current or last epoch, 0 to 1; None before its first step is done.
        step_share: of the last step that is done; None before.
        wait_seconds: time of the current or last epoch that was waited.
        seconds: length of this epoch, as far as its steps are done.
        steps: number of its steps that are done.
        epochs: the shares of all epochs that have ended, since the last `fit` began.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.zeros((1000, 8), np.float32))
        >>> ds = npyfast.batches("X.npy", batch_size=32, shuffle=True)
        >>> with npyfast.DataWait() as wait:
        ...     for epoch in range(2):
        ...         for x in wait(ds):
        ...             _ = np.linalg.svd(x.T @ x)  # train
        >>> [0 <= share < 1 for share in wait.epochs], wait.steps
        ([True, True], 32)

        With Keras: `model.fit(ds, epochs=10, callbacks=[npyfast.DataWait()])`.
    """

    # For Keras: `on_train_batch_end` may be called by threads, which do not delay the training.
    async_safe = True

    def __init__(self) -> None:
        self._meters: list[Meter] = []  # one for each epoch
        self._loop: weakref.ref[LoopTimer] | None = None
        self._measures_fit = False
        self._advised = False
        self._model: Any = None

    @property
    def epochs(self) -> list[float]:
        ended = [meter.share for meter in self._meters if meter.ended is not None]
        return [share for share in ended if share is not None]

    @property
    def share(self) -> float | None:
        return self._meters[-1].share if self._meters else None

    @property
    def step_share(self) -> float | None:
        return self._meters[-1].step_share if self._meters else None

    @property
    def wait_seconds(self) -> float:
        return self._meters[-1].wait_seconds if self._meters else 0.0

    @property
    def seconds(self) -> float:
        return self._meters[-1].seconds if self._meters else 0.0

    @property
    def steps(self) -> int:
        return self._meters[-1].steps if self._meters else 0

    def __repr__(self) -> str:
        if self.share is None:
            return "<npyfast.DataWait: nothing measured>"
        return (
            f"<npyfast.DataWait: waited {100 * self.share:.0f} % of {self.seconds:,.2f} s, "
            f"{self.wait_seconds:,.2f} s in {self.steps:,} steps of epoch {len(self._meters) - 1}>"
        )

    # In a loop of one's own.

    def __enter__(self) -> DataWait:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close_loop()
        if kind is None:
            self._advise(last=True)

    def __call__(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The same batches, measured: one epoch. It has `len()` if `batches` has."""
        self._close_loop()
        self._advise()
        meter = Meter()
        loop = LoopTimer(batches, meter)
        self._meters.append(meter)
        self._loop = weakref.ref(loop)
        return loop

    def _close_loop(self) -> None:
        loop = self._loop() if self._loop is not None else None
        if loop is not None:
            loop.close()

    # As a callback of Keras.

    def set_params(self, params: Any) -> None:
        """Called by Keras."""

    def set_model(self, model: Any) -> None:
        """Called by Keras."""
        self._model = model

    def on_train_begin(self, logs: Any = None) -> None:
        """Called by Keras."""
        self._close_loop()
        self._meters = []
        self._advised = self._measures_fit = False
        # The iterators of `fit` must not keep this object, which has the model.
        this = weakref.ref(self)

        def meter() -> Meter | None:
            wait = this()
            return wait._meters[-1] if wait is not None and wait._meters else None

        try:
            measure_fit(self._model, meter)
            self._measures_fit = True
        except NotMeasurable as error:
            warn(
                f"DataWait leaves data_wait out, because it cannot measure this training: {error}",
                RuntimeWarning,
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        if self._measures_fit:
            self._meters.append(Meter())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Called by Keras."""
        if self._measures_fit:
            self._meters[-1].done(batch)
            self._log(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Called by Keras."""
        if self._measures_fit:
            self._meters[-1].stop()
            self._log(logs)
            self._advise()

    def on_train_end(self, logs: Any = None) -> None:
        """Called by Keras."""
        self._advise(last=True)
        self._model = None

    def _log(self, logs: Any) -> None:
        if logs is not None and self.share is not None:
            logs["data_wait"] = self.share

    def _nothing(self, *args: Any, **options: Any) -> None:
        """Called by Keras."""

    on_train_batch_begin = on_batch_begin = on_batch_end = _nothing
    on_test_begin = on_test_end = on_test_batch_begin = on_test_batch_end = _nothing
    on_predict_begin = on_predict_end = _nothing
    on_predict_batch_begin = on_predict_batch_end = _nothing

    def _advise(self, last: bool = False) -> None:
        """Says what to do if the second epoch has waited long, or the `last` if it is the first."""
        epochs = self.epochs
        if self._advised or not (len(epochs) == 2 or (last and len(epochs) == 1)):
            return
        self._advised = True
        if epochs[-1] >= _HIGH and self.wait_seconds >= _LONG:
            warn(
                f"training waited for data {100 * epochs[-1]:.0f} % of the epoch: `npyfast bench` "
                "on the files says what they can deliver; if that is enough, what comes after them "
                "is slow (transform: transform_threads; map: num_parallel_calls, prefetch)",
                RuntimeWarning,
            )
