"""What functions say about options that belong to another function, or have another name here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

_NORMALIZED = (
    "rows are multiplied by scale, then shift is added: npyfast.source(path, cast='float32', "
    "scale=1 / std, shift=-mean / std); npyfast.moments computes both"
)
_OF_SOURCE = "it is an option of npyfast.source, which makes a leaf: npyfast.source(path, {}=...)"
_OF_DATASET = "it is an option of npyfast.dataset and npyfast.batches"
_THREADS = "the number of threads is the option threads, whose default needs no tuning"

SOURCE = {
    **dict.fromkeys(("mean", "std", "stddev"), _NORMALIZED),
    **dict.fromkeys(
        ("batch_size", "shuffle", "seed", "epochs", "drop_remainder", "shard", "transform"),
        _OF_DATASET,
    ),
}

BATCHES = {
    **{
        name: _OF_SOURCE.format(name)
        for name in (
            *("per_file", "key", "dtype", "shape", "offset", "cast", "scale", "shift"),
            *("row_shape", "window", "stride"),
        )
    },
    **dict.fromkeys(("mean", "std", "stddev"), _NORMALIZED),
    **dict.fromkeys(
        ("buffer_size", "reshuffle_each_iteration"),
        "shuffle=True shuffles all rows, in each epoch anew",
    ),
    **dict.fromkeys(("num_parallel_calls", "num_workers", "workers"), _THREADS),
    "drop_last": "here it is called drop_remainder",
    "repeat": "here it is called epochs, and -1 is endless",
    **dict.fromkeys(
        ("validation_split", "subset"), "rows= takes a part that npyfast.split has made"
    ),
    **dict.fromkeys(("map_func", "collate_fn"), "a function of the batch is the option transform"),
}


def explaining(hints: dict[str, str]) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Makes a function raise TypeError with the hint of an option that it does not have."""

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        @functools.wraps(function)
        def call(*args: _P.args, **options: _P.kwargs) -> _T:
            for name in options:
                if name in hints:
                    raise TypeError(f"{function.__name__}() has no option {name!r}: {hints[name]}")
            return function(*args, **options)

        return call

    return decorate
