"""What is asked of the measurements: each figure once, with its bar and its aim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contest import NATIVE, PARALLEL, Outcome

Run = Mapping[str, Outcome]


@dataclass(frozen=True)
class Figure:
    id: str
    unit: str
    workload: str
    against: str
    bar: float | None
    aim: float | None
    value: Callable[[Run, float], float]
    """Of one repetition, at a scale (1: a million changes)."""

    def of(self, run: Run, scale: float) -> float:
        return self.value(run, scale)


def _fastest(run: Run, names: Mapping[str, str]) -> Outcome:
    return min((run[name] for name in names), key=lambda outcome: outcome.wall_s)


def _faster(who: str, names: Mapping[str, str]) -> Callable[[Run, float], float]:
    return lambda run, scale: _fastest(run, names).wall_s / run[who].wall_s


def _target_cpu(run: Run, scale: float) -> float:
    return run["tidegate"].target_cpu_s / _fastest(run, NATIVE).target_cpu_s


_BEST = "the fastest of native logical replication: default, binary, binary and streaming"
_OURS = "tidegate"

FIGURES = (
    Figure("pg_pg_catchup_vs_native", "×", "mixed", _BEST, 1.25, 1.5, _faster(_OURS, NATIVE)),
    Figure("pg_pg_target_cpu_vs_native", "×", "mixed", _BEST, 0.7, 0.5, _target_cpu),
    Figure("pg_pg_insert_vs_native", "×", "inserts", _BEST, 1.05, 1.2, _faster(_OURS, NATIVE)),
    Figure("pg_pg_hotkeys_vs_native", "×", "hot", _BEST, 1.7, 2.2, _faster(_OURS, NATIVE)),
    Figure("pg_pg_hugetxn_vs_native", "×", "huge", "streaming = parallel", 0.9, 1.2, _faster(_OURS, PARALLEL)),
    Figure("pg_pg_python_vs_native", "×", "mixed", _BEST, 0.4, 0.6, _faster("tidegate python", NATIVE)),
    Figure("pg_pg_unpaced_vs_native", "×", "mixed", _BEST, None, None, _faster("tidegate unpaced", NATIVE)),
    Figure(
        "pg_worker_cpu_s_per_m", "s", "mixed", "", 1.5, 0.8, lambda run, scale: run["tidegate"].worker_cpu_s / scale
    ),
    Figure("worker_rss_mb_streaming", "MB", "mixed", "", 150, 100, lambda run, scale: run["tidegate"].memory_mb),
    Figure("worker_rss_mb_huge", "MB", "huge", "", 300, 150, lambda run, scale: run["tidegate"].memory_mb),
    Figure("pg_pg_latency_p50_ms", "ms", "live", "", 50, 15, lambda run, scale: run["tidegate"].p50_ms),
    Figure("pg_pg_latency_p99_ms", "ms", "live", "", 200, 60, lambda run, scale: run["tidegate"].p99_ms),
    Figure(
        "noise_a_a",
        "×",
        "mixed",
        "itself",
        None,
        None,
        lambda run, scale: run["tidegate again"].wall_s / run["tidegate"].wall_s,
    ),
)
