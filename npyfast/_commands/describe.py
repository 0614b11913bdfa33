"""Describes what a file is, what npyfast does with it, and what to fix, for `npyfast info`."""

from __future__ import annotations

import importlib.util
import math
import os
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.lib.format as npy_format

from npyfast._backends import backend, backend_for
from npyfast._backends.cast import is_bfloat16
from npyfast._backends.fields import native
from npyfast._backends.header import Header
from npyfast._backends.interface import OpenedLeaf
from npyfast._backends.numpy_leaf import check_alike
from npyfast._commands.advice import advise, advise_files, has_all_types
from npyfast._commands.errors import explain
from npyfast._commands.facts import ArrayFacts, Descr, Facts, TensorTypes, no_facts
from npyfast._engines import engine_for_files
from npyfast._sources import hdf5
from npyfast._sources.formats import HDF5, NPY, NPZ, Format, member_name
from npyfast._sources.inflated import MOST_OF_MEMORY
from npyfast._sources.opening import Opening
from npyfast._sources.paths import expand
from npyfast._sources.source import Source, source

FORMATS = {NPY: "npy", NPZ: "npz", HDF5: "hdf5"}

# What is raised for bad files, and for missing packages.
ERRORS = (OSError, ValueError, TypeError, LookupError, ImportError, RuntimeError)

# The most headers to read. The rest of the files are taken to be alike.
_LOOKED_AT = 1000


def describe(path: str, per_file: Literal["row"] | None = None) -> Facts:
    """Describes the file, or the files of a directory or pattern, that a path stands for; as one
    array, or with `per_file`, as one row each."""
    facts: Facts = {
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
        facts["files"] = len(files)
        facts["bytes"] = sum(os.stat(file).st_size for file in files)
        with Opening() as opening:
            found = opening.format_of(files[0])
            facts["format"] = FORMATS.get(found)
            if per_file is not None:
                facts["arrays"] = [_row_files(path, files)]
            else:
                facts["advice"] = advise_files(path, found, files)
                facts["arrays"] = _arrays(path, found, files, opening)
    except ERRORS as error:
        facts["error"] = explain(error)
    else:
        if found not in FORMATS or (found == NPY and facts["arrays"][0]["dtype"] is None):
            facts["error"] = facts["arrays"][0]["error"]
            facts["arrays"] = []
    return facts


def is_unreadable(facts: Facts) -> bool:
    """Whether npyfast cannot read some of it."""
    return facts["error"] is not None or any(array["error"] for array in facts["arrays"])


def _arrays(path: str, found: Format, files: Sequence[str], opening: Opening) -> list[ArrayFacts]:
    """Describes the arrays that a path stands for."""
    leaf = source(path)
    with warnings.catch_warnings():
        # The advice covers slow sources.
        warnings.simplefilter("ignore", RuntimeWarning)
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
) -> ArrayFacts:
    """Describes an array."""
    facts = no_facts(key)
    opened: OpenedLeaf | None = None
    try:
        looked_at = files if found == NPZ else files[:_LOOKED_AT]
        headers = _headers(facts, key, found, looked_at, opening)
        dtype, shape = headers[0].dtype, headers[0].shape
        facts["dtype"] = _descr(dtype)
        facts["native_byte_order"] = native(dtype) == dtype
        facts["tensorflow"] = tensor_type(dtype)
        if not shape:
            raise ValueError(
                f"{path if key is None else member_name(path, key)}: holds a 0-dimensional array, "
                "which has no rows"
            )
        rows = sum(header.shape[0] for header in headers if header.shape)
        row_bytes = dtype.itemsize * math.prod(shape[1:])
        facts["rows"], facts["row_shape"], facts["row_bytes"] = rows, list(shape[1:]), row_bytes
        if found != NPZ or facts["compression"] is None:
            opened = leaf.open(opening)
            facts["rows"] = rows = len(opened)
            facts["access"] = opened.storage.kind
        else:
            _add_inflating(facts, rows * row_bytes)
    except ERRORS as error:
        facts["error"] = explain(error)
        return facts
    facts["nbytes"] = rows * row_bytes
    if opened is not None:
        _add_reading(facts, opened, rows * row_bytes)
    facts["advice"] = advise(path, facts, dtype, files)
    return facts


