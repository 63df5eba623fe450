"""What happens in the demo, in order, and what came of it.

A shop is open and busy all the while. Two tasks follow it: one keeps a DuckDB file equal to the whole database, the
other writes down every change of the orders. They are paused, continued, cut off, continued, and their workers are
killed; at the end the shop closes, and every row and every change must be where it belongs, once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tidegate.demo import proof, shop
from tidegate.demo.stage import Stage
from tidegate.demo.view import Picture, Screen
from tidegate.errors import TidegateError
from tidegate.testing.servers import until

LAKE, HISTORY = "shop_to_lake", "orders_history"
STEP_DEADLINE_S = 120
CATCH_UP_DEADLINE_S = 300
POLL_S = 0.1
# Targets that hold what was committed this long ago keep up; what is shown of them is a little older than that.
KEEPING_UP_S = 1.0
SETTLING_MOST = 5
# The lag is measured for at least this long after the last step.
UNDISTURBED_S = 3.0

TASKS: tuple[dict[str, Any], ...] = (
    {
        "task": LAKE,
        "kind": "whole_database",
        "source": {"data_source": "shop", "tables": [r"shop\..*"]},
        "target": {"data_source": "lake", "write": "upsert"},
        "snapshots": {"every": "5s"},
    },
    {
        "task": HISTORY,
        "kind": "single_table",
        "source": {"data_source": "shop", "tables": ["shop.orders"]},
        "target": {"data_source": "warehouse", "schema": "history", "write": "append"},
        "snapshots": {"every": "5s"},
    },
)

# When each step begins, as a share of the workload's time.
SCHEDULE = (("pause", 0.2), ("continue", 0.3), ("force-pause", 0.45), ("continue", 0.55), ("kill", 0.7))


LABELS = {"run": "Run", "pause": "Pause", "continue": "Continue", "force-pause": "Forced Pause", "stop": "Stop"}


@dataclass(slots=True)
class Operation:
    """One step of the story, and how long it took until it was true."""

    operation: str
    task: str
    at_s: float
    took_s: float
    status: str


@dataclass(slots=True)
class Report:
    """What came of it; `lost` and `duplicated` count rows and changes."""

    verified: bool = False
    rows_full: int = 0
    changes: int = 0
    lost: int = 0
    duplicated: int = 0
    different: int = 0
    operations: list[Operation] = field(default_factory=list)
    lag_ms_p50: float | None = None
    lag_ms_p99: float | None = None
    rows_compared: int = 0
    seconds: float = 0.0
    seed: int = 0
    problems: list[str] = field(default_factory=list)


class Story:
    """`tell` runs it from beginning to end."""

    def __init__(self, stage: Stage, screen: Screen, seconds: float, seed: int | None = None) -> None:
        self._stage = stage
        self._screen = screen
        self._seconds = seconds
        self.report = Report(seed=seed if seed is not None else random.SystemRandom().randrange(10**6))
        self._picture = Picture()
        self._begun = time.monotonic()
        self._opened: float | None = None
        self._tasks: dict[str, Mapping[str, Any]] = {}
        self._disturbed: list[tuple[float, float]] = []
        self._copied_by = 0
        self._origin = stage.origin
        self._source = stage.origin.connect()

    def tell(self) -> None:
        """`report` has what came of it, also when it raises `TidegateError` or `TimeoutError` because a step did not
        come to its end."""
        try:
            with self._source:
                self._configure()
                self._operate()
                self._close()
                self._verify()
        finally:
            self.report.seconds = round(time.monotonic() - self._begun, 1)

    # --- the chapters ---------------------------------------------------------------------------------------------

    def _configure(self) -> None:
        server = self._stage.postgres
        self._chapter("Configuring")
        for name, kind, config in (
            ("shop", self._origin.kind, self._origin.config()),
            ("warehouse", "postgres", server.config(shop.WAREHOUSE)),
            ("lake", "duckdb", {"path": str(self._stage.lake)}),
        ):
            self._stage.door.post("data-sources", body={"name": name, "kind": kind, "config": config})
        for task in TASKS:
            self._stage.door.post("tasks", body=task)
            self._stage.door.post("tasks", task["task"], "submit")
        self._say("Three data sources saved, two tasks submitted")
        if (console := self._stage.console) is not None:
            self._say("While it lasts, see it in a browser: {} (admin token {})".format(*console))
        else:
            self._say("The web console is not built here; `make console` does, and the next demo can be watched in it")

    def _operate(self) -> None:
        self._chapter("Shop open")
        self._stage.open_shop(self.report.seed)
        self._opened = time.monotonic()
        self._say(f"The shop opens for {self._seconds:g} s: people order, change and cancel (seed {self.report.seed})")
        disturbed = time.time()
        self._command("run", "Running")
        self._wait(lambda: all(task["phase"] == "incremental" for task in self._tasks.values()), "the copy to be over")
        self.report.rows_full = sum(int(task["counters"]["rows_full"]) for task in self._tasks.values())
        self._copied_by = self._ledger_end()
        self._say(
            f"{self.report.rows_full:,} rows copied while the shop was busy; both tasks follow the log now", good=True
        )
        self._settle(disturbed)
        for step, share in SCHEDULE:
            self._wait_for_time(share)
            if step in ("pause", "force-pause"):
                disturbed = time.time()
                self._command(step, "Paused")
            elif step == "continue":
                self._command(step, "Running")
                self._settle(disturbed)
            else:
                disturbed = time.time()
                self._kill_workers()
                self._settle(disturbed)
        calm = time.monotonic() + UNDISTURBED_S
        self._wait_for_time(1.0)
        self._wait(lambda: time.monotonic() >= calm, "some time undisturbed")

    def _close(self) -> None:
        self._chapter("Catching up")
        done = self._stage.close_shop()
        self.report.changes = done["changes"]
        self._say(
            f"The shop closes: {done['transactions']:,} transactions with {done['changes']:,} changed rows were "
            f"committed, {done['rolled_back']:,} rolled back"
        )
        self._reach("both targets to reach the end of the log")
        self._say("Both targets have reached the end of the source's log")
        self._command("stop", "Stopped")

    def _verify(self) -> None:
        self._chapter("Proving")
        report = self.report
        rows = proof.same_rows(self._source, self._origin.alike, self._stage.lake, shop.SCHEMA)
        self._say(
            f"DuckDB: {rows.rows:,} rows of {len(shop.TABLES)} tables compared with the source: {_verdict(rows)}",
            good=rows.right,
        )
        with self._stage.warehouse() as warehouse:
            changes = proof.same_changes(self._source, self._origin.alike, warehouse, "history.orders", self._copied_by)
            if self._origin.tells_commit_times:
                report.lag_ms_p50, report.lag_ms_p99 = proof.lags_ms(warehouse, "history.orders", self._disturbed)
        self._say(
            f"Warehouse: every change of the orders accounted for, and the rows they fold to: {_verdict(changes)}",
            good=changes.right,
        )
        clean, follower = self._nobody_follows(), self._origin.follower
        self._say(f"The source has no {follower} left" if clean else f"A {follower} is left", good=clean)
        both = proof.Finding()
        both += rows
        both += changes
        report.rows_compared, report.lost = both.rows, both.lost
        report.duplicated, report.different, report.problems = both.duplicated, both.different, both.where
        if not clean:
            report.problems.append(f"a {follower} was left at the source")
        report.verified = both.right and clean and report.rows_full > 0 and both.rows > 0

    def _nobody_follows(self) -> bool:
        """What is left of a task at the source goes after it is Stopped."""
        try:
            until(lambda: not self._origin.followers(self._source), "those who followed to go", STEP_DEADLINE_S)
        except TimeoutError:
            return False
        return True

    # --- steps ----------------------------------------------------------------------------------------------------

    def _command(self, command: str, status: str) -> None:
        """Give the command to both tasks and wait until each shows the status."""
        given: dict[str, float] = {}
        for task in (LAKE, HISTORY):
            given[task] = time.monotonic()
            self._stage.door.post("tasks", task, "commands", command)
        for task in (LAKE, HISTORY):
            self._wait(partial(self._shows, task, status), f"{task} to be {status}")
            self._done(command, task, given[task])

    def _kill_workers(self) -> None:
        """End both workers' processes without warning, and wait until others have taken over."""
        killed: dict[str, tuple[float, int]] = {}
        for task in (LAKE, HISTORY):
            run = self._stage.door.get("tasks", task)["run"]
            pid = self._stage.kill_worker(run["key"], run["epoch"])
            killed[task] = (time.monotonic(), run["epoch"])
            self._say(f"Kill: the worker of {task}, process {pid}, is gone without a word")
        for task, (at, epoch) in killed.items():
            self._wait(partial(self._taken_over, task, epoch), f"another worker to take {task} over")
            self._done("kill", task, at)

    def _taken_over(self, task: str, epoch: int) -> bool:
        seen = self._tasks[task]
        return bool(
            seen["status"] == "Running"
            and seen["epoch"] > epoch
            and seen["health"] == "steady"
            and seen["phase"] == "incremental"
        )

    def _shows(self, task: str, status: str) -> bool:
        return bool(self._tasks[task]["status"] == status)

    def _done(self, operation: str, task: str, since: float) -> None:
        took_s = round(time.monotonic() - since, 2)
        status = str(self._tasks[task]["status"])
        self.report.operations.append(Operation(operation, task, round(since - self._begun, 2), took_s, status))
        if operation == "kill":
            self._say(f"Recovery: another worker has taken {task} over after {took_s:.2f} s")
        else:
            self._say(f"{LABELS[operation]}: {task} is {status} after {took_s:.2f} s")

    def _settle(self, since: float) -> None:
        """Wait until the targets keep up again: what was committed until then waited for the step, and is no measure of
        the lag."""
        for _ in range(SETTLING_MOST):
            begun = time.monotonic()
            self._reach("the targets to catch up")
            if time.monotonic() - begun < KEEPING_UP_S:
                break
        self._disturbed.append((since, time.time()))

    def _reach(self, what: str) -> None:
        """Wait until both targets hold all that the source's log holds now."""
        end, reached = self._origin.log_end(self._source), self._origin.reached
        self._wait(
            lambda: all(task["position"] and reached(task["position"], end) for task in self._tasks.values()),
            what,
            CATCH_UP_DEADLINE_S,
        )

    def _wait_for_time(self, share: float) -> None:
        """Until that share of the workload's time is over."""
        opened = self._opened if self._opened is not None else time.monotonic()
        self._wait(lambda: time.monotonic() >= opened + share * self._seconds, "the time of the next step")

    # --- looking --------------------------------------------------------------------------------------------------

    def _wait(self, so: Callable[[], bool], what: str, deadline_s: float = STEP_DEADLINE_S) -> None:
        """Keep looking until it is so. Raises `TidegateError` when a task fails meanwhile, and `TimeoutError`."""
        end = time.monotonic() + max(deadline_s, self._seconds)
        self._look()
        while not so():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {deadline_s:g} s for {what}")
            time.sleep(POLL_S)
            self._look()

    def _look(self) -> None:
        found = self._stage.door.get("ops")["items"]
        self._tasks = {task["name"]: task for task in found}
        self._picture.tasks = [self._tasks[name] for name in (LAKE, HISTORY) if name in self._tasks]
        for task in found:
            if task["status"] in ("Failure", "Detection Exception"):
                error = task.get("error") or {}
                raise TidegateError(
                    f"task {task['name']} is in {task['status']}: {error.get('detail', 'no reason given')}"
                )
        self._picture.committed = self._committed()
        if self._opened is not None:
            self._picture.progress = (time.monotonic() - self._opened) / self._seconds
        self._screen.show(self._picture)

    def _chapter(self, name: str) -> None:
        self._picture.stage = name
        self._screen.show(self._picture)

    def _say(self, text: str, *, good: bool | None = None) -> None:
        self._screen.say(text, good=good)

    def _committed(self) -> int:
        return self._number("select coalesce(sum(c.rows), 0) from ledger.changes c")

    def _ledger_end(self) -> int:
        return self._number("select coalesce(max(number), 0) from ledger.orders")

    def _number(self, query: str) -> int:
        return int(self._text(query))

    def _text(self, query: str) -> str:
        row = self._source.execute(query.encode()).fetchone()
        if row is None:
            raise TidegateError(f"the source answers nothing to: {query}")
        return str(row[0])


def _verdict(found: proof.Finding) -> str:
    if found.right:
        return "equal"
    return f"{found.lost} lost, {found.duplicated} too many, {found.different} different"
