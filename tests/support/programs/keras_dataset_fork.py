"""Reads a dataset for Keras, forks in the middle, and reads on in both processes."""

import os
import sys
import threading
import warnings

import numpy as np

warnings.simplefilter("ignore")  # of packages that warn of a fork

import npyfast

path, workers = sys.argv[1], int(sys.argv[2])
transform = (lambda batch: batch + 0) if workers else None
made = npyfast.keras_dataset(path, 7, True, seed=1, transform=transform, workers=workers)
expected = list(npyfast.batches(path, 7, True, seed=1))


def check(numbers: list[int]) -> None:
    for number in numbers:
        np.testing.assert_array_equal(made[number], expected[number])


check([0, 1, 2])
# Another thread holds the lock while the process forks.
held, done = threading.Event(), threading.Event()


def hold() -> None:
    with made._reader.lock:
        held.set()
        done.wait()


thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    check([3, 4, 5, 1, 8, *range(9)])
    made.on_epoch_end()
    os._exit(0 if made.epoch == 1 else 1)
done.set()
thread.join()
check([3, 4, 5, 1, 8, *range(9)])
_, status = os.waitpid(child, 0)
print("both" if status == 0 else status)
made.close()
