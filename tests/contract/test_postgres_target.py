"""The target contract on the oldest and the newest PostgreSQL of this machine, and what only PostgreSQL has."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pyarrow as pa
import pytest

from tidegate.connect.capability import WriteMode
from tidegate.connect.config import parse_config
from tidegate.connect.postgres import PostgresConfig, connect, quoted
from tidegate.connect.target import Append, Clear, KeyRange, Net, Progress, Step, Stored, TargetTable
from tidegate.errors import (
    Fenced,
    TargetMisfit,
    TargetPrivilegeMissing,
    TargetUnreachable,
    TargetValueRefused,
)
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema
from tidegate.sources.postgres import PostgresSource
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import PostgresServer, until
from tidegate.testing.target_contract import TargetContract
from tidegate.testing.target_contract.ground import NEXT_RUN, ORDERS, RUN, batch

DATABASE = "target_contract"

# Much quicker than a new database for each test.
EMPTY = """
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
END $$
"""


@pytest.fixture(scope="module", params=["oldest", "newest"])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    server: PostgresServer = request.getfixturevalue(f"postgres_{request.param}")
    server.create_database(DATABASE)
    yield server
    server.drop_database(DATABASE)


@pytest.fixture
def config(server: PostgresServer) -> PostgresConfig:
    server.execute(EMPTY, DATABASE)
    return parse_config(PostgresConfig, server.config(DATABASE), of="target")


class TestPostgresTarget(TargetContract):
    @pytest.fixture(autouse=True)
    def _place(self, config: PostgresConfig) -> None:
        self.config = config

    def target(self) -> PostgresTarget:
        return PostgresTarget(self.config)

    def rows(self, table: TargetTable) -> list[dict[str, str | None]]:
        with connect(self.config, "target") as connection:
            result = connection.execute(f"SELECT * FROM {quoted(table.schema, table.name)}")
            return texts(result)


def texts(cursor: psycopg.Cursor[tuple[object, ...]]) -> list[dict[str, str | None]]:
    """The rows as the server spelled them, before any conversion."""
    names = [column.name for column in cursor.description or []]
    found = cursor.pgresult
    assert found is not None
    cells = [[found.get_value(row, place) for place in range(len(names))] for row in range(found.ntuples)]
    return [{n: None if c is None else c.decode() for n, c in zip(names, row, strict=True)} for row in cells]


# --- what only PostgreSQL has ---


def orders(source: TableSchema = ORDERS) -> TargetTable:
    return TargetTable("shop", "orders", source, WriteMode.UPSERT)


@pytest.fixture
def run(config: PostgresConfig) -> Iterator[PostgresTarget]:
    """A target with the table of orders and one row."""
    target = PostgresTarget(config)
    target.open(RUN, 1)
    target.prepare(orders(), create=True, replace=False)
    target.write([Append(orders(), [batch(("id", "note"), ("1", "a"))], last=True)], Progress("1"))
    yield target
    target.close()


@contextmanager
def hung(target: PostgresTarget) -> Iterator[Future[None]]:
    """A write that stands still in the middle of its transaction; goes on when the block ends."""
    inside, leave = threading.Event(), threading.Event()

    def rows() -> Iterator[pa.RecordBatch]:
        yield batch(("id",), ("2",))
        inside.set()
        assert leave.wait(60)
        yield batch(("id",), ("3",))

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(target.write, [Append(orders(), rows())], Progress("hung"))
        assert inside.wait(60)
        try:
            yield written
        finally:
            leave.set()


def test_a_worker_that_hangs_inside_a_write_does_not_keep_the_next_epoch_out(
    run: PostgresTarget, server: PostgresServer
) -> None:
    newer = PostgresTarget(run.config)
    with hung(run) as written:
        assert newer.open(RUN, 2) == Stored("1", {})
    with pytest.raises(TargetUnreachable):
        written.result(60)
    with pytest.raises(Fenced):
        run.open(RUN, 1)
    newer.close()
    assert server.execute("SELECT count(*) FROM shop.orders", DATABASE) == [(1,)]


def test_a_worker_that_hangs_inside_a_write_does_not_keep_its_run_from_being_forgotten(
    run: PostgresTarget, server: PostgresServer
) -> None:
    with hung(run) as written:
        PostgresTarget(run.config).forget(RUN)
    with pytest.raises(TargetUnreachable):
        written.result(60)
    assert PostgresTarget(run.config).stored(RUN) is None
    assert server.execute("SELECT count(*) FROM shop.orders", DATABASE) == [(1,)]


def test_a_commit_that_never_answers_is_settled_by_opening_again(run: PostgresTarget, server: PostgresServer) -> None:
    for statement in (
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$""",
        """CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON tidegate.position DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION die()""",
    ):
        server.execute("CREATE SCHEMA IF NOT EXISTS public", DATABASE)
        server.execute(statement, DATABASE)
    with pytest.raises(TargetUnreachable):
        run.write([Append(orders(), [batch(("id",), ("2",))])], Progress("2"))
    with pytest.raises(TargetUnreachable, match="opened again"):
        run.write([], Progress("2"))
    server.execute("DROP FUNCTION die() CASCADE", DATABASE)
    assert run.open(RUN, 1) == Stored("1", {})
    run.write([Append(orders(), [batch(("id",), ("2",))])], Progress("2"))
    assert server.execute("SELECT count(*) FROM shop.orders", DATABASE) == [(2,)]


