"""Reading MariaDB's binary log while the server changes its settings and files, goes and comes: on a server of its
own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fixtures.mariadb_source import OnMariadb
from tidegate.connect.capability import WriteMode
from tidegate.connect.config import parse_config
from tidegate.connect.mariadb import MariadbConfig
from tidegate.connect.myposition import MyPosition
from tidegate.errors import (
    EnvironmentLacking,
    PositionLost,
    SourceAuthFailed,
    SourceCascade,
    SourceLogDisabled,
    SourceLogFormat,
    SourcePrivilegeMissing,
    SourceServerIdTaken,
    SourceTableRemade,
    SourceUnreachable,
    TidegateError,
)
from tidegate.model.change import Op
from tidegate.model.schema import Kind, TableName
from tidegate.sources.mariadb import MariadbSource
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.servers import until
from tidegate.testing.source_contract.ground import DEADLINE_S, OTHER_RUN, RUN, Log, cell, raises

_CHANGES = (
    "add one int default 7 first",
    "rename column note to other",
    "add z int after first_one, change one first_one int, add y int first, modify big mediumtext after y",
    "change other note varchar(200)",
    "modify u tinyint unsigned after mood",
    "drop column big",
    "modify mood enum('sad','it''s','new')",
    "add (a uuid, b decimal(9,2) not null)",
    "modify column b decimal(12,2) first, drop y",
    "add index (note), alter z set default 5",
)


@pytest.fixture(scope="module")
def server() -> Iterator[MariadbServer]:
    try:
        server = MariadbServer(settings={"gtid_strict_mode": True})
    except EnvironmentLacking as lacking:
        pytest.skip(lacking.detail)
    with server:
        yield server


class TestLog(OnMariadb):
    @pytest.fixture(autouse=True)
    def _fresh_database(self, server: MariadbServer) -> Iterator[None]:
        self.server = server.start()
        self.name = self.schema = "d"  # type: ignore[misc]
        server.drop_database("d")
        server.create_database("d")
        yield
        server.start()

    def at_work(self) -> tuple[MariadbSource, MyPosition, Log]:
        source, position = self.begun(self.table())
        assert isinstance(source, MariadbSource)
        return source, MyPosition.of(position), self.followed(source, position)

    def note(self, text: str) -> None:
        self.execute(f"update t set note = '{text}' where id = 1")

    def notes(self, log: Log, count: int) -> list[str]:
        return [cell(change, "note") for change in log.changes(count)]

    def resumed(self, position: object) -> Log:
        again = self.fresh()
        return self.followed(again, again.parse_position(str(position)))

    # --- forms of the log ---

    def test_the_log_goes_on_in_the_next_file_and_can_be_read_on_from_either(self) -> None:
        _, position, log = self.at_work()
        for n in range(4):
            self.note(f"v{n}")
            self.server.execute("flush binary logs")
        assert self.notes(log, 4) == ["v0", "v1", "v2", "v3"]
        for n, part in enumerate(log.parts):
            log.close()
            self.notes(self.resumed(part.position), 3 - n)
        assert [MyPosition.of(part.position).place.number - position.place.number for part in log.parts] == [0, 1, 2, 3]

    @pytest.mark.parametrize("setting", ["binlog_checksum = none", "binlog_checksum = crc32", "log_bin_compress = on"])
    def test_a_log_that_changes_its_form_is_read_on(self, setting: str) -> None:
        _, position, log = self.at_work()
        self.note("before")
        name = setting.split(" ")[0]
        ((was,),) = self.server.execute(f"select @@global.{name}")
        try:
            self.server.execute(f"set global {setting}")
            self.execute(f"update t set note = '{'long' * 20}', big = repeat('x', 60000) where id = 2")
            self.note("after")
            assert self.notes(log, 3)[::2] == ["before", "after"]
            assert self.notes(self.resumed(position), 3)[::2] == ["before", "after"]
        finally:
            self.server.execute(f"set global {name} = {was if was != 0 else 'off'}")

    def test_a_row_larger_than_a_packet_comes_whole(self) -> None:
        self.server.execute("set global max_allowed_packet = 67108864")
        _, _, log = self.at_work()
        self.execute("alter table t modify big longtext")
        self.execute("update t set big = repeat('é', 9000000) where id = 1")
        assert len(cell(log.changes(1)[0], "big")) == 9_000_000

    def test_another_replication_domain_takes_its_place_in_the_position(self) -> None:
        _, _, log = self.at_work()
        self.note("first")
        self.execute("set session gtid_domain_id = 3", "update t set note = 'third' where id = 1")
        self.note("last")
        assert self.notes(log, 3) == ["first", "third", "last"]
        assert [gtid.domain for gtid in MyPosition.of(log.parts[-1].position).gtids.gtids] == [0, 3]
        self.note("later")
        self.server.execute("flush binary logs")
        self.note("latest")
        assert self.notes(self.resumed(log.parts[-1].position), 2) == ["later", "latest"]

    # --- a server that goes and comes ---

    @pytest.mark.parametrize("how", ["restart", "kill"])
    def test_the_log_is_read_on_after_the_server_was_away(self, how: str) -> None:
        _, position, log = self.at_work()
        self.note("before")
        self.notes(log, 1)
        if how == "kill":
            self.server.kill()
            self.server.start()
        else:
            self.server.restart()
        with raises(SourceUnreachable):
            log.until(lambda: False, "the end of the log")
        self.note("after")
        assert self.notes(self.resumed(log.parts[-1].position), 1) == ["after"]
        assert self.notes(self.resumed(position), 2) == ["before", "after"]

    def test_a_log_that_was_purged_is_told_to_be_lost(self) -> None:
        """Bug B19: never an empty answer, and never a silent start somewhere else."""
        source, position, log = self.at_work()
        log.close()
        self.note("lost")
        self.server.execute("flush binary logs")
        ((file, *_),) = self.server.execute("show master status")
        purge = f"purge binary logs to '{file}'"
        # A file that a replica reads is not purged, and the server may not have noticed yet that it went.
        until(
            lambda: not self.server.execute(purge) and len(self.server.execute("show binary logs")) == 1,
            "the purge",
            DEADLINE_S,
        )
        for asked in (lambda: source.log_state(RUN, position), lambda: source.behind_bytes(position)):
            with raises(PositionLost) as error:
                asked()
            assert position.place.file in str(error[0])
        with raises(PositionLost):
            self.followed(source, position)

    def test_after_a_purge_every_position_that_is_there_is_taken_and_no_other(self) -> None:
        """Bug B13: of any domain, also of one whose transactions were all purged."""
        source, position, log = self.at_work()
        positions = [position]
        for domain in (0, 3, 7, 0, 3, 0):
            self.execute(f"set session gtid_domain_id = {domain}", "update t set note = concat(note, 'x') where id = 1")
            self.server.execute("flush binary logs")
            log.changes(len(positions))
            positions.append(MyPosition.of(log.parts[-1].position))
        log.close()
        files = [name for name, *_ in self.server.execute("show binary logs")]
        for first in (files[2], files[-2], files[-1]):
            until(
                lambda first=first: (
                    not self.server.execute(f"purge binary logs to '{first}'")  # type: ignore[misc]
                    and self.server.execute("show binary logs")[0][0] == first
                ),
                "the purge",
                DEADLINE_S,
            )
            for at in positions:
                if at.place.file < first:
                    with raises(PositionLost):
                        source.log_state(RUN, at)
                else:
                    source.log_state(RUN, at)
        assert [gtid.domain for gtid in positions[-1].gtids.gtids] == [0, 3, 7]

    def test_a_log_that_was_begun_anew_is_told_to_be_another(self) -> None:
        source, position, log = self.at_work()
        self.note("x")
        self.notes(log, 1)
        log.close()
        self.server.execute("reset master")
        for _ in range(60):  # until the new log is as long as the old one was
            self.note("y")
            self.note("z")
        with raises(PositionLost):
            source.log_state(RUN, MyPosition.of(log.parts[-1].position))
        with raises(PositionLost):
            source.log_state(RUN, position)

    def test_a_log_that_was_begun_anew_and_has_the_same_places_is_told_to_be_another(self) -> None:
        name = self.table()
        self.server.execute("reset master")
        self.note("x1")
        source, position = self.begun(name)
        self.server.execute("reset master")
        self.execute("set session gtid_domain_id = 5", "update t set note = 'x2' where id = 1")
        assert MyPosition.of(source.log_state(RUN, None).end).place == MyPosition.of(position).place
        with raises(PositionLost) as error:
            source.log_state(RUN, position)
        assert "RESET MASTER" in str(error[0])

    def test_a_log_that_is_shorter_than_what_was_read_is_told_to_be_lost(self) -> None:
        source, position, log = self.at_work()
        log.close()
        self.server.execute("flush binary logs")  # as after a crash
        further = MyPosition(position.place._replace(offset=position.place.offset + 10_000), position.gtids)
        for asked in (lambda: source.log_state(RUN, further), lambda: source.check_lineage("", further)):
            with raises(PositionLost):
                asked()

    # --- replicas ---

    def test_every_run_is_a_replica_with_an_id_and_a_name_of_its_own(self) -> None:
        source, position, _ = self.at_work()
        self.begun(TableName("d", "t"), run=OTHER_RUN)
        self.followed(source, position, OTHER_RUN)
        listed = {row[1]: row[0] for row in self.server.execute("show slave hosts")}
        assert {f"tidegate {RUN}", f"tidegate {OTHER_RUN}"} <= set(listed)
        assert listed[f"tidegate {RUN}"] != listed[f"tidegate {OTHER_RUN}"]

    def test_a_replica_that_has_the_runs_id_already_is_named(self) -> None:
        source, position, log = self.at_work()
        ((taken, *_),) = [row for row in self.server.execute("show slave hosts") if row[1] == f"tidegate {RUN}"]
        log.close()
        with self.server.connect() as other:
            registration = int(taken).to_bytes(4, "little") + b"\x07replica" + bytes(12)
            other._execute_command(0x15, registration)  # type: ignore[attr-defined]
            other._read_ok_packet()  # type: ignore[attr-defined]
            with raises(SourceServerIdTaken) as error:
                self.followed(source, position)
            assert f'server id {taken} is that of the replica "replica"' in str(error[0])
        config = self.server.config("d") | {"server_ids_from": 5}
        elsewhere = MariadbSource(parse_config(MariadbConfig, config, of="source"))
        self._held.append(elsewhere)
        self.followed(elsewhere, position)

    def test_a_replica_that_comes_later_with_the_runs_id_ends_it_and_is_named_when_it_goes_on(self) -> None:
        source, position, log = self.at_work()
        ((taken, *_),) = [row for row in self.server.execute("show slave hosts") if row[1] == f"tidegate {RUN}"]
        with self.server.connect() as other, other.cursor() as cursor:
            cursor.execute("set @master_binlog_checksum = @@global.binlog_checksum")
            own = int(taken).to_bytes(4, "little")
            other._execute_command(0x15, own + b"\x07replica" + bytes(12))  # type: ignore[attr-defined]
            other._read_ok_packet()  # type: ignore[attr-defined]
            from_the_file = bytes([4, 0, 0, 0, 0, 0]) + own + position.place.file.encode()
            other._execute_command(0x12, from_the_file)  # type: ignore[attr-defined]
            with raises(SourceServerIdTaken) as error:
                log.until(lambda: False, "the end of the log")
            assert f"server id {taken}" in str(error[0])
            with raises(SourceServerIdTaken) as error:
                self.followed(source, position)
            assert f'server id {taken} is that of the replica "replica"' in str(error[0])
            other._force_close()  # type: ignore[attr-defined]

    # --- for how long the log is kept ---

    def test_it_says_how_much_log_is_kept_for_each_run_and_when_it_goes_for_its_age(self) -> None:
        source, first, log = self.at_work()
        log.close()
        self.note("more")
        for _ in range(2):
            self.server.execute("flush binary logs")
        newest = MyPosition.of(source.log_state(RUN, None).end)
        asked = {RUN: first, OTHER_RUN: newest, "unknown": None}
        kept = source.retentions(asked)
        assert set(kept.runs) == {RUN, OTHER_RUN}
        assert kept.runs[RUN].retained_bytes == source.behind_bytes(first)
        assert (kept.runs[OTHER_RUN].retained_bytes, kept.free_bytes) == (0, None)
        assert {(one.safe_bytes, one.expires_in_s, one.lost) for one in kept.runs.values()} == {(None, None, "")}
        self.note("x" * 90)
        assert source.retentions(asked).written_bytes >= kept.written_bytes + 90
        self.server.execute("set global binlog_expire_logs_seconds = 1000")
        try:
            until(
                lambda: (source.retentions({RUN: first}).runs[RUN].expires_in_s or 1000) < 999,
                "it grows old",
                DEADLINE_S,
            )
            kept = source.retentions(asked)
        finally:
            self.server.execute("set global binlog_expire_logs_seconds = 0")
        assert 900 < (kept.runs[RUN].expires_in_s or 0) < 999
        assert kept.runs[OTHER_RUN].expires_in_s == 1000, "the newest file is written still"
        ((file, *_),) = self.server.execute("show master status")
        purge = f"purge binary logs to '{file}'"
        until(
            lambda: not self.server.execute(purge) and len(self.server.execute("show binary logs")) == 1,
            "the purge",
            DEADLINE_S,
        )
        kept = source.retentions(asked)
        assert first.place.file in kept.runs[RUN].lost
        assert not kept.runs[OTHER_RUN].lost

    # --- the connectivity test ---

    @pytest.mark.parametrize(
        ("setting", "wrong", "name", "error"),
        [
            ("binlog_format", "MIXED", "log format", SourceLogFormat),
            ("binlog_row_image", "MINIMAL", "row images", SourceLogFormat),
            ("binlog_row_metadata", "NO_LOG", "row metadata", SourceLogFormat),
            ("binlog_expire_logs_seconds", "600", "log kept", SourceLogDisabled),
        ],
    )
    def test_a_setting_that_loses_changes_fails_the_connectivity_test(
        self, setting: str, wrong: str, name: str, error: type[TidegateError]
    ) -> None:
        ((was,),) = self.server.execute(f"select @@global.{setting}")
        self.server.execute(f"set global {setting} = {wrong}")
        try:
            (failed,) = [check for check in self.fresh().check() if not check.ok]
        finally:
            self.server.execute(f"set global {setting} = {was}")
        assert (failed.name, failed.code) == (name, error.code)
        assert wrong.lower() in failed.found.lower() or "0.2 hours" in failed.found
        assert failed.advice

    @contextmanager
    def metadata(self, level: str) -> Iterator[None]:
        self.server.execute(f"set global binlog_row_metadata = {level}")
        try:
            yield
        finally:
            self.server.execute("set global binlog_row_metadata = full")

    def test_a_log_that_says_too_little_of_columns_is_refused_when_it_is_read(self) -> None:
        _, _, log = self.at_work()
        with self.metadata("no_log"):
            self.note("unnamed")
            with raises(SourceLogFormat) as error:
                log.until(lambda: False, "the end of the log")
        assert "d.t: the log tells no signs" in str(error[0])

    @pytest.mark.parametrize("when", ["at once", "later"])
    def test_rows_whose_columns_the_log_does_not_name_have_those_of_their_time(self, when: str) -> None:
        """Bug B14: the names follow the statements in the log, and not the table as it is by now."""
        with self.metadata("minimal"):
            self.table()
            self.execute("alter table t add mood enum('sad','it''s') after id, add u tinyint unsigned, add j json")
            source, position = self.begun(TableName("d", "t"))
            log = self.followed(source, position) if when == "at once" else None
            for n, change in enumerate(_CHANGES):
                self.execute(
                    f"update t set mood = 'it''s', u = {100 + n} where id = 1",
                    "set sql_mode = 'STRICT_ALL_TABLES'", f"alter table t {change}", "set sql_mode = ''",
                )  # fmt: skip
            self.execute("update t set note = 'last', mood = 'new', u = 0, j = '{}' where id = 1")
            log = log or self.followed(self.fresh(), position)
            changes = log.changes(len(_CHANGES) + 1)
        *before, last = changes
        assert [cell(change, "u") for change in before] == [str(100 + n) for n in range(len(_CHANGES))]
        assert {cell(change, "mood") for change in before} == {"it's"}
        noted = ["other" if n in (2, 3) else "note" for n in range(len(_CHANGES))]
        assert {cell(change, name) for change, name in zip(before, noted, strict=True)} == {"n1"}
        assert [cell(last, name) for name in ("u", "mood", "note", "first_one")] == ["0", "new", "last", "7"]
        now = source.schema(TableName("d", "t"))
        assert (last.table.names, last.table.key) == (now.names, ("id",))
        assert [column.type for column in last.table.columns] == [column.type for column in now.columns]

    def test_a_shape_that_the_log_does_not_name_is_told_before_rows_come_and_gone_on_with(self) -> None:
        """So it is stored with the place in the log."""
        with self.metadata("minimal"):
            source, _, log = self.at_work()
            self.execute("alter table t rename column note to other")
            log.until(lambda: any(part.met for part in log.idle), "the shape")
            (told,) = [part for part in log.idle if part.met]
            log.close()
            assert told.met[0].names == ("id", "other", "big")
            self._runs[RUN] = {told.met[0].name: told.met[0]}
            self.execute("update t set other = 'on' where id = 1")
            assert cell(self.resumed(told.position).changes(1)[0], "other") == "on"
            assert source.schema(TableName("d", "t")).names == told.met[0].names

    @pytest.mark.parametrize(
        "change", ["modify note national varchar(9)", "drop primary key, add primary key (id, note)"]
    )
    def test_a_change_that_is_not_understood_ends_a_run_whose_log_names_no_columns(self, change: str) -> None:
        with self.metadata("minimal"):
            _, _, log = self.at_work()
            self.note("before")
            self.execute("set sql_mode = 'STRICT_ALL_TABLES'", "update t set note = 'x'", f"alter table t {change}")
            with raises(SourceLogFormat):
                log.until(lambda: False, "the end of the log")
        assert [cell(change, "note") for change in log.seen] == ["before", *["x"] * 3]

    def test_columns_that_are_not_those_that_are_known_end_a_run_whose_log_does_not_name_them(self) -> None:
        with self.metadata("minimal"):
            source, _, log = self.at_work()
            log.close()
            self.execute("alter table t add a int")
            after = MyPosition.of(source.log_state(RUN, None).end)
            self.note("x")
            with raises(SourceLogFormat) as error:
                self.resumed(MyPosition(after.place)).changes(1)
        assert "the log has 4 columns" in str(error[0])

    def test_missing_privileges_are_named(self) -> None:
        self.server.execute("drop user if exists 'some'@'127.0.0.1'")
        self.server.create_user("some", "pass word", grants="SELECT ON d.*")
        self.table()
        source = MariadbSource(parse_config(MariadbConfig, self.server.config("d", "some", "pass word"), of="source"))
        self._held.append(source)
        (failed,) = [check for check in source.check() if not check.ok]
        assert failed.code == SourcePrivilegeMissing.code
        assert "REPLICATION SLAVE, BINLOG MONITOR" in failed.found
        self.server.execute("grant replication slave, binlog monitor on *.* to 'some'@'127.0.0.1'")
        assert [check for check in source.check() if not check.ok] == []
        position = source.begin(RUN, [TableName("d", "t")])
        self._runs[RUN] = {TableName("d", "t"): source.schema(TableName("d", "t"))}
        log = self.followed(source, position)
        self.note("seen")
        assert self.notes(log, 1) == ["seen"]
        self.execute(
            "create table c (id int primary key, j json, foreign key (id) references t (id) on delete cascade)"
        )
        schema = source.schema(TableName("d", "c"))
        assert [type(error) for error in source.refusals(schema, WriteMode.APPEND)] == [SourceCascade]
        assert schema.column("j").type.kind is Kind.JSON

    def test_a_wrong_password_and_no_server_are_told_apart(self) -> None:
        for change, name, error in (
            ({"password": "wrong"}, "authenticated", SourceAuthFailed),
            ({"port": 1}, "reachable", SourceUnreachable),
        ):
            source = MariadbSource(parse_config(MariadbConfig, self.server.config("d") | change, of="source"))
            failed = [check for check in source.check() if not check.ok]
            assert [(check.name, check.code) for check in failed] == [(name, error.code)]

    def test_databases_that_are_not_logged_have_no_tables_to_follow(self) -> None:
        name = self.table()
        self.server.restart(binlog_ignore_db="d")
        try:
            source = self.fresh()
            assert name not in source.tables()
            assert source.unlogged_tables() == [name]
        finally:
            del self.server.settings["binlog_ignore_db"]
            self.server.restart()

    def test_a_server_without_a_log_is_told(self) -> None:
        self.server.restart(log_bin=None)
        try:
            failed = [check.name for check in self.fresh().check() if not check.ok]
        finally:
            self.server.restart(log_bin="log")
        assert failed == ["binary log"]

    def test_a_server_that_takes_upper_for_lower_case_is_followed_through_statements_in_either(self) -> None:
        with MariadbServer(settings={"lower_case_table_names": 1}) as server:
            self.server = server
            server.create_database("d")
            _, _, log = self.at_work()
            self.execute("alter table T add n int default 5", "update T set note = 'on'", "truncate table D.T")
            changes = log.changes(4)
            assert [change.op for change in changes] == [Op.UPDATE] * 3 + [Op.TRUNCATE]
            assert changes[0].table.column("n").default == "5"
            self.execute("create table U like T", "rename table T to V, U to T")
            with raises(SourceTableRemade):
                log.until(lambda: False, "the end of the log")

    def test_it_is_the_same_source_after_it_moved_and_another_with_another_id(self) -> None:
        source = self.fresh()
        kind, server, at = source.identity()
        assert source.recognises([kind, server, at])
        assert source.recognises([kind, server, "elsewhere:3306"])
        assert not source.recognises([kind, "99", at])
