"""The machine, the software and the command that a result comes from."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "npyfast", "numpy", "tensorflow", "ffcv", "numba", "grain", "torch", "datasets", "pyarrow",
)  # fmt: skip
_PLACES = ("--data", "--folder", "--json", "--plot", "--out")  # options that name private paths


def cpus() -> int:
    """The CPUs that this process may run on."""
    return len(os.sched_getaffinity(0))


def anonymous_bytes() -> int:
    """Resident memory of this process that is no file's: neither page cache nor mapped .npy."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - memory.shared)


def describe(data: Path) -> dict[str, Any]:
    """All of it as JSON values; `data` is a folder on the disk that is used."""
    memory = psutil.virtual_memory()
    installed = {each.name.lower(): each.version for each in importlib.metadata.distributions()}
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": _command(),
        "commit": _commit(),
        "cpu": _cpu(),
        "cpus": cpus(),
        "memory_gb": round(memory.total / 1e9, 1),
        "memory_available_gb": round(memory.available / 1e9, 1),
        "huge_pages": _read("/sys/kernel/mm/transparent_hugepage/enabled"),
        "load_average": round(os.getloadavg()[0], 2),
        "disk": _disk(data),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "packages": {each: installed[each] for each in _PACKAGES if each in installed},
        "npyfast": build(),
    }


def summary(machine: dict[str, Any]) -> str:
    """The description in a few lines of text."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gb']} GB, {machine['disk']}\n"
        f"{machine['system']}, {machine['libc']}, load {machine['load_average']} at the start\n"
        f"Python {machine['python']}, {packages}\n"
        f"commit {machine['commit']}, {machine['date']}\n"
        f"$ {machine['command']}"
    )


def build() -> dict[str, str] | None:
    """The backend and build of the installed npyfast; None where there is none."""
    try:
        import npyfast
    except ModuleNotFoundError:
        return None
    return {"backend": npyfast.backend, **{k: str(v) for k, v in npyfast.build_info().items()}}


def engines() -> tuple[str, ...]:
    """The engines of npyfast.dataset to measure.

    A native build without the graph engine is a failure, not an exception: it is not left out.
    """
    import npyfast

    return ("graph", "generator") if npyfast.backend == "native" else ("generator",)


def refusal(*, allow_numpy_backend: bool = False) -> str | None:
    """Why the speed of the installed npyfast means nothing; None where it does."""
    found = build()
    if found is None:
        return None
    if found["backend"] != "native" and not allow_numpy_backend:
        return (
            f"npyfast runs on its {found['backend']} backend: install it where a C++ compiler is "
            "available, or measure this one with --allow-numpy-backend"
        )
    flags, kind = found.get("flags", ""), found.get("build_type", "")
    if kind.lower() == "debug" or re.search("-O0|-Og|-fsanitize", flags):
        return (
            f"npyfast was built without optimization ({kind}, {flags}): "
            "install it with `pip install .`, which makes a release build"
        )
    return None


def _command() -> str:
    """The command line, without private paths."""
    program = Path(sys.argv[0]).resolve()
    shown = program.relative_to(_ROOT) if program.is_relative_to(_ROOT) else program.name
    words = shlex.join(["python", str(shown), *sys.argv[1:]])
    return re.sub(rf" (?:{'|'.join(_PLACES)})[ =](?:'[^']*'|\S+)", "", words)


def _commit() -> str:
    git = ["git", "-C", str(_ROOT)]
    # Files that the benchmarks write do not change the code.
    changes = [*git, "status", "--porcelain", "--", ":/", ":(exclude,top)benchmarks"]
    try:
        commit, changed = (
            subprocess.check_output(each, text=True, stderr=subprocess.DEVNULL).strip()
            for each in ([*git, "rev-parse", "--short=12", "HEAD"], changes)
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}, with changes" if changed else commit


def _cpu() -> str:
    model = re.search(r"^model name\s*:\s*(.*)$", _read("/proc/cpuinfo") or "", re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def mount_of(folder: Path) -> Any:
    """The mounted file system of a folder, as psutil describes it."""
    mounts, path = psutil.disk_partitions(all=True), folder.resolve()
    around = [each for each in mounts if path.is_relative_to(each.mountpoint)]
    return max(around, key=lambda each: len(each.mountpoint))


def _disk(folder: Path) -> str:
    mount = mount_of(folder)
    device = Path(mount.device).name
    rotational = _read(f"/sys/class/block/{device}/queue/rotational")
    medium = {"0": "solid state", "1": "rotating"}.get(rotational or "", "unknown medium")
    model = _read(f"/sys/class/block/{device}/device/model")
    return f"{mount.fstype} on {model or device} ({medium})"


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
