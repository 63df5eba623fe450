"""The events around rows: what a file is and where it goes on, statements as text, commits and prepares.

Format: MariaDB documentation, "Replication Protocol"; MySQL Source Code Documentation, "Binary Log Event" and
`Heartbeat_event_v2`. Incidents and heartbeats of the second kind are built from the published format only.
"""

from __future__ import annotations

from typing import NamedTuple

from tidegate.decode.binlog_cursor import Cursor, Refused
from tidegate.decode.binlog_gtid import Xid
from tidegate.decode.binlog_rows import uncompressed
from tidegate.decode.charset import charset_of, reader_of


class FormatDescription(NamedTuple):
    server_version: str
    mariadb: bool
    checksums: bool
    header_sizes: bytes
    """Of each kind of event, from 1 on, the size of its fixed part."""


class Rotate(NamedTuple):
    file: str
    position: int


class Heartbeat(NamedTuple):
    """Nothing to send; the server stands here."""

    file: str
    position: int | None
    """None where the header's `end` says it."""


class Stop(NamedTuple):
    """The server was shut down here."""


class Incident(NamedTuple):
    """The server could not write what happened here: rows are missing from the log."""

    code: int


class Query(NamedTuple):
    """A statement as text: DDL, or BEGIN, COMMIT, ROLLBACK, SAVEPOINT, XA … around rows."""

    schema: str
    statement: str
    error_code: int
    strict: bool = False
    """Whether the session refuses values that do not fit, by its sql_mode; False: it does not, or does not say."""


class Commit(NamedTuple):
    xid: int


class XaPrepare(NamedTuple):
    xid: Xid
    one_phase: bool
    """Committed at once."""


def rotate(cursor: Cursor) -> Rotate:
    position = cursor.unsigned(8)
    return Rotate(cursor.text(cursor.rest()), position)


def heartbeat(cursor: Cursor) -> Heartbeat:
    return Heartbeat(cursor.text(cursor.rest()), None)


def heartbeat_v2(cursor: Cursor) -> Heartbeat:
    """Fields of a type, a length and a value: 1 the file, 2 the position (itself packed); 0 ends them."""
    file, position = "", None
    while cursor.left() and (kind := cursor.unsigned(1)):
        field = cursor.part(cursor.packed(), f"field {kind}")
        if kind == 1:
            file = field.text(field.rest())
        elif kind == 2:
            position = field.packed()
    return Heartbeat(file, position)


def incident(cursor: Cursor) -> Incident:
    return Incident(cursor.unsigned(2))


def query(cursor: Cursor) -> Query:
    schema, error_code, session = _query_head(cursor)
    return Query(schema, _statement(cursor.rest(), session.collation), error_code, session.strict)


def query_compressed(cursor: Cursor) -> Query:
    schema, error_code, session = _query_head(cursor)
    return Query(schema, _statement(uncompressed(cursor), session.collation), error_code, session.strict)


class _Session(NamedTuple):
    """Settings of the session that ran a statement."""

    strict: bool = False
    collation: int | None = None
    """Of the character set that the statement is in; None: it is not said."""


def _query_head(cursor: Cursor) -> tuple[str, int, _Session]:
    """The schema, the error and the session."""
    cursor.skip(8)
    schema_size, error_code = cursor.unsigned(1), cursor.unsigned(2)
    session = _session(cursor.part(cursor.unsigned(2), "status variables"))
    schema = cursor.text(cursor.take(schema_size))
    cursor.skip(1)
    return schema, error_code, session


# Status variables in front of the character set, as servers write them: by number, how many bytes they take.
_FLAGS, _SQL_MODE, _AUTO_INCREMENT, _CHARSET, _CATALOG = 0, 1, 3, 4, 6
_SIZES = {_FLAGS: 4, _AUTO_INCREMENT: 4}
# STRICT_TRANS_TABLES and STRICT_ALL_TABLES, of sql_mode.
_STRICT = 1 << 21 | 1 << 22


def _session(variables: Cursor) -> _Session:
    """What stands behind the character set is of no matter here."""
    strict = False
    while variables.left():
        kind = variables.unsigned(1)
        if kind == _CHARSET:
            return _Session(strict, variables.unsigned(2))
        if kind == _SQL_MODE:
            strict = bool(variables.unsigned(8) & _STRICT)
        elif kind == _CATALOG:
            variables.skip(variables.unsigned(1))
        elif kind in _SIZES:
            variables.skip(_SIZES[kind])
        else:
            break
    return _Session(strict)


def _statement(raw: bytes, collation: int | None) -> str:
    """In the client's character set: names of tables and columns are in it as well. What it does not have is kept by
    escapes, for a statement is looked at for its words and never a value."""
    try:
        return reader_of(charset_of(collation))(raw) if collation is not None else raw.decode()
    except (Refused, UnicodeDecodeError):
        return raw.decode("utf-8", "backslashreplace")


def commit(cursor: Cursor) -> Commit:
    return Commit(cursor.unsigned(8))


def xa_prepare(cursor: Cursor) -> XaPrepare:
    one_phase, format_id = cursor.unsigned(1), cursor.unsigned(4)
    global_size, branch_size = cursor.unsigned(4), cursor.unsigned(4)
    return XaPrepare(Xid(format_id, cursor.take(global_size), cursor.take(branch_size)), bool(one_phase))
