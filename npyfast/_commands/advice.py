"""Advice about a file, for `npyfast info`: a code for programs, a text for people."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from npyfast._commands.facts import Advice, ArrayFacts, TensorTypes
from npyfast._sources.formats import NPY, UNKNOWN, Format, has_header, pack_command

# With this many files, opening them takes noticeably long.
_MANY_FILES = 1000
_PAGE = 4096


def advise_files(path: str, found: Format, files: Sequence[str]) -> list[Advice]:
    """Advice that does not depend on what the files hold."""
    if found == UNKNOWN and _is_readable(files[0]):
        return [
            _advice(
                "not-npy",
                "fix",
                "if it holds raw numbers, say which, as in "
                "npyfast.source(path, dtype='float32', shape=(-1, 64), offset=0), or",
                f"{_pack(path)} --dtype float32 --shape -1,64",
            )
        ]
    if found == NPY and len(files) >= 2 and (os.path.isdir(path) or len(files) >= 100):
        return [
            _advice(
                "row-per-file",
                "note",
                "the files are read as one array; where each is one row (a sample), "
                "use npyfast.source(path, per_file='row'), or",
                f"{_pack(path)} --per-file row",
            )
        ]
    return []


def advise(
    path: str, facts: ArrayFacts, dtype: np.dtype[Any], files: Sequence[str]
) -> list[Advice]:
    """Advice about an array, the most serious first."""
    advice = []
    row_files = facts["access"] == "row files"
    pack = _pack(path, facts["key"]) + " --per-file row" * row_files
    row_bytes = facts["row_bytes"] or 0

    def fix(code: str, text: str, command: str | None = None) -> None:
        advice.append(_advice(code, "fix", text, command))

    def note(code: str, text: str) -> None:
        advice.append(_advice(code, "note", text))

    if facts["access"] in ("none", "memory"):
        means = "no row can be read" if facts["access"] == "none" else "each process inflates it"
        fix("compressed", f"it is compressed ({facts['compression']}): {means}", pack)
    if facts["access"] == "h5py":
        text = "h5py reads it, many times slower than a plain file"
        if has_header(dtype):
            fix("chunked", text, pack)
        else:
            fix("chunked", f"{text}: save it with the fields in the order of their offsets")
    if not has_all_types(facts["tensorflow"]):
        text = f"TensorFlow has no type for {dtype}: "
        if dtype.char == "g":
            text += "use npyfast.source(path, cast='float64'), or"
            fix("no-tensorflow-type", text, f"{pack} --cast float64")
        else:
            text += "convert each batch by dataset(..., transform=...), or save it in another dtype"
            fix("no-tensorflow-type", text)
    if facts["order"] in ("F", "mixed") and not row_files and row_bytes > dtype.itemsize:
        fix("fortran-order", "in Fortran order the items of a row lie all over the file", pack)
    if len(files) >= _MANY_FILES:
        text = f"{len(files):,} files take long to open" + ", in each epoch again" * row_files
        fix("many-files", text, f"{pack} --max-file-size 1GiB")
    if facts["fits_in_memory"] is False and row_bytes < _PAGE:
        text = (
            "its rows are smaller than a page (4 KiB), and it does not fit in memory: shuffled, "
            "each row costs a page; use shuffle='block', or fix one random order for good"
        )
        fix("small-rows", text, f"{pack} --shuffle")
    if facts["native_byte_order"] is False:
        note("byte-order", "its bytes are swapped as they are copied, which costs little")
    if facts["rows"] == 0:
        note("no-rows", "it has no rows: its dataset is empty")
    return advice


def _is_readable(path: str) -> bool:
    """Whether a file is not empty and this process may read it."""
    return os.path.isfile(path) and os.path.getsize(path) > 0 and os.access(path, os.R_OK)


def _advice(
    code: str, level: Literal["fix", "note"], text: str, command: str | None = None
) -> Advice:
    return {"code": code, "level": level, "text": text, "command": command}


def has_all_types(types: TensorTypes) -> bool:
    """Whether TensorFlow has a type for every field."""
    return all(map(has_all_types, types.values())) if isinstance(types, dict) else types is not None


def _pack(path: str, key: str | None = None) -> str:
    """The command that makes a plain file of it."""
    stem, end = os.path.splitext(os.path.basename(os.path.abspath(path)))
    out = f"{stem}-packed" if end == ".npy" else stem
    if any(letter in out for letter in "*?["):
        out = "packed"
    return pack_command(path, key, f"{out}.npy")
