"""Members of `.npz` archives as `npyfast.pack` reads them: unpacked, and with their checksums."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from npyfast._packing.written_file import UnpackedFile
from npyfast._sources.checks import refuse_no_rows
from npyfast._sources.files import key_in_archives
from npyfast._sources.npz import Archive
from npyfast._sources.opening import Opening
from npyfast._sources.source import Source


class Member(NamedTuple):
    """An array in an archive."""

    archive: Archive
    key: str

    @property
    def is_compressed(self) -> bool:
        return self.archive.compression(self.key) is not None

    @property
    def size(self) -> int:
        """Bytes of the member, uncompressed."""
        return self.archive.unpacked_bytes(self.key)


def members_of(source: Source, opening: Opening) -> list[Member]:
    """The members that hold the rows of a source; none if its files are not archives."""
    key = key_in_archives(source.files, source.file_options, opening)
    return [] if key is None else [Member(opening.archive(path), key) for path in source.files]


def unpacked(
    source: Source,
    opening: Opening,
    folder: str,
    create: Callable[[str, int], UnpackedFile],
    require: Callable[[int], object],
) -> Source:
    """The same rows with compressed members, which cannot be mapped, written to `N.npy.partial` in
    a folder. `create(path, size)` opens each file; before that, `require` is called with the bytes
    of all of them.
    """
    members = members_of(source, opening)
    if not any(member.is_compressed for member in members):
        return source
    for archive, key in members:
        refuse_no_rows(archive.path, key, archive.look(key))
    require(sum(member.size for member in members))
    return Source(
        tuple(_written(members, folder, create)),
        row_options=source.row_options,
        view=source.view,
    )


def _written(
    members: list[Member], folder: str, create: Callable[[str, int], UnpackedFile]
) -> Iterator[str]:
    for number, member in enumerate(members):
        path = os.path.join(folder, f"{number}.npy.partial")
        with create(path, member.size) as file:
            member.archive.extract(member.key, file)
        yield path


def compare_checksums(
    source: Source, opening: Opening, report: Callable[[int, int], object]
) -> None:
    """Verifies the checksums of members that are mapped. `report` is called with the bytes read so
    far, and the bytes of all members. Raises NpyFormatError naming a damaged member."""
    members = members_of(source, opening)
    if any(member.is_compressed for member in members):
        return  # unpacking verifies them
    total = sum(member.size for member in members)
    done = 0

    def tell(size: int) -> None:
        nonlocal done
        done += size
        report(done, total)

    for archive, key in members:
        archive.check(key, tell)
