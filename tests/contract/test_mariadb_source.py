"""The source contract on a real MariaDB, and what its binary log and its keys make of tables."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

import pytest

from fixtures.mariadb_source import OnMariadb
from tidegate.connect import myassembly, myxa
from tidegate.connect.capability import WriteMode
from tidegate.connect.myposition import MyPosition
from tidegate.connect.target import KeyRange
from tidegate.errors import (
    SourceCascade,
    SourceEngineUnsupported,
    SourceLogFormat,
    SourceTableRemade,
    SourceUnreachable,
    TidegateError,
)
from tidegate.model.change import Op
from tidegate.model.schema import Column, TableName
from tidegate.sources.mariadb import MariadbSource
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.source_contract import SourceContract
from tidegate.testing.source_contract.ground import DEADLINE_S, RUN, Log, cell, raises


class TestMariadbSource(OnMariadb, SourceContract):
    keeps_log = False
    types: ClassVar = {
        "tinyint": ("-128", "127", "null"),
        "tinyint unsigned": ("255",),
        "smallint unsigned": ("65535",),
        "mediumint": ("-8388608",),
        "mediumint unsigned": ("16777215",),
        "int": ("0", "-2147483648", "null"),
        "int(6) unsigned zerofill": ("42", "0"),
        "bigint": ("-9223372036854775808",),
        "bigint unsigned": ("18446744073709551615", "0"),
        "numeric(20,5)": ("12345.67890", "-0.00001", "null"),
        "decimal(65,30)": ("12345678901234567890123456789012345.123456789012345678901234567890", "-1", "0"),
        "decimal(9,2) zerofill": ("3.5",),
        "float": ("0.1", "-1e20", "16777217", "1e-45", "3.4028235e38", "0"),
        "double": ("0.1", "1e300", "-5e-324", "123456789012345678", "0"),
        "bit(1)": ("b'1'",),
        "bit(5)": ("b'101'", "0"),
        "bit(64)": ("18446744073709551615",),
        "year": ("2024", "0", "1901"),
        "date": ("'2024-02-29'", "null", "'0000-00-00'", "'2024-00-00'", "'9999-12-31'"),
        "time": ("'-838:59:59'", "'00:00:00'", "'100:00:01'"),
        "time(6)": ("'838:59:59.999999'", "'-00:00:00.5'", "'12:34:56.100000'"),
        "datetime": ("'2024-02-29 12:00:00'", "'0000-00-00 00:00:00'"),
        "datetime(3)": ("'2024-02-29 12:00:00.120'", "'2024-02-29 12:00:00'"),
        "datetime(6)": ("'1000-01-01 00:00:00.000001'",),
        "timestamp null": ("'2024-02-29 12:00:00'", "null", "'0000-00-00 00:00:00'", "'2024-03-31 02:30:00'"),
        "timestamp(6) null": ("'2038-01-19 03:14:07.999999'", "'1970-01-01 00:00:01'"),
        "char(5)": ("'ab   '", "''", "'é数'"),
        "varchar(100)": ("''", "'a b '", "'''quoted'''", "null", "'😀'"),
        "varchar(20) character set latin1": ("'é€'", "'x'"),
        "varchar(20) character set gbk": ("'数'",),
        "varchar(20) character set utf16": ("'数😀'",),
        "varchar(20) character set utf8mb3 collate utf8mb3_bin": ("'数'",),
        "tinytext": ("'t'",),
        "text": ("'a\\nb\\t\\\\'",),
        "mediumtext character set latin1": ("'é'",),
        "longtext": ("repeat('é', 40000)",),
        "varchar(300) compressed": ("repeat('z', 300)", "''"),
        "binary(4)": ("'ab'", "x'00'", "x'ffffffff'"),
        "varbinary(10)": ("x'0061'", "''"),
        "tinyblob": ("x'00'",),
        "blob": ("x'deadbeef'", "''"),
        "longblob compressed": ("repeat(x'00ff', 500)",),
        "enum('a','b''c','é') character set latin1": ("'a'", "'b''c'", "'é'", "null"),
        "set('x','y','z')": ("''", "'x,z'", "'x,y,z'"),
        "json": ("'{\"a\":  1}'", "'null'", "null"),
        "uuid": ("'123e4567-e89b-12d3-a456-426655440000'", "'ffffffff-ffff-ffff-ffff-ffffffffff00'"),
        "inet6": ("'::1'", "'2001:db8::'", "'::ffff:192.0.2.1'"),
        "inet4": ("'192.0.2.1'", "'0.0.0.0'"),
        "point": ("point(1, 2)", "null"),
        "geometry": ("st_geomfromtext('LINESTRING(0 0,1 1)', 4326)",),
        "int as (1) virtual": ("default",),
        "varchar(20) as (concat('é', c1)) stored": ("default",),
    }

    @pytest.fixture(autouse=True)
    def _server(self, mariadb: MariadbServer, mariadb_database: Callable[[], str]) -> None:
        self.server = mariadb
        self.name = self.schema = mariadb_database()  # type: ignore[misc]

    def test_the_log_shows_every_type_as_the_catalogue_has_it(self) -> None:
        columns = ", ".join(f"c{n} {type}" for n, type in enumerate(self.types))
        self.execute(f"create table t (id int primary key, {columns})")
        source, position = self.begun(TableName(self.schema, "t"))
        # Without what the engine remembers: nothing but the log and the catalogue is asked.
        self._runs.clear()
        log = self.followed(source, position)
        self.execute("insert into t (id) values (1)")
        assert log.changes(1)[0].table == source.schema(TableName(self.schema, "t"))


class TestBinaryLog(OnMariadb):
    @pytest.fixture(autouse=True)
    def _server(self, mariadb: MariadbServer, mariadb_database: Callable[[], str]) -> None:
        self.server = mariadb
        self.name = self.schema = mariadb_database()  # type: ignore[misc]

    def at_work(self, *tables: str) -> tuple[MariadbSource, Log]:
        """A run of table t, or of those named, and its log."""
        names = [TableName(self.schema, name) for name in tables] or [self.table()]
        source, position = self.begun(*names)
        assert isinstance(source, MariadbSource)
        return source, self.followed(source, position)

    def fails(self, log: Log, *errors: type[TidegateError]) -> str:
        """What the log ends with, once everything in front of it has come."""
        with raises(*errors) as found:
            log.until(lambda: False, "the end of the log")
        return str(found[0])

    def resumed(self, source: MariadbSource, position: object) -> Log:
        again = self.fresh()
        return self.followed(again, again.parse_position(str(position)))

    # --- transactions ---

    def test_an_xa_transaction_counts_from_its_commit(self) -> None:
        source, log = self.at_work()
        with self.session() as other:
            for statement in ("xa start 'a'", "update t set note = 'x' where id = 1", "xa end 'a'", "xa prepare 'a'"):
                other.execute(statement)
            self.execute("update t set note = 'between' where id = 2")
            assert [cell(change, "note") for change in log.changes(1)] == ["between"]
            between = self.read(source, source.schema(TableName(self.schema, "t")))
            assert {row["note"] for row in between[2]} == {"n1", "between", "n3"}
            other.execute("xa commit 'a'")
        assert [cell(change, "note") for change in log.changes(2)] == ["between", "x"]
        assert [between[0].seen.sees(part.transaction) for part in log.parts] == [True, False]

    def test_a_run_that_ends_between_prepare_and_commit_has_the_rows_afterwards(self) -> None:
        source, log = self.at_work()
        with self.session() as other:
            for statement in ("xa start 'b'", "update t set note = 'x' where id = 1", "xa end 'b'", "xa prepare 'b'"):
                other.execute(statement)
            self.execute("update t set note = 'between' where id = 2")
            log.changes(1)
            log.close()
            assert MyPosition.of(log.parts[0].position).prepared is not None
            self.execute("flush binary logs")
            other.execute("xa commit 'b'")
        assert [cell(c, "note") for c in self.resumed(source, log.parts[0].position).changes(1)] == ["x"]

    def test_an_xa_transaction_that_is_rolled_back_never_comes_and_holds_nothing(self) -> None:
        _, log = self.at_work()
        for statement in ("rollback", "commit"):
            self.execute(
                "xa start 'c'", f"update t set note = '{statement}' where id = 1", "xa end 'c'", "xa prepare 'c'",
                f"xa {statement} 'c'",
            )  # fmt: skip
        assert [cell(change, "note") for change in log.changes(1)] == ["commit"]
        assert MyPosition.of(log.parts[0].position).prepared is None

    def test_a_large_xa_transaction_comes_in_parts_and_can_be_gone_on_with_inside(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(myassembly, "PART_CHANGES_MAX", 10)
        monkeypatch.setattr(myxa, "HELD_BYTES", 100)
        self.table(rows=25)
        source, log = self.at_work("t")
        self.execute("xa start 'd'", "update t set note = 'x'", "xa end 'd'", "xa prepare 'd'", "xa commit 'd'")
        wanted = [cell(change, "id") for change in log.changes(25)]
        assert [len(part.changes) for part in log.parts] == [10, 10, 5]
        rest = self.resumed(source, log.parts[1].position)
        assert [cell(change, "id") for change in rest.changes(5)] == wanted[20:]
        assert rest.parts[0].first_index == 20

    def test_a_run_begins_once_what_was_prepared_before_it_is_decided(self) -> None:
        """R4: else its rows were neither in the log that is read nor in any snapshot."""
        self.table()
        begun: list[object] = []
        with self.session() as other:
            for statement in ("xa start 'e'", "update t set note = 'x' where id = 1", "xa end 'e'", "xa prepare 'e'"):
                other.execute(statement)
            beginning = threading.Thread(target=lambda: begun.append(self.begun(TableName(self.schema, "t"))))
            beginning.start()
            beginning.join(1)
            assert not begun
            other.execute("xa commit 'e'")
        beginning.join(DEADLINE_S)
        assert begun

    def test_what_was_rolled_back_to_a_savepoint_never_comes_although_the_log_has_it(self) -> None:
        """A table that cannot be rolled back makes the server log what was."""
        _, log = self.at_work()
        self.execute("create table plain (id int) engine = myisam")
        self.execute(
            "begin", "update t set note = 'yes' where id = 1", "savepoint s", "insert into plain values (1)",
            "update t set note = 'no' where id = 2", "rollback to savepoint s",
            "update t set note = 'too' where id = 3", "commit",
        )  # fmt: skip
        self.execute("begin", "insert into plain values (2)", "delete from t", "rollback")
        self.execute("update t set note = 'last' where id = 1")
        assert [cell(change, "note") for change in log.changes(3)] == ["yes", "too", "last"]

    def test_a_savepoint_may_be_spelled_in_upper_or_lower_case(self) -> None:
        _, log = self.at_work()
        self.whole(
            "update t set note = 'yes' where id = 1", "savepoint `A b`", "update t set note = 'no' where id = 2",
            "rollback to savepoint `a B`", "update t set note = 'too' where id = 3",
        )  # fmt: skip
        assert [cell(change, "note") for change in log.changes(2)] == ["yes", "too"]

    def test_a_table_is_known_by_its_name_in_whatever_character_set_it_is_truncated(self) -> None:
        _, log = self.at_work(self.table("`tablé`").name.strip("`"))
        with self.server.connect(self.name, charset="latin1") as session, session.cursor() as cursor:
            cursor.execute("truncate table `tablé`")
        assert [change.op for change in log.changes(1)] == [Op.TRUNCATE]

    def test_a_change_of_shape_that_is_logged_twice_is_one(self) -> None:
        """With binlog_alter_two_phase a statement is in the log when it begins and when it is done."""
        _, log = self.at_work()
        self.execute("set session binlog_alter_two_phase = 1", "alter table t add n int default 5")
        self.execute("update t set note = 'on' where id = 1")
        (change,) = log.changes(1)
        assert cell(change, "n") == "5"
        assert change.table.column("n").default == "5"

    # --- what the log must not have, or does not tell ---

    @pytest.mark.parametrize("setting", ["binlog_format = statement", "binlog_row_image = minimal"])
    def test_rows_that_are_not_logged_whole_end_the_run_behind_what_came_before(self, setting: str) -> None:
        _, log = self.at_work()
        self.execute("update t set note = 'before' where id = 1")
        self.execute(f"set session {setting}", "update t set note = 'lost' where id = 2")
        assert setting.split(" ")[0] in self.fails(log, SourceLogFormat)
        assert [cell(change, "note") for change in log.seen] == ["before"]

    @pytest.mark.parametrize(
        "statements",
        [
            ("drop table t", "create table t (id int primary key)", "insert into t values (7)"),
            ("rename table t to u", "create table t like u"),
            ("alter table t rename to u", "create table if not exists t (id int primary key)"),
            ("create or replace table t (id int primary key)",),
            ("create table u like t", "rename table t to old, u to t"),
            ("alter table t partition by hash (id) partitions 4", "alter table t truncate partition p1"),
            ("update t set big = 1", "alter ignore table t add unique (big(9))"),
            ("alter table t add system versioning", "delete from t where id = 1"),
        ],
    )
    def test_a_table_whose_rows_go_elsewise_ends_the_run_behind_what_came_before(
        self, statements: tuple[str, ...]
    ) -> None:
        _, log = self.at_work()
        self.execute("update t set note = 'before' where id = 1", *statements)
        assert f"{self.schema}.t was" in self.fails(log, SourceTableRemade)
        assert cell(log.seen[0], "note") == "before"
        assert {change.op for change in log.seen} == {Op.UPDATE}

    @pytest.mark.parametrize("statement", ["drop table u", "rename table u to w", "alter table u rename to w"])
    def test_a_table_that_is_gone_for_good_ends_nothing(self, statement: str) -> None:
        """What becomes of it the engine says: it may have been one of many that match."""
        self.table("u")
        self.table()
        source, log = self.at_work("t", "u")
        self.execute("delete from u where id = 1", statement, "update t set note = 'on' where id = 1")
        assert [change.op for change in log.changes(2)] == [Op.DELETE, Op.UPDATE]
        assert source.unfollowed(RUN, list(self._runs[RUN])) == [TableName(self.schema, "u")]
        self.execute("create table u (id int primary key)", "insert into u values (5)")
        assert f"{self.schema}.u was made" in self.fails(log, SourceTableRemade)

    def test_a_foreign_key_that_comes_to_change_rows_ends_the_run(self) -> None:
        self.execute("create table p (id int primary key)")
        _, log = self.at_work()
        self.execute("update t set note = 'before' where id = 1")
        self.execute("alter table t add p int, add foreign key (p) references p (id) on delete set null")
        self.fails(log, SourceCascade)
        assert [cell(change, "note") for change in log.seen] == ["before"]

    def test_statements_on_other_tables_end_nothing(self) -> None:
        _, log = self.at_work()
        self.execute("create table u like t", "truncate u", "rename table u to w", "drop table w")
        self.execute("create temporary table t2 like t", "insert into t2 select * from t", "drop table t2")
        self.execute("analyze table t", "optimize table t", "update t set note = 'on' where id = 1")
        assert [cell(change, "note") for change in log.changes(1)] == ["on"]

    def test_a_truncate_between_snapshot_and_rows_makes_the_chunk_begin_anew(self) -> None:
        self.table()
        source = self.fresh()
        schema = source.schema(TableName(self.schema, "t"))
        with raises(SourceUnreachable):
            self.read(source, schema, meanwhile=lambda: self.execute("truncate t"))
        assert self.read(source, schema)[2] == []

    def test_a_chunk_that_is_given_up_while_its_rows_come_says_so(self) -> None:
        self.table(rows=300)
        source = self.fresh()
        reader = source.chunk(source.schema(TableName(self.schema, "t")), KeyRange(None, None))
        reader.lock()
        reader.mark()
        rest = reader.rows()[1]
        closing = threading.Timer(0.3, reader.close)
        closing.start()
        with raises(SourceUnreachable):
            while True:  # the rows are there at once; reading goes on until the connection is cut
                reader._instant.query("select sleep(1)")  # type: ignore[attr-defined]
        closing.join()
        with raises(SourceUnreachable):
            list(rest)

    def test_a_truncate_waits_while_a_chunk_is_read(self) -> None:
        self.table(rows=50)
        source = self.fresh()
        reader = source.chunk(source.schema(TableName(self.schema, "t")), KeyRange(None, None))
        reader.lock()
        reader.mark()
        _, batches = reader.rows()
        with raises(Exception), self.session() as other:
            other.execute("set session lock_wait_timeout = 1")
            other.execute("truncate t")
        assert sum(batch.num_rows for batch in batches) == 50
        reader.close()
        self.execute("truncate t")

    # --- shapes ---

    @pytest.mark.parametrize(
        ("clause", "wanted"),
        [
            ("add a int default 5", ("5", False)),
            ("add a int", (None, False)),
            ("add a int not null", ("0", False)),
            ("add a varchar(9) not null default 'it''s'", ("it's", False)),
            ("add a decimal(9,3) default 1.5", ("1.500", False)),
            ("add a char(36) default uuid()", (None, True)),
            ("add a datetime default current_timestamp", (None, True)),
            ("add a int as (id + 1) stored", (None, True)),
        ],
    )
    def test_a_new_column_says_what_older_rows_have_in_it(self, clause: str, wanted: tuple[str | None, bool]) -> None:
        _, log = self.at_work()
        self.execute(f"alter table t {clause}, algorithm = default", "update t set note = 'x' where id = 1")
        column: Column = log.changes(1)[0].table.column("a")
        assert (column.default, column.varies) == wanted
        if wanted[0] is not None:
            assert cell(log.seen[0], "a") == wanted[0]

    def test_a_column_that_came_while_nobody_looked_may_have_anything_in_older_rows(self) -> None:
        """The statement that added it stands in front of where the log is read on."""
        source, log = self.at_work()
        self.execute("alter table t add a int default 5", "create table u (id int)")
        log.until(lambda: bool(log.idle), "the log is read")
        position = log.idle[-1].position
        log.close()
        self.execute("update t set note = 'x' where id = 1")
        assert self.resumed(source, position).changes(1)[0].table.column("a").varies

    def test_rows_before_and_after_each_of_many_changes_have_the_shape_of_their_time(self) -> None:
        """Bug B14: what was logged before an ALTER is read with the columns it was written with."""
        name = self.table()
        source, position = self.begun(name)
        wanted = []
        for n in range(40):
            clauses = (f"add c{n} int default {n}", f"change note note varchar({100 + n})", f"drop column c{n - 2}")
            self.execute(f"alter table t {clauses[n % 3]}", f"update t set note = 'v{n}' where id = 1")
            wanted.append(source.schema(name).names)
        log = self.followed(source, position)  # read when all of it has happened
        changes = log.changes(40)
        assert [change.table.names for change in changes] == wanted
        assert [cell(change, "note") for change in changes] == [f"v{n}" for n in range(40)]

    @pytest.mark.parametrize(
        "change", ["modify note varchar(3)", "convert to character set latin1", "modify big varchar(9) not null"]
    )
    def test_values_that_a_session_which_is_not_strict_may_have_cut_end_the_run(self, change: str) -> None:
        _, log = self.at_work()
        self.execute("update t set note = 'before' where id = 1", f"alter table t {change}")
        assert "not strict" in self.fails(log, SourceTableRemade)
        assert [cell(change, "note") for change in log.seen] == ["before"]

    def test_what_a_strict_session_alters_keeps_its_values(self) -> None:
        _, log = self.at_work()
        self.execute(
            "set sql_mode = 'STRICT_TRANS_TABLES'", "alter table t modify note varchar(3)",
            "set sql_mode = ''", "update t set note = 'on' where id = 1",
        )  # fmt: skip
        assert [cell(change, "note") for change in log.changes(1)] == ["on"]

    @pytest.mark.parametrize(
        "changes", [("drop note, add note varchar(100)",), ("drop note", "add note varchar(100) default 'x' after id")]
    )
    def test_a_column_that_went_and_came_again_ends_the_run(self, changes: tuple[str, ...]) -> None:
        """Its rows have other values, and its shape is the same."""
        _, log = self.at_work()
        self.execute("update t set note = 'before' where id = 1", *(f"alter table t {one}" for one in changes))
        self.fails(log, SourceTableRemade)
        assert [cell(change, "note") for change in log.seen] == ["before"]

    # --- keys ---

    @pytest.mark.parametrize(
        ("type", "keys"),
        [
            ("bigint", "cast(seq as signed) - 200"),
            ("bigint", "seq * 1000000007"),
            ("bigint unsigned", "18446744073709551000 + seq"),
            ("decimal(10,2)", "seq / 4 - 30"),
            ("int(9) zerofill", "seq"),
            ("date", "'2000-01-01' + interval seq * 40 day"),
            ("datetime(3)", "'2000-01-01' + interval seq * 400000 microsecond"),
            ("timestamp(6)", "'2020-01-01' + interval seq second"),
            ("varbinary(9)", "unhex(hex(seq))"),
            ("binary(3)", "unhex(lpad(hex(seq), 6, '0'))"),
        ],
    )
    def test_chunks_of_any_key_that_can_be_ordered_have_every_row_once(self, type: str, keys: str) -> None:
        self.execute(f"create table t (k {type} primary key, note text)")
        self.execute(f"insert ignore into t select {keys}, repeat('x', 100) from mysql.seq_1_to_400")
        source = self.fresh()
        schema = source.schema(TableName(self.schema, "t"))
        with self.small_chunks():
            chunks = source.edges(schema, can_order=lambda type: True)
        assert len(chunks) > 3
        assert all(one.upto == next.after for one, next in pairwise(chunks))
        order, found = source.order(schema), []
        for keys_of in chunks:
            for row in self.read(source, schema, keys_of)[2]:
                key = (str(row["k"]),)
                assert keys_of.after is None or order(keys_of.after) < order(key)
                assert keys_of.upto is None or order(key) <= order(keys_of.upto)
                found.append(key)
        assert sorted(found) == sorted((row["k"],) for row in self.read(source, schema)[2])

    def test_a_key_of_several_columns_is_cut_by_those_that_can_be_ordered(self) -> None:
        self.execute("create table t (a int, b date, c varchar(9), note text, primary key (a, b, c))")
        self.execute(
            "insert into t select seq div 100, '2000-01-01' + interval seq % 7 day, seq, repeat('x', 99)"
            " from mysql.seq_1_to_400"
        )
        source = self.fresh()
        schema = source.schema(TableName(self.schema, "t"))
        with self.small_chunks():
            chunks = source.edges(schema, can_order=lambda type: True)
        assert {len(chunk.upto) for chunk in chunks if chunk.upto} == {2}
        found = [row["c"] for chunk in chunks for row in self.read(source, schema, chunk)[2]]
        assert sorted(map(int, filter(None, found))) == list(range(1, 401))

    @pytest.mark.parametrize("type", ["varchar(40)", "varchar(40) collate utf8mb4_bin", "uuid", "double", "time"])
    def test_a_key_that_only_the_server_can_order_makes_one_chunk(self, type: str) -> None:
        self.execute(f"create table t (k {type} primary key, note text)")
        value = f"'{uuid.UUID(int=5)}'" if type == "uuid" else "1"
        self.execute(f"insert into t values ({value}, repeat('x', 5000))")
        source = self.fresh()
        with self.small_chunks():
            chunks = source.edges(source.schema(TableName(self.schema, "t")), can_order=lambda type: True)
        assert chunks == [KeyRange(None, None)]

    # --- refusals ---

    @pytest.mark.parametrize("rule", ["on delete cascade", "on delete set null", "on update cascade"])
    def test_a_table_whose_rows_foreign_keys_change_is_refused(self, rule: str) -> None:
        self.execute("create table p (id int primary key)")
        self.execute(f"create table t (id int primary key, p int, foreign key (p) references p (id) {rule})")
        source = self.fresh()
        refused = source.refusals(source.schema(TableName(self.schema, "t")), WriteMode.APPEND)
        assert [type(error) for error in refused] == [SourceCascade]
        assert source.refusals(source.schema(TableName(self.schema, "p")), WriteMode.APPEND) == []

    def test_a_table_whose_engine_has_no_snapshots_is_refused(self) -> None:
        self.execute("create table t (id int primary key) engine = aria")
        source = self.fresh()
        refused = source.refusals(source.schema(TableName(self.schema, "t")), WriteMode.UPSERT)
        assert [type(error) for error in refused] == [SourceEngineUnsupported]
