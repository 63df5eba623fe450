"""What the server asks of sources and targets without running a task: the checks and the cleaning up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tidegate.errors import TidegateError
from tidegate.model.task import TaskSpec
from tidegate.server.views import ContinueCost, KeptLog, Side


class DataPlane(Protocol):
    """Every method connects, has a deadline of its own, and may be called from many threads."""

    def check_task(self, spec: TaskSpec, source: Side, target: Side, task_key: str) -> Sequence[TidegateError]:
        """Why the task cannot be run as defined; empty: it can. `task_key` begins the keys of all its runs."""

    def check_continue(
        self, run_key: str, spec: TaskSpec, source: Side, target: Side, position: str | None
    ) -> ContinueCost:
        """What continuing at the position costs. Raises `PositionLost`, `SourceIdentityChanged`,
        `TargetPositionMismatch` and others when it is not possible."""

    def look_at_log(self, run_key: str, source: Side, position: str | None) -> KeptLog:
        """The log the source keeps for a run that is at work and stands at `position`. Raises `PositionLost` and what
        makes the source unusable."""

    def forget(self, run_key: str, spec: TaskSpec, source: Side, target: Side) -> Sequence[TidegateError]:
        """Remove what the run made at both ends; what could not be removed. Idempotent."""

    def missing_objects(self, spec: TaskSpec, source: Side, target: Side) -> Sequence[str]:
        """What the task names and no longer exists. Raises an error with `Retry.LATER` when it cannot tell."""
