"""The options that say what SOURCE is, of the commands that read one array."""

from __future__ import annotations

import argparse
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from npyfast._sources.file_sets import check_sets
from npyfast._sources.source import Source, source


def add_source(parser: argparse.ArgumentParser) -> None:
    """Adds SOURCE; an option of the parser that is given twice is refused from here on."""
    parser.register("action", None, _Once)
    parser.add_argument(
        "source",
        nargs="+",
        metavar="SOURCE",
        help="a file (.npy, .npz, .h5, raw), a directory or a quoted pattern; several are the "
        "files of one array",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say how SOURCE is read."""
    add = parser.add_argument_group("what SOURCE is").add_argument
    add("--per-file", choices=["row"], help="each file is one row")
    add("--key", metavar="NAME", help="the array of an .npz or HDF5 file")
    add("--dtype", metavar="TYPE", help="raw numbers: their type, such as float32 or '>i2'")
    add(
        "--shape",
        type=_shape,
        metavar="N,N,...",
        help="raw numbers: rows first; -1: as many as the file holds",
    )
    add("--offset", type=_offset, metavar="BYTES", help="raw numbers: the byte where they begin")


def add_changes(group: argparse._ArgumentGroup) -> None:
    """Adds the options that change each row."""
    add = group.add_argument
    add("--cast", metavar="TYPE", help="convert to this type, as NumPy's astype")
    add("--scale", type=_numbers, metavar="X", help="then multiply by X, such as 1/255 or 1,2,3")
    add("--shift", type=_numbers, metavar="X", help="then add X")
    add("--row-shape", type=_shape, metavar="N,N,...", help="reshape each row")


def source_of(options: argparse.Namespace) -> Source:
    """The source that the options describe."""
    names = ("per_file", "key", "dtype", "shape", "offset", "cast", "scale", "shift", "row_shape")
    chosen = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    paths = options.source
    if len(paths) > 1 and options.per_file is None:
        check_sets(paths, ())  # an unquoted pattern, expanded by the shell
    return source(paths[0] if len(paths) == 1 else paths, **chosen)


class _Once(argparse._StoreAction):
    """An option that stands for one value. Of two, argparse would silently take the second."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given: set[str] = namespace.__dict__.setdefault("_given", set())
        if option_string is not None and self.dest in given:
            one = ": one array is read at a time" if self.dest == "key" else ""
            parser.error(f"{option_string} is given twice{one}")
        given.add(self.dest)
        super().__call__(parser, namespace, values, option_string)


def _shape(text: str) -> tuple[int, ...]:
    """28,28,1 or (28, 28, 1)."""
    numbers = text.strip("() ").rstrip(", ")
    if not re.fullmatch(r"-?\d+(\s*,\s*-?\d+)*", numbers, re.ASCII):
        raise argparse.ArgumentTypeError(f"a shape is integers, such as 28,28,1, not {text!r}")
    return tuple(int(number) for number in numbers.split(","))


def _numbers(text: str) -> float | npt.NDArray[np.float64]:
    """A number, a fraction, or a list of them."""
    values = []
    for part in text.split(","):
        above, _, below = part.partition("/")
        try:
            values.append(float(above) / float(below or 1))
        except (ValueError, ZeroDivisionError):
            raise argparse.ArgumentTypeError(
                f"a number such as 0.5 or 1/255 is needed, or several of them (1,2,3), not {text!r}"
            ) from None
    return values[0] if len(values) == 1 else np.array(values)


def _offset(text: str) -> int:
    if not re.fullmatch(r"\d+", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"an offset is a number of bytes, not {text!r}")
    return int(text)
