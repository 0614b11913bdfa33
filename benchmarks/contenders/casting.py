"""Bytes to floats between 0 and 1: by npyfast while it gathers, by TensorFlow, by NumPy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from harness.contender import Array, Contender, Loop, Run, batches_of, load
from harness.workloads import Case

from contenders import own, tensorflow_data
from contenders.tensorflow_data import Pipeline

if TYPE_CHECKING:
    import tensorflow as tf

_SOURCE = 'npyfast.source(path, cast="float32", scale=1/255)'
_MAP = ".map(lambda x: tf.cast(x, tf.float32) / 255)"
# Bytes of a batch that a cast adds: each byte becomes four.
_ADDED_BYTES = 3


def _source(case: Case) -> Any:
    import npyfast

    return npyfast.source(case.path, cast="float32", scale=1 / 255)


def _ahead(case: Case) -> int:
    return own.made_ahead(4 * case.batch_bytes)


def _batches(case: Case) -> Run:
    import npyfast

    batches = npyfast.batches(_source(case), **own.options(case))
    return Loop(lambda: iter(batches), ahead=_ahead(case))


def _dataset(case: Case) -> tf.data.Dataset:
    import npyfast

    return npyfast.dataset(_source(case), **own.options(case))


def _mapped(case: Case, autotune: bool = False) -> tf.data.Dataset:
    import tensorflow as tf

    import npyfast

    rows = npyfast.dataset(case.path, **own.options(case))
    return rows.map(_to_floats, num_parallel_calls=tf.data.AUTOTUNE if autotune else None)


def _from_tensor_slices(case: Case) -> tf.data.Dataset:
    return tensorflow_data.from_tensor_slices(case).map(_to_floats)


def _mapped_ahead(case: Case) -> int:
    # Those that npyfast makes ahead, and what TensorFlow holds besides.
    return 4 * _ahead(case) + 32


def _to_floats(batch: Any) -> Any:
    import tensorflow as tf

    return tf.cast(batch, tf.float32) / 255


def _numpy(case: Case) -> Run:
    array = load(case, mapped=False)

    def iterate() -> Iterator[Array]:
        return (batch.astype("float32") / np.float32(255) for batch in batches_of(array, case))

    return Loop(iterate)


class _Traffic(Run):
    """Threads that fill memory, each as large a part as batches take that are in use at once."""

    settles = False

    def __init__(self, case: Case) -> None:
        self._added = _ADDED_BYTES * case.batch_bytes
        # Two batches ahead, one in the making, one at its reader; or what is made ahead at least.
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


ADDED_TRAFFIC = Contender(
    "traffic",
    "writing the added bytes alone",
    "np.copyto(memory, 1) by one thread for each CPU, on 16 MiB or four batches together, as "
    "many as take turns (two ahead, one in the making, one at its reader): the time for the "
    "bytes that a batch of floats has more than one of bytes",
    _Traffic,
    has_rows=False,
    loop="threads",
)
BATCHES = Contender(
    "batches-cast",
    "npyfast.batches, cast",
    f"npyfast.batches({_SOURCE}, B, shuffle=True, seed=0, epochs=-1)",
    _batches,
    ("npyfast",),
)
DATASET = Contender(
    "dataset-cast",
    "npyfast.dataset, cast",
    f"npyfast.dataset({_SOURCE}, B, shuffle=True, seed=0, epochs=-1)",
    Pipeline(_dataset, _ahead),
    ("npyfast", "tensorflow"),
)
MAPPED = Contender(
    "dataset-map",
    "npyfast.dataset, map",
    f"npyfast.dataset(path, B, shuffle=True, seed=0, epochs=-1){_MAP}",
    Pipeline(_mapped, _mapped_ahead),
    ("npyfast", "tensorflow"),
)
MAPPED_AUTOTUNE = Contender(
    "dataset-map-autotune",
    "npyfast.dataset, map, AUTOTUNE",
    "the same with num_parallel_calls=tf.data.AUTOTUNE",
    Pipeline(lambda case: _mapped(case, autotune=True), _mapped_ahead),
    ("npyfast", "tensorflow"),
)
FROM_TENSOR_SLICES = Contender(
    "from-tensor-slices-map",
    "from_tensor_slices, in RAM, map",
    f"from_tensor_slices(np.load(path)).shuffle(n).batch(B).repeat(){_MAP}, turns of whole epochs",
    Pipeline(_from_tensor_slices, whole_epochs=True),
    ("tensorflow",),
)
NUMPY = Contender(
    "numpy-cast",
    'NumPy X[...].astype("float32") / 255, in RAM',
    'X = np.load(path); X[perm[i:i+B]].astype("float32") / 255, permutations drawn beforehand',
    _numpy,
)
