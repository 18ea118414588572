"""What all systems do that are asked by commands."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from runtime.backend.batch.system import Unanswered
from runtime.errors import BackendBrokenError
from runtime.process import SIGCHLD_IGNORED, ignores_sigchld
from runtime.process.commands import CommandResult, Commands


def check_sigchld(system: str) -> None:
    """Check that the exit codes of commands can be read.

    Raises:
        BackendBrokenError: if SIGCHLD is ignored; `system` is the name of the system.
    """
    if ignores_sigchld():
        raise BackendBrokenError(f"the backend for {system} cannot be opened: {SIGCHLD_IGNORED}")


async def run_each(
    commands: Commands,
    every: Iterable[Sequence[str]],
    read: Callable[[CommandResult], Unanswered | None],
) -> Unanswered | None:
    """Run one command after the other, until the first that was not accepted; return what `read` makes of that."""
    for argv in every:
        answer = read(await commands.run(argv))
        if answer is not None:
            return answer
    return None


def words_of(requests: Mapping[str, Hashable]) -> dict[str, Sequence[str]]:
    """Return the requests of arrays as the words that they are."""
    words: dict[str, Sequence[str]] = {}
    for array, request in requests.items():
        assert isinstance(request, tuple)
        words[array] = request
    return words
