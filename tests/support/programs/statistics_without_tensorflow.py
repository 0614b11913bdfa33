"""Prints the number of batches read, and whether TensorFlow was imported."""

import sys

import npyfast

made = npyfast.batches(sys.argv[1], 10)
list(made)
print(npyfast.statistics(made).batches, "tensorflow" in sys.modules)
