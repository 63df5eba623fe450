"""Who drives the tasks of a store: at most one server. Two would start two workers for one run, and each would take the
other's for dead.

On PostgreSQL it is whose session holds an advisory lock, which the database frees when that server is gone; of an
SQLite file it is who holds the lock of a file beside it, which goes with its process.
"""

from __future__ import annotations

import fcntl
import os

import sqlalchemy as sa
from sqlalchemy import Connection

from tidegate.errors import StoreUnavailable
from tidegate.store.database import Database

_LOCK = 0x7469646567617466  # "tidegatf": next to the lock of the migrations


class Lead:
    """Used by one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session: Connection | None = None
        self._file: int | None = None

    def held(self) -> bool:
        """Whether this server drives the tasks, now that it was asked for: takes the lead if nobody has it, and again
        if the session that held it broke. Raises `StoreUnavailable`."""
        if self._database.is_sqlite:
            return self._file is not None or self._held_file()
        if self._session is not None and self._alive(self._session):
            return True
        self.release()
        try:
            session = self._database.session()
            if session.execute(sa.select(sa.func.pg_try_advisory_lock(_LOCK))).scalar_one():
                self._session = session
                return True
            session.close()
        except sa.exc.DBAPIError as error:
            raise StoreUnavailable(f"the metadata store failed: {type(error.orig).__name__}") from error
        return False

    def release(self) -> None:
        """Let another server lead. Idempotent."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
        session, self._session = self._session, None
        if session is not None:
            session.invalidate()  # Ends the database session, and its locks with it, instead of pooling it.
            session.close()

    def _held_file(self) -> bool:
        # Of the file itself, by whatever path it was named.
        path = os.path.realpath(str(self._database.url.database))
        try:
            file = os.open(f"{path}.lead", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"the metadata store cannot be locked: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def _alive(self, session: Connection) -> bool:
        try:
            session.execute(sa.select(1))
        except sa.exc.DBAPIError:
            return False
        return True
