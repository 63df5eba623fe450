"""The part of `Control` for comparing source and target: what was asked for is handed to the task's worker with its
heartbeat, and what the worker finds is kept in memory.

Nothing of it is stored but two key events, for the keys of rows that differ may be in it (I8): a server that is
restarted takes up again what the worker goes on telling, and has forgotten what was answered before.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.errors import CommandRefused, ComparisonEnded, Fenced, NotComparable, NotFound
from tidegate.model.lifecycle import STATES, State
from tidegate.model.problem import problem
from tidegate.server.present import refusal_facts
from tidegate.server.roster import WORKER, Roster
from tidegate.server.views import Beat, Json, Orders, Session, VerificationView
from tidegate.store import moves, runs

KEPT_MAX = 200
KEPT_PER_TASK_MAX = 20
# How long a worker may take to begin, and, after the deadline, to say that it has passed.
PICK_UP_S = 60.0
SILENCE_MAX_S = 60.0

ASKED, DONE, ENDED = "asked", "done", "ended"


@dataclass(slots=True)
class _Kept:
    """`heard` is when the worker last spoke of it, by the clock's ticks."""

    id: str
    task_id: int
    run_id: int
    run_number: int
    epoch: int
    actor: str
    asked_at: float
    heard: float
    options: dict[str, Any]
    ended_at: float | None = None
    report: dict[str, Any] = field(default_factory=lambda: {"state": ASKED})

    @property
    def over(self) -> bool:
        return self.ended_at is not None

    def end(self, now: float, reason: str) -> None:
        self.ended_at = now
        self.report = {**self.report, "state": ENDED, "problem": problem(ComparisonEnded(reason))}

    def view(self) -> VerificationView:
        said = self.report
        findings = list(said.get("findings") or ())
        return VerificationView(
            id=self.id,
            run=self.run_number,
            state=str(said.get("state", ASKED)),
            verdict=verdict(str(said.get("state")), findings),
            asked_at=self.asked_at,
            ended_at=self.ended_at,
            position=said.get("position"),
            at=said.get("at"),
            tables_total=int(said.get("tables_total") or 0),
            rows=int(said.get("rows") or 0),
            table=said.get("table"),
            findings=findings,
            problem=said.get("problem"),
        )


def verdict(state: str, findings: Sequence[Json]) -> str | None:
    """`different` if any table is, `equal` if all are, else `undecided`; None while it is not over."""
    said = {str(finding.get("verdict")) for finding in findings}
    if state not in (DONE, ENDED):
        return None
    if "different" in said:
        return "different"
    return "equal" if state == DONE and said == {"equal"} else "undecided"


