"""What is written into the files of requests and answers is read again, and anything else is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.ctl.messages import ACTIONS, MAX_CONTENT, MAX_TEXT, Answer, RunRequest
from tests.journal.strategies import ANY_TEXT, JSON


@given(
    action=st.sampled_from(list(ACTIONS.values())),
    jobs=st.lists(ANY_TEXT, max_size=3, unique=True).map(tuple),
    force=st.booleans(),
    resource=ANY_TEXT,
    limit=st.none() | st.integers(0, 2**63 - 1),
)
def test_a_request_is_the_same_when_it_is_read(**fields: object) -> None:
    request = RunRequest(host="node7", **fields)  # type: ignore[arg-type]  # drawn by their names
    assert RunRequest.from_content(request.to_content()) == request


@given(st.booleans(), ANY_TEXT)
def test_an_answer_is_the_same_when_it_is_read(is_done: bool, text: str) -> None:
    assert Answer.from_content(Answer(is_done, text).to_content()) == Answer(is_done, text)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "Expecting value"),
        (b"\xff", "ascii"),
        (b"[" * 60_000, "nested too deeply"),
        (b"[]", r"it is \[\]; expected a table"),
        (b"{}", "action is None; expected one of kill, stop, drain, pause, resume, limit"),
        (b'{"action":["stop"]}', r"action is \['stop'\]"),
        (b'{"action":"halt"}', "action is 'halt'"),
        (b'{"action":"kill","jobs":"a"}', "jobs is 'a'; expected a list of ids"),
        (b'{"action":"kill","jobs":[1]}', r"jobs is \[1\]"),
        (b'{"action":"stop","force":1}', "force is 1; expected true or false"),
        (b'{"action":"limit","resource":3}', "host or resource is no text"),
        (b'{"action":"limit","limit":true}', "limit is True; expected a whole number"),
        (b'{"action":"limit","limit":-1}', "limit is -1"),
        (b'{"action":"limit","limit":1e3}', "limit is 1000.0"),
        (b'{"action":"limit","limit":' + b"9" * 4000 + b"}", "limit is an integer of .* bits"),
        (b'{"action":"pause"}' + b" " * MAX_CONTENT, "it has more than 65536 bytes"),
    ],
)
def test_what_is_no_request_is_told(content: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        RunRequest.from_content(content)


def test_what_a_sender_says_of_its_host_is_one_short_line() -> None:
    request = RunRequest.from_content(json.dumps({"action": "pause", "host": "\x1b[2J\n" + "x" * 1000}).encode())
    assert request.host.isprintable()
    assert len(request.host) == 64


def test_a_job_that_is_named_twice_is_killed_once() -> None:
    content = RunRequest(action="kill", jobs=("a", "b", "a")).to_content()
    assert RunRequest.from_content(content).jobs == ("a", "b")


def test_a_long_answer_is_cut() -> None:
    assert len(Answer.from_content(Answer(True, "x" * 10**6).to_content()).text) == MAX_TEXT


@given(st.sampled_from(["action", "jobs", "force", "resource", "limit", "host", "done", "text"]), JSON, st.booleans())
def test_anything_else_is_a_value_error(name: str, value: object, is_answer: bool) -> None:
    table = {"action": "limit", "done": True, "text": "x"} | {name: value}
    try:
        read = (Answer if is_answer else RunRequest).from_content(json.dumps(table).encode())
    except ValueError:
        return
    assert isinstance(read, Answer if is_answer else RunRequest)
