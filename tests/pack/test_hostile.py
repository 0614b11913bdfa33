"""npyfast.pack where others may write as well: what they plant costs none of this user's files."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import Array

import npyfast
from npyfast._packing import descriptor as _descriptor
from npyfast._packing import lock as _lock
from npyfast._packing.packed_rows import Progress
from npyfast._packing.scratch import Scratch

X = np.arange(24, dtype="i4").reshape(12, 2)
FILES = [f"out-0000{i}-of-00003.npy" for i in range(3)]

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shared"
    made.mkdir()
    made.chmod(0o777)
    return made


@pytest.fixture
def precious(tmp_path: Path) -> Iterator[Path]:
    """A file of this user elsewhere, which must stay as it is."""
    path = tmp_path / "precious.npy"
    path.write_bytes(b"precious")
    before = path.stat()
    yield path
    after = path.stat()
    assert path.read_bytes() == b"precious"
    assert (before.st_mode, before.st_ino) == (after.st_mode, after.st_ino)


def entry(name: str, path: Path) -> list[Any]:
    status = os.lstat(path)
    return [name, status.st_ino, status.st_size, status.st_mtime_ns]


def planted(folder: Path, files: Any) -> None:
    what = "npyfast pack: the files that are being renamed"
    (folder / "out.npy.partial").write_text(json.dumps({"what": what, "files": files}))


NAMES: dict[str, Callable[[Path, Path], list[str]]] = {
    "absolute": lambda folder, path: [str(path)],
    "parent": lambda folder, path: [f"../{path.name}"],
    "through a file's name": lambda folder, path: [f"out-00000-of-00001.npy/../../{path.name}"],
    "beside": lambda folder, path: ["other.npy"],
    "the output itself": lambda folder, path: ["out.npy"],
    "of another output": lambda folder, path: ["put-00000-of-00001.npy"],
    "of another count": lambda folder, path: ["out-00000-of-00002.npy"],
    "another after a file": lambda folder, path: ["out-00000-of-00002.npy", str(path)],
    "twice": lambda folder, path: ["out-00000-of-00002.npy"] * 2,
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_list_of_other_files(
    folder: Path, precious: Path, names: Callable[[Path, Path], list[str]]
) -> None:
    for name in ("other.npy", "out.npy", "put-00000-of-00001.npy", "out-00000-of-00002.npy"):
        (folder / name).write_bytes(b"mine")
    listed = names(folder, precious)
    files = [entry(name, Path(os.path.normpath(folder / name))) for name in listed]
    planted(folder, files)
    before = sorted(os.listdir(folder))
    for max_file_size in (None, 160):
        with pytest.raises(ValueError, match=r"out\.npy\.partial: lists files that no pack of"):
            npyfast.pack(X, folder / "out.npy", max_file_size=max_file_size, overwrite=True)
        assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize(
    "files", [None, 7, {}, {"a": 1}, "out", [], [[]], [7], [["out-00000-of-00001.npy", [], {}]]]
)
def test_a_list_that_is_none(folder: Path, files: Any) -> None:
    (folder / "out-00000-of-00001.npy").write_bytes(b"mine")
    planted(folder, files)
    try:
        npyfast.pack(X, folder / "out.npy")
    except ValueError as error:
        assert "lists files that no pack" in str(error)  # noqa: PT017
    assert (folder / "out-00000-of-00001.npy").read_bytes() == b"mine"


def test_a_list_that_nests_too_deep(folder: Path) -> None:
    (folder / "out.npy.partial").write_text('{"what": ' + "[" * 200_000)
    npyfast.pack(X, folder / "out.npy")
    assert os.listdir(folder) == ["out.npy"]


def test_a_link_that_has_the_name_of_a_listed_file(folder: Path, precious: Path) -> None:
    os.symlink(precious, folder / "out-00000-of-00001.npy")
    planted(folder, [entry("out-00000-of-00001.npy", precious)])
    npyfast.pack(X, folder / "out.npy")
    assert (folder / "out-00000-of-00001.npy").is_symlink()


@pytest.mark.parametrize("name", ["out.npy.partial", f"{FILES[1]}.partial"])
@pytest.mark.parametrize("dangling", [False, True])
def test_links_to_other_files(folder: Path, precious: Path, name: str, dangling: bool) -> None:
    target = folder.parent / "new.npy" if dangling else precious
    os.symlink(target, folder / name)
    with pytest.raises(FileExistsError, match="in the way of a temporary file") as caught:
        npyfast.pack(X, folder / "out.npy", max_file_size=160)
    assert caught.value.filename == str(folder / name)
    assert os.listdir(folder) == [name]
    assert os.path.lexists(folder.parent / "new.npy") is False


@pytest.mark.parametrize("name", ["out.npy.partial", f"{FILES[1]}.partial"])
@pytest.mark.parametrize("max_file_size", [None, 160])
def test_hard_links_to_other_files(
    folder: Path, precious: Path, name: str, max_file_size: int | None
) -> None:
    os.link(precious, folder / name)
    written = npyfast.pack(X, folder / "out.npy", max_file_size=max_file_size)
    assert (npyfast.open(written)[:] == X).all()
    assert len(os.listdir(folder)) == len(written)


def test_a_hard_link_to_a_list(folder: Path) -> None:
    """It may be any file of this user: what it lists stays."""
    (folder / "out-00000-of-00001.npy").write_bytes(b"mine")
    planted(folder, [entry("out-00000-of-00001.npy", folder / "out-00000-of-00001.npy")])
    os.rename(folder / "out.npy.partial", folder.parent / "notes.json")
    os.link(folder.parent / "notes.json", folder / "out.npy.partial")
    npyfast.pack(X, folder / "out.npy")
    assert (folder / "out-00000-of-00001.npy").read_bytes() == b"mine"
    assert (folder.parent / "notes.json").exists()


@pytest.mark.parametrize("name", ["out.npy.partial", f"{FILES[1]}.partial"])
def test_pipes_and_folders(folder: Path, name: str) -> None:
    for make in (os.mkfifo, os.mkdir):
        make(folder / name)
        with pytest.raises(FileExistsError, match="in the way of a temporary file"):
            npyfast.pack(X, folder / "out.npy", max_file_size=160)
        assert os.listdir(folder) == [name]
        (os.rmdir if make is os.mkdir else os.unlink)(folder / name)


@root
@pytest.mark.parametrize("name", ["out.npy.partial", f"{FILES[1]}.partial"])
def test_files_of_others(folder: Path, name: str) -> None:
    (folder / "out-00000-of-00001.npy").write_bytes(b"mine")
    planted(folder, [entry("out-00000-of-00001.npy", folder / "out-00000-of-00001.npy")])
    os.unlink(folder / "out-00000-of-00001.npy")
    os.rename(folder / "out.npy.partial", folder / name)
    os.chown(folder / name, 12345, 12345)
    with pytest.raises(FileExistsError, match="in the way of a temporary file"):
        npyfast.pack(X, folder / "out.npy", max_file_size=160)
    assert os.listdir(folder) == [name]


SCRATCH = "out.npy.unpacked.partial"


@pytest.fixture
def compressed(tmp_path: Path) -> Path:
    np.savez_compressed(tmp_path / "in.npz", X)
    return tmp_path / "in.npz"


def test_a_scratch_folder_that_is_a_link(folder: Path, compressed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("0.npy", "0.npy.partial", "rows.npy.partial"):
        (other / name).write_bytes(b"mine")
    os.symlink(other, folder / SCRATCH)
    with pytest.raises(FileExistsError, match="in the way of a temporary folder"):
        npyfast.pack(compressed, folder / "out.npy")
    assert sorted(os.listdir(folder)) == [SCRATCH]
    assert [path.read_bytes() for path in other.iterdir()] == [b"mine"] * 3
    npyfast.pack(X, folder / "out.npy")  # which needs none


def test_a_folder_of_this_user_that_was_renamed(folder: Path, compressed: Path) -> None:
    """Whoever may rename it can't have it emptied: only what pack names so is removed."""
    kept = ["0.npy", "photo.jpg", "in"]
    (folder / SCRATCH).mkdir()
    for name in kept:
        (folder / SCRATCH / name).write_bytes(b"mine")
    (folder / SCRATCH / "0.npy.partial").write_bytes(b"stale")
    with pytest.raises(FileExistsError, match="in the way of a temporary folder"):
        npyfast.pack(compressed, folder / "out.npy")
    assert sorted(os.listdir(folder / SCRATCH)) == sorted(kept)


