"""`RecordedRun`: what a run was made from, as it was then: its job files, variables, environment and options.

It is read from ``journal.secrets``, which only its owner can write to: what is in there is run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from runtime.cli.earlier import Earlier
from runtime.cli.job_options import option_words
from runtime.jobfile.errors import InputError
from runtime.jobfile.regression import RecordedFiles
from runtime.journal.secret_values import SECRETS_NAME, SecretValues, read_secrets

TERMINAL_VARIABLES: Final = (
    "TERM",
    "COLORTERM",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "SSH_AUTH_SOCK",
    "SHELL",
)
"""Variables that belong to the terminal and the person, and not to a job that is looked at again."""


@attrs.frozen(kw_only=True)
class RecordedRun:
    """What a run was made from."""

    files: RecordedFiles
    environment: Mapping[str, str] = attrs.field(repr=False)
    """The environment of its command line."""
    definitions: Mapping[str, str] = attrs.field(repr=False)
    """The values of ``-D``, by name."""
    options: Sequence[str]
    """Words of a command line, for `parse`."""


def recorded_run(earlier: Earlier) -> RecordedRun:
    """Return what the last segment of a run was made from. Blocks.

    Raises:
        InputError: if that is not known, or others than this user could have written it.
    """
    if not earlier.has_begun:
        raise _unknown(earlier, "its journal has no record of a run")
    try:
        found = read_secrets(earlier.roots.run, own=True)
    except OSError as exc:
        raise _unknown(earlier, f"{SECRETS_NAME}, which says it, cannot be used: {exc.strerror}") from exc
    details = earlier.state.segments[-1].begin.details
    # A process that was killed early has written values, and no record that begins its segment.
    of_segment = [each for each in found if each.digests(each.environment) == details.get("environment")]
    values = of_segment[-1] if of_segment else None
    if values is None:
        raise _unknown(earlier, f"{SECRETS_NAME} does not belong to its journal")
    if not values.options:
        raise _unknown(earlier, "an older version of job-runtime has made it, which did not record its options")
    return RecordedRun(
        files=_files(earlier, values, details.get("directory")),
        environment=values.environment,
        definitions={
            name.removeprefix("var."): value for name, value in values.variables.items() if name.startswith("var.")
        },
        options=option_words(values.options),
    )


def _files(earlier: Earlier, values: SecretValues, directory: object) -> RecordedFiles:
    if not isinstance(directory, str) or not os.path.isabs(directory):
        raise _unknown(earlier, "its journal does not say in which directory it began")
    return RecordedFiles(texts=values.files, lists=values.lists, directory=Path(directory))


def _unknown(earlier: Earlier, why: str) -> InputError:
    return InputError(
        f"what the run {earlier.run_dir.name} was made from is not known: {why}; expected a run of your own, or"
        " job-runtime run FILE --rerun, which takes today's job file"
    )


def take_environment(recorded: Mapping[str, str]) -> None:
    """Make a recorded environment that of this process, but for the variables of the terminal.

    Raises:
        InputError: if no process can have such an environment.
    """
    mine = {name: os.environ[name] for name in TERMINAL_VARIABLES if name in os.environ}
    others = {name: value for name, value in recorded.items() if name not in TERMINAL_VARIABLES}
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update({**others, **mine})
    except (OSError, ValueError) as exc:
        os.environ.clear()
        os.environ.update(before)
        raise InputError(
            f"the recorded environment of the run cannot be one: {exc}; expected a run of your own"
        ) from exc
