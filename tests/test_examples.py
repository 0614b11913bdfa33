"""The examples of training loops train to the accuracy that they want."""

from __future__ import annotations

from pathlib import Path

import processes
import pytest
from backends import BACKENDS, PACKAGES, TENSORFLOW

EXAMPLES = Path(__file__).parents[1] / "examples"
DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}


@pytest.mark.parametrize(
    ("package", "name", "arguments", "said"),
    [
        ("tensorflow", "custom_loop.py", [], "reached"),
        ("tensorflow", "distribute.py", [], "2 devices"),
        ("torch", "torch_loop.py", [0], "675 batches, 21,570 rows"),
        ("torch", "torch_loop.py", [2], "reached"),
        ("jax", "jax_loop.py", [], "a batch of (32, 8, 8) on 4 devices; 1,100 batches"),
    ],
    ids=["custom_loop", "distribute", "torch_loop", "torch_loop with workers", "jax_loop"],
)
def test_an_example_trains(package: str, name: str, arguments: list[int], said: str) -> None:
    if package not in (*PACKAGES, *(["tensorflow"] if TENSORFLOW else [])):
        pytest.skip(f"{package} is not installed, or left out")
    found, _ = processes.finish(
        processes.start_python(
            *("-W", "ignore", EXAMPLES / name, *arguments),
            **{**DEVICES, "NPYFAST_BACKEND": BACKENDS[0], "OMP_NUM_THREADS": "1"},
        )
    )
    assert said in found
    assert "(reached)" in found.splitlines()[-1]
