"""Warnings where the files of an array may come in another order than what belongs to them.

Rows of different arrays belong together by their position. Labels that were made in one order of
the files, beside files that come in another, are wrong without any error.
"""

from __future__ import annotations

import itertools
import operator
import string
from collections.abc import Sequence

from npyfast._errors import printable
from npyfast._sources.paths import natural_key
from npyfast._warnings import warn

_DIGITS_TO_0 = str.maketrans(dict.fromkeys(string.digits, "0"))


def warn_of_text_order(files: Sequence[str]) -> None:
    """Warns about listed files that are sorted as text, as by a shell, but not naturally."""
    if any(map(operator.gt, files, itertools.islice(files, 1, None))):
        return
    late = _unnatural(files)
    if late is not None:
        before, after = map(printable, late)
        warn(
            f"the list of {len(files):,} paths is sorted as text: {before!r} comes before "
            f"{after!r}, and so do their rows. If labels or other arrays go by the numbers, pass "
            "the pattern or the directory itself (in quotes, on a command line), whose files come "
            "in natural order, or sort the list by the numbers",
            UserWarning,
        )


def warn_of_natural_order(files: Sequence[str], name: str) -> None:
    """Warns about files of one row each, found by a pattern and beside an array in memory, whose
    natural order is not that of sorted()."""
    late = _unnatural(sorted(files))
    if late is not None:
        after, before = map(printable, late)
        warn(
            f"{name}: files of a pattern or directory come in natural order, {before!r} before "
            f"{after!r}, and sorted() has them the other way round. An array in memory beside them "
            "must be in their order: make it from the paths in npyfast.source(...).files, and pass "
            "list(source.files), whose order you know, to be rid of this warning",
            UserWarning,
        )


def _unnatural(files: Sequence[str]) -> tuple[str, str] | None:
    """Of files that are sorted as text, two neighbours in another than the natural order; None if
    there are none."""
    # Where only digits differ, both orders are the same. A million names of one width need no keys,
    # which take much longer.
    kinds = [path.translate(_DIGITS_TO_0) for path in files]
    for number in range(1, len(files)):
        if kinds[number - 1] != kinds[number]:
            before, after = files[number - 1], files[number]
            if natural_key(before) > natural_key(after):
                return before, after
    return None
