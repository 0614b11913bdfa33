"""Meets a bus error of npyfast, then one of its own."""

import os
import sys

import numpy as np

import npyfast

rows = npyfast.open(sys.argv[1])
memory = np.load(sys.argv[1], mmap_mode="r")
rows[0]
os.truncate(sys.argv[1], 4096)
try:
    rows[-1]
except npyfast.NpyFormatError:
    print("caught", flush=True)
memory[-1].copy()
