"""A DuckDB file that several tasks and people take turns with: opened when needed, let go of when asked or when
somebody else waits, and every refusal told in Tidegate's errors.

DuckDB lets one process at a time open a file. Who wants it first takes the *turn*, a lock on a small file beside it,
and holds that until the database is open; so whoever has the database can see that somebody waits."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from tidegate.errors import (
    ConfigInvalid,
    TargetBusy,
    TargetConflict,
    TargetError,
    TargetExhausted,
    TargetMisfit,
    TargetPrivilegeMissing,
    TargetTableMissing,
    TargetUnreachable,
    TargetValueRefused,
    TargetVersionUnsupported,
)

_POLL_S = 0.02
_SHARE_WAIT_S = 30.0
_INTERRUPT_S = 5.0
"""How long a cursor's thread may take to notice that it was interrupted."""
_LEAST_HOLD_S = 0.5
"""Shorter turns would spend more time on opening than on writing."""
_LONGEST_HOLD_S = 300.0
"""An open database remembers ever more of its file: blocks, and which rows were deleted."""

# Two compressions of long texts are off: with them a checkpoint of rows of 10 kB takes 10 to 70 seconds instead of 1 to
# 3, and nothing is written meanwhile; without them such a table takes about twice the space.
_SETTINGS = (
    "SET disabled_compression_methods = 'dict_fsst,zstd'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET threads = 2",
    "SET preserve_insertion_order = false",
    "SET TimeZone = 'UTC'",
)


# How a commit or a checkpoint says it, in errors of other classes.
_OUT_OF_MEMORY = ("failed to pin block", "could not allocate block", "Out of Memory Error")

# Between writes DuckDB may keep this much of the file in memory.
_KEPT_MB = 64


