"""Bytes to floats between 0 and 1: by npyfast while it gathers, by TensorFlow, by NumPy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from workloads import Case

from contenders.base import Array, Contender, IteratorRun, Run, batches_of, load
from contenders.npyfast_contenders import NpyfastBatches, NpyfastGraph
from contenders.tensorflow_data import DatasetContender, FromTensorSlices

if TYPE_CHECKING:
    import tensorflow as tf

# Bytes of a batch that a cast adds to what a gather moves: each byte that it writes becomes four.
_ADDED_BYTES = 3
# Memory that finished batches take while others are made, at least.
_AHEAD_BYTES = 16 << 20


def _source(case: Case) -> Any:
    import npyfast

    return npyfast.source(case.path, cast="float32", scale=1 / 255)


def _float_batches_ahead(case: Case) -> int:
    """As many batches of floats as npyfast's threads make ahead, or some more."""
    return min(max(_AHEAD_BYTES // (4 * case.batch_bytes), 16), 1024)


class CastBatches(Contender):
    key = "batches-cast"
    label = "npyfast.batches, cast"
    does = (
        'npyfast.batches(npyfast.source(path, cast="float32", scale=1/255), B, shuffle=True, '
        "seed=0, epochs=-1)"
    )
    packages = ("npyfast",)

    def open(self, case: Case) -> Run:
        import npyfast

        batches = npyfast.batches(_source(case), case.batch, shuffle=True, seed=0, epochs=-1)
        return IteratorRun(lambda: iter(batches), ahead=_float_batches_ahead(case))


class CastDataset(DatasetContender):
    key = "dataset-cast"
    label = "npyfast.dataset, cast"
    does = (
        'npyfast.dataset(npyfast.source(path, cast="float32", scale=1/255), B, shuffle=True, '
        "seed=0, epochs=-1)"
    )
    packages = ("npyfast", "tensorflow")

    def dataset(self, case: Case) -> tf.data.Dataset:
        import npyfast

        return npyfast.dataset(_source(case), case.batch, shuffle=True, seed=0, epochs=-1)

    def ahead(self, case: Case) -> int:
        return _float_batches_ahead(case)


class MappedDataset(DatasetContender):
    key = "dataset-map"
    label = "npyfast.dataset, map"
    does = (
        "npyfast.dataset(path, B, shuffle=True, seed=0, epochs=-1)"
        ".map(lambda x: tf.cast(x, tf.float32) / 255)"
    )
    packages = ("npyfast", "tensorflow")
    autotune: ClassVar[bool] = False

    def dataset(self, case: Case) -> tf.data.Dataset:
        import tensorflow as tf

        import npyfast

        rows = npyfast.dataset(case.path, case.batch, shuffle=True, seed=0, epochs=-1)
        calls = tf.data.AUTOTUNE if self.autotune else None
        return rows.map(lambda x: tf.cast(x, tf.float32) / 255, num_parallel_calls=calls)

    def ahead(self, case: Case) -> int:
        # Those that npyfast makes ahead, and what TensorFlow holds besides.
        return _float_batches_ahead(case) * 4 + 32


class MappedDatasetAutotune(MappedDataset):
    key = "dataset-map-autotune"
    label = "npyfast.dataset, map, AUTOTUNE"
    does = "the same with num_parallel_calls=tf.data.AUTOTUNE"
    autotune = True


class FromTensorSlicesMapped(FromTensorSlices):
    key = "from-tensor-slices-map"
    label = "from_tensor_slices, in RAM, map"
    does = (
        "from_tensor_slices(np.load(path)).shuffle(n).batch(B).repeat()"
        ".map(lambda x: tf.cast(x, tf.float32) / 255), turns of whole epochs"
    )

    def dataset(self, case: Case) -> tf.data.Dataset:
        import tensorflow as tf

        return super().dataset(case).map(lambda x: tf.cast(x, tf.float32) / 255)


class NumpyCast(Contender):
    key = "numpy-cast"
    label = 'NumPy X[...].astype("float32") / 255, in RAM'
    does = (
        'X = np.load(path); X[perm[i:i+B]].astype("float32") / 255, permutations drawn beforehand'
    )

    def open(self, case: Case) -> Run:
        array = load(case.path, mapped=False)

        def iterate() -> Iterator[Array]:
            return (batch.astype("float32") / np.float32(255) for batch in batches_of(array, case))

        return IteratorRun(iterate)


class AddedTraffic(Contender):
    """Writing the bytes that a batch of floats has more than one of bytes."""

    key = "traffic"
    label = "writing the added bytes alone"
    does = (
        "np.copyto(memory, 1) by one thread for each CPU, on 16 MiB or four batches together, as "
        "many as take turns (two ahead, one in the making, one at its reader): the time for the "
        "bytes that a batch of floats has more than one of bytes"
    )
    has_rows = False
    loop = "threads"

    def open(self, case: Case) -> Run:
        return _TrafficRun(case, self.settings.threads)


class _TrafficRun(Run):
    def __init__(self, case: Case, threads: int) -> None:
        self._added = _ADDED_BYTES * case.batch_bytes
        size = max(_AHEAD_BYTES, 4 * 4 * case.batch_bytes) // threads
        self._memory = [np.zeros(size, np.uint8) for _ in range(threads)]

    def warm_up(self, seconds: float) -> None:
        self.turn(seconds)

    def turn(self, seconds: float) -> float:
        rates = [0.0] * len(self._memory)
        start = threading.Barrier(len(self._memory))

        def write(number: int) -> None:
            memory = self._memory[number]
            written = 0
            start.wait()
            begin = now = time.perf_counter()
            while now - begin < seconds:
                np.copyto(memory, 1)
                written += memory.nbytes
                now = time.perf_counter()
            rates[number] = written / (now - begin)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(len(rates))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._added / sum(rates) * 1e6

    def close(self) -> None:
        self._memory.clear()


CASTING: tuple[type[Contender], ...] = (
    AddedTraffic,
    NpyfastBatches,
    CastBatches,
    NumpyCast,
    NpyfastGraph,
    CastDataset,
    MappedDataset,
    MappedDatasetAutotune,
    FromTensorSlicesMapped,
)
