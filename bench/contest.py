"""Who catches up, and what it cost: Tidegate, and PostgreSQL's own logical replication."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from ground import RUN, SLOT, Ground, cpu_s
from workloads import Workload

FOLLOW = Path(__file__).parent / "follow.py"


@dataclass
class Outcome:
    """Seconds of time and of processors' time; megabytes."""

    wall_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    source_cpu_s: float = 0.0
    target_cpu_s: float = 0.0
    worker_cpu_s: float = 0.0
    memory_mb: float = 0.0

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:.2f}" for name, value in asdict(self).items() if value)


@contextmanager
def following(
    ground: Ground, workload: Workload, scale: float, *, read: str = "incremental", decoder: str = "", pace_ms: int = 20
) -> Iterator[subprocess.Popen[str]]:
    """A worker that stands ready; it begins with the first line it is given, and tells its costs after the second."""
    given: dict[str, Any] = {
        "workload": workload.name,
        "scale": scale,
        "source": ground.source.config(workload.name) | {"read_pace_ms": pace_ms},
        "target": ground.target.config("dst"),
        "read": read,
    }
    environment = os.environ | ({"TIDEGATE_DECODE": decoder} if decoder else {})
    pipe = subprocess.PIPE
    command = [sys.executable, FOLLOW, json.dumps(given)]
    worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
    try:
        _line(worker)
        yield worker
    finally:
        worker.kill()
        worker.wait()


def begin(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


def ended(worker: subprocess.Popen[str], outcome: Outcome) -> None:
    """What it cost. Raises `SystemExit` if it ended by itself."""
    begin(worker)
    found = json.loads(_line(worker))
    if not found["alive"]:
        raise SystemExit("the worker ended by itself")
    outcome.worker_cpu_s, outcome.memory_mb = found["cpu_s"], found["memory_mb"]


def _line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline()


@contextmanager
def timed(ground: Ground) -> Iterator[Outcome]:
    outcome = Outcome()
    source_s, target_s, began = cpu_s(ground.source), cpu_s(ground.target), time.perf_counter()
    yield outcome
    outcome.wall_s = time.perf_counter() - began
    time.sleep(0.2)  # what a process used is counted once its parent has taken notice of its end
    outcome.source_cpu_s = cpu_s(ground.source) - source_s
    outcome.target_cpu_s = cpu_s(ground.target) - target_s


def tidegate(ground: Ground, workload: Workload, scale: float, **how: Any) -> Outcome:
    """From the moment its worker may begin until the last change is at the target."""
    with ground.fresh(workload, SLOT) as connection, following(ground, workload, scale, **how) as worker:
        with timed(ground) as outcome:
            begin(worker)
            ground.marked(workload, connection)
        ended(worker, outcome)
        ground.same(workload, connection)
    return outcome


@contextmanager
def subscribed(ground: Ground, workload: Workload, options: str, connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A subscription that is not enabled yet."""
    where = f"host={ground.source.host} port={ground.source.port} user=postgres dbname={workload.name}"
    connection.execute(
        f"create subscription native connection '{where}' publication tidegate_{RUN} with (create_slot = false,"
        f" copy_data = false, enabled = false, slot_name = native{options and ', ' + options})".encode()
    )
    yield
    connection.execute("alter subscription native disable")
    connection.execute("alter subscription native set (slot_name = none)")
    connection.execute("drop subscription native")


def subscription(ground: Ground, workload: Workload, options: str) -> Outcome:
    """From enabling a subscription until the last change is at the target."""
    with ground.fresh(workload, "native") as connection, subscribed(ground, workload, options, connection):
        with timed(ground) as outcome:
            connection.execute("alter subscription native enable")
            ground.marked(workload, connection)
        ground.same(workload, connection)
    return outcome


NATIVE: dict[str, str] = {
    "native": "",
    "native binary": "binary = true",
    "native binary streaming": "binary = true, streaming = on",
}
PARALLEL = {"native parallel": "binary = true, streaming = parallel"}


def live(ground: Ground, workload: Workload, scale: float) -> Outcome:
    """From a commit at the source until the commit at the target, while 2,000 rows a second change."""
    with ground.fresh(workload, SLOT) as connection, following(ground, workload, scale) as worker:
        begin(worker)
        ground.marked(workload, connection)
        with timed(ground) as outcome:
            began_at = ground.write_steadily(workload)
            ground.marked(workload, connection)
        ended(worker, outcome)
        ground.same(workload, connection)
        outcome.p50_ms, outcome.p99_ms = ground.delays_ms(workload, connection, began_at)
    return outcome


def live_native(ground: Ground, workload: Workload, options: str) -> Outcome:
    """The same of a subscription."""
    with ground.fresh(workload, "native") as connection, subscribed(ground, workload, options, connection):
        connection.execute("alter subscription native enable")
        ground.marked(workload, connection)
        with timed(ground) as outcome:
            began_at = ground.write_steadily(workload)
            ground.marked(workload, connection)
        outcome.p50_ms, outcome.p99_ms = ground.delays_ms(workload, connection, began_at)
    return outcome
