"""Transactions that the server sends while they are open: the same arrives, at the same places, as otherwise."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pipeline.pairs import DuckPair, Pair
from pipeline.rig import Rig
from pipeline.steering import Steering
from tidegate.connect import pgstaging
from tidegate.connect.pgassembly import Doubts, Stand
from tidegate.connect.pgposition import PgPosition, parse_lsn
from tidegate.connect.pgstaging import Staging
from tidegate.connect.target import BatchShape
from tidegate.errors import WorkerDiskFull
from tidegate.targets.postgres import PostgresTarget
from unit.test_pglanes import describe, framed

# What the server keeps in memory of all transactions: beyond, it streams or spills. The least there is.
WORK_MEM = "64kB"


@pytest.fixture
def streaming(each_pair: Pair) -> Pair:
    """Its source streams whatever is not tiny."""
    each_pair.source.execute(f"alter database {each_pair.source_name} set logical_decoding_work_mem = '{WORK_MEM}'")
    each_pair.source.execute("create table public.a (id int primary key, n int, doc text)")
    return each_pair


def streamed(pair: Pair, rig: Rig) -> int:
    """How many transactions of the run the server streamed; it says so now and then."""
    query = "select stream_txns from pg_stat_replication_slots where slot_name = %s"
    return int(pair.source.execute(query, (f"tidegate_{rig.run}",)).fetchone()[0])  # type: ignore[index]


# --- what the server says ---


@pytest.mark.usefixtures("decoder")
def test_the_messages_are_those_of_a_server_that_waits_for_the_commit(
    each_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transactions at once, subtransactions that are rolled back, ALTER TABLE, TRUNCATE, large values, origins,
    messages and a prepared transaction."""
    monkeypatch.setattr(pgstaging, "STAGED_BYTES_MAX", 100_000)
    pair = each_pair
    reading = pair.server.connect(pair.source_name)
    _tables(reading)
    for slot in ("whole", "streamed"):
        reading.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (f"{slot}_{pair.source_name}",))
    _history(pair)
    reading.execute(f"set logical_decoding_work_mem = '{WORK_MEM}'")
    told = "'publication_names', 'told', 'messages', 'true'"
    whole = _messages(reading, f"whole_{pair.source_name}", f"'proto_version', '1', {told}")
    streamed = _messages(reading, f"streamed_{pair.source_name}", f"'proto_version', '2', 'streaming', 'on', {told}")
    kinds = {message[:1] for message in streamed}
    assert {b"S", b"E", b"c", b"A", b"I", b"U", b"D", b"T", b"O", b"M", b"R", b"Y", b"B"} <= kinds
    with closing(Staging(Stand(PgPosition(0), describe), Doubts())) as staging:
        found = [one for piece in staging.feed(framed(streamed)) for one in _split(piece)]
    assert _described(found) == _described(whole)
    reading.close()


def _tables(connection: psycopg.Connection[Any]) -> None:
    connection.execute("create type mood as enum ('well', 'ill')")
    for table in ("one", "two", "three", "four"):
        connection.execute(f"create table {table} (id int primary key, n int, mood mood default 'well', doc text)")
        connection.execute(f"alter table {table} alter doc set storage external")
    connection.execute("create table untold (id int)")
    connection.execute("create publication told for table one, two, three, four")


def _history(pair: Pair) -> None:
    one, two, three, four, aside = (pair.server.connect(pair.source_name, autocommit=False) for _ in range(5))
    small = pair.source
    origin = f"elsewhere_{pair.source_name}"
    small.execute("select pg_replication_origin_create(%s)", (origin,))
    two.execute("select pg_replication_origin_session_setup(%s)", (origin,))
    two.commit()
    for step in range(4):
        for table, session in (("one", one), ("two", two), ("three", three), ("four", four)):
            first = 10_000 * step
            session.execute(
                f"insert into {table} (id, n, doc) select {first} + i, 0, case when i % 50 = 0 then"
                " repeat(md5(i::text), 90) end from generate_series(1, 700) i"
            )
            session.execute("savepoint s")
            session.execute(f"insert into {table} select {first} + i, 1 from generate_series(1001, 1900) i")
            session.execute("savepoint t")
            session.execute(f"update {table} set n = n + 1 where id % 2 = 0")
            session.execute(f"delete from {table} where id % 7 = 0")
            session.execute(("release t", "rollback to t", "release t", "rollback to t")[step])
            session.execute(("rollback to s", "release s", "release s", "rollback to s")[step])
            session.execute(f"update {table} set n = n + 1 where id % 3 = 0")
            small.execute("insert into one (id) values (%s)", (1_000_000 + 10 * step + "otwh".find(table[1:2]),))
        aside.execute("insert into untold select generate_series(1, 3000)")
        one.execute("savepoint ddl")
        one.execute("alter table one add column never int default 3")
        one.execute("update one set never = 4 where id < 900")
        one.execute("rollback to ddl")
        one.execute("update one set n = 7 where id between 300 and 400")
        two.execute(f"alter table two add column c{step} int default {step}")
        two.execute(f"update two set c{step} = 9 where id < 500")
        three.execute("select pg_logical_emit_message(true, 'told', repeat('m', 500))")
        small.execute("select pg_logical_emit_message(false, 'told', 'at once')")
    four.rollback()
    three.execute("truncate three")
    three.execute("insert into three select i, 5 from generate_series(1, 700) i")
    three.execute(f"prepare transaction 'p_{pair.source_name}'")
    small.execute("insert into four (id) values (1)")
    two.commit()
    aside.commit()
    three.commit()
    small.execute(f"commit prepared 'p_{pair.source_name}'")
    one.commit()
    for session in (one, two, three, four, aside):
        session.close()
    small.execute("insert into one (id) values (2000000)")


