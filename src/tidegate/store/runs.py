"""Runs and their snapshots. What a worker may change it changes only with the run's present epoch (I5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, case, cast, func, select

from tidegate.model.lifecycle import STATES, State
from tidegate.store.rows import Cleanup, Health, RunRow, SnapshotRow, columns, read
from tidegate.store.tables import data_source, run, snapshot, task


def add_run(tx: Connection, task_id: int, *, server_id: str, now: float, **opened_with: Any) -> int:
    """The task's next run, with clean counters; its id."""
    newest = tx.execute(select(func.max(run.c.number)).where(run.c.task_id == task_id)).scalar_one()
    number = (newest or 0) + 1
    added = tx.execute(
        run.insert().values(
            **opened_with,
            task_id=task_id,
            number=number,
            key=f"{task_key(server_id, task_id)}r{number}",
            started_at=now,
            epoch=0,
            restarts=0,
            restarts_spent=0,
            restarts_quick=0,
            phase="preparing",
            health=Health.STEADY.value,
            counters={},
            cleanup=Cleanup.KEPT.value,
            cleanup_tries=0,
        )
    )
    key: int = added.inserted_primary_key[0]  # type: ignore[index]  # an insert of one row always has it
    return key


def task_key(server_id: str, task_id: int) -> str:
    """The task's name at sources and targets; each run's is this with its number."""
    return f"{server_id}_t{task_id}"


