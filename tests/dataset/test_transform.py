"""The option `transform` of `npyfast.dataset`: order, errors and the life of its threads."""

from __future__ import annotations

import itertools
import threading
import traceback
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from deadlines import SECONDS, wait_until
from expected import epoch_batches
from samples import Save
from tensors import assert_same_dataset, engine_of, rows_of
from transform_threads import collected, no_workers, workers

import npyfast

pytestmark = pytest.mark.usefixtures("no_thread_is_left", "backend")

X = np.arange(103 * 6, dtype="f4").reshape(103, 2, 3)
Y = np.arange(103)

by_one_or_more = pytest.mark.parametrize("threads", [1, 3])


class Odd(Exception):
    """What only this file raises."""


@by_one_or_more
class TestOrder:
    def test_takes_the_epochs(self, save: Save, threads: int) -> None:
        made = npyfast.dataset(
            save(Y), 10, True, seed=1, transform=lambda y: y * 2, transform_threads=threads
        )
        assert engine_of(made) == "generator"
        assert made.cardinality() == 11
        for k in range(3):
            rows = epoch_batches(103, batch_size=10, seed=1, epoch=k)
            assert rows_of(made) == rows_of(r * 2 for r in rows)

    def test_any_nest(self, save: Save, threads: int) -> None:
        def transform(element: Any) -> Any:
            x, y = element
            return {"mean": x.mean(axis=(1, 2)), "parts": (y % 2 == 0, x[:, 0])}

        made = npyfast.dataset(
            (save(X), save(Y)), 10, transform=transform, transform_threads=threads
        )
        whole = {"mean": X.mean(axis=(1, 2)), "parts": (Y % 2 == 0, X[:, 0])}
        assert_same_dataset(made, whole, epoch_batches(103, batch_size=10))

    @pytest.mark.parametrize("epochs", [None, 2, -1])
    def test_of_nothing(self, save: Save, threads: int, epochs: int | None) -> None:
        made = npyfast.dataset(
            save(Y), rows=[], epochs=epochs, transform=np.negative, transform_threads=threads
        )
        assert made.cardinality() == 0
        assert list(made) == []

    def test_endless(self, save: Save, threads: int) -> None:
        made = npyfast.dataset(
            save(Y), 50, epochs=-1, transform=np.negative, transform_threads=threads
        )
        assert made.cardinality() == tf.data.INFINITE_CARDINALITY
        got = [batch.numpy().tolist() for batch in made.take(7)]
        assert got == [(-Y[i : i + 50]).tolist() for i in (0, 50, 100, 0, 50, 100, 0)]

    def test_statistics(self, save: Save, threads: int) -> None:
        made = npyfast.dataset(
            save(Y), 10, transform=np.negative, transform_threads=threads, prefetch=0
        )
        assert npyfast.statistics(made) == npyfast.Statistics()  # the first batch is not counted
        for _ in made.take(4):
            pass
        assert npyfast.statistics(made).batches == 4
        assert npyfast.statistics(made).bytes == 4 * 10 * 8


def test_whichever_is_ready_first(save: Save) -> None:
    # Of three batches, the last is ready first.
    done = [threading.Event() for _ in range(33)]

    def transform(y: Any) -> Any:
        batch = int(y[0]) // 10
        if creating.is_set() and batch % 3 < 2:
            assert done[batch + 1].wait(SECONDS)
        done[batch].set()
        return y

    creating = threading.Event()
    made = npyfast.dataset(save(np.arange(330)), 10, transform=transform, transform_threads=3)
    done[0].clear()
    creating.set()
    assert rows_of(made) == [list(range(i, i + 10)) for i in range(0, 330, 10)]


