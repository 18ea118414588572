"""The command ``serve``, as a program: its address, its token, its end, and what it needs."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from tests.cli.past_run import NAME, write_run
from tests.cli.program import call, end_of, started
from tests.report.results import result

pytestmark = pytest.mark.slow

SECRET = "0123456789abcdef0123"


def address_of(program: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the port, and the path, that a server has printed."""
    assert program.stdout is not None
    line = program.stdout.readline()
    found = re.match(r"http://\S+?:(\d+)(/\S*) shows the runs in \S+\n", line)
    assert found, line
    return int(found[1]), found[2]


@attrs.frozen
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: str


def get(port: int, path: str, **headers: str) -> Answer:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read().decode())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_serves_until_a_signal_ends_it_although_somebody_looks(tmp_path: Path, number: int, code: int) -> None:
    write_run(tmp_path / "results", [result()])
    with started(tmp_path, "serve", "--port", "0") as program:
        port, path = address_of(program)
        assert path == "/"
        assert NAME in get(port, "/").body
        with socket.create_connection(("127.0.0.1", port)) as viewer:
            viewer.sendall(f"GET /runs/{NAME}/events HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            assert viewer.recv(8).startswith(b"HTTP/1.1")
            program.send_signal(number)
            end = end_of(program)
    assert end.code == code
    assert len(end.err.splitlines()) == 1


def test_where_others_can_reach_it_a_token_is_drawn(tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result()])
    with started(tmp_path, "serve", "--port", "0", "--host", "0.0.0.0") as program:
        port, path = address_of(program)
        assert get(port, "/").status == 401
        moved = get(port, path)
        assert (moved.status, moved.headers["location"]) == (303, "/")
        cookie = moved.headers["set-cookie"].partition(";")[0]
        assert cookie.startswith(f"job-runtime-{port}=")
        assert get(port, "/", cookie=cookie).status == 200
        program.send_signal(signal.SIGINT)
        assert "everybody who has this address can read all logs there" in end_of(program).err


def test_a_name_that_leads_to_this_machine_is_printed_as_an_address_that_is_answered(tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result()])
    with started(tmp_path, "serve", "--port", "0", "--host", "127.1") as program:
        assert program.stdout is not None
        address = program.stdout.readline().partition(" ")[0]
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert NAME in answer.read().decode()
        program.send_signal(signal.SIGINT)
        end_of(program)


def test_the_environment_may_give_the_token(tmp_path: Path) -> None:
    write_run(tmp_path / "results", [result()])
    with started(tmp_path, "serve", "--port", "0", env={"JOB_RUNTIME_TOKEN": SECRET}) as program:
        port, path = address_of(program)
        assert path == f"/?token={SECRET}"
        assert get(port, "/").status == 401
        assert get(port, "/", authorization=f"Bearer {SECRET}").status == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "No such file or directory; expected a directory with runs in it"),
        (["file"], "Not a directory; expected a directory with runs in it"),
        (["--port", "65536"], "'65536' is given; expected a port, from 0 to 65535"),
        (["--port", "http"], "'http' is given; expected a whole number"),
        (["--host", ""], '--host is ""; expected an address'),
        (["--host", "no such host"], '--host is "no such host"'),
        (["--host", "192.0.2.1"], "of 192.0.2.1 cannot be served"),
        (["--host", "x" * 500], "x"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "file").touch()
    end = call(tmp_path, "serve", *arguments)
    assert end.code == 2
    assert message in end.err
    assert "Traceback" not in end.err
    assert end.out == ""


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        end = call(tmp_path, "serve", "--port", str(port))
    assert (end.code, len(end.err.splitlines())) == (2, 1)
    assert f"port {port} of 127.0.0.1 cannot be served: Address already in use; expected a port that is free" in end.err


def test_a_token_that_is_none_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    end = call(tmp_path, "serve", env={"JOB_RUNTIME_TOKEN": "secret"})
    assert end.code == 2
    assert "JOB_RUNTIME_TOKEN is no token; expected 16 to 200 letters" in end.err
    assert "secret" not in end.err


@pytest.mark.parametrize("package", ["starlette", "h11", "jinja2"])
def test_without_the_extra_it_says_so(tmp_path: Path, package: str) -> None:
    (tmp_path / "results").mkdir()
    program = tmp_path / "without.py"
    program.write_text(
        f"import sys\nsys.modules[{package!r}] = None\nfrom runtime.cli.main import main\nsys.exit(main())\n"
    )
    end = call(tmp_path, "serve", program=str(program))
    assert end.code == 2
    assert f"serve needs the extra serve: pip install '.[serve]' in a checkout (there is no {package})" in end.err
