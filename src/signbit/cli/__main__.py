"""`python -m signbit.cli`: the command line where no script is installed."""

import sys

from signbit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
