"""Did the job pass? The verdict, from its log and from how it ended. No event loop, no clock, bounded memory."""

from runtime.verdict.combined import CombinedEngine, are_linear, is_quick
from runtime.verdict.decide import PASSED, Verdict, decide, explain_stop, over_limit, signal_name
from runtime.verdict.engine import Engine, Hit, PythonEngine
from runtime.verdict.file import BUDGET, LogPath, TooLongError, judge_log, judge_text, read_tail, real_path, size_of
from runtime.verdict.follow import LogFollower
from runtime.verdict.judge import FailingLine, Judgement, LogJudge, LogPatterns
from runtime.verdict.linear import LinearEngine
from runtime.verdict.prefilter import PrefilterEngine
from runtime.verdict.worker import JudgingError, WorkerEngine, Workers

__all__ = (
    "BUDGET",
    "PASSED",
    "CombinedEngine",
    "Engine",
    "FailingLine",
    "Hit",
    "Judgement",
    "JudgingError",
    "LinearEngine",
    "LogFollower",
    "LogJudge",
    "LogPath",
    "LogPatterns",
    "PrefilterEngine",
    "PythonEngine",
    "TooLongError",
    "Verdict",
    "WorkerEngine",
    "Workers",
    "are_linear",
    "decide",
    "explain_stop",
    "is_quick",
    "judge_log",
    "judge_text",
    "over_limit",
    "read_tail",
    "real_path",
    "signal_name",
    "size_of",
)
