"""What it costs the server that many tasks run: each reports once a second, as a real worker does, and somebody looks
at the list meanwhile. Says the server's share of a processor, how the store grows, how long the list takes, and how
long it takes from a worker's word that its task is late until the alert is there.

    python bench/ops.py --tasks 10 100 1000 --seconds 60
    python bench/ops.py --tasks 1000 --store postgresql://postgres@127.0.0.1:5432/bench

Server, routes, reconciler, alerts and store are the real ones. There are no data sources and no workers' processes
behind the tasks: of the data plane nothing is asked, and every worker is said to be alive.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit

import httpx
import sqlalchemy as sa
import uvicorn

from tidegate.logs import configure
from tidegate.model.lifecycle import State
from tidegate.model.measured import TableMeasure
from tidegate.model.task import parse_task
from tidegate.server.app import build
from tidegate.server.control import Control
from tidegate.server.limits import Limits
from tidegate.server.local_engine import Worker
from tidegate.server.protocol import configured
from tidegate.server.reconcile import Reconciler
from tidegate.server.roster import new_token
from tidegate.store import catalog, runs, tasks
from tidegate.store.database import Database
from tidegate.store.opening import open_store
from tidegate.store.tables import run, task
from tidegate.watch.alerts import Alerts

TABLES, CHANGING = 50, 5
LOOK_EVERY_S = 0.5
LATE_S = 900.0
LEASE_S = 3_600.0
"""Nobody looks after a worker that is lost."""
RULE = {
    "alert_rule": "bench",
    "applies_to": {"all": True},
    "conditions": [{"metric": "task_delay", "threshold": 10, "unit": "min"}],
}


class NothingBehind:
    """A data plane in which everything is always in order, and an engine whose workers always live."""

    def missing_objects(self, *given: Any, **named: Any) -> Sequence[str]:
        return []

    def retentions(self, source: Any, runs: Any) -> None:
        return None

    def watch(self, worker: Worker) -> None:
        pass

    def alive(self, worker: Worker) -> bool:
        return True


# --- the server's process ---


def populate(control: Control, count: int) -> list[str]:
    """So many running tasks; the tokens of their workers."""
    tokens = []
    db, now = control.db, time.time()
    with db.write() as tx:
        project = catalog.get_project(tx, "default").id
        for name in ("shop", "lake"):
            sealed = control.store.vault.seal({}, f"data source {project}/{name}")
            catalog.add_data_source(
                tx, now=now, project_id=project, name=name, kind="postgres", description="", config={}, secrets=sealed
            )
        for number in range(count):
            spec = parse_task(
                {
                    "task": f"task_{number:05d}",
                    "kind": "whole_database",
                    "source": {"data_source": "shop", "tables": ["public.orders"]},
                    "target": {"data_source": "lake", "write": "upsert"},
                }
            )
            task_id = tasks.add_task(tx, project, spec, owner="bench", now=now)
            tasks.add_version(tx, task_id, 1, spec.definition(), now=now, actor="bench", note="")
            run_id = runs.add_run(
                tx,
                task_id,
                server_id=control.store.server_id,
                now=now,
                version=1,
                start={"read": "full+incremental", "position": None},
                group_name="default",
                units=1,
                restarts_max=-1,
                snapshots_keep=20,
            )
            token, hashed = new_token(run_id, 1)
            tokens.append(token)
            worker = {"worker_pid": 10**6 + number, "worker_started": "then", "worker_since": now}
            at_work = {"registered_at": now, "opened_at": now, "heard_at": now}
            tx.execute(run.update().where(run.c.id == run_id).values(epoch=1, token_hash=hashed, **worker, **at_work))
            values = {"state": State.RUNNING.value, "intent": "run", "run_id": run_id, "submitted": 1}
            tx.execute(task.update().where(task.c.id == task_id).values(**values))
    return tokens


def serve(folder: Path, url: str | None, count: int) -> None:
    """Until it is ended; says where it listens and who may speak."""
    configure("warning")
    store = open_store(folder, url=url, environment={}, default_units=count)
    nothing: Any = NothingBehind()
    control = Control(store, nothing, limits=Limits(lease_s=LEASE_S))
    token = control.first_token()
    workers = populate(control, count)
    reconciler = Reconciler(control, nothing)
    reconciler.start()
    Alerts(store.database, control.clock, lambda: reconciler.leading, figures=control.known).start()
    listening = configured(build(control), port=0)
    sock = listening.bind_socket()
    told = {"url": f"http://127.0.0.1:{sock.getsockname()[1]}", "token": token, "workers": workers}
    (folder / "told.new").write_text(json.dumps(told))
    (folder / "told.new").replace(folder / "told.json")
    uvicorn.Server(listening).run(sockets=[sock])


# --- who speaks to it ---


def beat(number: int, second: int, lag_s: float) -> dict[str, Any]:
    """What a worker of a busy task says."""
    rows = second * 1_000 + number
    counted = dict.fromkeys(("rows_read", "rows_written", "changes_read", "changes_written", "rows_copied"), rows)
    counted |= dict.fromkeys(("bytes_read", "bytes_written"), rows * 120)
    counted |= {"transactions": rows // 10, "batches": second * 4, "memory_bytes": 90 << 20, "batch_rows": 250.0}
    shares = {"waiting_s": second * 0.6, "writing_s": second * 0.2, "cpu_s": second * 0.3, "queue_share": 0.1}
    delays = {"read_delay_s": 0.02, "transmission_delay_s": 0.05, "business_delay_s": 0.07}
    measure = TableMeasure("following", rows_read=rows, rows_written=rows, bytes_read=rows * 120, bytes_written=rows)
    touched = [(second * CHANGING + n) % TABLES for n in range(CHANGING)]
    return {
        "phase": "incremental",
        "health": "steady",
        "position": f"0/{rows:X}",
        "counters": counted | shares | delays,
        "tables": {f"public.table_{n}": measure.tell() for n in touched},
        "lag_s": lag_s,
        "lag_bytes": 4_096,
    }


class Speaker:
    """A worker's connection: no more of HTTP than it takes, so that the speakers leave the server a processor."""

    def __init__(self, url: str, token: str) -> None:
        self._place = urlsplit(url)
        self._head = f"POST /worker/v1/heartbeat HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def say(self, given: dict[str, Any]) -> None:
        """Raises `AssertionError` for any answer but 200."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._place.hostname, self._place.port)
        reader, writer = self._streams
        body = json.dumps(given).encode()
        said = f"{self._head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(said.encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        assert head.startswith(b"http/1.1 200 "), head + answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def speak(told: dict[str, Any], seconds: float) -> tuple[int, int, list[float], float | None]:
    """Heartbeats of every worker once a second, spread over it; how many were answered, how many were late by more than
    a second, how long each look at the list took, and how long the alert about the first task, which is late from half
    the time on; None: there was none."""
    answered = late = 0
    late_since: float | None = None
    alert_after_s: float | None = None
    looks: list[float] = []
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=told["url"], timeout=30, trust_env=False) as client:

        async def worker(number: int, token: str) -> None:
            nonlocal answered, late, late_since
            due = began + random.random()  # noqa: S311 - spreads them
            speaker = Speaker(told["url"], token)
            second = 0
            while due < began + seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                late += time.monotonic() - due > 1.0
                second += 1
                lags = number == 0 and time.monotonic() > began + seconds / 2
                given = beat(number, second, LATE_S if lags else 0.05)
                await speaker.say(given)
                if lags and late_since is None:
                    late_since = time.monotonic()
                answered += 1
                due += 1.0
            speaker.close()

        async def looker() -> None:
            nonlocal alert_after_s
            headers = {"Authorization": f"Bearer {told['token']}"}
            made = await client.post("/api/v1/alert-rules", json=RULE, headers=headers)
            made.raise_for_status()
            while time.monotonic() < began + seconds:
                asked = time.monotonic()
                said = await client.get("/api/v1/ops", params={"page_size": 50}, headers=headers)
                said.raise_for_status()
                looks.append(time.monotonic() - asked)
                if late_since is not None and alert_after_s is None:
                    fired = await client.get("/api/v1/alerts", params={"rule": RULE["alert_rule"]}, headers=headers)
                    alert_after_s = time.monotonic() - late_since if fired.json() else None
                await asyncio.sleep(LOOK_EVERY_S)

        await asyncio.gather(looker(), *(worker(n, token) for n, token in enumerate(told["workers"])))
    return answered, late, looks, alert_after_s


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def size_bytes(folder: Path, url: str | None) -> int:
    """Of the store."""
    if url is None:
        return sum(path.stat().st_size for path in folder.glob("tidegate.db*"))
    database = Database(url)
    try:
        with database.read() as tx:
            found: int = tx.execute(sa.text("select pg_database_size(current_database())")).scalar_one()
            return found
    finally:
        database.close()


def measure(count: int, seconds: float, url: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tidegate-ops-") as made:
        folder = Path(made)
        words = ["--serve", made, "--tasks", str(count), *(["--store", url] if url else [])]
        server = subprocess.Popen([sys.executable, __file__, *words])
        try:
            until = time.monotonic() + 120
            while not (folder / "told.json").exists():
                assert time.monotonic() < until, "the server did not start"
                assert server.poll() is None, "the server ended"
                time.sleep(0.1)
            told = json.loads((folder / "told.json").read_text())
            began, used, held = time.monotonic(), cpu_s(server.pid), size_bytes(folder, url)
            answered, late, looks, alert_after_s = asyncio.run(speak(told, seconds))
            lasted = time.monotonic() - began
            return {
                "tasks": count,
                "store": "postgresql" if url else "sqlite",
                "seconds": round(lasted, 1),
                "heartbeats": answered,
                "late": late,
                "server_cpu_share": round((cpu_s(server.pid) - used) / lasted, 3),
                "store_growth_bytes_per_s": round((size_bytes(folder, url) - held) / lasted),
                "ops_list_p95_ms": round(1000 * quantiles(looks, n=20)[-1], 1),
                "alert_after_s": None if alert_after_s is None else round(alert_after_s, 1),
            }
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--store", help="URL of an empty PostgreSQL database; by default a SQLite file.")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve(given.serve, given.store, given.tasks[0])
        return
    for count in given.tasks:
        print(json.dumps(measure(count, given.seconds, given.store)), flush=True)  # noqa: T201 - its result


if __name__ == "__main__":
    main()
