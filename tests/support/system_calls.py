"""Functions of `os` by which files are changed."""

from __future__ import annotations

CHANGING = (
    *("open", "write", "fsync", "fdatasync", "ftruncate", "replace", "unlink", "link", "mkdir"),
    *("rmdir", "fchmod", "fchown"),
)
