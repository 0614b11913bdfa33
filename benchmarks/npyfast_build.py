"""Whether the installed npyfast is one whose speed means anything."""

from __future__ import annotations

import importlib.util
from typing import Any


def describe() -> dict[str, Any] | None:
    """The installed npyfast's backend and build, as JSON values; None where there is none."""
    if importlib.util.find_spec("npyfast") is None:
        return None
    import npyfast

    info = npyfast.build_info()
    return {"backend": npyfast.backend, **{str(key): str(info[key]) for key in info}}


def engines() -> tuple[str, ...]:
    """The engines of npyfast.dataset that there are to measure.

    A native npyfast whose graph engine can't be had is not among the exceptions: it is to fail.
    """
    import npyfast

    return ("graph", "generator") if npyfast.backend == "native" else ("generator",)


def refusal(*, allow_numpy_backend: bool) -> str | None:
    """Why not to measure the installed npyfast; None where it is fine, or not installed."""
    build = describe()
    if build is None:
        return None
    if build["backend"] != "native" and not allow_numpy_backend:
        return (
            f"npyfast runs on its {build['backend']} backend, without its native extension: "
            "install it with a C++ compiler at hand, or measure it with --allow-numpy-backend"
        )
    if build["backend"] == "native" and not _optimized(build):
        return (
            "npyfast was built without optimization "
            f"({build.get('build_type', build.get('flags', 'unknown build'))}): install it with "
            "`pip install .`, whose default is a release build"
        )
    return None


def _optimized(build: dict[str, Any]) -> bool:
    if str(build.get("build_type", "Release")).lower() == "debug":
        return False
    flags = str(build.get("flags", "-O3"))
    return not any(flag in flags for flag in ("-O0", "-Og", "-fsanitize"))
