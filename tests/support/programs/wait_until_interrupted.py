"""Waits for a batch of 2 GiB until SIGINT."""

import sys

import npyfast

stream = iter(npyfast.batches(sys.argv[1], 1000, True, epochs=-1, threads=2))
try:
    print("reading", flush=True)
    for batch in stream:
        pass
except KeyboardInterrupt:
    print("interrupted", flush=True)
