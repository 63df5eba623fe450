"""A task's definition: what is accepted, what is refused and with which words, and what the names come to."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tidegate.connect.capability import ReadMode, WriteMode
from tidegate.connect.target import Stamp
from tidegate.errors import SourcePatternEmpty, SourceTableUnknown, TargetNameClash, TaskInvalid
from tidegate.model.document import DEPTH_MAX, SIZE_MAX_BYTES, load_documents
from tidegate.model.schema import TableName
from tidegate.model.task import (
    ExistingRows,
    TaskSpec,
    load_task,
    matches,
    parse_task,
    picks,
    target_name,
    target_names,
)

DESIGN = """
task: shop_to_lake
project: default
kind: whole_database
source: {data_source: shop, tables: ["public.orders", "public.item_.*"], read: full+incremental}
target: {data_source: lake, schema: "{schema}", table: "{table}", write: upsert, create_tables: true}
resource_group: default
snapshots: {every: 60s, keep: 20}
restarts: {max: 10}
"""

ORDERS, ITEM_A, ITEM_B = (TableName("public", name) for name in ("orders", "item_a", "item_b"))
NAMES = [ITEM_A, ITEM_B, ORDERS, TableName("Größe", "订单.x")]


def values(**changes: Any) -> dict[str, Any]:
    """A minimal definition; `source__tables=[…]` changes a field inside a part, `…=None` there removes nothing."""
    given: dict[str, Any] = {
        "task": "t",
        "kind": "whole_database",
        "source": {"data_source": "shop", "tables": ["public.orders"]},
        "target": {"data_source": "lake", "write": "upsert"},
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        part = given
        for parent in parents:
            part = part.setdefault(parent, {})
        part[last] = value
    return given


def spec(**changes: Any) -> TaskSpec:
    return parse_task(values(**changes))


def test_the_example_of_the_design_is_read() -> None:
    task = load_task(DESIGN)
    assert (task.task, task.source.tables) == ("shop_to_lake", ("public.orders", "public.item_.*"))
    assert (task.source.read, task.target.write) == (ReadMode.FULL_INCREMENTAL, WriteMode.UPSERT)
    assert (task.snapshots.every_s, task.snapshots.keep, task.restarts.max) == (60.0, 20, 10)


def test_what_is_left_out_has_the_documented_defaults() -> None:
    task = spec()
    assert (task.project, task.resource_group, task.units) == ("default", "default", 1)
    assert (task.target.schema_name, task.target.table) == ("{schema}", "{table}")
    assert task.target.existing_rows is ExistingRows.REFUSE
    assert (task.snapshots.every_s, task.snapshots.keep, task.restarts.max) == (60.0, 20, 10)


def test_the_added_columns_are_named_as_targets_name_them_by_default() -> None:
    assert Stamp(**spec().target.stamp.model_dump()) == Stamp()


@pytest.mark.parametrize("off", [None, False])
def test_an_added_column_can_be_left_out(off: object) -> None:
    stamp = spec(target__stamp={"op": "what", "detail": off}).target.stamp
    assert Stamp(**stamp.model_dump()).names() == ("what", "_tidegate_committed_at", "_tidegate_position")


def test_all_added_columns_can_be_left_out_at_once() -> None:
    assert Stamp(**spec(target__stamp=False).target.stamp.model_dump()).names() == ()


def test_a_definition_reads_back_equal() -> None:
    task = spec(snapshots__every="1.5m", target__stamp={"op": None}, target__schema="raw_{schema}", units=3)
    assert parse_task(task.definition()) == task
    assert task.definition()["snapshots"]["every"] == "90s"
    assert task.definition()["target"]["schema"] == "raw_{schema}"


@pytest.mark.parametrize("name", ["shop", "订单同步", "größe_2", "_", "a" * 100])
def test_a_name_of_letters_digits_and_underscores_is_accepted(name: str) -> None:
    assert spec(task=name).task == name


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"task": "12"}, "task"),
        ({"task": "a b"}, "task"),
        ({"task": ""}, "task"),
        ({"task": "a" * 101}, "task"),
        ({"task": "a\n"}, "task"),
        ({"task": 7}, "task"),
        ({"project": "../etc"}, "project"),
        ({"kind": "everything"}, "kind"),
        ({"source__tables": []}, "source.tables"),
        ({"source__tables": "public.orders"}, "source.tables"),
        ({"source__tables": ["orders"]}, "source.tables[0]"),
        ({"source__tables": ["public.a", "public.(b"]}, "source.tables[1]"),
        ({"source__tables": ["public.a\x00"]}, "source.tables[0]"),
        ({"source__read": "some"}, "source.read"),
        ({"source__password": "x"}, "source.password"),
        ({"target__write": "merge"}, "target.write"),
        ({"target__schema": "{shema}"}, "target.schema"),
        ({"target__table": "{table"}, "target.table"),
        ({"target__table": ""}, "target.table"),
        ({"target__table": "${table}"}, "target.table"),
        ({"target__table": "${key}"}, "target.table"),
        ({"target__create_tables": "yes"}, "target.create_tables"),
        ({"target__existing_rows": "keep"}, "target.existing_rows"),
        ({"target__stamp": {"op": "x", "detail": "x"}}, "target.stamp"),
        ({"units": 0}, "units"),
        ({"units": "2"}, "units"),
        ({"units": True}, "units"),
        ({"snapshots__every": 60}, "snapshots.every"),
        ({"snapshots__every": "60"}, "snapshots.every"),
        ({"snapshots__every": "0.2s"}, "snapshots.every"),
        ({"snapshots__every_s": 60}, "snapshots.every_s"),
        ({"snapshots__keep": 0}, "snapshots.keep"),
        ({"restarts__max": -2}, "restarts.max"),
        ({"restarts__max": 101}, "restarts.max"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_field_is_refused_and_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(TaskInvalid) as refused:
        spec(**changes)
    assert [error["field"] for error in refused.value.facts["errors"]] == [field]
    assert refused.value.detail.startswith(field + ": ")


def test_a_missing_field_is_named() -> None:
    given = values()
    del given["target"]["write"]
    with pytest.raises(TaskInvalid, match=r"target\.write: is required"):
        parse_task(given)


def test_what_was_written_in_a_wrong_field_is_not_repeated() -> None:
    with pytest.raises(TaskInvalid) as refused:
        spec(source__password="canary-7f3", task="canary-7f3 x", units="canary-7f3")
    assert "canary" not in str(refused.value) + repr(refused.value.facts)


def test_sharded_tasks_are_refused_with_a_sentence() -> None:
    with pytest.raises(TaskInvalid, match="sharded tasks are not built yet"):
        spec(kind="sharded")


def test_a_single_table_task_names_one_table() -> None:
    with pytest.raises(TaskInvalid, match="exactly one table"):
        spec(kind="single_table", source__tables=["public.orders", "public.item_a"])


@pytest.mark.parametrize("given", [None, [], "task: x", 3])
def test_a_definition_that_is_no_mapping_is_refused(given: object) -> None:
    with pytest.raises(TaskInvalid, match="not a mapping"):
        parse_task(given)


# --- YAML ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task: a\ntask: b", r'line 2, column 1: the field "task" is given twice'),
        ("source: {data_source: a, data_source: b}", "given twice"),
        ("a: &x [1]\nb: *x", "line 1.*anchors and aliases"),
        ("a: *x", "anchors and aliases"),
        ("<<: {a: 1}", "must be plain text"),
        ("1: a", "must be plain text"),
        ("? [a]\n: b", "must be plain text"),
        ("a: !!python/object/apply:os.system [ls]", "only plain YAML values"),
        ("a: !secret x", "only plain YAML values"),
        ("a: [1, 2", "line 1, column 9: not well-formed YAML"),
        ("a: b: c", "not well-formed YAML"),
        ("\ta: 1", "not well-formed YAML"),
        ("a: 2024-13-45", "a date or number is not one"),
        ("a: \x00", "a character YAML does not allow"),
        ("- a", "not a mapping"),
        ("just text", "not a mapping"),
        ("a: " + "[" * (DEPTH_MAX + 1), "nested deeper"),
        ("a: '" + "x" * SIZE_MAX_BYTES + "'", "larger than"),
        ("---\na: 1\n" * 1001, "more than 1000 documents"),
    ],
)
def test_yaml_that_is_broken_or_means_more_than_it_says_is_refused(text: str, said: str) -> None:
    with pytest.raises(TaskInvalid, match=said) as refused:
        load_documents(text, of="shop.yaml")
    assert refused.value.detail.startswith("shop.yaml: ")


def test_an_alias_bomb_is_refused_before_it_unfolds() -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(TaskInvalid, match="anchors and aliases"):
        load_documents("\n".join(["l0: &l0 x", *levels]))


def test_a_file_may_hold_several_documents_and_empty_ones_are_left_out() -> None:
    assert load_documents("a: 1\n---\n---\nb: [x]\n") == [{"a": 1}, {"b": ["x"]}]


def test_a_task_file_holds_one_document() -> None:
    with pytest.raises(TaskInvalid, match="holds 2 documents"):
        load_task("a: 1\n---\nb: 1")


# --- tables ---


def test_tables_are_taken_by_name_and_by_expression_each_once() -> None:
    task = spec(source__tables=["public.item_.*", "public.orders", r"public\..*_a"])
    assert matches(task, NAMES) == [ITEM_A, ITEM_B, ORDERS]


def test_an_expression_must_match_the_whole_name() -> None:
    with pytest.raises(SourcePatternEmpty, match="item_"):
        matches(spec(source__tables=["public.item_?"]), NAMES)


def test_an_exact_name_wins_over_its_reading_as_an_expression() -> None:
    plus, plain = TableName("public", "a+"), TableName("public", "aa")
    assert matches(spec(source__tables=["public.a+"]), [plus, plain]) == [plus]
    assert matches(spec(source__tables=["public.a+"]), [plain]) == [plain]


def test_a_name_that_is_no_valid_expression_is_found_by_name() -> None:
    assert picks("Größe.订单.x", NAMES[3])


def test_a_plain_name_that_does_not_exist_is_an_unknown_table() -> None:
    with pytest.raises(SourceTableUnknown, match=r'"public\.nothing".*shop'):
        matches(spec(source__tables=["public.orders", "public.nothing"]), NAMES)


def test_the_dot_of_a_plain_name_is_a_dot() -> None:
    with pytest.raises(SourceTableUnknown):
        matches(spec(source__tables=["a.b.c"]), [TableName("axb", "c")])


def test_a_single_table_task_whose_expression_takes_several_is_refused() -> None:
    with pytest.raises(TaskInvalid, match="matches 2 tables"):
        matches(spec(kind="single_table", source__tables=["public.item_.*"]), NAMES)


@pytest.mark.parametrize("pattern", [r"w\.(a|aa)+", r"w\.(?!b)(?:a|a)*b?", r"w\.(?:(?:a|aa)+)+$"])
def test_an_expression_that_would_take_years_is_refused_by_name(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.model.pattern.PATIENCE_S", 0.2)
    long = TableName("w", "a" * 44 + "!")
    with pytest.raises(TaskInvalid, match="takes too long") as refused:
        matches(spec(source__tables=[r"w\.b+", pattern]), [TableName("w", "bb"), long])
    assert refused.value.facts["pattern"] == pattern


def test_the_expression_that_a_hang_was_reported_with_is_matched_at_once() -> None:
    with pytest.raises(SourcePatternEmpty):
        matches(spec(source__tables=[r"w\.(a+)+$"]), [TableName("w", "a" * 44 + "!")])


def test_other_threads_go_on_while_an_expression_is_matched() -> None:
    began = threading.Event()
    done: list[bool] = []

    def search() -> None:
        began.set()
        with pytest.raises(TaskInvalid):
            matches(spec(source__tables=[r"w\.(a|aa)+"]), [TableName("w", "a" * 44 + "!")])
        done.append(True)

    thread = threading.Thread(target=search)
    thread.start()
    began.wait(30)
    while_it_searched = sum(1 for _ in iter(lambda: done or time.sleep(0.01), done))
    thread.join()
    assert while_it_searched > 10


def test_many_tables_and_expressions_are_no_reason_to_refuse() -> None:
    names = [TableName("public", f"orders_{i}") for i in range(2000)]
    entries = [rf"public\.orders_{i}\d*" for i in range(1, 10)]
    assert len(matches(spec(source__tables=entries), names)) == 1999


@pytest.mark.parametrize("entry", [r"(?R)\.x", r"public\.\L<names>", "public.(", "public.(?<=a+)b"])
def test_an_expression_is_one_of_the_documented_syntax(entry: str) -> None:
    with pytest.raises(TaskInvalid, match="is not a regular expression"):
        spec(source__tables=[entry])


# --- target names ---


@pytest.mark.parametrize(
    ("schema", "table", "expected"),
    [
        ("{schema}", "{table}", ("public", "orders")),
        ("{database}", "{schema}_{table}", ("shopdb", "public_orders")),
        ("raw", "{data_source}__{table}_v2", ("raw", "shop__orders_v2")),
        ("${db_name_di_src}", "${table_name_di_src}_inlong", ("shopdb", "orders_inlong")),
        ("${schema_name_di_src}", "${datasource_name_di_src}.{table}", ("public", "shop.orders")),
    ],
)
def test_target_names_follow_their_patterns(schema: str, table: str, expected: tuple[str, str]) -> None:
    target = spec(target__schema=schema, target__table=table).target
    assert target_name(target, "shop", "shopdb", ORDERS) == expected


def test_a_name_that_looks_like_a_placeholder_is_not_filled_in_again() -> None:
    assert target_name(spec().target, "shop", "shopdb", TableName("s", "{schema}")) == ("s", "{schema}")


@pytest.mark.parametrize("pattern", ["{topic}", "${topic_di_src}"])
def test_a_placeholder_without_a_value_is_refused(pattern: str) -> None:
    with pytest.raises(TaskInvalid, match="has no value for a table of shop"):
        target_name(spec(target__table=pattern).target, "shop", "shopdb", ORDERS)


def test_two_tables_with_one_target_name_are_refused_naming_both() -> None:
    target = spec(target__schema="raw", target__table="all").target
    with pytest.raises(TargetNameClash, match=r"public\.item_a and public\.orders are both mapped to raw\.all"):
        target_names(target, "shop", "shopdb", [ITEM_A, ORDERS])


def test_every_table_gets_its_place() -> None:
    target = spec(target__schema="raw").target
    assert target_names(target, "shop", "shopdb", [ITEM_A, ORDERS]) == {
        ITEM_A: ("raw", "item_a"),
        ORDERS: ("raw", "orders"),
    }
