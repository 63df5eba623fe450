"""A task under fire: commands that take a dying server for granted, and the audit of what it copied."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import duckdb

from tidegate.model.lifecycle import MOVES
from tidegate.testing.crash.pairs import Pair
from tidegate.testing.crash.stage import Stage
from tidegate.testing.faults import Trace
from tidegate.testing.ledger import KEYS, TABLES, TOTAL, Verdict, Workload, fold, judge_ledger, judge_rows
from tidegate.testing.site import Refused, WorkerProcess

DEADLINE_S = 60.0
SETTLE_S = 30.0
"""How long a task may take to be equal once nothing happens any more."""
# What shows that the worker has written something since it began.
PROGRESS = ("batch.committed", "chunk.written")
LEGAL = {(origin.value, move.name, move.target.value) for move in MOVES for origin in move.sources}


class Stuck(AssertionError):
    """Something that must happen by itself did not."""


class Victim:
    """One task of a round."""

    def __init__(self, stage: Stage, number: int, pair: Pair) -> None:
        self.stage, self.number, self.pair, self.write = stage, number, pair, pair.write
        self.source = stage.sources[pair.source]
        self.target = stage.targets.get(pair.target)
        """None: a file."""
        self.name = f"{pair.source}_{pair.target}_{pair.write}_{number}"
        self.file = stage.folder / f"{self.name}.duckdb"
        self.schema = "main" if self.target is None else self.name
        self.id = 0
        self.torn = 0
        """How often a reader of the target saw half a transfer."""
        self.looks = 0
        """How often one looked when it could have."""

    def create(self, run: bool = True) -> Victim:
        target, schema = self.name, self.source.schema(self.number)
        if self.target is not None:
            target = self.target.name(self.number)
        else:
            config = {"path": str(self.file)}
            self.stage.ask("POST", "/data-sources", {"name": target, "kind": "duckdb", "config": config})
        definition = {
            "task": self.name,
            "kind": "whole_database",
            "source": {
                "data_source": self.source.name(self.number),
                "tables": [f"{schema}.{table}" for table in TABLES],
            },
            "target": {"data_source": target, "write": self.write, "schema": self.schema},
            "restarts": {"max": -1},
            "snapshots": {"every": "1s"},
        }
        self.id = int(self.stage.ask("POST", "/tasks", definition)["task"]["id"])
        self.stage.ask("POST", f"/tasks/{self.name}/submit", {})
        if run:
            self.command("run")
        return self

    # --- commands ---

    def task(self) -> dict[str, Any]:
        return dict(self.stage.ask("GET", f"/tasks/{self.name}")["task"])

    def status(self) -> str:
        return str(self.task()["status"])

    def command(self, command: str) -> bool:
        """Whether it was taken; a server that died on it may have taken it all the same."""
        try:
            self.stage.ask("POST", f"/tasks/{self.name}/commands/{command}")
        except Refused as refused:
            if refused.problem.get("status") in (409, 502, 503, 504):
                return False  # not in this status, or an end is away
            raise
        return True

    def becomes(self, *statuses: str, deadline_s: float = DEADLINE_S) -> str:
        until = time.monotonic() + deadline_s
        while (status := self.status()) not in statuses:
            if status in ("Failure", "Detection Exception") or time.monotonic() > until:
                raise Stuck(f"{self.name} is {status}, not {' or '.join(statuses)}: {self._why()}")
            time.sleep(0.05)
        return status

    def _why(self) -> str:
        task = self.task()
        return str((task.get("error") or {}).get("detail", task))

    def stop(self) -> None:
        """Ask again until it is Stopped: in the middle of another step the command is refused."""
        until = time.monotonic() + 2 * DEADLINE_S
        while (status := self.status()) != "Stopped":
            if time.monotonic() > until:
                raise Stuck(f"{self.name} is {status}, not Stopped: {self._why()}")
            self.command("stop")
            time.sleep(0.1)

    def clear(self) -> None:
        """A log of changes keeps what earlier runs appended; the audit is of one run."""
        if self.write != "append":
            return
        if self.target is None:
            self.file.unlink(missing_ok=True)
            self.file.with_name(self.file.name + ".wal").unlink(missing_ok=True)
            return
        with self.stage.database_lock:
            self.target.drop_schema(self.number, self.schema)

    # --- its worker ---

    def worker(self) -> WorkerProcess | None:
        """The newest living one."""
        mine = [w for w in self.stage.site.processes() if f"_t{self.id}r" in w.run]
        return max(mine, key=lambda w: w.epoch, default=None)

    def trace(self, worker: WorkerProcess) -> Trace:
        return self.stage.faults.trace(worker.pid, worker.since)

    def crossings(self, worker: WorkerProcess) -> int:
        return sum(self.trace(worker).counts.values())

    def heir(self, epoch: int) -> WorkerProcess:
        """The next worker after that epoch, which may not have done anything yet."""
        until = time.monotonic() + DEADLINE_S
        while (worker := self.worker()) is None or worker.epoch <= epoch:
            if time.monotonic() > until:
                raise Stuck(f"{self.name} ({self.status()}) gets no worker after epoch {epoch}: {self._why()}")
            time.sleep(0.02)
        return worker

    def at_work(self, deadline_s: float = DEADLINE_S, newer_than: int = 0) -> WorkerProcess:
        """A worker that has written something, of a later epoch than `newer_than`."""
        until = time.monotonic() + deadline_s
        while True:
            worker = self.worker()
            if worker is not None and worker.epoch > newer_than:
                counts = self.trace(worker).counts
                if any(counts[point] for point in PROGRESS):
                    return worker
            if time.monotonic() > until:
                raise Stuck(f"{self.name} ({self.status()}) has no worker that writes: {self._why()}")
            time.sleep(0.02)

    # --- audits ---

    def look(self) -> None:
        """What a reader sees at this moment: once its table is in step, the sum of all accounts must be whole."""
        if self.target is None or self.write != "upsert":
            return
        query = f'select (select sum(amount) from "{self.schema}".account), ({self.target.in_step(self.id)})'
        with suppress(*self.target.missing, *self.target.tongue.away), self.target.connect(self.number) as connection:
            found = connection.execute(query.encode()).fetchone()
            if found is not None and found[1] in (True, "1"):
                self.looks += 1
                self.torn += found[0] != TOTAL

    def settled(self, workload: Workload) -> tuple[Verdict, float]:
        """Wait until the copy is equal; what is wrong when it is not in time, and the seconds it took."""
        began = time.monotonic()
        while True:
            verdict = self.judge(workload)
            if verdict.right or time.monotonic() - began > SETTLE_S:
                verdict.torn += self.torn
                return verdict, time.monotonic() - began
            time.sleep(0.2)

    def judge(self, workload: Workload) -> Verdict:
        schema = self.source.schema(self.number)
        with self.source.connect(self.number) as source:
            held = {
                table: list(source.execute(_READ[table].format(place=f'"{schema}"."{table}"').encode()).fetchall())
                for table in TABLES
            }
        missing = self.target.missing if self.target is not None else (duckdb.CatalogException,)
        try:
            arrived = self._arrived()
        except missing:
            return Verdict(lost=1, notes=["the tables are not there"])
        except duckdb.IOException:
            return Verdict(lost=1, notes=["the file is in use"])
        if self.write == "append":
            return self._judge_append(workload, held, arrived)
        verdict = judge_ledger(workload.committed, [(w, n) for _, (w, n, *_) in arrived["ledger"]])
        for table in TABLES:
            verdict.add(judge_rows(table, held[table], (row for _, row in arrived[table]), len(KEYS[table])))
        return verdict

    def _judge_append(
        self, workload: Workload, held: dict[str, list[Any]], arrived: dict[str, list[tuple[str, Any]]]
    ) -> Verdict:
        logged = [(w, n) for op, (w, n, *_) in arrived["ledger"] if op != "read"]
        verdict = judge_ledger(workload.committed, [(w, n) for _, (w, n, *_) in arrived["ledger"]], logged)
        changes = [row[1] for op, row in arrived["item"] if op != "delete"]
        verdict.rows += len(arrived["item"]) + len(arrived["account"])
        twice = len(changes) - len(set(changes))
        verdict.doubled += twice
        if twice:
            verdict.notes.append(f"item: {twice} changes are there twice")
        for table in ("item", "account"):
            width = len(KEYS[table])
            # PostgreSQL's log is without the large values that an update left alone.
            cut = 3 if self.source.kind == "postgres" else 4
            folded = [row[:cut] for row in fold(arrived[table], width)]
            one = judge_rows(table, (row[:cut] for row in held[table]), folded, width)
            one.rows = 0
            verdict.add(one)
        return verdict

    def _arrived(self) -> dict[str, list[tuple[str, Any]]]:
        """Table → (operation, row) in the order of the target's log."""
        append = self.write == "append"
        found: dict[str, list[tuple[str, Any]]] = {}
        execute, close = self._reader()
        try:
            for table in TABLES:
                query = _READ[table].format(place=f'"{self.schema}"."{table}"')
                if append:
                    query = query.replace(" from ", ", _tidegate_op from ").partition(" order by ")[0]
                    query += " order by _tidegate_position"
                rows = execute(query)
                found[table] = [(row[-1], tuple(row[:-1])) if append else ("", tuple(row)) for row in rows]
        finally:
            close()
        return found

    def _reader(self) -> tuple[Callable[[str], list[Any]], Callable[[], None]]:
        if self.target is not None:
            connection = self.target.connect(self.number)
            return (lambda query: connection.execute(query.encode()).fetchall()), connection.close
        file = duckdb.connect(str(self.file), read_only=True)
        return (lambda query: file.execute(query).fetchall()), file.close

    def judge_history(self) -> list[str]:
        """What is wrong with the task's key events: every change of state must be a legal move, in one chain."""
        wrong, at = [], None
        events = self.stage.ask("GET", f"/tasks/{self.name}/events", limit=1000)
        for event in reversed(events):
            if event["state_from"] is None:
                continue
            step = (event["state_from"], event["name"], event["state_to"])
            if step not in LEGAL:
                wrong.append(f"{self.name}: {step} is no legal move")
            if at is not None and at != event["state_from"]:
                wrong.append(f"{self.name}: {step} begins where nothing ended ({at})")
            at = event["state_to"]
        return wrong

    def end(self) -> list[str]:
        """Stop it; what is left of it afterwards and must not be."""
        self.stop()
        left: list[str] = []
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until and (left := self._leftovers()):
            time.sleep(0.1)
        return left

    def _leftovers(self) -> list[str]:
        left = [f"{self.name}: {what}" for what in self.source.kept_for(self.number, self.id)]
        if self.target is not None:
            left += [f"{self.name}: state of {run}" for run in self.target.state_of(self.number, self.id)]
        worker = self.worker()
        return [*left, f"{self.name}: process {worker.pid}"] if worker is not None else left


_READ = {
    "account": "select id, amount, note from {place} order by id",
    "ledger": "select writer, n, note from {place} order by writer, n",
    "item": "select k, step, note, big from {place} order by k",
}
