"""A workload that can be audited: dense numbers in every transaction, and a sum that transfers keep."""

from __future__ import annotations

import random
import threading

import psycopg

ACCOUNTS = 200
TOTAL = ACCOUNTS * 1_000

SCHEMA = f"""
create table account (id int primary key, amount int not null, note text);
create table ledger (n bigint primary key, a int, b int);
insert into account select i, 1000, repeat('n', i) from generate_series(1, {ACCOUNTS}) i;
"""


class Shop:
    """One writer thread: each transaction inserts the next number and moves money between two accounts."""

    def __init__(self, conninfo: str, seed: int, pause_s: float = 0.002) -> None:
        self.conninfo, self.pause_s = conninfo, pause_s
        self.r = random.Random(seed)
        self.committed = 0
        self.error: Exception | None = None
        self._stop, self._busy = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def create(self) -> Shop:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(SCHEMA)
        return self

    def start(self) -> Shop:
        self._thread.start()
        return self

    def hold(self) -> None:
        """Nothing is written once this returns, until `go`."""
        self._busy.acquire()

    def go(self) -> None:
        self._busy.release()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)
        if self.error is not None:
            raise self.error

    def _write(self) -> None:
        try:
            with psycopg.connect(self.conninfo) as connection:
                while not self._stop.wait(self.pause_s):
                    with self._busy:
                        self._transfer(connection)
        except Exception as error:  # noqa: BLE001  raised by stop()
            self.error = error

    def _transfer(self, connection: psycopg.Connection) -> None:
        a, b = sorted(self.r.sample(range(1, ACCOUNTS + 1), 2))
        number = self.committed + 1
        connection.execute("insert into ledger values (%s, %s, %s)", (number, a, b))
        connection.execute("update account set amount = amount - 1 where id = %s", (a,))
        connection.execute("update account set amount = amount + 1 where id = %s", (b,))
        connection.commit()
        self.committed = number


def audit_append(target: psycopg.Connection, shop: Shop) -> str:
    """What is wrong with the appended ledger: numbers lost or there more than once; empty if nothing is."""
    row = target.execute("select count(*), count(distinct n), coalesce(max(n), 0) from ledger").fetchone()
    count, distinct, newest = row or (0, 0, 0)
    if (count, distinct, newest) == (shop.committed,) * 3:
        return ""
    return f"committed {shop.committed}: {count} rows, {distinct} distinct, newest {newest}"
