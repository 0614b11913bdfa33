"""`npyfast.keras_dataset` by index, without a model: the batches, their order, and bad input."""

from __future__ import annotations

import gc
import itertools
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras  # type: ignore[import-untyped]
import ml_dtypes
import numpy as np
import pytest
from expected import OPTIONS, assert_same, element, epoch_rows
from samples import STRUCTURED, Save, random_array

import npyfast

BACKEND = keras.backend.backend()

pytestmark = pytest.mark.usefixtures("backend")

X = random_array(np.dtype("f4"), (103, 2, 3))
Y = np.arange(103)

SHUFFLES: list[dict[str, Any]] = [
    {"shuffle": False},
    {"shuffle": True, "seed": 3},
    {"shuffle": npyfast.BlockShuffle(5, 20), "seed": 3},
]


def of_batches(
    source: Any, *args: Any, start_epoch: int = 0, epochs: int = 3, **options: Any
) -> list[list[Any]]:
    """The epochs of npyfast.batches."""
    made = npyfast.batches(source, *args, start_epoch=start_epoch, **options)
    return [list(made) for _ in range(epochs)]


def by_numbers(element: Any) -> Any:
    x, y = element
    return {"x": x + 1, "y": (y, np.float32(2) * y)}


@pytest.fixture
def source(save: Save) -> Any:
    return save(X), save(Y)


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize(
    "options",
    [
        *({k: v for k, v in o.items() if k not in ("epochs", "start_batch")} for o in OPTIONS),
        {"transform": by_numbers},
        {"transform": by_numbers, "transform_threads": 2},
        {"threads": 1, "readahead": "off"},
    ],
)
def test_epochs_are_those_of_batches(source: Any, shuffle: Any, options: Any) -> None:
    options = {**shuffle, **options}
    made = npyfast.keras_dataset(source, 10, **options)
    for expected in of_batches(source, 10, **options):
        assert len(made) == made.num_batches == len(expected)
        for index, batch in enumerate(expected):
            assert_same(made[index], batch)
        made.on_epoch_end()


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_any_index_in_any_order(source: Any, shuffle: Any) -> None:
    made = npyfast.keras_dataset(source, 10, **shuffle)
    random = np.random.default_rng(0)
    for expected in of_batches(source, 10, **shuffle):
        for index in random.integers(-11, 11, 60):
            assert_same(made[index], expected[index])
        for index in range(11):  # in sequence after all, and back every now and then
            assert_same(made[index], expected[index])
            assert_same(made[index // 2], expected[index // 2])
        assert_same(list(made)[3], expected[3])
        made.on_epoch_end()


@pytest.mark.parametrize("shuffle", SHUFFLES[:2])
def test_any_index_of_a_part_and_a_worker(source: Any, shuffle: Any) -> None:
    part, _ = npyfast.split(source, 0.8, seed=1)
    for rows in (part, np.arange(0, 103, 2), slice(None, None, -3)):
        options = {**shuffle, "rows": rows, "shard": (1, 2)}
        made = npyfast.keras_dataset(source, 4, **options)
        for expected in of_batches(source, 4, epochs=2, **options):
            for index in reversed(range(len(expected))):
                assert_same(made[index], expected[index])
            made.on_epoch_end()


@pytest.mark.parametrize("dtype", STRUCTURED[:3])
def test_structures_and_nests(save: Save, dtype: Any) -> None:
    records = random_array(np.dtype(dtype), (103,))
    nest = ({"records": save(records), "x": npyfast.source(save(X), cast="float64", scale=3)}, Y)
    made = npyfast.keras_dataset(nest, 10, True, seed=2)
    (expected,) = of_batches(nest, 10, True, seed=2, epochs=1)
    for index in (0, 1, 7, 2, 10, 3):
        assert_same(made[index], expected[index])


def test_objects_of_other_packages(save: Save) -> None:
    class Lazy:
        shape, dtype = X.shape, X.dtype

        def __getitem__(self, index: Any) -> Any:
            return X[index]

    made = npyfast.keras_dataset((Lazy(), Y), 10, True, seed=2)
    (expected,) = of_batches((X, Y), 10, True, seed=2, epochs=1)
    for index in (0, 1, 7, 2, 10, 3):
        assert_same(made[index], expected[index])


def test_several_files_and_archives(tmp_path: Path, save: Save) -> None:
    np.savez(tmp_path / "all.npz", x=np.asfortranarray(X), y=Y.astype(">i4"))
    parts = [save(X[:40]), save(X[40:])]
    for nest, whole in (
        (str(tmp_path / "all.npz"), {"x": X, "y": Y.astype("i4")}),
        ((parts, Y), (X, Y)),
    ):
        made = npyfast.keras_dataset(nest, 10, True, seed=4)
        for index in (3, 4, 5, 0, 1, 10):
            rows = epoch_rows(103, seed=4)[index * 10 : index * 10 + 10]
            assert_same(made[index], element(whole, rows))


@pytest.mark.parametrize("index", [11, -12, 2**70, -(2**70), np.int64(11)])
def test_an_index_out_of_range(source: Any, index: Any) -> None:
    made = npyfast.keras_dataset(source, 10)
    with pytest.raises(IndexError, match="is out of range: this epoch has 11 batches"):
        made[index]
    assert_same(made[-1], made[10])


@pytest.mark.parametrize("index", [1.0, slice(0, 2), "1", None, [1]])
def test_an_index_that_is_no_int(source: Any, index: Any) -> None:
    with pytest.raises(TypeError, match="the index of a batch is an int"):
        npyfast.keras_dataset(source, 10)[index]


def test_no_rows() -> None:
    made = npyfast.keras_dataset(np.zeros((0, 3), "f4"), 10, True)
    assert len(made) == 0
    assert list(made) == []
    made.on_epoch_end()
    with pytest.raises(IndexError, match="this epoch has 0 batches"):
        made[0]


def test_set_epoch(source: Any) -> None:
    made = npyfast.keras_dataset(source, 10, True, seed=3, start_epoch=2)
    epochs = of_batches(source, 10, True, seed=3, epochs=8)
    assert made.epoch == 2
    assert_same(made[0], epochs[2][0])
    made.set_epoch(5, 4)
    assert_same(tuple(made), tuple(epochs[5][4:]))
    assert_same(made[4], epochs[5][4])  # an index is that of the epoch
    made.on_epoch_end()
    assert made.epoch == 6
    assert_same(tuple(made), tuple(epochs[6]))
    made.set_epoch(np.int64(7), 11)
    assert list(made) == []


@pytest.mark.parametrize("place", [(-1,), (1.5,), (True,), (2**62,), (0, -1), (0, 12), (0, "1")])
def test_set_epoch_refuses_what_is_none(source: Any, place: Any) -> None:
    made = npyfast.keras_dataset(source, 10, True, seed=3)
    made[0]
    with pytest.raises(ValueError, match="(epoch|batch) must be an int"):
        made.set_epoch(*place)
    assert made.epoch == 0


def test_threads_get_what_they_ask_for(source: Any) -> None:
    made = npyfast.keras_dataset(source, 2, True, seed=3)
    (expected,) = of_batches(source, 2, True, seed=3, epochs=1)
    numbers = [*range(52), *reversed(range(52))] * 3
    with ThreadPoolExecutor(4) as pool:
        for number, batch in zip(numbers, pool.map(made.__getitem__, numbers), strict=True):
            assert_same(batch, expected[number])
    assert npyfast.statistics(made).batches == len(numbers)


def test_in_sequence_one_stream_makes_all(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from npyfast._batches.batching import Batching

    begun = []
    stream = Batching.stream
    monkeypatch.setattr(
        Batching, "stream", lambda self, run, **more: begun.append(run) or stream(self, run, **more)
    )
    made = npyfast.keras_dataset(source, 10, True, seed=3)
    for index in (0, 1, *range(11)):  # as TensorFlow's backend reads
        made[index]
    assert [run.start_batch for run in begun] == [0]
    assert npyfast.statistics(made).rows == 103 + 20
    made.on_epoch_end()
    for index in (5, 0, 4, 5, 6, 7, 3, 8):  # elsewhere; from 4 on in sequence
        made[index]
    assert [(run.start_epoch, run.start_batch) for run in begun] == [(0, 0), (1, 0), (1, 5)]


def test_close(source: Any) -> None:
    made = npyfast.keras_dataset(source, 10, True, transform=by_numbers, workers=2)
    made[0]
    made.close()
    made.close()
    with pytest.raises(ValueError, match="the dataset was closed"):
        made[1]
    with pytest.raises(ValueError, match="the dataset was closed"):
        pickle.dumps(made)
    assert len(made) == 11
    assert npyfast.statistics(made).batches == 1
    assert "11 batches of 10" in npyfast.describe(made)


def test_closing_lets_go_of_files_and_arrays(source: Any) -> None:
    array = np.zeros(103, "f4")
    gone = weakref.ref(array)
    made = npyfast.keras_dataset((source[0], array), 10, True)
    made[0], made[5]
    del array
    made.close()
    gc.collect()
    assert gone() is None
    assert source[0] not in Path("/proc/self/maps").read_text()


def test_statistics_and_describe(source: Any, backend: str) -> None:
    made = npyfast.keras_dataset(source, 10, True, seed=3)
    for index in (0, 1, 5):
        made[index]
    spent = npyfast.statistics(made)
    assert (spent.batches, spent.rows, spent.bytes) == (3, 30, 30 * (24 + 8))
    assert made.statistics.rows == 30
    assert spent.seconds > 0
    text = npyfast.describe(made)
    assert "11 batches of 10 of 103 rows, shuffled with seed 3" in text
    assert "to Keras" in text
    assert f"backend {backend}" in text
    assert repr(made).startswith("<npyfast.keras_dataset: 11 batches of 10 of 103 rows")


def test_a_pickled_one_gives_the_same(source: Any) -> None:
    made = npyfast.keras_dataset(source, 10, True)  # the seed that was drawn
    made.set_epoch(4)
    again = pickle.loads(pickle.dumps(made))
    assert again.epoch == 4
    assert again.seed == made.seed
    for mine, theirs in zip(made, again, strict=True):
        assert_same(mine, theirs)


@pytest.mark.parametrize("dtype", ["S3", "U2", "M8[s]", "m8[D]", "g", "G", "V5"])
def test_types_that_keras_lacks(save: Save, dtype: str) -> None:
    path = save(random_array(np.dtype(dtype), (9, 2)), "labels.npy")
    with pytest.raises(TypeError, match="labels.npy: Keras has no type for .*: convert"):
        npyfast.keras_dataset(path, 4)
    made = npyfast.keras_dataset(path, 4, transform=lambda labels: np.zeros(len(labels), "f4"))
    assert_same(made[0], np.zeros(4, "f4"))
    made = npyfast.keras_dataset(path, 4, transform=lambda labels: labels)
    with pytest.raises(TypeError, match="the transform's result: Keras has no type for"):
        made[0]


def test_unsigned_64_bit() -> None:
    source = np.arange(9, dtype="u8")
    if BACKEND == "torch":
        with pytest.raises(TypeError, match="PyTorch's backend has no type for uint64: convert"):
            npyfast.keras_dataset(source, 4)
    else:
        assert_same(npyfast.keras_dataset(source, 4)[1], source[4:8])


TYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "f2", "f4", "f8", "F", "D"]


@pytest.mark.parametrize("dtype", TYPES)
def test_types_that_keras_takes(save: Save, dtype: str) -> None:
    array = np.arange(18).reshape(9, 2).astype(dtype)
    made = npyfast.keras_dataset(save(array), 4)
    assert_same(made[1], array[4:8])
    keras.ops.convert_to_tensor(made[1])


def test_bfloat16(save: Save) -> None:
    array = np.arange(9).astype(ml_dtypes.bfloat16)
    path = save(array.view("V2"))
    for made in (
        npyfast.keras_dataset(path, 4),
        npyfast.keras_dataset(path, 4, transform=lambda batch: batch),
    ):
        assert made[0].dtype == ml_dtypes.bfloat16
        assert (made[1] == array[4:8]).all()


def test_tuples_of_more_than_keras_takes(source: Any) -> None:
    x, y = source
    with pytest.raises(ValueError, match="got a tuple of 4: several inputs are one tuple or dict"):
        npyfast.keras_dataset((x, x, y, y), 10)
    with pytest.raises(ValueError, match="got a tuple of 0"):
        npyfast.keras_dataset(source, 10, transform=lambda batch: ())[0]
    assert len(npyfast.keras_dataset(((x, x, y, y), y), 10)[0][0]) == 4


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"epochs": 3}, TypeError, "has no option 'epochs': an epoch is one pass, and model.fit"),
        ({"start_batch": 3}, TypeError, "has no option 'start_batch': set_epoch"),
        ({"engine": "graph"}, TypeError, "an option of npyfast.dataset only"),
        ({"scale": 3}, TypeError, "it is an option of npyfast.source"),
        ({"use_multiprocessing": True}, ValueError, "use_multiprocessing must be False, got True"),
        ({"use_multiprocessing": 1}, ValueError, "use_multiprocessing must be True or False"),
        ({"workers": -1}, ValueError, "workers must be an int"),
        ({"max_queue_size": 0}, ValueError, "max_queue_size must be an int of at least 1"),
        ({"start_epoch": -1}, ValueError, "start_epoch must be an int"),
        ({"batch_size": 0}, ValueError, "batch_size must be an int"),
    ],
)
def test_options_that_it_does_not_take(
    source: Any, options: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        npyfast.keras_dataset(source, **options)


def test_workers_run_the_transform(source: Any) -> None:
    names = set()
    both = threading.Barrier(2, timeout=60)

    def transform(batch: Any) -> Any:
        names.add(threading.current_thread().name)
        if len(batch[0]) == 10:
            both.wait()  # which one thread alone would never pass
        return batch

    made = npyfast.keras_dataset(source, 10, transform=transform, workers=2)
    assert len(list(itertools.islice(made, 10))) == 10
    assert len(names) >= 2
    made.close()
    assert made.workers == 1
    assert made.use_multiprocessing is False
    with pytest.raises(ValueError, match="workers cannot be set to 3 later"):
        made.workers = 3
    with pytest.raises(ValueError, match="use_multiprocessing must be False"):
        made.use_multiprocessing = True


def test_a_file_that_changes_is_an_error(save: Save) -> None:
    path = save(X, "X.npy")
    made = npyfast.keras_dataset(path, 10)
    save(X[:50], "X.npy")
    for index in (7, 0):  # at once; in sequence
        with pytest.raises((ValueError, OSError), match="X.npy"):
            made[index]
