"""The server's HTTP face with the methods of `Control` that people and workers use: what is asked goes through the
routes, the guard and the worker protocol, and a refusal comes back as the error it stands for."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import httpx

from tidegate.model.principal import Principal
from tidegate.model.problem import error_of
from tidegate.server.app import build
from tidegate.server.control import Control
from tidegate.server.views import Beat, Orders

DEADLINE_S = 60.0


@dataclass(frozen=True)
class Bearer:
    """What a worker is known by."""

    token: str


class HttpDoor:
    """Serves one `Control` at a time, as a server that is started again does."""

    def __init__(self, control: Control) -> None:
        # An entry of the audit log is a change of the store, and the machine holds that a refusal is none.
        control.audit = lambda entries, stranger=False: None  # type: ignore[method-assign]
        self._app = build(control)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._thread.start()
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://door")
        self._token = ""
        self.serve(control)

    def serve(self, control: Control) -> None:
        """From now on this one answers."""
        self._app.state.control = control
        self._token = control.first_token() or self._token

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result(DEADLINE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def _ask(self, method: str, path: str, body: Any = None, *, token: str | None = None, **query: Any) -> Any:
        request = self._client.request(
            method, path, json=body, params=query, headers={"Authorization": f"Bearer {token or self._token}"}
        )
        answer = asyncio.run_coroutine_threadsafe(request, self._loop).result(DEADLINE_S)
        said = answer.json() if answer.content else None
        if answer.status_code >= 400:
            raise error_of(said)
        return _record(said)

    def _people(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return self._ask(method, f"/api/v1{path}", body, **{name: v for name, v in query.items() if v is not None})

    # --- people ---

    def create_data_source(self, name: str, kind: str, config: Any, *, who: Principal) -> Any:
        return self._people("POST", "/data-sources", {"name": name, "kind": kind, "config": config})

    def create_task(self, definition: Any, *, actor: str) -> Any:
        return self._people("POST", "/tasks", definition)

    def edit_task(self, task: int, definition: Any, *, version: int | None, actor: str) -> Any:
        return self._people("PUT", f"/tasks/{task}", definition, version=version)

    def submit(self, task: int, *, actor: str) -> Any:
        return self._people("POST", f"/tasks/{task}/submit", {})

    def command(self, task: int, name: str, *, actor: str, version: int | None = None) -> Any:
        return self._people("POST", f"/tasks/{task}/commands/{name}", {} if version is None else {"version": version})

    def detail(self, task: int) -> Any:
        return self._people("GET", f"/tasks/{task}")

    def edit_group(self, name: str, *, units: int, actor: str) -> Any:
        return self._people("PUT", f"/resource-groups/{name}", {"units": units})

    def request_snapshot(self, task: int, *, actor: str) -> Any:
        return self._people("POST", f"/tasks/{task}/snapshots")

    def snapshot_request(self, task: int, request: str) -> Any:
        return self._people("GET", f"/tasks/{task}/snapshots/requests/{request}")

    # --- workers ---

    def authenticate(self, token: str) -> Bearer:
        """Over HTTP every message carries its token; there is nothing to do beforehand."""
        return Bearer(token)

    def _worker(self, session: Bearer, path: str, body: Any) -> Any:
        return self._ask("POST", f"/worker/v1/{path}", body, token=session.token)

    def register(self, session: Bearer, *, pid: int, started: str) -> Any:
        return self._worker(session, "register", {"pid": pid, "started": started})

    def heartbeat(self, session: Bearer, beat: Beat) -> Orders:
        said = self._worker(session, "heartbeat", asdict(beat))
        return Orders(said.intent, said.snapshot, pause=said.pause)

    def store_snapshot(self, session: Bearer, **said: Any) -> int:
        stored: int = self._worker(session, "snapshot", said).id
        return stored

    def event(self, session: Bearer, name: str, *, error: Any = None, facts: Any = None) -> None:
        self._worker(session, "event", {"name": name, "error": error, "facts": facts or {}})


def _record(said: Any) -> Any:
    """An answer with attributes, as records have; definitions stay as they are written."""
    if isinstance(said, dict):
        return SimpleNamespace(
            **{name: value if name == "definition" else _record(value) for name, value in said.items()}
        )
    return said
