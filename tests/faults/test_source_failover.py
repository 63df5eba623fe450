"""The source falls over to a standby that was promoted: a run goes on only where nothing can be missing, and is refused
by name everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from faults.apart import Apart, connected
from faults.keeping import kept, quietly
from faults.standby import Standby
from pipeline.rig import Rig, eventually
from pipeline.steering import Steering
from tidegate.connect.config import parse_config
from tidegate.errors import PositionLost, SourceStandby
from tidegate.sources.postgres import PostgresSource
from tidegate.testing.servers import PostgresServer, newest


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    with PostgresServer(newest()) as server:
        yield server


@pytest.fixture
def standby(primary: PostgresServer) -> Iterator[Standby]:
    with Standby(primary) as server:
        yield server


@pytest.fixture
def pair(primary: PostgresServer, postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Apart]:
    pair = Apart(primary, postgres, database())
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute("insert into a select i, i from generate_series(1, 50) i")
    yield pair
    pair.close()


def follow(pair: Apart, server: PostgresServer) -> None:
    """The data source's address leads to the other server from now on."""
    quietly(pair._source)
    pair.server = server
    pair._source = connected(server, pair.source_name)
    pair.source_config = parse_config(PostgresSource.Config, server.config(pair.source_name), of="src")


def fall_over(pair: Apart, standby: Standby) -> None:
    standby.primary.kill()
    standby.promote()
    follow(pair, standby)


def appended(pair: Apart, rig: Rig, rows: int) -> None:
    rig.reaches(lambda: pair.arrived("select count(*), count(distinct id) from a") == [(rows, rows)], f"{rows} rows")


def test_with_its_slot_at_the_standby_a_run_goes_on(pair: Apart, standby: Standby) -> None:
    rig = pair.rig(["public.a"], write="append", snapshots={"every": "1s"}).start().opens().copied()
    pair.source.execute("insert into a select i, 0 from generate_series(1001, 1010) i")
    appended(pair, rig, 60)
    standby.keep_slots()
    rig.pause()
    pair.source.execute("insert into a select i, 0 from generate_series(1011, 1020) i")
    standby.caught_up()
    fall_over(pair, standby)
    pair.source.execute("insert into a select i, 0 from generate_series(1021, 1030) i")
    rig.start().opens()
    appended(pair, rig, 80)
    rig.cut()
    pair.source.execute("insert into a select i, 0 from generate_series(1031, 1040) i")
    rig.start().opens()  # on the new timeline as on any
    appended(pair, rig, 90)
    assert rig.totals["rows_full"] == 50 or rig.counters()["rows_full"] == 50


def test_without_its_slot_at_the_standby_the_position_is_lost(pair: Apart, standby: Standby) -> None:
    rig = pair.rig(["public.a"], write="append", snapshots={"every": "1s"}).start().opens().copied()
    rig.pause()
    standby.caught_up()
    fall_over(pair, standby)
    pair.source.execute("insert into a values (1001, 0)")
    rig.start()
    error = rig.fails()
    assert isinstance(error, PositionLost), error
    assert "no longer exists" in error.detail
    assert pair.arrived("select count(*) from a") == [(50,)]


def leave_behind(standby: Standby) -> None:
    """The standby has the slot, and gets no more from here on."""
    standby.keep_slots()
    standby.settings["primary_conninfo"] = ""
    standby.restart()


def test_a_standby_that_was_behind_the_target_is_refused(pair: Apart, standby: Standby) -> None:
    """Its log runs over the same positions with other changes; to go on would skip them."""
    rig = pair.rig(["public.a"], write="append", snapshots={"every": "1s"}).start().opens().copied()
    pair.source.execute("insert into a values (1001, 0)")
    appended(pair, rig, 51)
    leave_behind(standby)
    pair.source.execute("insert into a select i, 0 from generate_series(1002, 1100) i")
    appended(pair, rig, 150)
    rig.cut()
    fall_over(pair, standby)
    pair.source.execute("insert into a select i, -7 from generate_series(2001, 4000) i")
    rig.start()
    error = rig.fails()
    assert isinstance(error, PositionLost), error
    assert "timeline 2" in error.detail
    assert pair.arrived("select count(*) from a where n = -7") == [(0,)]


def test_a_copy_that_is_ahead_of_the_standby_is_refused(pair: Apart, standby: Standby) -> None:
    """The log's position is not behind, but a chunk has rows that the new primary never had."""
    steering = Steering()
    pair.source_class = steering.source_class()
    steering.holds = lambda keys: True
    rig = pair.rig(["public.a"], write="append", snapshots={"every": "1s"}).start().opens()
    leave_behind(standby)
    steering.parts_allowed = 0
    pair.source.execute("insert into a select i, 0 from generate_series(1001, 1010) i")
    steering.holds = lambda keys: False
    rig.copied()
    rig.cut()
    steering.parts_allowed = None
    fall_over(pair, standby)
    rig.start()
    error = rig.fails()
    assert isinstance(error, PositionLost), error
    assert "timeline 2" in error.detail


def test_a_run_waits_for_a_standby_to_be_promoted(pair: Apart, standby: Standby) -> None:
    rig = pair.rig(["public.a"], write="append", snapshots={"every": "1s"})
    with kept(rig) as keeper:
        keeper.copied()
        keeper.reaches(lambda: pair.arrived("select count(*) from a") == [(50,)], "copied")
        standby.keep_slots()
        follow(pair, standby)
        standby.primary.kill()
        eventually(lambda: any(isinstance(error, SourceStandby) for error in keeper.passing), "it meets the standby")
        standby.promote()
        pair.source.execute("insert into a values (1001, 0)")
        keeper.reaches(lambda: pair.arrived("select count(*) from a") == [(51,)], "it goes on")


def test_a_standby_is_no_source_and_says_so(primary: PostgresServer, standby: Standby, pair: Apart) -> None:
    standby.caught_up()
    config = parse_config(PostgresSource.Config, standby.config("postgres"), of="src")
    source = PostgresSource(config)
    refused = [check for check in source.check() if not check.ok]
    assert [(check.name, check.code) for check in refused] == [("primary", "source.standby")]
    assert "primary" in refused[0].advice
    with pytest.raises(SourceStandby):
        source.begin("abcdef_t9r1", [])
    source.close()
    assert primary.execute("select count(*) from pg_publication") == [(0,)]
