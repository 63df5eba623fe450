"""The connection to the metadata store: SQLite by default, PostgreSQL by URL, one code path.

A write transaction excludes other writers from its start on SQLite (BEGIN IMMEDIATE) and locks the rows it decides
by on PostgreSQL; either way what it has read is still so when it commits.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url

from tidegate.errors import EnvironmentLacking, Invalid, StoreFull, StoreUnavailable
from tidegate.faultpoint import crossing
from tidegate.store.bounded import BoundedConnection

BUSY_S = 10
STATEMENT_S = 30
CONNECT_S = 5
# A PostgreSQL store that does not even acknowledge is given up after this long, and gives up on us likewise: else the
# session of a server that was cut off would hold the lead for hours.
SILENT_S = 12
_ALONE = 0x7469646567617465  # "tidegate", for pg_advisory_xact_lock

_WRITES = "tidegate_writes"


def default_url(data_dir: Path) -> str:
    """A SQLite file in the data directory."""
    return URL.create("sqlite", database=str(data_dir / "tidegate.db")).render_as_string(hide_password=False)


class Database:
    """Opens the store and brings its tables up to date. Safe to use from many threads."""

    def __init__(self, url: str) -> None:
        """Raises `Invalid` for a URL that is neither SQLite's nor PostgreSQL's, `StoreUnavailable`,
        `EnvironmentLacking` for a store written by a newer version."""
        self.url = _checked(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # Writers of one process queue here in the order they came, instead of polling SQLite's lock.
        self._writer = threading.Lock()
        self._engine = _sqlite(self.url) if self.is_sqlite else _postgres(self.url)
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view on SQLite; single statements on PostgreSQL. Raises `StoreUnavailable`."""
        with _translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """All or nothing: commits at the end, rolls back when something is raised. Keep it short and do nothing but
        SQL inside. Raises `StoreUnavailable`; whether it was committed is then unknown."""
        with (
            self._writer if self.is_sqlite else contextlib.nullcontext(),
            _translated(),
            self._engine.connect() as connection,
            connection.execution_options(**{_WRITES: True}).begin(),
        ):
            yield connection
            crossing("store.committing")
        crossing("store.committed")

    def alone(self, connection: Connection) -> None:
        """Until the end of the write transaction nobody else is past this call: for what is made once and has no row to
        lock yet."""
        if not self.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ALONE)))

    def session(self) -> Connection:
        """A connection outside of transactions, to be closed by the caller. For what lasts as long as a session."""
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        self._engine.dispose()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", "tidegate.store:migrations")
        config.set_main_option("path_separator", "os")
        with self.write() as connection:
            self.alone(connection)
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                newest = ScriptDirectory.from_config(config).get_current_head()
                raise EnvironmentLacking(
                    f"the metadata store was written by a newer version of Tidegate (this one knows up to {newest})"
                ) from error


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except sa.exc.ArgumentError:
        raise Invalid("the store's URL cannot be read; it looks like sqlite:////var/lib/tidegate/tidegate.db") from None
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise Invalid("the store's URL must name a SQLite file or a PostgreSQL database")
    return parsed


def _sqlite(url: URL) -> sa.Engine:
    _keep_to_owner(url.database)
    engine = sa.create_engine(
        url, hide_parameters=True, connect_args={"timeout": BUSY_S, "check_same_thread": False}, pool_size=20
    )

    @event.listens_for(engine, "connect")
    def prepare(raw: Any, _: Any) -> None:
        raw.isolation_level = None  # Transactions are begun below, not guessed by the driver.
        # Full: an epoch or a snapshot that was stored is still there after a power failure (I1, I5).
        _keep_wal(raw)
        for pragma in ("synchronous = full", "foreign_keys = on"):
            raw.execute(f"pragma {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return engine


def _keep_to_owner(path: str | None) -> None:
    """Nobody else on this machine reads the file, whoever may enter its folder; SQLite gives those beside it the same
    mode (I8)."""
    if not path or path == ":memory:":
        return
    for beside in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError, PermissionError):  # what is wrong with it, opening says
            Path(path + beside).chmod(0o600)
    with contextlib.suppress(OSError):
        # Never one that is there: closing it would let go of SQLite's locks of the whole process.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _keep_wal(raw: Any) -> None:
    """Servers that make one file together: SQLite does not wait for the others where it changes the journal's mode."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            raw.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _postgres(url: URL) -> sa.Engine:
    idle_s, interval_s, count = 4, 2, (SILENT_S - 4) // 2
    options = (
        f"-c statement_timeout={STATEMENT_S * 1000} -c lock_timeout={BUSY_S * 1000} -c timezone=UTC "
        f"-c tcp_keepalives_idle={idle_s} -c tcp_keepalives_interval={interval_s} -c tcp_keepalives_count={count} "
        f"-c tcp_user_timeout={SILENT_S * 1000}"
    )
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_S,
            "options": options,
            "application_name": "tidegate",
            "keepalives_idle": idle_s,
            "keepalives_interval": interval_s,
            "keepalives_count": count,
            "tcp_user_timeout": SILENT_S * 1000,
        },
        pool_size=20,
        max_overflow=20,
        pool_pre_ping=True,
    )

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, words: Any, named: Any) -> Any:
        return BoundedConnection.connect(*words, **named)

    return engine


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, sa.exc.TimeoutError) as error:
        raise _told(error.__cause__ or error) from error
    except sa.exc.DatabaseError as error:
        if type(error) is not sa.exc.DatabaseError:  # the program's own mistakes
            raise
        raise _told(error.__cause__ or error) from error  # a file that is harmed, or none of SQLite's


# Troubles of the file, of which SQLite says the same words each time; other texts may quote what was stored (I8).
_FILE_TROUBLES = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
)


def _told(cause: BaseException) -> StoreUnavailable:
    """What the driver's error means. Raises nothing."""
    said, kind = type(cause).__name__, StoreUnavailable
    if isinstance(cause, sqlite3.Error):
        number = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the rest of it is detail
        said = str(cause) if number in _FILE_TROUBLES else said
        kind = StoreFull if number == sqlite3.SQLITE_FULL else kind
    elif isinstance(cause, psycopg.errors.DiskFull):
        said, kind = "the server's disk is full", StoreFull
    elif isinstance(cause, psycopg.Error) and cause.sqlstate is None:
        # It comes from libpq, which knows no values.
        said = next((line.strip() for line in str(cause).splitlines() if line.strip()), said)
    return kind(f"the metadata store failed: {said}")
