"""Runs ``job-runtime dvsim`` and DVSim's own command on the flow of ``examples/dvsim``; prints what both found as JSON.

Each command runs in a fork of this process, which has imported all modules once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from dvsim.cli import main as stock

import runtime.cli.histories
import runtime.cli.past_commands
import runtime.dvsim.import_flow
import runtime.dvsim.recorded  # noqa: F401 - as those above: what forks would load, each for itself
from runtime.cli.main import main as ours
from tests.dvsim.programs.common import main as print_facts

EXAMPLE = Path(__file__).parents[3] / "examples" / "dvsim"
STAND_IN = Path(__file__).parents[1] / "stand_in"
"""What takes the place of Verilator and the design: it compiles in a moment, and writes what they write."""
CONFIG = "fifo_sim_cfg.hjson"


HEADER = 3
"""Lines with which DVSim's own logs begin, and ours do not: they tell the command."""


class Place:
    """A directory in which commands run, of one story.

    Args:
        directory: is made.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory
        directory.mkdir()

    def call(self, name: str, function: Callable[[], int | None]) -> tuple[int, str]:
        """Call a function in a fork, in this directory; return its exit code, and what it wrote."""
        said = self.path / f"{name}.txt"
        child = os.fork()
        if child == 0:
            code = 99
            try:
                signal.alarm(60)  # then it hangs
                os.chdir(self.path)
                with said.open("wb") as file:
                    os.dup2(file.fileno(), 1)
                    os.dup2(file.fileno(), 2)
                os.environ["FLOW_PID"] = str(os.getpid())
                code = function() or 0
            except SystemExit as exc:
                code = exc.code if isinstance(exc.code, int) else 98
            except BaseException:  # noqa: BLE001 - it is shown
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), said.read_text(errors="replace")

    def stock(self, *words: str, config: Path, name: str = "stock") -> tuple[int, str]:
        """Run DVSim's own command."""
        words = (*self.words(config, f"scratch-{name}"), *words)

        def run() -> int | None:
            sys.argv = ["dvsim", *words]
            found: int | None = stock(list(words))
            return found

        return self.call(name, run)

    def ours(self, *words: str, config: Path, options: tuple[str, ...] = (), name: str = "ours") -> tuple[int, str]:
        """Run it with our scheduler."""
        command = ["dvsim", *options, "--", *self.words(config, f"scratch-{name.partition('.')[0]}"), *words]
        return self.call(name, lambda: ours(command))

    def runtime(self, *words: str) -> tuple[int, str]:
        """Run another command of ours."""
        return self.call("runtime", lambda: ours(list(words)))

    def words(self, config: Path, scratch: str) -> list[str]:
        """Return arguments that each command of DVSim's has here."""
        root = config.parent
        words = [str(config), "--proj-root", str(root), "--scratch-root", str(self.path / scratch), "--branch", "main"]
        return [*words, "--local", "--max-parallel", "4"]

    def report(self, name: str) -> Any:
        """Return what the report of a run says, but for what is never the same."""
        text = (self.path / f"scratch-{name}" / "main" / "reports" / "fifo.json").read_text()
        found = json.loads(text.replace(f"scratch-{name}", "SCRATCH"))
        found.pop("timestamp")
        buckets = found["failed_jobs"]["buckets"]
        for failures in buckets.values():
            for each in failures:
                if name == "stock" and each["line"] is not None:
                    each["line"] -= HEADER
                each["log_context"] = [line for line in each["log_context"] if not _of_header(line)]
        return found

    def states(self, run: str = "latest") -> dict[str, list[str]]:
        """Return ids by status, of a run of ours."""
        _, text = self.runtime("report", run, "--json")
        found: dict[str, list[str]] = {}
        for job in json.loads(text)["jobs"]:
            found.setdefault(job["status"], []).append(job["id"])
        return found


def _of_header(line: str) -> bool:
    return line.startswith(("[Executing]", "make -f ")) or not line.strip()


def variant(place: Place, **changes: str) -> Path:
    """Return the path of the flow's configuration with other values of some keys, in a copy of the project."""
    project = place.path / "project"
    if not project.exists():
        shutil.copytree(EXAMPLE, project)
        shutil.copytree(STAND_IN, project, dirs_exist_ok=True)
        git = ["git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=b"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "the flow"], check=True)
    tool = project / "verilator.hjson"
    text = tool.read_text()
    for key, value in changes.items():
        (old,) = re.findall(rf"^  {key}: .*$", text, re.MULTILINE)
        text = text.replace(old, f"  {key}: {value}")
    tool.write_text(text)
    return project / CONFIG