# --- the key ---


KEY = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'shop.orders'::regclass AND contype = 'p'"
COMMENT = "SELECT obj_description('shop.orders'::regclass, 'pg_class')"


@pytest.fixture
def fresh(config: PostgresConfig) -> Iterator[PostgresTarget]:
    """A target with the table of orders, just made."""
    target = PostgresTarget(config)
    target.open(RUN, 1)
    target.prepare(orders(), create=True, replace=False)
    yield target
    target.close()


def keys(config: PostgresConfig) -> tuple[list[tuple[object, ...]], object]:
    """The table's primary keys, and its comment."""
    with connect(config, "target") as connection:
        return connection.execute(KEY).fetchall(), connection.execute(COMMENT).fetchall()[0][0]


def chunk(*ids: str, last: bool = False) -> Append:
    return Append(orders(), [batch(("id",), *((id,) for id in ids))], last=last)


def test_a_table_gets_its_key_with_the_last_of_the_rows_it_begins_with(fresh: PostgresTarget) -> None:
    fresh.write([chunk("2", "1")], Progress("1"))
    assert keys(fresh.config) == ([], "Tidegate adds the primary key when all rows are in")
    fresh.write([chunk(last=True)], Progress("2"))
    assert keys(fresh.config) == ([("PRIMARY KEY (id)",)], None)


@pytest.mark.parametrize(
    "step",
    [
        Net(orders(), puts=batch(("id", "note"), ("1", "b"))),
        Net(orders(), deletes=batch(("id",), ("1",))),
        Clear(orders(), [KeyRange(None, ("1",))]),
    ],
    ids=["put", "delete", "clear"],
)
def test_a_table_gets_its_key_earlier_if_rows_must_be_found_by_it(fresh: PostgresTarget, step: Step) -> None:
    fresh.write([chunk("1", "2")], Progress("1"))
    fresh.write([step], Progress("2"))
    assert keys(fresh.config) == ([("PRIMARY KEY (id)",)], None)
    fresh.write([chunk("3", last=True)], Progress("3"))
    assert keys(fresh.config) == ([("PRIMARY KEY (id)",)], None)


def test_rows_that_are_there_twice_when_the_key_is_made_are_refused(fresh: PostgresTarget) -> None:
    fresh.write([chunk("1", "2")], Progress("1"))
    with pytest.raises(TargetValueRefused):
        fresh.write([chunk("2", last=True)], Progress("2"))
    assert fresh.stored(RUN) == Stored("1", {})
    assert keys(fresh.config)[0] == []


