"""`python -m npyfast`: the same as the command `npyfast`."""

import sys

from npyfast._commands import main

if __name__ == "__main__":
    sys.exit(main())
