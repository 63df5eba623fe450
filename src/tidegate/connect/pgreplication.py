"""Following a PostgreSQL replication slot: a thread that reads, decodes and cuts the log into parts.

The thread answers the server by time, whatever the writer is doing, so a slow target never costs the connection; it
stops reading while the queue is full, so memory stays bounded. It tells the server only what `acknowledge` said (I1).
"""

from __future__ import annotations

import queue
import select
import struct
import sys
import threading
import time
from collections.abc import Callable

from psycopg import OperationalError, pq
from psycopg.conninfo import conninfo_to_dict

from tidegate.connect.pgposition import PgPosition, lsn_text
from tidegate.connect.source import LogReader
from tidegate.decode import pgoutput
from tidegate.errors import PositionLost, SourceLogBroken, SourceUnreachable, TidegateError
from tidegate.faultpoint import crossing
from tidegate.model.change import Change, LogPart, Op
from tidegate.model.position import Position
from tidegate.model.schema import TableSchema

PART_CHANGES_MAX = 5_000
PART_BYTES_MAX = 4 << 20
QUEUE_PARTS_MAX = 8
FEEDBACK_EVERY_S = 1.0
# A server that says nothing for this long (it sends a keepalive at half of its wal_sender_timeout) is gone.
SILENCE_MAX_S = 90.0

_XLOG = struct.Struct(">xQQq")
_KEEPALIVE = struct.Struct(">xQqB")
_STATUS = struct.Struct(">cQQQqB")

# The slot was invalidated (55000), its files or the log are gone (58P01), or the publication is (42704).
_LOST_STATES = (b"55000", b"58P01", b"42704")

Describe = Callable[[pgoutput.Relation], TableSchema]


class Assembler:
    """Decoded messages in, parts out. Pure but for `describe`, which asks the catalogue about a table's shape."""

    def __init__(self, start: PgPosition, describe: Describe) -> None:
        self._start = start
        self._reached = start.lsn
        self._describe = describe
        self._tables: dict[int, TableSchema] = {}
        self._begin: pgoutput.Begin | None = None
        self._changes: list[Change] = []
        self._bytes = 0
        self._count = 0
        self._skip = 0

    @property
    def in_transaction(self) -> bool:
        return self._begin is not None

    def feed(self, message: bytes) -> LogPart | None:
        """Raises `SourceLogBroken`."""
        try:
            event = pgoutput.decode(message)
        except pgoutput.Malformed as error:
            raise SourceLogBroken(f"behind {lsn_text(self._reached)}: {error}") from error
        match event:
            case None:
                return None
            case pgoutput.RowChange():
                return self._change(event, len(message))
            case pgoutput.Begin():
                self._open(event)
                return None
            case pgoutput.Commit():
                return self._close(event)
            case pgoutput.Relation():
                return self._shape(event)
            case pgoutput.Truncate():
                for oid in event.oids:
                    self._add(Change(self._table(oid), Op.TRUNCATE, None, None), 16)
                return None

    def idle(self, lsn: int) -> LogPart | None:
        """The server has read its log up to here and there was nothing for us (I2: never backwards)."""
        if self.in_transaction or lsn <= self._reached:
            return None
        self._reached = lsn
        position = self._whole(lsn)
        return LogPart(None, 0, [], 0, True, position, position)

    def _whole(self, lsn: int) -> PgPosition:
        """Everything up to here; before the transaction that was cut in two, still with what is known of it."""
        start = self._start
        return PgPosition(lsn, start.inside, start.changes) if lsn <= start.inside else PgPosition(lsn)

    def _shape(self, relation: pgoutput.Relation) -> LogPart | None:
        """The shape the table has from here on; a part holds one of each table."""
        table = self._describe(relation)
        if self._tables.get(relation.oid) == table:
            return None
        self._tables[relation.oid] = table
        return self._piece() if self._changes else None

    def _open(self, begin: pgoutput.Begin) -> None:
        if self._begin is not None:
            raise SourceLogBroken(f"a transaction begins inside another, behind {lsn_text(self._reached)}")
        self._begin = begin
        self._changes, self._bytes, self._count = [], 0, 0
        # A transaction that was cut in two is sent again from its start; I2: one that is done does not come again.
        self._skip = self._start.changes if begin.commit_lsn == self._start.inside else 0
        if begin.commit_lsn < self._start.lsn:
            self._skip = sys.maxsize

    def _change(self, row: pgoutput.RowChange, size: int) -> LogPart | None:
        table = self._table(row.oid)
        for image in (row.old, row.new):
            if image is not None and len(image) != len(table.columns):
                raise SourceLogBroken(f"{table.name}: a row of {len(image)} values for {len(table.columns)} columns")
        self._add(Change(table, row.op, row.old, row.new), size)
        if len(self._changes) < PART_CHANGES_MAX and self._bytes < PART_BYTES_MAX:
            return None
        return self._piece()

    def _piece(self) -> LogPart:
        begin = self._opened()
        return self._cut(begin, False, PgPosition(self._reached, begin.commit_lsn, self._count))

    def _add(self, change: Change, size: int) -> None:
        self._opened()
        self._count += 1
        if self._count > self._skip:
            self._changes.append(change)
            self._bytes += size

    def _close(self, commit: pgoutput.Commit) -> LogPart | None:
        begin = self._opened()
        self._begin = None
        if commit.end_lsn <= self._start.lsn:
            return None
        if self._count < self._skip:
            raise SourceLogBroken(f"the transaction at {lsn_text(begin.commit_lsn)} has fewer changes than before")
        self._reached = commit.end_lsn
        return self._cut(begin, True, self._whole(commit.end_lsn))

    def _cut(self, begin: pgoutput.Begin, ends: bool, position: PgPosition) -> LogPart:
        changes, size, self._changes, self._bytes = self._changes, self._bytes, [], 0
        first = self._count - len(changes)
        commit = PgPosition(begin.commit_lsn)
        return LogPart(begin.xid, begin.committed_at_us, changes, first, ends, position, commit, size)

    def _opened(self) -> pgoutput.Begin:
        if self._begin is None:
            raise SourceLogBroken(f"a change outside of a transaction, behind {lsn_text(self._reached)}")
        return self._begin

    def _table(self, oid: int) -> TableSchema:
        try:
            return self._tables[oid]
        except KeyError:
            raise SourceLogBroken(f"a change of relation {oid}, which was never described") from None


