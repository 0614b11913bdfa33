"""The iterator over batches of the native backend; imported only if that is in use."""

from __future__ import annotations

from npyfast import _core
from npyfast._batches.iterator import BatchIterator
from npyfast._order.plan import Run


class NativeIterator(BatchIterator, _core.Stream):  # type: ignore[misc]  # position differs
    """A stream that reports its place in epochs and batches. It keeps the core's own __next__."""

    def _progress(self) -> tuple[Run, int]:
        delivered: int = _core.Stream.position.fget(self)  # type: ignore[attr-defined]
        return Run(*self.run), delivered

    def _restart(self, run: Run) -> None:
        self.restart(start_epoch=run.start_epoch, start_batch=run.start_batch, epochs=run.epochs)

    def _end(self) -> None:
        _core.Stream.close(self)
