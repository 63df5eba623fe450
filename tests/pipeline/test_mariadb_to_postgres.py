"""MariaDB into PostgreSQL: full synchronization interleaved with the log, runs that are cut off, servers that go and
come, and every kind of value."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from pipeline.inspecting import verdicts
from pipeline.mariadb_load import KEYED, MariadbLoad
from pipeline.mariadb_pair import MariadbPair, make
from pipeline.rig import eventually, spec
from tidegate.connect import myedges
from tidegate.connect.config import revealed
from tidegate.engine.preflight import check_continue, check_task, look_at_log, missing_objects, retentions
from tidegate.errors import PositionLost, SourceIdentityChanged, SourceSchemaChange, SourceTableRemade
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.servers import PostgresServer


@pytest.fixture
def pair(
    mariadb: MariadbServer, mariadb_database: Callable[[], str], postgres: PostgresServer, database: Callable[..., str]
) -> Iterator[MariadbPair]:
    pair = MariadbPair(mariadb, mariadb_database(), postgres, database())
    yield pair
    pair.close()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(myedges, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(myedges, "CHUNK_ROWS_MIN", 10)


def test_existing_rows_and_later_changes_arrive(pair: MariadbPair) -> None:
    make(pair, 1000)
    rig = pair.rig(["a"]).start().opens().copied()
    pair.execute(
        "update a set name = concat(name, '!') where id % 3 = 0",
        "delete from a where id % 7 = 0",
        "insert into a values (5000, null, '')",
        "update a set id = id + 100000 where id % 10 = 1",
    )
    rig.reaches(lambda: pair.equal("a"))
    assert rig.counters()["rows_full"] == 1000


def test_every_kind_of_value_is_the_same_from_the_copy_and_from_the_log(pair: MariadbPair) -> None:
    types = {
        "tinyint unsigned": "255", "int unsigned": "4294967295", "bigint unsigned": "18446744073709551615",
        "decimal(65,30)": "-0.000000000000000000000000000001", "float": "0.1", "double": "1e300", "bit(9)": "b'101'",
        "year": "0", "date": "'2024-02-29'", "time(3)": "'-100:00:00.5'", "datetime(6)": "'2024-02-29 12:00:00.5'",
        "timestamp(3) null": "'2024-03-31 02:30:00.25'", "char(5)": "'ab  '",
        "varchar(20) character set latin1": "'é€'", "longtext": "repeat('é', 30000)",
        "binary(4)": "'ab'", "blob": "x'00ff'", "enum('x','y')": "'y'", "set('p','q')": "'p,q'",
        "json": "'{\"a\": [1, 2.50]}'", "uuid": "'123e4567-e89b-12d3-a456-426655440000'",
        "inet6": "'::1'", "point": "point(1, 2)", "int as (7) stored": "default", "int invisible": "default",
    }  # fmt: skip
    columns = ", ".join(f"c{n} {type}" for n, type in enumerate(types))
    names = ", ".join(f"c{n}" for n in range(len(types)))
    rows = [f"insert into a (id, {names}) values ({id}, {', '.join(types.values())})" for id in (1, 3)]
    pair.execute(f"create table a (id int primary key, {columns})", rows[0], "insert into a (id) values (2)")
    rig = pair.rig(["a"]).start().opens().copied()
    pair.execute(rows[1], "insert into a (id) values (4)")
    rig.reaches(lambda: pair.equal("a"))
    copied, logged = (pair.at_target("a", f"id = {id}")[0][1:] for id in (1, 3))
    assert copied == logged


def test_a_column_that_is_added_comes_with_its_default_in_all_rows(pair: MariadbPair) -> None:
    make(pair)
    rig = pair.rig(["a"]).start().opens().copied()
    pair.execute("alter table a add n decimal(9,2) not null default 1.5 after id", "update a set n = 2 where id = 1")
    rig.reaches(lambda: len(pair.at_target("a", "n = 1.50")) == 199 and len(pair.at_target("a", "n = 2.00")) == 1)
    assert ("schema_change", {"table": f"{pair.source_name}.a", "added": ["n"]}) in rig.events


def test_a_column_that_is_added_while_rows_are_copied_comes_with_its_default(
    pair: MariadbPair, small_chunks: None
) -> None:
    """The copy sees it before the log does, and nothing is changed in the table afterwards."""
    make(pair, 2000)
    rig = pair.rig(["a"]).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] > 2)
    pair.execute("alter table a add n varchar(9) not null default 'new'")
    rig.copied()
    rig.reaches(lambda: pair.equal("a"))


@pytest.mark.parametrize("change", ["n decimal(9,1)", "at datetime", "name int"])
def test_a_change_that_gave_the_rows_there_other_values_stops_the_table(pair: MariadbPair, change: str) -> None:
    """The log does not say what became of them, and the target could hold them all as they were."""
    pair.execute("create table a (id int primary key, n decimal(9,2), at datetime(6), name varchar(9))")
    pair.execute("insert into a values (1, 1.25, '2024-02-29 12:00:00.5', '007'), (2, 2, null, '1')")
    rig = pair.rig(["a"]).start().opens().copied()
    pair.execute(f"alter table a modify {change}", "update a set n = 3 where id = 2")
    error = rig.fails()
    assert isinstance(error, SourceSchemaChange)
    assert f"column {change.split()[0]} was changed" in error.detail
    assert pair.at_target("a", "id = 1")[0][1] == "1.25"


@pytest.mark.parametrize("how", ["purged", "begun anew"])
def test_a_log_that_went_while_a_task_was_paused_is_told_and_nothing_is_copied_again(
    pair: MariadbPair, how: str
) -> None:
    """Bug B19."""
    make(pair)
    rig = pair.rig(["a"]).start().opens().copied()
    rig.pause()
    pair.execute("update a set name = 'lost'")
    if how == "purged":
        pair.server.execute("flush binary logs")
        ((file, *_),) = pair.server.execute("show master status")
        files = "show binary logs"
        # A file that a replica reads is not purged, and the server may not have noticed yet that it went.
        eventually(
            lambda: not pair.server.execute(f"purge binary logs to '{file}'") and len(pair.server.execute(files)) == 1,
            "the purge",
        )
    else:
        pair.server.execute("reset master")
    source, target = ("mariadb", revealed(pair.source_config)), ("postgres", revealed(pair.target_config))
    position = str(rig.snapshots[-1].position)
    with pytest.raises(PositionLost) as refused:
        check_continue(rig.run, rig.task, source, target, position)
    assert refused.value.code == "source.position_lost"
    if how == "purged":
        kept = retentions(source, {rig.run: position})
        assert kept is not None
        assert kept.runs[rig.run].lost
    with pytest.raises(PositionLost):
        rig.start().opens()
    rig.close_ends()
    assert not [row for row in pair.at_target("a") if row[1] == "lost"]


def test_a_table_that_matched_and_is_dropped_is_told_and_the_others_go_on(pair: MariadbPair) -> None:
    make(pair)
    pair.execute("create table item_a (id int primary key)", "insert into item_a values (1)")
    rig = pair.rig(["a", "item_.*"]).start().opens().copied()
    pair.execute("drop table item_a", "create table other (id int)", "update a set name = 'on'")
    rig.reaches(lambda: pair.equal("a"))
    rig.pause()
    rig.start().opens()
    rig.desk.ask_snapshot("now")
    rig.reaches(lambda: ("table_gone", {"table": f"{pair.source_name}.item_a"}) in rig.events)


def test_a_table_that_is_made_later_joins_while_others_stream(pair: MariadbPair) -> None:
    make(pair)
    pair.execute("create table item_a (id int primary key)")
    rig = pair.rig(["a", "item_.*"]).start().opens().copied()
    pair.execute("create table item_b (id int primary key, n int)", "insert into item_b values (1, 1), (2, 2)")
    rig.reaches(lambda: pair.equal("item_b"))
    pair.execute("update item_b set n = 5", "delete from a where id < 50", "truncate item_b")
    pair.execute("insert into item_b values (9, 9)")
    rig.reaches(lambda: pair.equal("a", "item_b"))


def test_a_pause_reads_nothing_again_and_a_cut_run_loses_and_doubles_nothing(pair: MariadbPair) -> None:
    make(pair)
    rig = pair.rig(["a"], write="append").start().opens().copied()
    for turn in range(6):
        pair.execute(f"insert into a select seq, 'new', null from mysql.seq_{1001 + 10 * turn}_to_{1010 + 10 * turn}")
        rig.reaches(lambda turn=turn: len(pair.at_target("a")) == 200 + 10 * (turn + 1))  # type: ignore[misc]
        if turn % 2:
            rig.pause()
        else:
            rig.cut()
        rig.start().opens()
    rows = pair.at_target("a")
    assert len({row[0] for row in rows}) == len(rows) == 260


def test_both_ends_are_found_equal_while_writers_go_on_and_a_difference_is_found(pair: MariadbPair) -> None:
    load = MariadbLoad(pair.server, pair.source_name, 11, truncates=False)
    load.fill(150)
    rig = pair.rig([*KEYED]).start().opens().copied()
    load.start()
    names = {table: f"{pair.source_name}.{table}" for table in KEYED}
    try:
        assert set(verdicts(rig).values()) == {"equal"}
    finally:
        load.stop()
    pair.target.execute("update t_int set amt = amt + 1 where k = (select min(k) from t_int)")
    wanted = dict.fromkeys(names.values(), "equal") | {names["t_int"]: "different"}
    assert verdicts(rig) == wanted


def test_a_task_is_looked_at_before_it_is_submitted_and_before_it_is_continued(pair: MariadbPair) -> None:
    make(pair)
    pair.execute("create table p (id int primary key)")
    pair.execute("create table c (id int primary key, foreign key (id) references p (id) on delete cascade)")
    source, target = ("mariadb", revealed(pair.source_config)), ("postgres", revealed(pair.target_config))
    task = spec([rf"{pair.source_name}\.{table}" for table in "ac"], target_schema="public")
    assert [error.code for error in check_task(task, source, target, "abcdef_t1")] == ["source.cascade"]
    rig = pair.rig(["a"])
    assert check_task(rig.task, source, target, "abcdef_t1") == []
    rig.start().opens().copied()
    rig.pause()
    pair.execute("update a set name = 'meanwhile'")
    cost = check_continue(rig.run, rig.task, source, target, str(rig.snapshots[-1].position))
    assert cost.reread_bytes > 0
    assert look_at_log(rig.run, source, str(rig.snapshots[-1].position)).behind_bytes == cost.reread_bytes
    assert missing_objects(rig.task, source, target) == []


def test_a_dropped_table_ends_the_run_and_the_others_go_on_without_it(pair: MariadbPair) -> None:
    make(pair)
    pair.execute("create table b (id int primary key)")
    rig = pair.rig(["[ab]"]).start().opens().copied()
    pair.execute("drop table b", "create table b (id int primary key)", "update a set name = 'later'")
    assert isinstance(rig.fails(), SourceTableRemade)
    rig.task = spec([rf"{pair.source_name}\.a"], target_schema="public")
    rig.start().opens()
    rig.reaches(lambda: pair.equal("a"))


def test_another_server_at_the_same_address_is_refused(pair: MariadbPair) -> None:
    make(pair)
    pair.rig(["a"]).start().opens().copied().cut()
    pair.server.execute("set global server_id = 77")
    try:
        with pytest.raises(SourceIdentityChanged):
            pair.rigs[0].start().opens()
    finally:
        pair.server.execute("set global server_id = 1")


@pytest.mark.slow
@pytest.mark.parametrize("write", ["upsert", "append"])
def test_random_writers_and_cut_runs_leave_exactly_the_sources_rows(
    pair: MariadbPair, small_chunks: None, write: str
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    load = MariadbLoad(pair.server, pair.source_name, seed, truncates=write == "upsert")
    load.fill(150)
    load.start()
    tables = [*KEYED] if write == "upsert" else [*KEYED, "t_nokey"]
    rig = pair.rig(tables, write=write).start().opens()
    try:
        for _ in range(6):
            reached = rig.counters()["changes_read"] + chance.randrange(10, 300)
            rig.reaches(lambda reached=reached: rig.counters()["changes_read"] >= reached)  # type: ignore[misc]
            if chance.random() < 0.3:
                rig.pause()
            else:
                rig.cut()
            rig.start().opens()
    finally:
        load.stop()
    rig.copied()
    if write == "upsert":
        rig.reaches(lambda: pair.equal(*tables))
        return
    rig.reaches(lambda: all(pair.folds(table) for table in KEYED) and pair.adds_up("t_nokey"))
    for table in tables:
        ((rows, places),) = pair.target.execute(
            f"select count(*), count(distinct _tidegate_position) from {table} where _tidegate_op <> 'read'"
        ).fetchall()
        assert rows == places


def test_a_server_that_was_killed_is_read_on_where_it_was(pair: MariadbPair) -> None:
    make(pair)
    rig = pair.rig(["a"]).start().opens().copied()
    pair.execute("update a set name = 'before'")
    rig.reaches(lambda: pair.equal("a"))
    pair.server.kill()
    eventually(lambda: rig.error is not None, "the run hears of it")
    rig.close_ends()
    pair.server.start()
    pair.execute("update a set name = 'after' where id < 100")
    rig.start().opens()
    rig.reaches(lambda: pair.equal("a"))