def test_links_in_the_scratch_folder(folder: Path, compressed: Path, precious: Path) -> None:
    (folder / SCRATCH).mkdir()
    os.symlink(precious, folder / SCRATCH / "0.npy.partial")
    with pytest.raises(FileExistsError, match="in the way of a temporary folder"):
        npyfast.pack(compressed, folder / "out.npy")


@root
def test_a_scratch_folder_of_others(folder: Path, compressed: Path) -> None:
    (folder / SCRATCH).mkdir()
    os.chown(folder / SCRATCH, 12345, 12345)
    with pytest.raises(FileExistsError, match="in the way of a temporary folder"):
        npyfast.pack(compressed, folder / "out.npy")
    assert os.listdir(folder) == [SCRATCH]


def test_the_scratch_folder_is_private(folder: Path, compressed: Path) -> None:
    modes = []

    def look(progress: Progress) -> None:
        if progress.stage == "unpacking":
            modes.append(stat.S_IMODE(os.stat(folder / SCRATCH).st_mode))

    npyfast.pack(compressed, folder / "out.npy", progress=look)
    assert set(modes) == {0o700}


# Who is quicker


def no_such_rename(old: str, new: str) -> None:
    raise OSError(errno.EINVAL, "no such rename", new)


@pytest.mark.parametrize("max_file_size", [None, 160])
@pytest.mark.parametrize("which", [0, 2])
@pytest.mark.parametrize("links", [False, True])
def test_a_file_that_comes_at_the_last_moment(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    max_file_size: int | None,
    which: int,
    links: bool,
) -> None:
    names = ["out.npy"] * 3 if max_file_size is None else FILES
    rename = no_such_rename if links else _descriptor._rename_no_replace

    def late(old: str, new: str) -> None:
        if new == str(folder / names[which]):
            Path(new).write_bytes(b"theirs")
        rename(old, new)

    monkeypatch.setattr(_descriptor, "_rename_no_replace", late)
    with pytest.raises(FileExistsError, match="exists already") as caught:
        npyfast.pack(X, folder / "out.npy", max_file_size=max_file_size)
    assert caught.value.filename == str(folder / names[which])
    assert os.listdir(folder) == [names[which]]
    assert (folder / names[which]).read_bytes() == b"theirs"


