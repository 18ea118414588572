"""The arguments with which an interpreter runs a module of the runtime as a helper, by `runtime.helper.boot`.

The runtime is not always in files: it may be in a zip archive, or in a frozen program. Then the bytecode of `MODULES`
is written to a private directory, which is removed at exit.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import shutil
import struct
import sys
import tempfile
from types import ModuleType
from typing import Any, Final

from runtime.helper import boot

MODULES: Final = (
    "runtime.helper.boot",
    "runtime.helper.wire",
    "runtime.process.guard.contained_job",
    "runtime.process.guard.job_files",
    "runtime.process.guard.messages",
    "runtime.process.guard.procfs",
    "runtime.process.guard.shim_process",
    "runtime.process.guard.signals",
    "runtime.process.guard.supervisor_process",
    "runtime.process.guard.system_calls",
    "runtime.process.identity",
    "runtime.process.inherited",
    "runtime.process.stop_sequence",
    "runtime.rooted",
    "runtime.verdict.python_search",
    "runtime.verdict.worker_program",
)
"""What `boot` runs, and what that imports: all other imports are of the standard library."""


def words(module: ModuleType) -> list[str]:
    """Return the arguments with which an interpreter runs `main` of a module in `MODULES`.

    Further ones are passed to `main`, as text.

    Raises:
        OSError: if the runtime is not in files, and its bytecode cannot be written or is not available.
    """
    # Isolated: no variable, directory or package of the user takes part. No bytecode is written: the runtime has
    # imported the module before, and has written it where it may.
    options = ["-I", "-S", "-B"]
    if sys.pycache_prefix is not None:  # it may come from a variable, which `-I` ignores
        options += ["-X", f"pycache_prefix={sys.pycache_prefix}"]
    source = boot.__file__
    if os.path.isfile(source):
        return [
            *options,
            bytecode_or_source(boot),
            os.path.dirname(os.path.dirname(os.path.dirname(source))),
            module.__name__,
        ]
    directory = _unpacked()
    return [*options, os.path.join(directory, "runtime", "helper", "boot.pyc"), directory, module.__name__]


def bytecode_or_source(module: ModuleType) -> str:
    """Return the path of the bytecode file of a module, if there is one that is up to date; else of its source."""
    source, spec = module.__file__, module.__spec__
    assert source is not None
    compiled = None if spec is None else spec.cached
    return compiled if compiled is not None and _is_compiled_from(source, compiled) else source


@functools.cache
def _unpacked() -> str:
    """Write the bytecode of `MODULES`, and return the directory."""
    top = tempfile.mkdtemp(prefix="job-runtime-helpers-")
    atexit.register(_remove, top, os.getpid())
    for name in MODULES:
        path = os.path.join(top, *name.split(".")) + ".pyc"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        code = _code_of(name)
        with open(path, "wb") as file:
            # PEP 552: flags, time and size of a source, which there is not: without one they are ignored.
            file.write(importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, 0, 0) + code)
    return top


def _code_of(name: str) -> bytes:
    import marshal  # here, as only archives and frozen programs need it

    spec = importlib.util.find_spec(name)
    loader: Any = None if spec is None else spec.loader
    code = None if loader is None else loader.get_code(name)
    if code is None:
        msg = f"{name} has neither a source file nor code of its loader; expected one of them, to run it as a helper"
        raise OSError(msg)
    return marshal.dumps(code)


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a process that was forked from it, which inherits the call
        shutil.rmtree(path, ignore_errors=True)


def _is_compiled_from(source: str, compiled: str) -> bool:
    """Whether `compiled` is the bytecode of `source` as it is now, by the time and the size in its PEP 552 header.

    For a module that is imported, the import system checks the same.
    """
    try:
        with open(compiled, "rb") as file:
            header = file.read(16)
        status = os.stat(source)
    except OSError:
        return False
    numbers = (0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
    return header == importlib.util.MAGIC_NUMBER + struct.pack("<III", *numbers)
