"""The error that npyfast adds to Python's own."""

from __future__ import annotations


class NpyFormatError(ValueError):
    """A file is not a readable ``.npy`` file.

    It is no ``.npy`` at all, or of an unknown version; its header is malformed, too large or
    promises an impossible shape; or it holds fewer bytes than its header promises. Or it is an
    ``.npz`` archive or an HDF5 file that is damaged or cut off. The message names the file and what
    is wrong with it. ``numpy.load`` raises ``ValueError`` for most of these, and this is one:

    >>> issubclass(NpyFormatError, ValueError)
    True
    """
