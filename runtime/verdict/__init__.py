"""Did it pass? `verdict` and `Verdicts` tell, from a job, its exit and its log. No event loop, no clock."""

from runtime.signal_names import signal_name
from runtime.verdict.decide import PASSED, ExitStatus, Verdict, explain_stop, failed
from runtime.verdict.file import LogPath, last_line, log_status, real_path, too_large
from runtime.verdict.follow import LogFollower
from runtime.verdict.judge import FailingLine, Judgement
from runtime.verdict.verdicts import Verdicts, needs_log, verdict
from runtime.verdict.worker import JudgingError

__all__ = (
    "PASSED",
    "ExitStatus",
    "FailingLine",
    "Judgement",
    "JudgingError",
    "LogFollower",
    "LogPath",
    "Verdict",
    "Verdicts",
    "explain_stop",
    "failed",
    "last_line",
    "log_status",
    "needs_log",
    "real_path",
    "signal_name",
    "too_large",
    "verdict",
)
