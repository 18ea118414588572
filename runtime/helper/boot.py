"""Runs `main` of a module in a helper process, without the packages that the module is in.

Run as a file, with the directory that `runtime` is in, the full name of the module, and the arguments of its `main`.

A helper starts in some 20 ms because it imports little. The `__init__` of a package would import trio and most of the
runtime. So each package is replaced by an empty one with the same directory; then ``from runtime.helper import wire``
means the same in the runtime and in a helper, for Python and for a type checker.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` takes longer than everything here
    from typing import Final

PACKAGES: Final = ("runtime", "runtime.helper", "runtime.process", "runtime.process.guard", "runtime.verdict")
"""The packages of all modules that helpers import."""


def replace_packages(directory: str) -> None:
    """Make empty packages that modules can be imported from.

    Args:
        directory: the one that `runtime` is in.
    """
    for name in PACKAGES:
        package = type(sys)(name)
        package.__path__ = [directory + "/" + name.replace(".", "/")]
        sys.modules[name] = package


def main(directory: str, module: str, *arguments: str) -> None:
    """Call ``main(*arguments)`` of `module`, which is imported from the package in `directory`."""
    replace_packages(directory)
    gc.disable()  # saves 1 ms: there is no garbage yet
    __import__(module)
    gc.enable()
    sys.modules[module].main(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
