"""Which backends and engines are tested, and how a process changes over to one of them."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import npyfast
import npyfast._backends

ALL = ("native", "numpy")

BACKENDS = tuple(os.environ.get("NPYFAST_TEST_BACKENDS", ",".join(ALL)).split(","))
if not set(BACKENDS) <= set(ALL):
    raise ValueError(f"NPYFAST_TEST_BACKENDS must list some of {ALL}, got {BACKENDS}")

TENSORFLOW = os.environ.get("NPYFAST_TEST_TENSORFLOW", "1") != "0"

# Packages with training loops that are tested: those that the variable names, which must then be
# installed, or without it those that are. Where TensorFlow is left out, so is Keras on TensorFlow.
_NAMED = os.environ.get("NPYFAST_TEST_PACKAGES")
_LEFT_OUT = os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" and not TENSORFLOW
PACKAGES = tuple(
    name
    for name in ("keras", "jax", "torch")
    if (importlib.util.find_spec(name) if _NAMED is None else name in _NAMED.split(","))
    and not (name == "keras" and _LEFT_OUT)
)

# The backends with the engines that each of them works with.
DELIVERIES = [
    (backend, engine)
    for backend, engine in (("native", "graph"), ("native", "generator"), ("numpy", "generator"))
    if backend in BACKENDS
]


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """The process uses this backend inside; ImportError where it is missing."""
    module = importlib.import_module(f"npyfast._backends.{name}")
    # Everything asks _chosen(), the only place that remembers the choice, at each use.
    with (
        mock.patch.object(npyfast._backends, "_chosen", return_value=(module, "the test's choice")),
        mock.patch.object(npyfast, "backend", module.NAME),
    ):
        assert npyfast._backends.backend() is module
        yield
