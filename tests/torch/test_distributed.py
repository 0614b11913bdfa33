"""`npyfast.torch_dataset` in the processes of torch.distributed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import processes
import pytest
from samples import Save

import npyfast


@pytest.mark.parametrize(("workers", "method"), [(0, "none"), (2, "fork"), (1, "spawn")])
def test_two_processes_share_each_epoch(
    save: Save, tmp_path: Path, backend: str, workers: int, method: str
) -> None:
    path = save(np.arange(103))
    started = [
        processes.start(
            *("two_torch_processes.py", rank, tmp_path / "store", path, workers, method),
            backend=backend,
            GLOO_SOCKET_IFNAME="lo",
        )
        for rank in range(2)
    ]
    found = [json.loads(processes.finish(one)[0].splitlines()[-1]) for one in started]
    wanted = npyfast.batches(path, 10, True, seed=1)
    for k in range(2):
        epoch = [batch.tolist() for batch in wanted]
        parts = [passes[k] for _, _, passes, _, _ in found]
        assert [one + other for one, other in zip(*parts, strict=True)] == epoch
    for undivided, length, _, whole, refused in found:
        assert (undivided, length) == (21, 11)
        assert whole == [batch.tolist() for batch in np.split(np.arange(103), [50, 100])]
        assert "pass seed=" in refused
