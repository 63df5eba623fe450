"""`python -m tidegate.testing.soak`: four tasks follow one busy source for an hour in peace; what their memory does.

Looked at is what a process allocated (anonymous memory), for of the files it runs from the kernel keeps more or less
in memory as it likes; what is resident is told beside it. What a process holds while it writes comes and goes: its
slope is that of a line through the least it had in each `LEAST_OF_S`, after a time to warm up. Exit code 0: every copy
is equal at the end, no worker was replaced, and no worker's memory grows faster than `SLOPE_MAX_MB_H`; 1: else.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.testing.crash.campaign import CHUNK_ROWS, commit, random_seed, tell
from tidegate.testing.crash.pairs import PAIRS
from tidegate.testing.crash.stage import Stage
from tidegate.testing.crash.victim import Victim
from tidegate.testing.ledger import Load, Verdict

SLOPE_MAX_MB_H = 1.0
SAMPLE_S = 5.0
LEAST_OF_S = 300.0
"""As often as a DuckDB file is let go of, with what was cached of it."""
# Caches fill and libraries allocate what they keep; what goes on growing afterwards is a leak.
WARM_UP_SHARE = 0.25
MB = 1e6


@dataclass(slots=True)
class Memory:
    """Bytes of one process over time."""

    at_s: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)

    def add(self, at_s: float, bytes: int) -> None:
        self.at_s.append(at_s)
        self.bytes.append(bytes)

    def slope_mb_h(self, since_s: float, least_of_s: float) -> float | None:
        """Of a line (least squares) through the least of each whole span of that length from `since_s` on; megabytes an
        hour. None where there are fewer than two."""
        least: dict[int, int] = {}
        whole = int((self.at_s[-1] - since_s) // least_of_s)
        for at, held in zip(self.at_s, self.bytes, strict=True):
            span = int((at - since_s) // least_of_s)
            if 0 <= span < whole:
                least[span] = min(held, least.get(span, held))
        if len(least) < 2:
            return None
        hours = [span * least_of_s / 3600 for span in least]
        return statistics.linear_regression(hours, [held / MB for held in least.values()]).slope

    def as_json(self, since_s: float) -> dict[str, Any]:
        least, line = (self.slope_mb_h(since_s, span_s) for span_s in (LEAST_OF_S, SAMPLE_S))
        return {
            "first_mb": round(self.bytes[0] / MB, 1),
            "last_mb": round(self.bytes[-1] / MB, 1),
            "max_mb": round(max(self.bytes) / MB, 1),
            "slope_mb_h": None if least is None else round(least, 2),
            "slope_of_all_mb_h": None if line is None else round(line, 2),
            "each_minute_mb": [round(held / MB, 1) for held in self.bytes[:: round(60 / SAMPLE_S)]],
        }


def soak(folder: Path, minutes: float, seed: int, load: Load) -> tuple[dict[str, Any], bool]:
    """What was measured, and whether it is as it should be."""
    held: dict[str, dict[str, Memory]] = defaultdict(lambda: defaultdict(Memory))
    lags_ms: list[float] = []
    with Stage(folder, seed) as stage:
        stage.data_sources(1, CHUNK_ROWS)
        workload = stage.workload("postgres", 1, seed, load).create()
        victims = [Victim(stage, 1, pair).create() for pair in PAIRS]
        for victim in victims:
            victim.becomes("Running")
        workload.start()
        began = time.monotonic()
        for number in range(1, int(minutes * 60 / SAMPLE_S) + 1):
            time.sleep(max(0.0, began + number * SAMPLE_S - time.monotonic()))
            _sample(stage, victims, held, time.monotonic() - began)
            lags_ms += [float(victim.task()["lag_s"] or 0) * 1000 for victim in victims]
        workload.stop()
        verdict = Verdict()
        for victim in victims:
            verdict.add(victim.settled(workload)[0])
        restarts = sum(int(victim.task()["restarts"]) for victim in victims)
        written = sum(int(victim.task()["counters"]["changes_written"]) for victim in victims)
    since_s = minutes * 60 * WARM_UP_SHARE
    memory = {name: {kind: memory.as_json(since_s) for kind, memory in kinds.items()} for name, kinds in held.items()}
    workers = [kinds["allocated"]["slope_mb_h"] for name, kinds in memory.items() if name != "server"]
    slope_mb_h = None if None in workers else max(workers)
    cuts = statistics.quantiles(lags_ms, n=100, method="inclusive")
    measured = {
        "minutes": minutes,
        "warm_up_minutes": round(since_s / 60, 1),
        "transactions": sum(workload.committed.values()),
        "changes_written": written,
        "rows": verdict.rows,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "restarts": restarts,
        "lag_ms": {"p50": round(cuts[49]), "p99": round(cuts[98]), "max": round(max(lags_ms))},
        "memory": memory,
        "worker_slope_mb_h": slope_mb_h,
        "notes": verdict.notes[:20],
    }
    return measured, verdict.right and not restarts and slope_mb_h is not None and slope_mb_h < SLOPE_MAX_MB_H


def _sample(stage: Stage, victims: list[Victim], held: dict[str, dict[str, Memory]], at_s: float) -> None:
    processes = {f"{victim.pair.target} {victim.write}": victim.worker() for victim in victims}
    pids = {name: worker.pid for name, worker in processes.items() if worker is not None}
    if stage.site.process is not None:
        pids["server"] = stage.site.process.pid
    for name, pid in pids.items():
        for kind, size_bytes in _memory(pid).items():
            held[name][kind].add(at_s, size_bytes)


def _memory(pid: int) -> dict[str, int]:
    """Bytes that the process allocated, and those that are resident with the files it runs from."""
    kinds = {"RssAnon:": "allocated", "VmRSS:": "resident"}
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {kinds[line[0]]: int(line[1]) * 1024 for line in lines if line and line[0] in kinds}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tidegate.testing.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="what every random choice of the writers follows from")
    parser.add_argument("--results", type=Path, help="folder for soak-<date>-<commit>.json; else standard output")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random_seed()
    folder = Path(tempfile.mkdtemp(prefix="tidegate-soak-"))
    tell(f"python -m tidegate.testing.soak --minutes {given.minutes:g} --seed {seed}")
    began = datetime.now(UTC)
    measured, right = soak(folder, given.minutes, seed, Load(pause_s=0.02))
    head = {"commit": (at := commit()), "seed": seed, "began": began.isoformat(timespec="seconds")}
    said = json.dumps(head | measured, indent=1, ensure_ascii=False)
    if given.results is not None:
        given.results.mkdir(parents=True, exist_ok=True)
        (given.results / f"soak-{began:%Y%m%d}-{at}.json").write_text(said + "\n")
    sys.stdout.write(said + "\n")
    if right:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    tell(f"kept: {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