def test_a_table_that_a_stopped_run_left_without_its_key_is_taken_again(fresh: PostgresTarget) -> None:
    fresh.write([chunk("1", "2")], Progress("1"))
    fresh.forget(RUN)
    fresh.open(NEXT_RUN, 1)
    assert not fresh.prepare(orders(), create=True, replace=False)
    fresh.write([Clear(orders(), None), chunk("3", last=True)], Progress("1"))
    assert keys(fresh.config) == ([("PRIMARY KEY (id)",)], None)


def test_a_key_that_somebody_made_meanwhile_is_not_made_again(
    fresh: PostgresTarget, config: PostgresConfig, server: PostgresServer
) -> None:
    fresh.write([Clear(orders(), None), chunk("1")], Progress("1"))
    server.execute("ALTER TABLE shop.orders ADD PRIMARY KEY (id)", DATABASE)
    fresh.write([chunk("2", last=True)], Progress("2"))
    assert keys(config)[0] == [("PRIMARY KEY (id)",)]


# --- rows that do not go in ---


@pytest.mark.parametrize("step", ["append", "put"])
def test_a_trigger_that_swallows_rows_is_noticed(run: PostgresTarget, server: PostgresServer, step: str) -> None:
    server.execute(
        "CREATE FUNCTION shop.swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$", DATABASE
    )
    server.execute(
        "CREATE TRIGGER swallow BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.swallow()", DATABASE
    )
    rows = batch(("id", "note"), ("2", "b"))
    with pytest.raises(TargetValueRefused, match="trigger"):
        run.write([Append(orders(), [rows]) if step == "append" else Net(orders(), puts=rows)], Progress("2"))
    assert run.stored(RUN) == Stored("1", {})


MEDDLER = "CREATE FUNCTION shop.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
TRIGGER = "CREATE TRIGGER meddle BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.meddle()"


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (TRIGGER, "trigger meddle"),
        ("CREATE RULE keep AS ON DELETE TO shop.orders DO INSTEAD NOTHING", "rule keep"),
    ],
)
def test_what_may_change_rows_or_keep_them_out_is_refused_by_name(
    run: PostgresTarget, server: PostgresServer, made: str, named: str
) -> None:
    assert run.misfits(orders()) == []
    server.execute(MEDDLER, DATABASE)
    server.execute(made, DATABASE)
    with pytest.raises(TargetMisfit, match=named):
        run.prepare(orders(), create=True, replace=False)


def test_a_trigger_of_a_partition_is_refused_like_one_of_the_table(
    config: PostgresConfig, server: PostgresServer
) -> None:
    server.execute("CREATE SCHEMA shop", DATABASE)
    server.execute(MEDDLER, DATABASE)
    columns = ", ".join(f"{c.name} {'int PRIMARY KEY' if c.name == 'id' else 'text'}" for c in ORDERS.columns)
    server.execute(f"CREATE TABLE shop.orders ({columns}) PARTITION BY HASH (id)", DATABASE)
    server.execute("CREATE TABLE shop.o PARTITION OF shop.orders FOR VALUES WITH (MODULUS 1, REMAINDER 0)", DATABASE)
    server.execute(TRIGGER.replace("shop.orders", "shop.o"), DATABASE)
    assert any("trigger meddle" in misfit.reason for misfit in PostgresTarget(config).misfits(orders()))


@pytest.mark.parametrize("enabled", ["ENABLE ALWAYS TRIGGER", "ENABLE REPLICA TRIGGER", "DISABLE TRIGGER"])
def test_a_trigger_that_is_wanted_by_name_or_does_not_fire_is_not_in_the_way(
    run: PostgresTarget, server: PostgresServer, enabled: str
) -> None:
    for statement in (MEDDLER, TRIGGER, f"ALTER TABLE shop.orders {enabled} meddle"):
        server.execute(statement, DATABASE)
    assert run.misfits(orders()) == []


def test_a_trigger_that_fires_after_the_row_changes_nothing_of_it(run: PostgresTarget, server: PostgresServer) -> None:
    for statement in (MEDDLER, TRIGGER.replace("BEFORE", "AFTER")):
        server.execute(statement, DATABASE)
    assert run.misfits(orders()) == []


