"""Lines of the log in the store: none is lost, none is kept twice, and neither time nor size is without a bound."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from lifecycle.world import World
from tidegate.errors import CursorInvalid, Invalid, NotFound, QueryInvalid, StoreUnavailable
from tidegate.model.logline import Container, LogLevel, LogLine
from tidegate.server import journal
from tidegate.server.logsearch import LogPage, Search
from tidegate.server.views import Session
from tidegate.store import lines as stored_lines
from tidegate.testing.servers import until

SEED = 20_261
NOW = 1_700_000_000.0
"""What the clock of a world says at first."""
DEADLINE_S = 30


def line(seq: int, message: str = "", *, at: float = NOW, level: LogLevel = LogLevel.INFO, **more: Any) -> LogLine:
    return LogLine(at, level, Container.WORKER, "test", message or f"line {seq}", seq=seq, **more)


class Logged:
    """A task whose worker speaks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.control = world.control
        self.task, self.worker = world.running(snapshot=False)

    @property
    def session(self) -> Session:
        found: Session = self.control.authenticate(self.worker.process.launch.token)
        return found

    def say(self, *lines: LogLine) -> None:
        self.saying(*lines).result(DEADLINE_S)

    def saying(self, *lines: LogLine) -> Future[None]:
        return self.control.take_lines(self.session, lines)

    def look(self, cursor: str | None = None, limit: int = 1_000, **search: Any) -> LogPage:
        return self.control.log(self.task, Search(**search), cursor=cursor, limit=limit)

    def messages(self, **search: Any) -> list[str]:
        return [one.message for one in self.look(**search).items]

    def all_pages(self, limit: int, between: Callable[[], None] = lambda: None, **search: Any) -> tuple[list[str], str]:
        """What all pages hold, and the cursor to follow from; `between` is called after each."""
        page = self.look(limit=limit, **search)
        found, follow = [one.message for one in page.items], page.follow
        while page.cursor is not None:
            between()
            page = self.look(page.cursor, limit, **search)
            found += [one.message for one in page.items]
        return found, follow


