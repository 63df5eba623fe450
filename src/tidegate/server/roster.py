"""The part of `Control` for workers. Who speaks with anything but the run's present epoch changes nothing (I5)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Connection

from tidegate.errors import (
    CommandRefused,
    Fenced,
    Invalid,
    ObjectMissing,
    PositionWentBack,
    RestartsSpent,
    TargetEpochAhead,
    TidegateError,
    Unauthorized,
)
from tidegate.model.lifecycle import EVENTS, STATES, IllegalMove, State
from tidegate.model.problem import problem
from tidegate.server.measurements import Measurements
from tidegate.server.operations import end_run
from tidegate.server.present import refusal_facts
from tidegate.server.views import Assignment, Beat, Json, Orders, Session, WorkerSnapshot
from tidegate.store import moves, points, runs, tasks
from tidegate.store.moves import Situation
from tidegate.store.rows import Health, RunRow, SnapshotKind

WORKER_MOVES = ("opened", "open_failed", "drained", "pause_failed", "gave_up", "end_reached")
WORKER = "worker"
"""The actor of what a worker reports."""

log = structlog.get_logger()

_TOKEN = re.compile(r"tgw_(\d{1,18})_(\d{1,9})_([A-Za-z0-9_-]{20,100})")
_EVENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_SAID_BYTES_MAX = 16_000
SESSIONS_MAX = 20_000
EPOCH_MAX = 900_000_000


def new_token(run_id: int, epoch: int) -> tuple[str, str]:
    """A token for one epoch of one run, and the hash that is stored of it."""
    token = f"tgw_{run_id}_{epoch}_{secrets.token_urlsafe(32)}"
    return token, _hash(token)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Roster(Measurements):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._sessions: dict[str, Session] = {}
        """By the hash of their tokens."""

    def authenticate(self, token: str) -> Session:
        """Raises `Unauthorized`, or `Fenced` when the epoch of the token is over (I5)."""
        parsed = _TOKEN.fullmatch(token)
        if parsed is None:
            raise Unauthorized("this is no worker's token")
        # A token found right once belongs to its run and epoch for good; whether that epoch is over, everything a
        # session is good for looks up anew.
        return self.remembered(token) or self._authenticated(_hash(token), int(parsed[1]), int(parsed[2]))

    def remembered(self, token: str) -> Session | None:
        """Whose it is, if it was found right before; without the store."""
        return self._sessions.get(_hash(token))

    def _authenticated(self, token_hash: str, run_id: int, epoch: int) -> Session:
        with self.db.read() as tx:
            run = runs.find_run(tx, run_id)
        if run is None or epoch > run.epoch:
            raise Unauthorized("this is no worker's token")
        if epoch < run.epoch or run.token_hash is None:
            raise _superseded(run.key, epoch)
        if not hmac.compare_digest(run.token_hash, token_hash):
            raise Unauthorized("this is no worker's token")
        if len(self._sessions) >= SESSIONS_MAX:
            self._sessions.clear()
        session = self._sessions[token_hash] = Session(run.task_id, run.id, run.key, epoch)
        return session

    def register(self, session: Session, *, pid: int, started: str) -> Assignment:
        """A worker process says which one it is; `started` as `model.process.started(pid)` gives it. May be repeated by
        the same process. Raises `Fenced`, also for a second process of one epoch, `ObjectMissing`."""
        with self.db.write() as tx:
            now_in, run = self._present(tx, session)
            if run.registered_at is not None and run.worker_pid != pid:
                raise _superseded(run.key, session.epoch)
            if run.worker_pid != pid:
                runs.change_run(tx, run.id, worker_pid=pid, worker_started=started)
            points.put_tables(tx, self.meter.changed_tables(run.id, self.clock.ticks(), self.clock.now()))
            runs.change_run(tx, run.id, registered_at=self.clock.now())
            assignment = self._assignment(tx, now_in, run)
        log.info("worker.registered", task=session.task_id, run=run.number, epoch=session.epoch, pid=pid)
        self.attendance.hear(run.id, run.epoch, self.clock.ticks())
        self.wake(session.task_id)
        return assignment

    def _assignment(self, tx: Connection, now_in: Situation, run: RunRow) -> Assignment:
        definition = tasks.get_version(tx, run.task_id, run.version).definition
        source, target = self.unchecked_sides(tx, now_in.task.project_id, self.run_spec(tx, run))
        newest = runs.newest_snapshot(tx, run.id)
        project = str(definition["project"])
        return Assignment(
            run_key=run.key,
            run_number=run.number,
            epoch=run.epoch,
            task_id=now_in.task.id,
            task_name=now_in.task.name,
            state=now_in.task.state.value,
            version=run.version,
            definition=definition,
            source=source,
            target=target,
            folders=self.folders.of(project) if self.folders.listed is not None else None,
            data_dir=self.folders.data_dir,
            snapshot=WorkerSnapshot(newest.id, newest.position, json.loads(runs.snapshot_state(tx, newest.id)))
            if newest
            else None,
            start=run.start,
            restarts=run.restarts,
            counted=self.meter.counted(run.id) or run.counters,
            tables={one.name: one.measure.tell() for one in points.tables(tx, run.id)[0]},
            heartbeat_s=self.limits.heartbeat_s,
            lease_s=self.limits.lease_s,
        )

    def heartbeat(self, session: Session, beat: Beat) -> Orders:
        """One that is heard and answered at once. Raises `Fenced`."""
        self.hear(session)
        (said,) = self.heartbeats([(session, beat)])
        if isinstance(said, Exception):
            raise said
        return said

    def hear(self, session: Session) -> None:
        """The worker speaks. Noted before the store is asked anything, which may be away: who speaks is alive."""
        self.attendance.hear(session.run_id, session.epoch, self.clock.ticks())

    def heartbeats(self, spoken: Sequence[tuple[Session, Beat]]) -> list[Orders | Exception]:
        """Many who were heard are told in their order what each shall do; one of an epoch that is over gets the
        `Fenced` that is to be raised. Raises what the store raises."""
        with self.db.read() as tx:
            known = runs.standings(tx, {session.run_id for session, _ in spoken})
        told: list[Orders | Exception] = []
        for session, beat in spoken:
            try:
                told.append(self._orders(session, beat, known.get(session.run_id)))
            except Exception as error:  # noqa: BLE001  each is answered for itself
                told.append(error)
        return told

    def _orders(self, session: Session, beat: Beat, standing: runs.Standing | None) -> Orders:
        if standing is None or standing.epoch != session.epoch:
            raise _superseded(session.run_key, session.epoch)
        self.motions.hear(session.run_id, session.epoch, self.clock.ticks(), beat)
        report = runs.Report(
            run_id=session.run_id,
            epoch=session.epoch,
            heard_at=self.clock.now(),
            phase=beat.phase,
            health=beat.health,
            position=beat.position,
            lag_s=beat.lag_s,
            lag_bytes=beat.lag_bytes,
            counters=dict(beat.counters),
            error=dict(beat.error) if beat.error else None,
        )
        self.attendance.hear(session.run_id, session.epoch, self.clock.ticks(), report)
        unknown = self._measure(session, beat)
        pausing = standing.state is State.PAUSING
        return Orders(
            "pause" if pausing else "run",
            standing.snapshot_request,
            pause=standing.state_since if pausing else None,
            tables=unknown,
        )

    def _measure(self, session: Session, beat: Beat) -> bool:
        """Whether the worker is to tell of all its tables."""
        figures = {**beat.counters, "lag_s": beat.lag_s, "lag_bytes": beat.lag_bytes}
        who = (session.run_id, session.epoch, self.clock.ticks(), figures)
        try:
            return self.meter.hear(*who, beat.tables, beat.position)
        except ValueError as error:
            # A worker of another version has other figures. Its lease and its orders do not hang on them.
            log.warning("heartbeat.tables_not_understood", task=session.task_id, key=session.run_key, reason=str(error))
            self.meter.hear(*who, {}, beat.position)
            return False

    def store_snapshot(
        self,
        session: Session,
        *,
        kind: str,
        position: str,
        state: Json,
        request: str | None = None,
        sortable: str | None = None,
    ) -> int:
        """Durable when it returns (I1); its id. `sortable` (as `Position.sortable()`) lets a position that goes back be
        refused (I2): `PositionWentBack`. The same snapshot sent again is stored once. Raises `Fenced`, `Invalid`."""
        text = json.dumps(dict(state), ensure_ascii=False, separators=(",", ":"))
        with self.db.write() as tx:
            now_in, run = self._present(tx, session)
            if kind not in list(SnapshotKind):
                raise Invalid(f"kind: must be one of {', '.join(SnapshotKind)}")
            newest = runs.newest_snapshot(tx, run.id)
            if newest and sortable is not None and newest.sortable is not None and sortable < newest.sortable:
                raise PositionWentBack(f"run {run.key} has a snapshot at {newest.position}, after {position}")
            again = newest is not None and (newest.epoch, newest.kind, newest.position, newest.request) == (
                run.epoch,
                kind,
                position,
                request,
            )
            if newest is not None and again and runs.snapshot_state(tx, newest.id) == text:
                return newest.id
            stored = runs.add_snapshot(
                tx,
                run,
                kind=kind,
                at=self.clock.now(),
                position=position,
                sortable=sortable,
                state=text,
                state_bytes=len(text.encode()),
                request=request,
            )
            if request is not None and request == run.snapshot_request:
                runs.change_run(tx, run.id, snapshot_request=None)
            if kind != SnapshotKind.PERIODIC.value:
                facts = {"kind": kind, "position": position}
                moves.record(tx, now_in, "snapshot_stored", now=self.clock.now(), actor=WORKER, facts=facts)
        log.debug("snapshot.stored", task=run.task_id, run=run.number, kind=kind, position=position, id=stored)
        self.attendance.hear(run.id, run.epoch, self.clock.ticks())
        return stored

    # --- events ---

    def event(self, session: Session, name: str, *, error: Json | None = None, facts: Json | None = None) -> None:
        """Something happened in the worker. The names in `WORKER_MOVES` change the state; others are recorded. One that
        was carried out already is accepted again and changes nothing. Raises `Fenced`, `Invalid`, `CommandRefused` when
        the state does not allow it (the worker goes on as its next heartbeat says)."""
        said = (dict(error) if error else None, dict(facts or {}))
        with self.db.write() as tx:
            now_in, run = self._present(tx, session)
            if not _EVENT_NAME.fullmatch(name) or (name in EVENTS and name not in WORKER_MOVES):
                raise Invalid("name: is not for a worker to say")
            if len(json.dumps(said)) > _SAID_BYTES_MAX:
                raise Invalid(f"error and facts: are more than {_SAID_BYTES_MAX} bytes")
            try:
                self._happened(tx, now_in, run, name, *said)
            except IllegalMove:
                status = STATES[now_in.task.state].status
                raise CommandRefused(
                    f"{name} is not possible: task {now_in.task.name} is {status}", **refusal_facts(now_in)
                ) from None
        code = said[0].get("code") if said[0] else None
        log.info("worker.told", task=session.task_id, run=run.number, epoch=run.epoch, name=name, code=code)
        self.attendance.hear(run.id, run.epoch, self.clock.ticks())
        self.wake(session.task_id)

    def _happened(
        self, tx: Connection, now_in: Situation, run: RunRow, name: str, error: Json | None, facts: Json
    ) -> None:
        match name:
            case "opened":
                self._opened(tx, now_in, run, facts)
            case "drained":
                self._drained(tx, now_in, run, facts)
            case "pause_failed":
                # Not one that came too late: the deadline was faster, and another pause may be under way by now.
                meant = facts.get("pause") in (None, now_in.task.state_since)
                facts = {name: fact for name, fact in facts.items() if name != "pause"}
                if now_in.task.state is not State.RUNNING and meant:
                    self._worker_move(tx, now_in, name, error=error, facts=facts, intent="run")
            case "gave_up" | "open_failed":
                self.fail(tx, now_in, run, error or problem(TidegateError("the worker gave no reason")), facts)
            case "end_reached":
                self._worker_move(tx, now_in, name, facts=facts)
                end_run(tx, run, self.clock.now())
            case "restarted":
                self.count_restart(tx, now_in, run, error, facts)
            case "phase" if (known := moves.newest_event(tx, now_in, name)) and known.facts == facts:
                pass  # a worker that opens the run again says where it is; nothing changed
            case _:
                moves.record(tx, now_in, name, now=self.clock.now(), actor=WORKER, error=error, facts=facts)

    def _worker_move(self, tx: Connection, now_in: Situation, name: str, **more: Any) -> Situation:
        return moves.move(tx, now_in, name, now=self.clock.now(), **({"actor": WORKER} | more))

    def _opened(self, tx: Connection, now_in: Situation, run: RunRow, facts: Json) -> None:
        if run.opened_at is not None:
            return
        now = self.clock.now()
        runs.change_run(tx, run.id, opened_at=now, health=Health.STEADY.value, error=None)
        if now_in.task.state in (State.STARTING, State.CONTINUING):
            self._worker_move(tx, now_in, "opened", facts=facts)
        else:
            moves.record(tx, now_in, "recovered", now=now, actor=WORKER, facts={**facts, "epoch": run.epoch})

    def _drained(self, tx: Connection, now_in: Situation, run: RunRow, facts: Json) -> None:
        """Paused means that a snapshot of everything written is stored: without it the word is not taken."""
        newest = runs.newest_snapshot(tx, run.id)
        if newest is None or newest.kind != SnapshotKind.PAUSE.value or newest.epoch != run.epoch:
            raise Invalid("drained: the pause snapshot has not been stored")
        self._worker_move(tx, now_in, "drained", facts={**facts, "snapshot": newest.id, "position": newest.position})
        runs.silence(tx, run.id, snapshot_request=None, position=newest.position)

    def fail(
        self, tx: Connection, now_in: Situation, run: RunRow, error: Json, facts: Json, *, actor: str = WORKER
    ) -> None:
        """The run cannot go on: from every state that has a worker to Failure, or to Detection Exception where the
        error says that a thing is gone. Raises `IllegalMove`."""
        runs.fence(tx, run, error=error)
        if (known := _epoch_ahead(error)) > run.epoch:
            runs.change_run(tx, run.id, epoch=known)  # what is started next must be newer than all the target knows
        name = "gave_up"
        if now_in.task.state is State.PAUSING:
            # A pause that cannot finish is Running again first: each is a move of its own, with its reason.
            now_in = self._worker_move(tx, now_in, "pause_failed", error=error, facts=facts, actor=actor, intent="run")
        elif now_in.task.state in (State.STARTING, State.CONTINUING):
            name = "open_failed"
        if error.get("code") == ObjectMissing.code:
            name = "object_missing"
        self._worker_move(tx, now_in, name, error=error, facts=facts, actor=actor, keep_error=True)

    def count_restart(self, tx: Connection, now_in: Situation, run: RunRow, error: Json | None, facts: Json) -> None:
        """The worker started over by itself; that counts as if it had been replaced."""
        if 0 <= run.restarts_max <= run.restarts_spent:
            self.fail(tx, now_in, run, spent(run, error), facts)
            return
        runs.change_run(tx, run.id, restarts=run.restarts + 1, restarts_spent=run.restarts_spent + 1)
        moves.record(tx, now_in, "restarted", now=self.clock.now(), actor=WORKER, error=error, facts=facts)

    # --- inside ---

    def _present(self, tx: Connection, session: Session) -> tuple[Situation, RunRow]:
        """The task and its run, if the session still speaks for it. Raises `Fenced` (I5)."""
        now_in = moves.find(tx, session.task_id, lock=True)
        run = now_in.run if now_in else None
        if now_in is None or run is None or run.id != session.run_id:
            raise _superseded(session.run_key, session.epoch)
        if run.epoch != session.epoch or run.token_hash is None:
            raise _superseded(run.key, session.epoch)
        return now_in, run


def spent(run: RunRow, error: Json | None) -> dict[str, Any]:
    """The problem of a run that was restarted as often as it may."""
    last = f"; the last error: {error['detail']}" if error and error.get("detail") else ""
    return problem(
        RestartsSpent(f"run {run.key} was restarted {run.restarts_spent} times, which is its restarts.max{last}")
    )


def _epoch_ahead(error: Json) -> int:
    """The epoch that a target knows and this store does not."""
    facts = error.get("facts")
    known = facts.get("epoch") if error.get("code") == TargetEpochAhead.code and isinstance(facts, dict) else None
    return known if isinstance(known, int) and known < EPOCH_MAX else 0


def _superseded(run_key: str, epoch: int) -> Fenced:
    return Fenced(f"epoch {epoch} of run {run_key} is over", epoch=epoch)
