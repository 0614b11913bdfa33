"""`npyfast info`: reports what files are, what npyfast does with them, and what to fix."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy.lib.format as npy_format

from npyfast._commands.alike import summarised
from npyfast._commands.describe import describe, is_unreadable
from npyfast._commands.facts import Advice, ArrayFacts, Facts, TensorTypes
from npyfast._errors import printable
from npyfast._packing.sizes import format_bytes

_DESCRIPTION = """\
Reports what each PATH is, how npyfast reads it, and what to fix. Reads headers only. The exit
status is 1 if anything cannot be read."""

_WIDTH = 100

_FORMATS = {"npy": ".npy", "npz": ".npz archive", "hdf5": "HDF5"}

_ACCESS = {
    "mapped": "mapped in place",
    "row files": "one file a row, opened when it is needed",
    "h5py": "read by h5py, slowly",
    "memory": "inflated into memory, once for all datasets of a process",
    "none": "too large to be inflated into memory",
}

_READ_AS = {
    "whole": "read once, as a whole",
    "rows": "read by the rows of the coming batches",
    "on demand": "read when a batch needs it",
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command and its options."""
    parser = commands.add_parser(
        "info",
        help="report what files are, and what npyfast does with them",
        description=_DESCRIPTION,
    )
    parser.set_defaults(run=_run)
    parser.add_argument(
        "path",
        nargs="+",
        metavar="PATH",
        help="a file, a directory (its *.npy are the files of one array), or a quoted pattern",
    )
    parser.add_argument(
        "--per-file", choices=["row"], help="each file of a PATH is one row, not an array of rows"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON list, one item for a PATH"
    )


def _run(options: argparse.Namespace) -> int:
    unreadable = False

    def described() -> Iterator[Facts]:
        nonlocal unreadable
        for path in options.path:
            facts = describe(path, options.per_file)
            unreadable |= is_unreadable(facts)
            yield facts

    if options.json:
        print(json.dumps(list(described()), indent=2))
    else:
        for number, facts in enumerate(summarised(described(), options.per_file)):
            print("\n" * (number > 0) + "\n".join(_lines(facts)), flush=True)
    return int(unreadable)


def _lines(facts: Facts) -> Iterator[str]:
    """A description as text."""
    yield printable(facts["path"])
    if facts["files"]:
        format_name = _FORMATS.get(facts["format"] or "", "none that npyfast knows")
        versions = {tuple(each["version"]) for each in facts["arrays"] if each["version"]}
        if facts["format"] == "npy" and len(versions) == 1:
            format_name += " {}.{}".format(*versions.pop())
        files = "one file" if facts["files"] == 1 else f"{facts['files']:,} files"
        yield from _line("format", f"{format_name}, {files}, {format_bytes(facts['bytes'])}")
    if facts["error"] is not None:
        yield from _line("error", facts["error"])
    for array in facts["arrays"]:
        indent = 2
        if array["key"] is not None:
            yield printable(f"  [{array['key']!r}]")
            indent = 4
        yield from _array_lines(array, indent)
    yield from _advice_lines(facts["advice"], 2)


def _array_lines(array: ArrayFacts, indent: int) -> Iterator[str]:
    def line(name: str, text: str) -> Iterator[str]:
        return _line(name, text, indent)

    if array["row_shape"] is not None:
        shape = tuple(array["row_shape"])
        yield from line("rows", f"{array['rows']:,} of shape {shape}, {_dtype(array['dtype'])}")
        yield from line("layout", ", ".join(_layout(array)))
    elif array["dtype"] is not None:
        yield from line("dtype", _dtype(array["dtype"]))
    if array["error"] is not None:
        yield from line("error", array["error"])
        return
    yield from line("npyfast", ", ".join(_reading(array)))
    if array["engine_reason"] is not None:
        engine = "no engine" if array["engine"] is None else f"engine {array['engine']}"
        yield from line("dataset", f"{engine}: {array['engine_reason']}")
    yield from line("tensor", _tensor(array["tensorflow"]))
    usable, read_as = array["usable_memory"], array["read_as"]
    if usable is not None and read_as is not None:
        fits = "fits" if array["fits_in_memory"] else "does not fit"
        yield from line(
            "memory", f"{fits} ({format_bytes(usable)} can be used): {_READ_AS[read_as]}"
        )
    yield from _advice_lines(array["advice"], indent)
    if not any(advice["level"] == "fix" for advice in array["advice"]):
        yield from line("to fix", "nothing")


def _advice_lines(advice: list[Advice], indent: int) -> Iterator[str]:
    for each in advice:
        name = {"fix": "to fix", "note": "note"}[each["level"]]
        yield from _line(name, each["text"], indent)
        if each["command"] is not None:  # in one line, to be copied
            yield " " * (indent + 9) + printable(each["command"])


def _dtype(descr: Any) -> str:
    """A dtype as NumPy prints it."""
    if isinstance(descr, list):
        descr = [_field(field) for field in descr]
    try:
        return str(npy_format.descr_to_dtype(descr))
    except (TypeError, ValueError):
        return str(descr)


def _field(field: Any) -> tuple[Any, ...]:
    """A field of a structure as NumPy takes it: JSON and NumPy differ in lists and tuples."""
    name, descr, *shape = field
    inner = [_field(each) for each in descr] if isinstance(descr, list) else descr
    return (name, inner, *shape)


def _layout(array: ArrayFacts) -> Iterator[str]:
    if array["row_bytes"] is not None:
        yield f"{format_bytes(array['row_bytes'])} a row"
    if array["nbytes"] is not None:
        yield f"{format_bytes(array['nbytes'])} in all"
    if array["order"] is not None:
        yield {"C": "C order", "F": "Fortran order", "mixed": "C and Fortran order"}[array["order"]]
    if array["data_offset"] is not None:
        yield f"data from byte {array['data_offset']:,} on"
    if array["chunks"] is not None:
        yield f"chunks of {tuple(array['chunks'])}"
    if array["compression"] is not None:
        yield f"compressed by {array['compression']}"


def _reading(array: ArrayFacts) -> Iterator[str]:
    yield _ACCESS[array["access"]]
    if array["backend"] is not None:
        yield f"backend {array['backend']}"


def _tensor(types: TensorTypes) -> str:
    if isinstance(types, dict):
        return "a dict of " + ", ".join(f"{key}: {_tensor(each)}" for key, each in types.items())
    return "none" if types is None else f"tf.{types}"


def _line(name: str, text: str, indent: int = 2) -> Iterator[str]:
    """One line, or several if the text is long."""
    start = " " * indent + f"{name:<9}"
    yield textwrap.fill(
        printable(text),
        _WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
