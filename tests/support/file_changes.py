"""Ways in which a file changes, or another one takes its place, while it is in use."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from deadlines import SECONDS

Change = Callable[[str], None]


def _save_over(path: str) -> None:
    np.save(path, np.load(path) + 1)


def _save_another_dtype_over(path: str) -> None:
    array = np.load(path)
    np.save(path, array.astype(array.dtype.newbyteorder()))


def _write_in_place(path: str) -> None:
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


def _write_and_put_the_time_back(path: str) -> None:
    status = os.stat(path)
    _write_in_place(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _append(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def _touch(path: str) -> None:
    os.utime(path)


def _chmod(path: str) -> None:
    os.chmod(path, 0o600)


def _truncate(path: str) -> None:
    os.truncate(path, os.path.getsize(path) - 1)


def _replace(path: str) -> None:
    array = np.load(path)
    np.save(f"{path}.new.npy", array + 1)
    os.replace(f"{path}.new.npy", path)


def _rename(path: str) -> None:
    os.rename(path, f"{path}.away")


# An error for whoever has the file open.
CHANGES: dict[str, Change] = {
    "saved over": _save_over,
    "another dtype": _save_another_dtype_over,
    "in place": _write_in_place,
    "time put back": _write_and_put_the_time_back,
    "appended": _append,
    "touched": _touch,
    "chmod": _chmod,
    "truncated": _truncate,
}

# No change for whoever has the file open.
REPLACEMENTS: dict[str, Change] = {"replaced": _replace, "renamed": _rename, "removed": os.remove}


def change(how: str, path: str) -> None:
    """Changes a file that was written long enough ago for its times to tell."""
    wait_for_the_clock(path)
    {**CHANGES, **REPLACEMENTS}[how](path)


def wait_for_the_clock(path: str) -> None:
    """Waits until a change of a file has another time than its last one: the kernel's clock for
    files has steps of some milliseconds."""
    probe = Path(f"{path}.clock")
    before = os.stat(path).st_ctime_ns
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_ctime_ns > before:
            break
        time.sleep(0.001)
    probe.unlink()


def read_on(iterator: Any, pause: float = 0) -> None:
    """Reads until the iterator fails, as it should long before this gives up."""
    end = time.monotonic() + SECONDS
    for _ in iterator:
        time.sleep(pause)
        assert time.monotonic() < end


def assert_tells(error: BaseException, path: str) -> None:
    """Asserts that an error says that a file was changed, and names it."""
    text = str(error)
    assert path in text
    assert "was changed" in text or "was truncated while it was read" in text
