"""`python -m tidegate.testing.pace`: tasks follow a source at a steady pace of row changes; forced pauses are made.

How far a target is behind is measured between the databases: by the newest transaction whose row is there, and when the
next one was committed. Exit code 0: the pace was kept, every target is equal at the end, and after each pause it was
less than `LAG_MAX_S` behind again within `BACK_MAX_S` of Continue; 1: else.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from tidegate.testing.crash.campaign import commit, random_seed, tell
from tidegate.testing.crash.ends import ENDS, End
from tidegate.testing.crash.pairs import Pair, all_of
from tidegate.testing.site import Site, eventually

LAG_MAX_S, BACK_MAX_S = 1.0, 30.0
KEPT_MIN = 0.95
"""So much of the pace that was asked for counts as kept."""
PAUSED_S = 3.0
"""How long a task stays paused, so that there is something to catch up with."""
LOOK_S = 0.1
EQUAL_DEADLINE_S = 120.0
TABLES = {"event": "id, account, note, amount, turns", "pulse": "n"}
SCHEMA = (
    "create table event (id bigint primary key, account int not null, note varchar(200), amount decimal(12,2) not null,"
    " turns int not null)",
    "create table pulse (n bigint primary key)",
)
# Of each transaction, with one row of `pulse`; as many rows come as go.
INSERTED, UPDATED, DELETED = 15, 19, 15
CHANGES = INSERTED + UPDATED + DELETED + 1
KEPT_ROWS = 20_000


class Writer(threading.Thread):
    """Transactions of `CHANGES` row changes at a pace, until it is stopped."""

    def __init__(self, source: End, seed: int, changes_s: float) -> None:
        super().__init__(name="writer", daemon=True)
        self._source, self._random, self._tick_s = source, random.Random(seed), CHANGES / changes_s
        self._over = threading.Event()
        self._next_id = 1
        self.committed_at: list[float] = []
        """Of each transaction, when its commit was answered."""
        self.error: Exception | None = None
        with source.connect(1) as connection:
            for statement in SCHEMA:
                connection.execute(statement)
            while self._next_id <= KEPT_ROWS:
                self._insert(connection, 500)

    def run(self) -> None:
        began = time.monotonic()
        try:
            with self._source.connect(1) as connection:
                while not self._over.wait(max(0.0, began + len(self.committed_at) * self._tick_s - time.monotonic())):
                    self._transact(connection)
        except Exception as error:  # noqa: BLE001  raised by end()
            self.error = error

    def end(self) -> None:
        self._over.set()
        self.join(60)
        if self.error is not None:
            raise self.error

    def _transact(self, connection: Any) -> None:
        with connection.transaction():
            oldest = self._next_id - KEPT_ROWS
            self._insert(connection, INSERTED)
            first = self._random.randrange(oldest + DELETED, self._next_id - UPDATED)
            connection.execute(
                "update event set amount = amount + 0.01, turns = turns + 1 where id between %s and %s",
                (first, first + UPDATED - 1),
            )
            connection.execute("delete from event where id between %s and %s", (oldest, oldest + DELETED - 1))
            connection.execute("insert into pulse values (%s)", (len(self.committed_at),))
        self.committed_at.append(time.monotonic())

    def _insert(self, connection: Any, count: int) -> None:
        r, rows = self._random, []
        for _ in range(count):
            rows += [self._next_id, r.randrange(1000), f"{r.getrandbits(256):x}", r.randrange(10**6) / 100]
            self._next_id += 1
        slots = ", ".join(["(%s, %s, %s, %s, 0)"] * count)
        connection.execute(f"insert into event values {slots}", rows)


@dataclass(slots=True)
class Follower:
    """A task, and how far its target is behind."""

    pair: Pair
    target: End | None
    file: Path
    lags_s: list[float] = field(default_factory=list)
    """While nothing was done to it."""
    back_s: list[float] = field(default_factory=list)
    """After each pause, from Continue until it was less than `LAG_MAX_S` behind."""

    @property
    def name(self) -> str:
        return "_".join(self.pair)

    @property
    def schema(self) -> str:
        return "main" if self.target is None else self.name

    def lag_s(self, writer: Writer) -> float | None:
        """None: that cannot be seen now."""
        with suppress(duckdb.Error, *(self.target.missing if self.target is not None else ())):
            newest = self.rows(f'select max(n) from "{self.schema}".pulse')[0][0]
            reached, committed = -1 if newest is None else int(newest), len(writer.committed_at)
            return 0.0 if reached >= committed - 1 else time.monotonic() - writer.committed_at[reached + 1]
        return None

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        if self.target is None:
            with duckdb.connect(str(self.file), read_only=True) as file:
                return file.execute(query).fetchall()
        with self.target.connect(1) as connection:
            return list(connection.execute(query.encode()).fetchall())


class Pace:
    """Use `run` once."""

    def __init__(self, folder: Path, pairs: Sequence[Pair], seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.sources = {kind: ENDS[kind]("src") for kind in dict.fromkeys(pair.source for pair in pairs)}
        self.targets = {kind: ENDS[kind]("dst") for kind in dict.fromkeys(p.target for p in pairs) if kind in ENDS}
        self.followers = [
            Follower(pair, self.targets.get(pair.target), folder / f"{'_'.join(pair)}.duckdb") for pair in pairs
        ]
        self.writers: dict[str, Writer] = {}
        self.held = ExitStack()

    def run(self, minutes: float, pauses: int, changes_s: float) -> dict[str, Any]:
        with self.held:
            self._start(changes_s)
            began = time.monotonic()
            for writer in self.writers.values():
                writer.start()
            for number in range(pauses):
                self._watch(began + (number + 0.5) * minutes * 60 / pauses)
                self._pause(self.followers[number % len(self.followers)])
            self._watch(began + minutes * 60)
            lasted_s = time.monotonic() - began
            for writer in self.writers.values():
                writer.end()
            unequal = [f"{follower.name}: {table}" for follower in self.followers for table in self._unequal(follower)]
        kept = {kind: len(writer.committed_at) * CHANGES / lasted_s for kind, writer in self.writers.items()}
        return {
            "minutes": round(lasted_s / 60, 1),
            "changes_per_s": {kind: round(found) for kind, found in kept.items()},
            "kept_pace": min(kept.values()) >= KEPT_MIN * changes_s,
            "pauses": pauses,
            "back_s": {one.name: [round(each, 1) for each in one.back_s] for one in self.followers},
            "lag_s": {one.name: _spread(one.lags_s) for one in self.followers},
            "unequal": unequal,
        }

    def _start(self, changes_s: float) -> None:
        site = self.site = Site(self.folder)
        for end in (*self.sources.values(), *self.targets.values()):
            self.held.enter_context(end.server)
            end.create(1)
        self.held.callback(site.close)
        site.start()
        for end in (*self.sources.values(), *self.targets.values()):
            site.ask("POST", "/data-sources", {"name": end.name(1), "kind": end.kind, "config": end.config(1)})
        self.writers = {kind: Writer(source, self.seed, changes_s) for kind, source in self.sources.items()}
        for follower in self.followers:
            self._task(follower)

    def _task(self, follower: Follower) -> None:
        source, target = self.sources[follower.pair.source], follower.target
        if target is None:
            body = {"name": follower.name, "kind": "duckdb", "config": {"path": str(follower.file)}}
            self.site.ask("POST", "/data-sources", body)
        definition = {
            "task": follower.name,
            "kind": "whole_database",
            "source": {
                "data_source": source.name(1),
                "tables": [f"{source.schema(1)}.{table}" for table in TABLES],
            },
            "target": {
                "data_source": follower.name if target is None else target.name(1),
                "write": follower.pair.write,
                "schema": follower.schema,
            },
        }
        self.site.ask("POST", "/tasks", definition)
        self.site.ask("POST", f"/tasks/{follower.name}/submit", {})
        self.site.command(follower.name, "run")
        self.site.becomes(follower.name, "Running")

    def _watch(self, until: float) -> None:
        """What is seen of all of them until then."""
        while time.monotonic() < until:
            for follower in self.followers:
                lag_s = follower.lag_s(self.writers[follower.pair.source])
                if lag_s is not None:
                    follower.lags_s.append(lag_s)
            time.sleep(LOOK_S)

    def _pause(self, follower: Follower) -> None:
        writer = self.writers[follower.pair.source]
        self.site.command(follower.name, "force-pause")
        self.site.becomes(follower.name, "Paused")
        time.sleep(PAUSED_S)
        self.site.command(follower.name, "continue")
        began = time.monotonic()

        def back() -> bool:
            lag_s = follower.lag_s(writer)
            return lag_s is not None and lag_s < LAG_MAX_S

        eventually(back, f"{follower.name} is less than {LAG_MAX_S:g} s behind", 10 * BACK_MAX_S)
        follower.back_s.append(time.monotonic() - began)
        tell(f"{follower.name} was back after {follower.back_s[-1]:.1f} s")

    def _unequal(self, follower: Follower) -> list[str]:
        """Tables whose rows differ although there was time enough."""
        source = self.sources[follower.pair.source]

        def differing() -> list[str]:
            found = []
            for table, columns in TABLES.items():
                query = f'select {columns} from "{{}}".{table} order by 1'
                with source.connect(1) as connection:
                    wanted = connection.execute(query.format(source.schema(1)).encode()).fetchall()
                arrived = None
                with suppress(duckdb.Error, *(follower.target.missing if follower.target is not None else ())):
                    arrived = follower.rows(query.format(follower.schema))
                if arrived is None or list(wanted) != arrived:
                    found.append(table)
            return found

        until = time.monotonic() + EQUAL_DEADLINE_S
        while (found := differing()) and time.monotonic() < until:
            time.sleep(0.5)
        return found


def _spread(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2), "max": round(max(values), 2)}


def right(measured: dict[str, Any]) -> bool:
    """Whether what was measured is as it should be."""
    slow = [each for found in measured["back_s"].values() for each in found if each > BACK_MAX_S]
    return bool(measured["kept_pace"]) and not measured["unequal"] and not slow


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tidegate.testing.pace", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pauses", type=int, default=20, help="forced ones, spread over the time and the tasks")
    parser.add_argument("--changes-per-second", type=float, default=5000.0, help="of rows, at each source")
    parser.add_argument("--pairs", default="mariadb:postgres:upsert", metavar="SOURCE:TARGET:upsert,…")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--results", type=Path, help="folder for pace-<date>-<commit>.json; else standard output")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random_seed()
    pairs = all_of(given.pairs.split(","))
    if any(pair.write != "upsert" for pair in pairs):
        parser.error("targets are compared row by row: name pairs as in mariadb:postgres:upsert")
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="tidegate-pace-") as folder:
        measured = Pace(Path(folder), pairs, seed).run(given.minutes, given.pauses, given.changes_per_second)
    head = {"commit": (at := commit()), "seed": seed, "began": began.isoformat(timespec="seconds")}
    said = json.dumps(head | {"pairs": [str(pair) for pair in pairs]} | measured, indent=1, ensure_ascii=False)
    if given.results is not None:
        given.results.mkdir(parents=True, exist_ok=True)
        (given.results / f"pace-{began:%Y%m%d}-{at}.json").write_text(said + "\n")
    sys.stdout.write(said + "\n")
    return 0 if right(measured) else 1


if __name__ == "__main__":
    sys.exit(main())
