"""The machine, the software and the command a result comes from."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_PACKAGES = (
    "npyfast", "numpy", "tensorflow", "ffcv", "numba", "grain", "torch", "datasets", "pyarrow",
)  # fmt: skip


def describe(data: Path) -> dict[str, Any]:
    """All of it as JSON values; `data` is the folder whose disk is meant."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.executable).name, _relative(sys.argv[0]), *sys.argv[1:]]),
        "commit": _commit(),
        "cpu": _cpu(),
        "cpus": cpus(),
        "memory_gb": round(_meminfo("MemTotal") / 1e9, 1),
        "memory_available_gb": round(available_memory() / 1e9, 1),
        "huge_pages": _read("/sys/kernel/mm/transparent_hugepage/enabled"),
        "load_average": round(os.getloadavg()[0], 2),
        "disk": _disk(data),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "packages": _versions(),
    }


def summary(machine: dict[str, Any]) -> list[str]:
    """The description in a few lines of text."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return [
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gb']} GB, {machine['disk']}",
        f"{machine['system']}, {machine['libc']}, load {machine['load_average']} at the start",
        f"Python {machine['python']}, {packages}",
        f"commit {machine['commit']}, {machine['date']}",
        f"$ {machine['command']}",
    ]


def cpus() -> int:
    """The CPUs this process may run on."""
    return len(os.sched_getaffinity(0))


def available_memory() -> int:
    """Bytes that can be used without swapping."""
    return _meminfo("MemAvailable")


def _relative(program: str) -> str:
    path = Path(program).resolve()
    root = Path(__file__).resolve().parent.parent
    return str(path.relative_to(root)) if path.is_relative_to(root) else program


def _commit() -> str:
    git = shutil.which("git")
    here = str(Path(__file__).resolve().parent)
    if git is None:
        return "unknown"
    try:
        commit = subprocess.check_output(
            [git, "-C", here, "rev-parse", "--short=12", "HEAD"],
            text=True,
            stderr=subprocess.DEVNULL,
        ).strip()
        # What the benchmarks themselves write is no change of the code.
        changes = subprocess.check_output(
            [git, "-C", here, "status", "--porcelain", "--", ":/", ":(exclude,top)benchmarks"],
            text=True,
            stderr=subprocess.DEVNULL,
        ).strip()
    except subprocess.CalledProcessError:
        return "unknown"
    return f"{commit}, with changes" if changes else commit


def _cpu() -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _meminfo(field: str) -> int:
    for line in (_read("/proc/meminfo") or "").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def _disk(folder: Path) -> str:
    """The file system of `folder` and its device's kind, without its path."""
    folder = folder.resolve()
    best, kind, device = "", "unknown", ""
    for line in (_read("/proc/self/mounts") or "").splitlines():
        source, mount, type_, *_ = line.split()
        if folder.is_relative_to(mount) and len(mount) >= len(best):
            best, kind, device = mount, type_, Path(source).name
    rotational = _read(f"/sys/class/block/{device}/queue/rotational")
    medium = {"0": "solid state", "1": "rotating"}.get(rotational or "", "unknown medium")
    model = _read(f"/sys/class/block/{device}/device/model")
    return f"{kind} on {model or device or 'unknown device'} ({medium})"


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _versions() -> dict[str, str]:
    installed = {each.name.lower(): each.version for each in importlib.metadata.distributions()}
    return {package: installed[package] for package in _PACKAGES if package in installed}
