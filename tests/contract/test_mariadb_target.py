"""The target contract on MariaDB, and what only MariaDB has."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pymysql
import pytest

from tidegate.connect.capability import WriteMode
from tidegate.connect.config import SecretStr, parse_config
from tidegate.connect.mariadb import MariadbConfig, quoted
from tidegate.connect.target import Append, Clear, Net, Progress, Stamp, Stored, TargetTable
from tidegate.errors import (
    Fenced,
    NotComparable,
    TargetConflict,
    TargetMisfit,
    TargetNameClash,
    TargetPrivilegeMissing,
    TargetSettingWrong,
    TargetUnfit,
    TargetUnreachable,
    TargetValueRefused,
)
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema
from tidegate.targets.mariadb import MariadbTarget
from tidegate.targets.mariadb.catalog import kinds
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.proxy import Proxy, Then, behind
from tidegate.testing.servers import until
from tidegate.testing.target_contract import TargetContract
from tidegate.testing.target_contract.ground import INT, LINES, ORDERS, RUN, TEXT, batch, one_column

COMMIT = behind(rb"\x07\x00\x00\x00\x03COMMIT")
SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")

BEYOND = {"infinity", "-infinity"}


@pytest.fixture
def config(mariadb: MariadbServer) -> MariadbConfig:
    for (name,) in mariadb.execute("SELECT schema_name FROM information_schema.schemata"):
        if name not in SYSTEM:
            mariadb.drop_database(name)
    return parse_config(MariadbConfig, mariadb.config(), of="target")


def canonical(text: str | None, kind: Kind, type: str) -> str | None:
    """What MariaDB shows of a value, in the grammar of `Kind`."""
    if text is None:
        return None
    if kind is Kind.BOOL:
        return {"1": "t", "0": "f"}[text]
    if kind is Kind.BYTES:
        return "\\x" + text.lower()
    if type in ("time(6)", "datetime(6)"):
        text = text.rstrip("0").rstrip(".")
    return f"{text}+00" if kind is Kind.TIMESTAMPTZ else text


class Noting(MariadbTarget):
    """Remembers the kinds of the columns that it added: the types here do not tell all of them apart."""

    added: ClassVar[dict[str, Kind]] = {}

    def add_columns(self, table: TargetTable, columns: Sequence[Column]) -> None:
        self.added.update({column.name: column.type.kind for column in columns})
        super().add_columns(table, columns)


class TestMariadbTarget(TargetContract):
    unheld: ClassVar = {
        "real": {"NaN", "Infinity", "-Infinity", "-0"},
        "double precision": {"NaN", "Infinity", "-Infinity", "-0"},
        "numeric(10,2)": {"NaN"},
        "date": {"0044-03-15 BC", "4713-01-01 BC", "10000-01-01", "5874897-12-31"} | BEYOND,
        "timestamp without time zone": {
            "0044-03-15 01:02:03.5 BC",
            "0044-03-15 00:00:00 BC",
            "4714-11-24 00:00:00 BC",
            "10000-01-01 00:00:00.000001",
            "294276-12-31 23:59:59.999999",
        }
        | BEYOND,
        "timestamp with time zone": {
            "0044-03-15 01:02:03.5+00 BC",
            "0044-03-15 00:00:00+00 BC",
            "10000-01-01 00:00:00+00",
            "10000-01-01 00:00:00.000001+00",
            "294276-12-31 23:59:59.999999+00",
        }
        | BEYOND,
    }

    @pytest.fixture(autouse=True)
    def _place(self, config: MariadbConfig, mariadb: MariadbServer) -> None:
        self.config = config
        self.server = mariadb

    def target(self) -> MariadbTarget:
        return Noting(self.config)

    def rows(self, table: TargetTable) -> list[dict[str, str | None]]:
        kind = kinds(table) | Noting.added
        with self.server.connect(conv={}) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT column_name, column_type FROM information_schema.columns"
                " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
                (table.schema, table.name),
            )
            columns = cursor.fetchall()
            shown = [f"{'HEX' if kind[n] is Kind.BYTES else ''}(`{n.replace('`', '``')}`)" for n, _ in columns]
            shown = [one + " + 0e0" if type == "float" else one for one, (_, type) in zip(shown, columns, strict=True)]
            cursor.execute(f"SELECT {', '.join(shown)} FROM {quoted(table.schema, table.name)}")
            found = cursor.fetchall()
        return [{n: canonical(text, kind[n], t) for text, (n, t) in zip(row, columns, strict=True)} for row in found]


# --- what only MariaDB has ---


def orders(source: TableSchema = ORDERS, name: str = "orders") -> TargetTable:
    return TargetTable("shop", name, source, WriteMode.UPSERT)


def keyed(*columns: tuple[str, DataType]) -> TargetTable:
    """A table of these columns, the last of which is not of the key."""
    made = tuple(Column(name, type, False) for name, type in columns)
    return orders(TableSchema(TableName("p", "keyed"), made, tuple(c.name for c in made[:-1]), "postgres"), "keyed")


@pytest.fixture
def run(config: MariadbConfig) -> Iterator[MariadbTarget]:
    """A target with the table of orders and one row."""
    target = MariadbTarget(config)
    target.open(RUN, 1)
    target.prepare(orders(), create=True, replace=False)
    target.write([Append(orders(), [batch(("id", "note"), ("1", "a"))])], Progress("1"))
    yield target
    target.close()


@contextmanager
def hung(target: MariadbTarget) -> Iterator[Future[None]]:
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
    run: MariadbTarget, mariadb: MariadbServer
) -> None:
    newer = MariadbTarget(run.config)
    with hung(run) as written:
        assert newer.open(RUN, 2) == Stored("1", {})
    with pytest.raises(TargetUnreachable):
        written.result(60)
    with pytest.raises(Fenced):
        run.open(RUN, 1)
    newer.close()
    assert mariadb.execute("SELECT COUNT(*) FROM shop.orders") == [(1,)]


def test_a_worker_that_hangs_inside_a_write_does_not_keep_its_run_from_being_forgotten(
    run: MariadbTarget, mariadb: MariadbServer
) -> None:
    with hung(run) as written:
        MariadbTarget(run.config).forget(RUN)
    with pytest.raises(TargetUnreachable):
        written.result(60)
    assert MariadbTarget(run.config).stored(RUN) is None
    assert mariadb.execute("SELECT COUNT(*) FROM shop.orders") == [(1,)]


def test_a_worker_that_hangs_while_it_makes_a_table_makes_none_once_it_is_replaced(
    run: MariadbTarget, mariadb: MariadbServer
) -> None:
    """A statement that makes a table commits by itself, so that no transaction guards it."""
    with mariadb.connect() as blocker, blocker.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("LOCK TABLES shop.orders WRITE")
        added = pool.submit(run.add_columns, orders(), [Column("more", TEXT)])
        waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'"
        until(lambda: mariadb.execute(waits) == [(1,)], "the change to wait", 30)
        newer = MariadbTarget(run.config)
        assert newer.open(RUN, 2) == Stored("1", {})
        with pytest.raises(TargetUnreachable):
            added.result(60)
        cursor.execute("UNLOCK TABLES")
    assert [column.name for column in newer.columns(orders()) or []] == list(ORDERS.names)
    newer.close()


def test_a_connection_this_worker_has_lost_does_not_keep_it_out(run: MariadbTarget) -> None:
    """The server may not have noticed yet; it holds the lock by which the worker is found, and the run's row."""
    lost, run._connection = run._connection, None
    assert lost is not None
    with lost.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT * FROM tidegate.position FOR UPDATE")
    assert run.open(RUN, 1) == Stored("1", {})
    run.write([], Progress("2"))
    with pytest.raises(pymysql.Error), lost.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_a_commit_that_never_answers_is_settled_by_opening_again(
    config: MariadbConfig, run: MariadbTarget, mariadb: MariadbServer
) -> None:
    with Proxy((mariadb.host, mariadb.port)) as proxy:
        wired = MariadbTarget(config.model_copy(update={"port": proxy.port}))
        assert wired.open(RUN, 2) == Stored("1", {})
        for number in ("2", "3"):
            proxy.when(proxy.up, COMMIT, Then.RESET_UNANSWERED)
            with pytest.raises(TargetUnreachable):
                wired.write([Append(orders(), [batch(("id",), (number,))])], Progress(number))
            with pytest.raises(TargetUnreachable, match="opened again"):
                wired.write([], Progress(number))
            assert wired.open(RUN, 2) == Stored(number, {})
        wired.close()
    assert mariadb.execute("SELECT COUNT(*) FROM shop.orders") == [(3,)]


