"""What a disk gives: cold reads of a bounded sample of the files."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence

from npyfast._commands.bench.facts import Disk

_SAMPLE = 256 << 20  # the most bytes of each kind of read
_PIECE = 1 << 20
_PAGE = 4096
_REGION = 4 << 20  # dropped from the page cache together
_AHEAD = 128  # random reads that are requested before they are needed
_MOST_OPEN = 256
_PROBES = 200

Files = Sequence[tuple[str, int]]  # paths and sizes


def cached_share(files: Files) -> float | None:
    """The share of a sample of pages that the page cache holds; None if the system does not say."""
    draw = random.Random(0)
    found = [_is_cached(*place) for place in _places(files, _PAGE, draw, _PROBES)]
    known = [each for each in found if each is not None]
    return sum(known) / len(known) if known else None


def measure_disk(files: Files, row_bytes: int, seconds: float) -> Disk:
    """Reads in file order and rows at random places, each for at most this time.

    The pages are dropped from the page cache before they are read, which needs no rights. Raises
    OSError.
    """
    if not hasattr(os, "posix_fadvise"):
        return _not_measured("this system cannot drop pages from its cache")
    draw = random.Random(1)
    most = min(_SAMPLE, max(size for _, size in files))
    ((path, offset),) = _places(files, most, draw, 1)
    offset = offset // _REGION * _REGION
    places = _cold_places(files, row_bytes, draw)
    if not places or not _drop(path, offset, _REGION):
        return _not_measured(
            "the system keeps these pages in memory (files that were just written or are in use, "
            "or a file system in memory), so no read of them is cold"
        )
    rate = _random_rows(places, row_bytes, seconds)
    sequential = _sequential(path, offset, seconds)
    return {
        "sequential_bytes_per_second": sequential,
        "random_rows_per_second": rate,
        "reason": None,
    }


def _not_measured(reason: str) -> Disk:
    return {
        "sequential_bytes_per_second": None,
        "random_rows_per_second": None,
        "reason": reason,
    }


def _places(files: Files, count: int, draw: random.Random, places: int) -> list[tuple[str, int]]:
    """Files, chosen by their sizes, and a page of each with `count` bytes after it if it has
    them."""
    chosen = draw.choices(files, [max(1, size) for _, size in files], k=places)
    return [
        (path, draw.randrange(max(1, size - count + 1)) // _PAGE * _PAGE) for path, size in chosen
    ]


def _is_cached(path: str, offset: int) -> bool | None:
    """Whether the page cache holds a page; None if the system does not say."""
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    with open(path, "rb", buffering=0) as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], offset, os.RWF_NOWAIT) > 0
        except BlockingIOError:
            return False
        except OSError:
            return None


def _drop(path: str, offset: int, count: int) -> bool:
    """Drops pages of a file from the page cache; whether the first one is gone."""
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), offset, count, os.POSIX_FADV_DONTNEED)
    return not _is_cached(path, offset)


def _sequential(path: str, offset: int, seconds: float) -> float:
    """Bytes a second."""
    _drop(path, offset, _SAMPLE)
    read = 0
    with open(path, "rb", buffering=0) as file:
        begin = time.perf_counter()
        while read < _SAMPLE and time.perf_counter() < begin + seconds:
            got = len(os.pread(file.fileno(), _PIECE, offset + read))
            read += got
            if got < _PIECE:
                break
        return read / (time.perf_counter() - begin)


def _cold_places(files: Files, row_bytes: int, draw: random.Random) -> list[tuple[str, int]]:
    """Places of rows, in random order, whose pages were dropped and are gone."""
    # The page cache drops nothing smaller than its largest pages.
    drawn = _places(files, _PAGE, draw, _SAMPLE // _REGION)
    regions = dict.fromkeys((path, offset // _REGION * _REGION) for path, offset in drawn)
    sizes = dict(files)
    step = max(_PAGE, -(-row_bytes // _PAGE) * _PAGE)
    places = [
        (path, place)
        for path, begin in regions
        if _drop(path, begin, _REGION)
        for place in range(begin, min(begin + _REGION, sizes[path]), step)
    ]
    draw.shuffle(places)
    return places


def _random_rows(places: Sequence[tuple[str, int]], row_bytes: int, seconds: float) -> float:
    """Rows a second, with many requested ahead."""
    opened: dict[str, int] = {}

    def file(path: str) -> int:
        """A descriptor; of the latest files, for there may be a million."""
        found = opened.get(path)
        if found is None:
            if len(opened) >= _MOST_OPEN:
                os.close(opened.pop(next(iter(opened))))
            found = opened[path] = os.open(path, os.O_RDONLY)
            # Otherwise the kernel reads more than the row.
            os.posix_fadvise(found, 0, 0, os.POSIX_FADV_RANDOM)
        return found

    requested = done = 0
    begin = time.perf_counter()
    try:
        while done < len(places) and time.perf_counter() < begin + seconds:
            for path, offset in places[requested : done + _AHEAD]:
                os.posix_fadvise(file(path), offset, row_bytes, os.POSIX_FADV_WILLNEED)
            requested = max(requested, done + _AHEAD)
            path, offset = places[done]
            os.pread(file(path), row_bytes, offset)
            done += 1
        return done / (time.perf_counter() - begin)
    finally:
        for number in opened.values():
            os.close(number)
