"""Source and target compared while the run goes on: equal ones are found equal whatever happens meanwhile, and every
kind of difference is found and named."""

from __future__ import annotations

import random
import threading

import duckdb
import psycopg
import pytest

from pipeline.inspecting import Asked, only, verdicts
from pipeline.load import KEYED, Load
from pipeline.pairs import DuckPair, Pair
from pipeline.rig import Rig, eventually
from pipeline.steering import Steering
from tidegate.connect.capability import WriteMode
from tidegate.connect.target import TargetTable
from tidegate.errors import NotComparable
from tidegate.model.schema import TableName

SEED = 7
BANK = "create table public.bank (id int primary key, amount int not null, note text);"
LEDGER = "create table public.ledger (n bigint primary key, a int, b int, amount numeric(8,2), rate double precision);"
ACCOUNTS = 300


class Bank:
    """Transfers on several threads, each with a line in the ledger; nothing of it can be seen half."""

    def __init__(self, pair: Pair | DuckPair, writers: int = 3) -> None:
        self.dsn = pair.source_conninfo
        pair.source.execute(BANK + LEDGER)
        pair.source.execute(f"insert into bank select i, 9, repeat('n', i % 50) from generate_series(1, {ACCOUNTS}) i")
        pair.source.execute("create sequence line")
        self._stop = threading.Event()
        self.transfers = 0
        self._threads = [threading.Thread(target=self._transfer, args=(n,), daemon=True) for n in range(writers)]

    def start(self) -> Bank:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _transfer(self, number: int) -> None:
        r = random.Random(SEED + number)
        with psycopg.connect(self.dsn) as connection:
            while not self._stop.wait(0.001):
                a, b = sorted(r.sample(range(1, ACCOUNTS + 1), 2))
                connection.execute("update bank set amount = amount - 1 where id = %s", (a,))
                connection.execute("update bank set amount = amount + 1 where id = %s", (b,))
                connection.execute(
                    "insert into ledger values (nextval('line'), %s, %s, %s, %s)", (a, b, r.random() * 9, r.random())
                )
                connection.commit()
                self.transfers += 1


@pytest.mark.parametrize("write", ["upsert", "append"])
@pytest.mark.parametrize("ends", ["pair", "duck_pair"])
def test_what_is_equal_is_found_equal_twenty_times_while_it_changes(
    request: pytest.FixtureRequest, ends: str, write: str
) -> None:
    pair: Pair | DuckPair = request.getfixturevalue(ends)
    bank = Bank(pair)
    rig = pair.rig(["public.bank", "public.ledger"], write=write).start().opens().copied()
    bank.start()
    positions = set()
    for _ in range(20):
        asked = Asked(rig)
        found = asked.findings()
        assert {f["verdict"] for f in found.values()} == {"equal"}, found
        assert found["public.bank"]["rows_source"] == found["public.bank"]["rows_target"] == ACCOUNTS
        positions.add(asked.answer()["position"])
    bank.stop()
    assert rig.error is None
    assert len(positions) > 10
    assert bank.transfers > 20


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("write", ["upsert", "append"])
def test_every_kind_of_change_keeps_them_equal(each_pair: Pair, write: str) -> None:
    load = Load(each_pair.source_conninfo, SEED, writers=4)
    load.fill(200)
    tables = [f"public.{name}" for name in (*KEYED, *(["t_nokey"] if write == "append" else []))]
    load.start()
    rig = each_pair.rig(tables, write=write).start().opens()
    seen: set[str] = set()
    for _ in range(4):
        found = Asked(rig, wait=True).findings()
        seen |= {one["verdict"] for one in found.values()}
        wrong = [one for one in found.values() if one["verdict"] == "different"]
        assert wrong == [], f"seed {SEED}"
    load.stop()

    def told_equal() -> bool:
        found = set(verdicts(rig).values())
        assert "different" not in found, f"seed {SEED}"
        return found == {"equal"}  # the last TRUNCATE may still be on its way

    rig.reaches(told_equal, f"all are told equal (seed {SEED})")
    assert "equal" in seen


