"""What every request passes before a route sees it: the token, the size and time of its body, and strict JSON.

A body is at most `BODY_MAX_BYTES` (a worker's, which may carry the state of a large task, `WORKER_BODY_MAX_BYTES`),
arrives within `BODY_DEADLINE_S`, and is JSON without duplicate names, NaN or texts no store can hold.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.errors import BodyTooLarge, BodyTooSlow, Invalid, NotJson, StoreUnavailable, TidegateError
from tidegate.server import witness
from tidegate.server.access import about
from tidegate.server.auth import TokenCheck
from tidegate.server.control import Control
from tidegate.server.problem import answer

BODY_MAX_BYTES = 1 << 20
WORKER_BODY_MAX_BYTES = 64 << 20
BODY_DEADLINE_S = 20.0
DEPTH_MAX = 50
WORKER_PREFIX = "/worker/"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, token: TokenCheck, control: Control) -> None:
        self.app = app
        self.token = token
        self.control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        begun = given_up = False

        async def sending(message: Message) -> None:
            nonlocal begun, given_up
            if message["type"] == "http.response.start" and not begun:
                begun = True
                try:
                    if not worker:
                        await witness.told(self.control, scope, message["status"])
                except StoreUnavailable as error:
                    # What nobody can be told of later is not said to be done.
                    if message["status"] < 400:
                        given_up = True
                        return await answer(error)(scope, receive, sending_on)
            if not given_up:
                await sending_on(message)
            return None

        async def sending_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = any(name == b"cache-control" for name, _ in message["headers"])
                message["headers"] = [
                    *message["headers"],
                    *(() if kept else ((b"cache-control", b"no-store"),)),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        worker = scope["path"].startswith(WORKER_PREFIX)
        try:
            if not worker:
                await self.token.check(scope)
                _check_address(scope)
            body = await read_body(scope, receive, WORKER_BODY_MAX_BYTES if worker else BODY_MAX_BYTES)
            if body:
                held = content_of(scope, body)
                if not worker:
                    check_texts(held)
        except TidegateError as error:
            about(scope)["code"] = error.code
            # The rest of the body is not read, so the connection cannot carry another request.
            return await answer(error, {"Connection": "close"})(scope, receive, sending)
        try:
            return await self.app(scope, _replaying(body, receive), sending)
        except Exception:
            if not begun and not worker:
                with suppress(StoreUnavailable):
                    await witness.told(self.control, scope, TidegateError.status, TidegateError.code)
            raise


def _check_address(scope: Scope) -> None:
    query = scope["query_string"].decode("latin-1")
    if _CONTROL.search(scope["path"] + unquote_plus(query, errors="replace")):
        raise Invalid("the address holds a control character")


async def read_body(scope: Scope, receive: Receive, most_bytes: int) -> bytes:
    """The whole body. Raises `BodyTooLarge`, `BodyTooSlow`."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    too_large = BodyTooLarge(f"the body is larger than {most_bytes // 1024} KiB", body_max_bytes=most_bytes)
    if not declared.isdigit() or int(declared[:20]) > most_bytes:
        raise too_large
    parts: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Invalid("the request broke off")
                parts.append(message.get("body", b""))
                size_bytes += len(parts[-1])
                if size_bytes > most_bytes:
                    raise too_large
                more = message.get("more_body", False)
    except TimeoutError:
        raise BodyTooSlow(f"the body did not arrive within {BODY_DEADLINE_S:g} s") from None
    return b"".join(parts)


def _replaying(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def content_of(scope: Scope, body: bytes) -> Any:
    """What the body of a request says. Raises `NotJson`, `Invalid`."""
    demand_json(scope)
    return parse_json(body)


def demand_json(scope: Scope) -> None:
    """Raises `NotJson` if the request says that its body is something else."""
    kind = dict(scope["headers"]).get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind != b"application/json":
        raise NotJson("the body's Content-Type is not application/json")


def check_texts(held: Any) -> None:
    """Raises `Invalid` for what no store can hold."""
    for text in _texts(held):
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise Invalid("a text holds a character that cannot be stored")


def parse_json(body: bytes) -> Any:
    """JSON as its standard has it, each name once. Raises `Invalid`, never quoting the body (I8)."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        held = dict(pairs)
        if len(held) < len(pairs):
            raise Invalid("the JSON gives a name twice in one object")
        return held

    def constant(word: str) -> Any:
        raise Invalid(f"{word} is not JSON")

    def number(text: str) -> float:
        value = float(text)
        if math.isinf(value):
            raise Invalid("a number of the JSON is too large")
        return value

    try:
        held = json.loads(body.decode("utf-8"), object_pairs_hook=once, parse_constant=constant, parse_float=number)
    except UnicodeDecodeError:
        raise Invalid("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"malformed JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (RecursionError, ValueError):
        raise Invalid("the JSON is nested too deep, or holds a number too long") from None
    if _depth(held) > DEPTH_MAX:
        raise Invalid(f"the JSON is nested deeper than {DEPTH_MAX} levels")
    return held


def _depth(held: Any) -> int:
    level, depth = [held], 0
    while level := [
        child
        for one in level
        if isinstance(one, (dict, list))
        for child in (one.values() if isinstance(one, dict) else one)
    ]:
        depth += 1
    return depth


def _texts(held: Any) -> Iterator[str]:
    stack = [held]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            stack += [*one, *one.values()]
        elif isinstance(one, list):
            stack += one
