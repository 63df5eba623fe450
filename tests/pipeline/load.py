"""Random concurrent writers for the hand-over tests: inserts, updates, key moves, deletes with re-insert, transfers,
savepoints, prepared and long transactions, TRUNCATE, large values left untouched."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress

import psycopg

WORDS = (
    "a",
    "A",
    "b",
    "B",
    "c",
    "ä",
    "Z",
    "z",
    "é",
    "E",
    "e_",
    "e-",
    "e.",
    "1",
    "10",
    "2",
    "öl",
    "Öl",
    "漢",
    "ß",
    "ss",
)
KEYED = ("t_int", "t_txt", "t_two")
SCHEMA = """
create sequence opid;
create table t_int (k bigint primary key, opid bigint, amt int, big text);
create table t_txt (k text primary key, opid bigint, amt int, big text);
create table t_two (a int, b uuid, opid bigint, amt int, big text, primary key (a, b));
create table t_nokey (k int, opid bigint, amt int, big text);
alter table t_nokey replica identity full;
alter table t_int alter big set storage external;
alter table t_txt alter big set storage external;
alter table t_two alter big set storage external;
"""


def where(table: str) -> str:
    return "a = %s and b = %s" if table == "t_two" else "k = %s"


class Load:
    """Writers on threads until `stop`; `errors` are what they hit besides conflicts. Everything follows from `seed`
    but for the servers' timing."""

    def __init__(self, conninfo: str, seed: int, *, writers: int = 3, keys: int = 400, truncates: bool = True) -> None:
        self.conninfo, self.seed, self.keys, self.truncates = conninfo, seed, keys, truncates
        self.committed = 0
        self.errors: list[Exception] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(i,), daemon=True) for i in range(writers)]

    def fill(self, rows: int) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(SCHEMA)
            r = random.Random(self.seed)
            for table in (*KEYED, "t_nokey"):
                for _ in range(rows):
                    self._insert(connection, r, table)

    def start(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        if self.errors:
            raise self.errors[0]

    def _key(self, r: random.Random, table: str) -> tuple[object, ...]:
        i = r.randrange(self.keys)
        if table == "t_txt":
            return (r.choice(WORDS) * (1 + i % 3) + str(i % (self.keys // 6)),)
        if table == "t_two":
            return (i % 7, f"00000000-0000-4000-8000-{i * 2_654_435_761 % 2**48:012x}")
        return (i,)

    def _write(self, number: int) -> None:
        r = random.Random(self.seed * 1_000 + number)
        prepared = 0
        try:
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                while not self._stop.is_set():
                    try:
                        prepared += self._transaction(connection, r, f"{self.seed}_{number}_{prepared}")
                    except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                        connection.execute("rollback")
                    except psycopg.errors.UniqueViolation:
                        connection.execute("rollback")
        except Exception as error:  # noqa: BLE001  shown by stop()
            self.errors.append(error)

    def _transaction(self, connection: psycopg.Connection, r: random.Random, name: str) -> int:
        connection.execute("begin")
        for _ in range(r.choice([1, 1, 2, 3, 6])):
            self._operation(connection, r)
            if r.random() < 0.15:
                connection.execute("savepoint s")
                self._operation(connection, r)
                connection.execute("rollback to s" if r.random() < 0.5 else "release s")
        if self.truncates and r.random() < 0.004:
            connection.execute("set local lock_timeout = '300ms'")
            connection.execute("truncate " + r.choice([*KEYED, "t_nokey"]))
        x = r.random()
        if x < 0.02:
            time.sleep(r.random() * 0.4)
        self.committed += 1
        if x > 0.95:
            connection.execute(f"prepare transaction '{name}'")
            time.sleep(r.random() * 0.1)
            connection.execute(("commit" if r.random() < 0.8 else "rollback") + f" prepared '{name}'")
            return 1
        connection.execute("rollback" if x > 0.9 else "commit")
        return 0

    def _insert(self, connection: psycopg.Connection, r: random.Random, table: str) -> None:
        key = self._key(r, table)
        slots = ", ".join(["%s"] * len(key))
        big = None if r.random() < 0.3 else r.randbytes(1300).hex()
        ignore = "" if table == "t_nokey" else " on conflict do nothing"
        connection.execute(
            f"insert into {table} values ({slots}, nextval('opid'), %s, %s){ignore}", (*key, r.randrange(100), big)
        )

    def _operation(self, connection: psycopg.Connection, r: random.Random) -> None:
        table = r.choice(["t_int"] * 4 + ["t_txt"] * 3 + ["t_two"] * 3 + ["t_nokey"] * 2)
        key, x = self._key(r, table), r.random()
        if table == "t_nokey":
            row = "where ctid in (select ctid from t_nokey where k = %s limit 1)"
            if x < 0.5:
                self._insert(connection, r, table)
            elif x < 0.8:
                connection.execute(f"update t_nokey set opid = nextval('opid'), amt = amt + 1 {row}", key)
            else:
                connection.execute(f"delete from t_nokey {row}", key)
            return
        if x < 0.25:
            self._insert(connection, r, table)
        elif x < 0.55:
            connection.execute(f"update {table} set opid = nextval('opid'), amt = amt + 1 where {where(table)}", key)
        elif x < 0.6:
            big = r.randbytes(1300).hex()
            connection.execute(f"update {table} set opid = nextval('opid'), big = %s where {where(table)}", (big, *key))
        elif x < 0.75:
            other = self._key(r, table)
            moved = "a = %s, b = %s" if table == "t_two" else "k = %s"
            connection.execute(
                f"update {table} set {moved}, opid = nextval('opid') where {where(table)}"
                f" and not exists (select from {table} where {where(table)})",
                (*other, *key, *other),
            )
        else:
            connection.execute(f"delete from {table} where {where(table)}", key)
            if x > 0.85:
                with suppress(IndexError):
                    self._insert(connection, r, table)
