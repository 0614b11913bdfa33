"""Errors as the command line shows them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from npyfast._errors import printable

_OPTIONS = (
    *("per_file", "key", "dtype", "shape", "offset", "cast", "scale", "shift", "row_shape"),
    *("rows", "shuffle", "seed", "max_file_size", "verify", "overwrite", "out"),
)
_NAME = "|".join(_OPTIONS)
_VALUE = r"'[^']*'|\([^()]*\)|-?\d[\d.]*|True|\.\.\."
# Not within a name of a file, such as "data/seed=1/x.npy".
_BEGIN = r"(?<![\w/.=-])"

# npyfast.source(path, key=...), or with several options.
_CALL = re.compile(rf"npyfast\.source\((?:path|\.\.\.), ((?:(?:{_NAME})=(?:{_VALUE})(?:, )?)+)\)")
_GIVEN = re.compile(rf"{_BEGIN}({_NAME})=({_VALUE})(?:, (?=(?:{_NAME})=))?")
# Names that are no words of English, and any name of which something is said.
_MENTIONED = re.compile(
    rf"{_BEGIN}(?:(per_file|row_shape|max_file_size)\b"
    rf"|(?:(?<=^)|(?<=: )|(?<=, )|(?<=and ))({_NAME})(?= (?:must|may|and|cannot|is for|need)\b))"
)


# Where the message has both names.
_TWICE = re.compile(r"(--[a-z-]+) \(\1\)")
_METAVARS = {"key": "NAME", "dtype": "TYPE", "cast": "TYPE"}
_OF_PYTHON = "; a `transform` can convert in any way"


def explain(error: BaseException) -> str:
    """An error in one line, without the errno that Python puts before system errors."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"
    return printable(" ".join(text.split()))


def with_options(text: str, paths: Sequence[str] = ()) -> str:
    """A message that names options as the command line has them, `--key NAME`, and not as Python
    does. The given paths stay as they are.

    >>> with_options("choose one by npyfast.source(path, key=...), of 'x', 'y'")
    "choose one by --key NAME, of 'x', 'y'"
    >>> with_options("key=1.npy: counts the rows in: use row_shape=(28, 28, 1)", ["key=1.npy"])
    'key=1.npy: counts the rows in: use --row-shape 28,28,1'
    """
    known = "|".join(re.escape(printable(path)) for path in sorted(paths, key=len, reverse=True))
    parts = re.split(f"({known})", text) if known else [text]
    # Every second part is one of the paths.
    return "".join(part if number % 2 else _translated(part) for number, part in enumerate(parts))


def _translated(text: str) -> str:
    text = _CALL.sub(lambda match: match[1], text.replace(_OF_PYTHON, ""))
    text = _GIVEN.sub(_written, text)
    text = _MENTIONED.sub(lambda match: _option(match[1] or match[2]), text)
    return _TWICE.sub(r"\1", text)


def _written(match: re.Match[str]) -> str:
    """key='x' as --key x."""
    value = _METAVARS.get(match[1], "...") if match[2] == "..." else _value(match[2])
    between = " " if match[0].endswith(", ") else ""
    return f"{_option(match[1])} {value}".rstrip() + between


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _value(text: str) -> str:
    if text.startswith("("):
        return text.strip("(),").replace(" ", "")
    return "" if text == "True" else text.strip("'")