def test_row_security_that_holds_for_the_user_is_refused(config: PostgresConfig, server: PostgresServer) -> None:
    server.execute("DROP ROLE IF EXISTS watched", DATABASE)
    server.execute("CREATE ROLE watched LOGIN", DATABASE)
    try:
        server.execute("CREATE SCHEMA shop AUTHORIZATION watched", DATABASE)
        server.execute(f"GRANT CREATE ON DATABASE {DATABASE} TO watched", DATABASE)
        target = PostgresTarget(
            parse_config(PostgresConfig, server.config(DATABASE) | {"user": "watched"}, of="target")
        )
        target.open(RUN, 1)
        target.prepare(orders(), create=True, replace=False)
        assert target.misfits(orders()) == []
        for what in ("ENABLE", "FORCE"):
            server.execute(f"ALTER TABLE shop.orders {what} ROW LEVEL SECURITY", DATABASE)
        assert any("row security" in misfit.reason for misfit in target.misfits(orders()))
        target.close()
    finally:
        server.execute(EMPTY, DATABASE)
        server.execute("DROP OWNED BY watched", DATABASE)
        server.execute("DROP ROLE watched", DATABASE)


def test_rows_that_need_each_other_go_in_together(run: PostgresTarget, server: PostgresServer) -> None:
    """An update refers to a row that the same step inserts: each statement alone would be refused."""
    server.execute("ALTER TABLE shop.orders ADD UNIQUE (doc)", DATABASE)
    server.execute("ALTER TABLE shop.orders ADD FOREIGN KEY (note) REFERENCES shop.orders (doc) NOT VALID", DATABASE)
    names = ("id", "note", "doc")
    for number in (2, 3):
        new = f"d{number}"
        step = Net(orders(), puts=batch(names, ("1", new, None)), inserts=batch(names, (str(number), None, new)))
        run.write([step], Progress(str(number)))
    found = server.execute("SELECT id::text, note, doc FROM shop.orders ORDER BY 1", DATABASE)
    assert found == [("1", "d3", None), ("2", None, "d2"), ("3", None, "d3")]


def test_rows_that_are_refused_either_way_leave_nothing(run: PostgresTarget, server: PostgresServer) -> None:
    server.execute("ALTER TABLE shop.orders ADD UNIQUE (note)", DATABASE)
    taken = Net(orders(), inserts=batch(("id", "note"), ("2", "a")))
    for _ in range(2):
        with pytest.raises(TargetValueRefused, match="unique"):
            run.write([taken], Progress("2"))
    assert run.stored(RUN) == Stored("1", {})


def test_row_level_security_cannot_hide_rows_from_a_delete(
    run: PostgresTarget, server: PostgresServer, config: PostgresConfig
) -> None:
    name = a_role(server)
    for statement in (
        "ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY none ON shop.orders TO {name} USING (false) WITH CHECK (true)",
        f"GRANT USAGE ON SCHEMA shop, tidegate TO {name}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA shop, tidegate TO {name}",
    ):
        server.execute(statement, DATABASE)
    limited = PostgresTarget(config.model_copy(update={"user": name}))
    limited.open(RUN, 2)
    with pytest.raises(TargetPrivilegeMissing):
        limited.write([Net(orders(), deletes=batch(("id",), ("1",)))], Progress("2"))
    limited.close()


@pytest.mark.parametrize("step", ["append", "inserts", "puts"])
def test_a_column_changed_between_two_writes_still_gets_the_values(
    step: str, run: PostgresTarget, server: PostgresServer
) -> None:
    """Bytes of the type it had would be read as other numbers."""
    whole = DataType(Kind.INT32, "integer")
    points = TableSchema(
        TableName("public", "points"), (Column("id", whole, False), Column("n", whole)), ("id",), "postgres"
    )
    table = TargetTable("shop", "points", points, WriteMode.UPSERT)
    run.prepare(table, create=True, replace=False)
    rows = batch(("id", "n"), *((str(n), str(n)) for n in range(500)))
    write = Append(table, [rows]) if step == "append" else Net(table, **{step: rows})
    run.write([write], Progress("1"))
    server.execute("TRUNCATE shop.points; ALTER TABLE shop.points ALTER n TYPE real", DATABASE)
    run.write([write], Progress("2"))
    found = server.execute("SELECT count(*), sum(n)::text FROM shop.points", DATABASE)
    assert found == [(500, "124750")]


