"""What `npyfast info` finds out about files; docs/command-line.md documents the keys."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

# A dtype in JSON: NumPy's text, or the list of a structure's fields.
Descr: TypeAlias = str | list[Any]

# The name of a TensorFlow type, or a dict of them for a structure; None if there is none.
TensorTypes: TypeAlias = "str | dict[str, TensorTypes] | None"


class Advice(TypedDict):
    """What to do, or to know, about a file."""

    code: str  # for programs
    level: Literal["fix", "note"]
    text: str
    command: str | None  # fixes it


class ArrayFacts(TypedDict):
    """What is known of an array; None if unknown, or not applicable."""

    key: str | None
    rows: int | None
    row_shape: list[int] | None
    dtype: Descr | None
    row_bytes: int | None
    nbytes: int | None
    version: list[int] | None
    order: Literal["C", "F", "mixed"] | None
    native_byte_order: bool | None
    data_offset: int | None
    chunks: list[int] | None
    compression: str | None
    access: Literal["memory", "mapped", "row files", "h5py", "python", "none"]
    backend: str | None
    engine: str | None
    engine_reason: str | None
    tensorflow: TensorTypes
    usable_memory: int | None
    fits_in_memory: bool | None
    read_as: Literal["whole", "rows", "on demand"] | None
    error: str | None
    advice: list[Advice]


class Facts(TypedDict):
    """What is known of a path."""

    path: str
    format: str | None
    files: int
    bytes: int
    error: str | None
    advice: list[Advice]
    arrays: list[ArrayFacts]


def no_facts(key: str | None) -> ArrayFacts:
    """The facts of an array of which only the key is known."""
    return {
        "key": key,
        "rows": None,
        "row_shape": None,
        "dtype": None,
        "row_bytes": None,
        "nbytes": None,
        "version": None,
        "order": None,
        "native_byte_order": None,
        "data_offset": None,
        "chunks": None,
        "compression": None,
        "access": "none",
        "backend": None,
        "engine": None,
        "engine_reason": None,
        "tensorflow": None,
        "usable_memory": None,
        "fits_in_memory": None,
        "read_as": None,
        "error": None,
        "advice": [],
    }
