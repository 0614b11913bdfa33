"""Backends copy the bytes: `native`, the C++ extension, or `numpy`, the specification."""

from __future__ import annotations

import functools
import importlib
import os
import warnings
from collections.abc import Sequence
from typing import Any, Literal

from npyfast._backends.interface import Backend, OpenedLeaf

VARIABLE = "NPYFAST_BACKEND"


@functools.cache
def _chosen() -> tuple[Backend, str]:
    """The backend of this process, and why it is this one."""
    wanted = os.environ.get(VARIABLE, "auto") or "auto"
    if wanted not in ("auto", "native", "numpy"):
        raise ValueError(f"{VARIABLE} must be auto, native or numpy, got {wanted!r}")
    if wanted == "numpy":
        return _module("numpy"), f"{VARIABLE}=numpy asks for it"
    try:
        importlib.import_module("npyfast._core")  # first, because its error is more precise
        native = _module("native")
    except ImportError as error:
        why = f"the extension npyfast._core cannot be imported ({error}){_shadow_hint()}"
        if wanted == "native":
            raise ImportError(f"{VARIABLE}=native, but {why}") from error
        warnings.warn(
            f"npyfast copies with NumPy, several times slower, because {why}",
            RuntimeWarning,
            stacklevel=4,  # the line that imports npyfast
        )
        return _module("numpy"), why
    return native, f"{VARIABLE}=native asks for it" if wanted == "native" else "it is installed"


def _module(name: Literal["native", "numpy"]) -> Backend:
    module: Any = importlib.import_module(f"npyfast._backends.{name}")
    backend: Backend = module
    return backend


def _shadow_hint() -> str:
    """What to do about a missing extension. A source tree on the import path hides the installed
    package with its extension."""
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if not os.path.exists(os.path.join(folder, "CMakeLists.txt")):
        return "; installing npyfast where a C++ compiler works builds it"
    return (
        f"; npyfast was imported from its source tree {folder}, which holds no built extension: "
        "start Python elsewhere to get the installed package"
    )


def backend() -> Backend:
    """The backend of this process."""
    return _chosen()[0]


def backend_reason() -> str:
    """Why it is this one."""
    return _chosen()[1]


def backend_for(leaves: Sequence[OpenedLeaf]) -> Backend:
    """The backend that makes batches of these leaves: NumPy's if Python has to read one of them."""
    by_python = any(leaf.storage.kind in ("h5py", "python") for leaf in leaves)
    return _module("numpy") if by_python else backend()
