"""A program ends while TensorFlow reads a dataset of the generator engine."""

from __future__ import annotations

import numpy as np
import processes
import pytest
from backends import BACKENDS
from samples import Save


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("transform", ["no transform", "transform"])
def test_ends(save: Save, backend: str, transform: str) -> None:
    path = save(np.arange(200_000.0).reshape(100_000, 2))
    for _ in range(3):  # in which moment it ends is a matter of luck
        program = processes.start(
            "exit_while_tensorflow_reads.py", path, transform, backend=backend
        )
        out, _ = processes.finish(program)
        assert out == "reading"
