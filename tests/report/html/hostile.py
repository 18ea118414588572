"""Texts that are markup, or code, where they are not taken for text."""

from __future__ import annotations

import random
from collections.abc import Sequence

from runtime.job import FailureKind, JobSpec
from runtime.journal import Record
from tests.hostile_names import NAMES, UNSPEAKABLE
from tests.report.html.page_text import RUN_DIR
from tests.report.html.synthetic import records_of
from tests.report.results import result

MARKUP = [
    "<script>window.harmed = 1</script>",
    "</script><script>window.harmed = 1</script>",
    "</pre><img src=x onerror=window.harmed=1>",
    '"><svg/onload=window.harmed=1>',
    "' onmouseover='window.harmed=1",
    "<!-- <script>",
    "--><b>",
    "]]>",
    "&lt;script&gt;&#60;b&#x3e;",
    "javascript:window.harmed=1",
    "data:text/html,<script>window.harmed=1</script>",
    "{{ 7 * 7 }}{% raw %}",
    "${window.harmed=1}`",
    "</style></title></textarea></template></dialog></noscript>",
    "<base href=//example.invalid><meta http-equiv=refresh content=0>",
    "<iframe srcdoc='<script>parent.harmed=1</script>'>",
    "#job=x&status=failed&sort=-ran",
    "$& $1 $` $$ \\u003c \\x3c",
    "\x01\x02\x03\x00\x1b]8;;http://example.invalid\x07",
    "\u2028\u2029\u202e\u2066\ufeff\ud800",
    "__proto__",
    "constructor",
    "../../../../etc/passwd",
    "%2e%2e%2f%3Cscript%3E",
    "a.width=<b>.seed=12",
]
CORPUS = [*NAMES, *UNSPEAKABLE, *MARKUP]


def fuzzed(count: int, seed: int) -> list[str]:
    """Return so many different texts, made of pieces of the corpus and of random characters."""
    chance = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        pieces = [_piece(chance) for _ in range(chance.randrange(1, 5))]
        found["".join(pieces)] = None
    return list(found)


def _piece(chance: random.Random) -> str:
    if chance.random() < 0.3:
        return "".join(chr(chance.choice((chance.randrange(0x80), chance.randrange(0x3000)))) for _ in range(4)) or "x"
    text = chance.choice(CORPUS)
    return text[chance.randrange(len(text)) :] if chance.random() < 0.3 else text[:200]


def hostile_run(texts: Sequence[str]) -> list[Record]:
    """Return the records of a run whose jobs have these texts as ids, messages, log lines, logs and kinds of known."""
    kinds = (FailureKind.FAIL_PATTERN, FailureKind.LICENCE, FailureKind.DEPENDENCY, FailureKind.EXIT_CODE)
    results = []
    for index, text in enumerate(texts):
        kind = kinds[index % len(kinds)]
        is_consequence = kind is FailureKind.DEPENDENCY
        known = text if kind is FailureKind.EXIT_CODE and index % 8 == 3 else None
        results.append(
            result(
                text,
                kind,
                text,
                lines=[5, (4, 5)],
                context=[text, text],
                known=known,
                attempt=0 if is_consequence else 1,
                cause=FailureKind.EXIT_CODE if is_consequence else None,
                run_dir=RUN_DIR,
                tags=[text],
                log_path=f"{RUN_DIR}/{text.replace(chr(0), '')[:60]}/log" if index % 2 else None,
            )
        )
    jobs: list[JobSpec] = [each.job for each in results]
    return records_of(jobs, [each.event for each in results], RUN_DIR)
