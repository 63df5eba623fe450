"""What is asked of the measurements: each figure once, with its bar and its aim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contest import NATIVE, PARALLEL, Outcome

Run = Mapping[str, Outcome]
"""One repetition of a workload: contestant → outcome."""

Value = Callable[[Outcome, Outcome, float], float]
"""Of ours, and of the fastest of the peers, at a scale (1: a million changes)."""


@dataclass(frozen=True)
class Figure:
    id: str
    unit: str
    workload: str
    bar: float | None
    aim: float | None
    value: Value
    peers: tuple[str, ...] = ()
    """Contestants; the fastest of those that took part counts."""
    against: str = ""
    ours: str = "tidegate"

    def of(self, run: Run, scale: float) -> float | None:
        """None where nobody is there to be measured against."""
        peers = [run[name] for name in self.peers if name in run]
        if self.ours not in run or (self.peers and not peers):
            return None
        ours = run[self.ours]
        return self.value(ours, min(peers, key=lambda peer: peer.wall_s, default=ours), scale)


def _faster(ours: Outcome, peer: Outcome, scale: float) -> float:
    """How much less time."""
    return peer.wall_s / ours.wall_s


def _more(ours: Outcome, peer: Outcome, scale: float) -> float:
    """How much more in the same time, where not both did the same amount."""
    return (ours.amount / ours.wall_s) / (peer.amount / peer.wall_s)


def _rate(ours: Outcome, peer: Outcome, scale: float) -> float:
    return ours.amount / ours.worker_cpu_s


def _decoded_more(ours: Outcome, peer: Outcome, scale: float) -> float:
    return _rate(ours, ours, scale) / _rate(peer, peer, scale)


def _target_cpu(ours: Outcome, peer: Outcome, scale: float) -> float:
    return ours.target_cpu_s / peer.target_cpu_s


def _worker_cpu(ours: Outcome, peer: Outcome, scale: float) -> float:
    return ours.worker_cpu_s / scale


def _memory(ours: Outcome, peer: Outcome, scale: float) -> float:
    return ours.memory_mb


def _p50(ours: Outcome, peer: Outcome, scale: float) -> float:
    return ours.p50_ms


def _p99(ours: Outcome, peer: Outcome, scale: float) -> float:
    return ours.p99_ms


_ALL = tuple(NATIVE)
_BEST = "the fastest of native logical replication: default, binary, binary and streaming"
_STREAMING = "native logical replication, streaming = parallel"
_DEBEZIUM = "Debezium's embedded engine with batches through a temporary table and ON CONFLICT, changes per second"
_UNSTAGED = "pg_pg_hugetxn_unstaged_vs_native"
_PSQL = "psql, COPY to COPY in binary form"
_DLT = ("dlt connectorx", "dlt pyarrow")

FIGURES = (
    Figure("pg_pg_catchup_vs_native", "×", "mixed", 1.25, 1.5, _faster, _ALL, _BEST),
    Figure("pg_pg_target_cpu_vs_native", "×", "mixed", 0.7, 0.5, _target_cpu, _ALL, _BEST),
    Figure("pg_pg_insert_vs_native", "×", "inserts", 1.05, 1.2, _faster, _ALL, _BEST),
    Figure("pg_pg_hotkeys_vs_native", "×", "hot", 1.7, 2.2, _faster, _ALL, _BEST),
    Figure("pg_pg_hugetxn_vs_native", "×", "huge", 0.9, 1.2, _faster, tuple(PARALLEL), _STREAMING),
    Figure(_UNSTAGED, "×", "huge", None, None, _faster, tuple(PARALLEL), _STREAMING, "tidegate unstaged"),
    Figure("pg_pg_catchup_vs_debezium", "×", "mixed", 15, 20, _more, ("debezium",), _DEBEZIUM),
    Figure("pg_pg_python_vs_native", "×", "mixed", 0.4, 0.6, _faster, _ALL, _BEST, "tidegate python"),
    Figure("pg_pg_unpaced_vs_native", "×", "mixed", None, None, _faster, _ALL, _BEST, "tidegate unpaced"),
    Figure("pg_pg_narrow100_vs_native", "×", "narrow100", None, None, _faster, _ALL, _BEST),
    Figure("pg_pg_wide_vs_native", "×", "wide", None, None, _faster, _ALL, _BEST),
    Figure("pg_pg_toast_vs_native", "×", "toast", None, None, _faster, _ALL, _BEST),
    Figure("pg_pg_full_vs_copy", "×", "full", 0.9, 1.1, _faster, ("psql",), _PSQL),
    Figure("pg_pg_full_vs_sling", "×", "full", None, None, _faster, ("sling",), "sling"),
    Figure("pg_duckdb_full_vs_dlt", "×", "lake", 1.3, 1.6, _faster, _DLT, "dlt, the faster of connectorx and pyarrow"),
    Figure(
        "pgoutput_decode_vs_python", "×", "decode", 40, 70, _decoded_more, ("python",), "the Python decoder", "native"
    ),
    Figure("pgoutput_decode_rows_s", "rows/s", "decode", 5_000_000, None, _rate, ours="native"),
    Figure("pgoutput_decode_log_rows_s", "rows/s", "decode", None, None, _rate, ours="native log"),
    Figure("binlog_decode_rows_s", "rows/s", "decode", 1_000_000, 3_000_000, _rate, ours="native binlog"),
    Figure("binlog_decode_log_rows_s", "rows/s", "decode", None, None, _rate, ours="native binlog log"),
    Figure("pg_worker_cpu_s_per_m", "s", "mixed", 1.5, 0.8, _worker_cpu),
    Figure("worker_rss_mb_streaming", "MB", "mixed", 150, 100, _memory),
    Figure("worker_rss_mb_full", "MB", "full", 250, 150, _memory),
    Figure("worker_rss_mb_huge", "MB", "giant", 300, 150, _memory),
    Figure("pg_pg_latency_p50_ms", "ms", "live", 50, 15, _p50),
    Figure("pg_pg_latency_p99_ms", "ms", "live", 200, 60, _p99),
    Figure("noise_a_a", "×", "mixed", None, None, _faster, ("tidegate again",), "itself"),
    Figure("noise_a_a_full", "×", "full", None, None, _faster, ("tidegate again",), "itself"),
)
