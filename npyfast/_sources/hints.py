"""What errors about several files or arrays say about the way out."""

from __future__ import annotations

from dataclasses import dataclass

from npyfast._backends.interface import OpenedLeaf
from npyfast._sources.files import ROW_EACH, row_each_hint
from npyfast._sources.source import Source

LIST_OR_TUPLE = "a list of paths is one array, a tuple or dict is several"


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
            return f"{text}; {each}, {ROW_EACH}"
    some = "npyfast.source(..., rows=slice(start, stop)) takes some of the rows of one leaf"
    return f"{text}; {some}; {LIST_OR_TUPLE}"


def no_array_hint(source: Source, is_list: bool) -> str:
    """What may help where the files of a leaf do not form one array."""
    hint = row_each_hint(source.files, source.file_options)
    if not hint and len(source.files) > 1 and (is_list or source.listed):
        hint = "; for several arrays pass a tuple, not a list"
    return hint
