"""`application`: the pages, as an ASGI application. Only what is asked for in a browser's address comes in here."""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeVar, TypeVarTuple
from urllib.parse import quote

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from runtime.process import in_thread
from runtime.report.text import printable, short_age
from runtime.roots import RootedPath
from runtime.serve.event_stream import EventStream
from runtime.serve.feeds import Feed, Feeds, UnavailableError
from runtime.serve.histories import Histories
from runtime.serve.jobs import PAGE_SIZE, STATUSES, job_view, matching_jobs
from runtime.serve.log_reader import MAX_LINES, MAX_QUERY, LogLines, last_lines, search
from runtime.serve.pages import FILES, Pages
from runtime.serve.results import LATEST, ListedRun, Results

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CALL_TIMEOUT: Final = 30.0
"""Seconds in which the file system has to answer. Arbitrary: ten times longer, and a browser has given up."""
_THREADS: Final = 4
"""Threads that read files. Arbitrary: a call takes milliseconds, unless a file system is slow."""
_SEARCHES: Final = 2
"""Searches of logs at a time, in threads of their own: each takes seconds. Arbitrary: ten times more keep all CPUs busy
that runs on this machine need."""
_LINES: Final = 200
"""Lines of a log that are shown first. Arbitrary: some screens."""
_RUNS: Final = 50
"""Runs of a page. Arbitrary: as for jobs, but a run has twice as many cells."""
_MAX_JOB: Final = 1000
"""Characters of an id that is asked for. Arbitrary: an address has no room for many more."""
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


