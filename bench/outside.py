"""How fast one task is on this machine, measured from outside: `python bench/outside.py --rows 500000`.

A real server and worker synchronize one table out of a PostgreSQL, on the same machine, into each target and write
mode. `copy` is the time from Run's two ends being open until the task follows the log; `catch-up` the time from
Continue's being open until the target holds what was committed during the pause, `verify` the time from asking until
source and target were found equal, a row of the source and what it is at the target counted as one. The source's
commits are durable (fsync on). One run each: on a busy machine figures differ by a factor of two between runs. Results
with the machine's facts are appended to bench/results.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.demo.stage import Stage
from tidegate.testing.servers import until

RESULTS = Path(__file__).parent / "results.jsonl"
DEADLINE_S = 1800
MODES = (("postgres", "upsert"), ("postgres", "append"), ("duckdb", "upsert"), ("duckdb", "append"))

TABLE = """
create table orders (
  id bigint primary key, customer int not null, state varchar(12) not null, total numeric(12, 2) not null,
  placed_at timestamptz not null, changed_at timestamptz not null, note text
);
insert into orders
select n, n %% 100000, 'new', (n %% 90000) / 7.0, now() - n * interval '1 s', now(),
       'a note of forty characters, as notes go'
  from generate_series(1, %d) n;
vacuum analyze orders;
"""

# 60 % inserts, 30 % updates, 10 % deletes in transactions of 1 to 100 rows; half of the updates hit a recent tenth.
CHANGES = """
do $$
declare
  rows int := %d; written int := 0; next bigint; size int; kind float;
begin
  select max(id) + 1 into next from orders;
  perform setseed(0.5);
  while written < rows loop
    size := 1 + floor(random() * 100);
    kind := random();
    if kind < 0.6 then
      insert into orders select n, n %% 100000, 'new', 9.99, now(), now(), 'a note of forty characters, as notes go'
        from generate_series(next, next + size - 1) n;
      next := next + size;
    elsif kind < 0.9 then
      update orders set state = 'paid', total = total + 1, changed_at = now() where id in (
        select (case when random() < 0.5 then next * 0.9 + random() * next * 0.1 else random() * next end)::bigint
          from generate_series(1, size));
    else
      delete from orders where id in (select (random() * next)::bigint from generate_series(1, size));
    end if;
    get diagnostics size = row_count;
    written := written + size;
    commit;
  end loop;
