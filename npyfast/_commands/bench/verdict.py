"""What the measurements mean: the limit, the options to use, the fastest training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from npyfast._commands.bench.facts import Contender, Disk, Source
from npyfast._packing.sizes import format_bytes

Limit = Literal["disk", "tensorflow", "cpu"]

_PAGE = 4096
# Above this share of what the disk or the bare batches give, that is the limit.
_NEAR = 0.6


def best(contenders: Sequence[Contender], name: str) -> float | None:
    """The most rows a second of those whose names begin so."""
    rates = [each["rows_per_second"] for each in contenders if each["name"].startswith(name)]
    return max((rate for rate in rates if rate is not None), default=None)


def limit_of(source: Source, disk: Disk, contenders: Sequence[Contender]) -> Limit | None:
    """What keeps npyfast from being faster; None if it could not be measured."""
    batches, dataset = best(contenders, "npyfast.batches"), best(contenders, "npyfast.dataset")
    if batches is None:
        return None
    if source["fits_in_memory"] is False:
        rate = disk["random_rows_per_second"]
        if rate is None:
            return None
        return "disk" if batches >= _NEAR * rate else "cpu"
    if dataset is not None and dataset < _NEAR * batches:
        return "tensorflow"
    return "cpu"


def verdict(
    source: Source,
    disk: Disk,
    contenders: Sequence[Contender],
    limit: Limit | None,
    batch_size: int,
    native: bool,
) -> str:
    """One paragraph."""
    rate = best(contenders, "npyfast.dataset")
    name = "npyfast.dataset"
    if rate is None:
        rate, name = best(contenders, "npyfast.batches"), "npyfast.batches"
    if rate is None:
        return "Nothing could be measured."
    text = [
        f"{name} delivers {rate:,.0f} samples a second: a training step that takes less than "
        f"{_milliseconds(batch_size / rate)} for {batch_size:,} of them waits for data."
    ]
    text += _limited(source, limit, native)
    text += _first_epoch(source, disk, rate)
    others = [best(contenders, each) for each in ("from_generator", "NumPy")]
    slower = next((other for other in others if other), None)
    if slower is not None:
        text.append(f"That is {rate / slower:.1f} times what a plain memory map delivers.")
    return " ".join(text)


def _limited(source: Source, limit: Limit | None, native: bool) -> list[str]:
    options = "Use shuffle=True and the defaults."
    if limit == "disk":
        text = "The disk is the limit: the array does not fit in memory."
        if source["row_bytes"] < _PAGE:
            options = (
                "Its rows are smaller than a page, so use shuffle='block', or fix one random order "
                "by `npyfast pack --shuffle`."
            )
        else:
            options = "Smaller rows (uint8 or float16, cast as they are read) or more memory help."
    elif limit == "tensorflow":
        text = "The limit is TensorFlow, which handles each batch: npyfast.batches is faster."
        options = "Larger batches help."
    elif limit == "cpu":
        text = "The limit is copying, by the CPUs and the memory."
        options += " A transform or map of yours comes on top: measure it by npyfast.DataWait."
    else:
        return [options]
    if not native:
        options = "The NumPy backend is in use: a compiler makes it several times faster."
    return [text, options]


def _first_epoch(source: Source, disk: Disk, rate: float) -> list[str]:
    """The first epoch of data that fits reads it from the disk."""
    speed, cached = disk["sequential_bytes_per_second"], source["cached_share"]
    if source["fits_in_memory"] is not True or speed is None or source["row_bytes"] == 0:
        return []
    first = speed / source["row_bytes"]
    if first >= rate or (cached is not None and cached > 0.9):
        return []
    seconds = source["nbytes"] / speed
    return [
        f"The first epoch reads {format_bytes(source['nbytes'])} from the disk, which takes "
        f"{seconds:,.1f} s ({first:,.0f} samples a second)."
    ]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.3g} us"
