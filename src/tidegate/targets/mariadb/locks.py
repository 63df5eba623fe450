"""Locks by name, which last as long as their connection, and ending the connection that holds one: what a transaction
cannot guard, and what a worker that hangs in one leaves behind (I5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pymysql
from pymysql.cursors import Cursor

from tidegate.connect.mariadb import number
from tidegate.errors import TargetConflict
from tidegate.targets.mariadb import state


def wait_for_rows(cursor: Cursor, wait_s: int) -> None:
    """How long statements wait for rows that other transactions have locked."""
    cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {wait_s}")


def lock(cursor: Cursor, name: str, wait_s: int) -> bool:
    """Take it; whether that came true in time."""
    cursor.execute("SELECT GET_LOCK(%s, %s)", (name, wait_s))
    return cursor.fetchone() in ((1,), ("1",))


@contextmanager
def locked(cursor: Cursor, name: str, wait_s: int) -> Iterator[None]:
    """Hold it for the block. Raises `TargetConflict` where others hold it for longer than `wait_s`."""
    if not lock(cursor, name, wait_s):
        raise TargetConflict("another session of Tidegate holds what this one waits for")
    try:
        yield
    finally:
        if cursor.connection is not None and cursor.connection.open:
            with suppress(pymysql.Error, OSError):  # a lost connection has let go of it
                cursor.execute("DO RELEASE_LOCK(%s)", (name,))


def end_holders(cursor: Cursor, run: str, epoch: int | None) -> None:
    """End the connection of the worker that had the run last: one that hangs in a write holds the run's row (I5)."""
    held = state.epoch_of(cursor, run)
    if held is not None and (epoch is None or held < epoch):
        end_holder(cursor, state.alive(run, held))


# It is gone already; it is another user's, and is waited for.
_NOT_ENDED = (1094, 1095)


def end_holder(cursor: Cursor, name: str) -> None:
    """End the connection that holds the lock; those of other users are waited for."""
    cursor.execute("SELECT IS_USED_LOCK(%s)", (name,))
    holder = (cursor.fetchone() or (None,))[0]
    if holder is not None:
        try:
            cursor.execute(f"KILL CONNECTION {int(holder)}")
        except pymysql.Error as error:
            if number(error) not in _NOT_ENDED:
                raise