def _row_files(path: str, files: Sequence[str]) -> ArrayFacts:
    """Describes files of one row each."""
    facts = no_facts(None)
    try:
        leaf = source(path, per_file="row").open()
        headers = _headers(facts, None, NPY, files[:_LOOKED_AT], None)
        first = headers[0]
        facts["dtype"], facts["tensorflow"] = _descr(first.dtype), tensor_type(first.dtype)
        facts["native_byte_order"] = native(first.dtype) == first.dtype
        facts["access"] = leaf.storage.kind
        facts["rows"], facts["row_shape"] = len(leaf), list(first.shape)
        for file, header in zip(files, headers, strict=False):
            check_alike("shape", files[0], first, file, header)
    except ERRORS as error:
        facts["error"] = explain(error)
        return facts
    facts["row_bytes"] = row_bytes = first.dtype.itemsize * math.prod(first.shape)
    facts["nbytes"] = nbytes = len(leaf) * row_bytes
    _add_reading(facts, leaf, nbytes)
    facts["advice"] = advise(path, facts, first.dtype, files)
    return facts


def _headers(
    facts: ArrayFacts,
    key: str | None,
    found: Format,
    files: Sequence[str],
    opening: Opening | None,
) -> list[Header]:
    """The headers of the array in these files; records how the first of them stores it."""
    if found == HDF5:
        assert key is not None
        assert opening is not None
        datasets = [hdf5.look(file, key, opening) for file in files]
        stored = datasets[0]
        facts["order"] = "C"
        facts["chunks"] = None if stored.chunks is None else list(stored.chunks)
        facts["compression"] = stored.compression
        if stored.located is not None:
            facts["data_offset"] = stored.located.header.data_offset
        return [Header((0, 0), each.shape, each.dtype, False, 0) for each in datasets]
    if found == NPZ:
        assert key is not None
        assert opening is not None
        headers = [opening.archive(file).look(key) for file in files]
        methods = (opening.archive(file).compression(key) for file in files)
        facts["compression"] = next((method for method in methods if method), None)
    else:
        headers = [backend().read_header(file) for file in files]
    first = headers[0]
    facts["version"] = list(first.version)
    facts["order"] = _memory_order(headers)
    facts["data_offset"] = None if facts["compression"] else first.data_offset
    return headers


def _memory_order(headers: Sequence[Header]) -> Literal["C", "F", "mixed"]:
    """The memory order of the files. One dimension is in both orders, and counts as C."""
    fortran = {header.fortran_order for header in headers if len(header.shape) > 1}
    if len(fortran) > 1:
        return "mixed"
    return "F" if True in fortran else "C"


def _descr(dtype: np.dtype[Any]) -> Descr:
    try:
        descr: Descr = npy_format.dtype_to_descr(dtype)
        return descr
    except ValueError:  # fields out of order
        return str(dtype)


def tensor_type(dtype: np.dtype[Any]) -> TensorTypes:
    """The TensorFlow type for a dtype. Does not import TensorFlow."""
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


def _add_reading(facts: ArrayFacts, leaf: OpenedLeaf, nbytes: int) -> None:
    """Adds how batches of the array are made, and how it is read."""
    made_by = backend_for([leaf])
    facts["backend"] = made_by.NAME
    facts["engine"], facts["engine_reason"] = _engine(facts["tensorflow"], leaf)
    usable = backend().usable_memory()
    facts["usable_memory"] = usable
    if usable is not None:
        facts["fits_in_memory"] = nbytes < MOST_OF_MEMORY * usable
    if not made_by.READS_AHEAD or leaf.storage.kind == "row files":
        facts["read_as"] = "on demand"
    elif facts["fits_in_memory"]:
        facts["read_as"] = "whole"
    else:
        facts["read_as"] = "rows" if leaf.storage.dense else "on demand"


def _add_inflating(facts: ArrayFacts, nbytes: int) -> None:
    """Adds whether a compressed array can be inflated into memory."""
    facts["usable_memory"] = usable = backend().usable_memory()
    facts["fits_in_memory"] = usable is None or nbytes <= MOST_OF_MEMORY * usable
    facts["access"] = "memory" if facts["fits_in_memory"] else "none"


def _engine(types: TensorTypes, leaf: OpenedLeaf) -> tuple[str | None, str]:
    """The engine that `npyfast.dataset` takes, and why."""
    if not has_all_types(types):
        return None, "TensorFlow has no type for it; npyfast.batches and npyfast.open read it"
    if importlib.util.find_spec("tensorflow") is None:
        return None, "TensorFlow is not installed; npyfast.batches and npyfast.open do without"
    return engine_for_files(leaf)
