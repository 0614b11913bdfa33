"""The contenders: ways of getting shuffled batches of an array in a .npy file into Python."""

from __future__ import annotations

from contenders.base import Contender, Settings
from contenders.ffcv_loader import Ffcv
from contenders.grain_dataset import Grain
from contenders.huggingface import HuggingFace
from contenders.in_function import (
    FromTensorSlicesInFunction,
    NpyfastGraphInFunction,
    RangeInFunction,
    RangeNoPrefetchInFunction,
)
from contenders.npyfast_contenders import NpyfastBatches, NpyfastGenerator, NpyfastGraph
from contenders.numpy_indexing import NumpyInMemory, NumpyMapped
from contenders.raw_gather import RawGather
from contenders.tensorflow_data import (
    FromGenerator,
    FromGeneratorPrefetch,
    FromTensorSlices,
    Range,
    RangeNoPrefetch,
)
from contenders.torch_loader import TorchDataLoader

CONTENDERS: tuple[type[Contender], ...] = (
    RawGather,
    NpyfastBatches,
    NumpyInMemory,
    NumpyMapped,
    TorchDataLoader,
    Ffcv,
    Grain,
    Range,
    RangeNoPrefetch,
    NpyfastGraph,
    NpyfastGenerator,
    FromGenerator,
    FromGeneratorPrefetch,
    FromTensorSlices,
    HuggingFace,
    RangeInFunction,
    RangeNoPrefetchInFunction,
    NpyfastGraphInFunction,
    FromTensorSlicesInFunction,
)

__all__ = ["CONTENDERS", "Contender", "Settings"]