class PgLog(LogReader):
    """One START_REPLICATION."""

    def __init__(
        self, conninfo: str, slot: str, start: PgPosition, options: dict[str, str], describe: Describe
    ) -> None:
        self._assembler = Assembler(start, describe)
        self._queue: queue.Queue[list[LogPart]] = queue.Queue(QUEUE_PARTS_MAX)
        self._failure: TidegateError | None = None
        self._closed = threading.Event()
        self._received = start.lsn
        self._acknowledged = 0
        told = conninfo_to_dict(conninfo)
        self._place = f"{told.get('host')}:{told.get('port')}/{told.get('dbname')}"
        self._connection = _open(conninfo)
        listed = ", ".join(f"\"{name}\" '{value}'" for name, value in options.items())
        command = f'START_REPLICATION SLOT "{slot}" LOGICAL {lsn_text(start.lsn)} ({listed})'
        answer = self._connection.exec_(command.encode())
        if answer.status != pq.ExecStatus.COPY_BOTH:
            message = answer.error_message.decode("utf-8", "replace").strip()
            self._connection.finish()
            raise SourceUnreachable(f"slot {slot}: {message}")
        self._connection.nonblocking = 1
        self._thread = threading.Thread(target=self._read, name="log-reader", daemon=True)
        self._thread.start()

    # --- called by the writer ---

    def take(self, timeout_s: float) -> list[LogPart]:
        try:
            return self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait()
        except queue.Empty:
            if self._failure is not None:
                raise self._failure from self._failure.__cause__
            return []

    def acknowledge(self, position: Position) -> None:
        # I1: said by the caller, never derived here
        self._acknowledged = max(self._acknowledged, PgPosition.of(position).lsn)

    def close(self) -> None:
        self._closed.set()
        self._thread.join(timeout=10)

    # --- the thread ---

    def _read(self) -> None:
        try:
            self._follow()
        except TidegateError as error:
            self._failure = self._placed(error)
        except Exception as error:  # noqa: BLE001  whatever ends the thread is handed to the writer
            failure = SourceUnreachable(f"reading the log ended: {_reason(error)}")
            failure.__cause__ = error
            self._failure = self._placed(failure)
        finally:
            self._connection.finish()

    def _placed(self, error: TidegateError) -> TidegateError:
        """The error, saying which server and database it is about."""
        if self._place in error.detail:
            return error
        placed = type(error)(f"{self._place}: {error.detail}", **error.facts)
        placed.__cause__ = error.__cause__ or error
        return placed

    def _follow(self) -> None:
        told_at, told, heard_at = 0.0, -1, time.monotonic()
        waiting: list[LogPart] = []
        while not self._closed.is_set():
            now = time.monotonic()
            if now - told_at >= FEEDBACK_EVERY_S or told != self._acknowledged:
                told_at, told = now, self._acknowledged
                self._tell(told, ask=now - heard_at > SILENCE_MAX_S / 3)
                crossing("source.acknowledged")
            if waiting:
                try:
                    self._queue.put(waiting, timeout=0.2)
                except queue.Full:
                    heard_at = time.monotonic()  # not listening, so silence proves nothing
                    continue
                waiting = []
            waiting, answer_asked, more = self._drain()
            if answer_asked:
                told = -1
            if waiting or answer_asked or more:
                heard_at = now
            elif not select.select([self._connection.socket], [], [], 0.2)[0]:
                if now - heard_at > SILENCE_MAX_S:
                    raise SourceUnreachable(f"the server was silent for {SILENCE_MAX_S:.0f} s")
            else:
                heard_at = now
                self._connection.consume_input()
        self._tell(self._acknowledged)  # while the run is paused, the source need keep no more than it must

    def _drain(self) -> tuple[list[LogPart], bool, bool]:
        """What libpq has already read, up to one queue entry; whether the server wants an answer; whether libpq may
        hold more."""
        parts: list[LogPart] = []
        size, answer = 0, False
        while size < PART_BYTES_MAX and len(parts) < 1_000:
            length, data = self._connection.get_copy_data(1)
            if length == 0:
                return parts, answer, False
            if length < 0:
                raise self._ended(length)
            size += length
            message = bytes(data)
            if message[0] == 119:  # w
                start, _, _ = _XLOG.unpack_from(message)
                self._received = max(self._received, start)
                part = self._assembler.feed(message[25:])
            else:
                end, _, wanted = _KEEPALIVE.unpack_from(message)
                self._received = max(self._received, end)
                answer = answer or bool(wanted)
                part = self._assembler.idle(end)
            if part is not None:
                parts.append(part)
        return parts, answer, True

    def _tell(self, flushed: int, *, ask: bool = False) -> None:
        """`ask` wants an answer: a server whose wal_sender_timeout is 0 says nothing by itself."""
        at_us = int(time.time() * 1e6) - pgoutput.EPOCH_US
        received = max(self._received, flushed)
        self._connection.put_copy_data(_STATUS.pack(b"r", received, flushed, flushed, at_us, ask))
        self._connection.flush()

    def _ended(self, length: int) -> TidegateError:
        answer = self._connection.get_result() if length == -1 else None
        message = answer.error_message if answer is not None else self._connection.error_message
        state = answer.error_field(pq.DiagnosticField.SQLSTATE) if answer is not None else None
        lines = message.decode("utf-8", "replace").strip().splitlines()
        said = lines[0] if lines else "no reason given"
        if state in _LOST_STATES:
            return PositionLost(f"the server cannot give the log any more: {said}")
        if state is not None and state.startswith(b"XX"):
            return SourceLogBroken(f"the server cannot decode its log: {said}")
        return SourceUnreachable(f"the server ended the log: {said}")


def _open(conninfo: str) -> pq.abc.PGconn:
    connection = pq.PGconn.connect(conninfo.encode())
    if connection.status != pq.ConnStatus.OK:
        message = connection.error_message.decode("utf-8", "replace").strip().splitlines()
        raise SourceUnreachable(message[-1] if message else "the server does not answer")
    return connection


def _reason(error: Exception) -> str:
    """libpq's own words about a connection, which hold no value; of anything else no more than what it is (I8)."""
    lines = str(error).strip().splitlines() if isinstance(error, OperationalError) and error.sqlstate is None else []
    return lines[0].strip() if lines else type(error).__name__
