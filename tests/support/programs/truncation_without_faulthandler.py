"""Disables faulthandler while batches are read from files that are truncated."""

import faulthandler
import itertools
import os
import sys

import npyfast

faulthandler.enable()
for path in sys.argv[1:]:
    iterator = iter(npyfast.batches(path, 2, shuffle=True, epochs=-1))
    next(iterator)
    faulthandler.disable()
    # Whoever is copying at this moment has the signal's default, which ends the process; who begins
    # a batch takes the signal again.
    for _ in itertools.islice(iterator, 2000):
        pass
    os.truncate(path, 4096)
    try:
        for _ in itertools.islice(iterator, 5000):
            pass
    except npyfast.NpyFormatError as error:
        print(error)
    # Its report walks through frames of Python that run meanwhile: no thread may fault now.
    iterator.close()
    del iterator
    faulthandler.enable()
