"""The folder beside an output for temporary files: unpacked data, and rows in file order."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Sequence

from npyfast._packing.descriptor import Folder, create, is_own_file, naming
from npyfast._packing.names import SUFFIX

_FILE = re.compile(r"(\d+|rows)\.npy\.partial")


class Scratch:
    """A folder that is made when it is needed, and removed in any case.

    Others may write beside the output: only files of this user, with the names that pack gives, are
    removed, and no link is followed.
    """

    def __init__(self, output: str) -> None:
        self.path = f"{output}.unpacked{SUFFIX}"
        self._folder: Folder | None = None

    def create(self, path: str) -> io.FileIO:
        """A file in the folder, opened for writing."""
        if self._folder is None:
            try:
                os.mkdir(self.path, 0o700)
            except FileExistsError:
                raise FileExistsError(
                    errno.EEXIST, "is in the way of a temporary folder", self.path
                ) from None
            with naming(self.path):
                self._folder = Folder(self.path)
        return create(os.path.basename(path), 0o600, self._folder)

    def files(self) -> Sequence[str]:
        """What the folder holds, if there is one."""
        if os.path.islink(self.path):
            return []
        try:
            return [os.path.join(self.path, name) for name in os.listdir(self.path)]
        except OSError:
            return []

    def remove(self) -> None:
        """Removes the folder and its files, of this process or one that was killed."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return  # create() reports it if the folder is needed
        with Folder(self.path) as folder:
            names = os.listdir(folder.fileno())
            for name in filter(_FILE.fullmatch, names):
                if is_own_file(os.stat(name, dir_fd=folder.fileno(), follow_symlinks=False)):
                    os.unlink(name, dir_fd=folder.fileno())
        try:
            os.rmdir(self.path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
