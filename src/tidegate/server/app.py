"""The HTTP face of a server: routes, guards and OpenAPI around one `Control`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI

import tidegate
from tidegate.model.lifecycle import STATES
from tidegate.server import workers
from tidegate.server.api import operations, projects, sources, tasks, verifications
from tidegate.server.api.operations import STATUSES
from tidegate.server.api.shapes import REFUSALS
from tidegate.server.auth import Gate
from tidegate.server.control import Control
from tidegate.server.guard import Guard
from tidegate.server.problem import LastResort, install

PREFIX = "/api/v1"
ABOUT = """\
Keep a target in step with a source, and operate that.

Every request but `GET /api/v1/health` carries `Authorization: Bearer <token>`. Every refusal and failure is an
`application/problem+json` with a stable `code`, a sentence that names the thing, and advice. Times are RFC 3339 texts
in UTC with milliseconds; durations are seconds, which their names end with."""


def build(control: Control, while_serving: Callable[[], AbstractAsyncContextManager[None]] | None = None) -> FastAPI:
    """The application. `while_serving` is entered before the first request and left after the last."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if while_serving is None:
            yield
            return
        async with while_serving():
            yield

    app = FastAPI(
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
    app.state.control = control
    for part in (operations, verifications, tasks, sources, projects):
        app.include_router(part.router, prefix=PREFIX, responses=dict(REFUSALS))
    app.include_router(workers.router)

    @app.get(f"{PREFIX}/health", tags=["server"])
    def health() -> dict[str, str]:
        """The server answers."""
        return {"status": "ok", "version": tidegate.__version__}

    install(app)
    app.add_middleware(Guard, gate=Gate(control.check_admin))
    app.add_middleware(LastResort)
    _document(app)
    return app


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
            shown = components["schemas"]["TaskView"]["properties"]
            shown["state"]["enum"] = [str(state) for state in STATES]
            shown["status"]["enum"] = [*STATUSES, ""]
            for path in document["paths"].values():
                for operation in path.values():
                    _as_problems(operation["responses"])
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _as_problems(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status in REFUSALS and "application/json" in response["content"]:
            response["content"]["application/problem+json"] = response["content"].pop("application/json")
