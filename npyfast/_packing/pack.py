"""`npyfast.pack`: anything that npyfast reads, as plain .npy files."""

from __future__ import annotations

import errno
import io
import itertools
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from npyfast._backends import backend, backend_for
from npyfast._backends.fields import AnyArray
from npyfast._backends.interface import OpenedLeaf
from npyfast._memory import memory_limit
from npyfast._order.plan import Plan, Run, boolean, make_plan
from npyfast._packing.descriptor import naming
from npyfast._packing.holes import clear, holes
from npyfast._packing.names import numbered_names, partial
from npyfast._packing.output import Output
from npyfast._packing.packed_header import descr_of, header_text, refuse_unreadable
from npyfast._packing.sizes import parse_bytes
from npyfast._packing.unpacking import compare_checksums, unpacked
from npyfast._packing.written_file import UnpackedFile, WrittenFile
from npyfast._sources.opening import Opening
from npyfast._sources.paths import Path
from npyfast._sources.source import Source, as_source

# Rows that are copied at once: enough that Python's share does not show, and little memory.
_CHUNK_BYTES = 4 << 20
_SCATTERED_BYTES = 64 << 20
_CHUNKED_BYTES = 256 << 20


class Progress(NamedTuple):
    """How far `npyfast.pack` has come."""

    stage: str  # "unpacking", "checking", "writing" or "verifying"
    rows: int  # of the stage that are done, and all of them
    total_rows: int
    bytes: int
    total_bytes: int
    seed: int | None  # of the order, drawn if none was given; None without shuffling