def tables(place: Place) -> dict[str, Any]:
    """The whole flow with both: equal result tables, and what our commands say of it afterwards."""
    config, words = variant(place), ("-i", "all", "--fixed-seed", "7")
    code, said = place.stock(*words, config=config)
    our_code, our_said = place.ours(*words, config=config)
    table = re.compile(r"^\|.*\|$|^\* `.*", re.MULTILINE)
    _, report = place.runtime("report")
    command = ["import", "dvsim", "-o", "flow.toml", "--", *place.words(config, "scratch-import"), *words]
    made, _ = place.call("import", lambda: ours(command))
    imported, _ = place.runtime("run", "flow.toml", "-q", "--out", "imported")
    _, log = place.runtime("logs", "latest", "fifo:0.fifo_smoke.7")
    return {
        "codes": [code, our_code],
        "tables": [table.findall(said), table.findall(our_said)],
        "reports": [place.report("stock"), place.report("ours")],
        "summary": report.splitlines()[-1],
        "log": log,
        "imported": [made, imported, place.states() == place.states("imported/latest")],
        "notes": [line for line in (place.path / "flow.toml").read_text().splitlines() if line.startswith("# Not")],
        "runs": place.runtime("runs")[1],
        "history": place.runtime("history", "fifo:0.fifo_exit.7")[1],
    }


def resumed(place: Place) -> dict[str, Any]:
    """A run with random seeds, and its resume, in which what failed is mended."""
    config = variant(place, build_cmd='"touch"', run_cmd='"sh {self_dir}/run.sh"')
    run = place.path / "project" / "run.sh"
    run.write_text("echo x >>${0%/*}/ran; case $1 in *2000*) exit 1;; esac; echo TEST PASSED CHECKS\n")
    words = ("-i", "good", "--reseed", "2")
    first, _ = place.ours(*words, config=config)
    before, started = place.states(), len((run.parent / "ran").read_text().split())
    run.write_text("echo x >>${0%/*}/ran; echo TEST PASSED CHECKS\n")
    second, said = place.ours(*words, config=config, options=("--resume",), name="ours.again")
    after = place.states()
    return {
        "codes": [first, second],
        "before": {status: len(ids) for status, ids in before.items()},
        "after": {status: len(ids) for status, ids in after.items()},
        "same ids": sorted(chain(*before.values())) == sorted(chain(*after.values())),
        "started": [started, len((run.parent / "ran").read_text().split())],
        "said": said,
        "runs": len([name for name in os.listdir(place.path / "results") if name[0] == "2"]),
    }


def interrupted(place: Place) -> dict[str, Any]:
    """A Ctrl-C in the middle, with both."""
    config = variant(place, build_cmd='"touch"', run_cmd='"sh {self_dir}/run.sh"')
    (config.parent / "run.sh").write_text("kill -INT $FLOW_PID; exec sleep 1000\n")
    words = ("-i", "fifo_smoke", "--reseed", "3", "--seeds", "1", "2", "3", "-mp", "1")
    codes = [
        place.stock(*words, config=config)[0],
        place.ours(*words, config=config, options=("--max-parallel", "1"))[0],
    ]
    return {"codes": codes, "buckets": [_counts(place.report(name)) for name in ("stock", "ours")]}


def _counts(report: Any) -> dict[str, int]:
    return {message: len(failures) for message, failures in report["failed_jobs"]["buckets"].items()}


def no_coverage(place: Place) -> dict[str, Any]:
    """A flow whose coverage directories are empty texts, which are the current directory to DVSim."""
    config = variant(place, build_cmd='"touch"', run_cmd='"false"', cov_db_dir='""', cov_db_test_dir='""')
    (place.path / "precious").touch()
    code, _ = place.ours("-i", "fifo_smoke", config=config)
    return {"code": code, "kept": (place.path / "precious").exists(), "buckets": _counts(place.report("ours"))}


def refused(place: Place) -> dict[str, Any]:
    """What cannot be run is one line."""
    config = variant(place)
    return {
        "instrument": place.ours("-i", "all", "--instrument", "timing", config=config),
        "no such backend": place.ours("-i", "all", options=("--backend", "locl"), config=config),
        "no run": place.ours("-i", "all", options=("--resume", "yesterday"), config=config),
        "no test": place.ours("-i", "none_such", config=config),
        "no file": place.ours("-i", "all", config=config.with_name("none.hjson")),
    }


STORIES: dict[str, Callable[[Place], Any]] = {
    "tables": tables,
    "resumed": resumed,
    "interrupted": interrupted,
    "no_coverage": no_coverage,
    "refused": refused,
}


def facts(directory: Path) -> Mapping[str, Any]:
    """Return the facts of all stories."""
    chosen = os.environ["STORIES"].split()
    return {name: STORIES[name](Place(directory / name)) for name in chosen}


if __name__ == "__main__":
    print_facts(facts)
