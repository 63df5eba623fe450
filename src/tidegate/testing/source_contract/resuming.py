"""Cases about going on: from every position, inside large transactions, and only as far back as was acknowledged."""

from __future__ import annotations

import time

from tidegate.connect.source import Source
from tidegate.errors import PositionLost, TidegateError
from tidegate.model.change import Change, LogPart
from tidegate.model.position import Position
from tidegate.testing.source_contract.ground import DEADLINE_S, RUN, Ground, cell, raises


def numbered(changes: list[Change]) -> list[int]:
    return [int(cell(change, "id")) for change in changes]


class Resuming(Ground):
    def test_going_on_at_any_position_gives_exactly_what_follows(self) -> None:
        source, position = self.begun(self.table(rows=0))
        log = self.followed(source, position)
        for n in range(6):
            self.whole(*(f"insert into t values ({10 * n + m}, '', null)" for m in range(n % 3 + 1)))
        total = sum(n % 3 + 1 for n in range(6))
        wanted = numbered(log.changes(total))
        log.close()
        for index, part in enumerate(log.parts):
            again = self.fresh()
            rest = self.followed(again, again.parse_position(str(part.position)))
            done = sum(len(part.changes) for part in log.parts[: index + 1])
            self._ends_with(rest.parts, wanted[done:], rest.until)
            rest.close()

    def _ends_with(self, parts: list[LogPart], wanted: list[int], until: object) -> None:
        def seen() -> list[int]:
            return numbered([change for part in parts for change in part.changes])

        until(lambda: len(seen()) >= len(wanted), f"{len(wanted)} changes")  # type: ignore[operator]
        assert seen() == wanted

    def test_a_large_transaction_comes_in_parts_and_can_be_gone_on_with_inside(self) -> None:
        self.table("pile", rows=1)
        count = 1
        while count < self.large:
            self.execute(f"insert into pile select id + {count}, note, big from pile")
            count *= 2
        source, position = self.begun(self.table(rows=0))
        log = self.followed(source, position)
        self.whole("insert into t select id, note, big from pile", "insert into t values (-1, 'last', null)")
        wanted = numbered(log.changes(count + 1))
        assert len(log.parts) > 1
        assert len({str(part.commit) for part in log.parts}) == 1
        assert len({part.transaction for part in log.parts}) == 1
        assert [part.ends for part in log.parts] == [False] * (len(log.parts) - 1) + [True]
        assert [part.first_index for part in log.parts] == [
            sum(len(part.changes) for part in log.parts[:n]) for n in range(len(log.parts))
        ]
        log.close()
        for index in (0, len(log.parts) - 2):
            again = self.fresh()
            rest = self.followed(again, again.parse_position(str(log.parts[index].position)))
            done = log.parts[index + 1].first_index
            self._ends_with(rest.parts, wanted[done:], rest.until)
            assert rest.parts[0].first_index == done
            rest.close()

    def test_what_was_not_acknowledged_can_be_read_again(self) -> None:
        """I1: reading moves nothing at the source."""
        source, position = self.begun(self.table())
        for n in range(3):
            log = self.followed(source, position)
            self.execute(f"update t set note = 'again {n}' where id = 1")
            log.until(lambda log=log: len(log.seen) > 0, "a change")  # type: ignore[misc]
            time.sleep(0.2)
            log.close()
        assert len(self.followed(source, position).changes(3)) == 3

    def test_what_was_acknowledged_is_let_go_of_and_what_follows_is_not(self) -> None:
        if not self.keeps_log:
            return
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        for n in range(4):
            self.execute(f"update t set note = 'v{n}' where id = 1")
        log.changes(4)
        second = log.parts[1].position
        log.reader.acknowledge(second)
        end = time.monotonic() + DEADLINE_S
        while not self._is_lost(source, position):
            assert time.monotonic() < end, "the source does not take the acknowledgement"
            log.more()
        log.close()
        assert source.log_state(RUN, second).behind_bytes > 0
        rest = self.followed(source, second)
        assert [cell(change, "note") for change in rest.changes(2)] == ["v2", "v3"]

    def _is_lost(self, source: Source, position: Position) -> bool:
        try:
            source.log_state(RUN, position)
        except PositionLost:
            return True
        return False

    def test_closing_tells_the_source_what_was_acknowledged_last(self) -> None:
        if not self.keeps_log:
            return
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.execute("update t set note = 'x' where id = 1")
        log.changes(1)
        log.reader.acknowledge(log.parts[-1].position)
        log.close()
        end = time.monotonic() + DEADLINE_S
        while not self._is_lost(source, position):
            assert time.monotonic() < end, "the source does not take the acknowledgement"
            time.sleep(0.02)

    def test_acknowledging_an_earlier_position_takes_nothing_back(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.execute("update t set note = 'x' where id = 1", "update t set note = 'y' where id = 1")
        log.changes(2)
        log.reader.acknowledge(log.parts[1].position)
        log.reader.acknowledge(log.parts[0].position)
        log.close()
        assert self.followed(source, log.parts[1].position).parts == []
        source.log_state(RUN, log.parts[1].position)

    def test_the_state_of_the_log_is_known_while_the_position_is_kept(self) -> None:
        source, position = self.begun(self.table(rows=200))
        before = source.log_state(RUN, position)
        self.execute("update t set note = 'more'")
        after = source.log_state(RUN, position)
        assert 0 <= before.behind_bytes < after.behind_bytes
        assert after.safe_bytes is None or after.safe_bytes > 0
        assert position <= before.end < after.end

    def test_the_state_of_the_log_can_be_asked_without_a_position(self) -> None:
        if not self.keeps_log:
            return
        source, position = self.begun(self.table(rows=200))
        self.execute("update t set note = 'more'")
        state = source.log_state(RUN, None)
        assert position < state.end
        assert state.behind_bytes > 0
        with raises(PositionLost):
            source.log_state("c0ffee_t9r9", None)

    def test_a_run_that_never_began_has_no_log(self) -> None:
        if not self.keeps_log:
            return
        source, position = self.begun(self.table())
        with raises(PositionLost):
            source.log_state("c0ffee_t9r9", position)
        with raises(TidegateError):
            source.log("c0ffee_t9r9", position)

    def test_a_second_reader_takes_the_log_over(self) -> None:
        """The first one's worker is dead, or will find out that it is not wanted any more."""
        source, position = self.begun(self.table())
        first = self.followed(source, position)
        self.execute("update t set note = 'x' where id = 1")
        first.changes(1)
        again = self.fresh()
        second = self.followed(again, position)
        assert len(second.changes(1)) == 1
        with raises(TidegateError):
            first.until(lambda: False, "the end of the first reader")
        self.execute("update t set note = 'y' where id = 1")
        assert len(second.changes(2)) == 2

    def test_the_log_survives_the_sources_own_end(self) -> None:
        """What holds the log is at the server: another process goes on with it."""
        source, position = self.begun(self.table())
        self.execute("update t set note = 'x' where id = 1")
        source.close()
        again = self.fresh()
        assert len(self.followed(again, again.parse_position(str(position))).changes(1)) == 1
