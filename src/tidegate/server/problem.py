"""Every refusal and failure of the API in one shape, whatever raised it: `application/problem+json`.

Nothing of an unforeseen exception but its type and place reaches the log, and nothing of it the answer (I8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.errors import Invalid, MethodNotAllowed, NotFound, TidegateError, Unauthorized
from tidegate.model.problem import problem
from tidegate.model.task import field_errors
from tidegate.server.access import about

MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger()


def answer(error: BaseException, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The error as an HTTP answer."""
    said = problem(error)
    more = dict(headers or {})
    if isinstance(error, Unauthorized):
        more["WWW-Authenticate"] = "Bearer"
    return JSONResponse(said, status_code=said["status"], media_type=MEDIA_TYPE, headers=more)


def unfit(wrong: Sequence[Mapping[str, str]]) -> Invalid:
    """The refusal of a request with these wrong fields."""
    return Invalid("; ".join(f"{one['field']}: {one['problem']}" for one in wrong), errors=list(wrong))


def install(app: FastAPI) -> None:
    """Make the app answer with problems for what its routes raise and for requests no route takes."""

    def known(request: Request, error: Exception) -> JSONResponse:
        about(request.scope)["code"] = problem(error)["code"]
        return answer(error)

    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - what it was registered for
        about(request.scope)["code"] = Invalid.code
        wrong = field_errors(error.errors())
        for one in wrong:
            place, _, field = one["field"].partition(".")
            one["field"] = field if place == "body" and field else one["field"]
        return answer(unfit(wrong))

    def unrouted(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it was registered for
        about(request.scope)["code"] = {404: NotFound.code, 405: MethodNotAllowed.code}.get(error.status_code, "")
        refusal: TidegateError
        if error.status_code == MethodNotAllowed.status:
            refusal = MethodNotAllowed(f"{request.method} is not possible here")
            methods = _methods(request)
            return answer(refusal, {"Allow": ", ".join(methods)} if methods else error.headers)
        if error.status_code == NotFound.status:
            refusal = NotFound("there is nothing at this address")
        else:
            refusal = Invalid("the request cannot be read") if error.status_code < 500 else TidegateError("no answer")
        return answer(refusal, error.headers)

    app.add_exception_handler(TidegateError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unrouted)


def _methods(request: Request) -> list[str]:
    """What the routes of this address take; Starlette itself names only the first route's. An address with a line of
    its own in the document takes what that says."""
    paths = request.app.openapi()["paths"]
    if request.url.path in paths:
        return sorted(method.upper() for method in paths[request.url.path])
    here = request.url.path.split("/")

    def fits(path: str) -> bool:
        parts = path.split("/")
        return len(parts) == len(here) and all(
            part == given or part.startswith("{") for part, given in zip(parts, here, strict=True)
        )

    return sorted({method.upper() for path, methods in paths.items() if fits(path) for method in methods})


class LastResort:
    """The outermost layer: an exception nobody foresaw becomes a problem, and a line in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            log.error("request.crashed", method=scope["method"], exc_info=error)
            if begun:
                raise ConnectionAbortedError("an answer broke off") from None
            await answer(error)(scope, receive, send)
