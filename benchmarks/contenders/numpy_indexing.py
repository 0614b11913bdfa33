"""Plain NumPy indexing."""

from __future__ import annotations

from harness.contender import Contender, Loop, Run, batches_of, load
from harness.workloads import Case


def _indexing(case: Case, mapped: bool) -> Run:
    array = load(case, mapped=mapped)
    return Loop(lambda: batches_of(array, case))


IN_MEMORY = Contender(
    "numpy-ram",
    "NumPy X[perm[i:i+B]], in RAM",
    "X = np.load(path); X[perm[i:i+B]], permutations drawn beforehand",
    lambda case: _indexing(case, False),
)
MAPPED = Contender(
    "numpy-memmap",
    "NumPy X[perm[i:i+B]], memmap",
    'X = np.load(path, mmap_mode="r"); X[perm[i:i+B]], permutations drawn beforehand',
    lambda case: _indexing(case, True),
)
