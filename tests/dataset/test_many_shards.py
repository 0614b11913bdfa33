"""Datasets of thousands of files, by the graph engine, which opens them in its own library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import processes
import pytest

SHARDS = 10_000


@pytest.mark.usefixtures("native")
def test_with_few_descriptors(tmp_path: Path) -> None:
    np.save(tmp_path / "part-0.npy", np.zeros((2, 2), "i8"))
    header = (tmp_path / "part-0.npy").read_bytes()[:-32]
    rows = np.arange(2 * SHARDS, dtype="i8").repeat(2).reshape(SHARDS, -1)
    for number, data in enumerate(rows):
        (tmp_path / f"part-{number}.npy").write_bytes(header + data.tobytes())
    script = """
    import resource, sys, warnings
    warnings.simplefilter("ignore")
    import numpy as np
    import tensorflow as tf
    import npyfast
    count = int(sys.argv[2])
    x = np.repeat(np.arange(count)[:, None], 2, axis=1)
    made = npyfast.dataset(sys.argv[1], 1000, True, seed=7, engine="graph")
    memory = npyfast.batches(x, 1000, True, seed=7)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    for _ in range(2):
        for batch, expected in zip(made, memory, strict=True):
            assert np.array_equal(batch, expected)
    print("equal")
    """
    process = processes.start(script, tmp_path, 2 * SHARDS, backend="native")
    assert processes.finish(process)[0] == "equal"
