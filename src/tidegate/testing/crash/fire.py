"""The kinds of faults, and the thread that strikes one victim with them, each after observed progress.

Every kind returns once the victim is on its way again or will be by itself; what it did is in the tally.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tidegate.errors import EnvironmentLacking
from tidegate.testing.crash.stage import Stage
from tidegate.testing.crash.victim import Stuck, Victim
from tidegate.testing.faults import Action
from tidegate.testing.proxy import Then
from tidegate.testing.site import WorkerProcess

STARTING = ("run.registered", "run.taken", "run.resumed", "run.opened")
COPYING = ("run.begun", "run.planned", "chunk.locked", "chunk.marked", "chunk.read", "chunk.writing", "chunk.written")
HANDING = ("handoff.settled", "handoff.stalled", "handoff.patched", "handoff.gated")
STEADY = (
    "batch.writing",
    "batch.staged",
    "batch.positioned",
    "batch.committed",
    "snapshot.due",
    "snapshot.sending",
    "snapshot.answered",
    "source.acknowledging",
    "source.acknowledged",
    "lease.renewing",
    "lease.renewed",
)
SERVING = ("store.committing", "store.committed")
MOVING = ("move.deciding", "move.recorded")
LAUNCHING = ("worker.launching", "worker.launched")
CLEANING = ("leftover.removing", "leftover.removed")
TAKEN_DEADLINE_S = 4.0
HELD_MAX_S = 2.0
GONE_DEADLINE_S = 30.0


@dataclass(slots=True)
class Tally:
    """What a campaign did and saw, of all threads together."""

    counts: Counter[str] = field(default_factory=Counter)
    """Kind of fault → how often."""
    points: Counter[str] = field(default_factory=Counter)
    """Fault point → how often it was the last one crossed before a kill."""
    noticed_s: list[float] = field(default_factory=list)
    """From a worker's death until another one of the run has begun, where nothing else happened meanwhile."""
    resumed_s: list[float] = field(default_factory=list)
    """From then until it wrote."""
    slow: list[tuple[float, str]] = field(default_factory=list)
    """How long the same took, and what was killed where."""
    recovered_s: list[float] = field(default_factory=list)
    """From a worker's death until another one of the run wrote, whatever happened meanwhile."""
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, amount: int = 1) -> None:
        with self.lock:
            self.counts[kind] += amount

    def hit(self, point: str | None) -> None:
        with self.lock:
            self.points[point or "none"] += 1

    def fail(self, what: str) -> None:
        with self.lock:
            self.failures.append(what)

    def rarest(self, points: tuple[str, ...], r: random.Random) -> str:
        """The one struck least often so far."""
        with self.lock:
            return min(points, key=lambda point: (self.points[point], r.random()))