@pytest.mark.parametrize("engine", ["MyISAM", "Aria", "MEMORY"])
def test_a_table_without_transactions_is_refused(config: MariadbConfig, mariadb: MariadbServer, engine: str) -> None:
    mariadb.create_database("shop")
    mariadb.execute(
        "CREATE TABLE shop.orders (id BIGINT PRIMARY KEY, amount DECIMAL(10,2), note VARCHAR(9), doc VARCHAR(9))"
        f" ENGINE = {engine}"
    )
    (misfit,) = MariadbTarget(config).misfits(orders())
    assert engine in misfit.reason
    assert "InnoDB" in misfit.reason


MISFITS = {
    "amount DECIMAL(10,2) AS (1.00) STORED": "amount",
    "amount DECIMAL(10,2) NOT NULL DEFAULT 0": "amount",
    "amount DECIMAL(9,2)": "amount",
    "amount DOUBLE": "amount",
    "amount BIGINT": "amount",
    "amount DECIMAL(10,2), shelf INT NOT NULL": "shelf",
    "amount DECIMAL(10,2), UNIQUE (note(9))": "note",
    "amount DECIMAL(10,2), FOREIGN KEY (amount) REFERENCES shop.other (a)": "amount",
}


@pytest.mark.parametrize("columns", MISFITS)
def test_what_does_not_fit_is_named(columns: str, config: MariadbConfig, mariadb: MariadbServer) -> None:
    mariadb.create_database("shop")
    mariadb.execute("CREATE TABLE shop.other (a DECIMAL(10,2) PRIMARY KEY)")
    mariadb.execute(f"CREATE TABLE shop.orders (id BIGINT PRIMARY KEY, note LONGTEXT, doc LONGTEXT, {columns})")
    target = MariadbTarget(config)
    assert [misfit.column for misfit in target.misfits(orders())] == [MISFITS[columns]]
    target.open(RUN, 1)
    with pytest.raises(TargetMisfit, match=MISFITS[columns]):
        target.prepare(orders(), create=True, replace=True)
    target.close()


