"""Arrays of JAX that may use the memory of npyfast's batches."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from samples import Save

import npyfast

pytestmark = pytest.mark.usefixtures("backend")


@pytest.mark.parametrize("transform", [None, lambda batch: batch + 0])
def test_arrays_that_are_kept_never_change(save: Save, transform: object) -> None:
    rows = np.arange(1000 * 16, dtype=np.float32).reshape(1000, 16)
    batches = npyfast.batches(save(rows), 50, transform=transform)  # type: ignore[arg-type]
    kept = [jax.device_put(batch) for batch in batches]
    for _ in range(20):
        for batch in batches:
            batch[...] = -1  # of later batches, which are other memory
    assert np.array_equal(np.concatenate([np.asarray(array) for array in kept]), rows)


def test_an_aligned_batch_is_not_copied(save: Save, native: None) -> None:
    addresses = [
        (batch.ctypes.data, jax.device_put(batch).unsafe_buffer_pointer())
        for batch in npyfast.batches(save(np.zeros((100, 16), np.float32)), 50)
    ]
    assert all(one == other for one, other in addresses)


def test_memory_goes_back_only_when_jax_lets_go(save: Save, native: None) -> None:
    path = save(np.zeros((1000, 16), np.float32))
    kept = [jax.device_put(batch) for batch in npyfast.batches(path, 50)]
    held = {array.unsafe_buffer_pointer() for array in kept}
    assert len(held) == 20
    for batch in npyfast.batches(path, 50, epochs=3):
        assert batch.ctypes.data not in held
