"""Did it pass? The verdict from what a job wrote and how it ended; no event loop, no clock, bounded memory."""

from runtime.logs.engine import Engine, Hit, PythonEngine
from runtime.logs.file import judge_log, read_tail
from runtime.logs.judge import Failure, Judgement, LogJudge, LogPatterns
from runtime.logs.verdict import PASSED, Verdict, decide, signal_name

__all__ = (
    "PASSED",
    "Engine",
    "Failure",
    "Hit",
    "Judgement",
    "LogJudge",
    "LogPatterns",
    "PythonEngine",
    "Verdict",
    "decide",
    "judge_log",
    "read_tail",
    "signal_name",
)