@pytest.mark.parametrize(
    "type",
    ["TEXT", "VARCHAR(200) CHARACTER SET latin1", "MEDIUMTEXT", "CHAR(255)", "LONGTEXT CHARACTER SET utf8mb3", "BLOB"],
)
def test_a_text_column_that_cannot_take_every_text_is_named(
    type: str, config: MariadbConfig, mariadb: MariadbServer
) -> None:
    mariadb.create_database("shop")
    mariadb.execute(
        f"CREATE TABLE shop.orders (id BIGINT PRIMARY KEY, amount DECIMAL(10,2), note {type}, doc LONGTEXT)"
    )
    assert {misfit.column for misfit in MariadbTarget(config).misfits(orders())} == {"note"}


@pytest.mark.parametrize("collation", ["utf8mb4_general_ci", "utf8mb4_bin", "utf8mb4_unicode_nopad_ci"])
def test_a_key_that_takes_different_texts_for_one_is_named(
    collation: str, config: MariadbConfig, mariadb: MariadbServer
) -> None:
    mariadb.create_database("shop")
    mariadb.execute(
        f"CREATE TABLE shop.lines (region VARCHAR(90) COLLATE {collation}, no BIGINT, note LONGTEXT,"
        " PRIMARY KEY (region, no))"
    )
    lines = TargetTable("shop", "lines", LINES, WriteMode.UPSERT)
    (misfit,) = MariadbTarget(config).misfits(lines)
    assert (misfit.column, collation in misfit.reason) == ("region", True)


