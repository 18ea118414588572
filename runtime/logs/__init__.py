"""Did it pass? The verdict from what a job wrote and how it ended; no event loop, no clock, bounded memory."""

from runtime.logs.engine import Engine, Hit, PythonEngine
from runtime.logs.file import BUDGET, LogPath, TooLongError, judge_log, judge_text, read_tail, real_path, size_of
from runtime.logs.follow import LogFollower
from runtime.logs.judge import Failure, Judgement, LogJudge, LogPatterns
from runtime.logs.linear import LinearEngine
from runtime.logs.mixed import MixedEngine, are_linear, is_quick
from runtime.logs.prefilter import PrefilterEngine
from runtime.logs.verdict import PASSED, Verdict, decide, explain_stop, over_limit, signal_name
from runtime.logs.worker import JudgingError, WorkerEngine, Workers

__all__ = (
    "BUDGET",
    "PASSED",
    "Engine",
    "Failure",
    "Hit",
    "Judgement",
    "JudgingError",
    "LinearEngine",
    "LogFollower",
    "LogJudge",
    "LogPath",
    "LogPatterns",
    "MixedEngine",
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
