"""``python -m runtime.dvsim``: the command ``job-runtime dvsim``."""

import sys

from runtime.cli.main import main

if __name__ == "__main__":
    sys.exit(main(for_command="dvsim"))
