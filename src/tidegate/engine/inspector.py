"""Which inspection is under way, and which of a run's tables it is about."""

from __future__ import annotations

import time
from collections.abc import Mapping

import regex

from tidegate.connect.capability import ReadMode, WriteMode
from tidegate.connect.source import Source
from tidegate.connect.target import Target
from tidegate.engine.handoff import TableCopy
from tidegate.engine.inspection import Inspection, Stage
from tidegate.engine.plan import TablePlan
from tidegate.engine.snapshot import Desk, Inquiry
from tidegate.errors import NotComparable, TidegateError
from tidegate.model.change import LogPart
from tidegate.model.position import Position
from tidegate.model.problem import problem
from tidegate.model.schema import TableName, TableSchema
from tidegate.model.task import picks
from tidegate.verify.compare import Finding, Subject, refused

NUDGE_EVERY_S = 0.5


class Inspector:
    """Used by the pipeline's thread. One inspection at a time; the next inquiries wait at the desk."""

    def __init__(self, plan: TablePlan, source: Source, target: Target) -> None:
        self._plan = plan
        self._source = source
        self._target = target
        self._current: Inspection | None = None
        self._nudged_at = 0.0

    def advance(self, desk: Desk) -> Inspection | None:
        """The inspection under way; one that is over makes room for the next."""
        if self._current is not None and self._current.stage is Stage.OVER:
            self._current.close()
            self._current = None
            self._target.release()  # what it kept open, nobody else may have closed
        if self._current is None and (inquiry := desk.next_inquiry()) is not None:
            self._current = self._begun(inquiry)
        return self._current

    def _begun(self, inquiry: Inquiry) -> Inspection | None:
        try:
            inspection = Inspection(inquiry, self._source.view(), self._target.view())
        except TidegateError as error:
            inquiry.tell({"state": "ended", "problem": problem(error)})
            return None
        inspection.start()
        return inspection

    def waits(self, tables: Mapping[TableName, TableCopy]) -> bool:
        """Whether it is to wait for tables that are still being copied; for those that only the log has to pass yet it
        always does."""
        current = self._current
        if current is None or current.stage is not Stage.READY:
            return False
        return any(
            not copy.in_step and (current.inquiry.wait or copy.chunks_done == len(copy.chunks))
            for name, copy in tables.items()
            if _asked(current, name)
        )

    @property
    def seeking(self) -> bool:
        """Whether an instant is looked for: then every change must be decided by itself."""
        return self._current is not None and self._current.stage in (Stage.READY, Stage.MARKED)

    def nudge(self) -> None:
        """An instant needs the log up to its end, which does not come by itself while nobody writes."""
        now = time.monotonic()
        if self.seeking and now - self._nudged_at >= NUDGE_EVERY_S:
            self._nudged_at = now
            self._source.nudge()

    def holds(self, part: LogPart) -> bool:
        """Whether the part must wait until an instant was found."""
        return self._current is not None and self._current.holds(part)

    def disturb(self, name: TableName) -> None:
        """The run needs the table at the target for itself."""
        if self._current is not None:
            self._current.disturb(name)

    def found(
        self, position: Position, tables: Mapping[TableName, TableCopy], shapes: Mapping[TableName, TableSchema]
    ) -> None:
        """The target holds what the snapshot shows, at this position; `shapes` are those the target has."""
        current = self._current
        if current is None:
            return
        subjects: list[Subject] = []
        left: list[Finding] = []
        for name, copy in tables.items():
            if not _asked(current, name):
                continue
            place = self._plan.place(shapes[name])
            if not copy.in_step:
                left.append(refused(str(name), str(place), NotComparable(f"{name} is still being copied")))
            elif place.mode is WriteMode.APPEND and self._plan.read is ReadMode.INCREMENTAL:
                why = "the run did not copy the rows that existed, so the changes do not come to them"
                left.append(refused(str(name), str(place), NotComparable(f"{name}: {why}")))
            else:
                subjects.append(Subject(place, copy.order, copy.since))
        if current.stage is Stage.MARKED and not (subjects or left):
            listed = ", ".join(current.inquiry.tables)
            current.fail(NotComparable(f"the run has no table {listed}" if listed else "the run has no tables"))
            return
        if current.stage is Stage.MARKED:
            current.found(self._plan.run, position, subjects, left)

    def close(self) -> None:
        """End what is under way."""
        if self._current is not None:
            self._current.close()
            self._current = None


def _asked(inspection: Inspection, name: TableName) -> bool:
    """Whether it is about this table; one whose pattern is none, or takes too long to match, ends."""
    entries = inspection.inquiry.tables
    try:
        return not entries or any(picks(entry, name) for entry in entries)
    except (TidegateError, regex.error) as error:
        failure = NotComparable(f"the tables asked for cannot be matched: {', '.join(entries)}")
        failure.__cause__ = error
        inspection.fail(failure)
        return False
