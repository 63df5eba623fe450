"""Cases about looking at tables and making them ready."""

from __future__ import annotations

import pytest

from tidegate.connect.capability import Delivery, WriteMode
from tidegate.connect.runkey import task_of
from tidegate.connect.target import (
    Append,
    Clear,
    KeyRange,
    Moved,
    Net,
    Progress,
    Stamp,
    Stored,
    TargetTable,
)
from tidegate.errors import (
    TargetMisfit,
    TargetNotEmpty,
    TargetShared,
    TargetTableMissing,
    TargetUnfit,
)
from tidegate.model.schema import Column, DataType, Kind, TableName, TableSchema
from tidegate.testing.target_contract.ground import (
    INT,
    MONEY,
    NEXT_RUN,
    ORDERS,
    OTHER_RUN,
    RUN,
    TEXT,
    Ground,
    batch,
    label,
    one_column,
)
from tidegate.testing.values import VALUES, same_value


class Preparing(Ground):
    def test_it_declares_what_it_can_do(self) -> None:
        target = self.fresh()
        assert target.kind
        assert target.title
        assert target.batch.rows > 0
        assert set(target.modes) <= set(WriteMode)
        assert target.delivery in Delivery

    def test_the_connectivity_test_has_a_line_per_requirement_and_all_are_in_order(self) -> None:
        checks = self.fresh().check()
        assert len(checks) >= 2
        assert [check for check in checks if not check.ok] == []

    def test_two_instances_of_one_place_have_one_identity(self) -> None:
        one = self.fresh().identity()
        assert one == self.fresh().identity()
        assert one[0] == self.fresh().kind

    def test_looking_at_a_table_that_is_not_there_finds_nothing(self) -> None:
        assert self.fresh().columns(self.upsert()) is None
        assert self.fresh().stored(RUN) is None

    def test_looking_works_while_a_run_is_open_and_after_it(self) -> None:
        target = self.started()
        self.filled(target, self.upsert(), ("1", None, None, None))
        for looking in (target, self.fresh()):
            target.release()
            assert [column.name for column in looking.columns(self.upsert()) or []] == list(ORDERS.names)
            assert looking.misfits(self.upsert()) == []
            assert looking.stored(RUN) == Stored("filled", {})

    # --- prepare ---

    @pytest.mark.parametrize("mode", WriteMode)
    def test_prepare_makes_the_table_with_the_sources_columns(self, mode: WriteMode) -> None:
        target = self.started()
        table = TargetTable("shop", "orders", ORDERS, mode)
        assert target.prepare(table, create=True, replace=False) is True
        stamp = table.stamp.names() if mode is WriteMode.APPEND else ()
        assert [column.name for column in target.columns(table) or []] == [*ORDERS.names, *stamp]

    @pytest.mark.parametrize("mode", WriteMode)
    def test_a_table_it_made_fits_whatever_the_types(self, mode: WriteMode) -> None:
        target = self.started()
        columns = [Column("id", INT, False)] + [Column(f"c{n}", type) for n, (type, _) in enumerate(VALUES)]
        table = TargetTable(
            "shop", "all", TableSchema(TableName("p", "all"), tuple(columns), ("id",), "postgres"), mode
        )
        target.prepare(table, create=True, replace=False)
        assert target.misfits(table) == []

    def test_prepare_again_changes_nothing(self) -> None:
        target = self.started()
        self.filled(target, self.upsert(), ("1", "2.00", "a", None))
        assert target.prepare(self.upsert(), create=True, replace=False) is False
        assert self.held(self.upsert()) == [("1", "2.00", "a", None)]

    def test_a_missing_table_is_refused_when_it_must_not_be_made(self) -> None:
        target = self.started()
        with pytest.raises(TargetTableMissing, match="orders"):
            target.prepare(self.upsert(), create=False, replace=False)
        assert target.columns(self.upsert()) is None

    def test_every_column_that_does_not_fit_is_named(self) -> None:
        narrow = DataType(Kind.DECIMAL, "numeric(8,2)", 8, 2)
        columns = (Column("id", INT, False), Column("amount", narrow), Column("doc", TEXT))
        before = TableSchema(ORDERS.name, columns, ("id",), "postgres")
        target = self.started(OTHER_RUN)
        target.prepare(self.upsert(before), create=True, replace=False)
        assert {misfit.column for misfit in target.misfits(self.upsert())} == {"amount", "note"}
        with pytest.raises(TargetMisfit, match=r"amount.*note"):
            self.started().prepare(self.upsert(), create=True, replace=True)

    def test_an_extra_column_that_must_be_filled_is_named(self) -> None:
        columns = (*ORDERS.columns, Column("shelf", INT, False))
        target = self.started(OTHER_RUN)
        target.prepare(
            self.upsert(TableSchema(ORDERS.name, columns, ("id", "shelf"), "postgres")), create=True, replace=False
        )
        assert "shelf" in {misfit.column for misfit in target.misfits(self.upsert())}

    def test_a_wider_column_fits(self) -> None:
        columns = (Column("id", INT, False), Column("amount", DataType(Kind.DECIMAL, "numeric(12,3)", 12, 3)))
        narrow = (Column("id", DataType(Kind.INT32, "integer"), False), Column("amount", MONEY))
        target = self.started()
        wide = self.upsert(TableSchema(ORDERS.name, columns, ("id",), "postgres"))
        target.prepare(wide, create=True, replace=False)
        assert target.misfits(self.upsert(TableSchema(ORDERS.name, narrow, ("id",), "postgres"))) == []

    def test_the_position_column_of_append_must_be_there(self) -> None:
        target = self.started(OTHER_RUN)
        target.prepare(self.append(stamp=Stamp(position="")), create=True, replace=False)
        assert [misfit.column for misfit in target.misfits(self.append())] == [Stamp().position]

    def test_a_stamp_that_would_hide_a_column_of_the_source_is_refused(self) -> None:
        with pytest.raises(TargetMisfit, match="note"):
            self.started().prepare(self.append(stamp=Stamp(op="note")), create=True, replace=False)

    def test_a_table_may_not_lie_among_the_state_of_runs(self) -> None:
        with pytest.raises(TargetMisfit, match="tidegate"):
            self.started().prepare(
                TargetTable("tidegate", "position", ORDERS, WriteMode.UPSERT), create=True, replace=True
            )

    def test_tables_it_could_hold_together_are_not_refused(self) -> None:
        assert self.fresh().refusals([self.upsert(), self.append(), self.upsert(name="others")]) == []

    def test_a_table_it_could_never_hold_is_refused_before_anything_is_made(self) -> None:
        target = self.fresh()
        among = TargetTable("tidegate", "position", ORDERS, WriteMode.UPSERT)
        hidden = self.append(stamp=Stamp(op="note"))
        refused = target.refusals([self.upsert(), among, hidden])
        assert [type(error) for error in refused] == [TargetUnfit, TargetUnfit]
        started = self.started()
        for table, known in zip((among, hidden), refused, strict=True):
            with pytest.raises(TargetUnfit) as found:
                started.prepare(table, create=True, replace=False)
            assert found.value.detail == known.args[0]

    def test_rows_of_somebody_else_are_refused(self) -> None:
        self.filled(self.started(OTHER_RUN), self.upsert(), ("1", None, None, None))
        self.fresh().forget(OTHER_RUN)
        target = self.started()
        with pytest.raises(TargetNotEmpty, match="orders"):
            target.prepare(self.upsert(), create=True, replace=False)
        with pytest.raises(TargetNotEmpty):  # the refusal has not made them this task's own
            target.prepare(self.upsert(), create=True, replace=False)

    def test_rows_of_a_stopped_task_may_be_replaced_when_asked_for(self) -> None:
        self.filled(self.started(OTHER_RUN), self.upsert(), ("1", None, None, None))
        self.fresh().forget(OTHER_RUN)
        target = self.started()
        assert target.prepare(self.upsert(), create=True, replace=True) is False
        assert target.prepare(self.upsert(), create=True, replace=False) is False

    def test_a_table_that_another_tasks_run_upserts_is_refused_until_that_is_stopped(self) -> None:
        self.started(OTHER_RUN).prepare(self.upsert(), create=True, replace=False)
        target = self.started()
        assert self.fresh().sharer(RUN, self.upsert()) == OTHER_RUN
        for replace in (False, True):
            with pytest.raises(TargetShared, match=OTHER_RUN):
                target.prepare(self.upsert(), create=True, replace=replace)
        self.fresh().forget(OTHER_RUN)
        assert self.fresh().sharer(RUN, self.upsert()) is None
        target.prepare(self.upsert(), create=True, replace=False)
        assert self.fresh().sharer(RUN, self.upsert()) is None  # a later run of the task's own

    def test_several_tasks_may_append_to_one_table(self) -> None:
        self.started(OTHER_RUN).prepare(self.append(), create=True, replace=False)
        self.started().prepare(self.append(), create=True, replace=False)

    def test_looking_tells_the_rows_of_somebody_else_from_the_tasks_own(self) -> None:
        fresh = self.fresh()
        assert fresh.holds_others(RUN, self.upsert()) is False  # there is no table
        self.filled(self.started(OTHER_RUN), self.upsert(), ("1", None, None, None))
        assert self.fresh().holds_others(RUN, self.upsert()) is True
        assert self.fresh().holds_others(OTHER_RUN, self.upsert()) is False

    def test_looking_takes_an_empty_table_for_nobodys(self) -> None:
        self.started(OTHER_RUN).prepare(self.upsert(), create=True, replace=False)
        assert self.fresh().holds_others(RUN, self.upsert()) is False

    def test_looking_knows_rows_of_earlier_runs_of_the_task_by_its_part_of_the_run_key(self) -> None:
        target = self.started()
        self.filled(target, self.upsert(), ("1", None, None, None))
        target.forget(RUN)
        target.close()
        for own in (NEXT_RUN, task_of(RUN)):
            assert self.fresh().holds_others(own, self.upsert()) is False

    def test_append_adds_to_the_rows_of_somebody_else(self) -> None:
        other = self.started(OTHER_RUN)
        other.prepare(self.append(), create=True, replace=False)
        other.write([Append(self.append(), [batch(("id",), ("1",))])], Progress("1"))
        assert self.started().prepare(self.append(), create=True, replace=False) is False

    def test_a_later_run_of_the_same_task_may_replace_its_rows(self) -> None:
        target = self.started()
        self.filled(target, self.upsert(), ("1", None, None, None))
        target.forget(RUN)
        assert self.started(NEXT_RUN).prepare(self.upsert(), create=True, replace=False) is False

    # --- columns that come later ---

    def test_a_column_added_has_its_default_in_old_rows_and_where_it_is_left_out(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, "a", None))
        new = [
            Column("stars", DataType(Kind.INT32, "integer"), True, "3"),
            Column("said", TEXT, True, "it's \\ 'x'"),
            Column("empty", MONEY),
        ]
        target.add_columns(table, new)
        target.add_columns(table, new)
        wide = self.upsert(TableSchema(ORDERS.name, (*ORDERS.columns, *new), ORDERS.key, "postgres"))
        assert target.misfits(wide) == []
        rows = [batch(("id", "stars"), ("2", "5")), batch(("id", "note"), ("3", "c"))]
        target.write([Append(wide, rows), Net(wide, puts=batch(("id", "empty"), ("4", "1.00")))], Progress("1"))
        assert self.held(wide, "id", "stars", "said", "empty") == [
            ("1", "3", "it's \\ 'x'", None),
            ("2", "5", "it's \\ 'x'", None),
            ("3", "3", "it's \\ 'x'", None),
            ("4", "3", "it's \\ 'x'", "1.00"),
        ]

    @pytest.mark.parametrize(("type", "values"), VALUES, ids=label)
    def test_defaults_of_every_type(self, type: DataType, values: tuple[str, ...]) -> None:
        target, table = self.started(), self.upsert(one_column(INT))
        self.filled(target, table, ("1", None))
        default = self.holdable(type, values)[-1]
        target.add_columns(table, [Column("more", type, True, default)])
        ((found,),) = self.held(table, "more")
        assert same_value(type, default, found)

    # --- names ---

    @pytest.mark.parametrize(
        "name", ['semi;colon "quoted"', "Größe 数据", "select", "%s {} $1", "é" * 31 + "x", " lead", "back\\slash'"]
    )
    def test_names_of_every_kind(self, name: str) -> None:
        columns = (Column(name, TEXT, False), Column(f"n{name[1:]}", TEXT), Column("from 0", TEXT))
        source = TableSchema(TableName(name, name), columns, (name,), "postgres")
        table = TargetTable(name, name, source, WriteMode.UPSERT)
        target = self.started()
        names = source.names
        self.filled(target, table, ("a", "1", "x"), ("b", "2", "y"), ("c", "3", "z"))
        step = Net(
            table,
            deletes=batch((name,), ("a",)),
            puts=batch(names, ("b", "20", None)),
            patches=[batch(names[:2], ("c", "30"))],
            moved=[Moved(batch((name, "from 0"), ("d", "w")), ("a",), (names[1],))],
        )
        target.write([step, Clear(table, [KeyRange(("b",), ("c",))])], Progress("1"))
        target.add_columns(table, [Column(f"m{name[1:]}", TEXT)])
        assert target.misfits(table) == []
        assert self.held(table) == sorted([("b", "20", None), ("d", "1", "w")])
        log = TargetTable(name, f"L{name[1:]}", source, WriteMode.APPEND)
        target.prepare(log, create=True, replace=False)
        target.write([Append(log, [batch(names, ("a", "1", None))])], Progress("2"))
        assert self.held(log) == [("a", "1", None)]
