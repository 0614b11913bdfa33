"""`npyfast.dataset`: the batches of `npyfast.batches` as a tf.data.Dataset, by every engine."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import expected
import numpy as np
import pytest
import tensorflow as tf
from expected import epoch_batches
from samples import Dataset, Save, dtypes, in_order, random_array
from tensors import assert_same, assert_same_dataset, engine_of, has_tensor_type, rows_of

import npyfast

X = np.arange(103 * 6, dtype="f4").reshape(103, 2, 3)
Y = np.arange(103)

# Of tests that take a transform or fields that overlap: the generator engine, with each backend.
every_backend = pytest.mark.usefixtures("backend")


def spec(shape: Any, dtype: Any) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype)


def test_replaces_from_tensor_slices(dataset: Dataset, save: Save) -> None:
    made = dataset((save(X), save(Y)), batch_size=10)
    usual = tf.data.Dataset.from_tensor_slices((X, Y)).batch(10)
    assert isinstance(made, tf.data.Dataset)
    assert made.element_spec == usual.element_spec
    assert made.cardinality() == usual.cardinality()
    for a, b in zip(made, usual, strict=True):
        assert_same(a, tuple(t.numpy() for t in b))


@pytest.mark.parametrize("batch_size", [1, 10, 50, 103, 104])
@pytest.mark.parametrize("shuffle", [False, True, npyfast.BlockShuffle(4, 20)], ids=repr)
def test_the_batches(dataset: Dataset, save: Save, batch_size: int, shuffle: Any) -> None:
    made = dataset((save(X), save(Y)), batch_size, shuffle, seed=3)
    blocks = None if isinstance(shuffle, bool) else (4, 20)
    for epoch in range(3):
        seed = 3 if shuffle else None
        rows = epoch_batches(103, batch_size=batch_size, seed=seed, blocks=blocks, epoch=epoch)
        assert_same_dataset(made, (X, Y), rows)


# Rows so large that batches go one by one, and small ones that go in groups.
@pytest.mark.parametrize("row_bytes", [8, 5000, 200_000])
@pytest.mark.parametrize("drop_remainder", [False, True])
def test_small_and_large_batches(
    dataset: Dataset, save: Save, row_bytes: int, drop_remainder: bool
) -> None:
    data = np.random.default_rng(0).integers(0, 256, (53, row_bytes), dtype="u1")
    options: Any = {"batch_size": 7, "drop_remainder": drop_remainder, "seed": 1}
    made = dataset(save(data), shuffle=True, epochs=3, start_epoch=2, start_batch=3, **options)
    rows = list(expected.iteration(53, epochs=3, start_epoch=2, start_batch=3, **options))
    assert made.cardinality() == len(rows)
    assert_same_dataset(made, data, rows)
    assert_same_dataset(made, data, rows)


def test_element_spec(dataset: Dataset, save: Save) -> None:
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
        made = dataset(path, **options)
        assert made.element_spec == spec((rows, 2, 3), tf.float32), options


def test_cardinality(dataset: Dataset, save: Save) -> None:
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
        ({"epochs": 3, "start_batch": 4, "shard": (2, 3)}, 8),
        ({"prefetch": 0}, 11),
    ]
    for options, count in cases:
        for shuffle in (False, True):
            made = dataset(path, 10, shuffle, **options)
            assert made.cardinality() == count, options
            if count >= 0:
                assert len(list(made)) == len(made) == count


def test_iteration_k_is_epoch_k(dataset: Dataset, save: Save) -> None:
    made = dataset(save(Y), 10, True, seed=1, start_epoch=5)
    for k in range(4):
        rows = epoch_batches(103, batch_size=10, seed=1, epoch=5 + k)
        assert rows_of(made) == rows_of(rows)


def test_without_a_seed_every_dataset_is_another(dataset: Dataset, save: Save) -> None:
    path = save(Y)
    a, b = (dataset(path, 10, True) for _ in range(2))
    assert rows_of(a) != rows_of(b)
    assert sorted(itertools.chain(*rows_of(a))) == Y.tolist()


def test_epochs_in_one_iteration(dataset: Dataset, save: Save) -> None:
    made = dataset(save(Y), 10, True, seed=1, epochs=3, start_epoch=2)
    rows = rows_of(expected.iteration(103, batch_size=10, seed=1, epochs=3, start_epoch=2))
    for _ in range(2):
        assert rows_of(made) == rows


def test_endless(dataset: Dataset, save: Save) -> None:
    options: dict[str, Any] = {"seed": 1, "epochs": -1, "start_epoch": 2, "start_batch": 3}
    made = dataset(save(Y), 10, True, **options)
    rows = list(itertools.islice(expected.iteration(103, batch_size=10, **options), 70))
    for _ in range(2):
        assert rows_of(made.take(70)) == rows_of(rows)


def test_a_subset_of_rows(dataset: Dataset, save: Save) -> None:
    path = save(Y)
    train = dataset(path, 10, True, seed=1, rows=slice(0, 80))
    valid = dataset(path, 10, rows=slice(80, None))
    assert sorted(itertools.chain(*rows_of(train))) == list(range(80))
    assert list(itertools.chain(*rows_of(valid))) == list(range(80, 103))


@pytest.mark.parametrize("drop_remainder", [False, True])
def test_shards(dataset: Dataset, save: Save, drop_remainder: bool) -> None:
    options: Any = {"batch_size": 7, "seed": 1, "drop_remainder": drop_remainder}
    path = save(Y)
    for index in range(3):
        made = dataset(path, shuffle=True, shard=(index, 3), **options)
        rows = epoch_batches(103, shard=(index, 3), **options)
        assert rows_of(made) == rows_of(rows)
        policy = made.options().experimental_distribute.auto_shard_policy
        assert policy == tf.data.experimental.AutoShardPolicy.OFF


def test_a_worker_with_an_empty_last_batch(dataset: Dataset, save: Save) -> None:
    source = {"x": save(X), "y": save(Y)}
    made = dataset(source, 17, shard=(0, 2), epochs=2, rows=slice(0, 69))
    rows = epoch_batches(69, batch_size=17, shard=(0, 2)) * 2
    assert [len(r) for r in rows] == [17, 17, 0] * 2
    assert_same_dataset(made, {"x": X, "y": Y}, rows)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2)])
@pytest.mark.parametrize("dtype", ["f4", "S3", "?"])
def test_rows_of_nothing(dataset: Dataset, save: Save, shape: tuple[int, ...], dtype: str) -> None:
    nothing = np.zeros((103, *shape), dtype)
    made = dataset((save(nothing), save(Y)), 10, epochs=2)
    assert made.element_spec[0].shape == (None, *shape)
    assert_same_dataset(made, (nothing, Y), epoch_batches(103, batch_size=10) * 2)


def test_an_input_context(dataset: Dataset, save: Save) -> None:
    context = tf.distribute.InputContext(
        num_input_pipelines=4, input_pipeline_id=2, num_replicas_in_sync=4
    )
    rows = rows_of(epoch_batches(103, batch_size=7, seed=1, shard=(2, 4)))
    assert rows_of(dataset(save(Y), 7, True, seed=1, shard=context)) == rows
    assert rows_of(npyfast.batches(Y, 7, True, seed=1, shard=context)) == rows


def test_a_distributed_dataset(dataset: Dataset, save: Save) -> None:
    path = save(Y)
    strategy = tf.distribute.MirroredStrategy(["cpu:0"])

    def make(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return dataset(path, 10, True, seed=1, shard=context)

    made = strategy.distribute_datasets_from_function(make)
    assert rows_of(made) == rows_of(epoch_batches(103, batch_size=10, seed=1))


class Pair(NamedTuple):
    image: Any
    label: Any


NESTS = pytest.mark.parametrize(
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


@NESTS
def test_nests(dataset: Dataset, save: Save, nest: Any) -> None:
    made = dataset(tf.nest.map_structure(save, nest), 10, True, seed=4)
    assert_same_dataset(made, nest, epoch_batches(103, batch_size=10, seed=4))
    usual = tf.data.Dataset.from_tensor_slices(nest).batch(10)
    assert made.element_spec == usual.element_spec


def test_several_files_are_one_array(dataset: Dataset, save: Save) -> None:
    parts = [save(part) for part in np.split(X, [0, 11, 60])]
    made = dataset({"parts": parts, "whole": save(X)}, 10, True, seed=4)
    assert_same_dataset(made, {"parts": X, "whole": X}, epoch_batches(103, batch_size=10, seed=4))


@pytest.mark.parametrize("dtype", [d for d in dtypes() if has_tensor_type(d)], ids=str)
def test_dtypes(dataset: Dataset, save: Save, dtype: np.dtype[Any]) -> None:
    array = in_order(random_array(dtype, (11, 3)), "F")
    made = dataset(save(array), 4, True, seed=1)
    assert_same_dataset(made, array, epoch_batches(11, batch_size=4, seed=1))


def test_a_structure_is_a_dict(dataset: Dataset, save: Save) -> None:
    records = random_array(
        np.dtype([("image", ">f4", (2, 2)), ("name", "S3"), ("at", "M8[s]")]), (9,)
    )
    made = dataset(save(records), 4)
    assert made.element_spec == {
        "image": spec((None, 2, 2), tf.float32),
        "name": spec((None,), tf.string),
        "at": spec((None,), tf.int64),
    }
    assert_same_dataset(made, records, epoch_batches(9, batch_size=4))


def test_text_is_utf8(dataset: Dataset, save: Save) -> None:
    # Up to 22 bytes, and beyond, TensorFlow lays a string out in two ways.
    words = np.array(["größe", "", "日本", "\U0001f600", "é" * 11, "é" * 11 + "x", "日" * 200])
    (batch,) = dataset(save(words))
    assert [word.decode() for word in batch.numpy()] == words.tolist()


def test_bytes_with_zeros(dataset: Dataset, save: Save) -> None:
    words = np.array([b"", b"\0a", b"a\0b", b"\xff\xfe", b"x" * 22, b"x" * 23, b"\0" * 30 + b"x"])
    (batch,) = dataset(save(words))
    assert batch.numpy().tolist() == words.tolist()


def test_a_structure_without_fields(dataset: Dataset, save: Save) -> None:
    path = save(np.zeros(12, np.dtype([])))
    with pytest.raises(TypeError, match="its dtype is without fields"):
        dataset(path)
    assert next(iter(dataset((path, save(np.arange(12))), 12)))[0] == {}


@pytest.mark.parametrize("dtype", ["g", "G", "V1", "V3", [("a", "f4"), ("b", "V4")]], ids=str)
def test_a_dtype_that_tensorflow_does_not_have(dataset: Dataset, save: Save, dtype: Any) -> None:
    array = np.zeros((5, 2), dtype)
    path = save(array)
    with pytest.raises(TypeError) as caught:
        dataset((save(np.arange(5)), path))
    name = f"{path}['b']" if array.dtype.names else path
    assert str(caught.value).startswith(f"{name}: TensorFlow has no type for ")
    other = {"g": "astype('float64')", "G": "astype('complex128')"}.get(array.dtype.char, "")
    assert other in str(caught.value)
    assert "transform=" in str(caught.value)
    # and that is a way out
    transform = lambda _: np.zeros(5)  # noqa: E731
    assert len(list(npyfast.dataset(save(array), transform=transform))) == 1


@pytest.mark.parametrize("epochs", [None, 2, -1])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_empty_dataset(dataset: Dataset, save: Save, epochs: int | None, shuffle: bool) -> None:
    nothing = save(X[:0]), save(Y[:0])
    for source, rows in (((save(X), save(Y)), []), (nothing, None)):
        made = dataset(source, 10, shuffle, rows=rows, epochs=epochs)
        assert made.cardinality() == 0
        assert made.element_spec == (spec((None, 2, 3), tf.float32), spec((None,), tf.int64))
        assert list(made) == []
        assert list(made.repeat(2)) == []


class TestArraysInMemory:
    @NESTS
    def test_nests(self, dataset: Dataset, nest: Any) -> None:
        made = dataset(nest, 10, True, seed=4)
        assert_same_dataset(made, nest, epoch_batches(103, batch_size=10, seed=4))
        usual = tf.data.Dataset.from_tensor_slices(nest).batch(10)
        assert made.element_spec == usual.element_spec

    def test_with_files(self, dataset: Dataset, save: Save) -> None:
        made = dataset((save(X), Y), 10, True, seed=4)
        assert_same_dataset(made, (X, Y), epoch_batches(103, batch_size=10, seed=4))

    def test_views(self, dataset: Dataset) -> None:
        for view in (X[::-1], X[:, ::-1, 1:], np.asfortranarray(X), Y[::2], Y.astype(">i8")):
            made = dataset(view, 10, True, seed=4)
            assert_same_dataset(made, view, epoch_batches(len(view), batch_size=10, seed=4))

    def test_a_structure_is_a_dict(self, dataset: Dataset) -> None:
        records = random_array(np.dtype([("a", ">f4", (2, 2)), ("at", "M8[s]")]), (9,))
        made = dataset(records, 4)
        assert made.element_spec == {
            "a": spec((None, 2, 2), tf.float32),
            "at": spec((None,), tf.int64),
        }
        assert_same_dataset(made, records, epoch_batches(9, batch_size=4))

    def test_small_and_large_batches(self, dataset: Dataset) -> None:
        for row_bytes in (8, 5000, 200_000):
            data = np.random.default_rng(0).integers(0, 256, (53, row_bytes), dtype="u1")
            made = dataset(data, 7, True, seed=1)
            assert_same_dataset(made, data, epoch_batches(53, batch_size=7, seed=1))


@every_backend
class TestTransform:
    def test_takes_the_epochs(self, save: Save) -> None:
        made = npyfast.dataset(save(Y), 10, True, seed=1, transform=lambda y: y * 2)
        assert made.cardinality() == 11
        for k in range(3):
            rows = epoch_batches(103, batch_size=10, seed=1, epoch=k)
            assert rows_of(made) == rows_of(r * 2 for r in rows)

    @pytest.mark.parametrize("epochs", [None, 2, -1])
    def test_of_nothing(self, save: Save, epochs: int | None) -> None:
        transform = lambda xy: {"sum": xy[0].sum(axis=(1, 2))}  # noqa: E731
        source = (save(X), save(Y))
        made = npyfast.dataset(source, 10, rows=[], epochs=epochs, transform=transform)
        assert made.cardinality() == 0
        assert made.element_spec == {"sum": spec((None,), tf.float32)}
        assert list(made) == []

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
def test_prefetch_does_not_change_the_batches(
    dataset: Dataset, save: Save, prefetch: int | None
) -> None:
    for data in (Y, np.arange(53 * 20_000).reshape(53, 20_000)):
        made = dataset(save(data), 7, True, seed=1, prefetch=prefetch)
        assert_same_dataset(made, data, epoch_batches(len(data), batch_size=7, seed=1))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("readahead", ["auto", "off", "whole", "rows"])
def test_threads_and_readahead_do_not_change_the_batches(
    dataset: Dataset, save: Save, threads: int, readahead: str
) -> None:
    made = dataset(save(X), 7, True, seed=1, threads=threads, readahead=readahead)
    assert_same_dataset(made, X, epoch_batches(103, batch_size=7, seed=1))


class TestEngines:
    def test_it_is_the_engine_that_was_asked_for(
        self, dataset: Dataset, engine: str, save: Save
    ) -> None:
        for shuffle, epochs in itertools.product((False, True), (None, 2, -1)):
            assert engine_of(dataset(save(Y), 7, shuffle, epochs=epochs)) == engine

    def test_auto_for_files(self, backend: str, save: Save) -> None:
        wanted = "graph" if backend == "native" else "generator"
        assert engine_of(npyfast.dataset(save(Y))) == wanted
        assert engine_of(npyfast.dataset((save(Y), {"x": save(X)}), engine="auto")) == wanted
        for source in (Y, (save(X), Y), {"x": X, "y": Y}):
            assert engine_of(npyfast.dataset(source)) == wanted
        assert npyfast.build_info()["engine"] == wanted

    def test_auto_for_what_graph_can_not_do(self, backend: str, save: Save) -> None:
        path = save(Y)
        assert engine_of(npyfast.dataset(path, transform=lambda y: y)) == "generator"

    def test_graph_says_what_it_can_not_do(self, native: None, save: Save) -> None:
        path = save(Y)
        with pytest.raises(ValueError, match="transform is a Python function; omit `engine` to"):
            npyfast.dataset(path, transform=lambda y: y, engine="graph")

    def test_graph_needs_the_native_backend(self, backend: str, save: Save) -> None:
        if backend == "native":
            assert engine_of(npyfast.dataset(save(Y), engine="graph")) == "graph"
        else:
            with pytest.raises(ValueError, match="needs the native backend, and numpy is in use"):
                npyfast.dataset(save(Y), engine="graph")


def test_wrong_options(engine: str, save: Save) -> None:
    path = save(Y)
    with pytest.raises(
        ValueError, match="engine must be one of 'auto', 'graph', 'generator', got 'fast'"
    ):
        npyfast.dataset(path, engine="fast")
    for prefetch in (-2, 1.5, "3", True):
        with pytest.raises(ValueError, match="prefetch must be an int of at least -1"):
            npyfast.dataset(path, prefetch=prefetch, engine=engine)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size must be"):
        npyfast.dataset(path, 0, engine=engine)


def test_bad_input_is_refused_before_the_first_batch(
    dataset: Dataset, save: Save, tmp_path: Any
) -> None:
    (tmp_path / "bad.npy").write_bytes(b"nonsense")
    with pytest.raises(npyfast.NpyFormatError, match=r"bad\.npy: not a readable \.npy file"):
        dataset(tmp_path / "bad.npy")
    with pytest.raises(FileNotFoundError):
        dataset(tmp_path / "missing.npy")
    with pytest.raises(TypeError, match="never unpickles"):
        dataset(save(np.array([None])))
    with pytest.raises(ValueError, match="same number of rows"):
        dataset((save(X), save(Y[:5])))
    with pytest.raises(IndexError, match="103"):
        dataset(save(X), rows=[0, 103])


# Steps that a pipeline may have, and that TensorFlow has a special way with.
STEPS: dict[str, Callable[[Any], Any]] = {
    "batch": lambda made: made.batch(4),
    "cache": lambda made: made.cache(),
    "concatenate": lambda made: made.concatenate(made.take(0)),
    "filter": lambda made: made.filter(lambda y: y[0] % 2 == 0),
    "interleave": lambda made: tf.data.Dataset.range(1).interleave(lambda _: made),
    "padded batch": lambda made: made.padded_batch(4),
    "parallel map": lambda made: made.map(lambda y: y + 1, num_parallel_calls=2),
    "rebatch": lambda made: made.rebatch(7),
    "sample": lambda made: tf.data.Dataset.sample_from_datasets([made, made.take(0)], seed=3),
    "scan": lambda made: made.scan(np.int64(0), lambda state, y: (state + 1, y + state)),
    "shard": lambda made: made.shard(3, 1),
    "shuffle": lambda made: made.shuffle(5, seed=3),
    "take while": lambda made: made.take_while(lambda y: y[0] != 1000),
    "window": lambda made: made.window(3).flat_map(lambda window: window.batch(3)),
}


class TestPipelines:
    """What the rest of tf.data makes of it."""

    rows = epoch_batches(103, batch_size=10, seed=1)

    @pytest.fixture
    def make(self, dataset: Dataset, save: Save) -> Dataset:
        """Makes it, with the given options."""
        return functools.partial(dataset, save(Y), 10, True, seed=1)

    def test_map(self, make: Dataset) -> None:
        assert rows_of(make().map(lambda y: y * 2)) == rows_of(r * 2 for r in self.rows)

    def test_repeat_goes_on_with_the_epochs(self, make: Dataset) -> None:
        wanted = [r for k in range(3) for r in epoch_batches(103, batch_size=10, seed=1, epoch=k)]
        assert rows_of(make().repeat(3)) == rows_of(wanted)
        assert make().repeat(3).cardinality() == 33

    def test_repeat_costs_no_epoch_of_its_own(self, make: Dataset) -> None:
        made = make()
        twice = made.repeat(2)
        epochs = [epoch_batches(103, batch_size=10, seed=1, epoch=k) for k in range(7)]
        assert rows_of(twice.repeat(2)) == rows_of(itertools.chain(*epochs[:4]))
        assert rows_of(twice) == rows_of(itertools.chain(*epochs[4:6]))
        assert rows_of(made) == rows_of(epochs[6])

    def test_an_iterator_that_is_not_read_costs_no_epoch(self, make: Dataset) -> None:
        made = make()
        first, second = iter(made), iter(made)
        epochs = [rows_of(epoch_batches(103, batch_size=10, seed=1, epoch=k)) for k in range(3)]
        assert rows_of(second) == epochs[0]
        assert rows_of(first) == epochs[1]
        iter(made)
        assert rows_of(made) == epochs[2]

    def test_take_and_skip(self, make: Dataset) -> None:
        assert rows_of(make().take(3)) == rows_of(self.rows[:3])
        assert rows_of(make().skip(3)) == rows_of(self.rows[3:])

    def test_cache_keeps_the_first_epoch(self, make: Dataset) -> None:
        cached = make().cache()
        for _ in range(2):
            assert rows_of(cached) == rows_of(self.rows)

    def test_unbatch_and_batch(self, make: Dataset) -> None:
        again = make().unbatch().batch(25)
        assert rows_of(again) == rows_of(np.split(np.concatenate(self.rows), [25, 50, 75, 100]))
        assert rows_of(make(drop_remainder=True).batch(4).take(1)) == [
            np.stack(self.rows[:4]).tolist()
        ]

    def test_zip(self, make: Dataset, dataset: Dataset, save: Save) -> None:
        both = tf.data.Dataset.zip((make(), dataset(save(Y), 10)))
        for (a, b), row in zip(both, self.rows, strict=True):
            assert a.numpy().tolist() == row.tolist()
            assert len(b) == len(row)

    def test_options(self, make: Dataset) -> None:
        options = tf.data.Options()
        options.deterministic = True
        options.autotune.enabled = False
        options.threading.private_threadpool_size = 1
        assert rows_of(make().with_options(options)) == rows_of(self.rows)

    def test_prefetch_shard_enumerate_filter(self, make: Dataset) -> None:
        assert rows_of(make().prefetch(tf.data.AUTOTUNE)) == rows_of(self.rows)
        assert rows_of(make().shard(2, 1)) == rows_of(self.rows[1::2])
        assert [int(i) for i, _ in make().enumerate()] == list(range(11))
        kept = make().filter(lambda y: tf.size(y) == 10)
        assert rows_of(kept) == rows_of(self.rows[:10])

    @pytest.mark.parametrize("epochs", [None, 2])
    @pytest.mark.parametrize("name", STEPS)
    def test_as_behind_any_other_dataset(
        self, make: Dataset, epochs: int | None, name: str
    ) -> None:
        options: Any = {"epochs": epochs, "drop_remainder": True}
        batches = expected.iteration(103, batch_size=10, seed=1, **options)
        other = tf.data.Dataset.from_tensor_slices(np.stack(list(batches)))
        assert rows_of(STEPS[name](make(**options))) == rows_of(STEPS[name](other))

    @pytest.mark.parametrize("name", ["warm start", "not deterministic", "map fusion", "fusions"])
    def test_optimizations(self, make: Dataset, name: str) -> None:
        options = tf.data.Options()
        optimization = options.experimental_optimization
        if name == "warm start":
            options.experimental_warm_start = True
        elif name == "not deterministic":
            options.deterministic = False
        elif name == "map fusion":
            optimization.map_fusion = True
        else:
            optimization.apply_default_optimizations = True
            optimization.filter_fusion = True
            optimization.map_and_batch_fusion = True
            optimization.map_and_filter_fusion = True
            optimization.map_parallelization = True
            optimization.noop_elimination = True
            optimization.parallel_batch = True
        made = make().map(lambda y: y * 2).map(lambda y: y + 1).prefetch(2).with_options(options)
        for k in range(2):
            rows = epoch_batches(103, batch_size=10, seed=1, epoch=k)
            assert rows_of(made) == rows_of(r * 2 + 1 for r in rows)

    def test_pipelines_of_one_dataset_share_its_epochs(self, make: Dataset) -> None:
        epochs = [rows_of(epoch_batches(103, batch_size=10, seed=1, epoch=k)) for k in range(4)]
        made = make()
        first, last = made.take(3), made.skip(8)
        assert rows_of(first) == epochs[0][:3]
        assert rows_of(last) == epochs[1][8:]
        assert rows_of(made) == epochs[2]
        assert rows_of(first) == epochs[3][:3]

    def test_as_numpy_iterator(self, make: Dataset) -> None:
        assert rows_of(make().as_numpy_iterator()) == rows_of(self.rows)

    def test_inside_a_graph(self, make: Dataset) -> None:
        made = make()

        @tf.function  # type: ignore[untyped-decorator]
        def total() -> tf.Tensor:
            result = tf.constant(0, tf.int64)
            for batch in made:
                result += tf.reduce_sum(batch)
            return result

        assert int(total()) == int(total()) == Y.sum()

    def test_two_iterators_at_once(self, make: Dataset) -> None:
        made = make()
        first, second = iter(made), iter(made)
        a = [
            np.concatenate([next(it).numpy() for _ in range(11)]).tolist() for it in (first, second)
        ]
        both = [
            np.concatenate(epoch_batches(103, batch_size=10, seed=1, epoch=k)).tolist()
            for k in (0, 1)
        ]
        assert sorted(a) == sorted(both)