class Tormentor(threading.Thread):
    """Strikes one victim until `ending` is set."""

    def __init__(
        self, stage: Stage, victim: Victim, tally: Tally, weights: dict[str, float], seed: int, ending: threading.Event
    ) -> None:
        super().__init__(name=f"tormentor-{victim.name}", daemon=True)
        self.stage, self.victim, self.tally, self.ending = stage, victim, tally, ending
        self.weights = weights
        self.r = random.Random(seed)
        self.epoch = 0
        """Of the worker struck last."""

    def run(self) -> None:
        kinds: dict[str, Callable[[], None]] = {
            "kill": self.kill,
            "kill_at_point": self.kill_at_point,
            "kill_twice": self.kill_twice,
            "kill_server": self.kill_server,
            "kill_server_at_point": self.kill_server_at_point,
            "pause": lambda: self.pause("pause"),
            "forced_pause": lambda: self.pause("force-pause"),
            "zombie": self.zombie,
            "wire_cut": self.wire_cut,
            "server_crash": self.server_crash,
            "copy_again": self.copy_again,
        }
        try:
            while not self.ending.is_set():
                kind = self.r.choices(list(self.weights), list(self.weights.values()))[0]
                kinds[kind]()
                self.running_again()
        except Exception as error:  # noqa: BLE001  the campaign reports it with its seed
            self.tally.fail(f"{self.victim.name}: {type(error).__name__}: {error}")
            self.ending.set()

    # --- waiting ---

    def at_work(self) -> WorkerProcess:
        return self.victim.at_work(newer_than=self.epoch)

    def running_again(self) -> None:
        """Whatever a fault interrupted, the task goes on running."""
        until = time.monotonic() + 90
        while (status := self.victim.status()) != "Running":
            if status in ("Failure", "Detection Exception") or time.monotonic() > until:
                self.victim.becomes("Running", deadline_s=0)
            if status == "Paused":
                self.victim.command("continue")
            elif status in ("Stopped", "Initialize"):
                self.victim.command("run")
            time.sleep(0.03)

    def gone(self, pid: int) -> None:
        """Wait until the process has ended."""
        until = time.monotonic() + GONE_DEADLINE_S
        while any(worker.pid == pid for worker in self.stage.site.processes()):
            if time.monotonic() > until:
                raise Stuck(f"{self.victim.name}: process {pid} does not end")
            time.sleep(0.01)

    # --- workers ---

    def _kill(self, worker: WorkerProcess) -> None:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        began = time.monotonic()
        self.tally.hit(last := self.victim.trace(worker).last)
        self.tally.add("kills")
        self.epoch = worker.epoch
        troubles = self.stage.troubles
        heir = self.victim.heir(worker.epoch)
        noticed = time.monotonic()
        writing = self.victim.at_work(newer_than=worker.epoch)
        now = time.monotonic()
        with self.tally.lock:
            self.tally.recovered_s.append(now - began)
            if self.stage.troubles == troubles and writing.epoch == heir.epoch == worker.epoch + 1:
                self.tally.noticed_s.append(noticed - began)
                self.tally.resumed_s.append(now - noticed)
                self.tally.slow.append((round(now - noticed, 3), f"{self.victim.pair}, killed at {last}"))

    def kill(self) -> None:
        """Some crossings further, wherever that is."""
        worker = self.at_work()
        wanted = self.victim.crossings(worker) + self.r.randint(1, 80)
        until = time.monotonic() + 1
        while self.victim.crossings(worker) < wanted and time.monotonic() < until:
            time.sleep(0.005)
        self._kill(worker)

    def _rarest(self, points: tuple[str, ...]) -> str:
        """Of those that the victim can cross."""
        return self.tally.rarest(tuple(point for point in points if point not in self.victim.source.never), self.r)

    def _struck(self, point: str, provoke: Callable[[], object] | None = None) -> bool:
        """Order a kill there, provoke it, and wait until somebody died of it."""
        self.stage.faults.forget(point)
        self.stage.faults.order(point, after=self.r.choice((0, 0, 1, 3)))
        if provoke is not None:
            provoke()
        until = time.monotonic() + TAKEN_DEADLINE_S
        while (pid := self.stage.faults.taken(point)) is None:
            over_s = time.monotonic() - until
            # Not there and not taken: who held it was killed by somebody else.
            if over_s > 0 and (self.stage.faults.withdraw(point) or over_s > HELD_MAX_S):
                return False
            time.sleep(0.005)
        self.tally.hit(self.stage.faults.trace(pid).last)
        self.tally.add("kills")
        return True

    def kill_at_point(self) -> None:
        point = self._rarest((*STEADY, "handoff.gated", "pause.drained"))
        self.at_work()
        pause = (lambda: self.victim.command("pause")) if point == "pause.drained" else None
        self._struck(point, pause)

    def kill_twice(self) -> None:
        """The second worker dies before it has recovered."""
        worker = self.at_work()
        point = self.tally.rarest(STARTING, self.r)

        def kill() -> None:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
            self.tally.hit(self.victim.trace(worker).last)
            self.tally.add("kills")

        self._struck(point, kill)
        self.epoch = worker.epoch

    def zombie(self) -> None:
        """Stopped until its lease is over and another worker has the run; then it wakes up."""
        with self.stage.server_lock:  # a server that dies meanwhile would begin to wait anew
            worker = self.at_work()
            try:
                os.kill(worker.pid, signal.SIGSTOP)
            except ProcessLookupError:
                return
            try:
                self.victim.at_work(newer_than=worker.epoch)
            finally:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGCONT)
        self.gone(worker.pid)
        self.epoch = worker.epoch
        self.tally.add("zombies")

    # --- the server ---

    def kill_server(self) -> None:
        with self.stage.server_lock:
            self.stage.troubles += 1
            self.stage.site.kill()
            self.tally.add("kills")
            self.tally.add("server_kills")
            if self.r.random() < 0.3:
                worker = self.victim.worker()
                if worker is not None:
                    with suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGKILL)
                    self.tally.hit(self.victim.trace(worker).last)
                    self.tally.add("kills")
            self.stage.restart_server()

    def kill_server_at_point(self) -> None:
        point = self.tally.rarest((*SERVING, *MOVING, *LAUNCHING), self.r)
        worker = self.at_work()
        with self.stage.server_lock:

            def provoke() -> None:
                if point in MOVING:
                    threading.Thread(
                        target=lambda: self._try("pause" if self.r.random() < 0.5 else "force-pause"), daemon=True
                    ).start()
                elif point in LAUNCHING:
                    with suppress(ProcessLookupError):
                        os.kill(worker.pid, signal.SIGKILL)
                    self.tally.hit(self.victim.trace(worker).last)
                    self.tally.add("kills")

            if self._struck(point, provoke):
                self.tally.add("server_kills")
                process = self.stage.site.process
                if process is not None:
                    process.wait(10)
            self.stage.restart_server()

    def _try(self, command: str) -> None:
        """A command whose server dies of it."""
        with suppress(Exception):
            self.stage.site.ask("POST", f"/tasks/{self.victim.name}/commands/{command}")

    # --- operations ---

    def pause(self, command: str) -> None:
        worker = self.at_work()
        wanted = self.victim.crossings(worker) + self.r.randint(1, 80)
        until = time.monotonic() + 1
        while self.victim.crossings(worker) < wanted and time.monotonic() < until:
            time.sleep(0.005)
        if not self.victim.command(command):
            return
        status = self.victim.becomes("Paused", "Running", deadline_s=90)
        if status == "Paused":
            self.tally.add("pauses" if command == "pause" else "forced_pauses")
            self.epoch = worker.epoch

    def copy_again(self) -> None:
        """Stop it and run it again, with deaths at points of the copy, each struck by another worker."""
        cleaning = self.tally.rarest(CLEANING, self.r)
        with self.stage.server_lock:
            if self.tally.points[cleaning] <= self.tally.points[self.tally.rarest(COPYING, self.r)]:
                stop = threading.Thread(target=lambda: self._try("stop"), daemon=True)
                if self._struck(cleaning, stop.start):
                    self.tally.add("server_kills")
                    process = self.stage.site.process
                    if process is not None:
                        process.wait(10)
                self.stage.restart_server()
        self.victim.stop()
        self.victim.clear()
        self.epoch = 0
        points = {self._rarest(COPYING), self._rarest(HANDING)}
        held = {"handoff.stalled": "chunk.read", "handoff.patched": "chunk.locked"}
        holds = [held[point] for point in points if point in held]
        for point in (*points, *holds):
            self.stage.faults.forget(point)
        for hold in holds:
            self.stage.faults.order(hold, Action.HOLD, after=1)
        for point in points - set(holds):
            self.stage.faults.order(point, after=self.r.choice((0, 1)))
        self.victim.command("run")
        self._harvest(points - set(holds))
        for hold in holds:
            self.stage.faults.release(hold)
        self.tally.add("copies")

    def _harvest(self, points: set[str]) -> None:
        until = time.monotonic() + TAKEN_DEADLINE_S
        while points and not self.ending.is_set():
            for point in list(points):
                pid = self.stage.faults.taken(point)
                over_s = time.monotonic() - until
                if pid is not None:
                    self.tally.hit(self.stage.faults.trace(pid).last)
                    self.tally.add("kills")
                elif not (over_s > 0 and (self.stage.faults.withdraw(point) or over_s > HELD_MAX_S)):
                    continue
                points.discard(point)
            time.sleep(0.01)

    # --- wires and databases ---

    def wire_cut(self) -> None:
        worker = self.at_work()
        end = self.r.choice(self.stage.ends)
        wire = end.wire
        before = wire.counts.cuts
        if end.role == "dst" and self.r.random() < 0.4:
            rule = wire.when(wire.up, end.commit, Then.RESET_UNANSWERED)
            until = time.monotonic() + 2
            while rule.times and time.monotonic() < until:
                time.sleep(0.005)
            rule.times = 0
        else:
            self.stage.troubles += 1
            wire.reset()
        self.tally.add("wire_cuts", wire.counts.cuts - before)
        writes = self.victim.crossings(worker)
        until = time.monotonic() + 1
        while self.victim.crossings(worker) == writes and time.monotonic() < until:
            time.sleep(0.005)

    def server_crash(self) -> None:
        self.at_work()
        which = self.r.choice(self.stage.ends)
        if not self.stage.database_lock.acquire(timeout=0.1):
            return
        try:
            self.stage.crash(which)
        except EnvironmentLacking as error:
            raise Stuck(f"the database server does not start again: {error}") from error
        finally:
            self.stage.database_lock.release()
        self.tally.add("server_crashes")
