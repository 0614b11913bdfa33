"""An error of a batch comes once, in its place, and the batches behind it are delivered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bad_file import BAD, EXPECTED, ROWS, source

import npyfast

__all__ = ["source"]


def outcomes(stream: Any, count: int) -> list[Any]:
    """What so many reads give: the rows of a batch, "error", or "end"."""

    def outcome() -> Any:
        try:
            return next(stream)[:, 0].tolist()
        except StopIteration:
            return "end"
        except Exception as error:
            return "error" if f"{BAD:02}.npy" in str(error) else error

    return [outcome() for _ in range(count)]


@pytest.mark.usefixtures("backend")
class TestBatches:
    @pytest.mark.parametrize("threads", [0, 1, 3], ids=lambda n: f"{n} transform threads")
    def test_in_the_place_of_the_batch(self, source: Any, threads: int) -> None:
        options: dict[str, Any] = {}
        if threads:
            options = {"transform": lambda x: x + 0, "transform_threads": threads}
        made = npyfast.batches(source, 5, epochs=1, **options)
        stream: Any = iter(made)
        for place, wanted in enumerate(EXPECTED[:3]):
            assert stream.position == (0, place)
            assert outcomes(stream, 1) == [wanted]
        assert outcomes(stream, 2) == ["end", "end"]
        assert stream.position == (1, 0)
        assert made.statistics.batches == 2

    def test_in_each_epoch(self, source: Any) -> None:
        stream = iter(npyfast.batches(source, 5, epochs=2))
        assert outcomes(stream, 7) == [*EXPECTED[:3], *EXPECTED[:3], "end"]

    @pytest.mark.parametrize("group", [2, 4, 8])
    def test_of_a_group(self, source: Any, group: int) -> None:
        """Its other batches come one by one."""
        batching = npyfast.batches(source, 1, epochs=2)._batching
        stream = batching.stream(batching.run, group=group)
        rows_in_one_array = map(np.concatenate, stream)
        found = outcomes(rows_in_one_array, 2 * ROWS + 1)
        while found[-1] == "end":
            del found[-1]
        assert all(isinstance(rows, list) or rows == "error" for rows in found)
        rows = [row for rows in found for row in ([rows] if rows == "error" else rows)]
        epoch = [*range(BAD), "error", *range(BAD + 1, ROWS)]
        assert rows == [*epoch, *epoch]