def test_keys_that_differ_in_case_accents_or_blanks_are_different_rows(run: MariadbTarget) -> None:
    table = keyed(("k", TEXT), ("n", TEXT))
    keys = ["a", "A", "á", "a ", " a", "a\t", "", " ", "ａ", "ß", "ss"]
    run.prepare(table, create=True, replace=False)
    run.write([Append(table, [batch(("k", "n"), *((key, "old") for key in keys))])], Progress("2"))
    run.write([Net(table, deletes=batch(("k",), ("a",)), puts=batch(("k", "n"), ("a ", "new")))], Progress("3"))
    with run._session() as cursor:
        cursor.execute("SELECT k, n FROM shop.keyed")
        found = dict(cursor.fetchall())
    assert found == {key: "new" if key == "a " else "old" for key in keys if key != "a"}


def test_texts_of_a_key_get_what_an_index_has_room_for(run: MariadbTarget, mariadb: MariadbServer) -> None:
    table = keyed(("a", TEXT), ("b", DataType(Kind.BYTES, "bytea")), ("n", INT), ("rest", TEXT))
    run.prepare(table, create=True, replace=False)
    found = mariadb.execute(
        "SELECT column_type FROM information_schema.columns WHERE table_name = 'keyed' ORDER BY ordinal_position"
    )
    assert [type for (type,) in found] == ["varchar(383)", "varbinary(1532)", "bigint(20)", "longtext"]
    names = ("a", "b", "n", "rest")
    run.write([Append(table, [batch(names, ("é" * 383, "\\x" + "ff" * 1532, "1", ""))])], Progress("2"))
    for longer in (("é" * 384, "\\x", "2", ""), ("", "\\x" + "ff" * 1533, "2", "")):
        with pytest.raises(TargetValueRefused, match=r"shop\.keyed\.[ab]: a value"):
            run.write([Append(table, [batch(names, longer)])], Progress("3"))


def test_a_row_of_many_texts_has_room_for_all_of_them(run: MariadbTarget) -> None:
    short = DataType(Kind.TEXT, "character varying(60)", length=60)
    columns = (Column("id", INT, False), *(Column(f"c{n}", short) for n in range(300)))
    table = orders(TableSchema(TableName("p", "wide"), columns, ("id",), "postgres"), "wide")
    run.prepare(table, create=True, replace=False)
    assert run.misfits(table) == []
    row = ("1", *("é" * 60 for _ in range(300)))
    run.write([Append(table, [batch(table.source.names, row)])], Progress("2"))


def test_a_zero_is_a_key_like_others(config: MariadbConfig, mariadb: MariadbServer) -> None:
    """Where the server would count up by itself, it takes a zero for the wish to."""
    mariadb.create_database("shop")
    mariadb.execute(
        "CREATE TABLE shop.orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, amount DECIMAL(10,2), note LONGTEXT,"
        " doc LONGTEXT)"
    )
    target = MariadbTarget(config)
    target.open(RUN, 1)
    target.prepare(orders(), create=False, replace=False)
    target.write([Append(orders(), [batch(("id",), ("0",))])], Progress("1"))
    target.write([Net(orders(), puts=batch(("id", "note"), ("0", "b"), ("-1", "c")))], Progress("2"))
    target.close()
    assert mariadb.execute("SELECT id, note FROM shop.orders ORDER BY 1") == [(-1, "c"), (0, "b")]


def test_a_row_is_never_replaced_by_another_unique_key(run: MariadbTarget, mariadb: MariadbServer) -> None:
    mariadb.execute("ALTER TABLE shop.orders ADD UNIQUE (note(9))")
    taken = batch(("id", "note"), ("2", "a"))
    for step in (Net(orders(), inserts=taken), Net(orders(), puts=taken), Append(orders(), [taken])):
        for _ in range(2):
            with pytest.raises(TargetValueRefused, match="unique"):
                run.write([step], Progress("2"))
    assert mariadb.execute("SELECT id, note FROM shop.orders") == [(1, "a")]
    assert run.stored(RUN) == Stored("1", {})


