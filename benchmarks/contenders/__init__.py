"""The contenders: ways of getting shuffled batches of an array in a .npy file into Python."""

from __future__ import annotations

from harness.contender import CONTENDERS, Contender, ordered

from contenders import arrays, casting, own, peers, tensorflow_data

__all__ = ["CAST", "COLD", "WARM", "arrays", "casting", "named", "own", "peers", "tensorflow_data"]

for _key in ("batches", "dataset-graph"):
    ordered(_key, "block", '"block"', "block")
for _key in ("batches", "dataset-graph", "from-generator"):
    ordered(_key, "sequential", "not shuffled", False)

# In the order of the tables.
WARM = (
    "raw-gather", "batches", "numpy-ram", "numpy-memmap", "torch", "ffcv", "grain", "tf-range",
    "tf-range-no-prefetch", "dataset-graph", "dataset-generator", "from-generator",
    "from-generator-prefetch", "from-tensor-slices", "huggingface", "tf-range-in-function",
    "tf-range-no-prefetch-in-function", "dataset-graph-in-function",
    "from-tensor-slices-in-function",
)  # fmt: skip
CAST = (
    "traffic", "batches", "batches-cast", "numpy-cast", "dataset-graph", "dataset-cast",
    "dataset-map", "dataset-map-autotune", "from-tensor-slices-map",
)  # fmt: skip
COLD = (
    "batches", "dataset-graph", "dataset-generator", "from-generator", "from-tensor-slices",
    "torch", "torch-8", "grain", "ffcv", "batches-block", "dataset-graph-block",
    "batches-sequential", "dataset-graph-sequential", "from-generator-sequential",
)  # fmt: skip


def named(key: str) -> Contender:
    return CONTENDERS[key]
