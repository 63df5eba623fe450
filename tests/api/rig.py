"""A server in this process: the real routes, guard, Control and SQLite store, with a data plane that finds nothing
wrong unless told otherwise."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api.puppets import PuppetEngine
from tidegate.errors import TidegateError
from tidegate.logs import configure, hand_to
from tidegate.model.certificate import pinned
from tidegate.model.folders import Folders, listed_folders
from tidegate.model.mapping import ColumnFit, SourceTables, TableFit, TableFits
from tidegate.model.network import Network
from tidegate.model.schema import TableName
from tidegate.model.task import TaskSpec, matches
from tidegate.server.app import build
from tidegate.server.control import Control
from tidegate.server.limits import Limits
from tidegate.server.protocol import configured
from tidegate.server.reconcile import Reconciler
from tidegate.server.signonconfig import SignOnConfig
from tidegate.server.tls import Tls
from tidegate.server.views import Retentions, Side
from tidegate.store.opening import open_store
from tidegate.testing.servers import until
from tidegate.watch.outbound import Outbound, allowed_networks

CANARY = "canary-4b1d"
"""The password of every data source here; it must never be seen in an answer, a log or an error."""


@dataclass
class Cost:
    reread_bytes: int = 4096
    safe_bytes: int | None = 1 << 30
    source_end: str = "0/FFFF"
    behind_bytes: int | None = 8192
    reads_from: str = "0/EFFF"
    chunks_left: int = 0
    chunks_total: int = 0
    delivery: str = "exactly_once"


@dataclass
class CalmPlane:
    """Sources and targets where everything is in order but what is put here."""

    wrong: list[TidegateError] = field(default_factory=list)
    lost: TidegateError | None = None
    missing: list[str] = field(default_factory=list)
    left: list[TidegateError] = field(default_factory=list)
    tables: list[TableName] = field(default_factory=lambda: [TableName("public", "orders")])
    free: threading.Event = field(default_factory=threading.Event)
    """Cleaning up waits until it is set; it is, unless a test clears it."""

    def __post_init__(self) -> None:
        self.free.set()

    def check_task(self, spec: TaskSpec, source: Side, target: Side, task_key: str) -> Sequence[TidegateError]:
        return list(self.wrong)

    def source_tables(self, source: Side) -> SourceTables:
        return SourceTables("shop", self.tables, [TableName("public", "scratch")])

    def table_fits(self, spec: TaskSpec, source: Side, target: Side, task_key: str, most: int) -> TableFits:
        columns = [ColumnFit("id", "bigint", "BIGINT", False, True, "")]
        fits = [TableFit(str(name), f"lake.{name.name}", False, columns, []) for name in matches(spec, self.tables)]
        return TableFits(len(fits), fits[:most])

    def check_continue(self, run_key: str, spec: TaskSpec, source: Side, target: Side, position: str | None) -> Cost:
        if self.lost is not None:
            raise self.lost
        return Cost()

    def estimate_rows(self, spec: TaskSpec, source: Side) -> int:
        return 12_000

    def look_at_log(self, run_key: str, source: Side, position: str | None) -> Cost:
        if self.lost is not None:
            raise self.lost
        return Cost()

    def retentions(self, source: Side, runs: Mapping[str, str | None]) -> Retentions | None:
        return None

    def forget(self, run_key: str, spec: TaskSpec, source: Side, target: Side) -> Sequence[TidegateError]:
        self.free.wait(60)
        return list(self.left)

    def missing_objects(
        self, spec: TaskSpec, source: Side, target: Side, *, working: bool = False, run_key: str | None = None
    ) -> Sequence[str]:
        return list(self.missing)


@contextmanager
def answering(app: FastAPI, port: int = 0, tls: Tls | None = None) -> Iterator[str]:
    """Serve the app on a port of this machine, by default a free one; yields its address."""
    server = uvicorn.Server(configured(app, tls=tls, port=port, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until(lambda: server.started, "the server to answer", 20)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@dataclass
class Api:
    """The API as its one administrator sees it."""

    url: str
    token: str
    control: Control
    plane: CalmPlane
    http: httpx.Client
    engine: PuppetEngine = field(default_factory=PuppetEngine)
    app: FastAPI | None = None

    def ask(self, method: str, path: str, *, expect: int = 200, **more: Any) -> Any:
        """The answer's JSON, after checking its status."""
        answer = self.http.request(method, f"/api/v1{path}", **more)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


def definition(name: str = "shop_to_lake", **more: Any) -> dict[str, Any]:
    """A task as a person writes it."""
    return {
        "task": name,
        "kind": "whole_database",
        "source": {"data_source": "shop", "tables": ["public.orders"]},
        "target": {"data_source": "lake", "write": "upsert"},
    } | more


def data_source(name: str, **more: Any) -> dict[str, Any]:
    config = {"host": "127.0.0.1", "port": 1, "database": name, "user": "tidegate", "password": CANARY}
    return {"name": name, "kind": "postgres", "config": config | more}


LIMITS = Limits(heartbeat_s=0.1, sweep_s=0.05, detection_s=0.1, detection_back_s=0.1, linger_s=5, cleanup_first_s=60)


@contextmanager
def opened(
    data_dir: Path,
    *,
    driven: bool = False,
    level: str = "error",
    file_folders: str | None = None,
    limits: Limits = LIMITS,
    sign_on: SignOnConfig | None = None,
    allow_from: Sequence[Network] = (),
    port: int = 0,
    tls: Tls | None = None,
) -> Iterator[Api]:
    """A server. One that is not `driven` has no reconciler: commands are accepted and stay Operating."""
    configure(level)
    store = open_store(data_dir, environment={}, default_units=4)
    plane = CalmPlane()
    outbound = Outbound(allowed_networks("127.0.0.0/8"), deadline_s=5)
    folders = Folders(str(data_dir), listed_folders(file_folders))
    control = Control(store, plane, limits=limits, outbound=outbound, folders=folders, sign_on=sign_on)
    engine = PuppetEngine()
    reconciler = Reconciler(control, engine)
    hand_to(control.journal.take)
    token = control.first_token()
    assert token is not None
    try:
        app = build(control, allow_from=allow_from)
        with answering(app, port, tls) as engine.url:
            if driven:
                reconciler.start()
            headers = {"Authorization": f"Bearer {token}"}
            verify = pinned(tls.pem) if tls else True
            with httpx.Client(base_url=engine.url, headers=headers, timeout=20, trust_env=False, verify=verify) as http:
                yield Api(engine.url, token, control, plane, http, engine, app)
    finally:
        plane.free.set()
        engine.manners.dies = True
        for puppet in engine.puppets:
            puppet.killed = True
        reconciler.stop()
        hand_to(None)
        control.journal.close()
        store.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A fresh server."""
    with opened(tmp_path / "data") as made:
        yield made


@pytest.fixture(scope="module")
def standing_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One for all tests of a file that change nothing."""
    with opened(tmp_path_factory.mktemp("standing") / "data") as made:
        yield made


def stock(api: Api) -> Api:
    """Two data sources and a draft."""
    for name in ("shop", "lake"):
        api.ask("POST", "/data-sources", expect=201, json=data_source(name))
    api.ask("POST", "/tasks", expect=201, json=definition())
    return api


@pytest.fixture
def stocked(api: Api) -> Api:
    """A server that is not driven, with two data sources and a draft."""
    return stock(api)


@pytest.fixture
def driven(tmp_path: Path) -> Iterator[Api]:
    """A whole server with workers that are puppets, two data sources and a draft."""
    with opened(tmp_path / "data", driven=True) as made:
        yield stock(made)
