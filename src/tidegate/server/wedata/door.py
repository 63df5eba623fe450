"""`POST /`: the WeData-compatible API. Who signed is found out first, then what is asked; every reply is an envelope.

The published clients take a reply for one only if it has status 200 and exactly the media type application/json, also
when it is a refusal, and ask each for its `RequestId`.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.errors import Invalid, StoreUnavailable, TidegateError
from tidegate.model.permission import ACTIONS
from tidegate.server.control import Control
from tidegate.server.guard import BODY_MAX_BYTES, check_texts, parse_json, read_body
from tidegate.server.reach import address_of
from tidegate.server.wedata import codes
from tidegate.server.wedata.actions import BY_NAME, LATER_VERSION, VERSION, Action, Standing
from tidegate.server.wedata.call import Answer, Call
from tidegate.server.wedata.codes import Declined, declined
from tidegate.server.wedata.shapes import parse
from tidegate.server.wedata.signature import Received, claim, verify
from tidegate.server.wedata.told import Told

PATH = "/"
METHOD = "POST"
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
log = structlog.get_logger()


class WedataDoor:
    """ASGI middleware before the guard of the REST API, whose token such requests do not carry."""

    def __init__(self, app: ASGIApp, control: Control) -> None:
        self.app = app
        self.control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != METHOD:
            return await self.app(scope, receive, send)
        request_id = str(uuid4())
        more: dict[str, str] = {}
        told = Told()
        try:
            try:
                body = await read_body(scope, receive, BODY_MAX_BYTES)
            except TidegateError:
                # The rest of the body is not read, so the connection cannot carry another request.
                more["Connection"] = "close"
                raise
            request = received(scope, body)
            said = await run_in_threadpool(answered, self.control, request, told, address_of(scope))
        except Exception as error:
            if not isinstance(error, (Declined, TidegateError)):
                log.error("wedata.crashed", request_id=request_id, exc_info=error)
            told.refused = declined(error)
            said = refusal(told.refused)
        said = await self._witnessed(scope, told, said)
        reply = JSONResponse(enveloped(said, request_id), headers=HEADERS | more)
        return await reply(scope, receive, send)

    async def _witnessed(self, scope: Scope, told: Told, said: Answer) -> Answer:
        """What is answered, once the audit log has it: what nobody can be told of later is not said to be done."""
        try:
            await run_in_threadpool(told.keep, self.control, address_of(scope))
        except StoreUnavailable as error:
            return said if told.refused else refusal(declined(error))
        return said


def received(scope: Scope, body: bytes) -> Received:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return Received(scope["method"], scope["query_string"].decode("latin-1"), headers, body)


def answered(control: Control, request: Received, told: Told, address: str) -> Answer:
    """The one place where it is decided who asks, which `told` keeps. Raises `Declined` and whatever the services
    raise."""
    said = claim(request)
    signer = control.signer(said.secret_id)
    if signer is None:
        raise Declined(codes.UNKNOWN_SECRET_ID, "there is no such SecretId")
    verify(request, said, signer.secret_key, control.clock.now())
    told.who = signer.who
    action = chosen(request)
    told.action = action.name
    if action.request is None or action.handler is None:
        raise Declined(codes.UNKNOWN_ACTION, f"the action {action.name} is not provided. {action.differs}")
    call, asked = Call(control, control.placed(signer.who, address)), parse(action.request, content(request.body))
    told.asked, told.each = asked, call.each
    told.projects = call.projects_of(asked)
    call.demand(ACTIONS[action.name], asked)
    return action.handler(call, asked)


def chosen(request: Received) -> Action:
    """Raises `Declined` for an action or a version there is not."""
    name, version = request.header("x-tc-action"), request.header("x-tc-version")
    if not name or not version:
        raise Declined(codes.MISSING, "X-TC-Action and X-TC-Version are required")
    if version not in (VERSION, LATER_VERSION):
        raise Declined(codes.UNKNOWN_VERSION, f"X-TC-Version: must be {VERSION}")
    if version == LATER_VERSION:
        raise Declined(codes.UNKNOWN_ACTION, f"version {version} is not provided; ask for {VERSION}")
    if name not in BY_NAME:
        provided = sum(1 for action in BY_NAME.values() if action.standing is not Standing.NOT)
        raise Declined(codes.UNKNOWN_ACTION, f"there is no such action among the {provided} provided")
    return BY_NAME[name]


def content(body: bytes) -> Any:
    """The parameters, of which there may be none. Raises `Declined`."""
    try:
        sent = parse_json(body or b"{}")
        check_texts(sent)
    except Invalid as error:
        raise Declined(codes.MALFORMED, error.detail) from None
    return sent


def refusal(error: Declined) -> Answer:
    return {"Error": {"Code": error.code, "Message": error.message}}


def enveloped(said: Answer, request_id: str) -> dict[str, Any]:
    return {"Response": {**said, "RequestId": request_id}}
