"""The text of `npyfast bench`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from npyfast._commands.bench.facts import Facts
from npyfast._packing.sizes import format_bytes

_WIDTH = 100


def title(facts: Facts) -> str:
    """The array in one line."""
    source = facts["source"]
    return (
        f"{source['rows']:,} rows of {tuple(source['row_shape'])} {source['dtype']}, "
        f"{format_bytes(source['nbytes'])}"
    )


def lines(facts: Facts) -> Iterator[str]:
    """The report."""
    source, disk = facts["source"], facts["disk"]
    yield title(facts)
    yield f"  {'memory':<28}{_memory(facts)}"
    if disk["reason"] is not None:
        yield from _wrapped(f"  {'disk':<28}", f"not measured: {disk['reason']}")
    else:
        sequential, rows = disk["sequential_bytes_per_second"], disk["random_rows_per_second"]
        assert sequential is not None
        assert rows is not None
        yield f"  {'disk, cold, in file order':<28}{format_bytes(int(sequential))}/s"
        yield (
            f"  {'disk, cold, random rows':<28}{rows:,.0f} rows/s, "
            f"{format_bytes(int(rows * source['row_bytes']))}/s"
        )
    yield f"  samples a second, batches of {facts['batch_size']:,}, shuffled:"
    for each in facts["contenders"]:
        rate = each["rows_per_second"]
        start = f"  {each['name']:<28}"
        if rate is None:
            yield from _wrapped(start, f"left out: {each['reason']}")
        else:
            low, high = min(each["samples"]), max(each["samples"])
            yield f"{start}{rate:>12,.0f}  ({low:,.0f} to {high:,.0f})"
    yield ""
    yield from textwrap.wrap(facts["verdict"], _WIDTH)


def _memory(facts: Facts) -> str:
    source = facts["source"]
    usable = source["usable_memory"]
    text = "unknown" if usable is None else f"{format_bytes(usable)} can be used"
    if source["fits_in_memory"] is not None:
        text += ": it fits" if source["fits_in_memory"] else ": it does not fit"
    if source["cached_share"] is not None:
        text += f"; {100 * source['cached_share']:.0f} % of it is cached"
    return text


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
