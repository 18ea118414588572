"""docs/job-files.md lists kinds of failure, keys of results, commands and options, and its examples do what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from runtime.cli.main import main
from runtime.job import FailureKind
from runtime.report.normalise import normalise
from tests.cli.program import call, end_of, started, wait_for

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "job-files.md").read_text()


def table(head: str) -> str:
    return PAGE.partition(head)[2].partition("\n\n")[0]


def first_cells(head: str) -> list[str]:
    """Return what is in backquotes in the first cells of the lines of a table."""
    cells = re.findall(r"^\| (`.*?) \| ", table(head), re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def help_of(capfd: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    return capfd.readouterr().out


def test_each_kind_of_failure_is_listed_with_its_status() -> None:
    listed = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| (?:`(\w+)`|that of its cause) \| ", table("| status | `kind` |"), re.MULTILINE
    )
    assert listed == [
        (
            kind.status.name.lower(),
            kind.value,
            "" if kind is FailureKind.DEPENDENCY else kind.failure_class.value,
        )
        for kind in FailureKind
    ]


def example(key: str) -> str:
    """The text of the only example that has this line."""
    texts: list[str] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [each for each in texts if f"\n{key}\n" in f"\n{each}"]
    return found


def test_the_example_of_kinds_says_what_its_patterns_show(tmp_path: Path) -> None:
    (tmp_path / "sim").write_text(
        "#!/bin/sh\necho UVM_ERROR; case $JOB_RUNTIME_SEED in"
        " 1) echo Licence checkout failed;; 2) echo cp: Stale file handle;; esac; exit 1\n"
    )
    (tmp_path / "sim").chmod(0o755)
    text = example('network = ["Stale file handle", "No route to host"]').replace("seeds = 20", "seeds = [1, 2, 3]")
    (tmp_path / "fifo.toml").write_text(f"{text}retry_delay = 0\n")
    done = call(tmp_path, "run", "fifo.toml", "-q")
    assert done.code == 1, done.err
    document = json.loads((tmp_path / "results" / "latest" / "results.json").read_text())
    assert [(job["kind"], job["class"], job["attempt"]) for job in document["jobs"]] == [
        ("licence", "infrastructure", 6),
        ("network", "infrastructure", 3),
        ("exit_code", "design", 1),
    ]
    assert document["jobs"][0]["message"] == (
        "licence: Licence checkout failed; exit code 1; a fail pattern matched: UVM_ERROR"
    )
    assert document["counts"] | {"failed": 1, "infrastructure": 2} == document["counts"]


def test_the_example_of_limits_that_change_runs_as_many_jobs_as_the_command_allows(tmp_path: Path) -> None:
    # Each job notes when it begins and ends; the command allows two at once.
    write(tmp_path / "free_licences", "echo 2")
    write(
        tmp_path / "sim",
        "echo + >> times; [ $(grep -c + times) -gt $(($(grep -c - times) + 2)) ] && exit 1; echo - >> times",
    )
    text = example('licence = { command = "./free_licences", every = "30s" }').replace(
        '= 1, "else" = 4', '= 8, "else" = 8'
    )
    (tmp_path / "fifo.toml").write_text(f"{text}[backends.local]\nmax_parallelism = 8\n")
    done = call(tmp_path, "run", "fifo.toml", "-q")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "times").read_text().count("+") == 20


def write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_example_of_room_starts_nothing_without_it(tmp_path: Path) -> None:
    write(tmp_path / "sim", "exit 0")
    text = example('mem_free = "2GiB"                  # nothing new starts while less memory is available,')
    assert text.count("GiB") == 2  # asked for here: less than any machine has, and more
    (tmp_path / "room.toml").write_text(text.replace("2GiB", "1K").replace("10GiB", "1K"))
    assert call(tmp_path, "run", "room.toml", "-q").code == 0
    with started(tmp_path, "run", "room.toml", "--disk-free", "1000PiB") as program:
        wait_for(program.stdout, "of disk space are free; disk_free is 1000 PiB")
        program.send_signal(signal.SIGINT)
        assert end_of(program).code == 130
    document = json.loads((tmp_path / "results" / "latest" / "results.json").read_text())
    assert document["counts"]["never_ran"] == 20


def test_the_example_without_the_default_kinds_has_none(tmp_path: Path) -> None:
    text = example("defaults = false").replace("make sim", "echo 'Fatal License Error.'; exit 1")
    (tmp_path / "with.toml").write_text(text.replace("defaults = false", ""))
    (tmp_path / "without.toml").write_text(text)
    assert call(tmp_path, "run", "with.toml", "-q").code == 3
    assert call(tmp_path, "run", "without.toml", "-q").code == 1


def test_the_example_of_a_known_failure_does_not_fail_the_run_until_its_day(tmp_path: Path) -> None:
    text = example("[known.credit_lost]")
    (tmp_path / "fifo.toml").write_text(text)
    done = call(tmp_path, "run", "fifo.toml", "-q")
    assert (done.code, done.err) == (0, "")
    assert "KNOWN  fifo_overflow: exit code 1; a fail pattern matched: ERROR: credit lost after 17 beats" in done.out
    assert "1 job: 0 passed, 0 failed, 0 killed, 1 known, in" in done.out
    fixed = text.replace("exit 1", "exit 0").replace("ERROR: credit", "credit")
    (tmp_path / "fifo.toml").write_text(f'{fixed}[jobs.other]\ncmd = "true"\n')
    assert "known failures that matched nothing: credit_lost" in call(tmp_path, "run", "fifo.toml", "-q").out
    assert "credit_lost" not in call(tmp_path, "run", "fifo.toml", "-q", "--select", "other").out
    (tmp_path / "fifo.toml").write_text(text.replace("2126-12-31", "2025-12-31"))
    done = call(tmp_path, "run", "fifo.toml", "-q")
    assert done.code == 1
    assert (
        "known failure credit_lost expired on 2025-12-31 and matches a failure that counts; issue:"
        " https://tracker.example/1234" in done.out
    )


def test_the_example_of_a_job_that_waits_for_its_licence_begins_to_run_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "sim").write_text(
        "#!/bin/sh\necho waits; [ $1 = +licwait ] && echo Starting simulation; exec sleep 1000\n"
    )
    (tmp_path / "sim").chmod(0o755)
    text = example('timeout_from = "^Starting simulation"').replace('"1h"', '"0.1s"').replace('"4h"', '"1.5s"')
    never = text.replace("soc_boot]", "never]").replace("+licwait", "-never")
    (tmp_path / "soc.toml").write_text(f"{text}{never}")
    done = call(tmp_path, "run", "soc.toml")
    assert done.code == 1, done.err
    boot, no_licence = json.loads((tmp_path / "results" / "latest" / "results.json").read_text())["jobs"]
    assert (boot["status"], boot["kind"], boot["started"] is None) == ("killed", "timeout", False)
    assert (no_licence["status"], no_licence["kind"], no_licence["started"]) == ("killed", "queue_timeout", None)
    assert no_licence["message"].startswith("waited for a line that matches '^Starting simulation' (timeout_from) for")


def test_the_example_of_a_job_that_hangs_ends_it_and_names_a_slow_one(tmp_path: Path) -> None:
    (tmp_path / "sim").write_text("#!/bin/sh\necho boots; exec sleep 1000\n")
    (tmp_path / "sim").chmod(0o755)
    text = example('idle_timeout = "10m"').replace("10m", "0.5s").replace("3h", "1ms")
    (tmp_path / "soc.toml").write_text(text)
    done = call(tmp_path, "run", "soc.toml")
    assert done.code == 1, done.err
    assert "job 'soc_boot' is slow: has run for longer than 0.001 s" in done.out
    (job,) = json.loads((tmp_path / "results" / "latest" / "results.json").read_text())["jobs"]
    assert (job["status"], job["kind"], job["class"], job["context"]) == ("killed", "idle", "design", ["boots"])
    assert job["message"].endswith("(idle_timeout 0.5 s); its last line: boots")


def test_the_example_of_a_ceiling_ends_what_needs_more(tmp_path: Path) -> None:
    program = "import time; x = bytearray(1 << 30); time.sleep(1000)"
    (tmp_path / "sim").write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S -c '{program}'\n")
    (tmp_path / "sim").chmod(0o755)
    text = example('memory = "16GiB"').replace("16GiB", "200MiB")
    innocents = "[jobs.smoke]\ncmd = 'echo {seed}'\nseeds = 10\n"
    (tmp_path / "soc.toml").write_text(f"{text}{innocents}")
    done = call(tmp_path, "run", "soc.toml")
    assert done.code == 3, done.err  # failures of the infrastructure alone
    boot, *smoke = json.loads((tmp_path / "results" / "latest" / "results.json").read_text())["jobs"]
    assert (boot["status"], boot["kind"], boot["class"]) == ("failed", "out_of_memory", "infrastructure")
    assert re.match(r"used .*B of the 200 MiB of memory that it may use \(memory\)", boot["message"])
    assert [job["status"] for job in smoke] == ["passed"] * 10


def test_each_key_of_the_results_is_listed() -> None:
    schema = json.loads((ROOT / "runtime" / "report" / "results.schema.json").read_text())
    assert set(first_cells("| key | of the run |")) == set(schema["properties"])
    assert set(first_cells("| key | of a job |")) == set(schema["$defs"]["job"]["properties"])


def test_each_command_and_each_of_its_options_is_listed(capfd: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(
        r"^    ([a-z]+)(?= |$)", help_of(capfd).partition("COMMAND\n")[2].partition("\n\noptions:")[0], re.MULTILINE
    )
    listed = [text.split()[0] for text in first_cells("| command | what it does |")]
    assert sorted(commands) == sorted(name for name in listed if name.isalpha())
    by_letter = {"--follow", "--help", "--output", "--quiet", "--verbose"}
    for command in commands:
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", help_of(capfd, command))) - by_letter
        assert [option for option in sorted(options) if not re.search(f"{option}(?![a-z-])", PAGE)] == []


def test_the_example_of_the_jobserver_shares_its_slots(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text(example("[jobs.firmware]"))
    for name in ("models", "firmware"):
        (tmp_path / name).mkdir()
        # Each of the two recipes waits for the other one, so the job needs two slots.
        (tmp_path / name / "Makefile").write_text("all: x y\nx: ; @: <there; : >back\ny: ; @: >there; : <back\n")
        for fifo in ("there", "back"):
            os.mkfifo(tmp_path / name / fifo)
    (tmp_path / "sim").write_text("#!/bin/sh\n")
    (tmp_path / "sim").chmod(0o755)
    done = call(tmp_path, "run", "jobs.toml", "-q")
    assert (done.code, done.err) == (0, ""), done.out


def test_the_example_of_buckets_names_them_and_each_view_shows_them(tmp_path: Path) -> None:
    write(
        tmp_path / "sim",
        'case $JOB_RUNTIME_SEED in 1|2) echo "ERROR: credit $JOB_RUNTIME_SEED lost";;'
        " 3) echo 'no credit for 7 beats';;"
        " 4) echo 'watchdog: bus is stuck'; sleep 0.1;; 5) echo \"$PWD/x.c:$$: error: bad\"; seq 20;;"
        ' 6) echo "/x.c:3: error: bad";; esac; echo "make: *** [sim] Error $JOB_RUNTIME_SEED"; exit $JOB_RUNTIME_SEED',
    )
    text = example('"bus hang" = ["^watchdog: bus"]').replace("seeds = 6", "seeds = [1, 2, 3, 4, 5, 6]")
    (tmp_path / "fifo.toml").write_text(text)
    done = call(tmp_path, "run", "fifo.toml", "-q", "--junit", "junit.xml")
    assert done.code == 1, done.err
    assert "   3 x credit lost (a rule of the job file)\n" in done.out
    assert "   2 x x.c:<n>: error: bad\n" in done.out
    document = json.loads((tmp_path / "results" / "latest" / "results.json").read_text())
    buckets = document["buckets"]
    assert sorted((each["count"], each["message"], each["rule"]) for each in buckets) == [
        (1, "bus hang", "bus hang"),
        (2, "x.c:<n>: error: bad", None),
        (3, "credit lost", "credit lost"),
    ]
    assert [job["bucket"] for job in document["jobs"]] == [
        *["credit lost"] * 3,
        "bus hang",
        *["x.c:<n>: error: bad"] * 2,
    ]
    assert (tmp_path / "junit.xml").read_text().count("bucket: credit lost") == 3
    (tmp_path / "fifo.toml").write_text(text.replace("[buckets]", "[buckets]\nx = ['.']"))
    assert "   3 x credit lost (a rule of the job file)\n" in call(tmp_path, "report").out
    again = call(tmp_path, "run", "fifo.toml", "-q", "--rerun-each-bucket", "--dry-run")
    assert again.out.count("smoke.seed=") == 3, again.out


def test_the_example_of_a_bucket_is_what_its_line_becomes() -> None:
    (line,) = re.findall(r"^UVM_ERROR /runs/.*$", PAGE, re.MULTILINE)
    (bucket,) = re.findall(r"^is in the bucket `(.*?)`", PAGE, re.MULTILINE)
    assert normalise(line) == bucket
