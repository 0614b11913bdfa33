"""What errors about several files or arrays say about the way out."""

from __future__ import annotations

from dataclasses import dataclass

from npyfast._backends import backend
from npyfast._backends.interface import OpenedLeaf
from npyfast._sources.source import Source

LIST_OR_TUPLE = "a list of paths is one array, a tuple or dict is several"
_ROW_EACH = "pass npyfast.source(..., per_file='row')"


@dataclass(frozen=True)
class Named:
    """An opened leaf, its name in error messages, and what it was made from."""

    leaf: OpenedLeaf
    name: str
    source: Source


def unequal_rows(first: Named, other: Named) -> str:
    """The error about two leaves that differ in their number of rows."""
    text = (
        "all leaves must have the same number of rows: "
        f"{first.name} has {len(first.leaf):,}, {other.name} has {len(other.leaf):,}"
    )
    for one, beside in ((first, other), (other, first)):
        files = one.source.files
        if 1 < len(files) == len(beside.leaf) and one.source.file_options.per_file is None:
            each = f"if each of the {len(files):,} files is one row"
            return f"{text}; {each}, {_ROW_EACH}"
    return f"{text}; {LIST_OR_TUPLE}"


def no_array_hint(source: Source, is_list: bool) -> str:
    """What may help where the files of a leaf do not form one array."""
    if len(source.files) < 2 or not source.file_options.by_content:
        return ""
    if _holds_one_row(source.files[0]):
        return f"; if each file is one row, {_ROW_EACH}"
    return "; for several arrays pass a tuple, not a list" if is_list or source.listed else ""


def _holds_one_row(path: str) -> bool:
    try:
        return backend().read_header(path).shape == ()
    except (OSError, ValueError):
        return False
