"""Where iterations begin that are told their epoch instead of counting it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# The attribute of a tf.data.Dataset of npyfast's own that holds its Told.
TOLD = "_npyfast_told"

_ALIGNMENT = 64  # what TensorFlow expects of the memory of a tensor


class NextPlace:
    """Where all iterations begin from now on, once it has been set.

    A place is one number, the batches before it since the beginning of epoch 0, in memory that
    graphs of TensorFlow share. So a dataset that was built on this one sees it as well, and a
    reader on another thread finds the old or the new place.
    """

    def __init__(self) -> None:
        whole = np.zeros(_ALIGNMENT // 8 + 1, np.int64)
        start = -whole.ctypes.data % _ALIGNMENT // 8
        self.memory = whole[start : start + 1]  # -1 while iterations are counted
        self.clear()

    def set(self, position: int) -> None:
        """REQUIRES: 0 <= position < 2**62."""
        self.memory[0] = position

    def clear(self) -> None:
        """Counts iterations again, as if none had been told."""
        self.memory[0] = -1

    def get(self) -> int | None:
        position = int(self.memory[0])
        return None if position < 0 else position


class Told(NamedTuple):
    """What setting the place of a dataset's iterations needs."""

    next_place: NextPlace
    batches: int  # of an epoch
    epochs: int | None  # of an iteration: None, an explicit number, or -1
    first: tuple[int, int]  # start_epoch, start_batch
    has_seed: bool  # or needs none: another process has the same order
    anywhere: bool  # whether an iteration can begin within an epoch
