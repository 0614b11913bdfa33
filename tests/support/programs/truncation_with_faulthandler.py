"""Reads a truncated file with faulthandler enabled before npyfast is imported, or after."""

import faulthandler
import os
import sys

path, when = sys.argv[1:]
faulthandler.disable()
if when == "before":
    faulthandler.enable()
import npyfast

rows = npyfast.open(path)
if when == "after":
    faulthandler.enable()
os.truncate(path, 4096)
for _ in range(3):
    try:
        rows[-1]
    except npyfast.NpyFormatError as error:
        print(error)
