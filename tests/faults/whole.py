"""A whole installation, real processes and all, for tests that harm its server, its workers or its store."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import httpx
import psycopg

from e2e.shop import Shop
from tidegate.testing.servers import PostgresServer
from tidegate.testing.site import Site, eventually

RIM = Path(__file__).parent / "rim"
# Short, so that tests need not wait; a busy machine must not be taken for a dead worker all the same.
QUICK = {"heartbeat-s": "0.2", "lease-s": "2"}


class HarmedSite(Site):
    """A site whose processes get `environment` too."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, **settings)
        self.more = dict(environment or {})

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | self.more

    def log(self) -> str:
        return (self.folder / "server.out").read_text()

    def workers_log(self) -> str:
        """What all workers said."""
        return "".join(path.read_text() for path in sorted((self.folder / "logs").glob("*_t*.log")))

    def events(self, task: str) -> list[dict[str, Any]]:
        """Key events, oldest first."""
        found: list[dict[str, Any]] = self.ask("GET", f"/tasks/{task}/events", limit=1000)
        return found[::-1]

    def epoch(self, task: str) -> int:
        return int(self.task(task)["task"]["epoch"])

    def answers_with(self, code: str) -> bool:
        """Whether the API says so now."""
        assert self.client is not None
        with suppress(httpx.HTTPError):
            answer = self.client.get("/tasks")
            return answer.status_code >= 400 and answer.json()["code"] == code
        return False


class Whole:
    """A site, a source with a workload, and two targets: a PostgreSQL database and a DuckDB file."""

    def __init__(self, site: HarmedSite, server: PostgresServer, source: str, target: str, seed: int) -> None:
        self.site, self.server = site, server
        self.source, self.target = server.connect(source), server.connect(target)
        self.shop = Shop(self.source.info.dsn, seed).create()
        self.lake = site.folder / "lake.duckdb"
        for name, database in (("src", source), ("dst", target)):
            config = server.config(database)
            site.ask("POST", "/data-sources", {"name": name, "kind": "postgres", "config": config})
        site.ask("POST", "/data-sources", {"name": "lake", "kind": "duckdb", "config": {"path": str(self.lake)}})

    def task(self, name: str, table: str, *, to: str = "dst", write: str = "upsert", **more: Any) -> str:
        """A task that runs, into a schema of its name."""
        definition = {
            "task": name,
            "kind": "whole_database",
            "source": {"data_source": "src", "tables": [f"public.{table}"]},
            "target": {"data_source": to, "write": write, "schema": name},
            "restarts": {"max": -1},
            "snapshots": {"every": "1s"},
        }
        self.site.ask("POST", "/tasks", definition | more)
        self.site.ask("POST", f"/tasks/{name}/submit", {})
        self.site.command(name, "run")
        self.site.becomes(name, "Running")
        return name

    def worker(self, task: str) -> int:
        """The process of the task's present epoch, once it is at work."""

        def at_work() -> int | None:
            found = self.site.task(task)
            now, run = found["task"], found["run"]
            if now["status"] != "Running" or now["health"] != "steady" or now["position"] is None:
                return None
            log = self.site.folder / "logs" / f"{run['key']}-{run['epoch']}.log"
            for pid in self.site.workers():
                with suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/2") == str(log):
                        return pid
            return None

        return int(eventually(at_work, f"{task} has a worker at work"))

    def progresses(self, task: str) -> None:
        """Wait until it has written something that was committed after now."""
        wanted = self.shop.committed + 1
        eventually(lambda: self.numbers(task)[2] >= wanted, f"{task} goes on")

    def numbers(self, task: str) -> tuple[int, int, int]:
        """Of the ledger at the target: rows, distinct numbers, newest number."""
        query = f'select count(*), count(distinct n), coalesce(max(n), 0) from "{task}".ledger'
        try:
            row = self.target.execute(query).fetchone()
        except psycopg.errors.UndefinedTable:
            return 0, 0, 0
        return row or (0, 0, 0)

    def lake_numbers(self, task: str) -> tuple[int, int, int]:
        """The same of the DuckDB file, which a worker that runs keeps to itself."""
        with duckdb.connect(str(self.lake), read_only=True) as held:
            row = held.execute(f'select count(*), count(distinct n), coalesce(max(n), 0) from "{task}".ledger')
            count, distinct, newest = row.fetchone() or (0, 0, 0)
        return int(count), int(distinct), int(newest)

    def lake_is_free(self) -> bool:
        with suppress(duckdb.IOException), duckdb.connect(str(self.lake), read_only=True):
            return True
        return False

    def lake_is_whole(self, task: str) -> bool:
        """The same of the DuckDB file, once its worker has let go of it."""
        with suppress(duckdb.IOException):
            return self.lake_numbers(task) == (self.shop.committed,) * 3
        return False

    def is_whole(self, task: str) -> None:
        """Everything committed at the source is there once."""
        wanted = (self.shop.committed,) * 3
        eventually(lambda: self.numbers(task) == wanted, f"{task} has all {wanted[0]} rows once")

    def same_accounts(self, task: str) -> bool:
        query = "select id, amount, note from {}.account order by id"
        mine = self.target.execute(query.format(f'"{task}"')).fetchall()
        return mine == self.source.execute(query.format("public")).fetchall()

    def slots(self) -> list[str]:
        rows = self.source.execute(
            "select slot_name from pg_replication_slots where database = current_database() order by 1"
        )
        return [row[0] for row in rows.fetchall()]

    def close(self) -> None:
        with suppress(Exception):
            self.shop.stop()
        for pid in self.site.workers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.site.close()
        self.source.close()
        self.target.close()


@contextmanager
def whole(
    folder: Path,
    server: PostgresServer,
    database: Callable[..., str],
    *,
    seed: int = 1,
    environment: dict[str, str] | None = None,
    **settings: str,
) -> Iterator[Whole]:
    """An installation whose workload is not started yet; all its processes are gone afterwards."""
    site = HarmedSite(folder, environment, **(QUICK | settings))
    made = None
    try:
        site.start()
        made = Whole(site, server, database(server), database(server), seed)
        yield made
    finally:
        (made or site).close()


def ended(pid: int) -> bool:
    """Whether the process is gone, or only waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while it is read
        return True


def wait_for_lines(path: Path, part: str, deadline_s: float = 60.0) -> None:
    """Wait until a file that is being written holds a text."""
    until = time.monotonic() + deadline_s
    while part not in (path.read_text(errors="replace") if path.exists() else ""):
        assert time.monotonic() < until, f"{part!r} never came in {path.name}"
        time.sleep(0.01)