def test_rows_that_pass_through_are_refused_by_columns_changed_meanwhile(
    run: PostgresTarget, server: PostgresServer
) -> None:
    whole = DataType(Kind.INT32, "integer")
    points = TableSchema(TableName("public", "points"), (Column("n", whole, False),), ("n",), "postgres")
    table = TargetTable("shop", "points", points, WriteMode.UPSERT)
    run.prepare(table, create=True, replace=False)
    with server.connect(DATABASE) as connection:
        query = "COPY (SELECT generate_series(1, 9)) TO STDOUT (FORMAT binary)"
        with connection.cursor() as cursor, cursor.copy(query) as copy:
            blocks = [bytes(block) for block in copy]
    run.write([Append(table, [], blocks, 9)], Progress("1"))
    server.execute("TRUNCATE shop.points; ALTER TABLE shop.points ALTER n TYPE real", DATABASE)
    with pytest.raises(TargetMisfit, match=r"shop\.points"):
        run.write([Append(table, [], blocks, 9)], Progress("2"))
    assert server.execute("SELECT count(*) FROM shop.points", DATABASE) == [(0,)]


def test_a_user_without_privileges_is_told_which(config: PostgresConfig, server: PostgresServer) -> None:
    limited = PostgresTarget(config.model_copy(update={"user": a_role(server)}))
    assert {check.name: check.code for check in limited.check() if not check.ok} == {
        "state": "target.privilege_missing"
    }
    with pytest.raises(TargetPrivilegeMissing, match="permission denied for database"):
        limited.open(RUN, 1)
    assert server.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'tidegate'", DATABASE) == [(0,)]


def test_a_user_with_a_prepared_place_needs_no_right_to_make_schemas(
    config: PostgresConfig, server: PostgresServer
) -> None:
    name = a_role(server)
    for schema in ("tidegate", "shop"):
        server.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {name}", DATABASE)
    limited = PostgresTarget(config.model_copy(update={"user": name}))
    assert [check for check in limited.check() if not check.ok] == []
    limited.open(RUN, 1)
    limited.prepare(orders(), create=True, replace=False)
    limited.write([Net(orders(), puts=batch(("id",), ("1",))), Clear(orders())], Progress("1"))
    limited.close()


_roles = itertools.count(1)


def a_role(server: PostgresServer) -> str:
    name = f"limited_{next(_roles)}"
    server.create_user(name)
    return name


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"user": "nobody"}, "target.auth_failed"),
        ({"database": "nowhere"}, "target.auth_failed"),
        ({"port": 1}, "target.unreachable"),
    ],
)
def test_a_target_that_lets_nobody_in_is_told_by_its_check(
    config: PostgresConfig, change: dict[str, object], code: str
) -> None:
    (check,) = PostgresTarget(config.model_copy(update=change)).check()
    assert (check.ok, check.code) == (False, code)
    assert check.advice


def test_source_and_target_of_one_database_have_one_identity(config: PostgresConfig) -> None:
    source = PostgresSource(config)
    assert PostgresTarget(config).identity() == source.identity()
    source.close()


MISFITS = {
    "amount numeric(10,2) GENERATED ALWAYS AS (1) STORED": "amount",
    "amount numeric(10,2) NOT NULL DEFAULT 0": "amount",
    "amount numeric(9,2)": "amount",
    "amount double precision": "amount",
    "amount integer": "amount",
    "amount numeric(10,2), doc varchar(5)": "doc",
    "amount numeric(10,2), id2 int NOT NULL": "id2",
    "amount numeric(10,2), UNIQUE (note)": "note",
    "amount numeric(10,2) REFERENCES other (a)": "amount",
}


