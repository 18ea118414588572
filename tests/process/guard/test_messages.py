from __future__ import annotations

import errno
import os

import pytest

from runtime.helper.wire import encode
from runtime.process.guard import messages

LONGEST_ERROR = max(map(os.strerror, errno.errorcode), key=len)


@pytest.mark.parametrize(
    "answer",
    [
        (
            messages.ENDED,
            *(1 << 31, 1 << 62, 0xFFFF, 1e9, 1 << 62, True, "its shim was ended", True),
            b"x" * messages.SHORT_LOG,
        ),
        (messages.NOT_STARTED, 1 << 31, 1 << 62, errno.ENOENT, b"x" * messages.MAX_PART, LONGEST_ERROR),
        (messages.NOT_STARTED, 1 << 31, 1 << 62, None, b"", "\U0001f600" * messages.MAX_TEXT),
        (messages.STUCK, 1 << 31, 1 << 62, [1 << 22] * messages.MAX_PIDS),
        (messages.DEAD, 1 << 31, 0xFFFF, [1 << 22] * messages.MAX_PIDS),
    ],
    ids=lambda answer: answer[0],
)
def test_the_longest_answers_are_no_longer_than_the_limit(answer: tuple[object, ...]) -> None:
    assert messages.SHORT_LOG // 2 < len(encode(*answer)) <= messages.MAX_ANSWER
