"""Workers without data: threads that keep the worker protocol over real HTTP, and an engine that starts them. How they
behave can be changed while they run."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tidegate.errors import TidegateError
from tidegate.model.measured import TableMeasure
from tidegate.model.problem import problem
from tidegate.server.local_engine import Launch, Worker

_pids = itertools.count(5_000_000)  # more than any real process's


@dataclass
class Manners:
    opens: bool = True
    drains: bool = True
    refuses_to_pause: bool = False
    fails_with: TidegateError | None = None
    dies: bool = True
    """Whether it ends when it is killed."""
    speaks: bool = True
    moves: bool = True
    says: dict[str, Any] = field(default_factory=dict)
    """What its heartbeats say otherwise than usual."""


@dataclass
class Puppet:
    url: str
    launch: Launch
    manners: Manners
    worker: Worker
    ended: threading.Event = field(default_factory=threading.Event)
    killed: bool = False
    given: dict[str, Any] = field(default_factory=dict)

    def live(self) -> None:
        headers = {"Authorization": f"Bearer {self.launch.token}"}
        try:
            with httpx.Client(base_url=f"{self.url}/worker/v1/", headers=headers, trust_env=False) as self._line:
                self._work()
        except httpx.HTTPError:
            pass  # the test is over
        finally:
            while self.killed and not self.manners.dies:
                time.sleep(0.01)
            self.ended.set()

    def say(self, path: str, **body: Any) -> httpx.Response:
        return self._line.post(path, json=body)

    def _work(self) -> None:
        answer = self.say("register", pid=self.worker.pid, started=self.worker.started)
        if answer.status_code != 200:
            return
        self.given = answer.json()
        opened, beats = False, 0
        while not (self.killed and self.manners.dies):
            if not self.manners.speaks:
                time.sleep(0.01)
                continue
            beats += self.manners.moves
            if self.manners.fails_with is not None:
                self.say("event", name="gave_up", error=problem(self.manners.fails_with))
                return
            if self.manners.opens and not opened:
                self.say("event", name="opened")
                opened = True
            usual = {
                "phase": "incremental",
                "health": "steady",
                "position": f"0/{beats}",
                "counters": {
                    "rows_full": 10,
                    "changes_written": beats,
                    "rows_read": 10 + beats,
                    "rows_written": 10 + beats,
                },
                "tables": {"public.orders": TableMeasure("following", rows_read=10 + beats, rows_copied=10).tell()},
                "lag_s": 0.1,
                "lag_bytes": beats,
            }
            orders = self.say("heartbeat", **usual | self.manners.says)
            if orders.status_code == 409:
                return
            if orders.json()["snapshot"] is not None:
                self._save("manual", beats, orders.json()["snapshot"])
            if orders.json()["intent"] == "pause" and self.manners.refuses_to_pause:
                self.say("event", name="pause_failed", facts={"reason": "the target is away"})
            if orders.json()["intent"] == "pause" and self.manners.drains:
                self._save("pause", beats)
                self.say("event", name="drained")
                return
            time.sleep(self.given["heartbeat_s"])

    def _save(self, kind: str, beats: int, request: str | None = None) -> None:
        self.say("snapshot", kind=kind, position=f"0/{beats}", state={"tables": {}}, request=request)


class PuppetEngine:
    """Keeps the promises of an engine with threads in place of processes."""

    def __init__(self) -> None:
        self.url = ""
        self.manners = Manners()
        self.puppets: list[Puppet] = []

    def start(self, launch: Launch) -> Worker:
        worker = Worker(next(_pids), "then")
        puppet = Puppet(self.url, launch, self.manners, worker)
        self.puppets.append(puppet)
        threading.Thread(target=puppet.live, daemon=True).start()
        return worker

    def alive(self, worker: Worker) -> bool:
        return any(puppet.worker == worker and not puppet.ended.is_set() for puppet in self.puppets)

    def watch(self, worker: Worker) -> None:
        """Its end is seen at the next sweep."""

    def kill(self, worker: Worker) -> None:
        for puppet in self.puppets:
            if puppet.worker == worker:
                puppet.killed = True

    def exit_code(self, worker: Worker) -> int | None:
        return None