@pytest.mark.parametrize("columns", MISFITS)
def test_what_does_not_fit_is_named(columns: str, config: PostgresConfig, server: PostgresServer) -> None:
    doc = "" if "doc" in columns else ", doc text"
    for statement in (
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.other (a numeric(10,2) PRIMARY KEY)",
        f"CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text, {columns.replace('other', 'shop.other')}{doc})",
    ):
        server.execute(statement, DATABASE)
    target = PostgresTarget(config)
    assert [misfit.column for misfit in target.misfits(orders())] == [MISFITS[columns]]
    target.open(RUN, 1)
    with pytest.raises(TargetMisfit, match=MISFITS[columns]):
        target.prepare(orders(), create=True, replace=True)
    target.close()


@pytest.mark.parametrize(
    "key",
    [
        "id bigint",
        "id bigint UNIQUE DEFERRABLE",
        "id integer PRIMARY KEY",
        "id text PRIMARY KEY",
        "id bigint, UNIQUE (id, note)",
    ],
)
def test_a_key_that_rows_cannot_be_upserted_by_is_named(
    key: str, config: PostgresConfig, server: PostgresServer
) -> None:
    server.execute("CREATE SCHEMA shop", DATABASE)
    server.execute(f"CREATE TABLE shop.orders (amount numeric(10,2), note text, doc text, {key})", DATABASE)
    assert "id" in {misfit.column for misfit in PostgresTarget(config).misfits(orders())}


def test_a_view_is_not_a_table_to_feed(config: PostgresConfig, server: PostgresServer) -> None:
    server.execute("CREATE SCHEMA shop", DATABASE)
    server.execute("CREATE VIEW shop.orders AS SELECT 1 AS id", DATABASE)
    assert ["view" in misfit.reason for misfit in PostgresTarget(config).misfits(orders())] == [True]


def test_a_unique_index_on_an_appended_table_is_named(config: PostgresConfig, server: PostgresServer) -> None:
    target = PostgresTarget(config)
    log = TargetTable("shop", "log", ORDERS, WriteMode.APPEND)
    target.open(RUN, 1)
    target.prepare(log, create=True, replace=False)
    server.execute("CREATE UNIQUE INDEX once ON shop.log (id)", DATABASE)
    assert [(m.column, "once" in m.reason) for m in target.misfits(log)] == [("id", True)]
    target.close()


def test_an_existing_table_of_richer_types_is_fed(config: PostgresConfig, server: PostgresServer) -> None:
    mood = TableSchema(
        TableName("public", "moods"),
        (
            Column("id", DataType(Kind.INT32, "integer"), False),
            Column("mood", DataType(Kind.TEXT, "text")),
            Column("pair", DataType(Kind.OTHER, "text")),
            Column("size", DataType(Kind.INT16, "smallint")),
        ),
        ("id",),
        "postgres",
    )
    for statement in (
        "CREATE SCHEMA shop",
        "CREATE TYPE shop.mood AS ENUM ('sad', 'ok')",
        "CREATE TYPE shop.pair AS (a int, b text)",
        "CREATE DOMAIN shop.size AS integer CHECK (VALUE > 0)",
        """CREATE TABLE shop.moods (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood shop.mood, pair shop.pair,
           size shop.size, extra text DEFAULT 'x')""",
    ):
        server.execute(statement, DATABASE)
    table = TargetTable("shop", "moods", mood, WriteMode.UPSERT)
    target = PostgresTarget(config)
    assert target.misfits(table) == []
    target.open(RUN, 1)
    target.prepare(table, create=False, replace=False)
    target.write([Append(table, [batch(mood.names, ("1", "sad", "(1,x)", "3"))])], Progress("1"))
    target.write([Net(table, puts=batch(mood.names, ("1", "ok", None, "4"), ("2", None, None, None)))], Progress("2"))
    for wrong in (("3", "angry", None, None), ("3", None, None, "-1")):
        with pytest.raises(TargetValueRefused, match=r"shop\.moods") as refusal:
            target.write([Net(table, puts=batch(mood.names, wrong))], Progress("3"))
        assert "angry" not in str(refusal.value)
    target.close()
    assert server.execute("SELECT id, mood::text, size, extra FROM shop.moods ORDER BY 1", DATABASE) == [
        (1, "ok", 4, "x"),
        (2, None, None, "x"),
    ]


