"""The part of `Control` that says whether a command can be carried out now, and at what cost.

A preview is the command's gate without the move: both ask the same of lifecycle, resource group, source and target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from tidegate.errors import Invalid, NoSnapshot, StaleVersion, StoreUnavailable, TaskInvalid, TidegateError
from tidegate.model.lifecycle import COMMANDS, Held, IllegalMove, next_state, refused
from tidegate.model.mode import ReadMode
from tidegate.model.start import start_of
from tidegate.model.task import TaskSpec, parse_task
from tidegate.server import costs
from tidegate.server.costs import Found, offer_views
from tidegate.server.definitions import Definitions, demand_none
from tidegate.server.present import snapshot_view
from tidegate.server.views import ContinueCost, OfferView, PreviewView, Side
from tidegate.store import moves, runs, tasks
from tidegate.store.moves import Situation

# Commands that ask source and target before they leave anything.
LOOKED_INTO = ("run", "continue")


@dataclass(frozen=True, slots=True)
class Asked:
    """A command, with what was found out before the transaction that carries it out."""

    name: str
    actor: str
    spec: TaskSpec | None = None
    start: Mapping[str, Any] | None = None


class Gate(Definitions):
    def offers(self, task: int) -> list[OfferView]:
        """Every command, allowed or refused with its reason. Raises `NotFound`."""
        with self.db.read() as tx:
            now_in = moves.get(tx, task)
            newest = runs.newest_snapshot(tx, now_in.run.id) if now_in.run else None
        return offer_views(now_in, newest, self.clock.now())

    def preview(self, task: int, name: str, *, start: Mapping[str, Any] | None = None) -> PreviewView:
        """What the command would do now, or why it would be refused; changes nothing. It asks source and target, which
        may take seconds. `start` is as in `command`. Raises `NotFound`, `Invalid`, and `StaleVersion` if somebody
        changed the task meanwhile."""
        demand_known(name, start)
        with self.db.read() as tx:
            now_in = moves.get(tx, task)
            newest = runs.newest_snapshot(tx, now_in.run.id) if now_in.run else None
        refusal, found = None, Found()
        try:
            demand_legal(now_in, name)
            if name == "submit":
                self.submittable(task, now_in.task.version)
            elif name in LOOKED_INTO:
                asked, _, reading = self.look_into(task, name, now_in.task.version, start, "")
                found = self._asked_for_run(now_in, asked) if name == "run" else Found(reading)
            else:
                found = self._asked_about(now_in, name)
        except (StaleVersion, StoreUnavailable):
            raise
        except TidegateError as error:
            refusal = error
        shown = snapshot_view(newest, now_in.run.number) if newest and now_in.run else None
        log = self.logbook.of(now_in.run.id) if now_in.run else None
        left_s = log.resting_left_at(self.clock.ticks()) if log else None
        now = self.clock.now()
        return costs.preview(now_in, name, newest, shown, now, refusal=refusal, found=found, log_left_s=left_s)

    def look_into(
        self, task: int, name: str, version: int | None, start: Mapping[str, Any] | None, actor: str
    ) -> tuple[Asked, int, ContinueCost | None]:
        """Whether source, target and units are there, before anything is left: for `run` and `continue`."""
        with self.db.read() as tx:
            now_in = moves.get(tx, task)
            self.demand_version(now_in, version)
            demand_legal(now_in, name)
            spec = self._submitted_spec(tx, now_in)
            source, target = self.sides(tx, now_in.task.project_id, spec)
            self.demand_units(tx, spec)
            newest = runs.newest_snapshot(tx, now_in.run.id) if now_in.run else None
        asked = Asked(name, actor, spec, _start_point(spec, start))
        if name == "run":
            demand_none(self.data_plane.check_task(_reading(spec, asked), source, target, self.task_key(task)))
            return asked, now_in.task.version, None
        if now_in.run is None:
            raise NoSnapshot(f"task {now_in.task.name} has no run to continue")
        found = self.data_plane.check_continue(
            now_in.run.key, spec, source, target, newest.position if newest else None
        )
        return asked, now_in.task.version, found

    # --- what is asked for the figures alone ---

    def _asked_for_run(self, now_in: Situation, asked: Asked) -> Found:
        if asked.spec is None or (asked.start or {}).get("read") == ReadMode.INCREMENTAL.value:
            return Found(rows_to_copy=0)
        with self.db.read() as tx:
            source, _ = self.sides(tx, now_in.task.project_id, asked.spec)
        return self._rows_to_copy(asked.spec, source)

    def _asked_about(self, now_in: Situation, name: str) -> Found:
        """Of a command that needs neither source nor target: what they say of it does not forbid it."""
        run = now_in.run
        if run is None or now_in.held is Held.NOTHING:
            return Found()
        try:
            with self.db.read() as tx:
                spec = self.run_spec(tx, run)
                source, target = self.sides(tx, now_in.task.project_id, spec)
                newest = runs.newest_snapshot(tx, run.id)
            match name:
                case "force-pause":
                    position = newest.position if newest else None
                    return Found(self.data_plane.check_continue(run.key, spec, source, target, position))
                case "pause":
                    log = self.data_plane.look_at_log(run.key, source, run.position)
                    return Found(safe_bytes=log.safe_bytes, source_end=log.source_end)
                case "stop" if spec.source.read is ReadMode.FULL_INCREMENTAL:
                    return self._rows_to_copy(spec, source)
        except StoreUnavailable:
            raise
        except TidegateError as error:
            return Found(error=error)
        return Found()

    def _rows_to_copy(self, spec: TaskSpec, source: Side) -> Found:
        try:
            return Found(rows_to_copy=self.data_plane.estimate_rows(spec, source))
        except TidegateError as error:
            return Found(error=error)

    # --- inside ---

    def _submitted_spec(self, tx: Connection, now_in: Situation) -> TaskSpec:
        if now_in.task.submitted is None:
            raise TidegateError(f"task {now_in.task.name} has no submitted version")
        return parse_task(tasks.get_version(tx, now_in.task.id, now_in.task.submitted).definition)


def demand_known(name: str, start: Mapping[str, Any] | None) -> None:
    """Raises `Invalid` for a command there is not, or a start point for one that has none."""
    if name not in COMMANDS:
        raise Invalid(f"there is no command {name}; commands are {', '.join(COMMANDS)}")
    if start is not None and name != "run":
        raise Invalid("start: is for run only")


def demand_legal(now_in: Situation, name: str) -> None:
    """Raises `CommandRefused` unless the lifecycle allows the command (I7)."""
    task = now_in.task
    try:
        next_state(task.state, name, now_in.held)
    except IllegalMove:
        raise refused(task.state, name, now_in.held, task=task.name, version=task.version) from None


def _reading(spec: TaskSpec, asked: Asked) -> TaskSpec:
    """The definition with what was asked for in place of its own read mode and start."""
    asked_start = asked.start or {}
    read = ReadMode(asked_start.get("read", spec.source.read))
    start = start_of(asked_start.get("position"), asked_start.get("time"))
    return spec.model_copy(update={"source": spec.source.model_copy(update={"read": read, "start": start})})


def _start_point(spec: TaskSpec, start: Mapping[str, Any] | None) -> dict[str, Any]:
    """Raises `Invalid` for unknown fields, `TaskInvalid` for a start that means nothing."""
    given = dict(start or {})
    read = given.pop("read", None) or spec.source.read.value
    begins = start_of(given.pop("position", None), given.pop("time", None))
    if given:
        raise Invalid(f"start: there is no field {', '.join(sorted(given))}")
    if read not in list(ReadMode):
        raise Invalid(f"start.read: must be one of {', '.join(ReadMode)}")
    if begins is not None and read != ReadMode.INCREMENTAL.value:
        raise TaskInvalid("start: a run that copies the rows first begins where the copy begins")
    if begins is None and read == ReadMode.INCREMENTAL.value:
        begins = spec.source.start
    return {"read": read, **(begins.said() if begins is not None else {"position": None, "time": None})}