@pytest.mark.parametrize(
    ("type", "value"),
    [
        (DataType(Kind.DECIMAL, "numeric(10,2)", 10, 2), "1.005"),
        (DataType(Kind.TIME, "time without time zone"), "00:00:00.1234567"),
        (DataType(Kind.TIMESTAMP, "timestamp without time zone"), "2024-01-01 00:00:00.1234567"),
        (DataType(Kind.TIMESTAMPTZ, "timestamp with time zone"), "2024-01-01 00:00:00.1234567+00"),
        (DataType(Kind.TIMESTAMPTZ, "timestamp with time zone"), "2024-01-01 00:00:00+01"),
        (DataType(Kind.DATE, "date"), "2024-01-01 BC"),
        (DataType(Kind.TEXT, "character varying(3)", length=3), "abc "),
        (DataType(Kind.INT16, "smallint"), "1x"),
        (DataType(Kind.BOOL, "boolean"), "yes"),
    ],
)
def test_what_mariadb_would_bend_is_refused(run: MariadbTarget, type: DataType, value: str) -> None:
    table = orders(one_column(type), "one")
    run.prepare(table, create=True, replace=False)
    rows = batch(("id", "value"), ("1", value))
    for step in (Append(table, [rows]), Net(table, puts=rows)):
        with pytest.raises(TargetValueRefused, match=r"shop\.one\.value") as refusal:
            run.write([step], Progress("2"))
        assert value not in str(refusal.value)


def test_a_document_deeper_than_the_server_can_follow_is_refused(run: MariadbTarget) -> None:
    table = orders(one_column(DataType(Kind.JSON, "json")), "one")
    run.prepare(table, create=True, replace=False)
    run.write([Append(table, [batch(("id", "value"), ("1", "[" * 31 + "]" * 31))])], Progress("2"))
    with pytest.raises(TargetValueRefused, match=r"shop\.one.*deeper"):
        run.write([Append(table, [batch(("id", "value"), ("2", "[" * 33 + "]" * 33))])], Progress("3"))


def test_a_value_that_cannot_be_held_can_be_once_its_column_is_text(run: MariadbTarget, mariadb: MariadbServer) -> None:
    table = orders(one_column(DataType(Kind.FLOAT64, "double precision")), "one")
    run.prepare(table, create=True, replace=False)
    rows = batch(("id", "value"), ("1", "NaN"), ("2", "-0"))
    with pytest.raises(TargetValueRefused, match="finite"):
        run.write([Append(table, [rows])], Progress("2"))
    mariadb.execute("ALTER TABLE shop.one MODIFY value LONGTEXT CHARACTER SET utf8mb4")
    run.prepare(table, create=False, replace=False)
    run.write([Append(table, [rows])], Progress("2"))
    assert mariadb.execute("SELECT id, value FROM shop.one ORDER BY 1") == [(1, "NaN"), (2, "-0")]


def test_large_values_need_no_large_packets(config: MariadbConfig, run: MariadbTarget, mariadb: MariadbServer) -> None:
    (before,) = mariadb.execute("SELECT @@global.max_allowed_packet")[0]
    mariadb.execute("SET GLOBAL max_allowed_packet = 1048576")
    try:
        table = orders(one_column(DataType(Kind.BYTES, "bytea")), "one")
        run.open(RUN, 1)
        run.prepare(table, create=True, replace=False)
        value = "\\x" + "5c090a00" * 1_000_000
        rows = batch(("id", "value"), ("1", value))
        run.write([Append(table, [rows]), Net(table, puts=rows)], Progress("2"))
        assert mariadb.execute("SELECT LENGTH(value), MD5(value) FROM shop.one") == [
            (4_000_000, hashlib.md5(b"\x5c\x09\x0a\x00" * 1_000_000).hexdigest())  # noqa: S324
        ]
    finally:
        mariadb.execute(f"SET GLOBAL max_allowed_packet = {before}")