@pytest.fixture
def logged(any_world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    monkeypatch.setattr(journal, "GATHER_S", 0.005)
    monkeypatch.setattr(journal, "AGAIN_S", 0.02)
    made = Logged(any_world)
    yield made
    made.control.journal.close()


def test_a_line_comes_back_as_it_was_said(logged: Logged) -> None:
    said = line(1, "it.broke", level=LogLevel.ERROR, fields={"detail": "ß \0 \ud800", "n": 1}, exception="ValueError")
    logged.say(replace(said, at=NOW + 0.123))
    [found] = logged.look().items
    assert (found.at, found.level, found.container) == (NOW + 0.123, LogLevel.ERROR, Container.WORKER)
    assert (found.run, found.epoch, found.logger) == (1, logged.session.epoch, "test")
    assert (found.message, found.exception, found.fields["n"]) == ("it.broke", "ValueError", 1)
    assert found.text.startswith('it.broke detail="ß')


def test_lines_sent_again_are_kept_once(logged: Logged) -> None:
    logged.say(line(1), line(2))
    logged.say(line(1), line(2), line(3))
    assert logged.messages(oldest_first=True) == ["line 1", "line 2", "line 3"]


def test_lines_sent_again_to_another_server_are_kept_once(logged: Logged) -> None:
    logged.say(line(1), line(2))
    logged.control.journal.close()
    logged.world.restart_server()
    logged.control = logged.world.control
    logged.say(line(1), line(2), line(3))
    assert logged.messages(oldest_first=True) == ["line 1", "line 2", "line 3"]
    logged.control.journal.close()


def test_the_last_words_of_a_worker_whose_epoch_is_over_are_kept(logged: Logged) -> None:
    logged.world.command(logged.task, "force-pause")
    logged.say(line(1, "worker.fenced"))
    assert logged.messages() == ["worker.fenced"]


def test_a_worker_is_told_that_the_store_is_away_and_sends_again(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(stored_lines, "add", away)
        with pytest.raises(StoreUnavailable):
            logged.say(line(1))
    logged.say(line(1))
    assert logged.messages() == ["line 1"]


def test_more_than_can_wait_is_refused(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "WAITING_MAX", 10)
    with pytest.raises(StoreUnavailable, match="too many"):
        logged.saying(*(line(seq) for seq in range(1, 12)))


def test_the_server_keeps_its_own_lines_while_the_store_is_away(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failed = stored_lines.add, []

    def away_twice(*given: Any) -> None:
        if len(failed) < 2:
            failed.append(1)
            raise StoreUnavailable("away")
        real(*given)

    monkeypatch.setattr(stored_lines, "add", away_twice)
    logged.control.journal.take({"event": "of.task", "level": "info", "timestamp": NOW, "task": logged.task, "run": 1})
    logged.control.journal.take({"event": "of.none", "level": "critical", "timestamp": NOW, "task": "text"})
    until(lambda: len(failed) == 2, "the store to be away twice", DEADLINE_S)
    logged.control.journal.close()
    assert [(one.message, one.run) for one in logged.look(container=Container.SERVER).items] == [("of.task", 1)]
    [none] = logged.control.log(None, Search(keywords="of.none")).items
    assert (none.level, none.fields) == (LogLevel.ERROR, {"task": "text"})


# --- finding ---


def test_lines_are_found_by_level_run_container_time_and_keywords(logged: Logged) -> None:
    logged.say(
        line(1, "a", at=NOW - 7_200),
        line(2, "b", at=NOW - 1_800, level=LogLevel.WARNING, fields={"code": "source.unreachable"}),
        line(3, "c", at=NOW - 60, level=LogLevel.ERROR, fields={"code": "source.auth_failed"}),
    )
    assert logged.messages() == ["c", "b", "a"]
    assert logged.messages(oldest_first=True) == ["a", "b", "c"]
    assert logged.messages(levels=[LogLevel.WARNING, LogLevel.ERROR]) == ["c", "b"]
    assert logged.messages(since="1h") == ["c", "b"]
    assert logged.messages(since="1h", until="2m") == ["b"]
    assert logged.messages(until="2023-11-14T22:03:20Z") == ["b", "a"]
    assert logged.messages(keywords="source.AUTH OR line") == ["c"]
    assert logged.messages(diagnosis="connection") == ["b"]
    assert logged.messages(run=2) == []
    assert logged.messages(container=Container.SERVER) == []


def test_a_search_that_is_not_one_is_refused(logged: Logged) -> None:
    for wrong, refusal in (
        ({"keywords": "a AND"}, QueryInvalid),
        ({"diagnosis": "none"}, NotFound),
        ({"since": "yesterday"}, Invalid),
        ({"since": "2026-01-01T00:00:00"}, Invalid),
        ({"cursor": "nonsense"}, CursorInvalid),
        ({"cursor": "WzFd"}, CursorInvalid),
    ):
        with pytest.raises(refusal):
            logged.look(**wrong)


def test_a_cursor_belongs_to_its_search(logged: Logged) -> None:
    logged.say(line(1), line(2))
    page = logged.look(limit=1)
    assert page.cursor is not None
    for cursor in (page.cursor, page.follow):
        with pytest.raises(CursorInvalid, match="other parameters"):
            logged.look(cursor, keywords="x")


def test_no_page_looks_at_more_than_so_many_lines_and_the_next_goes_on(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.server.logsearch.LOOKED_AT_MAX", 20)
    monkeypatch.setattr("tidegate.server.logsearch.AT_ONCE", 5)
    logged.say(*(line(seq, f"{'x' if seq % 50 == 1 else 'y'} {seq}") for seq in range(1, 102)))
    first = logged.look(keywords="x", limit=10)
    assert [one.message for one in first.items] == ["x 101"]
    assert first.cursor is not None
    found, _ = logged.all_pages(10, keywords="x")
    assert found == ["x 101", "x 51", "x 1"]


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("keywords", [None, "odd"])
def test_pages_and_what_follows_hold_every_line_once_whatever_comes_meanwhile(
    logged: Logged, oldest_first: bool, keywords: str | None
) -> None:
    r = random.Random(SEED)
    print(f"seed {SEED}")
    said: list[str] = []
    seq = 0

    def more(times: int) -> None:
        """Lines of random times, also such that were said long before others that are there already."""
        nonlocal seq
        fresh = []
        for _ in range(times):
            seq += 1
            fresh.append(line(seq, f"{seq} {'odd' if seq % 2 else 'even'}", at=NOW + r.randrange(-20, 20)))
        logged.say(*fresh)
        said.extend(one.message for one in fresh if keywords is None or keywords in one.message)

    more(60)
    before = list(said)
    search = {"oldest_first": oldest_first, "keywords": keywords}
    paged, follow = logged.all_pages(7, lambda: more(r.randrange(4)), **search)
    assert sorted(paged) == sorted(before)
    followed: list[str] = []
    for _ in range(40):
        page = logged.look(follow, 5, **search)
        follow = page.follow
        followed += [one.message for one in page.items]
        if r.random() < 0.3:
            more(r.randrange(6))
    while (page := logged.look(follow, 5, **search)).items:
        follow = page.follow
        followed += [one.message for one in page.items]
    assert followed == said[len(before) :]
    whole = [one.line.message for one in logged.control.log_whole(logged.task, Search(keywords=keywords))]
    assert sorted(whole) == sorted(said)


# --- forgetting ---


def test_lines_older_than_they_are_kept_are_forgotten(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "FORGOTTEN_AT_ONCE", 3)
    now = logged.world.clock.now()
    week_s = 7 * 86_400
    logged.say(*(line(seq, at=now - week_s - seq) for seq in range(1, 11)), line(11, at=now - week_s + 60))
    logged.control.journal.forget()
    assert logged.messages() == ["line 11"]


def test_a_task_keeps_only_the_newest_of_what_takes_too_much_room(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logged.control.journal, "_keep_bytes", 20_000)
    monkeypatch.setattr(journal, "FORGOTTEN_AT_ONCE", 7)
    seq = 0
    for _ in range(20):
        logged.say(*(line(seq := seq + 1, fields={"x": "y" * 200}) for _ in range(20)))
        with logged.control.db.read() as tx:
            assert stored_lines.kept_bytes(tx, logged.task) < 3 * 20_000
    logged.control.journal.close()
    kept = logged.messages()
    assert kept[0] == f"line {seq}"
    assert 30 < len(kept) < 100


def test_of_a_removed_task_no_line_is_left(logged: Logged) -> None:
    world = logged.world
    logged.say(line(1, at=world.clock.now()))
    with world.control.db.write() as tx:
        stored_lines.forget_task(tx, logged.task)
        assert stored_lines.kept_bytes(tx, logged.task) == 0
