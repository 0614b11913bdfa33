"""Datasets of thousands of files, by the graph engine, which opens them in its own library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import processes
import pytest

FILES = 10_000


@pytest.mark.usefixtures("native")
@pytest.mark.slow
def test_with_few_descriptors(tmp_path: Path) -> None:
    np.save(tmp_path / "part-0.npy", np.zeros((2, 2), "i8"))
    header = (tmp_path / "part-0.npy").read_bytes()[:-32]
    rows = np.arange(2 * FILES, dtype="i8").repeat(2).reshape(FILES, -1)
    for number, data in enumerate(rows):
        (tmp_path / f"part-{number}.npy").write_bytes(header + data.tobytes())
    process = processes.start("dataset_of_many_files.py", tmp_path, 2 * FILES, backend="native")
    assert processes.finish(process)[0] == "equal"