@by_one_or_more
class TestErrors:
    def test_have_the_users_line(self, save: Save, threads: int) -> None:
        def deep(y: Any) -> Any:
            raise Odd("the reason")  # the line

        def transform(y: Any) -> Any:
            return deep(y) if y[0] == 50 else y

        made = npyfast.dataset(
            save(Y), 10, transform=transform, transform_threads=threads, prefetch=0
        )
        seen: list[int] = []
        with pytest.raises(tf.errors.OpError) as caught:
            seen.extend(int(batch[0]) for batch in made)
        assert seen == [0, 10, 20, 30, 40]
        text = str(caught.value)
        assert "Odd: the reason" in text
        assert f'File "{__file__}"' in text
        assert "in transform" in text
        assert "in deep" in text
        assert 'raise Odd("the reason")  # the line' in text

    def test_for_the_first_batch_are_the_users_own(self, save: Save, threads: int) -> None:
        raised = []

        def transform(y: Any) -> Any:
            error = Odd("the reason")
            raised.append(error)
            raise error  # the first line

        everything: list[Any] = [None, []]
        for rows in everything:
            with pytest.raises(Odd) as caught:
                npyfast.dataset(save(Y), rows=rows, transform=transform, transform_threads=threads)
            assert caught.value is raised[-1]
            last = traceback.extract_tb(caught.tb)[-1]
            assert (last.filename, last.line) == (__file__, "raise error  # the first line")
        assert len(raised) == 2

    def test_stop_iteration_loses_nothing_silently(self, save: Save, threads: int) -> None:
        calls = itertools.count()

        def transform(y: Any) -> Any:
            if next(calls) == 3:
                raise StopIteration
            return y

        made = npyfast.dataset(save(Y), 10, transform=transform, transform_threads=threads)
        with pytest.raises(tf.errors.OpError, match="the transform raised StopIteration"):
            list(made)

    @pytest.mark.parametrize("rows", [None, []])
    def test_stop_iteration_for_the_first_batch(self, save: Save, threads: int, rows: Any) -> None:
        def transform(y: Any) -> Any:
            raise StopIteration

        with pytest.raises(RuntimeError, match="the transform raised StopIteration"):
            npyfast.dataset(save(Y), rows=rows, transform=transform, transform_threads=threads)

    def test_another_dtype_later(self, save: Save, threads: int) -> None:
        made = npyfast.dataset(
            save(Y),
            10,
            transform=lambda y: y if y[0] < 50 else y / 2,
            transform_threads=threads,
        )
        with pytest.raises(
            tf.errors.OpError, match=r"the transform returned float64 .* int64 for the first"
        ):
            list(made)

    @pytest.mark.parametrize(
        ("returned", "text"),
        [
            (None, r"Python objects \(of type NoneType\): return an array, or a tuple or dict of"),
            (np.array(["a", {}], object), r"Python objects \(of type dict\)"),
            ([np.zeros((2, 3)), np.zeros(2)], "a list that is no array: return an array, or a tup"),
            ((), r"the transform returned no array, but \(\)"),
            (np.ma.MaskedArray([1, 2], [0, 1]), r"masked items: return array\.filled\(\.\.\.\)"),
            (np.zeros(3, "g"), "the transform returned float128: TensorFlow has no type for it"),
            (
                np.zeros(3, [("a", "f4")]),
                "TensorFlow has no type for it: return a dict of its fields",
            ),
        ],
        ids=["nothing", "objects", "a list", "no leaves", "masked", "longdouble", "a structure"],
    )
    def test_what_no_tensor_holds(self, save: Save, threads: int, returned: Any, text: str) -> None:
        options: dict[str, Any] = {"transform_threads": threads}
        with pytest.raises(TypeError, match=text):
            npyfast.dataset(save(Y), 10, transform=lambda y: returned, **options)
        if returned is not None:
            return
        made = npyfast.dataset(
            save(Y), 10, transform=lambda y: y if y[0] < 50 else returned, **options
        )
        with pytest.raises(tf.errors.OpError, match=text):
            list(made)

    @pytest.mark.parametrize("rows", [100, 103])
    @pytest.mark.parametrize("drop_remainder", [False, True])
    def test_another_number_of_rows(
        self, save: Save, threads: int, rows: int, drop_remainder: bool
    ) -> None:
        """Whether batches are of one size or not is for the source to know."""
        options = {"drop_remainder": drop_remainder, "transform_threads": threads}
        path = save(np.arange(rows))
        made = npyfast.dataset(path, 10, transform=lambda y: np.append(y, -y), **options)
        assert made.element_spec.shape.as_list() == [None]
        same = npyfast.batches(path, 10, drop_remainder=drop_remainder)
        assert rows_of(made) == [np.append(y, -y).tolist() for y in same]

    def test_another_shape_later(self, save: Save, threads: int) -> None:
        for shorter in (lambda y: y if y[0] < 50 else y[:3], lambda y: np.zeros((10, 1 + y[0]))):
            made = npyfast.dataset(save(Y[:100]), 10, transform=shorter, transform_threads=threads)
            with pytest.raises(
                tf.errors.OpError, match=r"the transform returned an array of shape .* first batch"
            ):
                list(made)

    def test_no_batches_of_rows_that_there_are(self, save: Save, threads: int) -> None:
        """Few functions bear a batch of no rows."""
        path = save(Y)
        for options in ({"rows": []}, {"drop_remainder": True, "batch_size": len(Y) + 1}):
            made = npyfast.dataset(
                path,
                **{"batch_size": 10, **options},
                transform=lambda y: y / y.max(),
                transform_threads=threads,
            )
            assert made.element_spec.dtype == tf.float64
            assert list(made) == []

    def test_text_as_objects(self, save: Save, threads: int) -> None:
        def names(y: Any) -> Any:
            return np.array([f"row {i}" if i % 2 else b"row" for i in y], object)

        made = npyfast.dataset(save(Y), 10, transform=names, transform_threads=threads)
        assert made.element_spec.dtype == tf.string
        assert next(iter(made)).numpy()[:2].tolist() == [b"row", b"row 1"]


class TestThreads:
    def dataset(self, path: str, **options: Any) -> Any:
        given = {"epochs": -1, "transform": np.negative, "transform_threads": 3, **options}
        return npyfast.dataset(path, 10, **given)

    def test_begin_with_an_iterator(self, save: Save) -> None:
        made = self.dataset(save(Y))
        assert no_workers()
        iterator = iter(made)
        next(iterator)
        assert 1 <= len(workers()) <= 3

    def test_end_with_the_iterator(self, save: Save) -> None:
        made = self.dataset(save(Y))
        for _ in made:
            break
        wait_until(collected)
        for _ in made.take(3):
            pass
        wait_until(collected)

    def test_end_with_the_last_batch(self, save: Save) -> None:
        made = self.dataset(save(Y), epochs=1)
        iterator = iter(made)
        assert len(list(iterator)) == 11
        assert no_workers()

    def test_end_after_an_error(self, save: Save) -> None:
        def transform(y: Any) -> Any:
            if y[0] == 50:
                raise Odd
            return y

        made = self.dataset(save(Y), transform=transform)
        with pytest.raises(tf.errors.OpError, match="Odd"):
            list(made)
        wait_until(collected)

    def test_two_iterators_at_once(self, save: Save) -> None:
        made = self.dataset(save(Y), shuffle=True, seed=1)
        pairs = zip(made.take(30), made.take(30), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)


def test_threads_without_a_transform(save: Save) -> None:
    with pytest.raises(ValueError, match="transform_threads=2 needs a transform"):
        npyfast.dataset(save(Y), transform_threads=2)
