"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

import re
from fractions import Fraction

from npyfast._errors import shown
from npyfast._options import integer

_UNITS = {"": 1, "b": 1}
_UNITS.update({f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)})
_UNITS.update({f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)})


def parse_bytes(name: str, value: int | str) -> int:
    """The value of a size option, an int or a text such as "1GiB" or "500 MB", in bytes.

    Raises ValueError that lists what is allowed.

    >>> parse_bytes("max_file_size", "1.5GiB"), parse_bytes("max_file_size", "500MB")
    (1610612736, 500000000)
    """
    if not isinstance(value, str):
        return integer(name, value, 1)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", value.lower(), re.ASCII)
    unit = _UNITS.get(match[2]) if match else None
    number = int(Fraction(match[1]) * unit) if match and unit else 0
    if number < 1:
        raise ValueError(
            f"{name} must be bytes, such as 500000000, '500MB' (of 1000) or '1GiB' (of 1024), "
            f"got {shown(value)}"
        )
    return number


def format_bytes(count: int) -> str:
    """A number of bytes in the largest fitting binary unit, with three or four digits.

    >>> format_bytes(784), format_bytes(47040000), format_bytes(3 << 40)
    ('784 B', '44.9 MiB', '3.00 TiB')
    """
    if count < 1024:
        return f"{count} B"
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        value, unit = value / 1024, larger
        if value < 999.5:
            break
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:,.{digits}f} {unit}"
