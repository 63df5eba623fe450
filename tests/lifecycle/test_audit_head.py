"""What the server notes of the audit log outside the store: a log put back to an earlier state, or emptied with all
that the store says of it, does not agree with it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from lifecycle.test_audit import entry, past_the_server, remove
from lifecycle.world import World
from tidegate.server.audit import AuditCheck
from tidegate.server.control import Control
from tidegate.store import audit
from tidegate.store.audit import HEAD, Sought
from tidegate.store.audithead import FILE, HARMED, AuditHead, begin
from tidegate.store.tables import audit_entry, setting


@pytest.fixture
def written(any_world: World) -> World:
    any_world.control.audit([entry(number) for number in range(1, 6)])
    return any_world


def earlier(world: World) -> None:
    """The whole log of an earlier time is put back, with the head it had then."""
    with world.store.database.read() as tx:
        head = tx.execute(sa.select(setting.c.value).where(setting.c.name == HEAD)).scalar_one()
    world.control.audit([entry(6), entry(7)])
    remove(world, 6, 7)
    past_the_server(world, setting.update().where(setting.c.name == HEAD).values(value=head))


def emptied(world: World) -> None:
    """Nothing is left of the log, as if the store had none yet."""
    past_the_server(world, audit_entry.delete())
    past_the_server(world, setting.delete().where(setting.c.name == HEAD))
    with world.store.database.write() as tx:
        audit.begin(tx, world.store.vault.mark)


HARMS: dict[str, Callable[[World], None]] = {"put back": earlier, "emptied": emptied}


def checked(world: World) -> AuditCheck:
    return world.control.check_audit()


def started_again(world: World) -> None:
    mark = world.store.vault.mark
    with world.store.database.write() as tx:
        begin(tx, AuditHead(world.data_dir, mark), mark)
    world.control = Control(world.store, world.data_plane, clock=world.clock)


def test_the_head_is_noted_with_each_addition_in_a_file_of_the_servers_user(written: World) -> None:
    file = written.data_dir / FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["id"] == 5
    written.control.audit([entry(6)])
    assert (checked(written).ok, checked(written).noted) == (True, 6)


@pytest.mark.parametrize("how", HARMS)
def test_a_log_that_is_not_the_newest_is_found_without_a_head_from_elsewhere(written: World, how: str) -> None:
    HARMS[how](written)
    found = checked(written)
    assert not found.ok
    assert "outside the store" in found.wrong


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("how", HARMS)
def test_that_is_still_found_after_the_log_went_on_beyond_it(written: World, how: str, again: bool) -> None:
    HARMS[how](written)
    if again:
        started_again(written)
    for number in range(20, 30):
        written.control.audit([entry(number)])
    assert not checked(written).ok


@pytest.mark.parametrize("how", HARMS)
def test_a_start_says_so_in_the_log_itself_once(written: World, how: str) -> None:
    HARMS[how](written)
    started_again(written)
    started_again(written)
    told = written.control.audit_entries(Sought(action=HARMED))
    assert [(one.actor, one.outcome) for one in told] == [("server", "failed")]
    assert told[0].detail.startswith("noted=")
    (written.data_dir / FILE).unlink()  # a store that was put back on purpose: it begins anew
    written.control.audit([entry(40)])
    assert checked(written).ok


def test_a_start_with_a_log_as_it_was_says_nothing(written: World) -> None:
    started_again(written)
    assert written.control.audit_entries(Sought(action=HARMED)) == []
    assert checked(written).ok


def test_a_head_that_somebody_wrote_without_the_key_is_none(written: World) -> None:
    written.control.audit([entry(6)])
    mac = written.control.audit_entries(Sought(), limit=1)[0].mac
    (written.data_dir / FILE).write_text(f'{{"id": 6, "mac": "{mac}", "seal": "{"0" * 64}"}}')
    found = checked(written)
    assert not found.ok
    assert "cannot be read" in found.wrong


def test_entries_of_an_earlier_version_which_had_no_details_hold(written: World) -> None:
    mark, one = written.store.vault.mark, written.control.audit_entries(Sought(), limit=1)[0]
    before = written.control.audit_entries(Sought(), limit=2)[1].mac
    said = [one.at, one.actor, one.credential, one.address, one.action, one.subject, one.project, one.outcome, one.code]
    assert one.mac == mark(json.dumps(["entry", one.id, *said, before], ensure_ascii=False))