end $$
"""


class Bench:
    def __init__(self, stage: Stage, rows: int, changes: int) -> None:
        self.stage, self.rows, self.changes = stage, rows, changes
        stage.postgres.create_database("bench")
        self.source = stage.connect("bench")
        for statement in (TABLE % rows).split(";"):
            if statement.strip():
                self.source.execute(statement.encode())
        self._data_source("source", "postgres", stage.postgres.config("bench"))
        self._data_source("postgres", "postgres", stage.postgres.config("warehouse"))
        self._data_source("duckdb", "duckdb", {"path": str(stage.lake)})

    def _data_source(self, name: str, kind: str, config: dict[str, Any]) -> None:
        self.stage.door.post("data-sources", body={"name": f"bench_{name}", "kind": kind, "config": config})

    def measure(self, target: str, write: str) -> dict[str, Any]:
        name = f"{target}_{write}"
        self.stage.door.post(
            "tasks",
            body={
                "task": name,
                "kind": "single_table",
                "source": {"data_source": "bench_source", "tables": ["public.orders"]},
                "target": {"data_source": f"bench_{target}", "schema": name, "write": write},
            },
        )
        self.stage.door.post("tasks", name, "submit")
        rows = int(self._one("select count(*) from orders"))
        self._command(name, "run", "Running")
        begun = time.monotonic()
        until(lambda: self._task(name)["phase"] == "incremental", "the copy", DEADLINE_S, 0.05)
        copy_s = time.monotonic() - begun
        self._command(name, "pause", "Paused")
        before = self._counters(name)
        self.source.execute((CHANGES % self.changes).encode())
        end = str(self._one("select pg_current_wal_flush_lsn()"))
        self._command(name, "continue", "Running")
        begun = time.monotonic()
        until(lambda: self._reached(name, end), "the changes", DEADLINE_S, 0.05)
        catch_up_s = time.monotonic() - begun
        after = self._counters(name)
        begun = time.monotonic()
        compared = self._verified(name)
        verify_s = time.monotonic() - begun
        self._command(name, "stop", "Stopped")
        return {
            "target": target,
            "write": write,
            "rows": rows,
            "copy_s": round(copy_s, 2),
            "copy_rows_per_s": round(rows / copy_s),
            "changes": after["changes_written"],
            "catch_up_s": round(catch_up_s, 2),
            "catch_up_rows_per_s": round(after["changes_written"] / catch_up_s),
            "compared": compared,
            "verify_s": round(verify_s, 2),
            "verify_rows_per_s": round(compared / verify_s),
            "worker_cpu_s": round(after["cpu_s"], 1),
            "worker_memory_mb": round(max(before["memory_bytes"], after["memory_bytes"]) / 2**20),
        }

    def _verified(self, name: str) -> int:
        """How many rows were found equal."""
        place = ("tasks", name, "verifications")
        id = self.stage.door.post(*place)["id"]
        until(lambda: self.stage.door.get(*place, id)["verdict"], "the verification", DEADLINE_S, 0.05)
        found = self.stage.door.get(*place, id)
        if found["verdict"] != "equal":
            raise SystemExit(f"{name} is {found['verdict']}: {found}")
        return int(found["findings"][0]["rows_source"])

    def _command(self, name: str, command: str, status: str) -> None:
        self.stage.door.post("tasks", name, "commands", command)
        until(lambda: self._task(name)["status"] == status, f"{name} to be {status}", DEADLINE_S, 0.05)

    def _task(self, name: str) -> dict[str, Any]:
        task: dict[str, Any] = self.stage.door.get("tasks", name)["task"]
        if task["status"] == "Failure":
            raise SystemExit(f"{name} failed: {task['error']}")
        return task

    def _counters(self, name: str) -> dict[str, Any]:
        counters: dict[str, Any] = self._task(name)["counters"]
        return counters

    def _one(self, query: str) -> Any:
        row = self.source.execute(query.encode()).fetchone()
        return row[0] if row else None

    def _reached(self, name: str, end: str) -> bool:
        position = self._task(name)["position"]
        return position is not None and _lsn(position.partition("+")[0]) >= _lsn(end)


def _lsn(text: str) -> int:
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=500_000, help="rows to copy (default: 500000)")
    parser.add_argument("--changes", type=int, default=200_000, help="changes to catch up with (default: 200000)")
    given = parser.parse_args()
    tell = sys.stderr.write
    # Heartbeats ten times a second, because they are the clock of this measurement.
    with Stage(lambda text: tell(text + "\n") and None, TIDEGATE_HEARTBEAT_S="0.1") as stage:
        bench = Bench(stage, given.rows, given.changes)
        measured = [bench.measure(target, write) for target, write in MODES]
        facts = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cpus": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
            "postgres": ".".join(str(part) for part in stage.postgres.version),
        }
    sys.stdout.write(f"{facts}\n\n")
    columns = (
        "target",
        "write",
        "copy_rows_per_s",
        "catch_up_rows_per_s",
        "verify_rows_per_s",
        "worker_cpu_s",
        "worker_memory_mb",
    )
    sys.stdout.write("  ".join(f"{name:>19}" for name in columns) + "\n")
    for row in measured:
        sys.stdout.write("  ".join(f"{row[name]:>19}" for name in columns) + "\n")
    with RESULTS.open("a") as results:
        results.writelines(json.dumps(facts | row) + "\n" for row in measured)


if __name__ == "__main__":
    main()
