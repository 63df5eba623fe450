"""A table of PostgreSQL into a DuckDB file by dlt, with one of its backends: `dlt_copy.py GIVEN ANSWER`. The time is
that of the pipeline's run; loading Python's modules is not in it. Runs in an environment of its own (`dlt.txt`)."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt
from dlt.sources.sql_database import sql_table

CHUNK_ROWS = 100_000


def main() -> None:
    given, answer = json.loads(sys.argv[1]), Path(sys.argv[2])
    backend = given["backend"]
    more = {"backend_kwargs": {"return_type": "arrow"}} if backend == "connectorx" else {}
    rows = sql_table(given["source"], table=given["table"], backend=backend, chunk_size=CHUNK_ROWS, **more)
    pipeline = dlt.pipeline("bench", destination=dlt.destinations.duckdb(given["path"]), dataset_name="copied")
    began, began_cpu = time.perf_counter(), _cpu_s()
    pipeline.run(rows, write_disposition="replace")
    wall_s = time.perf_counter() - began
    most = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    found = {"wall_s": wall_s, "cpu_s": _cpu_s() - began_cpu, "memory_mb": int(most[1]) / 1024 if most else 0.0}
    answer.write_text(json.dumps(found))


def _cpu_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


if __name__ == "__main__":
    main()