class DuckdbFile:
    """At most one connection, opened by `connection()`."""

    def __init__(self, path: Path, memory_mb: int) -> None:
        self.path = path
        self._memory_mb = memory_mb
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._opened_at = 0.0
        self._shared: list[duckdb.DuckDBPyConnection] = []

    def connection(self, deadline_s: float) -> duckdb.DuckDBPyConnection:
        """Open the file, made where missing. Raises `TargetBusy` after `deadline_s`, and what `told` says."""
        if self._connection is None:
            deadline = time.monotonic() + deadline_s
            with self._turn(deadline):
                self._connection = self._open(deadline)
            self._opened_at = time.monotonic()
        return self._connection

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def share(self) -> duckdb.DuckDBPyConnection:
        """A cursor for another thread. The file stays open until it is given back by `unshare`, or closed."""
        cursor = self.connection(_SHARE_WAIT_S).cursor()
        self._shared.append(cursor)
        return cursor

    def unshare(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Ends what it does. From any thread."""
        with suppress(ValueError):  # closed with the file
            self._shared.remove(cursor)
        with suppress(duckdb.Error):
            cursor.interrupt()
        until = time.monotonic() + _INTERRUPT_S
        while True:
            try:
                cursor.close()
                return
            except duckdb.Error:  # its other thread has not noticed yet
                if time.monotonic() > until:
                    return
                time.sleep(_POLL_S)

    def let_go(self) -> None:
        """Let others in, unless somebody reads from a cursor."""
        if not self._shared:
            self.close()

    def close(self) -> None:
        """Let others in. What is committed is in the file or the log beside it, which the next to open it reads."""
        for cursor in list(self._shared):
            self.unshare(cursor)
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(duckdb.Error):  # an invalidated database cannot even be closed in order
                connection.close()

    def shrink(self) -> None:
        """Give back memory that was needed for one write only. A low limit during the write would not do: what DuckDB
        must hold to commit and to checkpoint grows with the rows' width, and when it may not it gives up the file."""
        if self._connection is None:
            return
        with suppress(duckdb.OutOfMemoryException):  # what is in use cannot be given back
            self._connection.execute(f"SET memory_limit = '{_KEPT_MB}MB'")
        self._connection.execute(f"SET memory_limit = '{self._memory_mb}MB'")

    def yield_turn(self) -> None:
        """Let go of the file if somebody waits for it and this turn was not too short, or if it was long."""
        held_s = time.monotonic() - self._opened_at
        if self._connection is None or self._shared or held_s < _LEAST_HOLD_S:
            return
        if held_s >= _LONGEST_HOLD_S:
            self.close()
            return
        with self._turn_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.close()

    def _open(self, deadline: float) -> duckdb.DuckDBPyConnection:
        while True:
            try:
                connection = duckdb.connect(str(self.path))
            except duckdb.Error as error:
                told = self.told(error)
                if not isinstance(told, TargetBusy) or time.monotonic() >= deadline:
                    raise told from error
                time.sleep(_POLL_S)
                continue
            try:
                for setting in (*_SETTINGS, f"SET memory_limit = '{self._memory_mb}MB'"):
                    connection.execute(setting)
            except duckdb.Error as error:
                connection.close()
                raise self.told(error) from error
            return connection

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[None]:
        with self._turn_file() as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise TargetBusy(f"{self.path}: others are waiting for it as well") from None
                    time.sleep(_POLL_S)
            self._drop_stillborn()
            yield

    @contextmanager
    def _turn_file(self) -> Iterator[int]:
        try:
            file = os.open(
                self.path.with_name(f".{self.path.name}.turn"), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666
            )
        except FileNotFoundError as error:
            raise TargetUnreachable(f"{self.path}: the folder does not exist") from error
        except PermissionError as error:
            raise TargetPrivilegeMissing(f"{self.path}: the folder cannot be written to") from error
        except OSError as error:
            raise TargetUnreachable(f"{self.path}: {error.strerror}") from error
        try:
            yield file
        finally:
            os.close(file)

    def _drop_stillborn(self) -> None:
        """Remove a file without a single byte: what a process killed while making it leaves, which DuckDB refuses."""
        if self.path.is_file() and self.path.stat().st_size == 0:
            self.path.unlink()

    def told(self, error: duckdb.Error, *, table: str = "", column: str = "") -> TargetError | ConfigInvalid:
        """The error table's class for what DuckDB says. Its message may quote cell values and is not shown (I8)."""
        at = f"{self.path}: {'.'.join(part for part in (table, column) if part)}".removesuffix(": ")
        text = str(error)
        if isinstance(error, duckdb.OutOfMemoryException) or any(sign in text for sign in _OUT_OF_MEMORY):
            return TargetExhausted(f"{at}: DuckDB needs more than {self._memory_mb} MB for rows as wide as these")
        match error:
            case duckdb.IOException():
                return _io_error(at, text)
            case duckdb.TransactionException():
                return TargetConflict(f"{at}: another connection changed the same rows")
            case duckdb.ConstraintException():
                kind = text.partition(": ")[2].partition(" constraint")[0]
                what = "a constraint" if len(kind) > len("PRIMARY KEY or UNIQUE") else f"the {kind} constraint"
                return TargetValueRefused(f"{at}: {what} refuses a row", table=table, column=column)
            case duckdb.DataError() | duckdb.InvalidInputException():
                what = "a value cannot be held exactly by the column's type"
                return TargetValueRefused(f"{at}: {what}", table=table, column=column)
            case duckdb.CatalogException():
                return TargetTableMissing(f"{at}: a table or schema is not there")
            case duckdb.BinderException() | duckdb.DependencyException():
                return TargetMisfit(f"{at}: the table has other columns than expected, or an index on them")
            case duckdb.FatalException() | duckdb.InternalException() | duckdb.ConnectionException():
                return TargetUnreachable(f"{at}: DuckDB gave up on the file and must open it again")
            case _:
                return TargetError(f"{at}: DuckDB answered {type(error).__name__}")


def _io_error(at: str, text: str) -> TargetError | ConfigInvalid:
    if "Could not set lock" in text:
        return TargetBusy(f"{at}: another process has it open")
    if "No space left" in text or "max_temp_directory_size" in text:
        return TargetExhausted(f"{at}: no space left on the disk")
    if "not a valid DuckDB" in text or "Is a directory" in text:
        return ConfigInvalid(f"{at}: it is not a DuckDB database file")
    if "version number" in text or "newer version" in text:
        return TargetVersionUnsupported(f"{at}: it was written by a DuckDB that {duckdb.__version__} cannot read")
    if "Permission denied" in text or "Read-only file system" in text:
        return TargetPrivilegeMissing(f"{at}: it cannot be written to")
    return TargetUnreachable(f"{at}: it cannot be read or written")
