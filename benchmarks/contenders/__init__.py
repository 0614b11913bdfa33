"""The contenders: ways of getting shuffled batches of an array in a .npy file into Python."""

from __future__ import annotations

from harness.contender import Contender

from contenders import casting, numpy_indexing, own, peers, raw_gather, tensorflow_data
from contenders.tensorflow_data import in_function

# In the order of the tables.
WARM: tuple[Contender, ...] = (
    raw_gather.RAW_GATHER,
    own.BATCHES,
    numpy_indexing.IN_MEMORY,
    numpy_indexing.MAPPED,
    peers.TORCH,
    peers.FFCV,
    peers.GRAIN,
    tensorflow_data.RANGE,
    tensorflow_data.RANGE_NO_PREFETCH,
    own.GRAPH,
    own.GENERATOR,
    tensorflow_data.FROM_GENERATOR,
    tensorflow_data.FROM_GENERATOR_PREFETCH,
    tensorflow_data.FROM_TENSOR_SLICES,
    peers.HUGGING_FACE,
    in_function(tensorflow_data.RANGE),
    in_function(tensorflow_data.RANGE_NO_PREFETCH),
    in_function(own.GRAPH),
    in_function(tensorflow_data.FROM_TENSOR_SLICES),
)
CAST: tuple[Contender, ...] = (
    casting.ADDED_TRAFFIC,
    own.BATCHES,
    casting.BATCHES,
    casting.NUMPY,
    own.GRAPH,
    casting.DATASET,
    casting.MAPPED,
    casting.MAPPED_AUTOTUNE,
    casting.FROM_TENSOR_SLICES,
)
COLD: tuple[Contender, ...] = (
    own.BATCHES,
    own.GRAPH,
    own.GENERATOR,
    tensorflow_data.FROM_GENERATOR,
    tensorflow_data.FROM_TENSOR_SLICES,
    peers.TORCH,
    peers.TORCH_WORKERS,
    peers.GRAIN,
    peers.FFCV,
    own.BATCHES.ordered("block"),
    own.GRAPH.ordered("block"),
    own.BATCHES.ordered(False),
    own.GRAPH.ordered(False),
    tensorflow_data.FROM_GENERATOR.ordered(False),
)
_ALL = {each.key: each for each in (*WARM, *CAST, *COLD)}


def named(key: str) -> Contender:
    return _ALL[key]
