"""`npyfast.keras_dataset` in a forked child."""

from __future__ import annotations

import numpy as np
import processes
import pytest
from samples import Save


@pytest.mark.parametrize("workers", [0, 2])
def test_parent_and_child_read_on(save: Save, backend: str, workers: int) -> None:
    path = save(np.arange(60))
    program = processes.PROGRAMS / "keras_dataset_fork.py"
    process = processes.start_python(program, path, workers, NPYFAST_BACKEND=backend)
    assert processes.finish(process)[0].splitlines()[-1] == "both"
