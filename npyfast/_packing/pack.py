"""`npyfast.pack`: writes anything that npyfast reads as plain .npy files."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from npyfast._backends.fields import AnyArray
from npyfast._options import boolean
from npyfast._order.selection import RowChoice
from npyfast._packing.descriptor import naming
from npyfast._packing.names import numbered_names, partial
from npyfast._packing.output import Output
from npyfast._packing.packed_rows import PackedRows, Progress
from npyfast._packing.sizes import parse_bytes
from npyfast._packing.spool import Spool
from npyfast._packing.unpacking import compare_checksums
from npyfast._packing.written_file import WrittenFile
from npyfast._sources.opening import Opening
from npyfast._sources.paths import Path
from npyfast._sources.source import Source, as_source


def pack(
    source: Source | Path | Sequence[Path] | AnyArray,
    out: Path,
    *,
    rows: RowChoice = None,
    shuffle: bool = False,
    seed: int | None = None,
    max_file_size: int | str | None = None,
    verify: bool = False,
    overwrite: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> list[str]:
    """Writes one array from any source as one or several plain `.npy` files.

    A million small files, a compressed member of an `.npz`, a chunked HDF5 dataset, a cast, a
    subset or a shuffled order become what npyfast reads fastest: contiguous rows in C order and
    this machine's byte order. Memory use stays small however many rows there are.

    All or nothing: the files are written under temporary names (`NAME.partial`, in the same
    folder), flushed to the disk, and renamed once all are complete. After an error nothing is left;
    a killed process leaves `.partial` files, which the next pack of the same output removes.

    Args:
        source: a leaf as `npyfast.batches` takes it: a path, a glob pattern, a directory, a list of
            paths, an array in memory, or what `npyfast.source` returns, with a `cast` and so on.
        out: the file to write, ending in `.npy`. With `max_file_size`, `OUT.npy` stands for
            `OUT-00000-of-00012.npy` and so on.
        rows: the rows to write: a slice, an integer array of row numbers, a boolean mask, or
            what `npyfast.split` returns. None: all.
        shuffle: writes them in random order, that of the first epoch of
            `npyfast.batches(source, shuffle=True, seed=seed, rows=rows)`.
        seed: an int in [0, 2**64), which makes that order the same on every run and machine. None
            draws one and reports it to `progress`.
        max_file_size: the largest size of a file, header included, as an int or a text such as
            "500MB" or "1GiB". Each file holds whole rows, and at least one. The rows are spread
            evenly. None: one file.
        verify: reads the files again, from the disk if the system drops their cached pages, and
            compares them bit for bit with the source before they are renamed. A compressed archive,
            and chunked HDF5 that is shuffled, are unpacked first and compared with the unpacked
            data.
        overwrite: replaces existing files.
        progress: a function that is called with a `Progress` (stage, rows, total_rows, bytes,
            total_bytes, seed) about every 4 MiB.

    Returns:
        The paths of the files, in the order of their rows.

    Raises:
        TypeError: not a source, or a nest of several arrays (pack each separately); a dtype or
            shape that `np.load` could not read back with its default options.
        ValueError: an option's value is invalid; the output is one of the inputs; the checksum of
            an `.npz` array that is packed whole does not match; and as `npyfast.batches`.
        FileExistsError: a file exists, and `overwrite` is False.
        BlockingIOError: another process is packing into the same output.
        OSError: reading or writing fails; `ENOSPC`, before anything is written, if the disk has too
            little room; `EIO`, with the file and the row, if verifying finds a difference.

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
            output.check([path], leaf.files)  # early, because unpacking may take long
        spool = Spool(output, flusher, progress)
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


def _one_array(source: object) -> Source:
    if isinstance(source, (tuple, dict)):
        raise TypeError(
            f"npyfast.pack writes one array, and a {type(source).__name__} stands for several: "
            "pack each array separately"
        )
    return as_source(source)


def _write(
    work: PackedRows,
    output: Output,
    names: Sequence[str],
    counts: Sequence[int],
    flusher: ThreadPoolExecutor,
) -> None:
    """Writes all files, through to the disk."""
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


def _verify(work: PackedRows, output: Output, names: Sequence[str], counts: Sequence[int]) -> None:
    """Compares the files with the source. Raises OSError naming the first row that differs."""
    done = 0
    work.report("verifying", done)
    pieces = work.pieces(counts)
    piece = next(pieces, None)
    for number, (name, count) in enumerate(zip(names, counts, strict=True)):
        with naming(name), output.reopen(name) as file:
            # Reading cached pages would not check the disk.
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
    """The next bytes of a file, or fewer at its end."""
    read = np.empty(size, np.uint8)
    held = 0
    while held < size:
        got = file.readinto(read[held:].data)
        if not got:
            break
        held += got
    return read[:held]


def _compare(name: str, first: int, expected: AnyArray, found: AnyArray) -> None:
    """Raises OSError unless the bytes equal those of the rows from row `first` on."""
    wanted = expected.reshape(-1)
    if np.array_equal(wanted, found):
        return
    same = wanted[: found.size] == found
    differs_at = found.size if same.all() else int(np.argmin(same))
    raise OSError(
        errno.EIO,
        f"row {first + differs_at // expected.shape[1]:,} is not what the source has for it: the "
        "disk failed, or the source was changed meanwhile",
        name,
    )
