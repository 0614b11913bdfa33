"""The contenders: ways of getting shuffled batches of an array in a .npy file into Python."""

from __future__ import annotations

from contenders.base import Contender, Settings
from contenders.ffcv_loader import Ffcv
from contenders.grain_dataset import Grain
from contenders.huggingface import HuggingFace
from contenders.npyfast_contenders import NpyfastBatches, NpyfastDataset
from contenders.numpy_indexing import NumpyInMemory, NumpyMapped
from contenders.raw_gather import RawGather
from contenders.tensorflow_data import (
    FromGenerator,
    FromGeneratorPrefetch,
    FromTensorSlices,
    Range,
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
    NpyfastDataset,
    FromGenerator,
    FromGeneratorPrefetch,
    FromTensorSlices,
    HuggingFace,
)

__all__ = ["CONTENDERS", "Contender", "Settings"]
