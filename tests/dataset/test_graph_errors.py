"""What goes wrong with the graph engine is an error of the right kind that names the file; where
the engine is not available at all, `auto` takes the other one and says why.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import processes
import pytest
import tensorflow as tf
from samples import OUT_OF_ORDER, Save
from tensors import engine_of, rows_of

import npyfast
from npyfast._backends.header import Header, header_bytes
from npyfast._batches.batching import Batching
from npyfast._engines import graph as engine

pytestmark = pytest.mark.usefixtures("native")

Y = np.arange(103)

# Of two numbers, which take 16 bytes.
HEADER = header_bytes(Header((3, 0), (2,), np.dtype("f8"), False, 0))


def graph(source: Any, *arguments: Any, **options: Any) -> Any:
    return npyfast.dataset(source, *arguments, **options, engine="graph")


def run(script: str, *arguments: Any, backend: str = "native") -> Any:
    """What a script prints last, as JSON. TensorFlow writes to stderr what it likes."""
    out, _ = processes.finish(processes.start(script, *arguments, backend=backend))
    return json.loads(out.splitlines()[-1])


class TestFilesThatChange:
    def test_a_file_that_is_removed(self, save: Save) -> None:
        path = save(Y)
        made = graph(path, 10, True)
        os.remove(path)
        with pytest.raises(tf.errors.NotFoundError) as caught:
            next(iter(made))
        assert path in str(caught.value)

    def test_a_folder_that_is_removed(self, save: Save) -> None:
        path = save(Y, "folder/y.npy")
        made = graph((save(Y), path), 10, True)
        os.remove(path)
        os.rmdir(os.path.dirname(path))
        with pytest.raises(tf.errors.NotFoundError, match="folder/y.npy"):
            list(made)

    def test_a_file_that_may_not_be_read(self, save: Save) -> None:
        path = save(Y)
        kind, message = run(
            "unreadable_file.py",
            path,
        )
        assert kind == "PermissionDeniedError"
        assert path in message

    @pytest.mark.parametrize("other", [Y + 1, Y[:50], Y.astype("f4"), Y[:, None]], ids=str)
    def test_a_file_that_is_replaced(self, save: Save, other: Any) -> None:
        path = save(Y)
        made = graph(path, 10)
        os.replace(save(other), path)
        with pytest.raises(tf.errors.FailedPreconditionError) as caught:
            next(iter(made))
        assert f"{path}: was changed or replaced" in str(caught.value)
        assert "make the dataset again" in str(caught.value)
        again = graph(path, 10)
        assert rows_of(again) == [other[i : i + 10].tolist() for i in range(0, len(other), 10)]

    def test_a_file_that_is_written_in_place(self, save: Save) -> None:
        path = save(Y)
        made = graph(path, 10)
        with open(path, "r+b") as file:
            file.seek(-8, os.SEEK_END)
            file.write(b"\1" * 8)
        with pytest.raises(tf.errors.FailedPreconditionError) as caught:
            next(iter(made))
        assert f"{path}: was changed or replaced" in str(caught.value)
        assert rows_of(graph(path, 10))[-1][-1] == 0x0101010101010101

    @pytest.mark.parametrize("keep", [0, 5, 100, 500])
    def test_a_file_that_is_truncated(self, save: Save, keep: int) -> None:
        path = save(Y)
        made = graph(path, 10)
        os.truncate(path, keep)
        with pytest.raises(tf.errors.FailedPreconditionError) as caught:
            next(iter(made))
        assert path in str(caught.value)

    def test_the_same_file_under_another_dataset_lives_on(self, save: Save) -> None:
        """A replaced file is another file: iterators that read the old one have it."""
        path = save(Y)
        iterator = iter(graph(path, 10))
        next(iterator)
        os.replace(save(Y + 1), path)
        assert rows_of(iterator) == rows_of(np.split(Y, range(10, 103, 10))[1:])
        assert rows_of(graph(path, 103)) == [(Y + 1).tolist()]

    def test_one_shard_of_many(self, save: Save) -> None:
        paths = [save(Y, f"parts/{i}.npy") for i in range(3)]
        made = graph(paths, 10)
        os.replace(save(Y), paths[1])
        with pytest.raises(tf.errors.FailedPreconditionError, match="parts/1.npy: was changed"):
            next(iter(made))

    def test_the_error_comes_again_and_goes_away_with_its_cause(self, save: Save) -> None:
        path = save(Y)
        made = graph(path, 10)
        os.rename(path, path + ".away")
        for _ in range(3):
            with pytest.raises(tf.errors.NotFoundError):
                next(iter(made))
        assert len(rows_of(graph(path + ".away", 10))) == 11

    def test_within_the_last_step_of_a_pipeline(self, save: Save) -> None:
        path = save(Y)
        made = graph(path, 10).map(lambda y: y, num_parallel_calls=2).prefetch(2)
        os.remove(path)
        with pytest.raises(tf.errors.NotFoundError) as caught:
            list(made)
        assert path in str(caught.value)


class TestAnotherMachine:
    """A dataset that travels is checked by what the files hold, not by when they were changed."""

    @pytest.fixture(autouse=True)
    def elsewhere(self, native: None, monkeypatch: pytest.MonkeyPatch) -> None:
        original = engine.op_attributes
        monkeypatch.setattr(
            engine,
            "op_attributes",
            lambda *arguments: {**original(*arguments), "machine": "another machine"},
        )

    def test_the_same_array(self, save: Save) -> None:
        path = save(Y)
        made = graph(path, 10)
        os.replace(save(Y), path)
        assert len(rows_of(made)) == 11

    @pytest.mark.parametrize("other", [Y[:50], Y.astype("f4"), Y[:, None]], ids=str)
    def test_another_array(self, save: Save, other: Any) -> None:
        path = save(Y)
        made = graph(path, 10)
        os.replace(save(other), path)
        with pytest.raises(tf.errors.FailedPreconditionError) as caught:
            next(iter(made))
        assert f"{path}: holds {len(other)} rows of" in str(caught.value)
        assert "but the dataset was made of 103 rows of" in str(caught.value)

    @pytest.mark.parametrize("keep", [0, 5, 100, 500])
    def test_a_truncated_file(self, save: Save, keep: int) -> None:
        path = save(Y)
        made = graph(path, 10)
        os.truncate(path, keep)
        with pytest.raises(tf.errors.DataLossError) as caught:
            next(iter(made))
        assert path in str(caught.value)

    def test_no_array_at_all(self, save: Save) -> None:
        path = save(Y)
        made = graph(path, 10)
        Path(path).write_text("no array at all\n" * 100)
        with pytest.raises(tf.errors.DataLossError) as caught:
            next(iter(made))
        assert path in str(caught.value)

    def test_a_folder(self, save: Save) -> None:
        path = save(Y)
        made = graph(path, 10)
        os.remove(path)
        os.mkdir(path)
        with pytest.raises(tf.errors.OpError) as caught:
            next(iter(made))
        assert path in str(caught.value)


def test_text_that_has_no_utf8(save: Save) -> None:
    words = np.array(["fine", "?"])
    words.view("u4").reshape(2, -1)[1, 0] = 0xD800
    path = save(words)
    with pytest.raises(tf.errors.InvalidArgumentError, match="code point 55296"):
        list(graph(path))
    # The other engine leaves it to TensorFlow.
    with pytest.raises(tf.errors.OpError, match="Unable to convert element to UTF-8"):
        list(npyfast.dataset(path, engine="generator"))


class TestTheOp:
    """Called directly, with what no dataset gives it: an error, never a crash."""

    @pytest.fixture
    def attributes(self, save: Save) -> dict[str, Any]:
        """Those of a good dataset: three columns of two leaves, one of them text."""
        records = np.zeros(103, [("a", "f4", (2,)), ("b", "U3")])
        source = (save(records), save(Y))
        seen: list[dict[str, Any]] = []
        original = engine.op_attributes

        def attributes(batching: Batching, grid: Any, memory: Any) -> dict[str, Any]:
            seen.append(original(batching, grid, memory))
            return seen[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "op_attributes", attributes)
            graph(source, 10, True, seed=1, epochs=2)
        return {**seen[0], "first": 0, "stride": 1}

    @staticmethod
    def batch(index: Any, attributes: dict[str, Any], rows: Any = ()) -> Any:
        return engine.load().npyfast_batch(index=index, rows=list(rows), memory=[], **attributes)

    def test_as_it_is(self, attributes: dict[str, Any]) -> None:
        a, b, y = self.batch(tf.constant(0, tf.int64), attributes)
        assert a.shape == (10, 2)
        assert b.dtype == tf.string
        assert len(set(y.numpy().tolist())) == 10

    @pytest.mark.parametrize("index", [22, 23, (1 << 63) - 1])
    def test_an_index_out_of_range(self, attributes: dict[str, Any], index: int) -> None:
        with pytest.raises(tf.errors.OutOfRangeError, match=f"batch {index} is out of range"):
            self.batch(tf.constant(index, tf.int64), attributes)

    @pytest.mark.parametrize("index", [-1, -(1 << 63)])
    @pytest.mark.parametrize("first", [0, 5])
    def test_an_index_before_the_first(
        self, attributes: dict[str, Any], index: int, first: int
    ) -> None:
        with pytest.raises(tf.errors.FailedPreconditionError, match="of another dataset"):
            self.batch(tf.constant(index, tf.int64), {**attributes, "first": first})

    @pytest.mark.parametrize("name", ["order_version", "block_order_version"])
    def test_another_version_of_the_order(self, attributes: dict[str, Any], name: str) -> None:
        blocks = {**attributes, name: 2, "block_rows": 3, "window_rows": 20}
        with pytest.raises(tf.errors.FailedPreconditionError, match="the same version of npyfast"):
            self.batch(tf.constant(0, tf.int64), blocks)
        in_order = {**blocks, "shuffle": False}
        assert len(self.batch(tf.constant(0, tf.int64), in_order)) == 3

    @pytest.mark.parametrize("index", [(1 << 63) - 1])
    def test_an_index_out_of_an_endless_range(self, attributes: dict[str, Any], index: int) -> None:
        endless = {**attributes, "epochs": -1}
        assert len(self.batch(tf.constant(1 << 61, tf.int64), endless)) == 3
        with pytest.raises(tf.errors.OutOfRangeError, match=f"batch {index} is out of range"):
            self.batch(tf.constant(index, tf.int64), endless)

    def test_an_index_that_is_no_scalar(self, attributes: dict[str, Any]) -> None:
        for index in ([0, 1], np.zeros((0,), np.int64), np.zeros((2, 2), np.int64)):
            with pytest.raises(tf.errors.InvalidArgumentError, match="index must be a scalar"):
                self.batch(tf.constant(index, tf.int64), attributes)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"shards": []},
            {"shards": [1]},
            {"shards": [2, 1]},
            {"shards": [0, 2]},
            {"shards": [-1, 3]},
            {"shards": [1 << 62, 1 << 62]},
            {"files": []},
            {"files": ["", ""]},
            {"stamps": []},
            {"stamps": [1, 2, 3]},
            {"kinds": [0]},
            {"kinds": [0, 3]},
            {"kinds": [0, -1]},
            {"kinds": [0, 1]},
            {"kinds": [0, 2]},
            {"kinds": [0, 1], "headers": [HEADER]},
            {"kinds": [0, 1], "headers": [HEADER], "offsets": [-1]},
            {"kinds": [0, 1], "headers": ["no header"], "offsets": [0]},
            {"kinds": [0, 1], "headers": [HEADER] * 2, "offsets": [0, 0]},
            {"headers": [HEADER], "offsets": [0]},
            {"casts": [""]},
            {"casts": ["", "no header"]},
            {"casts": ["", HEADER], "scales": ["", "no header"]},
            {"casts": ["", HEADER], "shifts": ["", HEADER]},
            {"casts": ["", HEADER], "scales": ["", HEADER + bytes(17)]},
            {"row_types": ["<f4"]},
            {"row_types": ["", ""]},
            {"rows_of_leaf": -1},
            {"rows_of_leaf": 1 << 60},
            {"types": [tf.float32]},
            {"types": [tf.float32, tf.string, tf.string]},
            {"types": [tf.float64, tf.string, tf.int64]},
            {"types": [tf.float32, tf.string, tf.int32]},
            {"types": [tf.float32, tf.string, tf.resource]},
            {"types": [tf.float32, tf.string, tf.variant]},
            {"types": [tf.float32, tf.int32, tf.int64]},
            {"texts": ["", "U"]},
            {"texts": ["", "", ""]},
            {"texts": ["S", "U", ""]},
            {"ranks": [1, 0]},
            {"ranks": [2, 0, 0]},
            {"ranks": [-1, 0, 0]},
            {"ranks": [1 << 62, 0, 0]},
            {"ranks": [0, 0, 0]},
            {"dims": []},
            {"dims": [3]},
            {"dims": [-2]},
            {"dims": [1 << 62]},
            {"dims": [-(1 << 63)]},
            {"dims": [1 << 33, 1 << 33], "ranks": [2, 0, 0]},
            {"selection": []},
            {"selection": [0, 1]},
            {"selection": [0, 1, 104]},
            {"selection": [0, 2, 103]},
            {"selection": [-1, 1, 103]},
            {"selection": [103, 1, 1]},
            {"selection": [5, -1, 7]},
            {"selection": [0, 1, -1]},
            {"selection": [0, 1 << 62, 103]},
            {"selection": [0, 1, (1 << 63) - 1]},
            {"selection_order": [103]},
            {"selection_order": [103, 0, 0]},
            {"selection_order": [104, 0]},
            {"selection_order": [-103, 0]},
            {"selection_order": [(1 << 62) + 1, 0]},
            {"selection_order": [103, 0], "selection": [1, 1, 103]},
            {"selection_order": [103, 0], "selection": [0, -1, 2]},
            {"batch_size": 0},
            {"batch_size": -1},
            {"batch_size": 1 << 31},
            {"batch_size": (1 << 63) - 1},
            {"shard_count": 0},
            {"shard_count": 1 << 31},
            {"shard_index": 1},
            {"shard_index": -1},
            {"block_rows": -1, "window_rows": 10},
            {"block_rows": 5},
            {"block_rows": 5, "window_rows": -1},
            {"start_batch": -1},
            {"start_batch": 12},
            {"stride": 0},
            {"stride": -1},
            {"first": -1},
            {"threads": -1},
        ],
        ids=str,
    )
    def test_malformed_attributes(self, attributes: dict[str, Any], wrong: dict[str, Any]) -> None:
        with pytest.raises(tf.errors.OpError) as caught:
            self.batch(tf.constant(0, tf.int64), {**attributes, **wrong})
        if "rows_of_leaf" in wrong or wrong.get("row_types") == ["", ""]:
            # Well-formed, but not what the file holds.
            assert isinstance(caught.value, tf.errors.FailedPreconditionError)
        elif wrong.get("files") == ["", ""]:
            assert isinstance(caught.value, tf.errors.NotFoundError)
        else:
            assert isinstance(caught.value, tf.errors.InvalidArgumentError)
            assert "NpyfastBatch: malformed attributes: " in str(caught.value)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"threads": 1 << 33},
            {"epochs": 0},
            {"epochs": (1 << 63) - 1},
            {"epochs": -(1 << 63)},
            {"start_epoch": -1},
            {"start_epoch": (1 << 63) - 1},
            {"seed": -1},
        ],
        ids=str,
    )
    def test_odd_attributes_are_no_crash(
        self, attributes: dict[str, Any], wrong: dict[str, Any]
    ) -> None:
        for index in (0, 1, 10, 11):
            try:
                columns = self.batch(tf.constant(index, tf.int64), {**attributes, **wrong})
            except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError):
                continue
            assert [len(column) for column in columns] == [3 if index == 10 else 10] * 3

    @pytest.mark.parametrize(
        "rows",
        [[], [0], [0, 1, 103], [0, 1, -1], [0, 1, 2, 3], [0, 1, (1 << 63) - 1], [-(1 << 63)] * 3],
        ids=str,
    )
    def test_a_list_of_rows_that_does_not_fit(
        self, attributes: dict[str, Any], rows: list[int]
    ) -> None:
        listed = {**attributes, "selection": [0, 1, 3]}
        index = tf.constant(0, tf.int64)
        assert self.batch(index, listed, [tf.constant([5, 0, 102], tf.int64)])
        with pytest.raises(tf.errors.InvalidArgumentError, match="malformed attributes: .*row"):
            self.batch(index, listed, [tf.constant(rows, tf.int64)])

    def test_a_list_of_rows_of_a_split(self, attributes: dict[str, Any]) -> None:
        both = {**attributes, "selection": [0, 1, 3], "selection_order": [103, 0]}
        with pytest.raises(tf.errors.InvalidArgumentError, match="attributes: selection_order"):
            self.batch(tf.constant(0, tf.int64), both, [tf.constant([5, 0, 102], tf.int64)])

    def test_numbers_of_no_iteration(self) -> None:
        count = functools.partial(engine.load().npyfast_iteration, seed=1, seed2=2, file="X.npy")
        with pytest.raises(tf.errors.FailedPreconditionError, match="X.npy.*of another dataset"):
            count(numbers=tf.constant([1, 2], tf.int64))
        for numbers in ([], [1], [1, 2, 3]):
            with pytest.raises(tf.errors.InvalidArgumentError, match="two numbers"):
                count(numbers=tf.constant(numbers, tf.int64))


class TestWhatItCannotDeliver:
    def test_a_transform(self, save: Save) -> None:
        path = save(Y)
        with pytest.raises(ValueError, match="engine='graph' is not available.*transform"):
            graph(path, transform=lambda y: y)
        made = npyfast.dataset(path, 10, transform=lambda y: y + 1)
        assert engine_of(made) == "generator"
        assert rows_of(made)[0] == list(range(1, 11))

    def test_an_array_whose_fields_are_out_of_order(self, save: Save) -> None:
        array = np.zeros(30, np.dtype(OUT_OF_ORDER))  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="engine='graph' is not available.*in memory has fi"):
            graph((save(np.zeros(30)), array))
        assert engine_of(npyfast.dataset(array)) == "generator"

    def test_files_by_default(self, save: Save) -> None:
        assert engine_of(npyfast.dataset((save(Y), [save(Y)]))) == "graph"
        assert engine_of(npyfast.dataset(save(Y), engine="generator")) == "generator"
        info = npyfast.build_info()
        assert info["engine"] == "graph"
        assert "loaded" in info["engine_reason"]


@pytest.mark.parametrize("library", ["missing", "text", "empty", "another"])
@pytest.mark.slow
def test_a_library_that_cannot_be_loaded(save: Save, tmp_path: Path, library: str) -> None:
    place = tmp_path / "library.so"
    if library == "text":
        place.write_text("no library\n")
    elif library == "empty":
        place.touch()
    elif library == "another":
        # Some library that knows nothing of ours.
        place = Path(importlib.import_module("npyfast._core").__file__ or "")
    rows, error, name, reason = run("dataset_with_library.py", save(Y), place)
    assert rows == [Y[:60].tolist(), Y[60:].tolist()]
    assert error == (
        f"engine='graph' is not available: {reason}; omit `engine` to fall back to the generator"
    )
    assert name == "generator"
    if library == "missing":
        assert reason == "npyfast was installed without library.so"
    else:
        assert f"TensorFlow {tf.__version__} can't load {place}: " in reason


@pytest.mark.slow
def test_the_numpy_backend_takes_the_generator(save: Save) -> None:
    rows, name, reason, error = run(
        "dataset_by_numpy.py",
        save(Y),
        backend="numpy",
    )
    assert rows == [Y[:60].tolist(), Y[60:].tolist()]
    assert name == "generator"
    assert reason == "the graph engine needs the native backend, not numpy"
    assert "engine='graph' is not available" in error
    assert "native" in error


@pytest.mark.parametrize("backend", ["native", "numpy"])
def test_build_info_does_not_import_tensorflow(backend: str) -> None:
    name, reason, imported = run(
        "build_info_without_tensorflow.py",
        backend=backend,
    )
    assert not imported
    assert name == ("graph" if backend == "native" else "generator")
    if backend == "native":
        assert "TensorFlow is imported, which it has not been" in reason