def test_a_row_of_one_empty_text_is_a_row(run: MariadbTarget) -> None:
    table = TargetTable(
        "shop", "one", TableSchema(TableName("p", "one"), (Column("t", TEXT),), (), "x"), WriteMode.APPEND
    )
    table = dataclasses.replace(table, stamp=Stamp("", "", "", ""))
    run.prepare(table, create=True, replace=False)
    run.write([Append(table, [batch(("t",), ("",), (None,), ("\n",), ("",))])], Progress("2"))
    with run._session() as cursor:
        cursor.execute("SELECT t FROM shop.one ORDER BY 1")
        assert cursor.fetchall() == ((None,), ("",), ("",), ("\n",))


def test_a_server_that_asks_for_a_file_gets_none(run: MariadbTarget, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("1\n")
    with run._session() as cursor:
        cursor.execute("CREATE TABLE shop.stolen (line LONGTEXT)")
    with pytest.raises(TargetUnreachable), run._session() as cursor:
        cursor.execute(f"LOAD DATA LOCAL INFILE '{secret}' INTO TABLE shop.stolen")
    assert run.open(RUN, 1) == Stored("1", {})
    with run._session() as cursor:
        cursor.execute("SELECT COUNT(*) FROM shop.stolen")
        assert cursor.fetchall() == (("0",),)


def test_a_table_made_again_under_its_name_is_known_for_another(run: MariadbTarget, mariadb: MariadbServer) -> None:
    assert run.remade(RUN, orders()) is False
    mariadb.execute("ALTER TABLE shop.orders ADD INDEX (amount)")
    mariadb.execute("ALTER TABLE shop.orders COMMENT = 'ours'")
    assert run.remade(RUN, orders()) is False
    mariadb.execute("CREATE TABLE shop.saved AS SELECT * FROM shop.orders")
    mariadb.execute("DROP TABLE shop.orders")
    mariadb.execute("RENAME TABLE shop.saved TO shop.orders")
    assert run.remade(RUN, orders()) is True
    assert run.lost(RUN, [orders(), orders(name="gone")]) == [
        "shop.orders was dropped and made again",
        "shop.gone is gone",
    ]


def test_a_server_that_cannot_be_loaded_into_says_which_setting_it_is(
    config: MariadbConfig, mariadb: MariadbServer
) -> None:
    wrong = (("local_infile", 0, 1), ("innodb_flush_log_at_trx_commit", 0, 2), ("wsrep_load_data_splitting", 1, 0))
    for setting, bad, good in wrong:
        mariadb.execute(f"SET GLOBAL {setting} = {bad}")
        try:
            target = MariadbTarget(config)
            assert [check.code for check in target.check() if not check.ok] == ["target.setting_wrong"]
            with pytest.raises(TargetSettingWrong, match=setting):
                target.open(RUN, 1)
        finally:
            mariadb.execute(f"SET GLOBAL {setting} = {good}")


def test_a_server_that_is_read_only_is_told_and_tried_again(
    config: MariadbConfig, run: MariadbTarget, mariadb: MariadbServer
) -> None:
    mariadb.create_user("writer", "w", grants="ALL ON shop.*")
    mariadb.execute("GRANT ALL ON tidegate.* TO 'writer'@'127.0.0.1'")
    limited = MariadbTarget(config.model_copy(update={"user": "writer", "password": SecretStr("w")}))
    mariadb.execute("SET GLOBAL read_only = ON")
    try:
        assert [(check.name, check.code) for check in limited.check() if not check.ok] == [
            ("writable", "target.conflict")
        ]
        with pytest.raises(TargetConflict):
            limited.open(RUN, 2)
    finally:
        mariadb.execute("SET GLOBAL read_only = OFF")
        mariadb.execute("DROP USER 'writer'@'127.0.0.1'")


def test_a_user_without_privileges_is_told_which(config: MariadbConfig, mariadb: MariadbServer) -> None:
    mariadb.create_user("limited", "l", grants="SELECT ON *.*")
    limited = MariadbTarget(config.model_copy(update={"user": "limited", "password": SecretStr("l")}))
    try:
        (check,) = [check for check in limited.check() if not check.ok]
        assert (check.name, check.code) == ("state", "target.privilege_missing")
        assert "CREATE TEMPORARY TABLES" in check.advice
        with pytest.raises(TargetPrivilegeMissing, match="denied"):
            limited.open(RUN, 1)
    finally:
        mariadb.execute("DROP USER 'limited'@'127.0.0.1'")


def test_a_user_with_a_prepared_place_needs_no_other(config: MariadbConfig, mariadb: MariadbServer) -> None:
    mariadb.create_user("placed", "p")
    for database in ("tidegate", "shop"):
        mariadb.create_database(database)
        mariadb.execute(f"GRANT ALL ON {database}.* TO 'placed'@'127.0.0.1'")
    limited = MariadbTarget(config.model_copy(update={"user": "placed", "password": SecretStr("p")}))
    try:
        assert [check for check in limited.check() if not check.ok] == []
        limited.open(RUN, 1)
        limited.prepare(orders(), create=True, replace=False)
        limited.write([Net(orders(), puts=batch(("id",), ("1",))), Clear(orders())], Progress("1"))
        limited.close()
    finally:
        mariadb.execute("DROP USER 'placed'@'127.0.0.1'")


@pytest.mark.parametrize(
    ("change", "code"),
    [({"user": "nobody"}, "target.auth_failed"), ({"port": 1}, "target.unreachable")],
)
def test_a_target_that_lets_nobody_in_is_told_by_its_check(
    config: MariadbConfig, change: dict[str, object], code: str
) -> None:
    (check,) = MariadbTarget(config.model_copy(update=change)).check()
    assert (check.ok, check.code) == (False, code)
    assert check.advice


@pytest.mark.parametrize("name", ["x" * 65, "blank ", "smile 😀"])
def test_a_name_the_server_cannot_have_is_refused(run: MariadbTarget, name: str) -> None:
    with pytest.raises(TargetUnfit):
        run.prepare(orders(name=name), create=True, replace=False)


def test_columns_that_differ_in_upper_and_lower_case_only_are_refused(run: MariadbTarget) -> None:
    both = TableSchema(ORDERS.name, (*ORDERS.columns, Column("NOTE", TEXT)), ("id",), "postgres")
    with pytest.raises(TargetUnfit, match="NOTE and note"):
        run.prepare(orders(both, "both"), create=True, replace=False)


def test_a_view_is_not_a_table_to_feed(config: MariadbConfig, mariadb: MariadbServer) -> None:
    mariadb.create_database("shop")
    mariadb.execute("CREATE VIEW shop.orders AS SELECT 1 AS id")
    assert ["view" in misfit.reason for misfit in MariadbTarget(config).misfits(orders())] == [True]


def test_a_duplicate_is_refused_by_its_keys_name_and_without_its_value(run: MariadbTarget) -> None:
    with pytest.raises(TargetValueRefused, match=r"shop\.orders.*PRIMARY") as refusal:
        run.write([Append(orders(), [batch(("id",), ("77",), ("77",))])], Progress("2"))
    assert "77" not in str(refusal.value).partition("shop")[2]


def test_a_lock_held_for_too_long_is_a_conflict_that_is_tried_again(
    run: MariadbTarget, mariadb: MariadbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run._session() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
    with mariadb.connect() as other, other.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT * FROM shop.orders WHERE id = 1 FOR UPDATE")
        with pytest.raises(TargetConflict):
            run.write([Net(orders(), deletes=batch(("id",), ("1",)))], Progress("2"))
    run.write([Net(orders(), deletes=batch(("id",), ("1",)))], Progress("2"))
    assert mariadb.execute("SELECT COUNT(*) FROM shop.orders") == [(0,)]


def test_batches_of_ever_new_shapes_do_not_pile_up_temporary_tables(
    run: MariadbTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.targets.mariadb.apply._MOST_STAGES", 2)
    shapes = [("id",), ("id", "note"), ("id", "doc"), ("id", "note", "doc"), ("doc", "id")]
    for names in shapes * 2:
        run.write([Net(orders(), patches=[batch(names, tuple("1" for _ in names))])], Progress("2"))
        assert run._applier is not None
        assert len(run._applier._stages) <= 3


def test_a_table_emptied_since_the_instant_cannot_be_compared(run: MariadbTarget, mariadb: MariadbServer) -> None:
    view = run.view()
    view.open(60)
    try:
        view.hold(RUN)
        mariadb.execute("TRUNCATE TABLE shop.orders")
        with pytest.raises(NotComparable):
            list(view.rows(orders(), ["id"]))
    finally:
        view.close()


def test_a_server_that_takes_upper_for_lower_case_keeps_tables_apart() -> None:
    with MariadbServer(settings={"lower_case_table_names": 1}) as server:
        target = MariadbTarget(parse_config(MariadbConfig, server.config(), of="target"))
        target.open(RUN, 1)
        first = orders(name="Orders")
        target.prepare(first, create=True, replace=False)
        assert target.prepare(first, create=False, replace=False) is True
        with pytest.raises(TargetNameClash, match=r"shop\.orders.*shop\.Orders"):
            target.prepare(orders(), create=True, replace=True)
        target.write([Append(first, [batch(("id",), ("1",))])], Progress("1"))
        assert target.remade(RUN, first) is False
        target.close()


def test_what_was_written_survives_a_killed_server(
    config: MariadbConfig, run: MariadbTarget, mariadb: MariadbServer
) -> None:
    run.write([Append(orders(), [batch(("id",), ("2",))])], Progress("2"))
    mariadb.kill()
    with pytest.raises(TargetUnreachable):
        run.write([Append(orders(), [batch(("id",), ("3",))])], Progress("3"))
    mariadb.start()
    assert run.open(RUN, 1) == Stored("2", {})
    assert mariadb.execute("SELECT id FROM shop.orders ORDER BY 1") == [(1,), (2,)]


NATIVE = (
    (DataType(Kind.DECIMAL, "bigint unsigned", 20, 0), "18446744073709551615"),
    (DataType(Kind.INT64, "int unsigned"), "4294967295"),
    (DataType(Kind.INT16, "year"), "2155"),
    (DataType(Kind.INTERVAL, "time(6)"), "-838:59:59"),
    (DataType(Kind.TIMESTAMP, "datetime(3)"), "9999-12-31 23:59:59.999"),
    (DataType(Kind.TIMESTAMPTZ, "timestamp"), "2024-02-29 23:59:59+00"),
    (DataType(Kind.TEXT, "enum('A','it''s','ö')"), "it's"),
    (DataType(Kind.TEXT, "set('a','B')"), "a,B"),
    (DataType(Kind.TEXT, "mediumtext"), "tab\t\\"),
    (DataType(Kind.OTHER, "bit(13)"), "1000000001010"),
    (DataType(Kind.BYTES, "varbinary(5)"), "\\x5c090a0027"),
    (DataType(Kind.OTHER, "inet6"), "::1"),
    (DataType(Kind.UUID, "uuid"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    (DataType(Kind.DECIMAL, "decimal(65,30)", 65, 30), "-" + "9" * 35 + "." + "9" * 30),
    (DataType(Kind.BYTES, "point"), "\\x000000000101000000000000000000f03f0000000000000040"),
)


def test_a_mariadb_table_keeps_its_own_types(run: MariadbTarget) -> None:
    columns = (Column("id", INT, False), *(Column(f"c{n}", type) for n, (type, _) in enumerate(NATIVE)))
    source = TableSchema(TableName("p", "own"), columns, ("id",), "mariadb")
    table = orders(source, "own")
    run.prepare(table, create=True, replace=False)
    assert run.misfits(table) == []
    row = ("1", *(value for _, value in NATIVE))
    run.write([Append(table, [batch(source.names, row)])], Progress("2"))
    run.write([Net(table, puts=batch(source.names, row, ("2", *(None for _ in NATIVE))))], Progress("3"))
    view = run.view()
    view.open(60)
    try:
        view.hold(RUN)
        (rows,) = view.rows(table, source.names, ["id"])
    finally:
        view.close()
    assert [tuple(found.values()) for found in rows.to_pylist()] == [row, ("2", *(None for _ in NATIVE))]
