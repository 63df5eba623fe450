"""What the server asks of sources and targets without running a task: the checks and the cleaning up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tidegate.errors import TidegateError
from tidegate.model.mapping import SourceTables, TableFits
from tidegate.model.task import TaskSpec
from tidegate.server.views import ContinueCost, KeptLog, Retentions, Side


class DataPlane(Protocol):
    """Every method connects, has a deadline of its own, and may be called from many threads."""

    def check_task(self, spec: TaskSpec, source: Side, target: Side, task_key: str) -> Sequence[TidegateError]:
        """Why the task cannot be run as defined; empty: it can. `task_key` begins the keys of all its runs."""

    def source_tables(self, source: Side) -> SourceTables:
        """What could be read there. Raises what makes the source unusable."""

    def table_fits(self, spec: TaskSpec, source: Side, target: Side, task_key: str, most: int) -> TableFits:
        """Where each table of the task would go, column by column, and what is against it; of the first `most`. Raises
        what is against all of them."""

    def check_continue(
        self, run_key: str, spec: TaskSpec, source: Side, target: Side, position: str | None
    ) -> ContinueCost:
        """What continuing at the position costs. Raises `PositionLost`, `SourceIdentityChanged`,
        `TargetPositionMismatch` and others when it is not possible."""

    def estimate_rows(self, spec: TaskSpec, source: Side) -> int:
        """About how many rows a run from scratch copies. Raises when that cannot be told."""

    def look_at_log(self, run_key: str, source: Side, position: str | None) -> KeptLog:
        """The log the source keeps for a run that is at work and stands at `position`. Raises `PositionLost` and what
        makes the source unusable."""

    def retentions(self, source: Side, runs: Mapping[str, str | None]) -> Retentions | None:
        """Until when the source keeps the log of these runs (by key, each with its position). None: it cannot tell.
        Raises what makes the source unusable."""

    def forget(self, run_key: str, spec: TaskSpec, source: Side, target: Side) -> Sequence[TidegateError]:
        """Remove what the run made at both ends; what could not be removed. Idempotent."""

    def missing_objects(
        self, spec: TaskSpec, source: Side, target: Side, *, working: bool = False, run_key: str | None = None
    ) -> Sequence[str]:
        """What the task needs and is not there any more, a sentence each; of a task at work (`working`) only what its
        worker does not see itself. `run_key` is the run that is kept for Continue. Raises an error with `Retry.LATER`
        when it cannot tell."""
