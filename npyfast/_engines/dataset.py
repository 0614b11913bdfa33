"""`npyfast.dataset`: a tf.data.Dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npyfast._batches.batching import Batching, make_batching
from npyfast._batches.description import DESCRIPTION, description
from npyfast._batches.next_place import TOLD, Told
from npyfast._batches.options import Options
from npyfast._batches.transform import Transform
from npyfast._engines import Engine, EngineName, check_engine, choose
from npyfast._engines.tensors import import_tensorflow
from npyfast._nest import Nest, leaves
from npyfast._options import Readahead, integer
from npyfast._order.plan import Shard
from npyfast._order.selection import RowChoice
from npyfast._order.shuffle import Shuffle
from npyfast._unknown_options import BATCHES, explaining

if TYPE_CHECKING:
    import tensorflow as tf


@explaining(BATCHES)
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
        source: a leaf, or a nest (tuples and dicts) of leaves with the same number of rows. A leaf
            is a path, a glob pattern, a directory, a list of paths, an array in memory, or what
            `npyfast.source` returns. A list is one array, a tuple is several: the files of a list
            are concatenated along axis 0. The path of `.npz` or HDF5 files stands for a dict of
            their arrays.
        batch_size: rows in a batch. (For single rows call `.unbatch()` on the dataset.)
        shuffle: False keeps the order of the files. True shuffles fully and uniformly, differently
            in each epoch, without a buffer whose size would matter. "block" reads blocks of
            consecutive rows in random order and mixes rows within windows of many blocks,
            differently in each epoch. It suits rows much smaller
            than a page (4 KiB) in data much larger than memory: a full shuffle would read a page
            for each row, while this reads at about 80 % of the sequential speed. (With `shard`,
            each worker reads nearly all blocks.) `BlockShuffle` sets the sizes.
        seed: an int in [0, 2**64) makes the order the same on every run and machine. None draws a
            seed (`Batches.seed` reports it).
        epochs: None makes each iteration one pass, and the k-th iteration of the object is epoch
            `start_epoch + k`: `model.fit(ds, epochs=10)` sees ten orders. (A dataset made inside a
            `tf.function` is a new one at each call.) n makes n passes in one iteration; -1 is
            endless.
        drop_remainder: whether to leave out the last batch of an epoch if it is short.
        shard: (index, count) of this worker, or a `tf.distribute.InputContext`. A global batch has
            count * batch_size rows, and this worker gets its index-th part. The global order does
            not depend on count. Every worker has the same number of batches. A last, short global
            batch is divided as evenly as possible, and some parts may be empty.
        rows: which rows take part: a slice, an integer array of row numbers, a boolean mask, or a
            part that `npyfast.split` makes.
        transform: a function of one batch (the same nest of NumPy arrays), for what TensorFlow's
            ops can't do. It may return any nest of arrays, which must be new each time. The dataset
            finds their dtypes and shapes by an extra call for the first batch. Their first
            dimension is the batch's. An exception for the first batch is raised here; for a later
            batch, TensorFlow's error carries its text and traceback.
        transform_threads: how many threads run the function, each on another batch; results keep
            their order. With 1, the reader runs it when it asks for the batch. With more, up to two
            batches for each thread are made ahead, and the function must be thread-safe. Threads
            pay off where a call spends half a millisecond or more outside Python, as NumPy, OpenCV
            and decoders do, which release the GIL; shorter calls get slower.
        start_epoch, start_batch: where to begin. `start_batch` needs an explicit `epochs`.
        prefetch: batches that TensorFlow keeps ready; 0 for none, -1 for tf.data.AUTOTUNE. The
            default needs no tuning: npyfast's own threads make batches ahead. With 0, which is the
            default of "graph" and of small batches, npyfast sets TensorFlow's option
            `inject_prefetch` to False. Like every option of a dataset, it also applies to what is
            built on top.
        threads: how many threads make batches, the reader included. The default is the number of
            CPUs that this process may use.
        readahead: what is read before it is needed. "whole" reads the files once, in the
            background; "rows" reads the rows of the coming batches; "off" leaves it to the kernel.
            "auto" reads as a whole what fits in the memory that this process may use, and the rest
            by rows. Never changes results.
        engine: how batches reach tf.data. "graph" uses an operation of TensorFlow's graph, without
            Python: such a dataset can be checkpointed and sent to tf.data service. "generator" uses
            `from_generator`, and handles what "graph" can't: a `transform`, more than 2 GiB of
            arrays in memory, the NumPy backend. "auto" takes "graph" where it is available;
            `npyfast.build_info()` says why where it is not.

    `take` and `skip` of a shuffled dataset are no training and validation data: each epoch has
    another order, and so other rows in either. Pass parts of `npyfast.split` as `rows`. With
    `epochs=None`, `next(iter(ds))` counts as an iteration, unless `SetEpoch` sets the epochs.

    Returns:
        A `tf.data.Dataset` of known cardinality. Each element has the nest of `source`, each tensor
        the shape `(batch, *row_shape)`; the batch dimension is static where all batches have the
        same size. A structured dtype gives a dict of its fields, strings (`S`, `U`) are tf.string,
        dates and times their int64, and `V2`, as which NumPy saves bfloat16, is tf.bfloat16.

    Raises:
        NpyFormatError: a file is not a readable `.npy`.
        ImportError: TensorFlow is not installed; engine="graph" where its library can't be loaded.
        TypeError: TensorFlow has no type for a dtype, or it holds Python objects; a leaf is not a
            source.
        ValueError: an option's value is invalid; files or leaves do not fit together.
        IndexError: a row number in `rows` is out of range.
        OSError: as `open` raises it.

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
        chosen, reason = choose(engine, batching)
        made = chosen.make_dataset(batching, prefetch)
        setattr(made, DESCRIPTION, description(batching, reason))
        setattr(made, TOLD, _told(batching, chosen))
        if batching.run.epochs == 1:
            # What a BatchDataset has; keras.utils.split_dataset tells by it that there are batches.
            made._batch_size = tf.constant(batching.plan.batch_size, tf.int64)
            made._drop_remainder = tf.constant(batching.plan.drop_remainder)
        return made

    check_engine(engine)
    if prefetch is not None:
        prefetch = integer("prefetch", prefetch, -1)
    tf = import_tensorflow()
    # Where a tf.function is being traced, AutoGraph would rewrite all that is called from here.
    return tf.autograph.experimental.do_not_convert(make)()


def _told(batching: Batching, engine: Engine) -> Told:
    run = batching.run
    return Told(
        next_place=batching.next_place,
        batches=batching.plan.batches,
        epochs=None if batching.endless_epochs else run.epochs,
        first=(run.start_epoch, run.start_batch),
        has_seed=batching.has_seed,
        anywhere=engine.begins_anywhere(batching),
    )
