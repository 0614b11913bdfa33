"""Bytes to floats between 0 and 1: by npyfast while it gathers, by TensorFlow, by NumPy."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from harness.contender import Array, Loop, Run, contender
from harness.workloads import Case

from contenders.arrays import batches_of, load
from contenders.own import made_ahead, npyfast, options
from contenders.tensorflow_data import Dataset, from_tensor_slices, pipeline, tf


def _source(case: Case) -> Any:
    return npyfast.source(case.path, cast="float32", scale=1 / 255)


def _ahead(case: Case) -> int:
    return made_ahead(4 * case.batch_bytes)


def _mapped_ahead(case: Case) -> int:
    # Those that npyfast makes ahead, and what TensorFlow holds besides.
    return 4 * _ahead(case) + 32


@contender("batches-cast", "npyfast.batches, cast", "npyfast")
def _batches(case: Case) -> Run:
    batches = npyfast.batches(_source(case), **options(case))
    return Loop(lambda: iter(batches), ahead=_ahead(case))


@pipeline("dataset-cast", "npyfast.dataset, cast", "npyfast", ahead=_ahead)
def _dataset(case: Case) -> Dataset:
    return npyfast.dataset(_source(case), **options(case))


def _to_floats(batch: Any) -> Any:
    return tf.cast(batch, tf.float32) / 255


@pipeline("dataset-map", "npyfast.dataset, map", "npyfast", ahead=_mapped_ahead)
def _mapped(case: Case, parallel: int | None = None) -> Dataset:
    rows = npyfast.dataset(case.path, **options(case))
    return rows.map(_to_floats, num_parallel_calls=parallel)


@pipeline("dataset-map-autotune", "npyfast.dataset, map, AUTOTUNE", "npyfast", ahead=_mapped_ahead)
def _mapped_autotune(case: Case) -> Dataset:
    return _mapped(case, tf.data.AUTOTUNE)


@pipeline("from-tensor-slices-map", "from_tensor_slices, in RAM, map", whole_epochs=True)
def _from_tensor_slices(case: Case) -> Dataset:
    return from_tensor_slices(case).map(_to_floats)


@contender("numpy-cast", 'NumPy X[...].astype("float32") / 255, in RAM')
def _numpy(case: Case) -> Run:
    array, most = load(case, mapped=False), np.float32(255)
    return Loop(lambda: (batch.astype("float32") / most for batch in batches_of(array, case)))


@contender("traffic", "writing the added bytes alone", has_rows=False, loop="threads")
class _Traffic(Run):
    """Threads fill memory: what the additional bytes of a batch of floats cost.

    The memory is as large as the batches that are in use at once.
    """

    settles = False

    def __init__(self, case: Case) -> None:
        self._added = 3 * case.batch_bytes  # each byte becomes four
        # Two batches ahead, one being made, one in use; or 16 MiB, which npyfast makes ahead.
        size = max(16 << 20, 4 * 4 * case.batch_bytes) // case.threads
        self._memory = [np.zeros(size, np.uint8) for _ in range(case.threads)]

    def microseconds(self, seconds: float, at_least: int) -> float:
        del at_least
        rates: list[float] = []
        start = threading.Barrier(len(self._memory))

        def write(memory: Array) -> None:
            written = 0
            start.wait()
            begin = now = time.perf_counter()
            while now - begin < seconds:
                np.copyto(memory, 1)
                written += memory.nbytes
                now = time.perf_counter()
            rates.append(written / (now - begin))

        threads = [threading.Thread(target=write, args=(each,)) for each in self._memory]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._added / sum(rates) * 1e6
