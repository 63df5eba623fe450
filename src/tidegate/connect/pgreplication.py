"""Following a PostgreSQL replication slot: a thread that reads the log in gulps and makes parts or batches of it.

The thread answers the server by time, whatever the writer is doing, so a slow target never costs the connection; it
stops reading while nobody takes what it has, so memory stays bounded. It tells the server only what `acknowledge` said
(I1). While much is coming it rests between gulps: a walsender that always finds its reader waiting sends every message
by itself, and needs twice the time for it.
"""

from __future__ import annotations

import fcntl
import queue
import re
import struct
import termios
import threading
import time
from contextlib import suppress

from psycopg import OperationalError, pq
from psycopg.conninfo import conninfo_to_dict

from tidegate.connect.lanes import BATCHES_WAIT_MAX, PARTS_WAIT_MAX, Entry, LanedReader
from tidegate.connect.pgassembly import Doubts, Stand
from tidegate.connect.pgdescribing import Describing
from tidegate.connect.pgdrain import Gulp, State, open_drain
from tidegate.connect.pglanes import Lanes
from tidegate.connect.pgposition import PgPosition, lsn_text, parse_lsn
from tidegate.connect.pgsender import asked, awaited, opened, ready
from tidegate.connect.pgstaging import Staging
from tidegate.connect.tide import Tide
from tidegate.decode import pgoutput
from tidegate.errors import (
    PositionLost,
    SourceLogBroken,
    SourcePrivilegeMissing,
    SourceSlotBusy,
    SourceUnreachable,
    TidegateError,
)
from tidegate.faultpoint import crossing
from tidegate.model.position import Position
from tidegate.model.schema import TableSchema

GULP_BYTES = 4 << 20
PARTS_GULP_BYTES = 1 << 20
# How long to rest while the writer is busy: it will not be done before.
BUSY_S = 0.004
# Several times within any wal_sender_timeout that somebody might set.
FEEDBACK_EVERY_S = 0.25
# A server that says nothing for this long (it sends a keepalive at half of its wal_sender_timeout) is gone.
SILENCE_MAX_S = 90.0
# Bytes keep coming, if only the server's answers to being asked, and no message becomes whole: its length is wrong.
TRICKLE_BYTES_S = 256
# How long the reason may take to arrive once the server has ended the log.
ENDING_DEADLINE_S = 5.0

_STATUS = struct.Struct(">cQQQqB")

# The slot was invalidated (55000), its files or the log are gone (58P01), or the publication is (42704).
_LOST_STATES = (b"55000", b"58P01", b"42704")


