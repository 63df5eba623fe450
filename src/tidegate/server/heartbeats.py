"""`POST /worker/v1/heartbeat`: how a run is doing, said once a second by each worker; the answer is what it shall do.

Of a thousand tasks that is a thousand requests a second, so they have a door of their own, before the routes, and those
that come within a moment share one look at the store and one change of thread.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tidegate.errors import Invalid, MethodNotAllowed, TidegateError
from tidegate.model.task import field_errors
from tidegate.server.api.shapes import Body
from tidegate.server.auth import bearer
from tidegate.server.control import Control
from tidegate.server.guard import WORKER_BODY_MAX_BYTES, WORKER_PREFIX, demand_json, read_body
from tidegate.server.problem import answer, unfit
from tidegate.server.views import Beat, Orders, Session

PATH = f"{WORKER_PREFIX}v1/heartbeat"
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
GATHER_S = 0.02
"""For so long others are waited for. Nobody notices: what a heartbeat tells is up to a second old."""
TOGETHER_MAX = 500


class Heartbeat(Body):
    phase: Literal["preparing", "full", "incremental"]
    health: Literal["steady", "recovering"]
    position: Annotated[str, Field(max_length=100_000)] | None = None
    read_to: Annotated[str, Field(max_length=100_000)] | None = None
    counters: dict[str, int | Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default_factory=dict, max_length=1_000
    )
    tables: dict[Annotated[str, Field(max_length=300)], list[str | int | float]] = Field(
        default_factory=dict, max_length=2_000
    )
    lag_s: float | None = Field(default=None, allow_inf_nan=False)
    lag_bytes: int | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Spoken:
    session: Session
    beat: Beat
    answered: asyncio.Future[Orders | Exception]


class HeartbeatDoor:
    """An ASGI application. It reads and refuses as the guard of the routes does."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self._waiting: list[_Spoken] = []
        self._taking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        more: dict[str, str] = {"Connection": "close"}  # of a body that was not read
        if scope["method"] != "POST":
            refusal = MethodNotAllowed(f"{scope['method']} is not possible here")
            return await answer(refusal, HEADERS | more | {"Allow": "POST"})(scope, receive, send)
        try:
            session = await self._speaker(bearer(scope))
            body = await read_body(scope, receive, WORKER_BODY_MAX_BYTES)
            more.clear()
            demand_json(scope)
            said = await self._told(session, _parsed(body))
        except TidegateError as error:
            return await answer(error, HEADERS | more)(scope, receive, send)
        return await JSONResponse(asdict(said), headers=HEADERS)(scope, receive, send)

    async def _speaker(self, token: str) -> Session:
        known = self.control.remembered(token)
        return await run_in_threadpool(self.control.authenticate, token) if known is None else known

    async def _told(self, session: Session, beat: Beat) -> Orders:
        """Raises `Fenced`, and what the store raises."""
        self.control.hear(session)  # now, and not when those before it are answered
        spoken = _Spoken(session, beat, asyncio.get_running_loop().create_future())
        self._waiting.append(spoken)
        if self._taking is None:
            self._taking = asyncio.create_task(self._take())
        said = await spoken.answered
        if isinstance(said, Exception):
            raise said
        return said

    async def _take(self) -> None:
        """Answers all that wait, until none does."""
        taken: list[_Spoken] = []
        try:
            while self._waiting:
                await asyncio.sleep(GATHER_S)
                taken, self._waiting = self._waiting[:TOGETHER_MAX], self._waiting[TOGETHER_MAX:]
                said: list[Orders | Exception]
                try:
                    said = await run_in_threadpool(self.control.heartbeats, [(one.session, one.beat) for one in taken])
                except Exception as error:  # noqa: BLE001  each who waits raises it
                    said = [error] * len(taken)
                for one, orders in zip(taken, said, strict=True):
                    if not one.answered.done():  # else its connection is gone
                        one.answered.set_result(orders)
        finally:
            self._taking = None
            for one in [*taken, *self._waiting]:
                one.answered.cancel()  # the server ends; those that are answered already stay so
            self._waiting = []


def _parsed(body: bytes) -> Beat:
    """Raises `Invalid`. What is JSON is left to Pydantic: its parser is the faster one."""
    try:
        heard = Heartbeat.model_validate(from_json(body, allow_inf_nan=False))
        if heard.error is not None:
            json.dumps(heard.error, allow_nan=False)  # 1e999 is JSON, and infinite
        return Beat(**vars(heard))
    except ValidationError as error:
        raise unfit(field_errors(error.errors())) from None
    except ValueError:
        raise Invalid("the body is not JSON, or a number in it is too large") from None
