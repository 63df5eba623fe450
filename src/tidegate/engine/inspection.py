"""Comparing a run's two ends while it goes on.

The source is read under a plain snapshot. The log is written up to the first transaction that the snapshot does not
see; if none behind it is seen either, the target holds exactly what the snapshot shows: neither more nor less. There it
is held by a transaction of its own, writing goes on, and a thread compares the two at leisure. Commits become visible
in nearly the order they have in the log; where they did not, the next snapshot is tried. So nobody waits for anybody's
transaction, and the log stands still for as long as it takes to read what was committed while the snapshot was taken.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tidegate.connect.source import ChunkMark, SourceView
from tidegate.connect.target import TargetView
from tidegate.engine.snapshot import Inquiry
from tidegate.errors import ComparisonEnded, NotComparable, TidegateError
from tidegate.model.change import LogPart
from tidegate.model.position import Position
from tidegate.model.problem import problem
from tidegate.model.schema import TableName
from tidegate.verify.compare import Finding, Subject, compare, refused

# How long to look for an instant, and for how long at most the log stands still at one attempt.
ALIGN_DEADLINE_S = 120.0
HOLD_MAX_S = 3.0
AGAIN_S = 0.03
LOOK_AHEAD_BYTES = 64 << 20
TELL_EVERY_S = 0.5


class Stage(Enum):
    OPENING = "opening"
    READY = "ready"
    MARKED = "marked"
    FOUND = "found"
    OVER = "over"


@dataclass(slots=True)
class _State:
    """What reports say."""

    state: str = "opening"
    position: str | None = None
    at: float | None = None
    attempts: int = 0
    tables_total: int = 0
    rows: int = 0
    table: str | None = None
    findings: list[Finding] = field(default_factory=list)
    problem: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "position": self.position,
            "at": self.at,
            "attempts": self.attempts,
            "tables_total": self.tables_total,
            "rows": self.rows,
            "table": self.table,
            "findings": [finding.to_json() for finding in self.findings],
            "problem": self.problem,
        }


class Inspection:
    """One inquiry being answered. The stage is moved by the pipeline's thread from READY to FOUND, else by its own."""

    def __init__(self, inquiry: Inquiry, source: SourceView, target: TargetView) -> None:
        self.inquiry = inquiry
        self.stage = Stage.OPENING
        self.holding = False
        self._source, self._target = source, target
        self._until = time.monotonic() + inquiry.deadline_s
        self._mark: ChunkMark | None = None
        self._subjects: Sequence[Subject] = ()
        self._found = threading.Event()
        self._failure: TidegateError | None = None
        self._disturbed: set[TableName] = set()
        self._seek_from = self._held_from = self._again_at = 0.0
        self._now = _State()
        self._told_at = 0.0
        self._unwanted = False
        self._thread = threading.Thread(target=self._work, name="inspection", daemon=True)

    def start(self) -> None:
        self._thread.start()

    # --- the pipeline's thread: finding the instant ---

    def seek(self) -> None:
        """Take a snapshot if it is time for one. R2: between two parts of the log."""
        now = time.monotonic()
        if self.stage is not Stage.READY or now < self._again_at:
            return
        self._seek_from = self._seek_from or now
        if now - self._seek_from > ALIGN_DEADLINE_S:
            self.fail(ComparisonEnded(f"no instant was found within {ALIGN_DEADLINE_S:.0f} s at which both ends agree"))
            return
        try:
            self._mark = self._source.mark()
        except TidegateError as error:
            self.fail(error)
            return
        self._now.attempts += 1
        self.stage = Stage.MARKED

    def holds(self, part: LogPart) -> bool:
        """Whether the part must not be written yet: the snapshot does not see it."""
        mark = self._mark
        if self.stage is not Stage.MARKED or mark is None or mark.seen.sees(part.transaction):
            return False
        if not self.holding:
            self.holding, self._held_from = True, time.monotonic()
        return True

    def judge(self, pending: Iterable[LogPart], reached: Position) -> bool | None:
        """Whether the target, once it holds all that was decided, shows what the snapshot does; None: not known yet,
        more of the log must come. `pending` is what was read and not decided."""
        mark = self._mark
        if self.stage is not Stage.MARKED or mark is None:
            return None
        if not self.holding:
            # R1: whatever was decided before the snapshot was taken had been seen by an earlier one.
            return True if mark.log_end <= reached else None
        size = 0
        for part in pending:
            size += part.bytes
            if part.transaction is None:
                if mark.log_end <= part.position:
                    return True
            elif mark.seen.sees(part.transaction):
                return False  # visible, though it committed behind one that is not
            elif mark.log_end <= part.commit:
                return True  # nothing from here on was committed when the snapshot was taken
        too_long = time.monotonic() - self._held_from > HOLD_MAX_S
        return False if too_long or size > LOOK_AHEAD_BYTES else None

    def again(self) -> None:
        """This snapshot will not do; the log goes on meanwhile."""
        self._mark, self.holding = None, False
        self._again_at = time.monotonic() + AGAIN_S
        self.stage = Stage.READY

    def found(self, run: str, position: Position, subjects: Sequence[Subject], left: Sequence[Finding]) -> None:
        """The target holds what the snapshot shows: hold it there, and compare the subjects."""
        try:
            held = self._target.hold(run)
            if held != str(position):
                raise ComparisonEnded("somebody else moved the run's position at the target")
        except TidegateError as error:
            self.fail(error)
            return
        self._subjects = subjects
        self._now.position, self._now.at = str(position), time.time()
        self._now.findings = list(left)
        self._now.tables_total = len(subjects) + len(left)
        self._mark, self.holding, self.stage = None, False, Stage.FOUND
        self._found.set()

    def fail(self, error: TidegateError) -> None:
        """It ends without an answer."""
        self._failure = self._failure or error
        self._mark, self.holding = None, False
        if self.stage in (Stage.READY, Stage.MARKED):
            self.stage = Stage.FOUND
        self._found.set()

    def disturb(self, name: TableName) -> None:
        """The run is about to change the target table's shape, or to empty it, for which nobody may be reading it."""
        self._disturbed.add(name)

    def close(self) -> None:
        """End it, whatever it does. Idempotent."""
        self.fail(ComparisonEnded("the run ended or began anew meanwhile"))
        self._source.close()
        self._target.close()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    # --- its own thread ---

    def _work(self) -> None:
        try:
            self._answer()
            self._now.state = "done"
        except TidegateError as error:
            self._end(self._failure or error)
        except Exception as error:  # noqa: BLE001  told to who asked; the run goes on
            failure = ComparisonEnded(f"{type(error).__name__} while comparing")
            failure.__cause__ = error
            self._end(self._failure or failure)
        finally:
            self._source.close()
            self._target.close()
            self.stage = Stage.OVER
        self._now.table = None
        self.inquiry.tell(self._now.to_json())

    def _end(self, error: TidegateError) -> None:
        self._now.state, self._now.problem = "ended", problem(error)

    def _answer(self) -> None:
        self._source.open(self.inquiry.deadline_s)
        self._target.open(self.inquiry.deadline_s)
        self.stage = Stage.READY
        self._now.state = "aligning"
        while not self._found.wait(TELL_EVERY_S):
            self._report()
        if self._failure is not None:
            raise self._failure
        self._now.state = "comparing"
        for subject in self._subjects:
            self._now.findings.append(self._compared(subject))
            self._report()

    def _compared(self, subject: Subject) -> Finding:
        def pace(rows: int) -> None:
            self._now.rows += rows
            self._report()
            if subject.name in self._disturbed:
                raise NotComparable(f"{subject.name} was emptied or changed while it was compared")

        self._now.table, self._told_at = str(subject.name), 0.0
        try:
            pace(0)
            return compare(self._source, self._target, subject, pace, keys=self.inquiry.keys, limit=self.inquiry.limit)
        except (NotComparable, ComparisonEnded) as error:
            if self._failure is not None or time.monotonic() > self._until or self._unwanted:
                raise
            return refused(str(subject.name), str(subject.place), error)
        except TidegateError as error:
            return refused(str(subject.name), str(subject.place), error)

    def _report(self) -> None:
        """Now and then; raises when there is no point in going on."""
        if self._failure is not None:
            raise self._failure
        now = time.monotonic()
        if now > self._until:
            raise ComparisonEnded(f"it took longer than its deadline of {self.inquiry.deadline_s:g} s")
        if now - self._told_at < TELL_EVERY_S:
            return
        self._told_at = now
        if not self.inquiry.tell(self._now.to_json()):
            self._unwanted = True
            raise ComparisonEnded("it was cancelled")
