"""`LocalRun`: the processes of a job, from their start until its completion."""

from __future__ import annotations

import attrs

from runtime.backend.local.interactive import JobTerminal
from runtime.backend.local.launch_errors import UnwatchedError
from runtime.process import ProcessTree, SoftStep
from runtime.roots import RootedPath


@attrs.define(eq=False)
class LocalRun:
    """The processes of a job, and its log."""

    tree: ProcessTree
    soft: SoftStep | None
    """The step before SIGTERM, if there is one."""
    log: RootedPath
    terminal: JobTerminal | None = None
    """That of an interactive job."""

    def destroy(self) -> None:
        """End it, if its launch was abandoned. Blocks."""
        self.tree.destroy()
        self.close()

    def close(self) -> None:
        """Close all descriptors. Idempotent."""
        self.tree.close()
        if self.terminal is not None:
            self.terminal.close()
            self.terminal = None


def keep(tree: ProcessTree, soft: SoftStep | None, log: RootedPath, terminal: JobTerminal | None = None) -> LocalRun:
    """Return the run of a tree that was started.

    Raises:
        UnwatchedError: if there is no memory for it; the tree was killed.
    """
    try:
        return LocalRun(tree, soft, log, terminal)
    except MemoryError:
        tree.destroy()
        if terminal is not None:
            terminal.close()
        raise UnwatchedError from None
