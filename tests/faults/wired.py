"""A source and a target that a run reaches through proxies; a workload that shows what was lost, doubled or torn."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import psycopg

from pipeline.pairs import Pair
from pipeline.rig import eventually
from tidegate.connect.config import parse_config
from tidegate.sources.postgres import PostgresSource
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.proxy import Proxy
from tidegate.testing.servers import PostgresServer


class Wired(Pair):
    """Two databases; runs go through `to_source` and `to_target`, the test itself does not."""

    def __init__(self, server: PostgresServer, source: str, target: str, *, seed: int = 0) -> None:
        super().__init__(server, source, target)
        self.to_source = Proxy((server.host, server.port), seed=seed)
        self.to_target = Proxy((server.host, server.port), seed=seed + 1)
        self.proxies = (self.to_source, self.to_target)
        short = {"connect_timeout_s": 2}
        self.source_config = parse_config(
            PostgresSource.Config, server.config(source) | short | {"port": self.to_source.port}, of="src"
        )
        self.target_config = parse_config(
            PostgresTarget.Config, server.config(target) | short | {"port": self.to_target.port}, of="dst"
        )

    @property
    def cuts(self) -> int:
        return sum(proxy.counts.cuts for proxy in self.proxies)

    def heal(self) -> None:
        for proxy in self.proxies:
            proxy.heal()

    def close(self) -> None:
        self.heal()
        super().close()
        for proxy in self.proxies:
            proxy.close()


TABLES = ["public.ledger", "public.account"]
SCHEMA = """
create table ledger (seq bigint primary key, change int not null, note text);
create table account (id int primary key, amount bigint not null, version bigint not null);
"""
ACCOUNTS = 200


class Workload:
    """Transactions that each add the next number to `ledger`, move money between two accounts and, at times, remove
    an account and bring it back. `written` is the newest number committed; `end` writes no more."""

    def __init__(self, pair: Pair, seed: int, *, ledger_rows: int = 0, pause_s: float = 0.005) -> None:
        self._conninfo = pair.source_conninfo
        self._random = random.Random(seed)
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._error: Exception | None = None
        self.copied_rows = self.written = ledger_rows
        pair.source.execute(SCHEMA)
        pair.source.execute("insert into account select i, 1000, 0 from generate_series(1, %s) i", (ACCOUNTS,))
        pair.source.execute(
            "insert into ledger select i, 0, repeat('x', (i %% 200)::int) from generate_series(1, %s) i", (ledger_rows,)
        )

    def start(self) -> Workload:
        self._thread.start()
        return self

    def end(self) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def write(self, transactions: int) -> None:
        """On the caller's thread."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            for _ in range(transactions):
                self._transact(connection)

    def _write(self) -> None:
        try:
            with psycopg.connect(self._conninfo, autocommit=True) as connection:
                while not self._stop.wait(self._pause_s):
                    self._transact(connection)
        except Exception as error:  # noqa: BLE001  raised by end()
            self._error = error

    def _transact(self, connection: psycopg.Connection) -> None:
        r = self._random
        one, two = r.sample(range(1, ACCOUNTS + 1), 2)
        amount, seq = r.randrange(1, 10), self.written + 1
        with connection.transaction():
            connection.execute("insert into ledger values (%s, %s, %s)", (seq, amount, "y" * r.randrange(300)))
            for account, change in ((one, -amount), (two, amount)):
                connection.execute(
                    "update account set amount = amount + %s, version = %s where id = %s", (change, seq, account)
                )
            if r.random() < 0.1:
                connection.execute("delete from account where id = %s", (one,))
                connection.execute("insert into account values (%s, 0, %s)", (one, -seq))
        self.written = seq


def newest(pair: Pair) -> int:
    """The newest number of the ledger that arrived."""
    rows = pair.arrived("select coalesce(max(seq), 0) from ledger")
    return int(rows[0][0]) if rows else 0


def exact(pair: Pair, write: str) -> list[str]:
    """What is wrong at the target now that the source rests; nothing when it is exactly equal."""
    if write == "upsert":
        return [table for table in ("ledger", "account") if not pair.equal(table)]
    wrong = []
    counted = pair.arrived("select count(*), count(distinct seq), coalesce(max(seq), 0) from ledger")
    if counted != pair.rows("select count(*), count(*), coalesce(max(seq), 0) from ledger"):
        wrong.append(f"ledger: rows, distinct, newest are {counted}")
    for table in ("ledger", "account"):
        twice = f"select count(*) - count(distinct _tidegate_position) from {table} where _tidegate_op <> 'read'"
        if pair.arrived(twice) != [(0,)]:
            wrong.append(f"{table}: a change is there twice")
    last = (
        "select id, amount, version from (select distinct on (id) * from account"
        " order by id, _tidegate_position desc) x where _tidegate_op <> 'delete' order by id"
    )
    if pair.arrived(last) != pair.rows("select id, amount, version from account order by id"):
        wrong.append("account: the newest changes are not the source's rows")
    return wrong


def becomes_exact(pair: Pair, write: str, reaches: Callable[..., None], deadline_s: float = 60.0) -> None:
    """Wait until everything is there, then hold it to be exact; what is there twice stays wrong."""
    reaches(lambda: exact(pair, write) == [], f"target equals source ({exact(pair, write)})", deadline_s)
    time.sleep(0.1)
    assert exact(pair, write) == []


__all__ = ["TABLES", "Wired", "Workload", "becomes_exact", "eventually", "exact", "newest"]
