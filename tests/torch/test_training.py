"""Training with PyTorch on batches of npyfast."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import npyfast


@pytest.mark.parametrize("workers", [0, 2])
def test_a_network_learns_to_read_digits(backend: str, tmp_path: Path, workers: int) -> None:
    digits = load_digits()
    np.save(tmp_path / "x.npy", digits.images.astype(np.uint8))
    np.save(tmp_path / "y.npy", digits.target)
    source = npyfast.source(tmp_path / "x.npy", cast="float32", scale=1 / 16), tmp_path / "y.npy"
    training, testing = npyfast.split(source, [0.8, 0.2], seed=0)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # more would only wait for each other
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    ds = npyfast.torch_dataset(source, 32, True, seed=0, rows=training)
    for _ in range(20):
        for x, y in torch.utils.data.DataLoader(ds, batch_size=None, num_workers=workers):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    right = rows = 0
    with torch.no_grad():
        for x, y in npyfast.torch_dataset(source, 100, rows=testing):
            right += int((model(x).argmax(1) == y).sum())
            rows += len(y)
    assert rows == len(testing)
    assert right / rows > 0.95
