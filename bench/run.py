"""`make bench`: Tidegate and its peers, side by side on this machine, each figure the median of paired runs.

Two PostgreSQL servers of its own (fsync on); every contestant catches up with the same log into a fresh copy of the
same target, or copies the same table, and what it leaves must equal the source. Contestants take turns; a pair is
neighbours in time, and a figure is the median over the pairs. An A/A figure puts Tidegate beside itself: so much is
noise. Results, with the machine's facts, go to bench/results/bench-<date>-<commit>.json, a picture of them beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from chart import drawn
from contest import Outcome
from decoding import decoded
from environments import PeerAbsent, python_of, versions
from figures import FIGURES, Figure
from ground import Ground
from lineup import ENVIRONMENTS, lineup
from workloads import Kind, Workload, workloads

RESULTS = Path(__file__).parent / "results"
# The smallest only shows that all of it works.
SCALES = {"tiny": 0.005, "small": 0.1, "full": 1.0}
RUNS = {"tiny": 1, "small": 1, "full": 5}


def tell(line: str) -> None:
    sys.stderr.write(line + "\n")


class Bench:
    def __init__(self, scale: str, runs: int) -> None:
        self._scale, self._runs = SCALES[scale], runs
        self.runs: dict[str, list[dict[str, Outcome]]] = {}
        """Workload → per repetition: contestant → outcome."""
        self.absent: dict[str, str] = {}
        """Contestant → why it did not take part, or not always."""

    def invite(self, chosen: Sequence[Workload]) -> dict[str, str]:
        """Make the peers' environments before anything is measured; the versions of what is in them."""
        there: dict[str, str] = {}
        for name in {name: None for workload in chosen for name in lineup(workload, self._scale)}:
            environment = ENVIRONMENTS.get(name)
            try:
                if environment is not None:
                    python_of(environment)
                    there |= versions(environment)
            except PeerAbsent as absent:
                self._leave_out(name, absent)
        return there

    def _leave_out(self, name: str, absent: PeerAbsent) -> None:
        self.absent[name] = str(absent)
        tell(f"  {name} is left out: {absent}")

    def decode(self, workload: Workload) -> None:
        tell(f"{workload.name}: {workload.changes:,} changes")
        self.runs[workload.name] = []
        for number in range(self._runs):
            outcomes = decoded(workload)
            self.runs[workload.name].append(outcomes)
            tell(f"  {number + 1}. " + ", ".join(f"{name} {one.amount:,} rows/s" for name, one in outcomes.items()))

    def measure(self, ground: Ground, workload: Workload) -> None:
        tell(f"{workload.name}: {workload.base * len(workload.tables):,} rows, {workload.changes:,} changes")
        ground.prepare(workload)
        contestants = lineup(workload, self._scale)
        names = [name for name in contestants if name not in self.absent]
        self.runs[workload.name] = []
        for number in range(1 if workload.once else self._runs):
            outcomes: dict[str, Outcome] = {}
            for name in names if number % 2 == 0 else names[::-1]:
                try:
                    outcomes[name] = outcome = contestants[name](ground)
                except PeerAbsent as absent:
                    self._leave_out(name, absent)
                    continue
                tell(f"  {number + 1}. {name}: {outcome}")
            self.runs[workload.name].append(outcomes)
        ground.clear(workload)

    def figures(self) -> list[dict[str, Any]]:
        return [self._figure(figure) for figure in FIGURES if figure.workload in self.runs]

    def _figure(self, figure: Figure) -> dict[str, Any]:
        """Without a median where nobody was there to be measured against, and why."""
        found = [figure.of(run, self._scale) for run in self.runs[figure.workload]]
        values = [value for value in found if value is not None]
        about: dict[str, Any] = {"id": figure.id, "unit": figure.unit, "median": None}
        if values:
            about["median"] = round(statistics.median(values), 3)
        about |= {"runs": [round(value, 3) for value in values], "against": figure.against}
        about |= {"bar": figure.bar, "aim": figure.aim}
        why = [self.absent[name] for name in figure.peers if name in self.absent]
        return about if values else about | {"why": "; ".join(dict.fromkeys(why))}


def facts(runs: int) -> dict[str, Any]:
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": cpus[0].partition(": ")[2] if cpus else platform.machine(),
        "cpus": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "repetitions": runs,
    }


def commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def table(figures: list[dict[str, Any]]) -> str:
    lines = [f"{'figure':30} {'median':>16} {'bar':>11} {'aim':>5}  runs"]
    for one in figures:
        runs = " ".join(f"{value:,g}" for value in one["runs"]) or f"not measured: {one['why']}"
        median, bar, aim = ("" if one[key] is None else said(one[key]) for key in ("median", "bar", "aim"))
        lines.append(f"{one['id']:30} {median:>9} {one['unit']:6} {bar:>11} {aim:>5}  {runs}")
    return "\n".join(lines)


def said(value: float) -> str:
    return f"{value:,.0f}" if value >= 10_000 else f"{value:g}"


def chosen(scale: float, only: Sequence[str]) -> list[Workload]:
    """Workloads by their names, or by those of figures made of them; all, if none is named. Raises `SystemExit`."""
    known = workloads(scale)
    of_figures = {figure.id: figure.workload for figure in FIGURES}
    wanted = {of_figures.get(name, name) for name in only}
    if wanted - set(known):
        raise SystemExit(f"{', '.join(sorted(wanted - set(known)))}: there is no such workload or figure")
    return [workload for name, workload in known.items() if not wanted or name in wanted]


def kept(result: dict[str, Any], results: Path) -> Path:
    """Where it was written; what is there already stays."""
    results.mkdir(parents=True, exist_ok=True)
    name = f"bench-{result['at'][:10].replace('-', '')}-{result['commit']}"
    for number in count(1):
        place = results / f"{name}{f'-{number}' if number > 1 else ''}.json"
        if not place.exists():
            break
    place.write_text(json.dumps(result, indent=1) + "\n")
    place.with_suffix(".svg").write_text(drawn(result["figures"]))
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--runs", type=int, help="pairs of each workload (default: 5, small: 1)")
    parser.add_argument("--only", nargs="*", default=[], help="workloads, or figures (default: all)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    runs = given.runs or RUNS[given.scale]
    bench, todo = Bench(given.scale, runs), chosen(SCALES[given.scale], given.only)
    about = facts(runs) | {"scale": given.scale, "peers": bench.invite(todo)}
    for workload in todo:
        if workload.kind is Kind.DECODE:
            bench.decode(workload)
    for thin in (False, True):
        of_it = [one for one in todo if (one.kind is Kind.THIN) is thin and one.kind is not Kind.DECODE]
        if of_it:
            # The delays of the thin stream are told by commit times, which cost who catches up dearly: not there.
            with Ground.make(track_commit_timestamp=thin) as ground:
                about["postgres"] = ".".join(str(part) for part in ground.source.version)
                for workload in of_it:
                    bench.measure(ground, workload)
    figures = bench.figures()
    result = about | {"absent": bench.absent, "figures": figures}
    result["outcomes"] = {
        name: [{who: asdict(outcome) for who, outcome in run.items()} for run in runs]
        for name, runs in bench.runs.items()
    }
    sys.stdout.write(table(figures) + "\n")
    tell(f"written: {kept(result, given.results)}")


if __name__ == "__main__":
    main()
