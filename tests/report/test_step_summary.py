from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from runtime.job import FailureKind, JobResult, JobSpec
from runtime.journal import Record, Starting, replay
from runtime.report.markdown import block, span
from runtime.report.step_summary import step_summary_lines
from tests.journal.strategies import RECORDS
from tests.report.results import result
from tests.report.states import records

RUN_DIR = "/out/20260102-030405-abcdef"
TEXT = st.text(st.characters() | st.sampled_from("`~ \t\n\\<>|*_[]()!#-&")) | st.text("` \n", max_size=9)
MARKUP = {
    "heading",
    "paragraph",
    "bullet_list",
    "list_item",
    "strong",
    "em",
    "inline",
    "text",
    "hardbreak",
    "softbreak",
}
"""What our own markup consists of; and code, in which nothing is markup."""


def text_of(written: Sequence[Record], *, is_live: bool = False, most: int = 1 << 20) -> str:
    return "".join(step_summary_lines(replay(written, RUN_DIR), is_live=is_live, most=most))


def tokens(text: str) -> list[Token]:
    """Return all that a parser of GitHub's Markdown finds."""
    found = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        found += [token, *(token.children or ())]
    return found


def of(*results: JobResult[JobSpec]) -> str:
    return text_of(records(results, RUN_DIR))


def test_failures_are_shown_by_message_those_of_the_infrastructure_and_known_ones_apart() -> None:
    ends = [
        result("a"),
        *(
            result(
                f"b{n}", FailureKind.FAIL_PATTERN, "ERROR: overflow", lines=[1], context=["one", "```"], run_dir=RUN_DIR
            )
            for n in range(3)
        ),
        result("c", FailureKind.LICENCE, "no licence", run_dir=RUN_DIR),
        result("d", FailureKind.EXIT_CODE, "it failed", lines=[1], known="credit_lost", run_dir=RUN_DIR),
        result("e", FailureKind.DEPENDENCY, attempt=0),
    ]
    assert (
        of(*ends)
        == """\
## `fifo`: 6 of 7 jobs did not pass

1 passed, 3 failed, 0 killed, 1 infrastructure, 1 known, 1 never ran. The run `20260102-030405-abcdef` has ended.

### Failures

**3 ×** `ERROR: overflow`\\
such as `b0`, log `b0/job.log`

````text
one
```
````

```sh
cd /work && /bin/sh -c ./sim
```

### Failures of the infrastructure

**1 ×** `no licence`\\
such as `c`, log `c/job.log`

```sh
cd /work && /bin/sh -c ./sim
```

### Known failures

**1 ×** `credit_lost`\\
such as `d`, log `d/job.log`

```sh
cd /work && /bin/sh -c ./sim
```

### Never ran

- **1 ×** `it failed`, such as `e`
"""
    )


def test_what_all_failures_have_in_common_is_said() -> None:
    ends = [
        result(f"fifo.width={width}.seed={seed}", FailureKind.EXIT_CODE if width == 4 else None, run_dir=RUN_DIR)
        for width in (4, 8)
        for seed in (1, 2)
    ]
    assert of(*ends).endswith(
        """
### Pass rates

All failures have `width=4`.

- `width=4`: 0 of 2 passed
- `width=8`: 2 of 2 passed
- `fifo`: 2 of 4 passed
"""
    )


@pytest.mark.parametrize(
    ("cmd", "shown"),
    [
        ("one\ntwo \t3", "\n```sh\ncd /work && /bin/sh -c 'one\ntwo \t3'\n```\n"),
        ("one \x1b[2J", ""),
        ("one \u202e", ""),
    ],
)
def test_a_command_is_shown_as_it_is_or_not_at_all(cmd: str, shown: str) -> None:
    failed = result("a", FailureKind.TIMEOUT, "too long", run_dir=RUN_DIR)
    text = of(JobResult(attrs.evolve(failed.job, cmd=cmd), failed.event))
    assert text.endswith(f"such as `a`, log `a/job.log`\n{shown}")


def test_flaky_jobs_are_named() -> None:
    failed, passed = result("a", FailureKind.TIMEOUT, "too long"), result("a", attempt=2)
    text = of(JobResult(passed.job, attrs.evolve(passed.event, earlier=(failed.event,))))
    assert text.startswith("## `fifo`: all jobs passed\n")
    assert text.endswith("### Flaky: passed after a failure\n\n- `a`, on attempt 2; attempt 1: `too long`\n")


def test_a_live_run_is_said_to_run() -> None:
    written = records([result("a")], RUN_DIR, ended=None, more=[JobSpec(name="b", cmd="x")])
    written.append(Starting(2.0, "local", [1], [1]))
    assert text_of(written, is_live=True) == (
        "## `fifo`\n\n1 passed, 0 failed, 0 killed, 1 not ended. The run `20260102-030405-abcdef` is running.\n"
    )


def test_of_a_run_that_has_no_jobs_yet_none_is_said_to_have_passed() -> None:
    assert text_of([]) == (
        "## `20260102-030405-abcdef`\n\n0 passed, 0 failed, 0 killed. The run `20260102-030405-abcdef` died.\n"
    )


@given(TEXT)
def test_a_span_is_one_whatever_is_in_it(text: str) -> None:
    found = [token for token in tokens(f"x {span(text)} y\n") if token.type not in {"text", "inline"}]
    assert [token.type for token in found] == ["paragraph_open", "code_inline", "paragraph_close"]


@given(st.lists(TEXT))
def test_a_block_is_one_whatever_is_in_it(lines: list[str]) -> None:
    found = tokens(f"x\n{block('text', lines)}y\n")
    assert [token.type for token in found if token.type not in {"text", "inline"}] == [
        *("paragraph_open", "paragraph_close"),
        "fence",
        *("paragraph_open", "paragraph_close"),
    ]
    (fence,) = [token for token in found if token.type == "fence"]
    assert len(fence.content.splitlines()) == len(lines)


@pytest.mark.slow
@given(written=RECORDS)
def test_whatever_is_in_a_journal_only_our_own_markup_is_markup(written: list[Record]) -> None:
    for is_live in (False, True):
        text = text_of(written, is_live=is_live)
        kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in tokens(text)}
        assert kinds <= MARKUP | {"code_inline", "fence"}
        assert {token.tag for token in tokens(text) if token.type == "heading_open"} <= {"h2", "h3"}


def test_it_is_no_larger_than_github_shows_and_cut_between_paragraphs() -> None:
    words = [f"{'a' * 200}{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(60)]
    ends = [
        result(f"j{n}", FailureKind.FAIL_PATTERN, word, lines=[1], context=["\u20ac" * 9000])
        for n, word in enumerate(words)
    ]
    whole, cut = text_of(records(ends, RUN_DIR), most=1 << 30), text_of(records(ends, RUN_DIR))
    assert len(whole.encode()) > 1 << 20 >= len(cut.encode()) > 1_000_000
    assert cut.endswith("```\n\n*The rest is left out, as GitHub shows 1 MiB at most; `job-runtime report` has it.*\n")
    assert len([token for token in tokens(cut) if token.type == "fence"]) % 2 == 0
    assert "… and 10 more messages" in whole
    assert text_of(records(ends, RUN_DIR), most=10) == ""
