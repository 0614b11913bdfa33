"""Windows and slices of sources as a tf.data.Dataset, by every engine."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras  # type: ignore[import-untyped]
import numpy as np
import pytest
import tensorflow as tf
from direct_reads import has_direct_reads, memory_of
from expected import assert_same, epoch_batches, in_native_order
from samples import Dataset, Save, in_order, random_array
from tensors import assert_same_dataset, engine_of
from windows import rows_of

import npyfast


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": 3},
        {"seed": 3, "blocks": (5, 20)},
        {"seed": 3, "shard": (1, 3), "drop_remainder": True},
        {"rows": slice(2, None, 3), "seed": 1},
        {"rows": np.arange(70) % 3 > 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("readahead", ["auto", "off", "whole", "rows"])
def test_every_engine(
    dataset: Dataset, save: Save, engine: str, options: dict[str, Any], readahead: str
) -> None:
    """Windows, tiles, and labels that a slice aligns with them."""
    series = [random_array(np.dtype(">i2"), (n, 3), n) for n in (43, 41)]
    scenes = [random_array(np.dtype("u1"), (*s, 2), 1) for s in ((12, 11), (9, 16))]
    y = np.arange(99)
    nest = {
        "series": npyfast.source([save(s) for s in series], window=8, rows=slice(70)),
        "tiles": npyfast.source(
            [save(in_order(s, "CF"[i])) for i, s in enumerate(scenes)],
            window=(4, 5),
            stride=(1, 2),
            rows=slice(1, 71),
        ),
        "cast": npyfast.source(save(series[0]), window=(8, 2), cast="f4", scale=0.5),
        "memory": npyfast.source(scenes[0][::-1], window=(2, 3), rows=slice(3, 73)),
        "y": npyfast.source(save(y), rows=slice(29, None)),
    }
    whole = {
        "series": rows_of(series, (8,), (1,), slice(70)),
        "tiles": rows_of(scenes, (4, 5), (1, 2), slice(1, 71)),
        "cast": rows_of(series[:1], (8, 2), (1, 1))[:70],
        "memory": rows_of([scenes[0][::-1]], (2, 3), (1, 1), slice(3, 73)),
        "y": y[29:],
    }
    whole["cast"] = whole["cast"].astype("f4") * np.float32(0.5)
    nest["cast"] = npyfast.source(
        save(series[0]), window=(8, 2), rows=slice(70), cast="f4", scale=0.5
    )
    given = {k: v for k, v in options.items() if k != "blocks"}
    shuffle: Any = "seed" in options
    if "blocks" in options:
        shuffle = npyfast.BlockShuffle(*options["blocks"])
    made = dataset(nest, 10, shuffle, readahead=readahead, **given)
    batches = epoch_batches(70, batch_size=10, **options)
    assert_same_dataset(made, {k: in_native_order(v, v.dtype) for k, v in whole.items()}, batches)
    assert engine_of(made) == engine


def test_split(dataset: Dataset, save: Save) -> None:
    tokens = np.arange(500, dtype="u2")
    leaf = npyfast.source(save(tokens), window=33)
    parts = npyfast.split(leaf, 0.75, seed=1)
    found = [
        sorted(int(row[0]) for batch in dataset(leaf, 7, True, rows=part) for row in batch)
        for part in parts
    ]
    assert sorted(found[0] + found[1]) == list(range(468))
    assert len(found[0]) == 351


def test_checkpoints(native: None, save: Save, tmp_path: Path) -> None:
    path = save(np.arange(4000).reshape(50, 80))

    def made(**view: Any) -> Any:
        return npyfast.dataset(npyfast.source(path, **view), 16, True, seed=1, engine="graph")

    view = {"window": (5, 9), "stride": (2, 3), "rows": slice(3, -2)}
    whole = [batch.numpy()[:, 0, 0].tolist() for batch in made(**view)]
    iterator = iter(made(**view))
    for _ in range(11):
        next(iterator)
    saved = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "c"))
    restored = iter(made(**view))
    tf.train.Checkpoint(iterator=restored).restore(saved)
    assert [batch.numpy()[:, 0, 0].tolist() for batch in restored] == whole[11:]
    for other in ({**view, "stride": (2, 4)}, {**view, "rows": slice(2, -3)}):
        checkpoint = tf.train.Checkpoint(iterator=iter(made(**other)))
        with pytest.raises(tf.errors.FailedPreconditionError, match="of another dataset"):
            checkpoint.restore(saved)
    once = npyfast.dataset(npyfast.source(path, **view), 16, True, seed=1, epochs=1, engine="graph")
    assert tf.data.experimental.at(once, 5).numpy()[:, 0, 0].tolist() == whole[5]


@pytest.mark.parametrize("shuffle", [True, False, npyfast.BlockShuffle(40, 400)], ids=repr)
@pytest.mark.parametrize(
    ("window", "stride"),
    [(700, 350), (30, 3000), (3, 1), ((1, 300), 50), ((40, 60), 25), ((2000, 30), 7)],
)
def test_larger_than_memory(
    dataset: Dataset, save: Save, engine: str, shuffle: Any, window: Any, stride: int
) -> None:
    """Rows that overlap, that have gaps between them, and that are scattered over the file."""
    array = np.random.default_rng(0).integers(0, 1 << 60, (2000, 600))
    if not isinstance(window, tuple):
        array = array.reshape(-1)[: 350_000 if window == 3 else None]
    path = save(array)
    size = window if isinstance(window, tuple) else (window,)
    leaf = npyfast.source(path, window=window, stride=stride, rows=slice(0, 3000))
    wanted = rows_of([array], size, (stride,) * len(size), slice(0, 3000))
    options = {"seed": 1} if shuffle else {}
    if not isinstance(shuffle, bool):
        options["blocks"] = (shuffle.block_rows, shuffle.window_rows)
    rows = epoch_batches(len(wanted), batch_size=16, **options)
    with memory_of("2MB"):
        made = dataset(leaf, 16, shuffle, **({"seed": 1} if shuffle else {}))
        assert_same_dataset(made, wanted, rows)
        direct = npyfast.statistics(made).bytes_direct
    if engine == "graph" and window == 700 and shuffle is True:
        assert (direct > 0) == has_direct_reads(path)


KERAS = [(10, 1, 1), (7, 3, 1), (50, 1, 1), (1, 1, 1)]


@pytest.mark.parametrize(("length", "stride", "rate"), KERAS)
def test_keras_timeseries(
    dataset: Dataset, save: Save, length: int, stride: int, rate: int
) -> None:
    """Element for element, the targets included."""
    data, targets = np.arange(100.0).reshape(50, 2), np.arange(50)
    wanted = keras.utils.timeseries_dataset_from_array(
        data, targets, length, sequence_stride=stride, sampling_rate=rate, batch_size=8
    )
    x = npyfast.source(save(data), window=length, stride=stride)
    y = npyfast.source(save(targets), rows=slice(0, 50 - length + 1, stride))
    found = list(dataset((x, y), 8))
    for (a, b), (c, d) in zip(wanted, found, strict=True):
        assert_same((a.numpy(), b.numpy()), (c.numpy(), d.numpy()))


def test_chunked_hdf5(save: Save, tmp_path: Path) -> None:
    import h5py

    array = np.arange(200).reshape(50, 4)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=array, chunks=(3, 4))
    leaf = npyfast.source(tmp_path / "a.h5", window=5, stride=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*h5py reads it", RuntimeWarning)
        made = npyfast.dataset(leaf, 4, True, seed=1)
    wanted = rows_of([array], (5,), (2,))
    assert_same_dataset(made, wanted, epoch_batches(len(wanted), batch_size=4, seed=1))
