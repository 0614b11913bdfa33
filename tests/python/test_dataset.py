"""`npyfast.dataset`: the batches of `npyfast.batches` as a tf.data.Dataset."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import expected
import numpy as np
import pytest
import tensorflow as tf
from expected import epoch_batches
from samples import Save, dtypes, in_order, random_array
from tensors import assert_same, assert_same_dataset, has_tensor_type, rows_of

import npyfast

pytestmark = pytest.mark.usefixtures("backend")

X = np.arange(103 * 6, dtype="f4").reshape(103, 2, 3)
Y = np.arange(103)


def spec(shape: Any, dtype: Any) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype)


def test_replaces_from_tensor_slices(save: Save) -> None:
    made = npyfast.dataset((save(X), save(Y)), batch_size=10)
    usual = tf.data.Dataset.from_tensor_slices((X, Y)).batch(10)
    assert isinstance(made, tf.data.Dataset)
    assert made.element_spec == usual.element_spec
    assert made.cardinality() == usual.cardinality()
    for a, b in zip(made, usual, strict=True):
        assert_same(a, tuple(t.numpy() for t in b))


@pytest.mark.parametrize("batch_size", [1, 10, 50, 103, 104])
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_batches(save: Save, batch_size: int, shuffle: bool) -> None:
    made = npyfast.dataset((save(X), save(Y)), batch_size, shuffle, seed=3)
    for epoch in range(3):
        rows = epoch_batches(103, batch_size=batch_size, seed=3 if shuffle else None, epoch=epoch)
        assert_same_dataset(made, (X, Y), rows)


# Rows so large that batches go one by one, and small ones that go in groups.
@pytest.mark.parametrize("row_bytes", [8, 5000, 200_000])
@pytest.mark.parametrize("drop_remainder", [False, True])
def test_small_and_large_batches(row_bytes: int, drop_remainder: bool) -> None:
    data = np.random.default_rng(0).integers(0, 256, (53, row_bytes), dtype="u1")
    options: Any = {"batch_size": 7, "drop_remainder": drop_remainder, "seed": 1}
    made = npyfast.dataset(data, shuffle=True, epochs=3, start_epoch=2, start_batch=3, **options)
    rows = list(expected.iteration(53, epochs=3, start_epoch=2, start_batch=3, **options))
    assert made.cardinality() == len(rows)
    assert_same_dataset(made, data, rows)
    assert_same_dataset(made, data, rows)


def test_element_spec(save: Save) -> None:
    path = save(X)
    cases: list[tuple[dict[str, Any], int | None]] = [
        ({"batch_size": 10}, None),
        ({"batch_size": 10, "drop_remainder": True}, 10),
        ({"batch_size": 103}, 103),  # all batches are full
        ({"batch_size": 200}, 103),  # the only batch
        ({"batch_size": 200, "drop_remainder": True}, 200),
        ({"batch_size": 10, "rows": slice(0, 50)}, 10),
        ({"batch_size": 10, "rows": slice(0, 5)}, 5),
        ({"batch_size": 10, "shard": (0, 2)}, None),
        ({"batch_size": 10, "shard": (1, 2), "drop_remainder": True}, 10),
        ({"batch_size": 10, "epochs": -1}, None),
    ]
    for options, rows in cases:
        made = npyfast.dataset(path, **options)
        assert made.element_spec == spec((rows, 2, 3), tf.float32), options


def test_cardinality(save: Save) -> None:
    path = save(X)
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 11),
        ({"drop_remainder": True}, 10),
        ({"epochs": 3}, 33),
        ({"epochs": 3, "start_batch": 4}, 29),
        ({"epochs": 1, "start_batch": 11}, 0),
        ({"epochs": -1}, tf.data.INFINITE_CARDINALITY),
        ({"shard": (2, 3)}, 4),
        ({"rows": [1, 2, 3]}, 1),
        ({"transform": lambda x: x}, 11),
        ({"prefetch": 0}, 11),
    ]
    for options, count in cases:
        made = npyfast.dataset(path, 10, True, **options)
        assert made.cardinality() == count, options
        if count >= 0:
            assert len(list(made)) == len(made) == count


def test_iteration_k_is_epoch_k() -> None:
    made = npyfast.dataset(Y, 10, True, seed=1, start_epoch=5)
    for k in range(4):
        rows = epoch_batches(103, batch_size=10, seed=1, epoch=5 + k)
        assert rows_of(made) == rows_of(rows)


def test_without_a_seed_every_dataset_is_another() -> None:
    a, b = (npyfast.dataset(Y, 10, True) for _ in range(2))
    assert rows_of(a) != rows_of(b)
    assert sorted(itertools.chain(*rows_of(a))) == Y.tolist()


def test_epochs_in_one_iteration() -> None:
    made = npyfast.dataset(Y, 10, True, seed=1, epochs=3, start_epoch=2)
    rows = rows_of(expected.iteration(103, batch_size=10, seed=1, epochs=3, start_epoch=2))
    for _ in range(2):
        assert rows_of(made) == rows


def test_endless() -> None:
    options: dict[str, Any] = {"seed": 1, "epochs": -1, "start_epoch": 2, "start_batch": 3}
    made = npyfast.dataset(Y, 10, True, **options)
    rows = list(itertools.islice(expected.iteration(103, batch_size=10, **options), 70))
    for _ in range(2):
        assert rows_of(made.take(70)) == rows_of(rows)


def test_a_subset_of_rows(save: Save) -> None:
    path = save(Y)
    train = npyfast.dataset(path, 10, True, seed=1, rows=slice(0, 80))
    valid = npyfast.dataset(path, 10, rows=slice(80, None))
    assert sorted(itertools.chain(*rows_of(train))) == list(range(80))
    assert list(itertools.chain(*rows_of(valid))) == list(range(80, 103))


@pytest.mark.parametrize("drop_remainder", [False, True])
def test_shards(drop_remainder: bool) -> None:
    options: Any = {"batch_size": 7, "seed": 1, "drop_remainder": drop_remainder}
    for index in range(3):
        made = npyfast.dataset(Y, shuffle=True, shard=(index, 3), **options)
        rows = epoch_batches(103, shard=(index, 3), **options)
        assert rows_of(made) == rows_of(rows)
        policy = made.options().experimental_distribute.auto_shard_policy
        assert policy == tf.data.experimental.AutoShardPolicy.OFF


def test_a_worker_with_an_empty_last_batch() -> None:
    made = npyfast.dataset({"x": X, "y": Y}, 17, shard=(0, 2), epochs=2, rows=slice(0, 69))
    rows = epoch_batches(69, batch_size=17, shard=(0, 2)) * 2
    assert [len(r) for r in rows] == [17, 17, 0] * 2
    assert_same_dataset(made, {"x": X, "y": Y}, rows)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2)])
@pytest.mark.parametrize("dtype", ["f4", "S3", "?"])
def test_rows_of_nothing(shape: tuple[int, ...], dtype: str) -> None:
    nothing = np.zeros((103, *shape), dtype)
    made = npyfast.dataset((nothing, Y), 10, epochs=2)
    assert made.element_spec[0].shape == (None, *shape)
    assert_same_dataset(made, (nothing, Y), epoch_batches(103, batch_size=10) * 2)


def test_an_input_context() -> None:
    context = tf.distribute.InputContext(
        num_input_pipelines=4, input_pipeline_id=2, num_replicas_in_sync=4
    )
    made = npyfast.dataset(Y, 7, True, seed=1, shard=context)
    assert rows_of(made) == rows_of(epoch_batches(103, batch_size=7, seed=1, shard=(2, 4)))
    assert rows_of(npyfast.batches(Y, 7, True, seed=1, shard=context)) == rows_of(
        epoch_batches(103, batch_size=7, seed=1, shard=(2, 4))
    )


def test_a_distributed_dataset() -> None:
    strategy = tf.distribute.MirroredStrategy(["cpu:0"])

    def make(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return npyfast.dataset(Y, 10, True, seed=1, shard=context)

    made = strategy.distribute_datasets_from_function(make)
    assert rows_of(made) == rows_of(epoch_batches(103, batch_size=10, seed=1))


class Pair(NamedTuple):
    image: Any
    label: Any


@pytest.mark.parametrize(
    "nest",
    [
        X,
        (X,),
        (X, Y),
        {"x": X, "y": Y},
        {"b": X, "a": (Y, X)},
        ({"x": X, "more": (Y, {"z": X})}, Y),
        Pair(X, Y),
        (Pair(X, Y), {"only": Y}),
    ],
    ids=lambda nest: type(nest).__name__,
)
def test_nests(nest: Any) -> None:
    made = npyfast.dataset(nest, 10, True, seed=4)
    assert_same_dataset(made, nest, epoch_batches(103, batch_size=10, seed=4))
    usual = tf.data.Dataset.from_tensor_slices(nest).batch(10)
    assert made.element_spec == usual.element_spec


@pytest.mark.parametrize("dtype", [d for d in dtypes() if has_tensor_type(d)], ids=str)
def test_dtypes(save: Save, dtype: np.dtype[Any]) -> None:
    array = in_order(random_array(dtype, (11, 3)), "F")
    made = npyfast.dataset(save(array), 4, True, seed=1)
    assert_same_dataset(made, array, epoch_batches(11, batch_size=4, seed=1))


def test_a_structure_is_a_dict() -> None:
    records = random_array(
        np.dtype([("image", ">f4", (2, 2)), ("name", "S3"), ("at", "M8[s]")]), (9,)
    )
    made = npyfast.dataset(records, 4)
    assert made.element_spec == {
        "image": spec((None, 2, 2), tf.float32),
        "name": spec((None,), tf.string),
        "at": spec((None,), tf.int64),
    }
    assert_same_dataset(made, records, epoch_batches(9, batch_size=4))


def test_text_is_utf8() -> None:
    words = np.array(["größe", "", "日本", "\U0001f600"])
    (batch,) = npyfast.dataset(words)
    assert [word.decode() for word in batch.numpy()] == words.tolist()


@pytest.mark.parametrize("dtype", ["g", "G", "V3", [("a", "f4"), ("b", "V2")]], ids=str)
def test_a_dtype_that_tensorflow_does_not_have(save: Save, dtype: Any) -> None:
    array = np.zeros((5, 2), dtype)
    with pytest.raises(TypeError) as caught:
        npyfast.dataset(save(array))
    assert "TensorFlow has no type for" in str(caught.value)
    assert "astype" in str(caught.value)
    assert "transform=" in str(caught.value)
    # and that is a way out
    transform = lambda _: np.zeros(5)  # noqa: E731
    assert len(list(npyfast.dataset(save(array), transform=transform))) == 1


@pytest.mark.parametrize("epochs", [None, 2, -1])
@pytest.mark.parametrize("transform", [None, lambda xy: {"sum": xy[0].sum(axis=(1, 2))}])
def test_an_empty_dataset(epochs: int | None, transform: Any) -> None:
    made = npyfast.dataset((X, Y), 10, rows=[], epochs=epochs, transform=transform)
    assert made.cardinality() == 0
    assert list(made) == []
    if transform is not None:
        assert made.element_spec["sum"].dtype == tf.float32


class TestTransform:
    def test_gets_arrays_and_gives_any_nest(self, save: Save) -> None:
        def transform(element: Any) -> Any:
            x, y = element
            assert type(x) is type(y) is np.ndarray
            return {"mean": x.mean(axis=(1, 2)), "parts": (y % 2 == 0, x[:, 0])}

        made = npyfast.dataset((save(X), save(Y)), 10, transform=transform)
        assert made.element_spec == {
            "mean": spec((None,), tf.float32),
            "parts": (spec((None,), tf.bool), spec((None, 3), tf.float32)),
        }
        whole = {"mean": X.mean(axis=(1, 2)), "parts": (Y % 2 == 0, X[:, 0])}
        assert_same_dataset(made, whole, epoch_batches(103, batch_size=10))

    def test_of_a_structure_gets_a_dict(self) -> None:
        records = random_array(np.dtype([("a", "i4"), ("b", "f8")]), (9,))
        made = npyfast.dataset(records, 4, transform=lambda r: r["a"] * 2)
        assert_same_dataset(made, records["a"] * 2, epoch_batches(9, batch_size=4))

    def test_may_give_lists_and_numbers(self) -> None:
        made = npyfast.dataset(Y, 50, rows=slice(0, 100), transform=lambda y: (y.tolist(), y.max()))
        assert made.element_spec == (spec((50,), tf.int64), spec((), tf.int64))
        assert [int(largest) for _, largest in made] == [49, 99]

    def test_static_shapes(self) -> None:
        made = npyfast.dataset(X, 10, drop_remainder=True, transform=lambda x: x[..., :1])
        assert made.element_spec == spec((10, 2, 1), tf.float32)

    def test_of_times_and_text(self) -> None:
        transform = lambda y: (y.astype("M8[s]"), y.astype("U5"))  # noqa: E731
        ((times, text),) = npyfast.dataset(Y[:3], transform=transform)
        assert times.numpy().tolist() == [0, 1, 2]
        assert text.numpy().tolist() == [b"0", b"1", b"2"]

    def test_stop_iteration_loses_nothing_silently(self) -> None:
        calls = itertools.count()

        def transform(y: Any) -> Any:
            if next(calls) == 3:
                raise StopIteration
            return y

        with pytest.raises(tf.errors.OpError, match="the transform raised StopIteration"):
            list(npyfast.dataset(Y, 10, transform=transform))

    def test_an_error_names_the_exception(self) -> None:
        calls = itertools.count()

        def transform(y: Any) -> Any:
            if next(calls) == 3:
                raise ArithmeticError("the reason")
            return y

        with pytest.raises(tf.errors.OpError, match="ArithmeticError: the reason"):
            list(npyfast.dataset(Y, 10, transform=transform))

    def test_an_error_for_the_first_batch_is_raised_at_once(self) -> None:
        def transform(y: Any) -> Any:
            raise ArithmeticError("the reason")

        with pytest.raises(ArithmeticError, match="the reason"):
            npyfast.dataset(Y, 10, transform=transform)

    def test_a_dtype_that_tensorflow_does_not_have(self) -> None:
        with pytest.raises(TypeError, match="TensorFlow has no type for"):
            npyfast.dataset(Y, transform=lambda y: y.astype("g"))

    @pytest.mark.parametrize("dtype", ["f4", "i4", "f8", "U9", "?"])
    def test_another_dtype_later_is_an_error(self, dtype: str) -> None:
        transform = lambda y: y if y[0] < 50 else (y + 0.5).astype(dtype)  # noqa: E731
        made = npyfast.dataset(Y, 10, transform=transform)
        with pytest.raises(
            tf.errors.OpError, match=r"the transform returned .* int64 for the first"
        ):
            list(made)

    def test_another_nest_or_shape_later_is_an_error(self) -> None:
        others: list[Any] = [lambda y: (y, y), lambda y: {"y": y}, lambda y: y[:, None]]
        for other in others:

            def transform(y: Any, other: Any = other) -> Any:
                return y if y[0] < 50 else other(y)

            made = npyfast.dataset(Y, 10, transform=transform)
            with pytest.raises(tf.errors.OpError, match="expected"):
                list(made)

    def test_keys_may_come_in_any_order(self) -> None:
        def transform(y: Any) -> Any:
            return {"a": y, "b": y / 2} if y[0] < 50 else {"b": y / 2, "a": y}

        made = npyfast.dataset(Y, 10, transform=transform)
        assert_same_dataset(made, {"a": Y, "b": Y / 2}, epoch_batches(103, batch_size=10))


@pytest.mark.parametrize("prefetch", [None, 0, 1, 5, -1])
def test_prefetch_does_not_change_the_batches(prefetch: int | None) -> None:
    for data in (Y, np.arange(53 * 100_000).reshape(53, 100_000)):
        made = npyfast.dataset(data, 7, True, seed=1, prefetch=prefetch)
        assert_same_dataset(made, data, epoch_batches(len(data), batch_size=7, seed=1))


@pytest.mark.parametrize("engine", ["auto", "generator"])
def test_engines(engine: str) -> None:
    made = npyfast.dataset(Y, 7, True, seed=1, engine=engine)
    assert rows_of(made) == rows_of(epoch_batches(103, batch_size=7, seed=1))


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="engine must be one of 'auto', 'generator'.*, got 'fast'"):
        npyfast.dataset(Y, engine="fast")
    for prefetch in (-2, 1.5, "3", True):
        with pytest.raises(ValueError, match="prefetch must be an int of at least -1"):
            npyfast.dataset(Y, prefetch=prefetch)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size must be"):
        npyfast.dataset(Y, 0)


def test_bad_input_is_refused_before_the_first_batch(save: Save, tmp_path: Any) -> None:
    (tmp_path / "bad.npy").write_bytes(b"nonsense")
    with pytest.raises(npyfast.NpyFormatError, match=r"bad\.npy: not a readable \.npy file"):
        npyfast.dataset(tmp_path / "bad.npy")
    with pytest.raises(FileNotFoundError):
        npyfast.dataset(tmp_path / "missing.npy")
    with pytest.raises(TypeError, match="never unpickles"):
        npyfast.dataset(save(np.array([None])))
    with pytest.raises(ValueError, match="same number of rows"):
        npyfast.dataset((X, save(Y[:5])))


class TestPipelines:
    """What the rest of tf.data makes of it."""

    rows = epoch_batches(103, batch_size=10, seed=1)

    def made(self, **options: Any) -> tf.data.Dataset:
        return npyfast.dataset(Y, 10, True, seed=1, **options)

    def test_map(self) -> None:
        assert rows_of(self.made().map(lambda y: y * 2)) == rows_of(r * 2 for r in self.rows)

    def test_repeat_goes_on_with_the_epochs(self) -> None:
        wanted = [r for k in range(3) for r in epoch_batches(103, batch_size=10, seed=1, epoch=k)]
        assert rows_of(self.made().repeat(3)) == rows_of(wanted)
        assert self.made().repeat(3).cardinality() == 33

    def test_take_and_skip(self) -> None:
        assert rows_of(self.made().take(3)) == rows_of(self.rows[:3])
        assert rows_of(self.made().skip(3)) == rows_of(self.rows[3:])

    def test_cache_keeps_the_first_epoch(self) -> None:
        cached = self.made().cache()
        for _ in range(2):
            assert rows_of(cached) == rows_of(self.rows)

    def test_unbatch_and_batch(self) -> None:
        again = self.made().unbatch().batch(25)
        assert rows_of(again) == rows_of(np.split(np.concatenate(self.rows), [25, 50, 75, 100]))
        assert rows_of(self.made(drop_remainder=True).batch(4).take(1)) == [
            np.stack(self.rows[:4]).tolist()
        ]

    def test_zip(self) -> None:
        both = tf.data.Dataset.zip((self.made(), npyfast.dataset(Y, 10)))
        for (a, b), row in zip(both, self.rows, strict=True):
            assert a.numpy().tolist() == row.tolist()
            assert len(b) == len(row)

    def test_options(self) -> None:
        options = tf.data.Options()
        options.deterministic = True
        options.autotune.enabled = False
        options.threading.private_threadpool_size = 1
        assert rows_of(self.made().with_options(options)) == rows_of(self.rows)

    def test_prefetch_shard_enumerate_filter(self) -> None:
        assert rows_of(self.made().prefetch(tf.data.AUTOTUNE)) == rows_of(self.rows)
        assert rows_of(self.made().shard(2, 1)) == rows_of(self.rows[1::2])
        assert [int(i) for i, _ in self.made().enumerate()] == list(range(11))
        kept = self.made().filter(lambda y: tf.size(y) == 10)
        assert rows_of(kept) == rows_of(self.rows[:10])

    def test_as_numpy_iterator(self) -> None:
        assert rows_of(self.made().as_numpy_iterator()) == rows_of(self.rows)

    def test_inside_a_graph(self) -> None:
        made = self.made()

        @tf.function  # type: ignore[untyped-decorator]
        def total() -> tf.Tensor:
            result = tf.constant(0, tf.int64)
            for batch in made:
                result += tf.reduce_sum(batch)
            return result

        assert int(total()) == int(total()) == Y.sum()

    def test_two_iterators_at_once(self) -> None:
        made = self.made()
        first, second = iter(made), iter(made)
        a = [
            np.concatenate([next(it).numpy() for _ in range(11)]).tolist() for it in (first, second)
        ]
        both = [
            np.concatenate(epoch_batches(103, batch_size=10, seed=1, epoch=k)).tolist()
            for k in (0, 1)
        ]
        assert sorted(a) == sorted(both)