def pack(
    source: Any,
    out: Path,
    *,
    rows: Any = None,
    shuffle: bool = False,
    seed: int | None = None,
    max_file_size: int | str | None = None,
    verify: bool = False,
    overwrite: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> list[str]:
    """Writes one array, wherever it comes from, into one or several plain `.npy` files.

    A million small files, a compressed member of an `.npz`, a chunked HDF5 dataset, a cast, a
    subset or a shuffled order become what npyfast reads fastest: rows that lie one after the other,
    in C order and this machine's byte order. Memory stays small whatever the number of rows.

    All or nothing: the files are written under temporary names (`NAME.partial`, in the same
    folder), brought to the disk, and renamed once all of them are complete. After an error nothing
    is left; a killed process leaves `.partial` files, which the next pack of the same output
    removes.

    Args:
        source: a leaf as `npyfast.batches` takes it: a path, a glob pattern, a directory, a list of
            paths, an array in memory, or what `npyfast.source` returns, with a `cast` and so on.
        out: the file to write, which ends in `.npy`. With `max_file_size`, `OUT.npy` stands for
            `OUT-00000-of-00012.npy` and so on.
        rows: which rows are written: a slice, an integer array of row numbers, a boolean mask, or
            what `npyfast.split` returns. None: all.
        shuffle: writes them in random order: that of the first epoch of
            `npyfast.batches(source, shuffle=True, seed=seed, rows=rows)`.
        seed: makes that order the same on every run and machine, an int in [0, 2**64). None draws
            one, which `progress` is told.
        max_file_size: bytes of a file at the most, header included, as an int or a text such as
            "500MB" or "1GiB"; each file holds whole rows, and at least one. The rows are spread
            evenly. None: one file.
        verify: reads the files again, from the disk as far as the system lets go of what it holds
            in memory, and compares them bit for bit with the source (of a compressed archive, and
            of chunked HDF5 that is shuffled: with what was unpacked) before they are renamed.
        overwrite: replaces files that exist.
        progress: a function that is called with a `Progress` (stage, rows, total_rows, bytes,
            total_bytes, seed) now and then, about every 4 MiB.

    Returns:
        The paths of the files, in the order of their rows.

    Raises:
        TypeError: the source is a nest (pack each array by itself) or none at all; its dtype or
            shape can't be saved so that `np.load` reads it as it is by default.
        ValueError: an option's value; the output is one of the inputs; the checksum of an `.npz`
            archive's array, all rows of which are packed, is another; and as `npyfast.batches`.
        FileExistsError: a file exists, and `overwrite` is False.
        BlockingIOError: another process is packing into the same output.
        OSError: reading or writing fails; `ENOSPC` before anything is written where the disk has
            too little room; `EIO` where verifying finds a difference, with the file and the row.

    Example:
        >>> import numpy as np, npyfast
        >>> for i in range(3):
        ...     np.save(f"image-{i}.npy", np.full((2, 2), i, np.uint8))
        >>> npyfast.pack("image-*.npy", "images.npy", rows=slice(0, 4), verify=True)
        ['images.npy']
        >>> np.load("images.npy").shape
        (4, 2)
    """
    boolean("verify", verify)
    boolean("overwrite", overwrite)
    path = os.fsdecode(os.fspath(out))
    if not path.endswith(".npy"):
        raise ValueError(f"out must be a path that ends in .npy, got {path!r}")
    most = None if max_file_size is None else parse_bytes("max_file_size", max_file_size)
    leaf = _one_array(source)
    with (
        Output(path, overwrite=overwrite, inputs=leaf.files) as output,
        ThreadPoolExecutor(1) as flusher,
        Opening() as opening,
    ):
        if most is None:
            output.check([path], leaf.files)  # soon, because unpacking may take long
        spool = _Spool(output, flusher, progress)
        work = spool.work(leaf, opening, rows, boolean("shuffle", shuffle), seed)
        if work.is_whole:
            compare_checksums(leaf, opening, spool.report_checked)
        counts = [work.count] if most is None else work.rows_of_files(most)
        names = [path] if most is None else numbered_names(path, len(counts))
        sizes = [len(work.header(count)) + count * work.row_bytes for count in counts]
        output.begin(names, leaf.files, sum(sizes))
        _write(work, output, names, counts, flusher)
        if verify:
            _verify(work, output, names, counts)
        output.commit()
    return names


def _one_array(source: Any) -> Source:
    if isinstance(source, (tuple, dict)):
        raise TypeError(
            f"npyfast.pack writes one array, and a {type(source).__name__} stands for several: "
            "pack each array by itself"
        )
    return as_source(source)


class _Spool:
    """Temporary files beside the output, of what can't be read in any order as it is."""

    def __init__(
        self,
        output: Output,
        flusher: ThreadPoolExecutor,
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self._output = output
        self._flusher = flusher
        self._progress = progress
        self._done = self._total = 0

    def work(
        self, leaf: Source, opening: Opening, rows: Any, shuffle: bool, seed: Any
    ) -> _PackedRows:
        """The rows to be written."""
        leaf = unpacked(
            leaf, opening, self._output.scratch.path, self._create, self._output.require
        )
        with warnings.catch_warnings():
            # What npyfast says of a slow source is to pack it.
            warnings.filterwarnings("ignore", message=".*npyfast pack", category=RuntimeWarning)
            opened = leaf.open(opening)
        in_any_order = not shuffle or opened.storage.kind != "h5py"
        chunk = _chunk_bytes(opened)
        work = _PackedRows(opened, rows, shuffle, seed, chunk, self._progress)
        if in_any_order:
            return work
        # In random order each row would take a chunk. The order of an epoch knows the number of
        # rows only, not which ones they are.
        in_order = _PackedRows(opened, rows, False, None, chunk, None)
        size = in_order.count * in_order.row_bytes
        with self._create(
            os.path.join(self._output.scratch.path, partial("rows.npy")), size
        ) as file:
            file.write(in_order.header(in_order.count))
            for piece in in_order.chunks():
                file.write(piece.reshape(-1).data)
        reopened = backend().open([file.path])
        return _PackedRows(reopened, None, shuffle, work.seed, chunk, self._progress)

    def report_checked(self, done: int, total: int) -> None:
        """Tells how many bytes of archives have had their checksums compared."""
        if self._progress is not None:
            self._progress(Progress("checking", 0, 0, done, total, None))

    def _create(self, path: str, size: int) -> UnpackedFile:
        """A temporary file for so many bytes."""
        self._output.require(size)
        self._total += size
        file = self._output.scratch.create(path)
        return UnpackedFile(path, file, self._flusher, self._tell)

    def _tell(self, written: int) -> None:
        self._done += written
        if self._progress is not None:
            done = min(self._done, self._total)  # without headers
            self._progress(Progress("unpacking", 0, 0, done, self._total, None))


def _chunk_bytes(opened: OpenedLeaf) -> int:
    """How many bytes to copy at once."""
    storage = opened.storage
    if storage.chunk_rows:
        # Whole HDF5 chunks: h5py would decompress a chunk again for each part of it.
        chunk_bytes = storage.chunk_rows * math.prod(opened.row_shape) * opened.dtype.itemsize
        wanted = max(1, _CHUNK_BYTES // max(1, chunk_bytes)) * chunk_bytes
        most = _CHUNKED_BYTES
    elif storage.kind == "mapped" and not storage.dense:
        # In Fortran order each page holds a little of every row: the more rows at once, the better.
        wanted = most = _SCATTERED_BYTES
    else:
        return _CHUNK_BYTES
    limit = memory_limit()
    return min(wanted, most if limit is None else min(most, limit // 16))


class _PackedRows:
    """The rows to be written, in their order."""

    def __init__(
        self,
        opened: OpenedLeaf,
        rows: Any,
        shuffle: bool,
        seed: Any,
        chunk_bytes: int,
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self._rows = opened
        self._progress = progress
        self._descr = descr_of(opened.dtype)
        self.row_bytes = math.prod(opened.row_shape) * opened.dtype.itemsize
        self._holes = list(holes(opened.dtype))
        self._plan: Plan = make_plan(
            len(opened),
            batch_size=max(1, chunk_bytes // max(1, self.row_bytes)),
            shuffle=shuffle,
            seed=seed,
            drop_remainder=False,
            shard=None,
            rows=rows,
        )
        self.count = self._plan.selection.size
        refuse_unreadable(opened.dtype, (self.count, *opened.row_shape))
        self.is_whole = self.count == len(opened)
        self.seed = self._plan.seed

    def rows_of_files(self, most: int) -> list[int]:
        """The rows of each file, so that none takes more bytes than `most` if it can."""
        if not self.row_bytes:
            return [self.count]
        # Headers are padded for any number of rows: they are no longer for fewer.
        room = (most - len(self.header(self.count))) // self.row_bytes
        files = max(1, -(-self.count // max(1, room)))
        bounds = [i * self.count // files for i in range(files + 1)]
        return [last - first for first, last in itertools.pairwise(bounds)]

    def header(self, count: int) -> bytes:
        """The header of a file of so many rows, as NumPy writes it."""
        return header_text(self._descr, (count, *self._rows.row_shape))

    def chunks(self) -> Iterator[AnyArray]:
        """The bytes of all rows, some MiB at a time: arrays of shape (rows, row_bytes)."""
        if not self.count or not self.row_bytes:
            return
        made_by = backend_for([self._rows])
        stream = made_by.stream(
            [self._rows],
            self._plan,
            Run(),
            group=1,
            threads=None,
            readahead="auto",
            statistics=made_by.statistics(),
            pack=None,
            records=True,
        )
        try:
            for chunk in stream:
                items = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8)
                # Whatever is in them says nothing, and files of the same rows are to be the same.
                clear(self._holes, items, chunk.dtype.itemsize)
                yield items.reshape(len(chunk), self.row_bytes)
        finally:
            stream.close()

    def pieces(self, counts: Sequence[int]) -> Iterator[tuple[int, int, AnyArray]]:
        """The chunks, cut where a file ends: its number, the first row in it, and the bytes."""
        number = first = 0
        for chunk in self.chunks():
            while len(chunk):
                while first == counts[number]:
                    number, first = number + 1, 0
                piece = chunk[: counts[number] - first]
                yield number, first, piece
                first += len(piece)
                chunk = chunk[len(piece) :]

    def report(self, stage: str, rows: int) -> None:
        """Tells how far a stage has come."""
        if self._progress is not None:
            size = self.row_bytes
            self._progress(
                Progress(stage, rows, self.count, rows * size, self.count * size, self.seed)
            )


def _write(
    work: _PackedRows,
    output: Output,
    names: Sequence[str],
    counts: Sequence[int],
    flusher: ThreadPoolExecutor,
) -> None:
    """Writes all files, and brings them to the disk."""
    done = 0
    work.report("writing", done)
    pieces = work.pieces(counts)
    piece = next(pieces, None)
    for number, (name, count) in enumerate(zip(names, counts, strict=True)):
        with WrittenFile(partial(name), output.create(name), flusher) as file:
            file.write(work.header(count))
            while piece is not None and piece[0] == number:
                file.write(piece[2].reshape(-1).data)
                done += len(piece[2])
                work.report("writing", done)
                piece = next(pieces, None)
            file.sync()


def _verify(work: _PackedRows, output: Output, names: Sequence[str], counts: Sequence[int]) -> None:
    """Compares the files with the source. Raises OSError naming the first row that differs."""
    done = 0
    work.report("verifying", done)
    pieces = work.pieces(counts)
    piece = next(pieces, None)
    for number, (name, count) in enumerate(zip(names, counts, strict=True)):
        with naming(name), output.reopen(name) as file:
            # What is in memory would say nothing of the disk.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            header = work.header(count)
            if _read(file, len(header)).tobytes() != header:
                raise OSError(errno.EIO, "the header is not what was written", name)
            while piece is not None and piece[0] == number:
                _, first, expected = piece
                _compare(name, first, expected, _read(file, expected.size))
                done += len(expected)
                work.report("verifying", done)
                piece = next(pieces, None)
            if file.read(1):
                raise OSError(errno.EIO, "the file is longer than what was written", name)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read(file: io.FileIO, size: int) -> AnyArray:
    """The next bytes of a file, fewer at its end."""
    read = np.empty(size, np.uint8)
    held = 0
    while held < size:
        got = file.readinto(read[held:].data)
        if not got:
            break
        held += got
    return read[:held]


def _compare(name: str, first: int, expected: AnyArray, found: AnyArray) -> None:
    """Raises OSError unless the bytes are those of these rows, of which `first` is the first."""
    wanted = expected.reshape(-1)
    if np.array_equal(wanted, found):
        return
    same = wanted[: found.size] == found
    place = found.size if same.all() else int(np.argmin(same))
    raise OSError(
        errno.EIO,
        f"row {first + place // expected.shape[1]:,} is not what the source has for it: the disk "
        "failed, or the source was changed meanwhile",
        name,
    )
