"""An argument parser whose errors are one line."""

from __future__ import annotations

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Reports an error in one line; argparse's own prints the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        """Print one line to stderr, and exit with code 2."""
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")
