"""Writing a peer's own file format from a .npy file."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

from workloads import require_space


def write_in_fresh_process(
    write: Callable[[str, str], None], source: Path, target: Path, nbytes: int
) -> None:
    """Runs write(source, target) unless `target` is there and newer than `source`.

    A fresh process, because some writers fork, and a process that runs TensorFlow must not.
    """
    if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
        return
    require_space(target.parent, nbytes)
    unfinished = target.with_name(target.name + ".unfinished")
    for old in (unfinished, target):
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=write, args=(str(source), str(unfinished)))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"{target}: could not be written (exit status {process.exitcode})")
    unfinished.replace(target)