def _messages(connection: psycopg.Connection[Any], slot: str, options: str) -> list[bytes]:
    query = f"select data from pg_logical_slot_get_binary_changes('{slot}', null, null, {options})"
    with connection.cursor(binary=True) as cursor:
        return [data for (data,) in cursor.execute(query.encode())]


def _split(frames: memoryview) -> Iterator[bytes]:
    at = 0
    while at < len(frames):
        (length,) = struct.unpack_from(">I", frames, at)
        yield bytes(frames[at + 4 : at + 4 + length])
        at += 4 + length


def _described(messages: list[bytes]) -> list[Any]:
    """Every message with the description of its table that holds for it, wherever that was sent; transactions without
    changes, which only some versions leave out, are none of them."""
    relations: dict[bytes, bytes] = {}
    found: list[Any] = []
    for message in messages:
        kind = message[:1]
        if kind == b"R":
            relations[message[1:5]] = message
        elif kind == b"C" and found[-1][:1] == b"B":
            found.pop()
        elif kind in (b"I", b"U", b"D"):
            found.append((message, relations[message[1:5]]))
        elif kind != b"Y":
            found.append(message)
    return found


# --- what arrives ---


ROWS = 10_000


@pytest.mark.usefixtures("decoder")
def test_a_transaction_is_cut_in_two_at_the_same_place_whether_it_is_streamed_or_not(
    streaming: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers die in the middle of it, and the next reads it in the other way; every change comes once, in order."""
    monkeypatch.setattr(PostgresTarget, "batch", BatchShape(rows=200, interval_s=0.01))
    pair = streaming
    rig = pair.rig(["public.a"], write="append").start().opens().copied()
    writer = pair.server.connect(pair.source_name, autocommit=False)
    for part in range(4):
        first = part * ROWS
        writer.execute("savepoint s")
        writer.execute(f"insert into a select {first} + i, 0, md5(i::text) from generate_series(1, {ROWS // 4}) i")
        writer.execute("savepoint t")
        writer.execute(f"insert into a select {first} + i, 1 from generate_series({ROWS // 4 + 1}, 4000) i")
        writer.execute("rollback to t")
        writer.execute(f"update a set n = -1 where id between {first} and {first + 500}")
        writer.execute("alter table a add extra int default 7" if part == 2 else "release s")
    changes = ROWS + 4 * 500
    rig.cut()
    writer.commit()
    writer.close()
    for streams, arrived in ((False, 500), (True, 2_000), (False, 4_500), (True, 7_000), (False, changes)):
        pair.source_config = pair.source_config.model_copy(update={"stream_transactions": streams})
        rig.start().opens()
        rig.reaches(lambda arrived=arrived: count_of(pair) >= arrived, f"{arrived} changes")
        rig.cut()
        if arrived < 7_000:
            assert count_of(pair) < changes, "it was still under way"
    places = pair.arrived("select _tidegate_position, id, _tidegate_op from a order by 1")
    assert len(places) == len({place for place, *_ in places}) == changes
    assert [row[1:] for row in places[: ROWS // 4]] == [(n, "insert") for n in range(1, ROWS // 4 + 1)]
    wanted = pair.rows("select id, n, doc, extra from a order by id")
    query = "select distinct on (id) id, n, doc, extra from a order by id, _tidegate_position desc"
    assert pair.arrived(query) == wanted


def count_of(pair: Pair) -> int:
    found = pair.arrived("select count(*) from a")
    return int(found[0][0]) if found else 0


@pytest.mark.parametrize("end", ["pause", "cut"])
def test_what_is_staged_comes_again_to_the_worker_after(streaming: Pair, end: str) -> None:
    pair = streaming
    rig = pair.rig(["public.a"], write="append", snapshots={"every": "1s"}).start().opens().copied()
    writer = pair.server.connect(pair.source_name, autocommit=False)
    writer.execute(f"insert into a select i, 0 from generate_series(1, {ROWS}) i")
    begun = parse_lsn(pair.rows("select pg_current_wal_insert_lsn()::text")[0][0])
    pair.source.execute("insert into a values (-1, 0)")
    rig.reaches(lambda: count_of(pair) == 1, "what others commit meanwhile")
    rig.reaches(lambda: streamed(pair, rig) == 1, "it is streamed")
    rig.reaches(lambda: parse_lsn(pair.confirmed(rig)) > begun, "the source may forget what is in front of its commit")
    rig.pause() if end == "pause" else rig.cut()
    writer.execute("update a set n = 1 where id = 1")
    rig.start().opens()
    pair.source.execute("insert into a values (-2, 0)")
    rig.reaches(lambda: count_of(pair) == 2, "and after")
    writer.commit()
    writer.close()
    rig.reaches(lambda: count_of(pair) == ROWS + 3, "all of it")
    assert pair.arrived("select count(distinct id), sum(n) from a") == [(ROWS + 2, 1)]
    rig.pause()


def test_what_is_rolled_back_never_comes(streaming: Pair) -> None:
    pair = streaming
    rig = pair.rig(["public.a"], write="append").start().opens().copied()
    writer = pair.server.connect(pair.source_name, autocommit=False)
    writer.execute(f"insert into a select i, 0 from generate_series(1, {ROWS}) i")
    writer.execute("alter table a add never int default 3")
    rig.reaches(lambda: streamed(pair, rig) == 1, "it is streamed")
    writer.rollback()
    writer.close()
    pair.source.execute("insert into a values (-1, 0)")
    rig.reaches(lambda: count_of(pair) == 1)
    columns = "select count(*) from pg_attribute where attrelid = 'a'::regclass and attname = 'never'"
    assert pair.arrived(columns) == [(0,)]


def test_a_worker_without_room_for_it_says_so_and_one_with_room_goes_on(
    streaming: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = streaming
    monkeypatch.setattr(pgstaging, "STAGED_BYTES_MAX", 1_000)
    rig = pair.rig(["public.a"], write="append").start().opens().copied()

    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as small:
        small.setattr("tidegate.connect.spool.tempfile.TemporaryFile", full)
        pair.source.execute(f"insert into a select i, 0 from generate_series(1, {ROWS}) i")
        error = rig.fails()
    assert isinstance(error, WorkerDiskFull)
    assert "a transaction could not be kept" in error.detail
    rig.start().opens()
    rig.reaches(lambda: count_of(pair) == ROWS, "all of it")


@pytest.mark.usefixtures("small_chunks")
def test_a_table_copied_while_transactions_are_streamed_is_exact(streaming: Pair) -> None:
    """What counts for a chunk's snapshot is the transaction's own number, whichever of its parts wrote the row."""
    pair = streaming
    pair.source.execute("insert into a select -i, 0 from generate_series(1, 300) i")
    rig = pair.rig(["public.a"]).start().opens()
    writers = [pair.server.connect(pair.source_name, autocommit=False) for _ in range(3)]
    for n, writer in enumerate(writers):
        _grow(writer, n)
    writers[2].rollback()
    for n, writer in enumerate(writers):
        _grow(writer, 10 + n)
        writer.commit()
        writer.close()
    rig.copied()
    rig.reaches(lambda: pair.equal("a"))


def _grow(writer: psycopg.Connection[Any], n: int) -> None:
    writer.execute(f"savepoint s; insert into a select {n * 10_000} + i, 0 from generate_series(1, 2000) i")
    writer.execute(f"savepoint t; delete from a where id > {n * 10_000 + 1500}; rollback to t")
    writer.execute(f"update a set n = {n} where id between {n * 10_000} and {n * 10_000 + 100}")


def test_a_duckdb_file_gets_the_same(duck_pair: DuckPair) -> None:
    pair = duck_pair
    pair.source.execute(f"alter database {pair.source_name} set logical_decoding_work_mem = '{WORK_MEM}'")
    pair.source.execute("create table public.a (id int primary key, n int)")
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute(f"insert into a select i, 0 from generate_series(1, {ROWS}) i")
    rig.reaches(lambda: rig.counters().get("changes_written", 0) == ROWS, "all of it")
    rig.pause()
    assert len(pair.texts("public.a")) == ROWS


# --- who reads slowly ---


def test_the_server_hears_of_its_reader_while_a_staged_transaction_waits_for_the_writer(
    streaming: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = streaming
    steering = Steering()
    pair.source_class = steering.source_class()
    monkeypatch.setattr("tidegate.connect.pgreplication.PARTS_WAIT_MAX", 1)
    rig = pair.rig(["public.a"], write="append").start().opens().copied()
    query = "select pid, reply_time from pg_stat_replication where application_name = %s"

    def heard() -> Any:
        return pair.source.execute(query, (f"tidegate {rig.run}",)).fetchone()

    steering.parts_allowed = 0
    pair.source.execute(f"insert into a select i, 0 from generate_series(1, {ROWS}) i")
    steering.allow(1)
    rig.reaches(lambda: steering.parts_given == 1, "it is committed, and begins to come")
    before = heard()
    rig.reaches(lambda: heard()[1] > before[1] + timedelta(seconds=1), "the server heard of it again and again")
    assert rig.counters()["changes_read"] < ROWS
    steering.parts_allowed = None
    rig.reaches(lambda: count_of(pair) == ROWS, "all of it")
    assert heard()[0] == before[0], "over the same connection"
