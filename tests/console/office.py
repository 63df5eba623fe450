"""An office of people around a few tasks: the real server with its routes, permissions, store and console, in this
process. Behind its tasks are puppets in place of workers, and nothing in place of databases: what is looked at here is
people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from api.rig import Api, data_source, definition, opened
from tidegate.server.limits import Limits
from tidegate.testing.site import eventually

PASSWORD = "correct horse 7 battery"
CALM = Limits(heartbeat_s=1.0, sweep_s=0.2, detection_s=5.0)


class Office:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.url = api.url
        for name in ("shop", "lake"):
            api.ask("POST", "/data-sources", expect=201, json=data_source(name))

    def task(self, name: str, *, run: bool = True, **more: Any) -> str:
        self.api.ask("POST", "/tasks", expect=201, json=definition(name) | more)
        self.api.ask("POST", f"/tasks/{name}/submit")
        if run:
            self.api.ask("POST", f"/tasks/{name}/commands/run", expect=202)
        return name

    def becomes(self, name: str, status: str) -> None:
        eventually(lambda: self.status(name) == status, f"{name} is {status}")

    def status(self, name: str) -> str:
        return str(self.api.ask("GET", f"/tasks/{name}")["task"]["status"])

    def person(self, name: str, role: str | None = None, *, project: str = "default", **more: Any) -> str:
        body = {"name": name, "password": PASSWORD} | more
        self.api.ask("POST", "/users", expect=201, json=body)
        if role is not None:
            self.api.ask("PUT", f"/projects/{project}/members/{name}", json={"role": role})
        return name

    def program(self, name: str, role: str | None = None, **more: Any) -> str:
        self.api.ask("POST", "/users", expect=201, json={"name": name, "kind": "service"} | more)
        if role is not None:
            self.api.ask("PUT", f"/projects/default/members/{name}", json={"role": role})
        return name


@contextmanager
def office(folder: Path) -> Iterator[Office]:
    with opened(folder, driven=True, limits=CALM) as api:
        yield Office(api)