class Application:
    """The pages of a directory of runs.

    Args:
        results: the directory.
        feeds: the runs that somebody looks at.
    """

    def __init__(self, results: Results, feeds: Feeds) -> None:
        self._results = results
        self._feeds = feeds
        self._pages = Pages(printable(results.path))
        self._histories = Histories(results.directory)
        self._limiter = trio.CapacityLimiter(_THREADS)
        # Calls that take long, or would wait for one another in threads, wait here, and leave the threads to others.
        self._of_searches = trio.CapacityLimiter(_SEARCHES)
        self._of_runs = trio.CapacityLimiter(1)
        self._of_histories = trio.CapacityLimiter(1)

    def asgi(self) -> Starlette:
        """Return it as an ASGI application."""
        routes = [
            Route("/", self._runs),
            Route("/history", self._history),
            Route("/runs/{run}", self._run),
            Route("/runs/{run}/events", self._events),
            Route("/runs/{run}/jobs", self._jobs),
            Route("/runs/{run}/jobs/{number}", self._job),
            Route("/static/{name}", self._file),
        ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: self._error})
        app.router.redirect_slashes = False  # it would lead to whatever host the request names
        return app

    async def _runs(self, request: Request) -> Response:
        listed = await self._call(self._results.runs, limiter=self._of_runs)
        first = _whole(request.query_params.get("from", "0")) // _RUNS * _RUNS
        now = time.time()
        rows = [_run_row(run, now) for run in listed[first : first + _RUNS]]
        return self._page("runs", {"runs": rows, "count": len(listed), "first": first, "page_size": _RUNS})

    async def _history(self, request: Request) -> Response:
        job = request.query_params.get("job", "")[:_MAX_JOB]
        sections = await self._call(self._histories.sections, job, limiter=self._of_histories)
        return self._page("history", {"job": printable(job), "sections": sections})

    async def _run(self, request: Request) -> Response:
        directory = await self._directory(request)
        if request.path_params["run"] == LATEST:
            return RedirectResponse(f"/runs/{_quoted(directory.name)}")
        return self._page("run", _run_names(directory))

    async def _events(self, request: Request) -> Response:
        directory = await self._directory(request)
        return EventStream(lambda: self._look(directory, is_whole=False))

    async def _jobs(self, request: Request) -> Response:
        directory = await self._directory(request)
        query = request.query_params
        status = query.get("status", "")
        status = status if status in STATUSES else ""
        text = query.get("q", "")[:MAX_QUERY]
        first = _whole(query.get("from", "0")) // PAGE_SIZE * PAGE_SIZE
        async with self._look(directory) as feed:
            found = matching_jobs(feed.view, status=status, text=text, first=first)
        shown = {"found": found, "status": status, "text": text, "statuses": STATUSES, "page_size": PAGE_SIZE}
        return self._page("jobs", {**_run_names(directory), **shown})

    async def _job(self, request: Request) -> Response:
        directory = await self._directory(request)
        number = _whole(request.path_params["number"], -1)
        query = request.query_params
        text, count = query.get("q", "")[:MAX_QUERY], _whole(query.get("lines", ""), _LINES)
        async with self._look(directory) as feed:
            state = feed.view.state
            if not 0 <= number < len(state.ids):
                raise HTTPException(404, "the run has no such job")
            job = job_view(feed.view, number)
            is_removed = state.is_removed(number)
            path, log = self._results.log_of(state, number)
            is_live = feed.is_live and not job.is_over
        lines, problem = await self._log(log, text, count)
        if is_removed and problem:
            problem = "It was removed with the output directory, as the job passed."
        shown = {"job": job, "path": printable(path), "lines": lines, "problem": problem, "text": text}
        more = {"max_lines": MAX_LINES, "is_live": is_live}
        return self._page("job", {**_run_names(directory), **shown, **more})

    async def _log(self, log: RootedPath | None, text: str, count: int) -> tuple[LogLines | None, str]:
        """Return lines of a log, or why there are none."""
        if log is None:
            return None, "It is not below the directory that is served; job-runtime logs shows it."
        try:
            if text:
                return await self._call(search, log, text, limiter=self._of_searches), ""
            return await self._call(last_lines, log, count), ""
        except OSError as exc:
            return None, f"It cannot be read: {exc.strerror}."

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in FILES:
            raise HTTPException(404)
        return Response(self._pages.files[name], media_type=FILES[name], headers={"cache-control": "no-cache"})

    async def _error(self, _: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = {404: "There is nothing here."}
        text = known.get(error.status_code, error.detail) if error.detail == "Not Found" else error.detail
        return self._page("error", {"status": error.status_code, "what": text}, error.status_code)

    def _page(self, name: str, values: Mapping[str, object], status: int = 200) -> Response:
        return Response(self._pages.page(name, values), status, media_type="text/html")

    async def _directory(self, request: Request) -> RootedPath:
        """Return the directory of the run that a request names."""
        found = await self._call(self._results.find, request.path_params["run"])
        if found is None:
            raise HTTPException(404, "there is no such run")
        return found

    @asynccontextmanager
    async def _look(self, directory: RootedPath, *, is_whole: bool = True) -> AsyncIterator[Feed]:
        """Follow a run for a block: see `Feeds.look`."""
        try:
            async with self._feeds.look(directory.name, directory, is_whole=is_whole) as feed:
                yield feed
        except UnavailableError as exc:
            raise HTTPException(503, str(exc)) from exc

    async def _call(self, function: Callable[[*Ts], T], *args: *Ts, limiter: trio.CapacityLimiter | None = None) -> T:
        """Call in a thread."""
        with trio.move_on_after(CALL_TIMEOUT):
            return await in_thread(function, *args, limiter=limiter or self._limiter)
        raise HTTPException(503, "the file system does not answer, or too many ask at a time; try again later")


def _run_row(run: ListedRun, now: float) -> dict[str, object]:
    summary = run.summary
    return {
        "name": printable(run.name),
        "address": _quoted(run.name),
        "state": "…" if summary is None else summary.state,
        "age": "" if summary is None else short_age(now - summary.began),
        "suite": "" if summary is None else printable(summary.suite),
        "counts": {} if summary is None else summary.counts,
    }


def _run_names(directory: RootedPath) -> dict[str, str]:
    return {"run": printable(directory.name), "address": _quoted(directory.name)}


def _quoted(name: str) -> str:
    return quote(os.fsencode(name), safe="")


def _whole(text: str, otherwise: int = 0) -> int:
    """Return the whole number that a text is; `otherwise` if it is none, or a long one."""
    return int(text) if _NUMBER.fullmatch(text) else otherwise
