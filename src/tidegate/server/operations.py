"""The part of `Control` for operating tasks: the list, the commands, and what is known of runs."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection

from tidegate.errors import CommandRefused, Invalid, NotFound, TidegateError
from tidegate.model.lifecycle import STATES, Held, State
from tidegate.model.problem import problem
from tidegate.model.task import TaskSpec
from tidegate.server import listing
from tidegate.server.gate import LOOKED_INTO, Asked, Gate, demand_known, demand_legal
from tidegate.server.present import event_view, refusal_facts, snapshot_view
from tidegate.server.views import (
    Accepted,
    EventView,
    OpsTotals,
    OpsTrends,
    Page,
    PositionView,
    RunView,
    SnapshotRequest,
    SnapshotView,
    TaskView,
)
from tidegate.store import moves, runs, tasks
from tidegate.store.moves import Situation
from tidegate.store.rows import Cleanup, Health, RunRow
from tidegate.watch.metrics import BY_NAME, Of

log = structlog.get_logger()

OPS_SORTS = tuple(tasks.SORTS)
PAGE_SIZE_MAX = 1000
EVENTS_MAX = 1000


class Operations(Gate):
    def ops(
        self,
        *,
        project: str | None = None,
        seen: Collection[str] | None = None,
        status: Sequence[str] = (),
        name: str | None = None,
        owner: str | None = None,
        source_kind: str | None = None,
        target_kind: str | None = None,
        resource_group: str | None = None,
        ids: Sequence[int] | None = None,
        drafts: bool = False,
        sort: str = "name",
        page: int = 1,
        page_size: int = 20,
    ) -> Page[TaskView]:
        """Submitted tasks, with `drafts` all of them; with `ids` only these; of the `seen` projects (None: of all).
        `status` takes shown statuses (any of them), `name` a part of the name, ignoring case. `sort` is one of
        `OPS_SORTS`, with a leading `-` for descending. Raises `Invalid`."""
        demand_statuses(status)
        if sort.removeprefix("-") not in OPS_SORTS:
            raise Invalid(f"sort: {sort} is none of {', '.join(OPS_SORTS)}, with - for descending")
        if page < 1 or not 1 <= page_size <= PAGE_SIZE_MAX:
            raise Invalid(f"page must be at least 1 and page_size from 1 to {PAGE_SIZE_MAX}")
        with self.db.read() as tx:
            found, total = tasks.list_tasks(
                tx,
                task_ids=ids,
                submitted=not drafts,
                project_name=project,
                seen=seen,
                statuses=status,
                name_part=name,
                equal={
                    "owner": owner,
                    "source_kind": source_kind,
                    "target_kind": target_kind,
                    "group_name": resource_group,
                },
                sort=sort.removeprefix("-"),
                descending=sort.startswith("-"),
                offset=(page - 1) * page_size,
                limit=page_size,
            )
            views = self._enriched(tx, found)
        return Page(views, total, page, page_size)

    def ops_totals(
        self,
        *,
        project: str | None = None,
        seen: Collection[str] | None = None,
        name: str | None = None,
        owner: str | None = None,
        source_kind: str | None = None,
        target_kind: str | None = None,
        resource_group: str | None = None,
    ) -> OpsTotals:
        """Over the submitted tasks that match, of the `seen` projects (None: of all)."""
        equal = {
            "owner": owner,
            "source_kind": source_kind,
            "target_kind": target_kind,
            "group_name": resource_group,
        }
        with self.db.read() as tx:
            return listing.totals(tx, project=project, seen=seen, name=name, equal=equal)

    def ops_trends(self, task_ids: Sequence[int], metric: str, *, seen: Collection[str] | None = None) -> OpsTrends:
        """The last `TREND_S` seconds of a metric of the metric table. Raises `Invalid`."""
        known = BY_NAME[Of.TASK].get(metric)
        if known is None:
            raise Invalid(f"metric: there is no metric {metric}")
        with self.db.read() as tx:
            found, _ = tasks.list_tasks(tx, task_ids=task_ids, seen=seen)
            run_of = {now_in.task.id: now_in.run.id for _, now_in in found if now_in.run is not None}
            return listing.trends(tx, run_of, known, self.clock.now())

    def rows(self, task_ids: Collection[int]) -> list[TaskView]:
        """These tasks as lists show them; one that is gone is left out."""
        if not task_ids:
            return []
        with self.db.read() as tx:
            found, _ = tasks.list_tasks(tx, task_ids=sorted(task_ids))
            return self._enriched(tx, found)

    def list_marks(self) -> Mapping[str, object]:
        """By project: another one than before if a task was added, removed, changed or moved."""
        with self.db.read() as tx:
            return tasks.marks(tx)

    def _enriched(self, tx: Connection, found: Sequence[tuple[str, Situation]]) -> list[TaskView]:
        views = [self._view(project, now_in) for project, now_in in found]
        return listing.enriched(tx, views, [now_in for _, now_in in found])

    # --- commands ---

    def command(
        self,
        task: int,
        name: str,
        *,
        version: int | None = None,
        start: Mapping[str, Any] | None = None,
        actor: str,
    ) -> Accepted:
        """Carry out one of `run`, `pause`, `force-pause`, `continue`, `stop`, `remove`, `submit`. It returns as soon as
        the task is in its Operating step; the reconciler does the rest.

        `version` makes it conditional on nobody having changed the task since. `start` is for `run`: `{read:
        "full+incremental"|"incremental", position: str|None, time: str|None}`, by default what the definition says.

        Raises `CommandRefused` (facts `state`, `status`, `version`, `offers`), `StaleVersion` (the same facts),
        `NoUnits`, `ObjectMissing`, for `run` what `check_task` finds, for `continue` what `check_continue` finds
        (`PositionLost`, `SourceIdentityChanged`, …). Nothing has changed then.
        """
        demand_known(name, start)
        if name == "submit":
            with self.db.read() as tx:
                seen = moves.get(tx, task)
            self.demand_version(seen, version)
            demand_legal(seen, name)  # a new version of a submitted task is no move: `submit` makes it
            return Accepted(self.submit(task, version=seen.task.version, actor=actor).task)
        asked, cost = Asked(name, actor), None
        if name in LOOKED_INTO:
            # Looked at without a transaction, for it takes seconds: it counts only if nobody changed the task since.
            asked, version, cost = self.look_into(task, name, version, start, actor)
        with self.db.write() as tx:
            now_in = moves.get(tx, task, lock=True)
            self.demand_version(now_in, version)
            demand_legal(now_in, name)
            self._carry_out(tx, now_in, asked)
            view = self._task_view(tx, task)
        log.info("command.accepted", task=task, run=view.run, command=name, actor=actor)
        self.wake(task)
        return Accepted(view, cost.reread_bytes, cost.safe_bytes) if cost else Accepted(view)

    def delete_task(self, task: int, *, version: int | None = None, actor: str) -> Accepted:
        """The command `remove`."""
        return self.command(task, "remove", version=version, actor=actor)

    def _carry_out(self, tx: Connection, now_in: Situation, asked: Asked) -> None:
        match asked.name:
            case "run":
                self._run(tx, now_in, asked)
            case "continue":
                self._continue(tx, now_in, asked)
            case "pause":
                self._move(tx, now_in, asked)
            case "force-pause":
                self._fenced_move(tx, now_in, asked)
            case "stop":
                self._fenced_move(tx, now_in, asked, cleanup=Cleanup.DUE.value, cleanup_at=self.clock.now())
            case "remove":
                self._remove(tx, now_in, asked)

    def _move(self, tx: Connection, now_in: Situation, asked: Asked, **changes: Any) -> None:
        now = self.clock.now()
        moves.move(tx, now_in, asked.name, now=now, actor=asked.actor, intent=asked.name, **changes)

    def _fenced_move(self, tx: Connection, now_in: Situation, asked: Asked, **run_changes: Any) -> None:
        """The worker is not asked: from here on it cannot change anything (I5)."""
        if now_in.run is not None:
            runs.fence(tx, now_in.run, **run_changes)
        self._move(tx, now_in, asked)

    def _run(self, tx: Connection, now_in: Situation, asked: Asked) -> None:
        """A new run with clean counters; a failed one without a snapshot ends here."""
        if asked.spec is None:
            raise TidegateError("run was carried out without being looked into")
        now = self.clock.now()
        self.demand_units(tx, asked.spec)
        if now_in.run is not None and now_in.held is not Held.NOTHING:
            end_run(tx, now_in.run, now)
        run_id = runs.add_run(
            tx,
            now_in.task.id,
            server_id=self.store.server_id,
            now=now,
            start=asked.start,
            **_opened_with(asked.spec, now_in),
        )
        self._move(tx, now_in, asked, run_id=run_id)

    def _continue(self, tx: Connection, now_in: Situation, asked: Asked) -> None:
        if asked.spec is None or now_in.run is None:
            raise TidegateError("continue was carried out without being looked into")
        self.demand_units(tx, asked.spec)
        runs.change_run(
            tx,
            now_in.run.id,
            **_opened_with(asked.spec, now_in),
            restarts_spent=0,
            restarts_quick=0,
            restart_at=None,
            opened_at=None,
            phase="preparing",
            health=Health.STEADY.value,
            error=None,
        )
        self._move(tx, now_in, asked)

    def _remove(self, tx: Connection, now_in: Situation, asked: Asked) -> None:
        """What earlier runs left is tried once more."""
        for run in runs.list_runs(tx, now_in.task.id):
            if run.cleanup != Cleanup.DONE.value:
                end_run(tx, run, self.clock.now())
        self._move(tx, now_in, asked)

    # --- runs ---

    def runs(self, task: int) -> list[RunView]:
        """Newest first. Raises `NotFound`."""
        with self.db.read() as tx:
            moves.get(tx, task)
            return [self._run_view(row) for row in runs.list_runs(tx, task)]

    def run(self, task: int, number: int) -> RunView:
        """Raises `NotFound`."""
        with self.db.read() as tx:
            return self._run_view(self._run_row(tx, task, number))

    def _run_row(self, tx: Connection, task: int, number: int | None) -> RunRow:
        now_in = moves.get(tx, task)
        found = [row for row in runs.list_runs(tx, task) if number in (None, row.number)]
        if not found:
            raise NotFound(f"task {now_in.task.name} has no run{'' if number is None else f' {number}'}")
        return found[0]

    def snapshots(self, task: int, *, run: int | None = None) -> list[SnapshotView]:
        """Newest first; of the present run unless another is named. Raises `NotFound`."""
        with self.db.read() as tx:
            now_in = moves.get(tx, task)
            if run is None and now_in.run is None:
                return []
            row = self._run_row(tx, task, run)
            return [snapshot_view(one, row.number) for one in runs.list_snapshots(tx, row.id)]

    def request_snapshot(self, task: int, *, actor: str) -> SnapshotRequest:
        """Ask the worker for a snapshot now. A request still open is answered again. Raises `CommandRefused` unless the
        task is Running."""
        with self.db.write() as tx:
            now_in = moves.get(tx, task, lock=True)
            if now_in.task.state is not State.RUNNING or now_in.run is None:
                raise CommandRefused(
                    f"a snapshot was refused for task {now_in.task.name}: the status is "
                    f"{STATES[now_in.task.state].status}; possible when {STATES[State.RUNNING].status}",
                    **refusal_facts(now_in),
                )
            request = now_in.run.snapshot_request
            if request is None:
                request = secrets.token_hex(8)
                runs.change_run(tx, now_in.run.id, snapshot_request=request)
                moves.record(tx, now_in, "snapshot_asked", now=self.clock.now(), actor=actor)
        return SnapshotRequest(request, None)

    def snapshot_request(self, task: int, request: str) -> SnapshotRequest:
        """Raises `NotFound`, also for one that ended without a snapshot."""
        with self.db.read() as tx:
            run = self._run_row(tx, task, None)
            stored = runs.requested_snapshot(tx, run.id, request)
        if stored is None and run.snapshot_request != request:
            raise NotFound(f"there is no snapshot request {request}")
        return SnapshotRequest(request, snapshot_view(stored, run.number) if stored else None)

    def positions(self, task: int, *, ask_source: bool = False) -> PositionView | None:
        """Where the present run stands; None without one. `ask_source` connects to the source, which may take seconds.
        Raises `NotFound`."""
        with self.db.read() as tx:
            now_in = moves.get(tx, task)
            run = now_in.run
            if run is None:
                return None
            newest = runs.newest_snapshot(tx, run.id)
        log = self.logbook.of(run.id)
        return PositionView(
            run=run.number,
            current=run.position,
            current_at=run.heard_at,
            snapshot=newest.position if newest else None,
            snapshot_at=newest.at if newest else None,
            lag_s=run.lag_s,
            lag_bytes=run.lag_bytes,
            retained_bytes=log.retained_bytes if log else None,
            rate_bytes_s=log.rate_bytes_s if log else None,
            left_s=log.left_at(self.clock.ticks()) if log else None,
            **(self._asked_of_source(now_in, run, newest.position if newest else None) if ask_source else {}),
        )

    def _asked_of_source(self, now_in: Situation, run: RunRow, position: str | None) -> dict[str, Any]:
        if now_in.held is Held.NOTHING:
            return {}
        try:
            with self.db.read() as tx:
                spec = self.run_spec(tx, run)
                source, target = self.sides(tx, now_in.task.project_id, spec)
            if STATES[now_in.task.state].worker:
                log = self.data_plane.look_at_log(run.key, source, run.position)
                return {
                    "source_end": log.source_end,
                    "behind_bytes": log.behind_bytes,
                    "safe_bytes": log.safe_bytes,
                }
            cost = self.data_plane.check_continue(run.key, spec, source, target, position)
        except TidegateError as error:
            return {"source_error": problem(error)}
        return {"source_end": cost.source_end, "reread_bytes": cost.reread_bytes, "safe_bytes": cost.safe_bytes}

    def events(
        self, task: int | None = None, *, run: int | None = None, limit: int = 200, **wanted: Any
    ) -> list[EventView]:
        """Key events newest first, at most `limit`, with the filters of `store.moves.list_events`. Those of removed
        tasks are kept."""
        with self.db.read() as tx:
            rows = moves.list_events(tx, task_id=task, run_number=run, limit=max(1, min(limit, EVENTS_MAX)), **wanted)
        return [event_view(row) for row in rows]


def demand_statuses(status: Sequence[str]) -> None:
    """Raises `Invalid` for one that is never shown."""
    known = {facts.status for facts in STATES.values() if facts.status}
    if unknown := set(status) - known:
        raise Invalid(f"status: {', '.join(sorted(unknown))} is none of {', '.join(sorted(known))}")


def end_run(tx: Connection, run: RunRow, now: float) -> None:
    """The run is over: nobody speaks for it any more (I5), and its state and position are discarded."""
    runs.fence(tx, run, ended_at=run.ended_at or now, cleanup=Cleanup.DUE.value, cleanup_at=now, cleanup_tries=0)
    runs.discard_snapshots(tx, [run.id])


def _opened_with(spec: TaskSpec, now_in: Situation) -> dict[str, Any]:
    return {
        "version": now_in.task.submitted,
        "group_name": spec.resource_group,
        "units": spec.units,
        "restarts_max": spec.restarts.max,
        "snapshots_keep": spec.snapshots.keep,
    }
