"""Who catches up, and what it cost: Tidegate, PostgreSQL's own logical replication, and Debezium's engine."""

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
from environments import PEERS, told_by
from ground import RUN, SLOT, STEADY_CHANGES, Ground, cpu_s
from workloads import Workload

from tidegate.connect.capability import ReadMode
from tidegate.server.local_engine import ALLOCATOR

FOLLOW = Path(__file__).parent / "follow.py"


@dataclass
class Outcome:
    """Seconds of time and of processors' time; megabytes. A peer that is a process of its own is a worker, too."""

    amount: int = 0
    """Rows copied, or changes done."""
    wall_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    source_cpu_s: float = 0.0
    target_cpu_s: float = 0.0
    worker_cpu_s: float = 0.0
    memory_mb: float = 0.0

    def __str__(self) -> str:
        costs = ", ".join(f"{name} {value:.2f}" for name, value in asdict(self).items() if value and name != "amount")
        return f"{self.amount / self.wall_s:,.0f}/s, {costs}" if self.wall_s else costs


@contextmanager
def following(
    ground: Ground,
    workload: Workload,
    scale: float,
    *,
    read: ReadMode = ReadMode.INCREMENTAL,
    target: dict[str, Any] | None = None,
    decoder: str = "",
    pace_ms: int = 20,
    stages: bool = True,
) -> Iterator[subprocess.Popen[str]]:
    """A worker that stands ready. It begins with the first line it is given, says when a full copy is there, and tells
    its costs after the second."""
    given: dict[str, Any] = {
        "workload": workload.name,
        "scale": scale,
        "source": ground.source.config(workload.name) | {"read_pace_ms": pace_ms, "stream_transactions": stages},
        "target": target or ground.target.config("dst"),
        "read": str(read),
    }
    environment = ALLOCATOR | os.environ | ({"TIDEGATE_DECODE": decoder} if decoder else {})
    pipe = subprocess.PIPE
    command = [sys.executable, FOLLOW, json.dumps(given)]
    worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
    try:
        told(worker)
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
    found = json.loads(told(worker))
    if not found["alive"]:
        raise SystemExit("the worker ended by itself")
    outcome.worker_cpu_s, outcome.memory_mb = found["cpu_s"], found["memory_mb"]


def told(worker: subprocess.Popen[str]) -> str:
    """The next line it says. Raises `SystemExit` if it ended by itself."""
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit("the worker ended by itself")
    return line


@contextmanager
def timed(ground: Ground, amount: int) -> Iterator[Outcome]:
    outcome = Outcome(amount)
    source_s, target_s, began = cpu_s(ground.source), cpu_s(ground.target), time.perf_counter()
    yield outcome
    outcome.wall_s = time.perf_counter() - began
    time.sleep(0.2)  # what a process used is counted once its parent has taken notice of its end
    outcome.source_cpu_s = cpu_s(ground.source) - source_s
    outcome.target_cpu_s = cpu_s(ground.target) - target_s


def tidegate(ground: Ground, workload: Workload, scale: float, **how: Any) -> Outcome:
    """From the moment its worker may begin until the last change is at the target."""
    with ground.fresh(workload, SLOT) as connection, following(ground, workload, scale, **how) as worker:
        with timed(ground, workload.changes) as outcome:
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
        with timed(ground, workload.changes) as outcome:
            connection.execute("alter subscription native enable")
            ground.marked(workload, connection)
        ground.same(workload, connection)
    return outcome


def debezium(ground: Ground, workload: Workload) -> Outcome:
    """The workload's first part until its mark is at the target. Starting the engine and the first fifth of the changes
    are not counted, for its JVM is cold then; nor is what the servers did."""
    given = {
        "source": ground.source.config(workload.name),
        "target": ground.target.config("dst"),
        "slot": "debezium",
        "publication": f"tidegate_{RUN}",
        "table": workload.tables[0],
        "mark": -1,
        "warm_up": workload.part // 5,
    }
    with ground.fresh(workload, "debezium") as connection:
        found = told_by("debezium", PEERS / "debezium_stream.py", given)
        ground.same_part(workload, connection)
    return Outcome(found["changes"], wall_s=found["wall_s"], worker_cpu_s=found["cpu_s"], memory_mb=found["memory_mb"])


NATIVE: dict[str, str] = {
    "native": "",
    "native binary": "binary = true",
    "native binary streaming": "binary = true, streaming = on",
}
PARALLEL = {"native parallel": "binary = true, streaming = parallel"}


def live(ground: Ground, workload: Workload, scale: float) -> Outcome:
    """From a commit at the source until the commit at the target, while 2,000 rows a second change. There is nobody
    beside it: a subscription gives its commits the source's time, so that its delays cannot be told like this."""
    with ground.fresh(workload, SLOT) as connection, following(ground, workload, scale) as worker:
        begin(worker)
        ground.marked(workload, connection)
        with timed(ground, STEADY_CHANGES) as outcome:
            began_at = ground.write_steadily(workload)
            ground.marked(workload, connection)
        ended(worker, outcome)
        ground.same(workload, connection)
        outcome.p50_ms, outcome.p99_ms = ground.delays_ms(workload, connection, began_at)
    return outcome