def find_run(tx: Connection, run_id: int, *, lock: bool = False) -> RunRow | None:
    query = select(*columns(run, RunRow)).where(run.c.id == run_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return read(RunRow, row) if row is not None else None


def list_runs(tx: Connection, task_id: int) -> list[RunRow]:
    """Newest first."""
    query = select(*columns(run, RunRow)).where(run.c.task_id == task_id).order_by(run.c.number.desc())
    return [read(RunRow, row) for row in tx.execute(query)]


def change_run(tx: Connection, run_id: int, **values: Any) -> None:
    tx.execute(run.update().where(run.c.id == run_id).values(**values))


def fence(tx: Connection, held: RunRow, **values: Any) -> None:
    """End the present epoch: no worker may speak for the run until one is started anew (I5)."""
    values |= {"epoch": held.epoch + 1, "restart_at": None, "snapshot_request": None}
    silence(tx, held.id, **values)


def silence(tx: Connection, run_id: int, **values: Any) -> None:
    """No worker speaks for the run from now on, so nobody knows any more how far it is behind."""
    change_run(tx, run_id, **values, token_hash=None, lag_s=None, lag_bytes=None)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a heartbeat needs to know: read once a second for each worker, so no more than that."""

    epoch: int | None
    """The one that may speak now; None: none may."""
    state: State
    state_since: float
    snapshot_request: str | None


def standings(tx: Connection, run_ids: Collection[int]) -> dict[int, Standing]:
    """By run; one that is not its task's newest is missing. In one statement, so of many at most some hundreds."""
    return {
        run_id: Standing(epoch if token_hash is not None else None, State(state), since, request)
        for run_id, epoch, token_hash, state, since, request in tx.execute(_STANDINGS, {"the_runs": list(run_ids)})
    }


_STANDINGS = (
    select(run.c.id, run.c.epoch, run.c.token_hash, task.c.state, task.c.state_since, run.c.snapshot_request)
    .join(task, task.c.run_id == run.c.id)
    .where(run.c.id.in_(bindparam("the_runs", expanding=True)))
)


def record_worker(tx: Connection, run_id: int, pid: int, started: str) -> None:
    """Which process the run's worker is, unless it said so itself already. Also when the epoch is over by now: it must
    be ended then."""
    tx.execute(
        run.update()
        .where(run.c.id == run_id, run.c.worker_pid.is_(None))
        .values(worker_pid=pid, worker_started=started)
    )
    # What the worker says of its start is its own word; the engine's holds.
    tx.execute(run.update().where(run.c.id == run_id, run.c.worker_pid == pid).values(worker_started=started))


def forget_worker(tx: Connection, run_id: int, pid: int) -> None:
    """That process has ended."""
    tx.execute(
        run.update().where(run.c.id == run_id, run.c.worker_pid == pid).values(worker_pid=None, worker_started=None)
    )


@dataclass(frozen=True, slots=True)
class Glance:
    """What tells whether a task needs a closer look."""

    task_id: int
    state: State
    run_id: int
    epoch: int
    worker: tuple[int, str] | None
    registered: bool


def glances(tx: Connection) -> list[Glance]:
    """Every task in an Operating step, with a worker, or with the process of one."""
    return [
        Glance(
            task_id,
            State(state),
            run_id or 0,
            epoch or 0,
            (pid, started or "") if pid is not None and token is not None else None,
            registered is not None,
        )
        for task_id, state, run_id, epoch, token, pid, started, registered in tx.execute(_GLANCES)
    ]


# Statements of every sweep are made once: to build one takes longer than to execute it.
_WATCHED = [s.value for s, facts in STATES.items() if facts.worker or facts.deadline_s is not None]
_GLANCES = (
    select(
        task.c.id,
        task.c.state,
        run.c.id,
        run.c.epoch,
        run.c.token_hash,
        run.c.worker_pid,
        run.c.worker_started,
        run.c.registered_at,
    )
    .outerjoin(run, run.c.id == task.c.run_id)
    .where(task.c.state.in_(_WATCHED) | run.c.worker_pid.is_not(None))
    .order_by(task.c.id)
)
_STRAYS = select(*columns(run, RunRow)).where(run.c.worker_pid.is_not(None), run.c.ended_at.is_not(None))
_TO_CLEAN = (
    select(*columns(run, RunRow))
    .where(
        (run.c.cleanup == Cleanup.DUE.value)
        | (
            (run.c.cleanup == Cleanup.LEFT.value)
            & ((run.c.cleanup_at <= bindparam("by_now")) | (run.c.cleanup_at > bindparam("too_late")))
        )
    )
    .order_by(run.c.cleanup_at)
    .limit(bindparam("at_most", type_=Integer))
)


@dataclass(frozen=True, slots=True)
class Pinning:
    """A run that a source keeps log for, with its task."""

    task_id: int
    state: State
    version: int
    """The task row's."""
    submitted: int
    source_id: int
    run_id: int
    run_key: str
    position: str | None


def pinning(tx: Connection, states: Collection[State]) -> list[Pinning]:
    """Of tasks in these states; those whose data source is gone are left out."""
    query = (
        select(
            task.c.id,
            task.c.state,
            task.c.version,
            task.c.submitted,
            data_source.c.id,
            run.c.id,
            run.c.key,
            run.c.position,
        )
        .join(run, run.c.id == task.c.run_id)
        .join(
            data_source,
            (data_source.c.project_id == task.c.project_id) & (data_source.c.name == task.c.source_name),
        )
        .where(task.c.state.in_([state.value for state in states]), run.c.ended_at.is_(None))
        # Before it was opened for the first time there may be no log yet.
        .where(run.c.opened_at.is_not(None) | run.c.position.is_not(None))
        .order_by(task.c.id)
    )
    return [Pinning(row[0], State(row[1]), *row[2:]) for row in tx.execute(query)]


def strays(tx: Connection) -> list[RunRow]:
    """Runs that are over, with a process that may still be there."""
    return [read(RunRow, row) for row in tx.execute(_STRAYS)]


def runs_to_clean(tx: Connection, *, now: float, wait_max_s: float, limit: int) -> list[RunRow]:
    """Runs that ended, and those whose leftovers may be tried again by now: or whose time is further away than
    `wait_max_s`, for then the clock was set back."""
    given = {"by_now": now, "too_late": now + wait_max_s, "at_most": limit}
    return [read(RunRow, row) for row in tx.execute(_TO_CLEAN, given)]


@dataclass(frozen=True, slots=True)
class Report:
    """What a heartbeat said, to be written with others."""

    run_id: int
    epoch: int
    heard_at: float
    phase: str
    health: str
    position: str | None
    lag_s: float | None
    lag_bytes: int | None
    counters: dict[str, Any]
    error: dict[str, Any] | None


_HEARD = (
    run.update()
    .where(run.c.id == bindparam("the_run"), run.c.epoch == bindparam("the_epoch"))
    .values(
        heard_at=bindparam("the_time"),
        phase=bindparam("the_phase"),
        # A worker that took over is recovering until it has opened both ends.
        health=case(
            (run.c.opened_at.is_(None) & (run.c.health == Health.RECOVERING.value), run.c.health),
            else_=bindparam("the_health"),
        ),
        # I2: a word that was on its way while the run drained is behind what the pause snapshot holds.
        position=case(
            (run.c.token_hash.is_(None), run.c.position),
            else_=func.coalesce(bindparam("the_position"), run.c.position),
        ),
        lag_s=case((run.c.token_hash.is_(None), None), else_=cast(bindparam("the_lag_s"), run.c.lag_s.type)),
        lag_bytes=case(
            (run.c.token_hash.is_(None), None), else_=cast(bindparam("the_lag_bytes"), run.c.lag_bytes.type)
        ),
        counters=bindparam("the_counters", type_=run.c.counters.type),
        error=case(
            (run.c.opened_at.is_(None), func.coalesce(bindparam("the_error", type_=run.c.error.type), run.c.error)),
            else_=bindparam("the_error", type_=run.c.error.type),
        ),
    )
)


def write_reports(tx: Connection, reports: Iterable[Report]) -> None:
    """Those of superseded epochs change nothing (I5); where a run stands, only those of one that has a worker."""
    values = [
        {
            "the_run": report.run_id,
            "the_epoch": report.epoch,
            "the_time": report.heard_at,
            "the_phase": report.phase,
            "the_health": report.health,
            "the_position": report.position,
            "the_lag_s": report.lag_s,
            "the_lag_bytes": report.lag_bytes,
            "the_counters": report.counters,
            "the_error": report.error,
        }
        for report in reports
    ]
    if values:
        tx.execute(_HEARD, values)


# --- snapshots ------------------------------------------------------------------------------------------------


def add_snapshot(tx: Connection, held: RunRow, **values: Any) -> int:
    """Its id. Those beyond the run's `snapshots_keep` newest go."""
    added = tx.execute(snapshot.insert().values(**values, run_id=held.id, epoch=held.epoch))
    key: int = added.inserted_primary_key[0]  # type: ignore[index]  # an insert of one row always has it
    kept = (
        select(snapshot.c.id)
        .where(snapshot.c.run_id == held.id)
        .order_by(snapshot.c.id.desc())
        .limit(held.snapshots_keep)
        .scalar_subquery()
    )
    tx.execute(snapshot.delete().where(snapshot.c.run_id == held.id, snapshot.c.id.not_in(kept)))
    return key


def newest_snapshot(tx: Connection, run_id: int) -> SnapshotRow | None:
    found = list_snapshots(tx, run_id, limit=1)
    return found[0] if found else None


def snapshot_state(tx: Connection, snapshot_id: int) -> str:
    text: str = tx.execute(select(snapshot.c.state).where(snapshot.c.id == snapshot_id)).scalar_one()
    return text


def list_snapshots(tx: Connection, run_id: int, *, limit: int | None = None) -> list[SnapshotRow]:
    """Newest first."""
    query = select(*columns(snapshot, SnapshotRow)).where(snapshot.c.run_id == run_id)
    return [read(SnapshotRow, row) for row in tx.execute(query.order_by(snapshot.c.id.desc()).limit(limit))]


def requested_snapshot(tx: Connection, run_id: int, request: str) -> SnapshotRow | None:
    query = select(*columns(snapshot, SnapshotRow)).where(snapshot.c.run_id == run_id, snapshot.c.request == request)
    row = tx.execute(query.order_by(snapshot.c.id).limit(1)).one_or_none()
    return read(SnapshotRow, row) if row is not None else None


def discard_snapshots(tx: Connection, run_ids: Collection[int]) -> None:
    """An ended run's state and position are gone for good."""
    tx.execute(snapshot.delete().where(snapshot.c.run_id.in_(run_ids)))
