"""The HTTP face of a server: routes, guards and OpenAPI around one `Control`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

import tidegate
from tidegate.console import pages
from tidegate.model.lifecycle import STATES
from tidegate.model.network import Network
from tidegate.server import live, workers
from tidegate.server.access import permitted
from tidegate.server.api import (
    accesskeys,
    alerts,
    audit,
    batches,
    definitions,
    locks,
    logs,
    members,
    metrics,
    operations,
    projects,
    session,
    signon,
    sources,
    tasks,
    tokens,
    users,
    verifications,
)
from tidegate.server.api.operations import STATUSES
from tidegate.server.api.shapes import REFUSALS
from tidegate.server.auth import OPEN_DOORS, TokenCheck
from tidegate.server.control import Control
from tidegate.server.gateway import AddressGate
from tidegate.server.guard import Guard
from tidegate.server.heartbeats import PATH as HEARTBEATS
from tidegate.server.heartbeats import HeartbeatDoor
from tidegate.server.oidc import Provider
from tidegate.server.problem import LastResort, install
from tidegate.server.session import Sessions
from tidegate.server.wedata.door import WedataDoor

PREFIX = "/api/v1"
TEXT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$"
ABOUT = """\
Keep a target in step with a source, and operate that.

Every request but `GET /api/v1/health` carries `Authorization: Bearer <token>`, the admin token or one of an account; a
browser may log in at `/api/v1/session` instead, or at the provider that is configured. What an account may do, its
roles say; what is not there for it is answered as if it did not exist. Every refusal and failure is an
`application/problem+json` with a stable `code`, a sentence that names the thing, and advice. Times are RFC 3339 texts
in UTC with milliseconds; durations are seconds, which their names end with."""


def build(
    control: Control,
    while_serving: Callable[[], AbstractAsyncContextManager[None]] | None = None,
    *,
    allow_from: Sequence[Network] = (),
) -> FastAPI:
    """The application. `while_serving` is entered before the first request and left after the last. Only who comes from
    the networks `allow_from` is answered; without any, everybody."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if while_serving is None:
            yield
            return
        async with while_serving():
            yield

    app = _face(lifespan)
    sessions, console = Sessions(control), pages.Console()
    app.state.control, app.state.sessions = control, sessions
    app.state.provider = Provider(control.sign_on, control.clock) if control.sign_on else None
    app.include_router(pages.router(console))
    app.include_router(live.router(live.Live(control, sessions, console.build)))
    app.add_middleware(Guard, token=TokenCheck(control, sessions), control=control)
    app.add_middleware(WedataDoor, control=control)
    app.add_middleware(AddressGate, control=control, networks=allow_from)
    app.add_middleware(LastResort)
    app.heartbeats = LastResort(HeartbeatDoor(control))
    return app


def openapi() -> dict[str, Any]:
    """What the API is, without a server."""
    return _face(None).openapi()


class Face(FastAPI):
    heartbeats: ASGIApp | None = None
    """Takes those of workers, without what is between other requests and their routes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.heartbeats is not None and scope["type"] == "http" and scope["path"] == HEARTBEATS:
            return await self.heartbeats(scope, receive, send)
        return await super().__call__(scope, receive, send)


def _face(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None) -> Face:
    """The routes of the API, and its refusals."""
    app = Face(
        title="Tidegate",
        version=tidegate.__version__,
        description=ABOUT,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
    )
    app.router.routes.extend(_routes())
    install(app)
    _document(app)
    return app


@cache
def _routes() -> Sequence[BaseRoute]:
    """The same for every application of a process: what they hang on they find in the request. FastAPI puts a route's
    parts together at the first request that looks at it, which takes all of them half a second: here."""
    router = APIRouter(generate_unique_id_function=lambda route: route.name, redirect_slashes=False)
    parts = (
        operations,
        batches,
        metrics,
        logs,
        verifications,
        alerts,
        tasks,
        locks,
        definitions,
        sources,
        projects,
        members,
        users,
        tokens,
        accesskeys,
        audit,
        session,
        signon,
    )
    guarded = [Depends(permitted)]
    for part in parts:
        router.include_router(part.router, prefix=PREFIX, responses=dict(REFUSALS), dependencies=guarded)
    router.include_router(metrics.scraped, responses=dict(REFUSALS), dependencies=guarded)
    router.include_router(workers.router)

    @router.get(f"{PREFIX}/health", tags=["server"])
    def health() -> dict[str, str]:
        """The server answers."""
        return {"status": "ok", "version": tidegate.__version__}

    for route in router.routes:
        route.matches({"type": "http", "method": "GET", "path": "/nowhere", "root_path": "", "headers": []})
    return router.routes


def _document(app: FastAPI) -> None:
    """Add to the generated OpenAPI what only the lifecycle table and the guard know."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generated()
            components = document["components"]
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
            document["paths"][f"{PREFIX}/health"]["get"]["security"] = []
            for method, place in OPEN_DOORS:
                document["paths"][place][method.lower()]["security"] = []
            shown = components["schemas"]["TaskView"]["properties"]
            shown["state"]["enum"] = [str(state) for state in STATES]
            shown["status"]["enum"] = [*STATUSES, ""]
            for path in document["paths"].values():
                for operation in path.values():
                    _as_problems(operation["responses"])
                    for parameter in operation.get("parameters", ()):
                        _without_controls(parameter["schema"])
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _without_controls(schema: dict[str, Any]) -> None:
    """Say of a text in an address what the guard refuses in each."""
    for one in (schema, schema.get("items", {}), *schema.get("anyOf", ()), *schema.get("items", {}).get("anyOf", ())):
        if one.get("type") == "string" and not one.keys() & {"pattern", "enum", "format", "const"}:
            one["pattern"] = TEXT_PATTERN


def _as_problems(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status in REFUSALS and "application/json" in response["content"]:
            response["content"]["application/problem+json"] = response["content"].pop("application/json")
