"""Reads batches until SIGINT."""

import sys

import npyfast

made = npyfast.batches(sys.argv[1], int(sys.argv[2]), True, epochs=-1)
try:
    for i, batch in enumerate(made):
        if i == 10:
            print("reading", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
