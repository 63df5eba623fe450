"""What a campaign plays on: a source and a target server behind proxies that tear, a site with armed processes, and
one busy source database per round."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psycopg

from tidegate.testing.faults import Faults
from tidegate.testing.ledger import Load, Workload
from tidegate.testing.proxy import Proxy
from tidegate.testing.servers import PostgresServer, Setting, newest
from tidegate.testing.site import Refused, Site
from tidegate.testing.standby import NAME, SlowStandby

LEASE_S = 2.0
PATIENCE_S = 60.0
# The server's own settings: quick looks, so that what is waited for is the product and not its pace.
SETTINGS = {
    "lease-s": str(LEASE_S),
    "reconcile-interval-s": "0.2",
    "restart-backoff-s": "0.05",
    "restart-backoff-max-s": "0.2",
    "default-group-units": "100",
}
DATABASE: dict[str, Setting] = {
    "wal_level": "logical",
    "max_wal_senders": 40,
    "max_replication_slots": 40,
    "max_connections": 150,
    "deadlock_timeout": "200ms",
    "wal_sender_timeout": "20s",
    "logical_decoding_work_mem": "64kB",  # the least there is: what changes more is sent while it is open
}


class Stage:
    """Use it as a context manager."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.faults = Faults(folder / "faults")
        slow: dict[str, Setting] = {"synchronous_standby_names": NAME, "synchronous_commit": "local"}
        self.source = PostgresServer(newest(), settings=DATABASE | slow, fsync=True)
        self.target = PostgresServer(newest(), settings=DATABASE, fsync=True)
        self.server_lock = threading.RLock()
        """Held by whoever ends the server, or needs it to stay."""
        self.database_lock = threading.RLock()
        """The same for the databases."""
        self.troubles = 0
        """How often something began or ended that keeps every task from going on: what is timed meanwhile says little
        of the product."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.source)
            stack.enter_context(self.target)
            self.source_wire = stack.enter_context(Proxy((self.source.host, self.source.port), seed=self.seed))
            self.target_wire = stack.enter_context(Proxy((self.target.host, self.target.port), seed=self.seed + 1))
            stack.enter_context(SlowStandby(self.source))
            home = self.folder / "site"
            home.mkdir()
            self.site = Site(home, faults=self.faults.folder, **SETTINGS)
            stack.callback(self.site.close)
            self.site.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, value, trace)

    # --- asking the server, whatever happens to it ---

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """As `Site.ask`, again and again while the server is away. Raises `Refused`."""
        return patiently(lambda: self.site.ask(method, path, body, **query), f"{method} {path}")

    def restart_server(self) -> None:
        """Start the server if it is dead."""
        with self.server_lock:
            process = self.site.process
            if process is None or process.poll() is not None:
                self.site.start()
                self.troubles += 1

    # --- databases ---

    def data_sources(self, number: int, chunk_rows: int) -> None:
        """A fresh source and target database, known to the server as `src<number>` and `dst<number>`."""
        for side, server, wire in (("src", self.source, self.source_wire), ("dst", self.target, self.target_wire)):
            name = f"{side}{number}"
            server.create_database(name)
            config = server.config(name) | {"host": wire.host, "port": wire.port, "connect_timeout_s": 5}
            if side == "src":
                config["chunk_rows"] = chunk_rows
            self.ask("POST", "/data-sources", {"name": name, "kind": "postgres", "config": config})

    def drop_databases(self, number: int) -> None:
        self.source.drop_database(f"src{number}")
        self.target.drop_database(f"dst{number}")

    def at_source(self, number: int) -> psycopg.Connection[Any]:
        """A connection of the test's own, past the proxy."""
        return self.source.connect(f"src{number}")

    def at_target(self, number: int) -> psycopg.Connection[Any]:
        return self.target.connect(f"dst{number}")

    def workload(self, number: int, seed: int, load: Load) -> Workload:
        """The writers of the source database."""
        return Workload(lambda: self.source.connect(f"src{number}", autocommit=False), seed, load)

    def streamed(self) -> int:
        """Transactions that the source sent while they were open, by the slots there are, since its last crash."""
        with self.source.connect("postgres") as connection:
            row = connection.execute(
                "select coalesce(sum(stream_txns), 0) from pg_catalog.pg_stat_replication_slots"
            ).fetchone()
        return int(row[0]) if row else 0

    def crash(self, which: PostgresServer) -> None:
        """The database server dies, all its processes with it, and starts again."""
        with self.database_lock:
            self.troubles += 1
            which.kill()
            which.start()
            self.troubles += 1


def patiently(do: Callable[[], Any], what: str, deadline_s: float = PATIENCE_S) -> Any:
    """The first answer of a server that may be away, starting or failing for the moment."""
    until = time.monotonic() + deadline_s
    while True:
        try:
            return do()
        except httpx.TransportError as error:
            if time.monotonic() > until:
                raise AssertionError(f"not within {deadline_s:.0f} s: {what} ({type(error).__name__})") from error
        except Refused as error:
            if error.problem.get("status") != 503 or time.monotonic() > until:
                raise
        time.sleep(0.05)
