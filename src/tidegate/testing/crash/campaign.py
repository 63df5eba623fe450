"""Rounds of fire until the time is over: fresh databases, a task for each pair of ends, writers at each source, every
kind of fault, an audit."""

from __future__ import annotations

import platform
import random
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.faultpoint import POINTS
from tidegate.model.position import Position
from tidegate.testing.crash.ends import ENDS
from tidegate.testing.crash.fire import Tally, Tormentor
from tidegate.testing.crash.history import Findings, History
from tidegate.testing.crash.pairs import PAIRS, Pair
from tidegate.testing.crash.stage import Stage
from tidegate.testing.crash.victim import Victim
from tidegate.testing.ledger import Load, Verdict, Workload

CHUNK_ROWS = 150
ROUND_S = 120.0
JOIN_DEADLINE_S = 150.0
SLOWEST_TOLD = 8
# How often each kind comes, relative to the others.
WEIGHTS: Mapping[str, float] = {
    "kill": 25,
    "kill_at_point": 18,
    "kill_twice": 7,
    "kill_server": 0.5,
    "kill_server_at_point": 3.2,
    "pause": 15,
    "forced_pause": 15,
    "zombie": 3.2,
    "wire_cut": 13,
    "server_crash": 3.8,
    "copy_again": 4.5,
}
# What of each a long run is to have done, and at every fault point.
LONG: Mapping[str, int] = {
    "kills": 5000,
    "pauses": 1000,
    "forced_pauses": 1000,
    "zombies": 200,
    "wire_cuts": 3000,
    "server_crashes": 200,
}
LONG_POINT = 30
_COUNTED_AS = {
    "kill": "kills",
    "kill_at_point": "kills",
    "kill_twice": "kills",
    "pause": "pauses",
    "forced_pause": "forced_pauses",
    "zombie": "zombies",
    "wire_cut": "wire_cuts",
    "server_crash": "server_crashes",
}
_STEERED_LEAST, _STEERED_MOST = 0.2, 3.0
TRANSACTIONS_MIN_S = 2.0
"""A round whose source saw fewer transactions a second than this has shown nothing."""


def crossed(pairs: Sequence[Pair]) -> list[str]:
    """The fault points that some task of these pairs comes by."""
    return [point for point in POINTS if any(point not in ENDS[pair.source].never for pair in pairs)]


def long_enough(tally: Tally, pairs: Sequence[Pair] = PAIRS) -> bool:
    """Whether all of `LONG` was done."""
    return all(tally.counts[kind] >= least for kind, least in LONG.items()) and all(
        tally.points[point] >= LONG_POINT for point in crossed(pairs)
    )


def steered(weights: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, float]:
    """More often what is furthest from `LONG`, so that all of it is reached at about the same time."""
    left = {kind: max(0.0, 1 - counts.get(kind, 0) / least) for kind, least in LONG.items()}
    mean = sum(left.values()) / len(left)
    if not mean:
        return dict(weights)
    factors = {kind: min(max(left[count] / mean, _STEERED_LEAST), _STEERED_MOST) for kind, count in _COUNTED_AS.items()}
    return {kind: weight * factors.get(kind, 1.0) for kind, weight in weights.items()}


@dataclass(slots=True)
class Result:
    """What a campaign came to."""

    seed: int
    began: datetime
    pairs: Sequence[Pair] = PAIRS
    minutes: float = 0.0
    rounds: int = 0
    tally: Tally = field(default_factory=Tally)
    verdict: Verdict = field(default_factory=Verdict)
    old_epoch_writes: int = 0
    backward_positions: int = 0
    position_writes: int = 0
    looks: int = 0
    transactions: int = 0
    streamed: int = 0
    settle_s: list[float] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return self.verdict.right and not (
            self.tally.failures or self.old_epoch_writes or self.backward_positions or self.left
        )

    def as_json(self, commit: str) -> dict[str, Any]:
        counts = self.tally.counts
        return {
            "commit": commit,
            "seed": self.seed,
            "began": self.began.isoformat(timespec="seconds"),
            "minutes": round(self.minutes, 1),
            "python": platform.python_version(),
            "pairs": [str(pair) for pair in self.pairs],
            "rounds": self.rounds,
            "kills": counts["kills"],
            "server_kills": counts["server_kills"],
            "pauses": counts["pauses"],
            "forced_pauses": counts["forced_pauses"],
            "zombies": counts["zombies"],
            "wire_cuts": counts["wire_cuts"],
            "server_crashes": counts["server_crashes"],
            "copies_begun_again": counts["copies"],
            "transactions": self.transactions,
            "streamed": self.streamed,
            "rows": self.verdict.rows,
            "lost": self.verdict.lost,
            "doubled": self.verdict.doubled,
            "invented": self.verdict.invented,
            "reordered": self.verdict.reordered,
            "stale": self.verdict.stale,
            "torn": self.verdict.torn,
            "readers_looked": self.looks,
            "position_writes": self.position_writes,
            "old_epoch_writes": self.old_epoch_writes,
            "backward_positions": self.backward_positions,
            "left_behind": self.left,
            "failures": self.tally.failures,
            "notes": (self.verdict.notes + self.notes)[:50],
            "noticed_s": _spread(self.tally.noticed_s),
            "resumed_s": _spread(self.tally.resumed_s),
            "slowest_to_resume": sorted(self.tally.slow, reverse=True)[:SLOWEST_TOLD],
            "recovered_s": _spread(self.tally.recovered_s),
            "settled_s": _spread(self.settle_s),
            "points": dict(sorted(self.tally.points.items())),
        }


def _spread(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "max": round(max(values), 3), "count": len(values)}


