"""Writers that outlive the server they write to."""

from __future__ import annotations

import random
import time

import psycopg

from pipeline.load import Load


class Enduring(Load):
    """As `Load`, but a lost connection is made again. What a writer left prepared when the server fell is committed or
    rolled back, or it would hold locks for ever; whether its last commit took effect is the source's to know."""

    def _write(self, number: int) -> None:
        r = random.Random(self.seed * 1_000 + number)
        turn = 0
        while not self._stop.is_set():
            turn += 1
            try:
                with psycopg.connect(self.conninfo, autocommit=True, connect_timeout=5) as connection:
                    self._settle(connection, r, number)
                    self._go_on(connection, r, f"{self.seed}_{number}_{turn}")
            except (psycopg.OperationalError, psycopg.InterfaceError):
                time.sleep(0.05)
            except Exception as error:  # noqa: BLE001  shown by stop()
                self.errors.append(error)
                return

    def _settle(self, connection: psycopg.Connection, r: random.Random, number: int) -> None:
        left = connection.execute(
            "select gid from pg_prepared_xacts where gid like %s and database = current_database()",
            (f"{self.seed}_{number}_%",),
        ).fetchall()
        for (gid,) in left:
            connection.execute(("commit" if r.random() < 0.5 else "rollback") + f" prepared '{gid}'")

    def _go_on(self, connection: psycopg.Connection, r: random.Random, name: str) -> None:
        prepared = 0
        while not self._stop.is_set():
            try:
                prepared += self._transaction(connection, r, f"{name}_{prepared}")
            except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable, psycopg.errors.UniqueViolation):
                connection.execute("rollback")

    def end(self) -> None:
        """Stop, and leave nothing prepared."""
        self.stop()
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            for number in range(len(self._threads)):
                self._settle(connection, random.Random(self.seed), number)