def test_without_such_renames_and_links(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(_descriptor, "_rename_no_replace", no_such_rename)
    monkeypatch.setattr(os, "link", no_links)
    written = npyfast.pack(X, folder / "out.npy", max_file_size=160)
    assert (npyfast.open(written)[:] == X).all()
    with pytest.raises(FileExistsError, match="exists already"):
        npyfast.pack(X, folder / "out.npy", max_file_size=160)
    (folder / "a").touch()
    (folder / "b").touch()
    with pytest.raises(FileExistsError):
        _descriptor.rename_new(str(folder / "a"), str(folder / "b"))


@pytest.mark.parametrize("stage", ["writing", "verifying"])
@pytest.mark.parametrize("max_file_size", [None, 160])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_partial_file_that_is_replaced(
    folder: Path, precious: Path, max_file_size: int | None, stage: str, overwrite: bool
) -> None:
    name = ("out.npy" if max_file_size is None else FILES[0]) + ".partial"

    def replace(progress: Progress) -> None:
        if progress.stage == stage and progress.rows == len(X):
            (folder / "theirs").write_bytes(b"theirs")
            os.replace(folder / "theirs", folder / name)

    with pytest.raises(OSError, match="was replaced by another process") as caught:
        npyfast.pack(
            X,
            folder / "out.npy",
            max_file_size=max_file_size,
            verify=True,
            overwrite=overwrite,
            progress=replace,
        )
    assert caught.value.filename == str(folder / name)
    assert not [each for each in os.listdir(folder) if each.endswith(".npy")]


def test_a_partial_file_that_becomes_a_pipe(folder: Path) -> None:
    def replace(progress: Progress) -> None:
        if progress.stage == "writing" and progress.rows == len(X):
            os.unlink(folder / "out.npy.partial")
            os.mkfifo(folder / "out.npy.partial")

    with pytest.raises(OSError, match="was replaced by another process"):
        npyfast.pack(X, folder / "out.npy", verify=True, progress=replace)


def test_others_that_make_the_lock_again_and_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(output: str, scratch: Scratch) -> None:
        pass

    (folder / "out.npy.partial").touch()
    monkeypatch.setattr(_lock, "take_over", never)
    with pytest.raises(BlockingIOError):
        npyfast.pack(X, folder / "out.npy")


# Permissions


def packed(folder: Path, mode: int, owner: int | None = None, **options: Any) -> os.stat_result:
    """The status of what replaces a file of this mode."""
    out = folder / "out.npy"
    out.write_bytes(b"old")
    out.chmod(mode)
    if owner is not None:
        os.chown(out, owner, owner + 1)
    npyfast.pack(X, out, overwrite=True, **options)
    assert (np.load(out) == X).all()
    return out.stat()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o666, 0o400, 0o755])
