"""How far a run is: preparation, full synchronization, incremental synchronization. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.measured import TableMeasure, TableState
from tidegate.store.points import Sums
from tidegate.watch.bottleneck import BEHIND_BYTES


class StageState(StrEnum):
    NOT_STARTED = "Not Started"
    IN_PROGRESS = "In Progress"
    COMPLETED = "Completed"


PHASES = ("preparing", "full", "incremental")
UNDONE_MAX = 99.9
"""The most that is said of what is not done: the estimate may have been too small."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Times are seconds since 1970-01-01 UTC. `percent` is None for what has no end."""

    state: StageState
    percent: float | None
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class FullStage(Stage):
    tables_done: int = 0
    tables_total: int = 0
    rows_done: int = 0
    rows_estimated: int = 0
    rows_per_s: float | None = None
    """Since it began, over the time in which somebody worked on it."""
    left_s: float | None = None
    """At that rate; None while nobody works on it."""


@dataclass(frozen=True, slots=True)
class IncrementalStage(Stage):
    position: str | None = None
    lag_s: float | None = None
    lag_bytes: int | None = None
    catch_up_s: float | None = None
    """How long until nothing is behind at the present rates; None: not known, or never."""


@dataclass(frozen=True, slots=True)
class Progress:
    preparation: Stage
    full: FullStage | None
    """None: the run copies nothing."""
    incremental: IncrementalStage


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a run. `phases` are when each was entered, in order; `rests` from when until when nobody worked
    on it, None: still. Times are seconds since 1970."""

    started_at: float
    ended_at: float | None
    copies: bool
    phases: Sequence[tuple[str, float]]
    sums: Sums | None
    position: str | None
    lag_s: float | None
    lag_bytes: int | None
    shrinks_bytes_s: float | None
    rests: Sequence[tuple[float, float | None]] = ()

    def worked_s(self, since: float, until: float) -> float:
        """How much of that time somebody worked on the run."""
        rested_s = sum(max(0.0, min(end or until, until) - max(begin, since)) for begin, end in self.rests)
        return max(0.0, until - since - rested_s)


def progress(facts: Facts, now: float) -> Progress:
    """Each stage, as of `now`."""
    entered: dict[str, float] = {}
    for phase, at in facts.phases:
        entered.setdefault(phase, at)
    prepared_at = min((at for phase, at in entered.items() if phase != "preparing"), default=None)
    return Progress(
        _stage(facts.started_at, prepared_at),
        _full(facts, entered.get("full", prepared_at), entered.get("incremental"), now) if facts.copies else None,
        _incremental(facts, entered.get("incremental")),
    )


def _stage(started_at: float, ended_at: float | None) -> Stage:
    if ended_at is None:
        return Stage(StageState.IN_PROGRESS, 0.0, started_at)
    return Stage(StageState.COMPLETED, 100.0, started_at, ended_at)


def _full(facts: Facts, started_at: float | None, ended_at: float | None, now: float) -> FullStage:
    sums = facts.sums or Sums(0, 0, 0, 0, 0)
    figures = (sums.copied, sums.tables, sums.rows_copied, max(sums.rows_estimated, sums.rows_copied))
    if started_at is None:
        return FullStage(StageState.NOT_STARTED, 0.0, None, None, *figures)
    worked_s = facts.worked_s(started_at, ended_at or facts.ended_at or now)
    rate = round(sums.rows_copied / worked_s, 1) if worked_s > 0 else None
    if ended_at is not None:
        # What was estimated does not matter any more.
        figures = (sums.copied, sums.tables, sums.rows_copied, sums.rows_copied)
        return FullStage(StageState.COMPLETED, 100.0, started_at, ended_at, *figures, rate, 0.0)
    percent = share(sums.rows_copied, sums.rows_estimated, sums.copied, sums.tables)
    left = sums.rows_estimated - sums.rows_copied
    rests = facts.ended_at is not None or (bool(facts.rests) and facts.rests[-1][1] is None)
    left_s = round(left / rate, 1) if rate and left > 0 and not rests else None
    return FullStage(StageState.IN_PROGRESS, percent, started_at, None, *figures, rate, left_s)


def share(rows: int, rows_estimated: int, done: int, total: int) -> float:
    """How much of a copy is done, in percent: by rows where anybody knows how many there are, by parts else."""
    of, whole = (rows, rows_estimated) if rows_estimated > 0 else (done, total)
    return min(UNDONE_MAX, round(100.0 * of / whole, 1)) if whole else 0.0


def _incremental(facts: Facts, started_at: float | None) -> IncrementalStage:
    if started_at is None:
        return IncrementalStage(StageState.NOT_STARTED, None, position=facts.position)
    catch_up_s: float | None = None
    if facts.lag_bytes is not None and facts.ended_at is None:
        there = not facts.lag_s and facts.lag_bytes <= BEHIND_BYTES
        if there and facts.shrinks_bytes_s is not None and facts.shrinks_bytes_s >= 0:
            catch_up_s = 0.0
        elif facts.shrinks_bytes_s is not None and facts.shrinks_bytes_s > 0:
            catch_up_s = round(facts.lag_bytes / facts.shrinks_bytes_s, 1)
    return IncrementalStage(
        StageState.IN_PROGRESS if facts.ended_at is None else StageState.COMPLETED,
        None,
        started_at,
        facts.ended_at,
        facts.position,
        facts.lag_s,
        facts.lag_bytes,
        catch_up_s,
    )


def table_percent(measure: TableMeasure) -> float:
    """How much of the table's existing rows is copied."""
    if measure.chunks_total and measure.chunks_done == measure.chunks_total:
        return 100.0
    if measure.state in (TableState.FOLLOWING, TableState.CATCHING_UP):
        return 100.0
    return share(measure.rows_copied, measure.rows_estimated, measure.chunks_done, measure.chunks_total)
