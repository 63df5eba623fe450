"""The source contract on a real MySQL, and what MySQL does otherwise than MariaDB."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from fixtures.mariadb_source import OnMariadb
from tidegate.connect import mysnapshot
from tidegate.connect.capability import WriteMode
from tidegate.connect.config import parse_config
from tidegate.connect.mariadb import MariadbConfig
from tidegate.connect.myposition import MyPosition
from tidegate.connect.target import KeyRange
from tidegate.decode.gtid import MysqlGtidSet
from tidegate.errors import (
    EnvironmentLacking,
    NotComparable,
    PositionLost,
    SourceServerIdTaken,
    SourceStartUnknown,
    SourceUnreachable,
    SourceVersionUnsupported,
)
from tidegate.model.change import Op
from tidegate.model.schema import TableName
from tidegate.model.start import StartSpec
from tidegate.sources.mariadb import MariadbSource
from tidegate.sources.mysql import MysqlSource
from tidegate.testing.mariadb import MariadbServer, Setting
from tidegate.testing.mysql import MysqlServer
from tidegate.testing.source_contract import SourceContract
from tidegate.testing.source_contract.ground import RUN, cell, raises

_numbers = itertools.count(1)


class OnMysql(OnMariadb):
    def source(self) -> MysqlSource:
        return MysqlSource(parse_config(MariadbConfig, self.server.config(self.name), of="source"))


class TestMysqlSource(OnMysql, SourceContract):
    keeps_log = False
    types: ClassVar = {
        "tinyint": ("-128", "127", "null"),
        "bigint unsigned": ("18446744073709551615", "0"),
        "decimal(65,30)": ("12345678901234567890123456789012345.123456789012345678901234567890", "-1", "0"),
        "float": ("0.1", "-1e20", "16777217", "1e-45", "3.4028235e38", "0"),
        "double": ("0.1", "1e300", "-5e-324", "123456789012345678", "0"),
        "bit(5)": ("b'101'", "0"),
        "date": ("'2024-02-29'", "null", "'0000-00-00'", "'9999-12-31'"),
        "time(6)": ("'838:59:59.999999'", "'-00:00:00.5'", "'12:34:56.100000'"),
        "datetime(3)": ("'2024-02-29 12:00:00.120'", "'2024-02-29 12:00:00'"),
        "timestamp(6) null": ("'2038-01-19 03:14:07.999999'", "'1970-01-01 00:00:01'"),
        "char(5)": ("'ab   '", "''", "'é数'"),
        "varchar(100)": ("''", "'a b '", "'''quoted'''", "null", "'😀'"),
        "varchar(20) character set latin1": ("'é€'", "'x'"),
        "varchar(20) character set gbk": ("'数'",),
        "varchar(20) character set utf16": ("'数😀'",),
        "varchar(20) collate utf8mb4_0900_as_cs": ("'数'",),
        "varchar(20) collate utf8mb4_ja_0900_as_cs": ("'数'",),
        "text": ("'a\\nb\\t\\\\'",),
        "longtext": ("repeat('é', 40000)",),
        "json": ('\'{"b":  1, "a": [1.0, true, null, "é"]}\'', "'null'", "null", "'1e100'", "'\"x\"'"),
        "year": ("2024", "0", "1901"),
        "point": ("point(1, 2)", "null"),
        "geometry": ("st_geomfromtext('LINESTRING(0 0,1 1)', 4326)",),
        "vector(3)": ("to_vector('[1,2,3]')", "null"),
        "smallint unsigned": ("65535",),
        "mediumint": ("-8388608",),
        "int(6) unsigned zerofill": ("42", "0"),
        "binary(4)": ("'ab'", "x'00'", "x'ffffffff'"),
        "varbinary(10)": ("x'0061'", "''"),
        "blob": ("x'deadbeef'", "''"),
        "enum('a','b''c','é') character set latin1": ("'a'", "'b''c'", "'é'", "null"),
        "set('x','y','z')": ("''", "'x,z'", "'x,y,z'"),
        "int as (1) virtual": ("default",) * 6,
        "varchar(20) as (concat('é', c1)) stored": ("default",) * 6,
    }

    @pytest.fixture(autouse=True)
    def _server(self, mysql: MysqlServer, mysql_database: Callable[[], str]) -> None:
        self.server = mysql
        self.name = self.schema = mysql_database()  # type: ignore[misc]


@pytest.fixture(scope="module")
def nameless() -> Iterator[MysqlServer]:
    """As a MySQL is that nobody has set anything of: without GTIDs, and with a log that does not name columns."""
    settings: dict[str, Setting] = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}
    try:
        server = MysqlServer(settings=settings | {"binlog_row_metadata": "MINIMAL"})
    except EnvironmentLacking as lacking:
        pytest.skip(lacking.detail)
    with server:
        yield server


class TestPlainMysql(OnMysql, SourceContract):
    """Positions are places alone, and columns have the names that the run knew."""

    keeps_log = False

    @pytest.fixture(autouse=True)
    def _server(self, nameless: MysqlServer) -> Iterator[None]:
        self.server = nameless
        self.name = self.schema = f"test_{next(_numbers)}"  # type: ignore[misc]
        nameless.create_database(self.name)
        yield
        nameless.drop_database(self.name)


class TestMysqlsOwn(OnMysql):
    @pytest.fixture(autouse=True)
    def _server(self, mysql: MysqlServer, mysql_database: Callable[[], str]) -> None:
        self.server = mysql
        self.name = self.schema = mysql_database()  # type: ignore[misc]

    def test_positions_have_the_set_of_all_transactions_in_front(self) -> None:
        source, position = self.begun(self.table())
        assert isinstance(MyPosition.of(position).gtids, MysqlGtidSet)
        log = self.followed(source, position)
        self.execute("update t set note = 'a' where id = 1", "truncate t")
        changes = log.changes(2)
        assert [change.op for change in changes] == [Op.UPDATE, Op.TRUNCATE]
        before, after = MyPosition.of(position).gtids, MyPosition.of(log.parts[-1].position).gtids
        assert isinstance(after, MysqlGtidSet)
        assert isinstance(before, MysqlGtidSet)
        assert before <= after
        assert (after - before).count() == 2

    def test_a_prepared_transaction_comes_where_it_is_committed(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        prepared = ("xa start 'a'", "update t set note = 'xa' where id = 1", "xa end 'a'", "xa prepare 'a'")
        with self.session() as one:
            for statement in prepared:
                one.execute(statement)
            self.execute("update t set note = 'between' where id = 2")
            log.changes(1)
            held = log.parts[-1].position
            one.execute("xa commit 'a'")
        assert [cell(change, "note") for change in log.changes(2)] == ["between", "xa"]
        again = self.followed(other_source := self.fresh(), other_source.parse_position(str(held)))
        assert [cell(change, "note") for change in again.changes(1)] == ["xa"]

    def test_a_table_under_change_is_waited_for_and_then_given_up_for_now(self) -> None:
        """No moment of quiet, and somebody who has changed the table and not committed."""
        name = self.table()
        source = self.fresh()
        schema = source.schema(name)
        with pytest.MonkeyPatch.context() as patch, self.session() as other:
            patch.setattr(mysnapshot, "in_quiet", lambda *_, **__: None)
            other.execute("begin")
            other.execute("update t set note = 'open' where id = 1")
            reader = source.chunk(schema, KeyRange(None, None))
            reader.lock()
            with raises(SourceUnreachable):
                reader.mark()
            reader.close()
            other.execute("commit")
            assert [row["note"] for row in self.read(source, schema)[2]] == ["open", "n2", "n3"]

    def test_a_snapshot_under_a_lock_has_the_place_of_what_it_sees(self) -> None:
        name = self.table()
        source, position = self.begun(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mysnapshot, "in_quiet", lambda *_, **__: None)
            self.execute("update t set note = 'before' where id = 1")
            mark, _, rows = self.read(source, source.schema(name))
            self.execute("update t set note = 'behind' where id = 1")
        log = self.followed(source, position)
        log.changes(2)
        first, second = (part for part in log.parts if part.changes)
        assert (mark.seen.sees(first.transaction), mark.seen.sees(second.transaction)) == (True, False)
        assert rows[0]["note"] == "before"

    def test_a_log_begun_anew_is_another_one(self) -> None:
        _, position = self.begun(self.table())
        held = MyPosition.of(position)
        assert isinstance(held.gtids, MysqlGtidSet)
        more = MyPosition(held.place, held.gtids | MysqlGtidSet.parse("2174b383-5441-11e8-b90a-c80aa9429562:1-9"))
        with raises(PositionLost) as error:
            self.fresh().log_state(RUN, more)
        assert "another one" in str(error[0])
        self.fresh().log_state(RUN, held)

    def test_a_place_that_is_none_is_lost(self) -> None:
        _, position = self.begun(self.table())
        self.execute(*(f"update t set note = 'x{n}' where id = 1" for n in range(3)))
        held = MyPosition.of(position)
        with raises(PositionLost):
            self.fresh().log_state(RUN, MyPosition(held.place._replace(offset=held.place.offset + 1)))
        self.fresh().log_state(RUN, MyPosition(held.place))

    def test_a_run_begins_behind_a_set_of_transactions_that_is_named(self) -> None:
        name = self.table()
        source, position = self.begun(name)
        self.execute("update t set note = 'a' where id = 1", "update t set note = 'b' where id = 1")
        start = source.start_at(StartSpec(position=str(MyPosition.of(position).gtids)))
        assert MyPosition.of(start).gtids == MyPosition.of(position).gtids
        log = self.followed(source, start)
        assert [cell(change, "note") for change in log.changes(2)] == ["a", "b"]
        with raises(SourceStartUnknown):
            source.start_at(StartSpec(position="2174b383-5441-11e8-b90a-c80aa9429562:1-9"))

    def test_a_second_replica_with_the_server_id_is_named(self) -> None:
        name = self.table()
        source, position = self.begun(name)
        log = self.followed(source, position)
        other = self.fresh()
        taken = other.log(RUN, position, tables=self._runs[RUN])
        self._held.append(taken)
        with raises(SourceServerIdTaken):
            log.until(lambda: False, "it ends")

    def test_comparing_wants_a_moment_of_quiet(self) -> None:
        name = self.table()
        view = self.fresh().view()
        view.open(30)
        view.mark()
        _, batches = view.rows(name)
        assert sum(batch.num_rows for batch in batches) == 3
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mysnapshot, "in_quiet", lambda *_, **__: None)
            with raises(NotComparable):
                view.mark()
        view.close()

    def test_each_connector_refuses_the_others_server(self, mariadb: MariadbServer) -> None:
        ours = parse_config(MariadbConfig, self.server.config(self.name), of="source")
        theirs = parse_config(MariadbConfig, mariadb.config(), of="source")
        for source, kind in ((MysqlSource(theirs), "mariadb"), (MariadbSource(ours), "mysql")):
            (wrong,) = (check for check in source.check() if not check.ok)
            assert (wrong.name, wrong.code) == ("version", "source.version_unsupported")
            assert f"kind {kind}" in wrong.found
            with raises(SourceVersionUnsupported):
                source.tables()
            source.close()

    def test_the_connectivity_test_names_what_a_user_lacks(self) -> None:
        user = f"u{self.name}"
        self.server.create_user(user, "p", grants=f"SELECT ON {self.name}.*")
        config = self.server.config(self.name) | {"user": user, "password": "p"}
        source = MysqlSource(parse_config(MariadbConfig, config, of="source"))
        (lacking,) = (check for check in source.check() if check.name == "privileges")
        assert not lacking.ok
        assert "REPLICATION SLAVE" in lacking.found
        self.server.execute(f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{user}'@'127.0.0.1'")
        (lacking,) = (check for check in source.check() if check.name == "privileges")
        assert "LOCK TABLES" in lacking.found
        self.server.execute(f"GRANT LOCK TABLES ON {self.name}.* TO '{user}'@'127.0.0.1'")
        assert [check for check in source.check() if not check.ok] == []
        source.close()

    def test_an_invisible_column_comes_like_any_other(self) -> None:
        self.execute("create table t (id int primary key, c int unsigned invisible, note varchar(9))")
        source, position = self.begun(TableName(self.schema, "t"))
        log = self.followed(source, position)
        self.execute("insert into t (id, c, note) values (1, 7, 'x')")
        assert log.changes(1)[0].new == ("1", "7", "x")
        assert self.read(source, source.schema(TableName(self.schema, "t")))[2] == [{"id": "1", "c": "7", "note": "x"}]

    def test_a_compressed_transaction_is_read_as_it_was_written(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        values = ", ".join(f"({n}, repeat('z', 100), null)" for n in range(10, 310))
        self.execute("set session binlog_transaction_compression = 1", f"insert into t values {values}")
        self.execute("update t set note = 'after' where id = 1")
        changes = log.changes(301)
        assert cell(changes[0], "note") == "z" * 100
        assert cell(changes[300], "note") == "after"

    def test_a_partial_update_of_a_document_is_the_whole_row(self) -> None:
        self.execute("create table t (id int primary key, d json)")
        self.execute("""insert into t values (1, '{"a": 1, "b": "long enough to be left where it is"}')""")
        source, position = self.begun(TableName(self.schema, "t"))
        log = self.followed(source, position)
        self.execute("set session binlog_row_value_options = 'PARTIAL_JSON'", "update t set d = json_set(d, '$.a', 7)")
        whole = '{"a": 7, "b": "long enough to be left where it is"}'
        assert cell(log.changes(1)[0], "d") == whole
        assert self.read(source, source.schema(TableName(self.schema, "t")))[2][0]["d"] == whole

    def test_every_kind_of_document_is_the_same_from_the_copy_and_from_the_log(self) -> None:
        documents = [
            "'[1, -1, 32767, -32768, 65535, 2147483647, -2147483648, 4294967295, 9223372036854775807]'",
            "'[18446744073709551615, -9223372036854775808, 1.5, -0.0, 1e300, 1e-7, 123456.789, 0.1, 1e15, 1e16]'",
            "json_array(cast(1.50 as decimal(9,2)), cast('2024-02-29' as date), cast('12:34:56.5' as time(6)))",
            "json_array(cast('2024-02-29 12:00:00.123' as datetime(6)), cast('-100:00:01' as time))",
            r"""'{"": 1, "é": "é数😀", "b": {"a": []}, "aa": {}, "q": "\\\\ \\" \\n"}'""",
            "json_array(repeat('x', 200), repeat('y', 70000))",
            "json_object('k', json_array(true, false, null))",
            "json_array(x'00ff', st_geomfromtext('POINT(1 2)'), b'101')",
            """'"text"'""", "'7'", "'null'", "'true'",
        ]  # fmt: skip
        self.execute("create table t (id int primary key, d json)")
        source, position = self.begun(TableName(self.schema, "t"))
        log = self.followed(source, position)
        self.execute(*(f"insert into t values ({n}, {document})" for n, document in enumerate(documents)))
        logged = [cell(change, "d") for change in log.changes(len(documents))]
        copied = [row["d"] for row in self.read(source, source.schema(TableName(self.schema, "t")))[2]]
        assert logged == copied

    def test_an_xa_transaction_of_one_phase_comes_with_its_commit(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.execute("xa start 'a'", "update t set note = 'xa' where id = 1", "xa end 'a'", "xa commit 'a' one phase")
        assert [cell(change, "note") for change in log.changes(1)] == ["xa"]

    def test_a_table_made_from_a_query_is_followed_around(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.execute("create table u as select * from t", "update t set note = 'on' where id = 1")
        assert [cell(change, "note") for change in log.changes(1)] == ["on"]

    def test_a_tagged_transaction_is_in_the_set(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.execute("set gtid_next = 'AUTOMATIC:blue'", "update t set note = 'tagged' where id = 1")
        log.changes(1)
        held = log.parts[-1].position
        assert ":blue:" in str(held)
        source.log_state(RUN, MyPosition.of(held))
        self.execute("flush binary logs", "update t set note = 'next' where id = 1")
        log.changes(2)
        source.log_state(RUN, MyPosition.of(log.parts[-1].position))

    def test_the_log_shows_every_type_as_the_catalogue_has_it(self) -> None:
        types = TestMysqlSource.types
        columns = ", ".join(f"c{n} {type}" for n, type in enumerate(types))
        self.execute(f"create table t (id int primary key, {columns})")
        source, position = self.begun(TableName(self.schema, "t"))
        self._runs.clear()
        log = self.followed(source, position)
        self.execute("insert into t (id) values (1)")
        logged, catalogued = log.changes(1)[0].table, source.schema(TableName(self.schema, "t"))
        assert [column for column in logged.columns if column not in catalogued.columns] == []
        assert logged == catalogued

    def test_a_table_without_a_key_is_refused_to_upserts_only(self) -> None:
        self.execute("create table t (id int)")
        source = self.fresh()
        schema = source.schema(TableName(self.schema, "t"))
        assert len(source.refusals(schema, WriteMode.UPSERT)) == 1
        assert source.refusals(schema, WriteMode.APPEND) == []


class TestSnapshots(OnMysql):
    """Whether a snapshot sees just the transactions in front of its place, while others write."""

    @pytest.fixture(autouse=True)
    def _server(self, mysql: MysqlServer, mysql_database: Callable[[], str]) -> None:
        self.server = mysql
        self.name = self.schema = mysql_database()  # type: ignore[misc]

    @pytest.mark.parametrize("locked", [False, True], ids=["in quiet", "under a lock"])
    def test_a_chunk_has_exactly_what_is_in_front_of_its_place(
        self, locked: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.execute("create table t (id int auto_increment primary key, note varchar(9))")
        name = TableName(self.schema, "t")
        source, position = self.begun(name)
        schema = source.schema(name)
        monkeypatch.setattr(mysnapshot, "LOCK_WAIT_S", 30)
        quiet = mysnapshot.in_quiet
        monkeypatch.setattr(
            mysnapshot, "in_quiet", lambda query, flavour, **_: None if locked else quiet(query, flavour, tries=2000)
        )
        ended = threading.Event()

        def write(pause_s: float) -> None:
            with self.server.connect(self.name) as connection, connection.cursor() as cursor:
                while not ended.is_set():
                    cursor.execute("insert into t (note) values ('x')")
                    ended.wait(pause_s)

        writers = [threading.Thread(target=write, args=(0.0005 * n,)) for n in range(1, 4)]
        for writer in writers:
            writer.start()
        try:
            taken = [self.read(source, schema) for _ in range(60)]
        finally:
            ended.set()
            for writer in writers:
                writer.join()
        ((count,),) = self.server.execute(f"select count(*) from {self.name}.t")
        log = self.followed(source, position)
        log.changes(count)
        places = {str(cell(change, "id")): part.transaction for part in log.parts for change in part.changes}
        assert len(places) == count > 100
        for mark, _, rows in taken:
            assert {row["id"] for row in rows} == {id for id, at in places.items() if mark.seen.sees(at)}
        assert len({str(mark.seen) for mark, _, _ in taken}) > 10


class TestSnapshotsOfPlainMysql(TestSnapshots):
    """The same where transactions have no names."""

    @pytest.fixture(autouse=True)
    def _server(self, nameless: MysqlServer) -> Iterator[None]:
        self.server = nameless
        self.name = self.schema = f"test_{next(_numbers)}"  # type: ignore[misc]
        nameless.create_database(self.name)
        yield
        nameless.drop_database(self.name)
