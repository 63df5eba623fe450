"""Messages and the store they are in: a receiver that hangs keeps no other waiting, and what was sent is not sent again
because the store could not take that it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lifecycle.world import World
from tidegate.errors import AlertUndelivered, StoreUnavailable
from tidegate.model.alert import parse_rule
from tidegate.store import alerts
from tidegate.testing.servers import until
from tidegate.watch.alerts import Alerts
from tidegate.watch.notify import WEBHOOK, Deliveries, sealed_for
from tidegate.watch.outbound import Outbound

DEADLINE_S = 30.0


class Line(Outbound):
    """Connects to nobody; whoever is named `hangs` answers nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.free = threading.Event()

    def post(self, url: str, body: bytes, headers: Any) -> None:
        if "hangs" in url:
            self.free.wait(DEADLINE_S)
            raise AlertUndelivered("no answer")
        self.sent.append(url)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.free.set()


def channel(world: World, name: str) -> Any:
    sealed = world.store.vault.seal({"url": f"https://{name}.example/", "key": "k" * 16}, sealed_for(1, name))
    with world.store.database.write() as tx:
        given = {"project_id": 1, "name": name, "kind": WEBHOOK, "description": "", "enabled": True, "shown": ""}
        alerts.add_channel(tx, now=0.0, **given, secrets=sealed)
        return alerts.get_channel(tx, 1, name)


def message(world: World, to: Any) -> None:
    with world.store.database.write() as tx:
        about = alerts.add_alert(
            tx,
            rule_id=1,
            rule_name="other",
            project_id=1,
            task_id=1,
            task_name="shop",
            severity="normal",
            metric="task_paused",
            key="task_paused",
            condition="task_paused",
            fired_at=world.clock.now(),
            held="",
            resolved_told=True,
        )
        alerts.add_message(tx, about, to, alerts.FIRED, now=world.clock.now())


def deliveries(world: World, line: Line) -> Deliveries:
    return Deliveries(world.store.database, world.store.vault, world.clock, line, lambda: True)


def test_receivers_that_hang_keep_no_other_waiting(any_world: World, line: Line) -> None:
    for name in ("hangs_a", "hangs_b", "hangs_c"):
        hanging = channel(any_world, name)
        for _ in range(20):
            message(any_world, hanging)
    well = channel(any_world, "well")
    for _ in range(30):
        message(any_world, well)
    sending = deliveries(any_world, line)
    sending.start()
    try:
        until(lambda: len(line.sent) == 30, "all of the one that answers", DEADLINE_S / 2)
    finally:
        line.free.set()
        sending.stop()
        until(lambda: not any(thread.is_alive() for thread in sending._threads), "its threads to end", DEADLINE_S)


def test_of_a_receiver_that_does_not_answer_one_message_is_tried_and_the_rest_keeps_its_tries(
    world: World, line: Line
) -> None:
    hanging = channel(world, "hangs")
    for _ in range(3):
        message(world, hanging)
    line.free.set()
    deliveries(world, line).step()
    with world.store.database.read() as tx:
        tries = [row.tries for row in alerts.due_messages(tx, now=world.clock.now() + 60, limit=10)]
    assert sorted(tries) == [0, 0, 1]


def test_what_was_sent_is_not_sent_again_because_the_store_was_full(world: World, line: Line, monkeypatch: Any) -> None:
    message(world, channel(world, "well"))
    sending = deliveries(world, line)
    change, full = alerts.change_message, [True]

    def refused(*given: Any, **values: Any) -> None:
        if full[0]:
            raise StoreUnavailable("the disk is full")
        change(*given, **values)

    monkeypatch.setattr(alerts, "change_message", refused)
    sending.step()
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            sending.step()
    full[0] = False
    sending.step()
    assert len(line.sent) == 1
    with world.store.database.read() as tx:
        assert alerts.waiting_messages(tx) == {}


def test_a_channel_for_which_too_many_wait_keeps_no_other_from_being_told(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("tidegate.watch.alerts.MESSAGES_MAX", 3)
    full, _ = channel(world, "full"), channel(world, "well")
    for _ in range(3):
        message(world, full)
    _, worker = world.running()
    rule = {"alert_rule": "own", "applies_to": {"all": True}, "conditions": [{"metric": "restarts", "threshold": 0}]}
    world.control.create_alert_rule(parse_rule(rule), actor="ann")
    worker.say("restarted")
    Alerts(world.store.database, world.clock, lambda: True).step()
    (alert,) = world.control.alerts(rule="own", limit=9)[:1]
    assert {one.channel: one.state for one in alert.messages} == {"full": "failed", "well": "waiting"}
    refused = next(one for one in alert.messages if one.channel == "full")
    assert refused.error is not None
    assert refused.error["detail"].startswith("3 messages wait")