# --- differences ---


def small(pair: Pair | DuckPair, write: str = "upsert") -> Rig:
    pair.source.execute("create table public.t (id int primary key, name text, doc text)")
    pair.source.execute("insert into t select i, 'n' || i, repeat('d', 100) from generate_series(1, 1000) i")
    rig = pair.rig(["public.t"], write=write).start().opens().copied()
    assert only(rig, "public.t")["verdict"] == "equal"
    return rig


def at_target(pair: Pair | DuckPair, statement: str) -> None:
    """What somebody else does to the target's table."""
    if isinstance(pair, Pair):
        pair.target.execute(statement)
        return

    def opened() -> bool:
        try:
            with duckdb.connect(pair.path) as connection:
                connection.execute(statement)
        except duckdb.IOException:
            return False
        return True

    eventually(opened, "the file is free for a moment")


EDITS: list[tuple[str, dict[str, int], dict[str, int]]] = [
    ("delete from public.t where id = 10", {"missing": 1}, {}),
    ("update public.t set name = 'other' where id = 10", {"different": 1}, {"name": 1}),
    ("update public.t set doc = null, name = '' where id in (10, 11)", {"different": 2}, {"name": 2, "doc": 2}),
    ("insert into public.t select 5000, name, doc from public.t where id = 10", {"extra": 1}, {}),
    ("update public.t set id = 5000 where id = 10", {"missing": 1, "extra": 1}, {}),
]


@pytest.mark.parametrize(("edit", "differences", "columns"), EDITS)
@pytest.mark.parametrize("ends", ["pair", "duck_pair"])
def test_an_edit_at_the_target_is_found_and_named(
    request: pytest.FixtureRequest, ends: str, edit: str, differences: dict[str, int], columns: dict[str, int]
) -> None:
    pair: Pair | DuckPair = request.getfixturevalue(ends)
    rig = small(pair)
    at_target(pair, edit)
    found = only(rig, "public.t", limit=10)
    assert (found["verdict"], found["differences"], found["columns"]) == ("different", differences, columns)
    assert found["whole"]
    assert found["rows"] == []  # keys are data: nobody asked for them


def test_a_doubled_row_is_found(duck_pair: DuckPair) -> None:
    rig = small(duck_pair)
    at_target(duck_pair, "insert into public.t select * from public.t where id = 10")
    found = only(rig, "public.t", keys=True, limit=10)
    assert found["differences"] == {"doubled": 1}
    assert found["rows"] == [{"sort": "doubled", "columns": [], "key": ["10"]}]


def test_a_stale_row_is_found_until_its_next_change(pair: Pair) -> None:
    rig = small(pair)
    pair.target.execute("create table old as select * from t where id = 10")
    pair.source.execute("update t set name = 'new' where id = 10")
    rig.reaches(lambda: pair.equal("t"))
    pair.target.execute("update t set name = old.name from old where t.id = old.id")
    found = only(rig, "public.t", keys=True, limit=10)
    assert found["rows"] == [{"sort": "different", "columns": ["name"], "key": ["10"]}]
    pair.source.execute("update t set name = 'newer' where id = 10")
    rig.reaches(lambda: pair.equal("t"))
    assert only(rig, "public.t")["verdict"] == "equal"


@pytest.mark.parametrize(
    ("edit", "differences"),
    [
        ("delete from t where id = 10", {"missing": 1}),
        ("insert into t select * from t where id = 10", {"repeated": 1}),
        ("insert into t select * from t where _tidegate_op = 'update'", {"repeated": 5}),
        ("update t set name = 'other' where id = 10", {"different": 1}),
        ("delete from t where _tidegate_op = 'update'", {"different": 5}),
        ("delete from t where _tidegate_op = 'delete'", {"extra": 3}),
    ],
)
def test_an_edit_of_an_append_target_is_found_and_named(pair: Pair, edit: str, differences: dict[str, int]) -> None:
    rig = small(pair, "append")
    pair.source.execute("update t set name = 'x' where id between 101 and 105")
    pair.source.execute("delete from t where id between 201 and 203")
    rig.reaches(lambda: pair.arrived("select count(*) from t where _tidegate_op = 'delete'") == [(3,)])
    assert only(rig, "public.t")["verdict"] == "equal"
    pair.target.execute(edit)
    assert only(rig, "public.t")["differences"] == differences


