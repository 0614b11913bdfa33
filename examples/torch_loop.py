"""Trains with PyTorch on handwritten digits from two .npy files.

    python examples/torch_loop.py [WORKERS]

Exits with status 1 if the network has not learned to read digits. WORKERS is the DataLoader's
num_workers, 0 by default: the batches are the same with any number. Requires PyTorch and
scikit-learn, not TensorFlow.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader

import npyfast

EPOCHS = 15
WANTED_ACCURACY = 0.95


def train(folder: Path, workers: int) -> float:
    """Returns the accuracy on the held-out rows."""
    digits = load_digits()  # 1,797 real scans of 8 x 8 pixels from 0 to 16
    np.save(folder / "X.npy", digits.images[:, np.newaxis].astype(np.uint8))
    np.save(folder / "y.npy", digits.target)

    # Pixels become float32 from 0 to 1 while the rows are copied.
    images = npyfast.source(folder / "X.npy", cast="float32", scale=1 / 16)
    source = images, folder / "y.npy"
    kept, held_out = npyfast.split(source, 0.8, seed=0)
    training = npyfast.torch_dataset(source, batch_size=32, shuffle=True, seed=0, rows=kept)
    testing = npyfast.torch_dataset(source, batch_size=256, rows=held_out)
    loader = DataLoader(
        training, batch_size=None, num_workers=workers, persistent_workers=workers > 0
    )

    torch.manual_seed(0)
    torch.set_num_threads(1)  # so small a network gains nothing by more
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 3),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * 36, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for epoch in range(EPOCHS):  # each in another order
        total = 0.0
        for x, y in loader:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: loss {total / len(loader):.3f}")
    print(npyfast.statistics(training))

    with torch.no_grad():
        right = sum(int((model(x).argmax(1) == y).sum()) for x, y in testing)
    return right / len(held_out)


def main() -> int:
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with tempfile.TemporaryDirectory() as folder:
        accuracy = train(Path(folder), workers)
    reached = accuracy >= WANTED_ACCURACY
    print(
        f"accuracy on held-out rows: {accuracy:.3f}, wanted: {WANTED_ACCURACY} "
        f"({'reached' if reached else 'MISSED'})"
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