class Verifications(Roster):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._verifying = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        """By id, oldest first."""

    def verify(self, task: int, *, actor: str, **options: Any) -> VerificationView:
        """Have the task's worker compare its source and target. `options`: `tables`, `wait`, `keys`, `limit`,
        `deadline_s`. Raises `NotFound`, `CommandRefused` unless the task is Running, `NotComparable` while another
        comparison of it is under way."""
        now = self.clock.now()
        with self.db.write() as tx:
            now_in = moves.get(tx, task, lock=True)
            name, run = now_in.task.name, now_in.run
            if now_in.task.state is not State.RUNNING or run is None:
                status = STATES[now_in.task.state].status or "not submitted"
                raise CommandRefused(
                    f"verify was refused for task {name}: the status is {status}. Only a Running task can be compared: "
                    "the target of any other stands still while the source moves on",
                    **refusal_facts(now_in),
                )
            with self._verifying:
                self._look_after(task)
                busy = next((kept for kept in self._kept.values() if kept.task_id == task and not kept.over), None)
                if busy is not None:
                    raise NotComparable(f"task {name} is being compared already, as {busy.id}", id=busy.id)
                kept = _Kept(
                    secrets.token_hex(8),
                    task,
                    run.id,
                    run.number,
                    run.epoch,
                    actor,
                    now,
                    self.clock.ticks(),
                    options,
                )
                self._keep(kept)
            moves.record(tx, now_in, "verify_asked", now=now, actor=actor, facts={"id": kept.id})
        return kept.view()

    def verifications(self, task: int) -> list[VerificationView]:
        """Newest first. Raises `NotFound`."""
        self._see_standing(task)
        with self._verifying:
            self._look_after(task)
            return [kept.view() for kept in reversed(self._kept.values()) if kept.task_id == task]

    def verification(self, task: int, id: str) -> VerificationView:
        """Raises `NotFound`."""
        self._see_standing(task)
        with self._verifying:
            self._look_after(task)
            return self._get(task, id).view()

    def cancel_verification(self, task: int, id: str) -> VerificationView:
        """The worker ends it when it next tells of it. Raises `NotFound`."""
        with self._verifying:
            kept = self._get(task, id)
            if not kept.over:
                kept.end(self.clock.now(), "it was cancelled")
            return kept.view()

    # --- the worker's side ---

    def _orders(self, session: Session, beat: Beat, standing: runs.Standing | None) -> Orders:
        orders = super()._orders(session, beat, standing)
        with self._verifying:
            asked = next(
                (
                    kept
                    for kept in self._kept.values()
                    if (kept.run_id, kept.epoch) == (session.run_id, session.epoch)
                    and not kept.over
                    and kept.report["state"] == ASKED
                ),
                None,
            )
        return replace(orders, verify={"id": asked.id, **asked.options}) if asked else orders

    def report_verification(self, session: Session, id: str, report: Json) -> bool:
        """What the worker found so far; whether anybody still wants to know. Raises `Fenced`."""
        now, final = self.clock.now(), report.get("state") in (DONE, ENDED)
        with self.db.read() as tx:
            standing = runs.standings(tx, [session.run_id]).get(session.run_id)
            run = runs.find_run(tx, session.run_id)
        if standing is None or run is None or standing.epoch != session.epoch:
            raise Fenced(f"epoch {session.epoch} of run {session.run_key} is over", epoch=session.epoch)
        with self._verifying:
            kept = self._kept.get(id)
            if kept is None:  # asked of a server that was restarted meanwhile
                kept = _Kept(
                    id,
                    session.task_id,
                    run.id,
                    run.number,
                    session.epoch,
                    WORKER,
                    now,
                    self.clock.ticks(),
                    {},
                )
                self._keep(kept)
            if kept.over or kept.run_id != session.run_id:
                return False
            kept.report, kept.heard = dict(report), self.clock.ticks()
            if final:
                kept.ended_at = now
            view = kept.view()
        if final:
            self._record(session, view)
        return True

    def _record(self, session: Session, view: VerificationView) -> None:
        facts = {
            "id": view.id,
            "verdict": view.verdict,
            "position": view.position,
            "tables": len(view.findings),
            "rows": sum(int(finding.get("rows_source") or 0) for finding in view.findings),
            "different": [f["table"] for f in view.findings if f.get("verdict") == "different"][:20],
        }
        with self.db.write() as tx:
            now_in, _ = self._present(tx, session)
            moves.record(tx, now_in, "verified", now=self.clock.now(), actor=WORKER, error=view.problem, facts=facts)

    # --- inside; the lock is held ---

    def _get(self, task: int, id: str) -> _Kept:
        kept = self._kept.get(id)
        if kept is None or kept.task_id != task:
            raise NotFound(f"there is no verification {id}; a server that is restarted forgets them")
        return kept

    def _keep(self, kept: _Kept) -> None:
        self._kept[kept.id] = kept
        mine = [one.id for one in self._kept.values() if one.task_id == kept.task_id and one.over]
        every = [one.id for one in self._kept.values() if one.over]
        too_many = max(0, len(mine) - KEPT_PER_TASK_MAX), max(0, len(self._kept) - KEPT_MAX)
        for id in {*mine[: too_many[0]], *every[: too_many[1]]}:
            del self._kept[id]

    def _look_after(self, task: int) -> None:
        """End what nobody works on any more."""
        now, ticks = self.clock.now(), self.clock.ticks()
        for kept in self._kept.values():
            if kept.task_id != task or kept.over:
                continue
            silent_s = ticks - kept.heard
            if kept.report["state"] == ASKED and silent_s > PICK_UP_S:
                kept.end(now, f"the task's worker did not take it up within {PICK_UP_S:.0f} s")
            elif kept.report["state"] != ASKED and silent_s > SILENCE_MAX_S:
                kept.end(now, f"the task's worker has said nothing of it for {SILENCE_MAX_S:.0f} s")

    def _see_standing(self, task: int) -> None:
        """End what was asked of a worker that is the task's no more. Raises `NotFound`."""
        with self.db.read() as tx:
            now_in = moves.get(tx, task)
        run = now_in.run
        with self._verifying:
            for kept in self._kept.values():
                replaced = run is None or (run.id, run.epoch) != (kept.run_id, kept.epoch)
                if kept.task_id == task and not kept.over and replaced:
                    kept.end(self.clock.now(), "the worker that compared was replaced, or the task left Running")