class PgLog(LanedReader):
    """One START_REPLICATION."""

    def __init__(
        self,
        conninfo: str,
        slot: str,
        start: PgPosition,
        options: dict[str, str],
        describing: Describing,
        *,
        timeline: int | None = None,
        doubts: Doubts | None = None,
        pace_s: float = 0.0,
    ) -> None:
        """`timeline` is the one the server must be on; `doubts` outlives this reader; `pace_s` is the rest between
        gulps while much is coming."""
        stand, doubts = Stand(start, self._described), doubts or Doubts()
        self._staging = Staging(stand, doubts)
        self._lanes = Lanes(stand, doubts)
        super().__init__(self._lanes)
        self._describing = describing
        self._tide = Tide(pace_s)
        self._received = start.lsn
        self._read_at_us = 0
        """When the first was read of what has not been handed over."""
        self._acknowledged = 0
        told = conninfo_to_dict(conninfo)
        self._place = f"{told.get('host')}:{told.get('port')}/{told.get('dbname')}"
        self._told, self._told_at = -1, 0.0
        self._heard_at, self._heard_bytes = time.monotonic(), 0
        self._connection = opened(conninfo)
        listed = ", ".join(f"\"{name}\" '{value}'" for name, value in options.items())
        command = f'START_REPLICATION SLOT "{slot}" LOGICAL {lsn_text(start.lsn)} ({listed})'
        try:
            if timeline is not None:
                _check_timeline(self._connection, timeline)
            answer = asked(self._connection, command)
            if answer.status != pq.ExecStatus.COPY_BOTH:
                raise _told(answer, answer.error_message, f"slot {slot}")
            self._drain = open_drain(self._connection)
        except BaseException:
            self._connection.finish()
            raise
        self._thread = threading.Thread(target=self._read, name="log-reader", daemon=True)
        self._thread.start()

    # --- called by the writer ---

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
        except BaseException as error:  # noqa: BLE001  whatever ends the thread is handed to the writer
            failure = SourceUnreachable(f"reading the log ended: {_reason(error)}")
            failure.__cause__ = error
            self._failure = self._placed(failure)
        finally:
            self._staging.close()
            self._describing.close()
            self._connection.finish()

    def _placed(self, error: TidegateError) -> TidegateError:
        """The error, saying which server and database it is about."""
        return self._placed_at(error, self._place)

    def _follow(self) -> None:
        while not self._closed.is_set():
            self._tell_by_time()
            self._describing.rest()
            gulp = self._drain.take(GULP_BYTES if self._lanes.gathers else PARTS_GULP_BYTES)
            self._tide.came(len(gulp.frames))
            self._swallow(gulp)
            match gulp.state:
                case State.NOTHING_MORE:
                    self._rest()
                case State.ENDED | State.FAILED:
                    raise self._ended(gulp.state)
                case State.GARBLED:  # I3: what is neither a piece of the log nor a sign of life may have been one
                    what = "neither a piece of the log nor a sign of life"
                    raise SourceUnreachable(f"what the server sends is garbled: {what}")
        self._tell(self._acknowledged)  # while the run is paused, the source need keep no more than it must

    def _swallow(self, gulp: Gulp) -> None:
        """Make something of it and hand that over, also what stands in front of a message that makes no sense."""
        if gulp.messages:
            self._heard()
        self._received = max(self._received, gulp.received)
        if gulp.wanted:
            self._told = -1
        failure: TidegateError | None = None
        if len(gulp.frames):
            self._read_at_us = self._read_at_us or int(time.time() * 1e6)
        try:
            for piece in self._staging.feed(gulp.frames):
                self._lanes.feed(piece)
                self._hand_over_made(all=False)  # a staged transaction comes in many pieces
                if self._closed.is_set():
                    return
            if gulp.idle:
                self._lanes.idle(gulp.idle)
        except TidegateError as error:
            failure = error
        if self._hand_over_made(all=self._entries.asked and self._tide.let_go()):
            self._read_at_us = 0
        if failure is not None:
            raise failure

    def _hand_over_made(self, *, all: bool) -> bool:
        """Whether there was anything."""
        made = self._lanes.made(all=all)
        for entry in made:
            for item in entry.items:
                item.read_at_us = self._read_at_us
            self._hand_over(entry)
        self._tell_by_time()
        return any(entry.items for entry in made)

    def _hand_over(self, entry: Entry) -> None:
        room = BATCHES_WAIT_MAX if entry.gathered else PARTS_WAIT_MAX
        began = time.monotonic()
        while not self._closed.is_set() and not self._entries.put(entry, room=room, timeout_s=0.2):
            self._tell_by_time()
            self._heard()  # not listening, so silence proves nothing
        self._tide.waited(time.monotonic() - began)

    def _rest(self) -> None:
        if self._tide.rest_s:
            self._closed.wait(self._tide.rest_s)
        elif self._lanes.gathers and not self._entries.asked:
            self._closed.wait(BUSY_S)
        else:
            self._listen()

    def _listen(self) -> None:
        """Wait a little for more bytes. Raises `SourceUnreachable` when for long none came, or too few to be a
        message."""
        if ready(self._connection, time.monotonic() + 0.2):
            self._heard_bytes += _readable_bytes(self._connection)
            self._connection.consume_input()
        silent_s = time.monotonic() - self._heard_at
        if silent_s > SILENCE_MAX_S:
            if self._heard_bytes < silent_s * TRICKLE_BYTES_S:
                raise SourceUnreachable(f"the server was silent for {SILENCE_MAX_S:.0f} s")
            self._heard()  # a large row over a slow network

    def _heard(self) -> None:
        self._heard_at, self._heard_bytes = time.monotonic(), 0

    def _described(self, relation: pgoutput.Relation) -> TableSchema:
        """A table's shape; the server is answered while that takes its time."""
        found: queue.SimpleQueue[TableSchema | BaseException] = queue.SimpleQueue()

        def ask() -> None:
            try:
                found.put(self._describing.table(relation))
            except BaseException as error:  # noqa: BLE001  raised below
                found.put(error)

        threading.Thread(target=ask, name="log-describer", daemon=True).start()
        while not self._closed.is_set():
            with suppress(queue.Empty):
                shape = found.get(timeout=0.2)
                if isinstance(shape, BaseException):
                    raise shape
                return shape
            self._tell_by_time()
        raise SourceUnreachable("the reader was closed while it asked for a table's shape")

    def _tell_by_time(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= FEEDBACK_EVERY_S or self._told != self._acknowledged:
            self._told_at, self._told = now, self._acknowledged
            self._tell(self._told, ask=now - self._heard_at > SILENCE_MAX_S / 3)
            crossing("source.acknowledged")

    def _tell(self, flushed: int, *, ask: bool = False) -> None:
        """`ask` wants an answer: a server whose wal_sender_timeout is 0 says nothing by itself."""
        at_us = int(time.time() * 1e6) - pgoutput.EPOCH_US
        received = max(self._received, flushed)
        self._connection.put_copy_data(_STATUS.pack(b"r", received, flushed, flushed, at_us, ask))
        self._connection.flush()

    def _ended(self, state: State) -> TidegateError:
        ended = state is State.ENDED
        answer = awaited(self._connection, time.monotonic() + ENDING_DEADLINE_S) if ended else None
        message = answer.error_message if answer is not None else self._connection.error_message
        return _told(answer, message, "the server ended the log")


def _readable_bytes(connection: pq.abc.PGconn) -> int:
    held = fcntl.ioctl(connection.socket, termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(held, "little")


def _told(answer: pq.abc.PGresult | None, message: bytes, what: str) -> TidegateError:
    """The error table's class for what a walsender says."""
    state = answer.error_field(pq.DiagnosticField.SQLSTATE) if answer is not None else None
    said = f"{what}: {_said(message)}"
    if state in _LOST_STATES:
        return PositionLost(said)
    if state is not None and state.startswith(b"XX"):
        return SourceLogBroken(said)
    if state == b"55006":
        return SourceSlotBusy(said)
    if state == b"42501":
        return SourcePrivilegeMissing(said)
    return SourceUnreachable(said)


def _check_timeline(connection: pq.abc.PGconn, wanted: int) -> None:
    """Raises `SourceUnreachable`: whoever tries again asks anew which timeline that is."""
    answer = asked(connection, "IDENTIFY_SYSTEM")
    found = answer.get_value(0, 1) if answer.status == pq.ExecStatus.TUPLES_OK else None
    if found != str(wanted).encode():
        message = answer.error_message
        connection.finish()
        if found is None:
            raise SourceUnreachable(f"the server does not say which timeline it is on: {_said(message)}")
        raise SourceUnreachable(f"another server answers: it is on timeline {found.decode()}, not {wanted}")


def forks(conninfo: str, timeline: int) -> dict[int, int]:
    """Where each earlier timeline ended that this one comes from. Raises `SourceUnreachable`."""
    if timeline == 1:
        return {}
    connection = opened(conninfo)
    try:
        answer = asked(connection, f"TIMELINE_HISTORY {timeline}")
        if answer.status != pq.ExecStatus.TUPLES_OK:
            raise SourceUnreachable(f"the history of timeline {timeline}: {_said(answer.error_message)}")
        content = (answer.get_value(0, 1) or b"").decode("utf-8", "replace")
    finally:
        connection.finish()
    found = re.findall(r"^\s*(\d+)\s+([0-9A-F]+/[0-9A-F]+)", content, re.MULTILINE)
    return {int(earlier): parse_lsn(end) for earlier, end in found}


def _said(message: bytes) -> str:
    lines = message.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else "no reason given"


def _reason(error: BaseException) -> str:
    """libpq's own words about a connection, which hold no value; of anything else no more than what it is (I8)."""
    lines = str(error).strip().splitlines() if isinstance(error, OperationalError) and error.sqlstate is None else []
    return lines[0].strip() if lines else type(error).__name__