def test_more_differences_than_can_be_looked_at_are_said_to_be_more(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.verify.compare.KEPT_ROWS_MAX", 100)
    rig = small(pair)
    pair.target.execute("update t set name = name || '!'")
    found = only(rig, "public.t", keys=True, limit=5)
    assert (found["verdict"], found["whole"], len(found["rows"])) == ("different", False, 5)
    assert 0 < found["differences"]["different"] <= 100


def test_the_order_of_columns_is_nothing(pair: Pair) -> None:
    pair.target.execute("create table public.t (doc text, mine int, name text, id int primary key)")
    rig = small(pair)
    assert only(rig, "public.t")["rows_target"] == 1000


# --- special tables ---


def test_wider_columns_at_the_target_are_compared_by_what_they_hold(each_pair: Pair) -> None:
    pair = each_pair
    pair.source.execute(
        "create table public.t (id int primary key, price numeric(6,2), at timestamp(0), f real, n int2)"
    )
    pair.target.execute(
        "create table public.t (id bigint primary key, price numeric(12,4), at timestamp(6), f float8, n text)"
    )
    pair.source.execute("insert into t select i, i * 0.5, now(), i / 7.0, i from generate_series(1, 500) i")
    rig = pair.rig(["public.t"]).start().opens().copied()
    assert only(rig, "public.t")["verdict"] == "equal"
    pair.target.execute("update t set price = price + 0.0001 where id = 5")
    assert only(rig, "public.t")["columns"] == {"price": 1}


def test_moved_keys_with_large_values_are_left_out_and_said_so(pair: Pair) -> None:
    pair.source.execute("create table public.t (id int primary key, name text, big text)")
    pair.source.execute("alter table t alter big set storage external")
    pair.source.execute("insert into t select i, 'n', repeat(i::text, 3000) from generate_series(1, 50) i")
    rig = pair.rig(["public.t"], write="append").start().opens().copied()
    pair.source.execute("update t set name = 'touched' where id <= 10")
    pair.source.execute("update t set id = id + 1000 where id <= 5")
    pair.source.execute("update t set name = 'again' where id = 1001")
    rig.reaches(lambda: pair.arrived("select count(*) from t where name = 'again'") == [(1,)])
    found = only(rig, "public.t")
    assert found["verdict"] == "equal"
    assert "5 rows have large values" in found["notes"][0]
    pair.target.execute("update t set name = 'wrong' where id = 1002 and _tidegate_op = 'insert'")
    assert "name" in only(rig, "public.t")["columns"]


def test_an_append_table_that_an_earlier_run_filled_is_compared_from_the_present_run_on(pair: Pair) -> None:
    rig = small(pair, "append")
    rig.cut()
    source = rig.make_source()
    source.end(rig.run)
    source.close()
    pair.source.execute("delete from t where id <= 100")
    again = pair.rig(["public.t"], write="append").start().opens().copied()
    found = only(again, "public.t")
    assert (found["verdict"], found["rows_target"]) == ("equal", 900)


def test_an_append_table_without_its_columns_is_refused_in_words(pair: Pair) -> None:
    pair.source.execute("create table public.t (id int primary key)")
    rig = pair.rig(["public.t"], write="append", target={"stamp": {"position": ""}}).start().opens().copied()
    found = only(rig, "public.t")
    assert found["verdict"] == "undecided"
    assert "no columns for operation, position and detail" in found["problem"]["detail"]


def test_a_truncate_of_an_append_table_is_followed(duck_pair: DuckPair) -> None:
    rig = small(duck_pair, "append")
    duck_pair.source.execute("truncate t; insert into t values (1, 'anew', null)")
    rig.reaches(lambda: only(rig, "public.t")["rows_source"] == 1)
    assert only(rig, "public.t")["verdict"] == "equal"


# --- what is happening meanwhile ---


def test_a_table_that_is_being_copied_is_told_by_name_and_can_be_waited_for(pair: Pair) -> None:
    steering = Steering()
    pair.source_class = steering.source_class()
    pair.source.execute("create table public.a (id int primary key); create table public.b (id int primary key)")
    steering.holds = lambda keys: True
    rig = pair.rig(["public.a", "public.b"]).start().opens()
    found = Asked(rig).findings()
    assert {f["verdict"] for f in found.values()} == {"undecided"}
    assert "public.a is still being copied" in found["public.a"]["problem"]["detail"]
    waiting = Asked(rig, wait=True)
    eventually(lambda: bool(waiting.reports), "it is taken up")
    steering.holds = lambda keys: False
    assert {f["verdict"] for f in waiting.findings().values()} == {"equal"}


def test_a_long_transaction_at_the_source_is_waited_for_by_nobody(pair: Pair) -> None:
    rig = small(pair)
    with psycopg.connect(pair.source_conninfo) as other:
        other.execute("insert into t values (-1, 'open', null)")
        pair.source.execute("insert into t values (-2, 'done', null)")
        rig.reaches(lambda: pair.equal("t"))
        found = only(rig, "public.t")
        assert (found["verdict"], found["rows_source"]) == ("equal", 1001)
        other.commit()
    rig.reaches(lambda: pair.equal("t"))


def test_a_table_truncated_while_it_is_compared_is_undecided_and_the_run_goes_on(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key)")
    pair.source.execute("create table public.b (id int primary key, t text)")
    pair.source.execute("insert into a values (1)")
    pair.source.execute("insert into b select i, repeat('x', 200) from generate_series(1, 20000) i")
    rig = pair.rig(["public.a", "public.b"]).start().opens().copied()
    asked = Asked(rig)
    eventually(lambda: any(r["state"] == "comparing" for r in asked.reports) or asked._over.is_set(), "it compares")
    pair.source.execute("truncate b; insert into b values (1, 'new')")
    rig.reaches(lambda: pair.equal("b"))
    assert asked.findings()["public.b"]["verdict"] in ("equal", "undecided")
    assert set(verdicts(rig).values()) == {"equal"}
    assert not [event for event in rig.events if event[0] == "restarted"]


def test_a_new_column_is_compared_once_it_is_at_the_target(pair: Pair) -> None:
    rig = small(pair)
    pair.source.execute("alter table t add column extra int default 7")
    found = only(rig, "public.t")
    assert (found["verdict"], found["notes"]) == (
        "equal",
        ["not at the target before the table's next change: extra"],
    )
    pair.source.execute("update t set extra = 8 where id = 1")
    rig.reaches(lambda: pair.equal("t"))
    assert only(rig, "public.t")["notes"] == []


def test_an_inquiry_nobody_wants_any_more_ends(pair: Pair) -> None:
    rig = small(pair)
    asked = Asked(rig, wanted=False)
    answer = asked.answer()
    assert (answer["state"], answer["problem"]["code"]) == ("ended", "verify.unfinished")
    assert only(rig, "public.t")["verdict"] == "equal"


def test_an_inquiry_ends_at_its_deadline(pair: Pair) -> None:
    answer = Asked(small(pair), deadline_s=0.0).answer()
    assert (answer["state"], answer["problem"]["code"]) == ("ended", "verify.unfinished")


def test_a_run_that_ends_tells_so(pair: Pair) -> None:
    rig = small(pair)
    with psycopg.connect(pair.source_conninfo) as other:
        other.execute("lock table t in access exclusive mode")
        asked = Asked(rig)
        eventually(lambda: any(r["state"] == "comparing" for r in asked.reports), "it waits for the table")
        rig.cut()
    answer = asked.answer()
    assert (answer["state"], answer["problem"]["code"]) == ("ended", "verify.unfinished")


def test_tables_are_chosen_by_name_or_pattern(pair: Pair) -> None:
    pair.source.execute("create table public.a1 (id int primary key); create table public.b (id int primary key)")
    rig = pair.rig(["public.a1", "public.b"]).start().opens().copied()
    assert set(verdicts(rig, "public.b")) == {"public.b"}
    assert set(verdicts(rig, r"public\.a.*")) == {"public.a1"}
    for nothing in ("public.c", "public.("):
        answer = Asked(rig, nothing).answer()
        assert (answer["state"], answer["problem"]["code"]) == ("ended", "verify.impossible")


def test_duckdb_is_let_go_of_after_a_comparison(duck_pair: DuckPair) -> None:
    rig = small(duck_pair)
    at_target(duck_pair, "select 1")
    assert only(rig, "public.t")["verdict"] == "equal"
    at_target(duck_pair, "select 1")


# --- what a snapshot cannot see ---


@pytest.mark.parametrize("statement", ["truncate t", "alter table t alter id type bigint", "vacuum full t"])
def test_a_source_table_whose_old_rows_are_gone_is_not_taken_for_an_empty_one(each_pair: Pair, statement: str) -> None:
    each_pair.source.execute("create table public.t (id int primary key) ; insert into t values (1)")
    source = each_pair.source_class(each_pair.source_config)
    view = source.view()
    view.open(60)
    view.mark()
    schema, rows = view.rows(TableName("public", "t"))
    assert (schema.names, [row for batch in rows for row in batch.to_pylist()]) == (("id",), [{"id": "1"}])
    each_pair.source.execute(statement)
    with pytest.raises(NotComparable, match=r"public\.t was truncated or rewritten"):
        view.rows(TableName("public", "t"))
    view.mark()
    view.rows(TableName("public", "t"))[1].close()
    view.close()
    source.close()


@pytest.mark.parametrize("statement", ["truncate parts_2", "alter table parts detach partition parts_2"])
def test_a_partition_whose_old_rows_are_gone_is_noticed_too(each_pair: Pair, statement: str) -> None:
    each_pair.source.execute(
        "create table public.parts (id int primary key) partition by range (id);"
        "create table parts_1 partition of parts for values from (0) to (10);"
        "create table parts_2 partition of parts for values from (10) to (20);"
        "insert into parts values (1), (11)"
    )
    source = each_pair.source_class(each_pair.source_config)
    view = source.view()
    view.open(60)
    view.mark()
    _, rows = view.rows(TableName("public", "parts"))
    assert sum(batch.num_rows for batch in rows) == 2
    each_pair.source.execute(statement)
    with pytest.raises(NotComparable, match=r"public\.parts was truncated or rewritten"):
        view.rows(TableName("public", "parts"))
    view.close()
    source.close()


def test_a_target_table_whose_old_rows_are_gone_is_not_taken_for_an_empty_one(each_pair: Pair) -> None:
    each_pair.source.execute("create table public.t (id int primary key); insert into t values (1)")
    rig = each_pair.rig(["public.t"]).start().opens().copied()
    place = TargetTable("public", "t", rig.source.schema(TableName("public", "t")), WriteMode.UPSERT)
    rig.reaches(lambda: each_pair.equal("t"))
    rig.cut()
    target = each_pair.make_target()
    view = target.view()
    view.open(60)
    view.hold(rig.run)
    assert [row for batch in view.rows(place, ["id"]) for row in batch.to_pylist()] == [{"id": "1"}]
    each_pair.target.execute("truncate t")
    with pytest.raises(NotComparable, match=r"public\.t was truncated or rewritten"):
        list(view.rows(place, ["id"]))
    view.close()
    target.close()
