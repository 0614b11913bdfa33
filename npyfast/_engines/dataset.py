"""`npyfast.dataset`: a tf.data.Dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npyfast._batches.batching import make_batching
from npyfast._batches.options import Options, RowChoice, Shard
from npyfast._batches.transform import Transform
from npyfast._engines import EngineName, check_engine, choose
from npyfast._engines.tensors import import_tensorflow
from npyfast._nest import Nest, leaves
from npyfast._options import Readahead, integer
from npyfast._order.shuffle import Shuffle

if TYPE_CHECKING:
    import tensorflow as tf


def dataset(
    source: Nest,
    batch_size: int = 32,
    shuffle: Shuffle = False,
    *,
    seed: int | None = None,
    epochs: int | None = None,
    drop_remainder: bool = False,
    shard: Shard = None,
    rows: RowChoice = None,
    transform: Transform | None = None,
    transform_threads: int = 1,
    start_epoch: int = 0,
    start_batch: int = 0,
    prefetch: int | None = None,
    threads: int | None = None,
    readahead: Readahead = "auto",
    engine: EngineName = "auto",
) -> tf.data.Dataset:
    """Batches of rows as a `tf.data.Dataset`, for `model.fit` and any other pipeline.

    Replaces `tf.data.Dataset.from_tensor_slices(np.load(path)).shuffle(n).batch(batch_size)`, or a
    `from_generator` over a memory map, whether or not the data fits in memory.

    Args:
        source, batch_size, shuffle, seed, epochs, drop_remainder, shard, rows: as for
            `npyfast.batches`, and with the same batches in the same order. With `epochs=None` each
            pass over the dataset is the next epoch, so that `model.fit(ds, epochs=10)` sees ten
            orders. (A dataset that is made within a `tf.function` is another one at each call.)
        start_epoch, start_batch, threads, readahead: as for `npyfast.batches`.
        transform: a function of one batch (the same nest of NumPy arrays), for what TensorFlow's
            ops can't do. What it returns may be any nest of arrays; dtypes and shapes are found
            from the first batch, for which it is called once more. Its first dimension is the
            batch's. What it raises for the first batch is raised here; for a later one,
            TensorFlow's error has its text and traceback.
        transform_threads: how many threads run it, in order nevertheless; as for `npyfast.batches`.
        prefetch: batches that TensorFlow keeps ready; 0: none, -1: tf.data.AUTOTUNE. The default
            needs no tuning: npyfast's own threads make batches ahead.
        engine: how batches reach tf.data. "graph": by an operation of TensorFlow's graph, with no
            Python in the way: such a dataset can be checkpointed and sent to tf.data service.
            "generator": by `from_generator`, for whatever "graph" can't do: a `transform`, arrays
            in memory, the NumPy backend. "auto": the former where it can be had, else the latter;
            `npyfast.build_info()` says why it can't.

    Returns:
        A `tf.data.Dataset` of known cardinality. Each element has the nest of `source`, each tensor
        the shape `(batch, *row_shape)`; the batch dimension is static where all batches have the
        same size. A structured dtype gives a dict of its fields, strings (`S`, `U`) are tf.string,
        dates and times their int64, and `V2`, as which NumPy saves bfloat16, is tf.bfloat16.

    Raises:
        ImportError: TensorFlow is not installed; engine="graph" where its library can't be loaded.
        TypeError: TensorFlow has no type for a dtype, or it holds Python objects.
        NpyFormatError, ValueError, IndexError, OSError: as `npyfast.batches` raises them.

    Example:
        >>> import numpy as np, npyfast
        >>> np.save("X.npy", np.zeros((100, 28, 28), np.uint8))
        >>> np.save("y.npy", np.zeros(100, np.int64))
        >>> ds = npyfast.dataset(("X.npy", "y.npy"), batch_size=32, shuffle=True)
        >>> ds.element_spec[0].shape, len(ds)
        (TensorShape([None, 28, 28]), 4)
    """

    def make() -> tf.data.Dataset:
        batching = make_batching(
            source,
            Options(
                batch_size=batch_size,
                shuffle=shuffle,
                seed=seed,
                epochs=epochs,
                drop_remainder=drop_remainder,
                shard=shard,
                rows=rows,
                transform=transform,
                transform_threads=transform_threads,
                start_epoch=start_epoch,
                start_batch=start_batch,
                threads=threads,
                readahead=readahead,
            ),
        )
        if batching.transform is None and next(leaves(batching.structure), None) is None:
            raise TypeError("the source has no arrays for a dataset: its dtype is without fields")
        return choose(engine, batching).make_dataset(batching, prefetch)

    check_engine(engine)
    if prefetch is not None:
        prefetch = integer("prefetch", prefetch, -1)
    # Where a tf.function is being traced, AutoGraph would rewrite all that is called from here.
    return import_tensorflow().autograph.experimental.do_not_convert(make)()
