"""Lines of the log, kept by the order they arrived in and found by the time they were said at."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, tuple_

from tidegate.model.logline import BY_RANK, Container, LogLevel, LogLine
from tidegate.store.tables import log_line

OVERHEAD_BYTES = 120
"""About what a line takes beside its texts, its places in the indexes included."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A line as it is kept; ids grow as lines arrive."""

    id: int
    line: LogLine


@dataclass(frozen=True, slots=True)
class Which:
    """Whose lines are looked for, and which of them: those of no task if it is None; from `since`, before `until`."""

    task_id: int | None
    run: int | None = None
    container: Container | None = None
    levels: Collection[LogLevel] = ()
    """None: all."""
    since: float | None = None
    until: float | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        c = log_line.c
        found: list[ColumnElement[bool]] = [_of(self.task_id)]
        if self.run is not None:
            found.append(c.run_number == self.run)
        if self.container is not None:
            found.append(c.container == self.container.value)
        if self.levels:
            found.append(c.level.in_(sorted(level.rank for level in self.levels)))
        if self.since is not None:
            found.append(c.at >= self.since)
        if self.until is not None:
            found.append(c.at < self.until)
        return found


def _of(task_id: int | None) -> ColumnElement[bool]:
    return log_line.c.task_id.is_(None) if task_id is None else log_line.c.task_id == task_id


def size_bytes(line: LogLine) -> int:
    """About how much room the line takes."""
    return len(line.message) + len(line.exception or "") + len(_json(line)) + OVERHEAD_BYTES


def _json(line: LogLine) -> str:
    return _storable(json.dumps(line.fields, ensure_ascii=False, separators=(",", ":")))


def _storable(text: str) -> str:
    """Without what no store takes as text: a zero byte, and half of a character."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def add(tx: Connection, lines: Sequence[LogLine]) -> None:
    """Only one transaction at a time may add lines (`Database.alone`): who has read up to an id has missed none."""
    if lines:
        tx.execute(
            log_line.insert(),
            [
                {
                    "task_id": line.task_id,
                    "run_number": line.run,
                    "at": line.at,
                    "container": line.container.value,
                    "epoch": line.epoch,
                    "seq": line.seq,
                    "level": line.level.rank,
                    "logger": _storable(line.logger),
                    "message": _storable(line.message),
                    "exception": line.exception and _storable(line.exception),
                    "fields": _json(line),
                    "size_bytes": size_bytes(line),
                }
                for line in lines
            ],
        )


def newest_id(tx: Connection, task_id: int | None) -> int:
    """0 if there is none."""
    return tx.execute(select(func.max(log_line.c.id)).where(_of(task_id))).scalar_one() or 0


def newest_seq(tx: Connection, task_id: int, run: int, epoch: int) -> int:
    """What the worker of this epoch said last, of what is kept; 0 if there is nothing."""
    c = log_line.c
    query = (
        select(c.seq)
        .where(c.task_id == task_id, c.run_number == run, c.epoch == epoch, c.container == Container.WORKER.value)
        .order_by(c.id.desc())
        .limit(1)
    )
    return tx.execute(query).scalar() or 0


_COLUMNS = tuple(column for column in log_line.c if column is not log_line.c.size_bytes)


def by_time(
    tx: Connection,
    which: Which,
    *,
    upto: int,
    beyond: tuple[float, int] | None,
    oldest_first: bool,
    limit: int,
) -> list[Stored]:
    """In the order they were said, those that had arrived by the id `upto`; beyond the time and id of one."""
    c = log_line.c
    query = select(*_COLUMNS).where(*which.clauses(), c.id <= upto)
    if beyond is not None:
        place = tuple_(c.at, c.id)
        query = query.where(place > tuple_(*beyond) if oldest_first else place < tuple_(*beyond))
    order = (c.at, c.id) if oldest_first else (c.at.desc(), c.id.desc())
    return [_stored(row) for row in tx.execute(query.order_by(*order).limit(limit))]


def by_arrival(tx: Connection, which: Which, *, after: int, limit: int) -> list[Stored]:
    """In the order they arrived, those after the id."""
    c = log_line.c
    query = select(*_COLUMNS).where(*which.clauses(), c.id > after).order_by(c.id).limit(limit)
    return [_stored(row) for row in tx.execute(query)]


def _stored(row: Sequence[Any]) -> Stored:
    id, task_id, run, at, container, epoch, seq, level, logger, message, exception, fields = row
    line = LogLine(
        at=at,
        level=BY_RANK[level],
        container=Container(container),
        logger=logger,
        message=message,
        fields=json.loads(fields),
        exception=exception,
        task_id=task_id,
        run=run,
        epoch=epoch,
        seq=seq,
    )
    return Stored(id, line)


# --- forgetting ---


def kept_bytes(tx: Connection, task_id: int | None) -> int:
    """About how much room the task's lines take."""
    return int(tx.execute(select(func.sum(log_line.c.size_bytes)).where(_of(task_id))).scalar_one() or 0)


def trim(tx: Connection, task_id: int | None, keep_bytes: int, limit: int) -> bool:
    """Forget the first that arrived, at most `limit` of them, until the task's lines take no more than `keep_bytes`;
    whether there are more to forget."""
    c = log_line.c
    room = select(c.id, func.sum(c.size_bytes).over(order_by=c.id.desc()).label("total")).where(_of(task_id)).subquery()
    last = tx.execute(select(func.max(room.c.id)).where(room.c.total > keep_bytes)).scalar_one()
    if last is None:
        return False
    ids = select(c.id).where(_of(task_id), c.id <= last).order_by(c.id).limit(limit)
    return tx.execute(delete(log_line).where(c.id.in_(ids))).rowcount == limit


def forget(tx: Connection, before: float, limit: int) -> bool:
    """Forget what was said before then, at most `limit` lines; whether there may be more."""
    ids = select(log_line.c.id).where(log_line.c.at < before).order_by(log_line.c.at).limit(limit)
    return tx.execute(delete(log_line).where(log_line.c.id.in_(ids))).rowcount == limit


def forget_task(tx: Connection, task_id: int) -> None:
    tx.execute(delete(log_line).where(log_line.c.task_id == task_id))
