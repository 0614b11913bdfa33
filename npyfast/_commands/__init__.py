"""The command `npyfast`: `npyfast pack`, `npyfast info` and `npyfast bench`."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType

from npyfast import __version__
from npyfast._commands import bench, info, pack
from npyfast._commands.errors import explain, with_options
from npyfast._errors import printable

_DESCRIPTION = (
    "Packs arrays into plain .npy files, reports what npyfast does with a file, and measures it."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns the exit status: 1 after an error, which is one line on
    stderr. Wrong usage raises SystemExit with status 2."""
    parser = argparse.ArgumentParser(prog="npyfast", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"npyfast {__version__}")
    commands = parser.add_subparsers(required=True, metavar="pack|info|bench")
    pack.add_to(commands)
    info.add_to(commands)
    bench.add_to(commands)
    options = parser.parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    signal.signal(signal.SIGTERM, _end)
    try:
        with warnings.catch_warnings():
            quiet = getattr(options, "quiet", False)
            warnings.simplefilter("ignore" if quiet else "always", UserWarning)
            warnings.showwarning = _note
            status: int = options.run(options)
        if sys.stdout is not None:  # it may be closed
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has closed it. Keep Python from reporting that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("npyfast: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except (OSError, ValueError, TypeError, LookupError, ImportError, MemoryError) as error:
        text = with_options(explain(error), getattr(options, "source", ()))
        print(f"npyfast: error: {text}", file=sys.stderr)
        return 1
    return status


def _note(message: Warning | str, *_: object, **__: object) -> None:
    """Shows a warning as the errors are shown."""
    print(f"npyfast: note: {with_options(printable(str(message)))}", file=sys.stderr)


def _joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with "--rows -5:" as "--rows=-5:"; argparse would take "-5:" for an option."""
    joined: list[str] = []
    options = True
    for argument in arguments:
        options = options and argument != "--"
        before = joined[-1] if joined else ""
        if options and re.match(r"-[\d.]", argument) and re.fullmatch(r"--[a-z-]+", before):
            joined[-1] = f"{before}={argument}"
        else:
            joined.append(argument)
    return joined


def _end(number: int, frame: FrameType | None) -> None:
    """Ends the process as the signal does, after cleaning up unfinished work."""
    raise SystemExit(128 + number)
