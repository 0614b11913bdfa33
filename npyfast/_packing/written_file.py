"""Files as `npyfast.pack` writes them: sequentially, and through to the disk."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from npyfast._memory import memory_limit
from npyfast._packing.descriptor import naming

if TYPE_CHECKING:
    from typing_extensions import Self

# At most twice this many bytes are written but not yet on the disk.
_FLUSH_BYTES = 128 << 20


class WrittenFile:
    """A file that is written once, front to back, and uses little of the page cache."""

    def __init__(self, path: str, file: io.FileIO, flusher: ThreadPoolExecutor) -> None:
        self.path = path
        self._file = file
        self._flusher = flusher
        self._flushing: Future[None] | None = None
        self._written = self._flushed = 0
        limit = memory_limit()
        self._most = _FLUSH_BYTES if limit is None else min(_FLUSH_BYTES, limit // 32)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._await()
        finally:
            self._file.close()

    def write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        with naming(self.path):
            while left:
                written = os.write(self._file.fileno(), left)
                left = left[written:]
                self._written += written
        if self._written - self._flushed >= self._most:
            self._await()
            self._flushed = self._written
            self._flushing = self._flusher.submit(self._flush)

    def _await(self) -> None:
        flushing, self._flushing = self._flushing, None
        if flushing is not None:
            flushing.result()

    def _flush(self) -> None:
        """Writes the data to the disk and drops its pages from the page cache."""
        with naming(self.path):
            os.fdatasync(self._file.fileno())
            # Pages written meanwhile stay until the next flush.
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        """Writes all of it to the disk."""
        self._await()
        with naming(self.path):
            os.fsync(self._file.fileno())
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class UnpackedFile(WrittenFile):
    """A temporary file that reports what is written to it."""

    def __init__(
        self,
        path: str,
        file: io.FileIO,
        flusher: ThreadPoolExecutor,
        tell: Callable[[int], None],
    ) -> None:
        super().__init__(path, file, flusher)
        self._tell = tell

    def write(self, data: bytes | memoryview) -> None:
        super().write(data)
        self._tell(len(data))
