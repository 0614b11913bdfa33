"""Runs npyfast info: TensorFlow is not imported."""

import sys

from npyfast._commands import main

main(["info", sys.argv[1]])
assert "tensorflow" not in sys.modules
