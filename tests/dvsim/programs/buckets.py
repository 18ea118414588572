"""DVSim's failure buckets of our corpus of failing logs: its launcher finds a message, its report normalises it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dvsim.launcher.base import Launcher
from dvsim.sim_results import _bucketize

from tests.dvsim.programs.common import main
from tests.report.failing_logs import CORPUS, FAIL_PATTERNS, failing_logs, quality


class FinishedLauncher(Launcher):  # type: ignore[misc]  # DVSim is not installed where types are checked
    """A job that has ended, of which only the log is judged."""

    def __init__(self, log: Path, exit_code: int, patterns: list[str]) -> None:
        # Without that of the base class, which makes a workspace.
        self.job_spec = SimpleNamespace(
            dry_run=False, fail_patterns=patterns, pass_patterns=[], log_path=log, job_type="any"
        )
        self.exit_code = exit_code
        self.job_runtime_secs = 0
        self.job_runtime = SimpleNamespace(set=lambda *_: None)

    def message(self) -> str:
        _, found = self._check_status()
        return str(found.message)

    def _do_launch(self) -> None: ...

    def poll(self) -> Any: ...

    def kill(self) -> None: ...

    @staticmethod
    def prepare_workspace(cfg: Any) -> None: ...

    @staticmethod
    def prepare_workspace_for_cfg(cfg: Any) -> None: ...


def facts(directory: Path) -> dict[str, str]:
    """Return the quality of DVSim's buckets, of each file of the corpus, without fail patterns and with them."""
    measured = {}
    log = directory / "log"
    for path in sorted(CORPUS.glob("*.txt")):
        for with_patterns in (False, True):
            found = []
            for each in failing_logs(path.name):
                log.write_text(each.text)
                patterns = list(FAIL_PATTERNS[each.tool]) if with_patterns else []
                found.append((each.cause, _bucketize(FinishedLauncher(log, each.exit_code, patterns).message())))
            measured[f"{path.name} {'with' if with_patterns else 'without'}"] = str(quality(found))
    return measured


if __name__ == "__main__":
    main(facts)
