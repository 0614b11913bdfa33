"""`npyfast.DataWait` in loops of one's own; tests/keras has its tests as a callback."""

from __future__ import annotations

import gc
import itertools
import time
import weakref
from collections.abc import Iterator

import numpy as np
import processes
import pytest
from samples import Save

import npyfast
from npyfast._data_wait import meter as meter_module
from npyfast._data_wait.meter import Meter


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(meter_module, "clock", lambda: self.now)
        monkeypatch.setattr("npyfast._data_wait.timed.clock", lambda: self.now)

    def __call__(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def each(count: int, passes: Clock, seconds: float) -> Iterator[int]:
    for number in range(count):
        passes(seconds)
        yield number


class TestLoop:
    def test_the_share_is_that_of_the_fetches(self, passes: Clock) -> None:
        wait = npyfast.DataWait()
        assert (wait.share, wait.step_share, wait.wait_seconds) == (None, None, 0)
        assert (wait.seconds, wait.steps, wait.epochs) == (0, 0, [])
        for done, _ in enumerate(wait(each(4, passes, 1.0))):
            passes(3.0)
            assert wait.steps == done
        assert wait.epochs == [wait.share] == [0.25]
        assert (wait.step_share, wait.wait_seconds, wait.seconds, wait.steps) == (0.25, 4, 16, 4)
        assert "waited 25 % of 16.00 s, 4.00 s in 4 steps of epoch 0" in repr(wait)

    def test_the_end_of_the_data_is_waited_for_too(self, passes: Clock) -> None:
        def slow_end() -> Iterator[int]:
            yield 0
            passes(5.0)

        wait = npyfast.DataWait()
        for _ in wait(slow_end()):
            passes(5.0)
        assert (wait.share, wait.steps) == (0.5, 1)

    def test_each_loop_is_an_epoch(self, passes: Clock) -> None:
        wait = npyfast.DataWait()

        def train() -> None:
            with wait:
                for seconds in (3.0, 1.0, 0.0):
                    for _ in wait(each(2, passes, seconds)):
                        passes(1.0)
                    passes(100.0)  # of validation

        with pytest.warns(RuntimeWarning, match=r"waited for data 50 % of the epoch: `npyfast b"):
            train()
        assert wait.epochs == [0.75, 0.5, 0.0]

    def test_one_epoch_is_enough_for_advice(self, passes: Clock) -> None:
        def train(seconds: float) -> None:
            with npyfast.DataWait() as wait:
                for _ in wait(each(2, passes, seconds)):
                    passes(1.0)

        with pytest.warns(RuntimeWarning, match="50 %"):
            train(1.0)
        train(0.1)

    def test_no_advice_where_the_training_fails(self, passes: Clock) -> None:
        def train() -> None:
            with npyfast.DataWait() as wait:
                for _ in wait(each(2, passes, 1.0)):
                    raise KeyError

        with pytest.raises(KeyError):
            train()

    def test_a_loop_that_is_left_ends_there(self, passes: Clock) -> None:
        wait = npyfast.DataWait()
        for number in wait(each(9, passes, 1.0)):
            passes(1.0)
            if number == 1:
                break
        gc.collect()
        passes(50.0)
        assert (wait.epochs, wait.steps, wait.seconds) == ([0.5], 2, 4)

    def test_a_loop_that_is_kept_ends_with_the_next_one(self, passes: Clock) -> None:
        wait = npyfast.DataWait()
        kept = wait(each(9, passes, 1.0))
        next(kept)
        for _ in wait(each(1, passes, 0.0)):
            passes(1.0)
        assert (wait.epochs, wait.steps) == ([1.0, 0.0], 1)
        assert next(kept) == 1  # goes on, and is not measured

    def test_without_batches_there_is_no_share(self) -> None:
        with npyfast.DataWait() as wait:
            assert list(wait([])) == []
        assert wait.steps == 0
        assert npyfast.DataWait().share is None
        assert repr(npyfast.DataWait()) == "<npyfast.DataWait: nothing measured>"

    def test_what_is_no_iterable_is_refused(self) -> None:
        wait = npyfast.DataWait()
        for wrong in (3, None):
            with pytest.raises(TypeError, match="not iterable"):
                wait(wrong)  # type: ignore[arg-type]
        assert wait.epochs == []

    def test_errors_pass_and_the_iterator_goes_on(self) -> None:
        class Fails:
            def __init__(self) -> None:
                self.count = 0

            def __iter__(self) -> Fails:
                return self

            def __next__(self) -> int:
                self.count += 1
                if self.count == 2:
                    raise ValueError
                return self.count

        wait = npyfast.DataWait()
        batches = wait(Fails())
        assert next(batches) == 1
        with pytest.raises(ValueError):
            next(batches)
        assert next(batches) == 3

    def test_the_length_is_that_of_the_batches(self) -> None:
        wait = npyfast.DataWait()
        assert len(wait([1, 2, 3])) == 3  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            len(wait(iter([1])))  # type: ignore[arg-type]

    def test_no_batch_is_kept(self) -> None:
        batches = (np.zeros(3) for _ in range(3))
        wait = npyfast.DataWait()
        loop = wait(batches)
        kept = weakref.ref(next(loop))
        gc.collect()
        assert kept() is None

    def test_batches_of_npyfast(self, save: Save, backend: str) -> None:
        made = npyfast.batches(save(np.arange(100)), 10, True, seed=0)
        again = npyfast.batches(save(np.arange(100)), 10, True, seed=0)
        wait = npyfast.DataWait()
        for _ in range(2):
            for x, y in itertools.zip_longest(wait(made), again):
                assert (x == y).all()
        assert len(wait.epochs) == 2
        assert wait.steps == 10

    def test_what_sleeps_is_waited_for(self) -> None:
        def slow() -> Iterator[int]:
            for number in range(5):
                time.sleep(0.01)
                yield number

        wait = npyfast.DataWait()
        assert len(list(wait(slow()))) == 5
        assert 0.05 <= wait.wait_seconds <= wait.seconds


class TestMeter:
    def test_a_step_that_is_still_computing_hides_the_fetch(self, passes: Clock) -> None:
        made = Meter()
        # Fetched and started at once; steps of 4 s are computed in the background.
        for begin in (100, 101, 102):
            made.fetched(begin, begin + 1)
        for step, end in enumerate((105, 109, 113)):
            passes.now = end
            made.done(step)
        made.stop()
        assert (made.wait_seconds, made.seconds, made.steps) == (1, 13, 3)

    def test_of_a_longer_fetch_the_rest_is_waited(self, passes: Clock) -> None:
        made = Meter()
        for step, begin in enumerate((100, 104, 108)):
            made.fetched(begin, begin + 4)
            passes.now = begin + 5
            made.done(step)
        assert made.wait_seconds == 4 + 3 + 3
        assert made.step_share == 0.75

    def test_threads_may_report_steps_in_any_order(self, passes: Clock) -> None:
        made = Meter()
        for begin in (100, 110, 120):
            made.fetched(begin, begin + 1)
        for step, end in ((1, 115), (2, 125), (0, 105)):
            passes.now = end
            made.done(step)
        assert made.steps == 3
        assert (made.wait_seconds, made.seconds) == (3, 25)


def test_neither_keras_nor_tensorflow_is_imported(save: Save, backend: str) -> None:
    found = processes.run("data_wait_alone.py", save(np.arange(9)), backend=backend)
    assert found == "[]"
