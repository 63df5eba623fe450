"""A source with very many tables, a very wide one, very many small transactions, and keys of every kind under load."""

from __future__ import annotations

import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import psycopg
import pytest

from faults.keeping import kept
from faults.lanes import long
from pipeline.pairs import Pair
from tidegate.connect import pgedges
from tidegate.testing.servers import PostgresServer, newest


@pytest.fixture(scope="module")
def crowded() -> Iterator[tuple[PostgresServer, int]]:
    """A server whose database has very many tables."""
    count = 20_000
    with PostgresServer(newest(), settings={"max_locks_per_transaction": 1024}) as server:
        server.create_database("crowd")
        with server.connect("crowd") as connection:
            for first in range(0, count, 2_000):
                connection.execute(
                    "do $$ begin for i in "
                    f"{first} .. {first + 1_999} loop execute format('create table public.t%s (id int)', i);"
                    " end loop; end $$"
                )
        yield server, count


@long
@pytest.mark.slow
def test_one_table_among_twenty_thousand_starts_in_seconds(
    crowded: tuple[PostgresServer, int], postgres: PostgresServer, database: Callable[..., str]
) -> None:
    server, _ = crowded
    pair = Pair(server, "crowd", "postgres")
    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute("insert into a select i, i from generate_series(1, 50) i")
    tracemalloc.start()
    began = time.monotonic()
    rig = pair.rig(["public.a"], target={"schema": "out"}, snapshots={"every": "1s"}).start().opens().copied()
    took_s = time.monotonic() - began
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    rig.reaches(lambda: pair.equal("a", "out.a"))
    pair.source.execute("update a set n = -1")
    rig.reaches(lambda: pair.equal("a", "out.a"))
    assert took_s < 20
    assert peak_bytes < 64 << 20
    rig.pause()
    pair.close()


def test_a_table_of_as_many_columns_as_there_can_be(pair: Pair) -> None:
    columns = ", ".join(f"c{i} int" for i in range(1, 1600))
    pair.source.execute(f"create table public.a (id int primary key, {columns})")
    pair.source.execute("insert into a (id, c1, c1599) select i, i, i from generate_series(1, 20) i")
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute("update a set c1599 = -1, c800 = 7 where id < 5; delete from a where id = 9")
    rig.reaches(lambda: pair.equal("a"))


def test_ten_thousand_small_transactions_arrive_once_each(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key)")
    rig = pair.rig(["public.a"], write="append").start().opens().copied()
    pair.source.execute(
        "create procedure many(first int, last int) language plpgsql as $$ begin for i in first .. last loop"
        " insert into a values (i); commit; end loop; end $$"
    )
    writers = []
    for first in (1, 5_001):
        other = pair.server.connect(pair.source_name)
        work = threading.Thread(target=lambda c=other, f=first: c.execute(f"call many({f}, {f + 4_999})"))
        work.start()
        writers.append((work, other))
    rig.reaches(
        lambda: pair.arrived("select count(*), count(distinct id) from a") == [(10_000, 10_000)], "ten thousand rows"
    )
    for work, other in writers:
        work.join(60)
        other.close()
    assert rig.counters()["transactions"] >= 10_000


KEYS = {
    "composite": ("a int, b text, c date", "a, b, c"),
    "uuid": ("u uuid", "u"),
    "timestamp": ("at timestamptz", "at"),
    "numeric": ("x numeric", "x"),
}


def key(sort: str, i: int) -> tuple[object, ...]:
    """The i-th key: its order is not that of the numbers."""
    mixed = i * 2_654_435_761 % 2**32
    match sort:
        case "composite":
            return (i % 3 - 1, "äÄzZ_-1 "[i % 8] * (1 + i % 2), f"20{10 + i % 80}-0{1 + i % 9}-1{i % 10}")
        case "uuid":
            return (f"{mixed:08x}-0000-4000-8000-{i:012x}",)
        case "timestamp":
            return (f"{1900 + mixed % 200}-01-02 03:04:05.{i:06d}+00",)
        case _:
            return ("NaN" if i == 7 else f"{'-' if i % 3 else ''}{mixed % 1000}.{i:04d}",)


@pytest.mark.parametrize("write", ["upsert", "append"])
@pytest.mark.parametrize("sort", KEYS)
def test_keys_of_this_kind_are_exact_under_random_load_and_cuts(
    pair: Pair, sort: str, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgedges, "CHUNK_BYTES", 500)
    monkeypatch.setattr(pgedges, "CHUNK_ROWS_MIN", 10)
    columns, names = KEYS[sort]
    pair.source.execute(f"create sequence op; create table public.a ({columns}, op bigint, primary key ({names}))")
    slots = ", ".join(["%s"] * (columns.count(",") + 1))
    insert = f"insert into a values ({slots}, nextval('op')) on conflict do nothing"
    where = f"({names}) = ({slots})"
    with pair.source.cursor() as cursor:
        cursor.executemany(insert, [key(sort, i) for i in range(200)])
    over = threading.Event()
    errors: list[Exception] = []

    def write_on(seed: int) -> None:
        r = random.Random(seed)
        with pair.server.connect(pair.source_name) as connection:
            while not over.is_set():
                one, other, x = key(sort, r.randrange(300)), key(sort, r.randrange(300)), r.random()
                try:
                    if x < 0.3:
                        connection.execute(insert, one)
                    elif x < 0.6:
                        connection.execute(f"update a set op = nextval('op') where {where}", one)
                    elif x < 0.8:
                        connection.execute(f"delete from a where {where}", one)
                    else:
                        change = f"update a set ({names}, op) = row({slots}, nextval('op')) where {where}"
                        connection.execute(change, (*other, *one))
                except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
                    continue
                except Exception as error:  # noqa: BLE001  shown below
                    errors.append(error)
                    return

    rig = pair.rig(["public.a"], write=write)
    writers = [threading.Thread(target=write_on, args=(seed,)) for seed in (61, 62)]
    with kept(rig):  # only to begin under load
        for writer in writers:
            writer.start()
        time.sleep(0.3)
    for _ in range(3):
        rig.start()
        time.sleep(0.3)
        rig.cut()
    rig.start().opens().copied()
    over.set()
    for writer in writers:
        writer.join(30)
    assert not errors, errors
    if write == "upsert":
        rig.reaches(lambda: pair.equal("a"), f"equal ({sort})")
        return
    # As texts: to Python NaN is not even equal to itself.
    at_source = f"select ({names})::text, op from a order by {names}"
    folded = (
        f"select ({names})::text, op from"
        f" (select distinct on ({names}) * from a order by {names}, _tidegate_position desc) x"
        f" where _tidegate_op <> 'delete' order by {names}"
    )
    rig.reaches(lambda: pair._both(at_source, folded), f"it folds to the source ({sort})")
    twice = "select op, count(*) from a where _tidegate_op <> 'delete' group by 1 having count(*) > 1"
    assert pair.arrived(twice) == []
