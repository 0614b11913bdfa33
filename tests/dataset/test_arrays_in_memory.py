"""Arrays in memory: by the graph engine, shared or copied."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from expected import OPTIONS, epoch_batches, iteration
from samples import Dataset, Save, dtypes, random_array
from tensors import assert_same_dataset, engine_of, has_tensor_type, rows_of

import npyfast
from npyfast._engines.op_attributes import op_attributes
from npyfast._engines.op_library import load

X = np.arange(103 * 6, dtype="f4").reshape(103, 2, 3)
Y = np.arange(103)


@pytest.fixture(params=["copied", "shared"], autouse=True)
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How tensors get the bytes of an array, whatever its size."""
    copied = request.param == "copied"
    monkeypatch.setattr(
        "npyfast._engines.memory._is_copied", lambda array: copied or not array.nbytes
    )
    return str(request.param)


VIEWS: dict[str, Any] = {
    "C": lambda x: x,
    "Fortran": np.asfortranarray,
    "transposed": lambda x: x.transpose(0, 2, 1),
    "reversed": lambda x: x[::-1],
    "all reversed": lambda x: x[::-2, ::-1, ::-1],
    "some rows": lambda x: x[7:90:5],
    "some columns": lambda x: x[:, 1:, ::2],
    "one row": lambda x: x[5:6],
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "broadcast within": lambda x: np.broadcast_to(x[:, :1, :1], x.shape),
    "no rows": lambda x: x[:0],
    "rows of no items": lambda x: x[:, :0],
    "new axes": lambda x: x[:, None, :, None],
    "byte-swapped": lambda x: x.astype(">f4"),
    "unaligned": lambda x: np.frombuffer(b"." + x.tobytes(), "f4", offset=1).reshape(x.shape),
    "1-D": lambda x: x[:, 0, 0],
    "matrix": lambda x: x[:, 0].view(np.matrix),
    "bfloat16": lambda x: x.astype(ml_dtypes.bfloat16),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views(dataset: Dataset, engine: str, view: Any) -> None:
    array = view(X)
    made = dataset(array, 10, True, seed=4)
    assert engine_of(made) == engine
    array = np.asarray(array)
    expected = array.view("V2") if array.dtype.name == "bfloat16" else array
    assert_same_dataset(made, expected, epoch_batches(len(array), batch_size=10, seed=4))


@pytest.mark.parametrize("dtype", [d for d in dtypes() if has_tensor_type(d)], ids=str)
def test_dtypes(dataset: Dataset, dtype: np.dtype[Any]) -> None:
    for order in ("C", "F"):
        array = np.array(random_array(dtype, (9, 3, 2)), dtype, order=order)  # type: ignore[call-overload]
        assert_same_dataset(dataset(array, 4), array, epoch_batches(9, batch_size=4))


@pytest.mark.parametrize("options", OPTIONS)
def test_options(dataset: Dataset, save: Save, options: dict[str, Any]) -> None:
    labels = {"file": save(X), "memory": X[::-1], "y": Y}
    nest = {**labels, "cast": npyfast.source(Y, cast="f4", scale=0.5, row_shape=(1,))}
    whole = {
        "file": X,
        "memory": X[::-1],
        "y": Y,
        "cast": (Y * np.float32(0.5)).astype("f4").reshape(-1, 1),
    }
    made = dataset(nest, 8, True, seed=3, **options)
    assert_same_dataset(made, whole, iteration(103, batch_size=8, seed=3, **options))


def test_in_blocks(dataset: Dataset) -> None:
    made = dataset(Y, 10, npyfast.BlockShuffle(5, 20), seed=3)
    assert_same_dataset(made, Y, epoch_batches(103, batch_size=10, seed=3, blocks=(5, 20)))


@pytest.mark.usefixtures("native")
class TestInAGraph:
    def test_a_checkpoint(self, save: Save, tmp_path: Any) -> None:
        def start() -> Any:
            return iter(npyfast.dataset((save(X, "X.npy"), Y), 10, True, seed=3, epochs=2))

        whole = [y.numpy().tolist() for _, y in start()]
        stopped = start()
        for _ in range(13):
            next(stopped)
        path = tf.train.Checkpoint(iterator=stopped).write(str(tmp_path / "checkpoint"))
        resumed = start()
        tf.train.Checkpoint(iterator=resumed).read(path).assert_consumed()
        assert [y.numpy().tolist() for _, y in resumed] == whole[13:]

    def test_by_number(self) -> None:
        made = npyfast.dataset(Y, 10, True, seed=3, epochs=1)
        assert tf.data.experimental.at(made, 4).numpy().tolist() == rows_of(made)[4]

    def test_within_a_function(self) -> None:
        @tf.function
        def total() -> Any:
            result = tf.constant(0, tf.int64)
            for batch in npyfast.dataset(Y, 10, True, seed=3, epochs=1):
                result += tf.reduce_sum(batch)
            return result

        assert total().numpy() == total().numpy() == Y.sum()

    def test_a_graph_of_tensorflow_1(self) -> None:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            made = npyfast.dataset(Y, 10, epochs=1)
            following = tf.compat.v1.data.make_one_shot_iterator(made).get_next()
            assert session.run(following).tolist() == list(range(10))
            with pytest.raises(ValueError, match="a graph of TensorFlow 1 would hold a copy"):
                npyfast.dataset(Y, 10, epochs=1, engine="graph")

    def test_more_than_a_graph_holds(self) -> None:
        large = np.zeros(2**28)[:, np.newaxis]  # which takes no memory until it is touched
        for source in (large, large[::-1], (large[: 2**27], large[2**27 :])):
            with pytest.raises(ValueError, match="holds no more than 2 GiB of arrays in memory"):
                npyfast.dataset(source, 10, engine="graph")
            made = npyfast.dataset(source, 10, epochs=1, rows=slice(0, 20))
            assert len(list(made)) == 2
        assert "2 GiB" in npyfast.build_info()["engine_reason"]
        few = npyfast.dataset(large[:100], 10)
        assert engine_of(few) == "graph"

    def test_it_is_shared_or_copied(self, how: str) -> None:
        array = np.zeros((1000, 100))
        made = npyfast.dataset(array, 10)
        array[:] = 1
        assert next(iter(made)).numpy().min() == (1 if how == "shared" else 0)

    def test_it_is_given_back_with_the_last_iterator(self) -> None:
        array = np.zeros((1000, 100))
        made = npyfast.dataset(array, 10)
        iterator = iter(made)
        next(iterator)
        alive = weakref.ref(array)
        del array, made
        gc.collect()
        assert len(list(iterator)) == 99
        del iterator
        gc.collect()
        npyfast.open(Y)  # drops what TensorFlow's threads have given back
        gc.collect()
        assert alive() is None

    def test_an_array_of_its_own_for_each_dataset(self) -> None:
        first, second = (npyfast.dataset(Y + number, 10) for number in (0, 1000))
        for a, b in zip(rows_of(first), rows_of(second), strict=True):
            assert [row + 1000 for row in a] == b

    def test_a_function_of_two_arrays(self) -> None:
        pair = npyfast.dataset((Y, -Y, Y * 2), 10, True)
        for a, b, c in pair:
            assert (a.numpy() == -b.numpy()).all()
            assert (a.numpy() * 2 == c.numpy()).all()

    @pytest.mark.parametrize(
        "wrong",
        [
            {"offsets": [1]},
            {"offsets": [-1]},
            {"strides": [9]},
            {"strides": [-8]},
            {"strides": [1 << 62]},
            {"strides": []},
            {"strides": [8, 8]},
            {"rows_of_leaf": 104},
            {"row_types": ["int32 ()"]},
            {"kinds": [0]},
        ],
    )
    def test_attributes_that_do_not_fit(self, wrong: dict[str, Any]) -> None:
        attributes, tensor = _attributes()
        _run(attributes, [tensor])
        expected = (tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError)
        with pytest.raises(expected, match="malformed|but the dataset was made of"):
            _run({**attributes, **wrong}, [tensor])

    def test_inputs_that_do_not_fit(self) -> None:
        attributes, tensor = _attributes()
        for tensors in ([], [tensor, tensor], [tensor[:-1]], [tensor[:0]]):
            with pytest.raises(tf.errors.InvalidArgumentError, match="malformed"):
                _run(attributes, tensors)


def _attributes() -> tuple[dict[str, Any], Any]:
    """Those of a dataset of Y, and its input."""
    seen: list[dict[str, Any]] = []

    def attributes(batching: Any, grid: Any, memory: Any) -> dict[str, Any]:
        seen.append(op_attributes(batching, grid, memory))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("npyfast._engines.graph.op_attributes", attributes)
        npyfast.dataset(Y, 10, engine="graph")
    return seen[0], tf.constant(np.frombuffer(Y.tobytes(), np.uint8))


def _run(attributes: dict[str, Any], memory: list[Any]) -> Any:
    index = tf.constant(attributes["first"], tf.int64)
    return load().npyfast_batch(index=index, rows=[], memory=memory, **attributes)
