"""The audit log in the store: whatever is done to it past the server is found, on each kind of store."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa

from lifecycle.world import World
from tidegate.errors import Invalid
from tidegate.server.audit import LEFT_OUT, STRANGERS_BURST
from tidegate.store import audit
from tidegate.store.audit import HEAD, Entry, Sought
from tidegate.store.audithead import FILE
from tidegate.store.tables import audit_entry, setting

COUNT = 12


def entry(number: int, **more: Any) -> Entry:
    held: dict[str, Any] = {
        "at": 1_700_000_000.25 + number,
        "actor": "ann",
        "credential": "log-in",
        "address": "192.0.2.7",
        "action": "give_command",
        "subject": f"task=t{number}",
        "project": "default",
        "outcome": "done",
        "code": "",
    }
    return Entry(**(held | more))


@pytest.fixture
def written(any_world: World) -> World:
    """A log of some entries, in transactions of one and of several."""
    world = any_world
    world.control.audit([entry(1)])
    world.control.audit([entry(number) for number in range(2, COUNT)])
    world.control.audit([entry(COUNT, actor="größe 数", outcome="refused", code="lifecycle.refused")])
    return world


def past_the_server(world: World, statement: Any) -> None:
    with world.store.database.write() as tx:
        tx.execute(statement)


def alone(world: World) -> None:
    """The log has to tell by itself, without what the server noted outside the store."""
    (world.data_dir / FILE).unlink(missing_ok=True)


def swap(world: World) -> None:
    """Two entries change places, with their marks."""
    first, other = audit_entry.c.id == 3, audit_entry.c.id == 4
    past_the_server(world, audit_entry.update().where(first).values(id=999))
    past_the_server(world, audit_entry.update().where(other).values(id=3))
    past_the_server(world, audit_entry.update().where(audit_entry.c.id == 999).values(id=4))


def close_up(world: World) -> None:
    """One is taken out and those after it are numbered anew."""
    past_the_server(world, audit_entry.delete().where(audit_entry.c.id == 5))
    for number in range(6, COUNT + 1):
        past_the_server(world, audit_entry.update().where(audit_entry.c.id == number).values(id=number - 1))


def remove(world: World, *numbers: int) -> None:
    past_the_server(world, audit_entry.delete().where(audit_entry.c.id.in_(numbers)))


def change(column: str, value: Any) -> Callable[[World], None]:
    statement = audit_entry.update().where(audit_entry.c.id == 7).values({column: value})
    return lambda world: past_the_server(world, statement)


def no_head(world: World) -> None:
    past_the_server(world, setting.delete().where(setting.c.name == HEAD))


def shortened(world: World) -> None:
    """The last ones are taken off, and the head is set back to what stands there then, without the key."""
    remove(world, COUNT, COUNT - 1)
    mac = world.control.audit_entries(Sought(), limit=1)[0].mac
    value = f'{{"id": {COUNT - 2}, "mac": "{mac}", "seal": "{"0" * 64}"}}'
    past_the_server(world, setting.update().where(setting.c.name == HEAD).values(value=value))


TAMPERINGS: dict[str, Callable[[World], None]] = {
    **{
        f"another {column}": change(column, value)
        for column, value in {
            "at": 1.5,
            "actor": "bob",
            "credential": "token x",
            "address": "203.0.113.1",
            "action": "edit_task",
            "subject": "task=other",
            "project": "other",
            "outcome": "refused",
            "code": "x",
            "detail": "role=x",
            "mac": "0" * 64,
        }.items()
    },
    "one removed": lambda world: remove(world, 7),
    "the first removed": lambda world: remove(world, 1),
    "the last removed": lambda world: remove(world, COUNT),
    "all removed": lambda world: remove(world, *range(1, COUNT + 1)),
    "two swapped": swap,
    "one removed and the rest numbered anew": close_up,
    "the head removed": no_head,
    "the end cut off and the head set back": shortened,
}


def test_a_log_that_nobody_touched_is_found_whole(written: World) -> None:
    found = written.control.check_audit()
    assert (found.ok, found.entries, found.wrong) == (True, COUNT, "")
    assert written.control.check_audit(found.head).ok
    written.control.audit([entry(99)])
    assert written.control.check_audit(found.head).ok


@pytest.mark.parametrize("how", TAMPERINGS)
def test_whatever_is_done_to_the_log_past_the_server_is_found(written: World, how: str) -> None:
    TAMPERINGS[how](written)
    alone(written)
    found = written.control.check_audit()
    assert not found.ok, how
    assert found.wrong


@pytest.mark.parametrize("how", TAMPERINGS)
def test_what_was_done_to_the_log_is_still_found_after_it_went_on(written: World, how: str) -> None:
    TAMPERINGS[how](written)
    alone(written)
    for number in range(20, 25):
        written.control.audit([entry(number)])
    assert not written.control.check_audit().ok, how


def test_a_log_made_anew_with_the_servers_own_key_is_found_by_a_head_that_was_noted(written: World) -> None:
    noted = written.control.check_audit().head
    remove(written, *range(1, COUNT + 1))
    no_head(written)
    with written.store.database.write() as tx:
        audit.begin(tx, written.store.vault.mark)
    alone(written)
    written.control.audit([entry(number, actor="bob") for number in range(1, COUNT + 3)])
    assert written.control.check_audit().ok
    assert not written.control.check_audit(noted).ok


@pytest.mark.parametrize("head", ["", "7", "x:" + "0" * 64, "7:abc", "-1:" + "0" * 64])
def test_a_head_that_is_none_is_refused(written: World, head: str) -> None:
    with pytest.raises(Invalid):
        written.control.check_audit(head)


def test_entries_written_at_the_same_time_make_one_chain(any_world: World) -> None:
    world = any_world

    def write(start: int) -> None:
        for number in range(start, start + 10):
            world.control.audit([entry(number)])

    threads = [Thread(target=write, args=(start,)) for start in (100, 200, 300, 400)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = world.control.check_audit()
    assert (found.ok, found.entries) == (True, 40)


def test_entries_are_found_by_what_they_say(written: World) -> None:
    def ids(limit: int = 100, before: int | None = None, **sought: Any) -> list[int]:
        return [one.id for one in written.control.audit_entries(Sought(**sought), before=before, limit=limit)]

    assert ids() == list(range(COUNT, 0, -1))
    assert ids(limit=2) == [COUNT, COUNT - 1]
    assert ids(limit=2, before=COUNT - 1) == [COUNT - 2, COUNT - 3]
    assert ids(outcome="refused") == ids(actor="größe 数") == [COUNT]
    assert ids(since=1_700_000_003.25, until=1_700_000_005.25) == [4, 3]
    assert ids(projects=[]) == ids(project="other") == ids(action="x") == ids(address="x") == []
    assert ids(projects=["default"], actor="ann") == list(range(COUNT - 1, 0, -1))


def test_strangers_cannot_fill_the_store(world: World) -> None:
    for number in range(STRANGERS_BURST * 3):
        unknown = entry(number, actor="", address=f"192.0.2.{number % 250}", outcome="refused", code="x")
        world.control.audit([unknown], stranger=True)
    with world.store.database.read() as tx:
        count = tx.execute(sa.select(sa.func.count()).select_from(audit_entry)).scalar_one()
    assert count <= STRANGERS_BURST * 1.5
    assert world.control.check_audit().ok


def test_one_who_is_known_and_refused_in_a_loop_is_counted_by_the_minute(world: World) -> None:
    for _ in range(1_000):
        world.control.audit([entry(1, outcome="refused", code="request.forbidden")])
    world.control.audit([entry(2, actor="bob", outcome="refused", code="request.forbidden")])
    world.control.audit([entry(3)])
    world.clock.advance(120)
    world.control.audit([])
    kept = world.control.audit_entries(Sought(actor="ann", outcome="refused"), limit=1000)
    told = [one for one in kept if one.action == LEFT_OUT]
    assert len(kept) - len(told) <= 110
    assert sum(int(one.subject.split()[0]) for one in told) + len(kept) - len(told) == 1_000
    assert len(world.control.audit_entries(Sought(actor="bob"))) == 1
    assert world.control.check_audit().ok
