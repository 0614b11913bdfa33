"""Describes what a file is, what npyfast does with it, and what to fix, for `npyfast info`.

docs/command-line.md documents the keys of what describe() returns.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.lib.format as npy_format

from npyfast._backends import backend, backend_for
from npyfast._backends.cast import is_bfloat16
from npyfast._backends.fields import native
from npyfast._backends.header import Header
from npyfast._backends.interface import OpenedLeaf
from npyfast._commands.advice import advise, advise_files, has_all_types
from npyfast._commands.errors import explain
from npyfast._engines import engine_for_files
from npyfast._sources import hdf5
from npyfast._sources.formats import HDF5, NPY, NPZ, Format, member_name
from npyfast._sources.opening import Opening
from npyfast._sources.paths import expand
from npyfast._sources.source import Source, source

FORMATS = {NPY: "npy", NPZ: "npz", HDF5: "hdf5"}

# What is raised for bad files, and for missing packages.
ERRORS = (OSError, ValueError, TypeError, LookupError, ImportError, RuntimeError)

# The most headers to read. The rest of the files are taken to be alike.
_LOOKED_AT = 1000

# The share of usable memory that files read as a whole may take; kMostOfMemory in
# csrc/core/readahead/array_prefetcher.h.
_MOST_OF_MEMORY = 0.85


def describe(path: str) -> dict[str, Any]:
    """Describes the file, or the files of a directory or pattern, that a path stands for."""
    facts: dict[str, Any] = {
        "path": path,
        "format": None,
        "files": 0,
        "bytes": 0,
        "error": None,
        "advice": [],
        "arrays": [],
    }
    try:
        files = expand(path)
        facts.update(files=len(files), bytes=sum(os.stat(file).st_size for file in files))
        with Opening() as opening:
            found = opening.format_of(files[0])
            facts["format"] = FORMATS.get(found)
            facts["advice"] = advise_files(path, found, files)
            facts["arrays"] = _arrays(path, found, files, opening)
    except ERRORS as error:
        facts["error"] = explain(error)
    else:
        if found not in FORMATS or (found == NPY and facts["arrays"][0]["dtype"] is None):
            facts["error"] = facts.pop("arrays")[0]["error"]
            facts["arrays"] = []
    return facts


def is_unreadable(facts: dict[str, Any]) -> bool:
    """Whether npyfast cannot read some of it."""
    return facts["error"] is not None or any(array["error"] for array in facts["arrays"])


def _arrays(
    path: str, found: Format, files: Sequence[str], opening: Opening
) -> list[dict[str, Any]]:
    """Describes the arrays that a path stands for."""
    leaf = source(path)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # about slow sources, which the advice covers
        keys = leaf.keys(opening)
        if keys is None:
            return [_array(path, None, leaf, found, files, opening)]
        return [_array(path, key, leaf.of_key(key), found, files, opening) for key in keys]


def _array(
    path: str,
    key: str | None,
    leaf: Source,
    found: Format,
    files: Sequence[str],
    opening: Opening,
) -> dict[str, Any]:
    """Describes an array."""
    facts: dict[str, Any] = dict.fromkeys(
        (
            *("key", "rows", "row_shape", "dtype", "row_bytes", "nbytes"),
            *("version", "order", "native_byte_order", "data_offset", "chunks", "compression"),
            *("access", "backend", "engine", "engine_reason", "tensorflow"),
            *("usable_memory", "fits_in_memory", "read_as", "error"),
        )
    )
    facts.update(key=key, access="none", advice=[])
    opened: OpenedLeaf | None = None
    try:
        looked_at = files if found == NPZ else files[:_LOOKED_AT]
        headers = _headers(facts, key, found, looked_at, opening)
        dtype, shape = headers[0].dtype, headers[0].shape
        facts.update(dtype=_descr(dtype), native_byte_order=native(dtype) == dtype)
        facts["tensorflow"] = tensor_type(dtype)
        if shape:
            facts.update(row_shape=list(shape[1:]), row_bytes=dtype.itemsize)
            facts["row_bytes"] *= int(np.prod(shape[1:], dtype=object))
            facts["rows"] = sum(header.shape[0] for header in headers if header.shape)
        if not shape:
            raise ValueError(
                f"{path if key is None else member_name(path, key)}: holds a 0-dimensional array, "
                "which has no rows"
            )
        if found != NPZ or facts["compression"] is None:
            opened = leaf.open(opening)
            facts["rows"] = len(opened)
            facts["access"] = opened.storage.kind
    except ERRORS as error:
        facts["error"] = explain(error)
        return facts
    facts["nbytes"] = facts["rows"] * facts["row_bytes"]
    if opened is not None:
        _reading(facts, opened)
    facts["advice"] = advise(path, facts, dtype, files)
    return facts


def _headers(
    facts: dict[str, Any], key: str | None, found: Format, files: Sequence[str], opening: Opening
) -> list[Header]:
    """The headers of the array in these files; records how the first of them stores it."""
    if found == HDF5:
        assert key is not None
        datasets = [hdf5.look(file, key, opening) for file in files]
        chunks = datasets[0].chunks
        facts.update(
            order="C",
            chunks=None if chunks is None else list(chunks),
            compression=datasets[0].compression,
        )
        if datasets[0].located is not None:
            facts["data_offset"] = datasets[0].located.header.data_offset
        return [Header((0, 0), each.shape, each.dtype, False, 0) for each in datasets]
    if found == NPZ:
        assert key is not None
        headers = [opening.archive(file).look(key) for file in files]
        methods = (opening.archive(file).compression(key) for file in files)
        facts["compression"] = next((method for method in methods if method), None)
    else:
        headers = [backend().read_header(file) for file in files]
    first = headers[0]
    orders = {"F" if header.fortran_order else "C" for header in headers if len(header.shape) > 1}
    facts.update(
        version=list(first.version),
        order="mixed" if len(orders) > 1 else next(iter(orders), "C"),
        data_offset=None if facts["compression"] else first.data_offset,
    )
    return headers


def _descr(dtype: np.dtype[Any]) -> Any:
    """A dtype in JSON: NumPy's text, or the list of a structure's fields."""
    try:
        return npy_format.dtype_to_descr(dtype)
    except ValueError:  # fields out of order
        return str(dtype)


def tensor_type(dtype: np.dtype[Any]) -> Any:
    """The name of the TensorFlow type for a dtype, or a dict of them for a structure; None if there
    is none. Does not import TensorFlow."""
    if dtype.subdtype is not None:
        return tensor_type(dtype.subdtype[0])
    if dtype.names is not None:
        return {name: tensor_type(dtype[name]) for name in dtype.names}
    if dtype.kind in "SU":
        return "string"
    if dtype.kind in "mM":
        return "int64"
    if is_bfloat16(dtype):
        return "bfloat16"
    if dtype.kind in "biufc" and dtype.char not in "gG":
        return native(dtype).name
    return None


def _reading(facts: dict[str, Any], leaf: OpenedLeaf) -> None:
    """How batches of the array are made, and how it is read."""
    made_by = backend_for([leaf])
    facts["backend"] = made_by.NAME
    facts["engine"], facts["engine_reason"] = _engine(facts["tensorflow"], leaf)
    usable = backend().usable_memory()
    facts["usable_memory"] = usable
    if usable is not None:
        facts["fits_in_memory"] = facts["nbytes"] < _MOST_OF_MEMORY * usable
    if not made_by.READS_AHEAD:
        facts["read_as"] = "on demand"
    elif facts["fits_in_memory"]:
        facts["read_as"] = "whole"
    else:
        facts["read_as"] = "rows" if leaf.storage.dense else "on demand"


def _engine(types: Any, leaf: OpenedLeaf) -> tuple[str | None, str]:
    """The engine that `npyfast.dataset` takes, and why."""
    if not has_all_types(types):
        return None, "TensorFlow has no type for it; npyfast.batches and npyfast.open read it"
    if importlib.util.find_spec("tensorflow") is None:
        return None, "TensorFlow is not installed; npyfast.batches and npyfast.open do without"
    return engine_for_files(leaf)
