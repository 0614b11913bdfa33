"""Plain NumPy indexing, which needs no library at all."""

from __future__ import annotations

from typing import ClassVar

from workloads import Case

from contenders.base import Contender, IteratorRun, Run, batches_of, load


class NumpyMapped(Contender):
    key = "numpy-memmap"
    label = "NumPy X[perm[i:i+B]], memmap"
    does = 'X = np.load(path, mmap_mode="r"); X[perm[i:i+B]], permutations drawn beforehand'
    mapped: ClassVar[bool] = True

    def open(self, case: Case) -> Run:
        array = load(case.path, mapped=self.mapped, cold=case.cold)
        return IteratorRun(lambda: batches_of(array, case))


class NumpyInMemory(NumpyMapped):
    key = "numpy-ram"
    label = "NumPy X[perm[i:i+B]], in RAM"
    does = "X = np.load(path); X[perm[i:i+B]], permutations drawn beforehand"
    mapped = False
