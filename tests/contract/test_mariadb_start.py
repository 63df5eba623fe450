"""Where a run begins that is to begin at a position or a time of MariaDB's past: on a server of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fixtures.mariadb_source import OnMariadb
from tidegate.connect.myposition import MyPosition, Place
from tidegate.errors import (
    EnvironmentLacking,
    SourceLogFormat,
    SourceStartPurged,
    SourceStartUnknown,
    SourceStartUnsupported,
)
from tidegate.model.schema import TableName
from tidegate.model.start import StartSpec
from tidegate.sources.mariadb import MariadbSource
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.servers import until
from tidegate.testing.source_contract.ground import DEADLINE_S, Log, cell, raises


@pytest.fixture(scope="module")
def server() -> Iterator[MariadbServer]:
    try:
        server = MariadbServer()
    except EnvironmentLacking as lacking:
        pytest.skip(lacking.detail)
    with server:
        yield server


class TestStart(OnMariadb):
    @pytest.fixture(autouse=True)
    def _fresh_database(self, server: MariadbServer) -> None:
        self.server = server
        self.name = self.schema = "d"  # type: ignore[misc]
        server.execute("set global binlog_row_metadata = 'FULL'")
        server.drop_database("d")
        server.execute("reset master")
        server.create_database("d")

    def end(self) -> Place:
        ((file, offset, *_),) = self.server.execute("show master status")
        return Place.of(str(file), int(offset))

    def noted(self, *texts: str) -> list[MyPosition]:
        """Each in a transaction of its own; the places behind them, with the last transactions in front."""
        places = []
        for text in texts:
            self.execute(f"update t set note = '{text}' where id = 1")
            ((gtids,),) = self.server.execute("select @@global.gtid_binlog_pos")
            places.append(MyPosition.parse(f"{self.end()};{gtids}"))
        return places

    def started(self, *, position: object = None, time: datetime | None = None) -> tuple[MariadbSource, MyPosition]:
        source = self.fresh()
        assert isinstance(source, MariadbSource)
        text = None if position is None else str(position)
        return source, source.start_at(StartSpec(position=text, time=time))

    def read_from(self, *, position: object = None, time: datetime | None = None) -> Log:
        source, found = self.started(position=position, time=time)
        self._runs = {"c0ffee_t1r1": {TableName("d", "t"): source.schema(TableName("d", "t"))}}
        return self.followed(source, source.parse_position(str(found)))

    def notes(self, log: Log, count: int) -> list[str]:
        return [cell(change, "note") for change in log.changes(count)]

    def refused(self, error: type[Exception], *, position: object = None, time: datetime | None = None) -> str:
        with raises(error) as found:
            self.started(position=position, time=time)
        return str(found[0])

    # --- positions ---

    @pytest.mark.parametrize("form", ["place", "whole", "gtids"])
    def test_a_run_begins_behind_any_transaction_of_any_file(self, form: str) -> None:
        self.table()
        first = self.noted("a", "b")
        self.server.execute("flush binary logs")
        second = self.noted("c")
        self.server.execute("flush binary logs")
        behind = [*first, *second, *self.noted("d")]
        texts = {"place": lambda at: at.place, "whole": str, "gtids": lambda at: at.gtids}[form]
        for count, at in enumerate(behind, 1):
            source, found = self.started(position=texts(at))
            source.log_state("c0ffee_t1r1", found)
            rest = ["a", "b", "c", "d"][count:]
            assert found.gtids == at.gtids
            if rest:
                log = self.read_from(position=texts(at))
                assert self.notes(log, len(rest)) == rest
                log.close()

    def test_a_place_amid_a_transaction_is_refused_with_its_neighbours(self) -> None:
        self.table()
        (before,) = self.noted("a")
        (behind,) = self.noted("b")
        seen = self.server.execute(f"show binlog events in '{before.place.file}' from {before.place.offset} limit 6")
        inside = [int(at) for _, at, kind, *_ in seen if kind not in ("Gtid",) and int(at) < behind.place.offset]
        assert len(inside) > 2
        for offset in [*inside, before.place.offset + 1]:
            said = self.refused(SourceStartUnknown, position=before.place._replace(offset=offset))
            assert str(before.place) in said
            assert str(behind.place) in said
        assert "amid" in self.refused(SourceStartUnknown, position=f"{before.place}+1@0")

    def test_what_the_log_does_not_have_is_refused_and_what_it_has_is_said(self) -> None:
        self.table()
        (at,) = self.noted("a")
        assert "no log file" in self.refused(SourceStartUnknown, position="log.000099:4")
        assert "no log file" in self.refused(SourceStartUnknown, position="other.000001:4")
        assert str(at.place) in self.refused(SourceStartUnknown, position=at.place._replace(offset=1 << 33))
        assert "0-1-4711" in self.refused(SourceStartUnknown, position="log")
        assert str(at.gtids) in self.refused(SourceStartUnknown, position="0-1-99999")

    def test_the_position_of_another_server_is_refused(self) -> None:
        self.table()
        (at,) = self.noted("a")
        foreign = MyPosition.parse(f"{at.place};0-77-{at.gtids.sequence(0)}")
        assert "another one" in self.refused(SourceStartUnknown, position=foreign)
        assert "no place behind" in self.refused(SourceStartUnknown, position=foreign.gtids)

    def test_a_position_by_transactions_has_every_domain(self) -> None:
        self.table()
        self.noted("a")
        self.execute("set session gtid_domain_id = 3", "update t set note = 'third' where id = 1")
        (both,) = self.noted("b")
        self.noted("c")
        assert [gtid.domain for gtid in both.gtids.gtids] == [0, 3]
        log = self.read_from(position=both.gtids)
        assert self.notes(log, 1) == ["c"]
        # In front of the third there is no place behind which "b" was done.
        self.refused(SourceStartUnknown, position=both.gtids.gtids[0])

    def test_a_purged_position_is_refused_and_the_oldest_is_said(self) -> None:
        self.table()
        gone, _ = self.noted("a", "last of its file")
        self.server.execute("flush binary logs")
        (there,) = self.noted("b")
        self.noted("c")
        self.purge()
        for position in (gone.place, gone, gone.gtids):
            said = self.refused(SourceStartPurged, position=position)
            assert there.place.file in said
        assert self.notes(self.read_from(position=there), 1) == ["c"]

    def purge(self) -> None:
        last = self.end().file
        until(
            lambda: (
                not self.server.execute(f"purge binary logs to '{last}'")
                and len(self.server.execute("show binary logs")) == 1
            ),
            "the purge",
            DEADLINE_S,
        )

    # --- times ---

    def test_a_time_means_the_first_transaction_of_its_second_or_later(self) -> None:
        self.table()
        self.server.execute("flush binary logs")
        began_s = self.begun_s()
        while time.time() < began_s + 2:  # a transaction's time counts whole seconds
            time.sleep(0.05)
        self.noted("a")
        middle = time.time()
        while time.time() < int(middle) + 2:
            time.sleep(0.05)
        self.noted("b")
        self.server.execute("flush binary logs")
        later = time.time()
        while time.time() < int(later) + 2:
            time.sleep(0.05)
        self.noted("c")
        for at_s, rest in ((began_s + 1, ["a", "b", "c"]), (int(middle) + 1, ["b", "c"]), (int(later) + 1, ["c"])):
            log = self.read_from(time=datetime.fromtimestamp(at_s, UTC))
            assert self.notes(log, len(rest)) == rest, at_s
            log.close()
        source, found = self.started(time=datetime.now(UTC) - timedelta(seconds=0.1))
        source.log_state("c0ffee_t1r1", found)

    def begun_s(self) -> int:
        ((now_s,),) = self.server.execute("select unix_timestamp()")
        return int(now_s)

    def test_a_time_in_the_future_is_refused(self) -> None:
        self.table()
        said = self.refused(SourceStartUnknown, time=datetime.now(UTC) + timedelta(minutes=5))
        assert "future" in said

    def test_a_time_before_the_log_is_refused_and_its_beginning_is_said(self) -> None:
        self.table()
        self.noted("a")
        self.server.execute("flush binary logs")
        self.purge()
        said = self.refused(SourceStartPurged, time=datetime.now(UTC) - timedelta(days=1))
        assert self.end().file in said
        assert datetime.now(UTC).strftime("%Y-%m-%d") in said

    # --- what columns were called ---

    def test_a_log_that_names_no_columns_is_begun_at_its_end_alone(self) -> None:
        self.table()
        (at,) = self.noted("a")
        self.server.execute("set global binlog_row_metadata = 'MINIMAL'")
        assert "MINIMAL" in self.refused(SourceStartUnsupported, position=at)

    def test_rows_logged_without_names_in_front_of_the_run_are_not_given_todays(self) -> None:
        self.table()
        self.server.execute("set global binlog_row_metadata = 'MINIMAL'")
        (at,) = self.noted("a")
        self.noted("b")
        self.execute("alter table t rename column note to other, rename column big to note")
        self.server.execute("set global binlog_row_metadata = 'FULL'")
        log = self.read_from(position=at)
        with raises(SourceLogFormat) as found:
            log.changes(1)
        assert "where the run began" in str(found[0])

    def test_rows_are_read_with_the_columns_of_their_own_time(self) -> None:
        self.table()
        (at,) = self.noted("a")
        self.noted("b")
        self.execute("alter table t add extra int first", "update t set note = 'c' where id = 1")
        (first, second) = self.read_from(position=at).changes(2)
        assert (first.table.names, second.table.names) == (("id", "note", "big"), ("extra", "id", "note", "big"))
        assert (cell(first, "note"), cell(second, "note")) == ("b", "c")
