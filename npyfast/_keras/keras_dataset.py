"""`npyfast.keras_dataset`: a keras.utils.PyDataset, for Keras 3 on any backend."""

from __future__ import annotations

from typing import Any

from npyfast._batches.options import Options
from npyfast._batches.transform import Transform
from npyfast._keras.py_dataset import NO_PROCESSES, dataset_class, make_dataset
from npyfast._nest import Nest
from npyfast._options import Readahead, boolean, integer
from npyfast._order.plan import Shard
from npyfast._order.selection import RowChoice
from npyfast._order.shuffle import Shuffle
from npyfast._unknown_options import BATCHES, explaining

_OTHER = {
    **BATCHES,
    **dict.fromkeys(("prefetch", "engine"), "it is an option of npyfast.dataset only"),
    "epochs": "an epoch is one pass, and model.fit(..., epochs=n) makes n of them",
    "start_batch": "set_epoch(epoch, batch) of what it returns begins in the middle of an epoch",
}
del _OTHER["workers"]


@explaining(_OTHER)
def keras_dataset(
    source: Nest,
    batch_size: int = 32,
    shuffle: Shuffle = False,
    *,
    seed: int | None = None,
    drop_remainder: bool = False,
    shard: Shard = None,
    rows: RowChoice = None,
    transform: Transform | None = None,
    transform_threads: int = 1,
    start_epoch: int = 0,
    threads: int | None = None,
    readahead: Readahead = "auto",
    workers: int = 1,
    use_multiprocessing: bool = False,
    max_queue_size: int = 10,
) -> Any:
    """Batches of rows as a `keras.utils.PyDataset`, for Keras 3 on JAX, PyTorch or TensorFlow.

    The options are those of `npyfast.batches`, except for `epochs` and `start_batch`, and so are
    the batches and their order. Each epoch of `model.fit` is the next epoch. `fit`, `evaluate` and
    `predict` take the dataset, and so does `validation_data`. On JAX and PyTorch nothing imports
    TensorFlow.

    Keras takes an array, `(inputs, targets)`, `(inputs, targets, sample_weights)` or a dict. Inputs
    may be tuples or dicts of arrays, and so may targets.

    Args:
        source, batch_size, shuffle, seed, drop_remainder, shard, rows: as for `npyfast.dataset`.
            Without `shuffle`, `model.fit` permutes the batches by itself unless it gets
            `shuffle=False`. With it, `fit` keeps npyfast's order.
        transform, transform_threads, start_epoch, threads, readahead: as for `npyfast.dataset`.
        workers: as for `keras.utils.PyDataset`: how many threads run the `transform`; another name
            of `transform_threads`. Without a `transform` there is nothing for them to do.
        use_multiprocessing: must be False.
        max_queue_size: has no effect, because Keras' queue is not used. How many batches are made
            ahead needs no tuning.

    Returns:
        A `keras.utils.PyDataset`. `len()` is the number of batches of an epoch. An index gives that
        batch of the current epoch, whatever was asked for before; in sequence, batches have been
        made ahead. `on_epoch_end()` goes to the next epoch, and `set_epoch(epoch, batch=0)` to any.
        `epoch`, `seed`, `statistics` and `close()` are as their names say. It can be pickled if its
        source and transform can.

        Arrays are NumPy's, with the nest of `source`, each of shape `(batch, *row_shape)`. V2, as
        which NumPy saves bfloat16, becomes bfloat16. A structured dtype gives a dict of its fields.
        JAX makes 32-bit numbers of 64-bit ones, unless `jax_enable_x64` is set.

    Raises:
        ImportError: Keras 3.8 or later is not installed.
        TypeError: Keras or its backend has no type for a dtype: strings, dates, long doubles, and
            uint64 on PyTorch.
        ValueError: a tuple of more than three; and as for `npyfast.dataset`, whose other errors
            apply, too.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.arange(10.0)); np.save("y.npy", np.arange(10) % 2)
        >>> ds = npyfast.keras_dataset(("X.npy", "y.npy"), batch_size=4)
        >>> len(ds), ds[-1]
        (3, (array([8., 9.]), array([0, 1])))
    """
    dataset_class()  # a missing package is reported before any file is opened
    integer("max_queue_size", max_queue_size, 1)
    if boolean("use_multiprocessing", use_multiprocessing):
        raise ValueError(NO_PROCESSES.format(True))
    workers = integer("workers", workers, 0, 2**15)
    if transform is not None and transform_threads == 1:
        transform_threads = max(1, workers)
    return make_dataset(
        source,
        Options(
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            epochs=None,
            drop_remainder=drop_remainder,
            shard=shard,
            rows=rows,
            transform=transform,
            transform_threads=transform_threads,
            start_epoch=start_epoch,
            start_batch=0,
            threads=threads,
            readahead=readahead,
        ),
    )
