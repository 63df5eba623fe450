"""One run's process: registers, works, reports, obeys, and recovers from what passes by itself.

It goes on syncing while the server is away; what it must never do is write after a newer worker took the run over,
and the target sees to that (I5): being fenced off, it ends.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from tidegate import logs
from tidegate.connect.capability import ReadMode
from tidegate.connect.config import Config, secret_fields
from tidegate.connect.registry import source_class, target_class
from tidegate.connect.source import Source
from tidegate.connect.target import Target
from tidegate.decode.choice import which
from tidegate.engine.gauges import Gauges
from tidegate.engine.pipeline import Pipeline
from tidegate.engine.plan import TablePlan
from tidegate.engine.preflight import open_source, open_target
from tidegate.engine.running import Phase
from tidegate.engine.snapshot import Desk, Snapshot, SnapshotKind
from tidegate.errors import Fenced, Retry, ServerUnreachable, TargetEpochAhead, TidegateError
from tidegate.faultpoint import crossing
from tidegate.model.folders import demand_within
from tidegate.model.measured import TableState
from tidegate.model.problem import problem
from tidegate.model.process import started
from tidegate.model.start import StartSpec, start_of
from tidegate.model.task import parse_task
from tidegate.worker.inquiry import inquiry
from tidegate.worker.link import Link
from tidegate.worker.outbox import Outbox
from tidegate.worker.shipping import Shipper

log = structlog.get_logger()

REGISTER_DEADLINE_S = 30.0
GOODBYE_DEADLINE_S = 60.0
FENCED_EXIT_S = 5.0
LAST_LINES_S = 3.0
"""How long the last lines of the log may take to be told."""
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.25, 15.0
# How long a run that is being started or continued tries again before it says what is wrong.
OPENING_PATIENCE_S = 20.0
# A worker that has had neither its server nor a working run for so long serves nobody: a server starts another.
ORPHAN_S = 600.0
FENCED_CODE = 4
ORPHAN_CODE = 5


class Agent:
    """`run` returns the process's exit code."""

    def __init__(self, link: Link, shipper: Shipper) -> None:
        self._link = link
        self._shipper = shipper
        self._desk = Desk()
        self._gauges = Gauges()
        self._pipeline: Pipeline | None = None
        self._outbox = Outbox(link, self._fence)
        self._ended = threading.Event()
        self._opened = False
        self._recovering: TidegateError | None = None
        self._snapshot_position: str | None = None
        self._draining = False
        self._cpu_before_s = 0.0
        """Of the run's earlier workers."""
        self._pause: float | None = None
        """Which pause was asked for last."""
        self._heard_at = self._worked_at = time.monotonic()
        """When the server last answered, and when the run was last seen at work."""

    # --- asked by signals and the server ---

    def drain(self) -> None:
        """Finish what was taken, store a snapshot, end."""
        self._draining = True
        self._desk.drain()

    def _fence(self) -> None:
        log.warning("worker.fenced")
        self._desk.abandon()
        self._ended.wait(FENCED_EXIT_S)
        self._shipper.close(LAST_LINES_S)
        os._exit(FENCED_CODE)  # whatever still hangs must not go on

    # --- hooks of the pipeline ---

    def opened(self) -> None:
        position = str(self._pipeline.position) if self._pipeline else None
        log.info("run.opened", position=position, again=self._opened)
        if self._recovering is not None:
            self._outbox.event("recovered")
        self._recovering = None
        if not self._opened:
            self._opened = True
            self._outbox.event("opened", position=str(position))

    def snapshot(self, snapshot: Snapshot) -> None:
        log.debug("snapshot.taken", kind=str(snapshot.kind), position=str(snapshot.position))
        self._outbox.snapshot(snapshot, self._desk)
        self._snapshot_position = str(snapshot.position)  # I2: the target holds it, so it must never stand behind it

    def event(self, name: str, facts: dict[str, Any]) -> None:
        log.info(name, **facts)
        if name == "table_gone":
            reason = "the source no longer logs it: dropped, renamed, or taken out of the publication"
            self._gauges.tables.wrong(facts["table"], reason, TableState.GONE)
        if name == "pause_failed":
            facts = facts | {"pause": self._pause}
        self._outbox.event(name, **facts)

    # --- the run ---

    def run(self) -> int:
        try:
            given = self._register()
            crossing("run.registered")
        except TidegateError as error:
            log.error("worker.not_registered", code=error.code, detail=error.detail)
            self._shipper.close(LAST_LINES_S)
            return 1
        heartbeat = threading.Thread(target=self._beat, args=(given["heartbeat_s"],), name="heartbeat", daemon=True)
        heartbeat.start()
        try:
            code = self._work(given)
        finally:
            self._ended.set()
        heartbeat.join(timeout=5)
        log.info("run.left", code=code)
        self._shipper.close(LAST_LINES_S)
        self._link.close()
        return code

    def _register(self) -> dict[str, Any]:
        me = {"pid": os.getpid(), "started": started(os.getpid())}
        until = time.monotonic() + REGISTER_DEADLINE_S
        while True:
            try:
                return self._link.post("register", me)
            except ServerUnreachable:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _work(self, given: dict[str, Any]) -> int:
        try:
            _conceal(source_class(given["source"]["kind"]).Config, given["source"]["config"])
            _conceal(target_class(given["target"]["kind"]).Config, given["target"]["config"])
            _demand_files(given)
            source = open_source((given["source"]["kind"], given["source"]["config"]))
            target = open_target((given["target"]["kind"], given["target"]["config"]))
            spec = parse_task(given["task"]["definition"])
            decoder = which()
        except TidegateError as error:
            return self._give_up(error)
        start = given["start"] or {}
        read = ReadMode(start.get("read") or spec.source.read)
        plan = TablePlan(given["run"]["key"], given["run"]["epoch"], spec, read, source.database)
        if given["snapshot"]:
            self._snapshot_position = given["snapshot"]["position"]
            self._gauges.go_on_from(given["snapshot"]["state"].get("counters", {}))
        counted = given.get("counted", {})
        self._gauges.go_on_from(counted)
        self._gauges.tables.go_on_from(given.get("tables", {}))
        self._cpu_before_s = float(counted.get("cpu_s", 0.0))
        log.info("run.begins", run=plan.run, epoch=plan.epoch, task=spec.task, version=given["task"]["version"])
        log.info("run.decodes", how=str(decoder))
        patient = given.get("state") == "running"
        begins = start_of(start.get("position"), start.get("time"))
        return self._attempts(plan, source, target, begins, patient)

    def _attempts(self, plan: TablePlan, source: Source, target: Target, start: StartSpec | None, patient: bool) -> int:
        backoff_s = BACKOFF_FIRST_S
        opens_until = math.inf if patient else time.monotonic() + OPENING_PATIENCE_S
        while True:
            attempt = time.monotonic()
            pipeline = self._pipeline = Pipeline(
                plan,
                source,
                target,
                self,
                self._desk,
                self._gauges,
                start=start,
                snapshot_position=self._snapshot_position,
            )
            try:
                ending = self._attempt(pipeline, opens_until)
            finally:
                source.close()
                target.close()
            if ending is not None:
                return ending()  # only now: who reads that it is Paused may want the file it held
            if time.monotonic() - attempt > BACKOFF_MAX_S:
                backoff_s = BACKOFF_FIRST_S
            if self._rest(backoff_s * random.uniform(0.7, 1.3)):  # noqa: S311  spreads retries, keeps no secret
                return self._finished()
            backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)

    def _attempt(self, pipeline: Pipeline, opens_until: float) -> Callable[[], int] | None:
        """Run it to its end; what is to be said of that once both ends are closed, None if it is to be tried again."""
        try:
            pipeline.run()
        except Fenced as error:
            return partial(self._fenced_off, error)
        except TidegateError as error:
            if error.retry is Retry.NEVER:
                return partial(self._give_up, error)
            if self._orphaned():
                log.error("worker.orphaned", code=error.code, detail=error.detail)
                return lambda: ORPHAN_CODE
            if not self._opened and time.monotonic() > opens_until:
                return partial(self._give_up, error)
            self._recover(error)
            return None
        except Exception as error:
            log.exception("worker.crashed")
            failure = TidegateError(f"{type(error).__name__} in the worker; its log has the details")
            failure.__cause__ = error
            return partial(self._give_up, failure)
        return self._finished

    def _fenced_off(self, error: Fenced) -> int:
        """The target belongs to a newer epoch. A server that knows of none has an older store than the target: what
        happened since is for a person to say."""
        try:
            self._link.post("heartbeat", self._state())
        except TidegateError:
            return FENCED_CODE
        return self._give_up(TargetEpochAhead(error.detail, epoch=error.facts.get("epoch")))

    def _orphaned(self) -> bool:
        return time.monotonic() - max(self._heard_at, self._worked_at) > ORPHAN_S

    def _recover(self, error: TidegateError) -> None:
        log.warning("run.recovering", code=error.code, detail=error.detail)
        if self._recovering is None and self._opened:
            self._outbox.event("restarted", error)
        self._recovering = error

    def _rest(self, pause_s: float) -> bool:
        """Wait before the next attempt; whether the run was asked to end meanwhile."""
        until = time.monotonic() + pause_s
        while time.monotonic() < until:
            if self._desk.abandoned or self._draining:
                return True
            if self._desk.ending is SnapshotKind.PAUSE:
                # No snapshot can be written while an end is away: the pause fails, Forced Pause is the way.
                self._desk.stay()
                reason = self._recovering.detail if self._recovering else "the run is recovering"
                self._outbox.event("pause_failed", self._recovering, reason=reason, pause=self._pause)
            time.sleep(0.02)
        return False

    def _finished(self) -> int:
        if self._desk.abandoned:
            return FENCED_CODE
        self._last_word()
        if self._desk.ending is SnapshotKind.PAUSE:
            crossing("pause.drained")
            self._outbox.event("drained")
        return 0 if self._outbox.close(GOODBYE_DEADLINE_S) else 1

    def _give_up(self, error: TidegateError) -> int:
        log.error("run.gave_up", code=error.code, detail=error.detail)
        self._outbox.event("gave_up", error)
        return 0 if self._outbox.close(GOODBYE_DEADLINE_S) else 1

    # --- heartbeats ---

    def _beat(self, every_s: float) -> None:
        while not self._ended.wait(every_s):
            if self._recovering is None:
                self._worked_at = time.monotonic()
            try:
                crossing("lease.renewing")
                orders = self._report()
                crossing("lease.renewed")
                self._heard_at = time.monotonic()
            except ServerUnreachable:
                continue  # the run goes on; it is adopted again when the server is back
            except Fenced:
                self._fence()
                return
            except TidegateError as error:
                log.warning("heartbeat.refused", code=error.code, detail=error.detail)
                continue
            intent = orders.get("intent")
            if intent == "pause" and self._pause != orders.get("pause"):
                self._pause = orders.get("pause")
                self._desk.pause()
            elif intent == "drain":
                self.drain()
            if orders.get("snapshot") is not None:
                self._desk.ask_snapshot(str(orders["snapshot"]))
            if orders.get("tables"):
                self._gauges.tables.tell_all()
            if orders.get("verify") is not None:
                self._desk.inquire(inquiry(orders["verify"], self._link, self._outbox))

    def _last_word(self) -> None:
        """What was counted since the last heartbeat."""
        try:
            self._report()
        except TidegateError as error:
            log.info("heartbeat.last_refused", code=error.code, detail=error.detail)

    def _report(self) -> dict[str, Any]:
        tables = self._gauges.tables.tell()
        try:
            return self._link.post("heartbeat", self._state() | {"tables": tables})
        except TidegateError:
            self._gauges.tables.untold(tables)
            raise

    def _state(self) -> dict[str, Any]:
        pipeline = self._pipeline
        used = os.times()
        at_work = self._recovering is None and pipeline is not None and pipeline.position is not None
        counters = (
            self._gauges.report()
            | self._gauges.since_last()
            | {
                "memory_bytes": resident_bytes(),
                "cpu_s": round(self._cpu_before_s + used.user + used.system, 3),
                "queue_share": round(pipeline.queue_share, 3) if pipeline else 0.0,
                "still_s": round(pipeline.still_s, 1) if pipeline and at_work else 0.0,
            }
        )
        return {
            "phase": str(pipeline.phase if pipeline else Phase.PREPARING),
            "health": "recovering" if self._recovering is not None else "steady",
            "position": str(pipeline.position) if pipeline and pipeline.position else None,
            "read_to": str(pipeline.reached) if pipeline and pipeline.reached else None,
            "counters": counters,
            "lag_s": round(self._gauges.lag_s(), 3) if at_work else None,  # nobody knows how far it is behind else
            "lag_bytes": pipeline.behind_bytes if pipeline and at_work else None,
            "error": problem(self._recovering) if self._recovering is not None else None,
        }


def _conceal(model: type[Config], config: dict[str, Any]) -> None:
    """What the data source keeps secret is never logged, whatever an error's detail may quote (I8)."""
    logs.conceal(str(config[name]) for name in secret_fields(model) if config.get(name))


def _demand_files(given: dict[str, Any]) -> None:
    """Links are followed here and now, where the files will be opened. Raises `FileNotAllowed`."""
    allowed = given.get("files")
    if allowed is None:
        return
    for end, found in (("source", source_class), ("target", target_class)):
        kind, config = given[end]["kind"], given[end]["config"]
        for field in found(kind).Config.files:
            demand_within(config[field], allowed["folders"], allowed["data_dir"], of=f"{kind} {end}")


def resident_bytes() -> int:
    """Memory this process has in use."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
