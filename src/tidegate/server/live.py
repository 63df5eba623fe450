"""Live rows for the console: one web socket per open page tells of the tasks the page shows, each second what changed.

A page says which tasks it shows; each of them is read and put into JSON once a second however many pages show it. A
slow page gets the newest only: what waits for it is at most one row per task it shows. Nothing here is kept: a page
that comes back after a gap is told everything it shows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final

import structlog
from fastapi import APIRouter
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

import tidegate
from tidegate.errors import TidegateError, Unauthorized
from tidegate.model.principal import Principal
from tidegate.server.access import commands_for, task_for
from tidegate.server.control import Control
from tidegate.server.reach import address_of
from tidegate.server.session import Sessions, cookie_of, demand_same_origin
from tidegate.server.views import TaskView

log = structlog.get_logger()

PATH = "/api/live"
TICK_S = 1.0
SOCKETS_MAX = 500
WATCHED_MAX = 200
SESSION_EACH_S = 5.0
SEND_DEADLINE_S = 20.0
WORD_BYTES_MAX = 8192
# Codes of closing, as RFC 6455 §7.4.2 leaves them to applications; the first two of it.
POLICY_VIOLATED, TRY_LATER, LOGGED_OUT = 1008, 1013, 4401

COLUMNS: Final = (
    "version",
    "state",
    "status",
    "state_since",
    "expires_in_s",
    "commands",
    "run",
    "run_started_at",
    "phase",
    "health",
    "health_reason",
    "restarts",
    "position",
    "lag_s",
    "lag_bytes",
    "rows_read_per_s",
    "rows_written_per_s",
    "copied_percent",
    "log_left_s",
    "last_operation",
    "error",
)
"""The fields of `TaskView` that change by themselves, in the order in which a row has them."""

_TASK = TypeAdapter(TaskView)


class Page:
    """One socket. What `pending` holds for it is bounded by what it watches."""

    def __init__(self, socket: WebSocket, who: Principal) -> None:
        self.socket = socket
        self.who = who
        self.watched: frozenset[int] = frozenset()
        self.told: dict[int, str] = {}
        self.pending: dict[int, str] = {}
        self.mark = ""
        self.stirred = asyncio.Event()

    def watch(self, ids: Collection[int]) -> None:
        """Show these from now on; all of them are told anew."""
        self.watched = frozenset(ids)
        self.told = {}
        self.pending = {}

    def offer(self, rows: dict[int, str], mark: str) -> None:
        """Take what is new to it."""
        for task in self.watched:
            row = rows.get(task, "null")
            if self.told.get(task) != row:
                self.told[task] = self.pending[task] = row
        if self.pending or mark != self.mark:
            self.mark = mark
            self.stirred.set()

    def take(self, at: float) -> str:
        """The message that says what waits."""
        rows, self.pending = self.pending, {}
        told = ",".join(f'"{task}":{row}' for task, row in rows.items())
        return f'{{"at":{at:.3f},"list":{json.dumps(self.mark)},"rows":{{{told}}}}}'


class Live:
    """All pages of this server; it works only while there is one."""

    def __init__(self, control: Control, sessions: Sessions, build: str) -> None:
        self._control = control
        self._sessions = sessions
        self._hello = json.dumps({"columns": COLUMNS, "build": build, "server": tidegate.__version__})
        self._pages: set[Page] = set()
        self._ticking: asyncio.Task[None] | None = None
        self._looks = asyncio.Event()

    async def serve(self, socket: WebSocket) -> None:
        """From the first word to the last."""
        who = await self._admitted(socket)
        if who is None:
            return
        await socket.accept()
        page = Page(socket, who)
        self._pages.add(page)
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._tick())
        parts = [asyncio.create_task(part) for part in (self._listen(page), self._tell(page), self._guard(page))]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pages.discard(page)
            for part in parts:
                part.cancel()
            ended = await asyncio.gather(*parts, return_exceptions=True)
            for end in ended:
                if isinstance(end, Exception) and not isinstance(end, (WebSocketDisconnect, TimeoutError)):
                    log.warning("live.page_ended", error=type(end).__name__)
            if socket.application_state is WebSocketState.CONNECTED:
                with suppress(RuntimeError, WebSocketDisconnect, OSError):
                    await socket.close()

    async def _admitted(self, socket: WebSocket) -> Principal | None:
        """Whose page it is; one that is not let in is closed."""
        if len(self._pages) >= SOCKETS_MAX:
            await socket.close(TRY_LATER, "too many pages are open")
            return None
        try:
            demand_same_origin(socket.scope)
            return await self._who(socket.scope)
        except TidegateError as error:
            await socket.close(POLICY_VIOLATED, error.code)
            return None

    async def _who(self, scope: Scope) -> Principal:
        cookie = cookie_of(scope)
        if cookie is None:
            raise Unauthorized("there is no session")
        who = await run_in_threadpool(self._sessions.who, cookie)
        return await run_in_threadpool(self._control.placed, who, address_of(scope))

    # --- one page ---

    async def _listen(self, page: Page) -> None:
        """What the page shows, as it says; a word that makes no sense ends it."""
        while True:
            ids = _ids(await page.socket.receive_text())
            if ids is None:
                await page.socket.close(POLICY_VIOLATED, "not understood")
                return
            page.watch(ids)
            self._looks.set()

    async def _tell(self, page: Page) -> None:
        await page.socket.send_text(self._hello)
        while True:
            await page.stirred.wait()
            page.stirred.clear()
            # A page that takes nothing for so long is gone, or as good as.
            async with asyncio.timeout(SEND_DEADLINE_S):
                await page.socket.send_text(page.take(self._control.clock.now()))

    async def _guard(self, page: Page) -> None:
        """A session may end while its page is open, and what it may see may change."""
        while True:
            await asyncio.sleep(SESSION_EACH_S)
            try:
                page.who = await self._who(page.socket.scope)
            except Unauthorized:
                await page.socket.close(LOGGED_OUT, "logged out")
                return

    # --- all pages ---

    async def _tick(self) -> None:
        while self._pages:
            watched = frozenset().union(*(page.watched for page in self._pages))
            try:
                views, marks = await run_in_threadpool(self._look, watched)
            except TidegateError as error:
                log.warning("live.no_look", code=error.code)
            else:
                rows = Rows(views)
                for page in list(self._pages):
                    page.offer(rows.of(page.who, page.watched), mark_for(page.who, marks))
            # A page that has just come is told at once.
            self._looks.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._looks.wait()

    def _look(self, watched: Collection[int]) -> tuple[list[TaskView], Mapping[str, object]]:
        return self._control.rows(watched), self._control.list_marks()


def mark_for(who: Principal, marks: Mapping[str, object]) -> str:
    """Another one than before when something changed in a project they see: of the others it tells nothing, neither
    that something happens there nor how much there is."""
    seen = sorted((project, mark) for project, mark in marks.items() if who.sees(project))
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:12]


class Rows:
    """The rows of one look, each put into JSON once for all who may do the same with the task."""

    def __init__(self, views: Collection[TaskView]) -> None:
        self._views = {view.id: view for view in views}
        self._encoded: dict[tuple[int, frozenset[str]], str] = {}

    def of(self, who: Principal, watched: Collection[int]) -> dict[int, str]:
        """Those of the watched ones that are there for them."""
        return {
            task: self._row(who, view)
            for task in watched
            if (view := self._views.get(task)) is not None and who.sees(view.project)
        }

    def _row(self, who: Principal, view: TaskView) -> str:
        key = view.id, commands_for(who, view.project)
        if key not in self._encoded:
            self._encoded[key] = encoded(task_for(who, view))
        return self._encoded[key]


def encoded(view: TaskView) -> str:
    """The row of a task, as JSON."""
    fields: dict[str, Any] = _TASK.dump_python(view, mode="json")
    return json.dumps([fields[name] for name in COLUMNS], ensure_ascii=False, separators=(",", ":"))


def _ids(word: str) -> list[int] | None:
    """Of `{"watch": [ids]}`; None: it is something else."""
    if len(word) > WORD_BYTES_MAX:
        return None
    try:
        said = json.loads(word)
    except ValueError:
        return None
    ids = said.get("watch") if isinstance(said, dict) else None
    if not isinstance(ids, list) or len(ids) > WATCHED_MAX:
        return None
    return ids if all(type(one) is int and 0 < one < 2**63 for one in ids) else None


def router(live: Live) -> APIRouter:
    """The route of the socket."""
    routes = APIRouter()

    @routes.websocket(PATH)
    async def open_page(socket: WebSocket) -> None:
        await live.serve(socket)

    return routes
