"""What leaves have in common that write rows into an array."""

from __future__ import annotations

import numpy as np

from npyfast._backends.fields import AnyArray
from npyfast._order.selection import RowNumbers


class TakesInto:
    """Gives a leaf `take` by its `take_into`: see npyfast._backends.interface.OpenedLeaf."""

    dtype: np.dtype[np.generic]
    row_shape: tuple[int, ...]

    def take(self, rows: RowNumbers, threads: int | None) -> AnyArray:
        # Not np.empty, which makes "S1" of "S0".
        out: AnyArray = np.ndarray((len(rows), *self.row_shape), self.dtype)
        self.take_into(rows, out, threads)
        return out

    def take_into(self, rows: RowNumbers, out: AnyArray, threads: int | None) -> None:
        raise NotImplementedError
