"""Where a sandbox or an old kernel refuses system calls, batches are the same, without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from backends import BACKENDS
from processes import run
from refused_calls import CALLS

READ = """
    import mmap, os, sys
    import numpy as np
    import npyfast
    from refused_calls import refuse

    path, *calls = sys.argv[1:]
    refuse(*calls)
    if "madvise" in calls:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            try:
                mapped.madvise(mmap.MADV_WILLNEED)
                raise AssertionError("the filter does not work")
            except PermissionError:
                pass
    expected = np.load(path)
    for readahead in ("auto", "off", "whole", "rows"):
        for shuffle in (False, True, "block", npyfast.BlockShuffle(50, 400)):
            with open(path, "rb") as file:
                if "fadvise64" not in calls:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            made = npyfast.batches(path, 32, shuffle, seed=0, readahead=readahead)
            for epoch in range(2):
                rows = np.concatenate(list(made))
                if shuffle is not False:
                    rows = rows[np.argsort(rows[:, 0])]
                assert np.array_equal(rows, expected), (readahead, shuffle)
    print("fine")
"""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "calls",
    [CALLS, ("madvise",), ("fadvise64",), ("preadv2", "cachestat")],
    ids=["all", "madvise", "fadvise", "looks"],
)
def test_the_rows_are_right(tmp_path: Path, calls: tuple[str, ...], backend: str) -> None:
    path = tmp_path / "X.npy"
    rows = np.random.default_rng(0).random((5000, 100)).astype("f4")
    rows[:, 0] = np.arange(len(rows))
    np.save(path, rows)
    assert run(READ, path, *calls, backend=backend) == "fine"
