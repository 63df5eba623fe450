"""Large values that an update did not touch are not in PostgreSQL's log; they stay what they were, everywhere."""

from __future__ import annotations

import pytest

from pipeline.pairs import DuckPair, Pair
from pipeline.rig import Rig
from pipeline.steering import Steering, low

BIG = "encode(sha512(i::text::bytea), 'hex') || repeat(i::text, 3000)"
ANOTHER = "repeat('another ', 600)"


def make(pair: Pair | DuckPair, table: str = "public.docs", rows: int = 40, key: str = "id int primary key") -> None:
    pair.source.execute(f"create table {table} ({key}, note text, big text, more text)")
    pair.source.execute(f"alter table {table} alter big set storage external, alter more set storage external")
    pair.source.execute(
        f"insert into {table} select i, 'n' || i, {BIG}, case when i % 2 = 0 then {BIG} end"
        f" from generate_series(1, {rows}) i"
    )


def in_the_log(pair: Pair, rig: Rig, statement: str) -> None:
    """Run it, and wait until the target has it."""
    before = rig.counters()["transactions"]
    pair.source.execute(statement)
    rig.reaches(lambda: rig.counters()["transactions"] > before and pair.equal("docs"))


def settled(rig: Rig) -> int:
    """How many changes of the log are at the target, or need not go there."""
    return rig.counters()["changes_written"] + rig.counters()["changes_contained"]


def test_an_update_leaves_large_values_alone(each_pair: Pair) -> None:
    pair = each_pair
    make(pair)
    rig = pair.rig(["public.docs"]).start().opens().copied()
    in_the_log(pair, rig, "update docs set note = note || '!' where id <= 10")
    in_the_log(pair, rig, "update docs set big = 'small now', note = null where id <= 5")
    in_the_log(pair, rig, "update docs set more = null where id between 3 and 8")
    assert pair.rows("select count(*) from docs where big is null") == [(0,)]


def test_updates_of_different_large_values_compact_into_one(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.docs"]).start().opens().copied()
    in_the_log(
        pair,
        rig,
        f"begin; update docs set big = {ANOTHER} where id <= 20; update docs set more = {ANOTHER} where id <= 10;"
        " update docs set note = 'three updates' where id <= 15; commit",
    )


def test_an_insert_and_an_update_that_leaves_its_value_alone_compact_into_one(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.docs"]).start().opens().copied()
    in_the_log(
        pair,
        rig,
        f"begin; insert into docs select i, 'new', {BIG}, {BIG} from generate_series(101, 110) i;"
        " update docs set note = 'after' where id > 100; update docs set note = 'again' where id > 105;"
        " delete from docs where id = 103; insert into docs values (103, 'anew', null, null);"
        " update docs set note = 'anew after' where id = 103; commit",
    )


def test_a_row_takes_its_large_values_along_when_its_key_changes(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.docs"]).start().opens().copied()
    in_the_log(pair, rig, "update docs set id = id + 1000 where id <= 10")
    in_the_log(
        pair,
        rig,
        "begin; update docs set id = -1 where id = 11; update docs set id = 11 where id = 12;"
        " update docs set id = 12 where id = -1; update docs set note = 'swapped' where id in (11, 12);"
        " update docs set id = 2000 where id = 13; update docs set id = 13 where id = 2000;"
        f" insert into docs values (14 + 3000, 'x', {ANOTHER}, null); delete from docs where id = 14;"
        " update docs set id = 14 where id = 3014; commit",
    )
    in_the_log(
        pair,
        rig,
        f"begin; update docs set id = 4000, big = {ANOTHER} where id = 20; update docs set id = 4001 where id = 4000;"
        " update docs set more = 'x' where id = 4001; commit",
    )


@pytest.mark.usefixtures("small_chunks")
def test_a_row_that_moves_out_of_a_range_not_copied_yet_is_read_by_itself(pair: Pair) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair)
    steering.holds = low
    rig = pair.rig(["public.docs"]).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the first")
    pair.source.execute("update docs set id = 1001, note = 'moved' where id = 1")
    pair.source.execute("update docs set note = 'moved twice', id = 1002 where id = 2")
    pair.source.execute("update docs set note = 'and changed' where id = 1002")
    rig.reaches(lambda: rig.counters()["patches"] >= 2, "both rows are read by themselves")
    steering.holds = lambda keys: False
    rig.copied().reaches(lambda: pair.equal("docs"))
    assert rig.counters()["patches"] == 2


@pytest.mark.usefixtures("small_chunks")
def test_a_row_read_by_itself_goes_by_its_own_snapshot_until_the_log_has_passed_that(pair: Pair) -> None:
    """The chunks' snapshots are older: when the log has passed those, changes that the row already contains still
    come."""
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair)
    steering.holds, steering.parts_allowed = low, 0
    rig = pair.rig(["public.docs"]).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the first")
    pair.source.execute("update docs set id = 1001 where id = 1")
    steering.holds = lambda keys: False
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"], "the first chunk")
    for note in ("a", "b"):
        pair.source.execute(f"update docs set note = '{note}' where id = 1001")
    pair.source.execute("delete from docs where id = 1001")
    for number in range(1, 5):
        steering.allow(1)
        rig.reaches(lambda number=number: settled(rig) == number, "each is written before the next")
    rig.reaches(lambda: pair.equal("docs"))
    assert rig.counters()["patches"] == 1


@pytest.mark.usefixtures("small_chunks")
def test_rows_read_by_themselves_are_known_after_a_cut(pair: Pair) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair)
    steering.holds = low
    rig = pair.rig(["public.docs"]).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the first")
    steering.parts_allowed = 0
    for statement in (
        "update docs set id = 1001, note = 'moved' where id = 1",
        "update docs set note = 'changed' where id = 1001",
        "delete from docs where id = 1001",
    ):
        pair.source.execute(statement)
    steering.allow(1)
    rig.reaches(lambda: settled(rig) == 1, "the first is written")
    assert rig.counters()["patches"] == 1
    rig.cut()
    rig.start().opens()
    before = settled(rig)
    steering.allow(1)
    rig.reaches(lambda: settled(rig) == before + 1, "the second is decided by itself")
    steering.parts_allowed, steering.holds = None, lambda keys: False
    rig.copied().reaches(lambda: pair.equal("docs"))
    assert rig.counters()["patches"] == 0


