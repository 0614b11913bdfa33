"""Plain NumPy indexing, which needs no library at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from workloads import Case

from contenders.base import Array, Contender, IteratorRun, Run, load, shuffled_indices


class NumpyMapped(Contender):
    key = "numpy-memmap"
    label = "NumPy X[perm[i:i+B]], memmap"
    does = 'X = np.load(path, mmap_mode="r"); X[perm[i:i+B]], permutations drawn beforehand'
    mapped: ClassVar[bool] = True

    def open(self, case: Case) -> Run:
        array = load(case.path, mapped=self.mapped)

        def batches() -> Iterator[Array]:
            for indices in shuffled_indices(len(array), case.batch, case.seed):
                yield array[indices]

        return IteratorRun(batches)


class NumpyInMemory(NumpyMapped):
    key = "numpy-ram"
    label = "NumPy X[perm[i:i+B]], in RAM"
    does = "X = np.load(path); X[perm[i:i+B]], permutations drawn beforehand"
    mapped = False
