"""A workload whose copy can be audited to the last row: dense numbers in every transaction, a sum that transfers keep,
and rows that are changed, moved to other keys, deleted and made again. PostgreSQL's and MariaDB's writers are the same.

Whether a transaction whose commit was cut off took place is read back from the source: what counts as committed is
what the source holds.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.testing.tongue import POSTGRES, Tongue

ACCOUNTS = 100
TOTAL = ACCOUNTS * 1_000
TABLES = ("account", "ledger", "item")
KEYS = {"account": ("id",), "ledger": ("writer", "n"), "item": ("k",)}
AWAY_MAX_S = 60.0
BULK_ITEMS = 90


@dataclass(slots=True)
class Load:
    """How much is written."""

    writers: int = 2
    items: int = 1_000
    """Keys of `item`; about two thirds of them exist at any time."""
    pause_s: float = 0.01
    """Between two transactions of a writer."""
    truncates: bool = False
    """Now and then `item` is emptied, where a transaction can."""
    synchronous: int = 0
    """So many of the writers wait for a synchronous standby, where there can be one."""
    bulk_share: float = 0.0
    """So many of the transactions change `BULK_ITEMS` keys, some 150 kB."""


class Workload:
    """Writers on threads; everything they do follows from `seed` but for the servers' timing. A source that goes away
    is waited for."""

    def __init__(
        self, connect: Callable[[], Any], seed: int, load: Load | None = None, tongue: Tongue = POSTGRES
    ) -> None:
        """`connect` gives connections with psycopg's methods, not in autocommit mode, to a server of this tongue."""
        self._connect = connect
        self._tongue = tongue
        self.seed = seed
        self.load = load or Load()
        self.committed: Counter[int] = Counter()
        """Writer → the newest number it has committed."""
        self.reconnects = 0
        self._errors: list[Exception] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def create(self) -> Workload:
        """Make the tables and their first rows."""
        with self._connect() as connection:
            for statement in self._tongue.schema:
                connection.execute(statement)
            for i in range(1, ACCOUNTS + 1):
                connection.execute("insert into account values (%s, 1000, %s)", (i, "n" * (i % 50)))
            made = f"insert into item values (%s, {self._tongue.next_step}, %s, %s)"
            for i in range(1, self.load.items + 1):
                if i % 3:
                    connection.execute(made, (i, f"n{i}", str(i) * 900))
            connection.execute(self._tongue.filled)
            connection.commit()
        return self

    def start(self) -> Workload:
        for writer in range(1, self.load.writers + 1):
            thread = threading.Thread(target=self._write, args=(writer,), name=f"writer-{writer}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    @property
    def alive(self) -> bool:
        """Whether anybody writes."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Raises what ended a writer."""
        self._stop.set()
        for thread in self._threads:
            thread.join(AWAY_MAX_S)
        if self._errors:
            raise self._errors[0]
        if self.alive:
            raise TimeoutError(f"a writer hangs for {AWAY_MAX_S:.0f} s: its commit or its lock is not granted")

    def _write(self, writer: int) -> None:
        r = random.Random(self.seed * 1_000 + writer)
        away_since: float | None = None
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    waits = writer <= self.load.synchronous
                    connection.execute(self._tongue.waits if waits else self._tongue.hurries)
                    connection.commit()
                    self.committed[writer] = self._newest(connection, writer)
                    away_since = None
                    self._transactions(connection, r, writer)
            except self._tongue.away as error:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > AWAY_MAX_S:
                    self._errors.append(error)
                    return
                self.reconnects += 1
                self._stop.wait(0.1)
            except Exception as error:  # noqa: BLE001  raised by stop()
                self._errors.append(error)
                return
        self._settle(writer)

    def _settle(self, writer: int) -> None:
        """What the last transaction came to, should its end have been cut off."""
        until = time.monotonic() + AWAY_MAX_S
        while True:
            try:
                with self._connect() as connection:
                    self.committed[writer] = self._newest(connection, writer)
                return
            except self._tongue.away as error:
                if time.monotonic() > until:
                    self._errors.append(error)
                    return
                time.sleep(0.1)

    def _newest(self, connection: Any, writer: int) -> int:
        row = connection.execute("select coalesce(max(n), 0) from ledger where writer = %s", [writer]).fetchone()
        connection.commit()
        return int(row[0]) if row else 0

    def _transactions(self, connection: Any, r: random.Random, writer: int) -> None:
        while not self._stop.wait(self.load.pause_s * (0.5 + r.random())):
            try:
                self._transaction(connection, r, writer)
                connection.commit()
            except self._tongue.errors as error:
                if not self._tongue.in_the_way(error):
                    raise
                connection.rollback()
                continue
            self.committed[writer] += 1

    def _transaction(self, connection: Any, r: random.Random, writer: int) -> None:
        number = self.committed[writer] + 1
        connection.execute("insert into ledger values (%s, %s, %s)", (writer, number, "x" * r.randrange(40)))
        a, b = sorted(r.sample(range(1, ACCOUNTS + 1), 2))
        connection.execute("update account set amount = amount - %s where id = %s", (number % 7, a))
        for _ in range(r.choice((0, 1, 1, 2))):
            self._change_item(connection, r)
        if r.random() < 0.1:
            connection.execute("savepoint s")
            self._change_item(connection, r)
            connection.execute("rollback to s" if r.random() < 0.5 else "release savepoint s")
        if self.load.bulk_share and r.random() < self.load.bulk_share:
            self._change_many_items(connection, r)
        if self.load.truncates and r.random() < 0.005:
            for statement in self._tongue.empties:
                connection.execute(statement)
        connection.execute("update account set amount = amount + %s where id = %s", (number % 7, b))

    def _change_many_items(self, connection: Any, r: random.Random) -> None:
        first, big = r.randint(1, self.load.items), f"{r.getrandbits(64):x}" * 150
        connection.execute(
            f"update item set step = {self._tongue.next_step}, big = %s where k >= %s and k < %s",
            (big, first, first + BULK_ITEMS),
        )

    def _change_item(self, connection: Any, r: random.Random) -> None:
        k, x, step = r.randint(1, self.load.items), r.random(), self._tongue.next_step
        big = f"{r.getrandbits(64):x}" * 150
        if x < 0.35:
            connection.execute(f"update item set step = {step}, note = concat('u', note) where k = %s", [k])
        elif x < 0.45:
            connection.execute(f"update item set step = {step}, big = %s where k = %s", (big, k))
        elif x < 0.6:
            moved = r.randint(1, self.load.items)
            connection.execute(
                f"update item set k = %s, step = {step} where k = %s and not exists (select 1 from item where k = %s)",
                (moved, k, moved),
            )
        elif x < 0.75:
            connection.execute("delete from item where k = %s", [k])
        else:
            connection.execute("delete from item where k = %s", [k])
            connection.execute(f"insert into item values (%s, {step}, 'new', %s)", (k, big))


# --- what is wrong with a copy ----------------------------------------------------------------------------------

Row = tuple[Any, ...]


@dataclass(slots=True)
class Verdict:
    """What is wrong; nothing is, if all are 0 and `notes` is empty. `rows` is how many were looked at."""

    rows: int = 0
    lost: int = 0
    doubled: int = 0
    invented: int = 0
    reordered: int = 0
    stale: int = 0
    torn: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not (self.lost or self.doubled or self.invented or self.reordered or self.stale or self.torn)

    def add(self, other: Verdict) -> Verdict:
        """Both together."""
        for name in ("rows", "lost", "doubled", "invented", "reordered", "stale", "torn"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.notes += other.notes
        return self


def judge_ledger(
    committed: Mapping[int, int], arrived: Sequence[tuple[int, int]], logged: Sequence[tuple[int, int]] = ()
) -> Verdict:
    """`arrived` are all (writer, number); every number from 1 to the committed one must be there once. `logged` are
    those of them that came by the log, in the order of the target's log: each writer's must be in their order."""
    verdict = Verdict(rows=len(arrived))
    by_writer: dict[int, list[int]] = defaultdict(list)
    for writer, number in arrived:
        by_writer[writer].append(number)
    newest_of: dict[int, int] = {}
    for writer, number in logged:
        verdict.reordered += number < newest_of.get(writer, 0)
        newest_of[writer] = number
    for writer in committed.keys() | by_writer.keys():
        found, newest = by_writer[writer], committed.get(writer, 0)
        counts = Counter(found)
        lost = [n for n in range(1, newest + 1) if n not in counts]
        doubled = [n for n, count in counts.items() if count > 1]
        invented = [n for n in counts if not 1 <= n <= newest]
        verdict.lost += len(lost)
        verdict.doubled += len(doubled)
        verdict.invented += len(invented)
        for what, numbers in (("lost", lost), ("doubled", doubled), ("invented", invented)):
            if numbers:
                verdict.notes.append(f"ledger of writer {writer}: {what} {numbers[:10]} of {newest}")
    return verdict


def judge_rows(table: str, source: Iterable[Row], target: Iterable[Row], key_width: int) -> Verdict:
    """Rows that begin with their key, from both sides: each must be there once and be the same."""
    wanted = {row[:key_width]: row for row in source}
    verdict = Verdict()
    seen: Counter[Row] = Counter()
    for row in target:
        verdict.rows += 1
        key = row[:key_width]
        seen[key] += 1
        if key not in wanted:
            verdict.invented += 1
        elif seen[key] == 1 and wanted[key] != row:
            verdict.stale += 1
            verdict.notes.append(f"{table} {key}: differs")
    verdict.doubled += sum(count > 1 for count in seen.values())
    verdict.lost += len(wanted.keys() - seen.keys())
    for what, keys in (("lost", wanted.keys() - seen.keys()), ("invented", seen.keys() - wanted.keys())):
        if keys:
            verdict.notes.append(f"{table}: {what} {sorted(keys)[:10]}")
    verdict.notes = verdict.notes[:20]
    return verdict


def fold(changes: Iterable[tuple[str, Row]], key_width: int) -> list[Row]:
    """The rows left when (operation, row) are applied in order; a delete's row needs only its key."""
    held: dict[Row, Row] = {}
    for op, row in changes:
        if op == "delete":
            held.pop(row[:key_width], None)
        else:
            held[row[:key_width]] = row
    return list(held.values())
