"""How long things may take and how often they are tried: one record, shortened by settings and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.model.lifecycle import State


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds unless the name says otherwise."""

    heartbeat_s: float = 1.0
    lease_s: float = 10.0
    """A worker silent for this long has lost its run."""
    register_s: float = 60.0
    """A worker started has this long to speak for the first time."""
    linger_s: float = 5.0
    """A worker that said its last word has this long to end by itself."""
    deadlines_s: Mapping[State, float] = field(default_factory=dict)
    """Operating steps that must end sooner than the lifecycle says."""
    backoff_first_s: float = 1.0
    backoff_max_s: float = 30.0
    """Between two quick restarts; the first restart after a steady time is at once."""
    steady_s: float = 60.0
    """A worker that lasted this long did not fail quickly."""
    detection_s: float = 60.0
    """Between two looks for what a task is configured with."""
    detection_back_s: float = 15.0
    """The same in Detection Exception, to return soon."""
    log_clock_s: float = 15.0
    """Between two looks at how long sources keep the log of runs."""
    cleanup_first_s: float = 60.0
    cleanup_max_s: float = 3600.0
    cleanup_tries: int = 30
    """Attempts to remove what an ended run left at its source and target."""
    keep_s: float = 30 * 86_400.0
    """Key events and ended runs younger than this are kept …"""
    keep_events: int = 1_000
    keep_runs: int = 20
    """… and so many of each task's newest, however old."""
    keep_points_s: Mapping[int, float] = field(
        default_factory=lambda: {10: 2 * 3600.0, 60: 2 * 86_400.0, 3600: 90 * 86_400.0}
    )
    """Points of tasks' figures younger than this are kept, by the step they are of."""
    keep_lines_s: float = 7 * 86_400.0
    keep_lines_bytes: int = 5_000_000
    """Lines of the log older than this are forgotten, and of each task the first beyond so much room."""
    alert_rules: int = 2_000
    """Of one project: each is looked at every few seconds."""
    forget_s: float = 3_600.0
    """Between two rounds of looking for what may be forgotten."""
    sweep_s: float = 1.0
    """Between two looks at every task; commands and events are acted on at once."""
    jobs: int = 8
    """Cleanups and detections under way at once."""

    def restart_after_s(self, quick: int) -> float:
        """How long to wait before the restart that follows `quick` quick ones in a row."""
        return 0.0 if quick <= 0 else min(self.backoff_first_s * 2.0 ** (min(quick, 30) - 1), self.backoff_max_s)

    def cleanup_after_s(self, tries: int) -> float:
        """How long to wait before the next attempt after `tries` failed ones."""
        return min(self.cleanup_first_s * 2.0 ** min(tries, 30), self.cleanup_max_s)
