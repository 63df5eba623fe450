"""Cases about what a source says of itself, its tables and their shape."""

from __future__ import annotations

from tidegate.connect.capability import WriteMode
from tidegate.connect.source import Source
from tidegate.errors import PositionLost, SourceNoKey, SourceTableUnknown, TidegateError
from tidegate.model.schema import Kind, TableName
from tidegate.testing.source_contract.ground import RUN, Ground, raises


class Describing(Ground):
    def test_it_declares_itself(self) -> None:
        cls = type(self.fresh())
        assert cls.kind
        assert cls.title
        assert cls.Config.model_json_schema()["properties"]

    def test_the_connectivity_test_passes_and_says_what_was_found(self) -> None:
        checks = self.fresh().check()
        assert [check for check in checks if not check.ok] == []
        assert all(check.name and check.found and not check.code for check in checks)

    def test_its_identity_is_the_same_for_every_instance(self) -> None:
        assert self.fresh().identity() == self.fresh().identity()
        assert len(self.fresh().identity()) > 1

    def test_tables_are_listed_by_schema_and_name(self) -> None:
        source = self.fresh()
        assert TableName(self.schema, "t") not in source.tables()
        name = self.table()
        assert name in source.tables()
        self.execute("drop table t")
        assert name not in source.tables()

    def test_a_tables_columns_and_key_are_described(self) -> None:
        self.execute("create table t (b varchar(7) not null, a int not null, n numeric(9,2), primary key (a, b))")
        schema = self.fresh().schema(TableName(self.schema, "t"))
        assert schema.names == ("b", "a", "n")
        assert schema.key == ("a", "b")
        assert schema.family == type(self.fresh()).kind
        kinds = {column.name: column.type for column in schema.columns}
        assert (kinds["b"].kind, kinds["b"].length) == (Kind.TEXT, 7)
        assert kinds["a"].kind is Kind.INT32
        assert (kinds["n"].kind, kinds["n"].precision, kinds["n"].scale) == (Kind.DECIMAL, 9, 2)
        assert [column.nullable for column in schema.columns] == [False, False, True]

    def test_a_schema_survives_its_json(self) -> None:
        schema = self.fresh().schema(self.table())
        assert type(schema).from_json(schema.to_json()) == schema

    def test_a_table_that_is_not_there_is_refused_by_name(self) -> None:
        with raises(SourceTableUnknown) as error:
            self.fresh().schema(TableName(self.schema, "nowhere"))
        assert f"{self.schema}.nowhere" in str(error[0])

    def test_an_ordinary_table_can_be_followed_in_every_mode(self) -> None:
        source = self.fresh()
        schema = source.schema(self.table())
        for mode in WriteMode:
            assert source.refusals(schema, mode) == []

    def test_a_table_without_a_key_cannot_be_upserted(self) -> None:
        self.execute("create table t (note varchar(10))")
        source = self.fresh()
        schema = source.schema(TableName(self.schema, "t"))
        assert schema.key == ()
        refused = source.refusals(schema, WriteMode.UPSERT)
        assert any(isinstance(error, SourceNoKey) and f"{self.schema}.t" in str(error) for error in refused)

    def test_rows_alone_make_a_table_no_other(self) -> None:
        name, source = self.table(), self.fresh()
        schema = source.schema(name)
        first = source.unlogged_changes([(schema, "")])
        assert first.changes == []
        self.table("u")
        assert source.unlogged_changes([(schema, first.now.get(name, ""))]) == first

    def test_what_becomes_of_a_partition_without_the_log_is_seen_once(self) -> None:
        for what, statement in self.unlogged.items():
            self.execute(*self.partitioned)
            source, name = self.fresh(), TableName(self.schema, "t")
            schema = source.schema(name)
            first = source.unlogged_changes([(schema, "")])
            assert first.changes == []
            assert source.unlogged_changes([(schema, first.now[name])]) == first
            self.execute(statement)
            second = source.unlogged_changes([(schema, first.now[name])])
            assert [(change.table, str(change.what)) for change in second.changes] == [(name, what)]
            assert source.unlogged_changes([(schema, second.now[name])]).changes == []
            self.execute("drop table t")

    def test_about_how_many_rows_a_table_has_is_known(self) -> None:
        assert self.fresh().estimate(self.table(rows=0)) < 100
        assert self.fresh().estimate(self.table("u", rows=500)) > 5

    # --- beginning and ending ---

    def test_positions_and_marks_are_read_back_from_their_texts(self) -> None:
        source, position = self.begun(self.table())
        again = source.parse_position(str(position))
        assert str(again) == str(position)
        assert not again < position
        assert again <= position
        assert again.sortable() == position.sortable()
        mark = source.now()
        assert str(source.parse_mark(str(mark))) == str(mark)

    def test_a_text_that_is_no_position_is_a_value_error(self) -> None:
        for text in ("", "nonsense", "-1", "0/0/0/0"):
            with raises(ValueError):
                self.fresh().parse_position(text)

    def test_beginning_again_replaces_what_an_earlier_attempt_left(self) -> None:
        source, first = self.begun(self.table())
        second = self.fresh().begin(RUN, [TableName(self.schema, "t")])
        assert first <= second
        source.log_state(RUN, second)

    def test_beginning_with_a_table_that_is_not_there_leaves_nothing(self) -> None:
        source, name = self.fresh(), self.table()
        position = source.begin(RUN, [name])
        with raises(TidegateError):
            source.begin(RUN, [name, TableName(self.schema, "nowhere")])
        self._ended(source, position)

    def test_ending_lets_go_of_the_log_and_may_be_said_twice(self) -> None:
        source, position = self.begun(self.table())
        source.end(RUN)
        source.end(RUN)
        self._ended(source, position)

    def _ended(self, source: Source, position: object) -> None:
        if not self.keeps_log:
            return
        with raises(PositionLost):
            source.log_state(RUN, position)  # type: ignore[arg-type]

    def test_closing_may_be_said_twice_and_the_source_can_be_used_again(self) -> None:
        source = self.fresh()
        tables = source.tables()
        source.close()
        source.close()
        assert source.tables() == tables