def test_a_replaced_file_keeps_its_permissions(folder: Path, mode: int) -> None:
    assert stat.S_IMODE(packed(folder, mode).st_mode) == mode


def test_it_becomes_no_program_of_this_user(folder: Path) -> None:
    assert stat.S_IMODE(packed(folder, 0o6755).st_mode) == 0o755


@root
def test_a_replaced_file_keeps_its_owner(folder: Path) -> None:
    found = packed(folder, 0o640, 12345)
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 12346, 0o640)


@pytest.mark.parametrize(("mode", "kept"), [(0o640, 0o600), (0o664, 0o644), (0o666, 0o644)])
def test_where_owners_can_not_be_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mode: int, kept: int
) -> None:
    """Nobody has more rights than before."""
    if os.geteuid() != 0:
        pytest.skip("only root may give files to others")

    def refused(*arguments: Any) -> None:
        raise PermissionError(errno.EPERM, "not allowed")

    out = folder / "out.npy"
    out.write_bytes(b"old")
    out.chmod(mode)
    os.chown(out, 12345, 12346)
    monkeypatch.setattr(os, "fchown", refused)
    npyfast.pack(X, out, overwrite=True)
    assert stat.S_IMODE(out.stat().st_mode) == kept


def test_a_link_is_replaced_and_not_what_it_leads_to(folder: Path, precious: Path) -> None:
    os.symlink(precious, folder / "out.npy")
    before = os.umask(0o022)
    try:
        npyfast.pack(X, folder / "out.npy", overwrite=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.lstat(folder / "out.npy").st_mode) == 0o644
    assert (np.load(folder / "out.npy") == X).all()


@pytest.mark.parametrize("max_file_size", [None, 160])
def test_a_private_file_is_private_all_the_time(folder: Path, max_file_size: int | None) -> None:
    names = ["out.npy"] if max_file_size is None else FILES
    for name in names:
        (folder / name).write_bytes(b"old")
        (folder / name).chmod(0o600)
    modes = set()

    def look(progress: Progress) -> None:
        for name in names:
            path = folder / f"{name}.partial"
            if path.exists():
                modes.add(stat.S_IMODE(path.stat().st_mode))

    npyfast.pack(X, folder / "out.npy", max_file_size=max_file_size, overwrite=True, progress=look)
    assert modes == {0o600}
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in names} == {0o600}


def test_what_a_killed_process_left_decides_nothing(folder: Path) -> None:
    left: Array = np.zeros(9)
    np.save(folder / "left.npy", left)
    os.rename(folder / "left.npy", folder / "out.npy.partial")
    (folder / "out.npy.partial").chmod(0o666)
    before = os.umask(0o077)
    try:
        npyfast.pack(X, folder / "out.npy")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "out.npy").stat().st_mode) == 0o600
