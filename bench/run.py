"""`make bench`: Tidegate and its peers, side by side on this machine, each figure the median of paired runs.

Two PostgreSQL servers of its own (fsync on); every contestant catches up with the same log into a fresh copy of the
same target, which must then equal the source. Contestants take turns; a pair is neighbours in time, and a figure is the
median over the pairs. An A/A figure puts Tidegate beside itself: so much is noise. Results, with the machine's facts,
go to bench/results/bench-<date>-<commit>.json, and a picture of them beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chart import drawn
from contest import NATIVE, PARALLEL, Outcome, live, live_native, subscription, tidegate
from figures import FIGURES
from ground import Ground
from workloads import Workload, workloads

RESULTS = Path(__file__).parent / "results"
SCALES = {"small": 0.1, "full": 1.0}
RUNS = {"small": 1, "full": 5}


def tell(line: str) -> None:
    sys.stderr.write(line + "\n")


class Bench:
    def __init__(self, scale: str, runs: int) -> None:
        self._scale, self._runs = SCALES[scale], runs
        self.runs: dict[str, list[dict[str, Outcome]]] = {}
        """Workload → per repetition: contestant → outcome."""

    def measure(self, ground: Ground, workload: Workload) -> None:
        tell(f"{workload.name}: {workload.base} rows, {workload.changes} changes")
        ground.prepare(workload)
        self.runs[workload.name] = []
        for number in range(self._runs):
            outcomes: dict[str, Outcome] = {}
            names = self._contestants(workload)
            for name in names if number % 2 == 0 else names[::-1]:
                outcomes[name] = outcome = self._run(ground, workload, name)
                speed = f"{workload.changes / outcome.wall_s:,.0f} changes/s, " if workload.changes else ""
                tell(f"  {number + 1}. {name}: {speed}{outcome}")
            self.runs[workload.name].append(outcomes)

    def _contestants(self, workload: Workload) -> list[str]:
        if workload.name == "live":
            return ["tidegate", "native binary"]
        peers = PARALLEL if workload.name == "huge" else NATIVE
        more = ["tidegate again", "tidegate python", "tidegate unpaced"] if workload.name == "mixed" else []
        return ["tidegate", *peers, *more]

    def _run(self, ground: Ground, workload: Workload, name: str) -> Outcome:
        native = NATIVE | PARALLEL
        if name in native:
            follow = live_native if workload.name == "live" else subscription
            return follow(ground, workload, native[name])
        if workload.name == "live":
            return live(ground, workload, self._scale)
        decoder = "python" if name == "tidegate python" else ""
        pace_ms = 0 if name == "tidegate unpaced" else 20
        return tidegate(ground, workload, self._scale, decoder=decoder, pace_ms=pace_ms)

    def figures(self) -> list[dict[str, Any]]:
        found = []
        for figure in FIGURES:
            values = [figure.of(run, self._scale) for run in self.runs.get(figure.workload, [])]
            if values:
                about = {"id": figure.id, "unit": figure.unit, "median": round(statistics.median(values), 3)}
                rest = {"runs": [round(value, 3) for value in values], "against": figure.against}
                found.append(about | rest | {"bar": figure.bar, "aim": figure.aim})
        return found


def facts(ground: Ground) -> dict[str, Any]:
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpus[0].partition(": ")[2] if cpus else platform.machine(),
        "cpus": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "postgres": ".".join(str(part) for part in ground.source.version),
    }


def commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def table(figures: list[dict[str, Any]]) -> str:
    lines = [f"{'figure':34} {'median':>9} {'bar':>7} {'aim':>7}  runs"]
    for one in figures:
        runs = " ".join(f"{value:g}" for value in one["runs"])
        bar, aim = ("" if one[key] is None else f"{one[key]:g}" for key in ("bar", "aim"))
        lines.append(f"{one['id']:34} {one['median']:>7g} {one['unit']:1} {bar:>7} {aim:>7}  {runs}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--runs", type=int, help="pairs of each workload (default: 5, small: 1)")
    parser.add_argument("--only", nargs="*", help="workloads (default: all)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    bench = Bench(given.scale, given.runs or RUNS[given.scale])
    chosen = [one for one in workloads(SCALES[given.scale]).values() if not given.only or one.name in given.only]
    for thin in (False, True):
        of_it = [workload for workload in chosen if (workload.name == "live") is thin]
        if of_it:
            # The delays of the thin stream are told by commit times, which cost who catches up dearly: not there.
            with Ground.make(track_commit_timestamp=thin) as ground:
                about = facts(ground)
                for workload in of_it:
                    bench.measure(ground, workload)
    figures = bench.figures()
    result = about | {"commit": commit(), "scale": given.scale, "figures": figures}
    result["outcomes"] = {
        name: [{who: asdict(outcome) for who, outcome in run.items()} for run in runs]
        for name, runs in bench.runs.items()
    }
    sys.stdout.write(table(figures) + "\n")
    given.results.mkdir(parents=True, exist_ok=True)
    place = given.results / f"bench-{about['at'][:10].replace('-', '')}-{result['commit']}.json"
    place.write_text(json.dumps(result, indent=1) + "\n")
    place.with_suffix(".svg").write_text(drawn(figures))


if __name__ == "__main__":
    main()