class Campaign:
    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        pairs: Sequence[Pair] = PAIRS,
        round_s: float = ROUND_S,
        weights: Mapping[str, float] = WEIGHTS,
        steers: bool = False,
        load: Load | None = None,
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Everything it makes is in `folder`; `told` hears a line per round. `steers`: towards `LONG`."""
        self.folder, self.seed, self.pairs, self.round_s = folder, seed, pairs, round_s
        self.weights, self.steers = dict(weights), steers
        self.load, self.told = load or Load(synchronous=1, pause_s=0.02, bulk_share=0.005), told
        self.result = Result(seed, datetime.now(UTC), pairs)

    def run(self, minutes: float, enough: Callable[[Tally], bool] = lambda tally: False) -> Result:
        """Rounds until the time is over, `enough` was done, or something is wrong."""
        began = time.monotonic()
        with Stage(self.folder, self.seed, self.pairs) as stage:
            while time.monotonic() - began < minutes * 60 and self.result.right and not enough(self.result.tally):
                left_s = minutes * 60 - (time.monotonic() - began)
                self._round(stage, self.result.rounds + 1, min(self.round_s, max(5.0, left_s)), enough)
                self.result.minutes = (time.monotonic() - began) / 60
                self.told(self._line())
        return self.result

    def _line(self) -> str:
        counts, verdict = self.result.tally.counts, self.result.verdict
        return (
            f"round {self.result.rounds} ({self.result.minutes:.1f} min, seed {self.seed}): "
            + ", ".join(f"{name} {counts[name]}" for name in sorted(counts))
            + f"; {verdict.rows} rows, {verdict.lost} lost, {verdict.doubled} doubled, {verdict.torn} torn"
            + (f"; failed: {self.result.tally.failures}" if self.result.tally.failures else "")
        )

    def _round(self, stage: Stage, number: int, seconds: float, enough: Callable[[Tally], bool]) -> None:
        stage.data_sources(number, CHUNK_ROWS)
        workloads = {
            source: stage.workload(source, number, self.seed + number, self.load).create() for source in stage.sources
        }
        victims = [Victim(stage, number, pair) for pair in self.pairs]
        ending = threading.Event()
        histories = [History(target, number) for target in stage.targets.values()]
        for workload in workloads.values():
            workload.start()
        for victim in victims:
            victim.create()
        tally = self.result.tally
        weights = steered(self.weights, tally.counts) if self.steers else self.weights
        threads = [
            Tormentor(stage, victim, tally, weights, self.seed * 100 + number * 10 + index, ending)
            for index, victim in enumerate(victims)
        ]
        reader = threading.Thread(target=_watch, args=(victims, ending), name="reader", daemon=True)
        for thread in (*threads, reader):
            thread.start()
        began = time.monotonic()
        while time.monotonic() - began < seconds and not enough(self.result.tally) and not ending.wait(0.5):
            pass
        seconds = time.monotonic() - began
        ending.set()
        for thread in (*threads, reader):
            thread.join(JOIN_DEADLINE_S)
            if thread.is_alive():
                self.result.tally.fail(f"{thread.name} does not end:\n{_where(thread)}")
        self.result.rounds = number
        if self.result.tally.failures:
            self.result.notes += [f"{victim.name} is {victim.status()}" for victim in victims]
        self._audit(stage, victims, workloads, seconds)
        found = Findings()
        for history in histories:
            found.add(history.judge(_parser(victims)))
        self._judge(victims, found)
        if not self.result.tally.failures and self.result.right:
            stage.drop_databases(number)

    def _audit(self, stage: Stage, victims: list[Victim], workloads: Mapping[str, Workload], seconds: float) -> None:
        stage.restart_server()
        for end in stage.ends:
            end.wire.heal()
        for source, workload in workloads.items():
            workload.stop()
            committed = sum(workload.committed.values())
            self.result.transactions += committed
            if committed < TRANSACTIONS_MIN_S * seconds:
                said = f"only {committed} transactions of {source} in {seconds:.0f} s: this round has shown nothing"
                self.result.tally.fail(said)
        self.result.streamed += stage.streamed()
        for victim in victims:
            verdict, took_s = victim.settled(workloads[victim.pair.source])
            if not verdict.right:
                verdict.notes.insert(0, f"{victim.name} ({victim.status()}) in round of seed {self.seed}")
            self.result.verdict.add(verdict)
            self.result.settle_s.append(took_s)
            self.result.looks += victim.looks

    def _judge(self, victims: list[Victim], found: Findings) -> None:
        if self.result.tally.failures or not self.result.verdict.right:
            return  # kept as it is, to be looked at
        for victim in victims:
            self.result.tally.failures += victim.judge_history()
            self.result.left += victim.end()
            victim.stage.ask("POST", f"/tasks/{victim.name}/commands/remove")
        self.result.position_writes += found.writes
        self.result.old_epoch_writes += found.old_epoch
        self.result.backward_positions += found.backward
        self.result.notes += found.notes[:10]


def _parser(victims: list[Victim]) -> Callable[[str, str], Position]:
    """Makes of a run and a text the position that it is."""
    sources = {victim.id: victim.source for victim in victims}
    return lambda run, text: sources[int(run.rpartition("_t")[2].partition("r")[0])].parse_position(text)


def _where(thread: threading.Thread) -> str:
    """What a thread is doing."""
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)[-6:]) if frame is not None else ""


def _watch(victims: list[Victim], ending: threading.Event) -> None:
    """A reader of the targets, during the faults."""
    while not ending.wait(0.2):
        for victim in victims:
            victim.look()


def random_seed() -> int:
    return random.SystemRandom().randrange(2**31)


def commit() -> str:
    """Of the checkout one stands in."""
    try:
        said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()


def tell(line: str) -> None:
    sys.stderr.write(line + "\n")