def test_with_the_full_replica_identity_the_log_has_every_value(pair: Pair) -> None:
    make(pair)
    pair.source.execute("alter table docs replica identity full")
    rig = pair.rig(["public.docs"]).start().opens().copied()
    in_the_log(pair, rig, "update docs set note = note || '!' where id <= 10")
    in_the_log(pair, rig, "update docs set id = id + 1000, more = null where id <= 10")
    append = pair.rig(["public.docs"], write="append", target={"schema": "app"}).start().opens().copied()
    pair.source.execute("update docs set note = 'for append' where id = 11")
    append.reaches(lambda: pair.arrived("select count(*) from app.docs where note = 'for append'") == [(1,)])
    wanted = pair.rows("select big, more from docs where id = 11")
    assert pair.arrived("select big, more from app.docs where note = 'for append'") == wanted


def test_append_says_which_values_an_update_left_alone(pair: Pair) -> None:
    make(pair)
    rig = pair.rig(["public.docs"], write="append").start().opens().copied()
    pair.source.execute("update docs set note = 'touched', more = 'new' where id = 2")
    rig.reaches(lambda: pair.arrived("select count(*) from docs where note = 'touched'") == [(1,)])
    found = pair.arrived("select big, more, _tidegate_op, _tidegate_detail from docs where note = 'touched'")
    assert found == [(None, "new", "update", {"unchanged": ["big"]})]


@pytest.mark.usefixtures("small_chunks")
def test_append_has_the_value_of_a_row_that_moved_out_of_a_range_not_copied_yet(pair: Pair) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    make(pair)
    steering.holds = low
    rig = pair.rig(["public.docs"], write="append").start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] == rig.counters()["chunks_total"] - 1, "all chunks but the first")
    pair.source.execute("update docs set id = 1001, note = 'moved' where id = 1")
    pair.source.execute("update docs set note = 'changed' where id = 1001")
    rig.reaches(lambda: rig.counters()["patches"] == 1, "the row is read by itself")
    steering.holds = lambda keys: False
    rig.copied()
    pair.source.execute("update docs set note = 'last' where id = 1001")
    rig.reaches(lambda: pair.arrived("select count(*) from docs where note = 'last'") == [(1,)])
    found = pair.arrived("select note, _tidegate_op, big from docs where id = 1001 order by _tidegate_position")
    assert [(note, op) for note, op, _ in found] == [("changed", "read"), ("last", "update")]
    assert [(found[0][2],)] == pair.rows("select big from docs where id = 1001")
    assert pair.arrived("select count(*) from docs where id = 1") == [(0,)]


def test_a_large_key_that_was_left_alone_is_still_known(each_pair: Pair) -> None:
    pair = each_pair
    pair.source.execute("create table public.docs (id text primary key, note text, big text)")
    pair.source.execute("alter table docs alter id set storage external, alter big set storage external")
    long_key = "repeat(encode(sha256(i::text::bytea), 'hex'), 40)"
    pair.source.execute(f"insert into docs select {long_key}, 'n', {BIG} from generate_series(1, 5) i")
    assert pair.rows("select min(length(id)), min(pg_column_size(id)) from docs") == [(2560, 2560)]
    rig = pair.rig(["public.docs"]).start().opens().copied()
    in_the_log(pair, rig, "update docs set note = 'touched'")
    in_the_log(pair, rig, "update docs set big = 'x' where id like '6b%'")
    in_the_log(pair, rig, "update docs set id = 'short' where id like '6b%'")
    in_the_log(pair, rig, "delete from docs where id not like 'short'")


def test_duckdb_keeps_large_values_too(duck_pair: DuckPair) -> None:
    pair = duck_pair
    make(pair)
    rig = pair.rig(["public.docs"]).start().opens().copied()
    pair.source.execute(
        "begin; update docs set note = 'touched' where id <= 10; update docs set id = id + 1000 where id <= 5;"
        f" insert into docs select i, 'new', {BIG}, {BIG} from generate_series(101, 110) i;"
        " update docs set note = 'after' where id > 100; commit"
    )
    rig.reaches(lambda: rig.counters()["changes_written"] > 0)
    rig.pause()
    found = sorted((row["id"], row["note"], row["big"], row["more"]) for row in pair.texts("public.docs"))
    assert found == sorted(pair.rows("select id::text, note, big, more from docs"))