def test_texts_are_cleared_by_their_bytes_whatever_the_columns_collation(
    config: PostgresConfig, server: PostgresServer
) -> None:
    if server.execute("SELECT count(*) FROM pg_collation WHERE collname = 'en-x-icu'", DATABASE) == [(0,)]:
        pytest.skip("this build of PostgreSQL has no collation but C")
    server.execute("CREATE SCHEMA shop", DATABASE)
    server.execute('CREATE TABLE shop.names (name text COLLATE "en-x-icu" PRIMARY KEY)', DATABASE)
    names = TableSchema(TableName("p", "names"), (Column("name", DataType(Kind.TEXT, "text"), False),), ("name",), "x")
    table = TargetTable("shop", "names", names, WriteMode.UPSERT)
    target = PostgresTarget(config)
    target.open(RUN, 1)
    target.prepare(table, create=False, replace=False)
    target.write([Append(table, [batch(("name",), ("B",), ("a",), ("b",))])], Progress("1"))
    target.write([Clear(table, [KeyRange(None, ("B",))])], Progress("2"))
    target.close()
    assert server.execute("SELECT name FROM shop.names ORDER BY 1", DATABASE) == [("a",), ("b",)]


def test_a_table_that_others_refer_to_is_cleared_by_deleting(run: PostgresTarget, server: PostgresServer) -> None:
    server.execute("CREATE TABLE shop.child (id bigint REFERENCES shop.orders ON DELETE CASCADE)", DATABASE)
    server.execute("INSERT INTO shop.child VALUES (1)", DATABASE)
    run.write([Clear(orders())], Progress("2"))
    assert server.execute("SELECT count(*) FROM shop.orders", DATABASE) == [(0,)]


def test_a_duplicate_is_refused_by_its_constraints_name_and_without_its_value(run: PostgresTarget) -> None:
    with pytest.raises(TargetValueRefused, match=r"shop\.orders.*orders_pkey") as refusal:
        run.write([Append(orders(), [batch(("id",), ("770077",), ("770077",))])], Progress("2"))
    assert "770077" not in str(refusal.value)


@pytest.mark.parametrize("name", ["é" * 32, "x" * 64])
def test_a_name_the_server_would_cut_off_is_refused(config: PostgresConfig, name: str) -> None:
    target = PostgresTarget(config)
    target.open(RUN, 1)
    with pytest.raises(TargetMisfit, match="63 bytes"):
        target.prepare(TargetTable("shop", name, ORDERS, WriteMode.UPSERT), create=True, replace=False)
    target.close()


def test_a_server_that_commits_without_waiting_is_made_to_wait(config: PostgresConfig, server: PostgresServer) -> None:
    server.execute(f"ALTER DATABASE {DATABASE} SET synchronous_commit = off", DATABASE)
    try:
        with PostgresTarget(config)._session() as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("local",)
    finally:
        server.execute(f"ALTER DATABASE {DATABASE} RESET synchronous_commit", DATABASE)


def test_batches_of_ever_new_shapes_do_not_pile_up_temporary_tables(
    run: PostgresTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.targets.postgres.stages._MOST", 2)
    shapes = [("id",), ("id", "note"), ("id", "doc"), ("id", "note", "doc"), ("doc", "id")]
    for names in shapes * 2:
        run.write([Net(orders(), patches=[batch(names, tuple("1" for _ in names))])], Progress("2"))
        with run._session() as connection:
            count = connection.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'")
            assert (count.fetchone() or (99,))[0] <= 3


def test_no_session_and_no_temporary_table_is_left(run: PostgresTarget, server: PostgresServer) -> None:
    run.write([Net(orders(), puts=batch(("id",), ("5",)))], Progress("2"))
    run.close()
    mine = f"SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'tidegate {RUN}%'"
    until(lambda: server.execute(mine, DATABASE) == [(0,)], "the session to end", 10)
    left = "SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'"
    until(lambda: server.execute(left, DATABASE) == [(0,)], "temporary tables to go", 10)
