"""Who catches up, and what it cost: Tidegate, and PostgreSQL's own logical replication."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ground import RUN, SLOT, Ground, cpu_s
from workloads import Workload

FOLLOW = Path(__file__).parent / "follow.py"


@dataclass
class Outcome:
    """Seconds of time and of processors' time; megabytes."""

    wall_s: float = 0.0
    source_cpu_s: float = 0.0
    target_cpu_s: float = 0.0
    worker_cpu_s: float = 0.0
    memory_mb: float = 0.0

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:.2f}" for name, value in asdict(self).items() if value)


@contextmanager
def timed(ground: Ground) -> Iterator[Outcome]:
    outcome = Outcome()
    source_s, target_s, began = cpu_s(ground.source), cpu_s(ground.target), time.perf_counter()
    yield outcome
    outcome.wall_s = time.perf_counter() - began
    time.sleep(0.2)  # what a process used is counted once its parent has taken notice of its end
    outcome.source_cpu_s = cpu_s(ground.source) - source_s
    outcome.target_cpu_s = cpu_s(ground.target) - target_s


def tidegate(ground: Ground, workload: Workload, scale: float, *, decoder: str = "", pace_ms: int = 20) -> Outcome:
    """From the moment its worker may begin until the last change is at the target."""
    given: dict[str, Any] = {
        "workload": workload.name,
        "scale": scale,
        "source": ground.source.config(workload.name) | {"read_pace_ms": pace_ms},
        "target": ground.target.config("dst"),
        "read": "incremental",
    }
    environment = os.environ | ({"TIDEGATE_DECODE": decoder} if decoder else {})
    with ground.fresh(workload, SLOT) as connection:
        worker = subprocess.Popen(
            [sys.executable, FOLLOW, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdout.readline()
            with timed(ground) as outcome:
                worker.stdin.write("\n")
                worker.stdin.flush()
                ground.marked(workload, connection)
            said, _ = worker.communicate("\n", timeout=60)
            found = json.loads(said)
        finally:
            worker.kill()
        if not found["alive"]:
            raise SystemExit("the worker ended by itself")
        outcome.worker_cpu_s, outcome.memory_mb = found["cpu_s"], found["memory_mb"]
        ground.same(workload, connection)
    return outcome


def subscription(ground: Ground, workload: Workload, options: str) -> Outcome:
    """From enabling a subscription until the last change is at the target."""
    where = f"host={ground.source.host} port={ground.source.port} user=postgres dbname={workload.name}"
    with ground.fresh(workload, "native") as connection:
        connection.execute(
            f"create subscription native connection '{where}' publication tidegate_{RUN} with (create_slot = false,"
            f" copy_data = false, enabled = false, slot_name = native{options and ', ' + options})".encode()
        )
        with timed(ground) as outcome:
            connection.execute("alter subscription native enable")
            ground.marked(workload, connection)
        connection.execute("alter subscription native disable")
        connection.execute("alter subscription native set (slot_name = none)")
        connection.execute("drop subscription native")
        ground.same(workload, connection)
    return outcome


NATIVE: dict[str, str] = {
    "native": "",
    "native binary": "binary = true",
    "native binary streaming": "binary = true, streaming = on",
}
PARALLEL = {"native parallel": "binary = true, streaming = parallel"}

Contestant = Callable[[], Outcome]
