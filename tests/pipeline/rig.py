"""A pipeline on a thread, with the part of the server that answers it: for tests that need no processes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tidegate.connect.source import Source
from tidegate.connect.target import Target
from tidegate.engine.gauges import Gauges
from tidegate.engine.pipeline import Pipeline
from tidegate.engine.plan import TablePlan
from tidegate.engine.running import Phase
from tidegate.engine.snapshot import Desk, Snapshot
from tidegate.model.task import TaskSpec, parse_task

DEADLINE_S = 60.0
# Shorter than the time to a periodic snapshot, at which some things are looked at again.
FAILS_DEADLINE_S = 30.0


def eventually(holds: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for something to become true; fails with `what` when it does not in time."""
    until = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < until, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.01)


def spec(tables: list[str], *, write: str = "upsert", target_schema: str = "{schema}", **more: Any) -> TaskSpec:
    target = {"data_source": "dst", "write": write, "schema": target_schema} | more.pop("target", {})
    return parse_task(
        {
            "task": "t",
            "kind": "whole_database",
            "source": {"data_source": "src", "tables": tables} | more.pop("source", {}),
            "target": target,
        }
        | more
    )


class Rig:
    """Runs of one task; `start` begins or continues, `cut` ends without a word, `pause` with a snapshot."""

    def __init__(
        self, source: Callable[[], Source], target: Callable[[], Target], task: TaskSpec, run: str = "abcdef_t1r1"
    ) -> None:
        self.make_source, self.make_target, self.task, self.run = source, target, task, run
        self.epoch = 0
        self.snapshots: list[Snapshot] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.keeps_snapshots = True
        self.totals: Counter[str] = Counter()
        """What all workers that ended counted together."""
        self.read = task.source.read
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None

    # --- hooks ---

    def opened(self) -> None:
        self.is_open.set()

    def snapshot(self, snapshot: Snapshot) -> None:
        if self.keeps_snapshots:
            self.snapshots.append(snapshot)
            self.desk.stored(snapshot.position)

    def event(self, name: str, facts: dict[str, Any]) -> None:
        self.events.append((name, facts))

    # --- driving ---

    def start(self) -> Rig:
        self.epoch += 1
        self.is_open = threading.Event()
        self.desk, self.gauges = Desk(), Gauges()
        self.source, self.target = self.make_source(), self.make_target()
        plan = TablePlan(self.run, self.epoch, self.task, self.read, self.source.database)
        position = str(self.snapshots[-1].position) if self.snapshots else None
        start = self.task.source.start
        self.pipeline = Pipeline(
            plan, self.source, self.target, self, self.desk, self.gauges, start=start, snapshot_position=position
        )
        self.error = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    def _work(self) -> None:
        try:
            self.pipeline.run()
        except BaseException as error:  # noqa: BLE001  raised where the test waits
            self.error = error

    def opens(self) -> Rig:
        eventually(lambda: self.is_open.is_set() or self.error is not None, "the run opens")
        if self.error is not None:
            raise self.error
        return self

    def copied(self) -> Rig:
        eventually(lambda: self.pipeline.phase is Phase.INCREMENTAL or self.error is not None, "full copy done")
        if self.error is not None:
            raise self.error
        return self

    def counters(self) -> dict[str, Any]:
        return self.gauges.report()

    def reaches(self, matches: Callable[[], bool], what: str = "target equals source") -> None:
        def done() -> bool:
            if self.error is not None:
                raise self.error
            return matches()

        eventually(done, what)

    def pause(self) -> None:
        self.desk.pause()
        self._join()

    def cut(self) -> None:
        self.desk.abandon()
        self._join()

    def fails(self) -> BaseException:
        eventually(lambda: self.error is not None, "the run fails", FAILS_DEADLINE_S)
        self.close_ends()
        assert self.error is not None
        return self.error

    def _join(self) -> None:
        assert self._thread is not None
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the pipeline did not end"
        self.close_ends()
        self.totals.update({k: v for k, v in self.gauges.report().items() if not k.startswith("lag")})
        if self.error is not None:
            raise self.error

    def close_ends(self) -> None:
        """Let go of source and target, as a process that ends does."""
        self.source.close()
        self.target.close()

    def close(self) -> None:
        with suppress(BaseException):
            if self._thread is not None and self._thread.is_alive():
                self.cut()
        if self._thread is not None:
            self.close_ends()
        with suppress(BaseException):
            source = self.make_source()
            source.end(self.run)
            source.close()
