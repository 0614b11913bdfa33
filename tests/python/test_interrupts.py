"""Ctrl-C: whoever catches it and reads on gets each batch once, and nothing hangs or is lost."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from deadlines import wait_until
from interrupts import Injector
from samples import Save
from test_transform import collected, no_workers

import npyfast
from npyfast._nest import map_nest

Y = np.arange(53)

by_one_or_more = pytest.mark.parametrize("threads", [1, 2])


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    assert no_workers()
    yield
    wait_until(collected)


def values(batch: Any) -> Any:
    """A batch without arrays, which can't be compared as a whole."""
    return map_nest(lambda array: np.asarray(array).tolist(), batch)


def delivered(stream: Any, batches: int) -> int:
    """How much a stream has delivered, or an iterator of so many batches in an epoch."""
    if isinstance(stream, npyfast.BatchIterator):
        epoch, batch = stream.position
        return epoch * batches + batch
    return int(stream.position)


def read_with_interrupts(make: Callable[[], Any]) -> int:
    """Reads streams, each of which is interrupted once, at another moment; tells how many."""
    wanted = [values(batch) for batch in make()]
    for moment in itertools.count():
        injector = Injector(moment)
        stream = make()
        got: list[Any] = []
        for step in [functools.partial(next, stream, None)] * (len(wanted) + 2) + [stream.close]:
            try:
                result = injector.call(step)
            except KeyboardInterrupt:
                result = injector.call(step)  # will be interrupted no more
            if result is not None:
                got.append(result)
            assert delivered(stream, len(wanted)) == len(got), injector.place
        assert [values(batch) for batch in got] == wanted, injector.place
        assert next(stream, None) is None
        if not injector.is_done:
            return moment
    raise AssertionError("there is a last moment")


class TestAtEachMoment:
    @by_one_or_more
    def test_of_a_transform(self, save: Save, backend: str, threads: int) -> None:
        made = npyfast.batches(
            (save(Y), save(-Y)),
            20,
            epochs=1,
            transform=lambda element: {"y": np.negative(element[0])},
            transform_threads=threads,
        )
        assert read_with_interrupts(lambda: iter(made)) > 10 * threads

    def test_of_a_transform_where_no_thread_starts(
        self, save: Save, backend: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def start(*arguments: Any) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr("_thread.start_new_thread", start)
        made = npyfast.batches(save(Y), 20, epochs=1, transform=np.negative, transform_threads=2)
        assert read_with_interrupts(lambda: iter(made)) > 20

    def test_of_batches(self, save: Save, backend: str) -> None:
        made = npyfast.batches(save(Y), 20, epochs=1)
        # On the native backend only close() has any such moment.
        assert read_with_interrupts(lambda: iter(made)) > (10 if backend == "numpy" else 0)

    def test_of_packing_a_nest(self, save: Save, backend: str) -> None:
        made = npyfast.batches({"x": (save(Y),), "y": save(-Y)}, 20, epochs=1)
        assert read_with_interrupts(lambda: iter(made)) > 10

    def test_of_groups_of_batches(self, save: Save, backend: str) -> None:
        """As the generator engine asks for them."""
        batching = npyfast.batches({"y": (save(Y),)}, 8, epochs=1)._batching
        assert read_with_interrupts(lambda: batching.stream(batching.run, group=4)) > 10
