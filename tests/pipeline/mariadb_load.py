"""Random concurrent writers at a MariaDB source: inserts, updates, key moves, deletes with re-insert, savepoints, XA,
long transactions, TRUNCATE."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pymysql

from tidegate.testing.mariadb import MariadbServer

WORDS = ("a", "A", "b", "B", "ä", "Ä", "Z", "z", "é", "E", "e ", "1", "10", "2", "漢", "ß", "ss")
KEYED = ("t_int", "t_txt", "t_two")
SCHEMA = (
    "create sequence opid cache 1000",
    "create table t_int (k bigint primary key, opid bigint, amt int, big text)",
    "create table t_txt (k varchar(40) primary key, opid bigint, amt int, big text)",
    "create table t_two (a int, b binary(6), opid bigint, amt int, big text, primary key (a, b))",
    "create table t_nokey (k int, opid bigint, amt int, big text)",
)
# Another's lock, or a row of that key is there already.
_PASSING = {1062, 1205, 1213, 1399, 1613, 1614}


class MariadbLoad:
    """Writers on threads until `stop`. Everything follows from `seed` but for the server's timing."""

    def __init__(self, server: MariadbServer, name: str, seed: int, *, truncates: bool) -> None:
        self.server, self.name, self.seed, self.keys, self.truncates = server, name, seed, 300, truncates
        self.committed = 0
        self.errors: list[Exception] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(i,), daemon=True) for i in range(3)]

    def fill(self, rows: int) -> None:
        with self.server.connect(self.name) as connection, connection.cursor() as cursor:
            for statement in SCHEMA:
                cursor.execute(statement)
            r = random.Random(self.seed)
            cursor.execute("begin")
            for table in (*KEYED, "t_nokey"):
                for _ in range(rows):
                    self._insert(cursor, r, table)
            cursor.execute("commit")

    def start(self) -> MariadbLoad:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        if self.errors:
            raise self.errors[0]

    def _key(self, r: random.Random, table: str) -> tuple[Any, ...]:
        i = r.randrange(self.keys)
        if table == "t_txt":
            return (r.choice(WORDS) * (1 + i % 3) + str(i % (self.keys // 6)),)
        if table == "t_two":
            return (i % 7, (i * 2_654_435_761 % 2**48).to_bytes(6, "big"))
        return (i,)

    def _write(self, number: int) -> None:
        r = random.Random(self.seed * 1_000 + number)
        try:
            with self.server.connect(self.name) as connection, connection.cursor() as cursor:
                cursor.execute("set session innodb_lock_wait_timeout = 2, lock_wait_timeout = 2")
                while not self._stop.is_set():
                    xa = r.random() < 0.05
                    name = f"'{self.seed}_{number}_{self.committed}'"
                    try:
                        self._transaction(cursor, r, name if xa else "")
                    except pymysql.Error as error:
                        if error.args[0] not in _PASSING:
                            raise
                        for undo in (f"xa end {name}", f"xa rollback {name}") if xa else ("rollback",):
                            try:
                                cursor.execute(undo)
                            except pymysql.Error:
                                continue
        except Exception as error:  # noqa: BLE001  shown by stop()
            self.errors.append(error)

    def _transaction(self, cursor: Any, r: random.Random, xa: str) -> None:
        cursor.execute(f"xa start {xa}" if xa else "begin")
        for _ in range(r.choice([1, 1, 2, 3, 6])):
            self._operation(cursor, r)
            if not xa and r.random() < 0.15:
                cursor.execute("savepoint s")
                self._operation(cursor, r)
                cursor.execute("rollback to s" if r.random() < 0.5 else "release savepoint s")
        x = r.random()
        if x < 0.02:
            time.sleep(r.random() * 0.4)
        self.committed += 1
        if xa:
            cursor.execute(f"xa end {xa}")
            cursor.execute(f"xa prepare {xa}")
            time.sleep(r.random() * 0.1)
            cursor.execute(f"xa {'commit' if x < 0.8 else 'rollback'} {xa}")
            return
        cursor.execute("rollback" if x > 0.9 else "commit")
        if self.truncates and r.random() < 0.003:
            cursor.execute("truncate " + r.choice([*KEYED, "t_nokey"]))

    def _insert(self, cursor: Any, r: random.Random, table: str) -> None:
        key = self._key(r, table)
        slots = ", ".join(["%s"] * len(key))
        big = None if r.random() < 0.3 else r.randbytes(300).hex()
        values = (*key, r.randrange(100), big)
        cursor.execute(f"insert ignore into {table} values ({slots}, nextval(opid), %s, %s)", values)

    def _operation(self, cursor: Any, r: random.Random) -> None:
        table = r.choice(["t_int"] * 4 + ["t_txt"] * 3 + ["t_two"] * 3 + ["t_nokey"] * 2)
        key, x = self._key(r, table), r.random()
        where = "a = %s and b = %s" if table == "t_two" else "k = %s"
        if x < 0.25:
            self._insert(cursor, r, table)
        elif x < 0.55:
            cursor.execute(f"update {table} set opid = nextval(opid), amt = amt + 1 where {where} limit 1", key)
        elif x < 0.75 and table != "t_nokey":
            moved = "a = %s, b = %s" if table == "t_two" else "k = %s"
            statement = f"update ignore {table} set {moved}, opid = nextval(opid) where {where}"
            cursor.execute(statement, (*self._key(r, table), *key))
        else:
            cursor.execute(f"delete from {table} where {where} limit 1", key)
            if x > 0.85:
                self._insert(cursor, r, table)
