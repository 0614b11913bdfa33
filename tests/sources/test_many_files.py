"""Arrays of thousands of files: as many as there are, whatever a process may have open at once."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import processes
import pytest

import npyfast

FILES = 10_000
ROWS = 3  # of each


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files whose rows count on from one file to the next."""
    made = tmp_path_factory.mktemp("files")
    np.save(made / "part-0.npy", np.zeros((ROWS, 2), "i8"))
    start = (made / "part-0.npy").read_bytes()
    header = start[: -ROWS * 16]
    rows = np.arange(FILES * ROWS, dtype="i8").repeat(2).reshape(FILES, -1)
    for number, data in enumerate(rows):
        (made / f"part-{number}.npy").write_bytes(header + data.tobytes())
    return made


@pytest.mark.slow
def test_batches_with_few_descriptors(folder: Path, backend: str) -> None:
    assert processes.run("many_files.py", folder, FILES * ROWS, backend=backend) == ""


@pytest.mark.slow
def test_files_of_one_row_with_few_descriptors(folder: Path, backend: str) -> None:
    assert processes.run("many_files_of_one_row.py", folder, FILES * ROWS, backend=backend) == ""


@pytest.mark.usefixtures("backend")
def test_the_first_bad_file_is_named(folder: Path, tmp_path: Path) -> None:
    paths = [str(path) for path in sorted(folder.iterdir())[:1000]]
    bad = tmp_path / "bad.npy"
    bad.write_bytes((folder / "part-0.npy").read_bytes()[:-1])
    missing = str(tmp_path / "missing.npy")
    for _ in range(5):
        with pytest.raises(npyfast.NpyFormatError, match=re.escape(f"{bad}: holds 47 bytes")):
            npyfast.open([*paths[:700], str(bad), missing, *paths[700:], missing])


@pytest.mark.usefixtures("native")
def test_a_file_that_is_replaced_before_it_is_read(tmp_path: Path) -> None:
    for number in range(300):
        np.save(tmp_path / f"{number}.npy", np.full(4, number))
    rows = npyfast.open(tmp_path)
    assert rows[0] == 0
    np.save(tmp_path / "new", np.full(4, -1))
    (tmp_path / "new.npy").replace(tmp_path / "200.npy")
    (tmp_path / "201.npy").unlink()
    assert rows[4 * 199] == 199
    with pytest.raises(OSError, match="was changed or replaced after it was opened") as caught:
        rows[4 * 200]
    assert caught.value.filename == str(tmp_path / "200.npy")
    with pytest.raises(FileNotFoundError, match=re.escape("201.npy")):
        rows[4 * 201]
    assert rows[4 * 202] == 202
