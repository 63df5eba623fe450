"""The target contract on a DuckDB file, and what only DuckDB has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow as pa
import pytest

from tidegate.connect.capability import WriteMode
from tidegate.connect.config import parse_config
from tidegate.connect.target import Append, Clear, Net, Progress, Stored, TargetTable
from tidegate.errors import (
    ConfigInvalid,
    TargetBusy,
    TargetExhausted,
    TargetMisfit,
    TargetNameClash,
    TargetPrivilegeMissing,
    TargetUnfit,
    TargetUnreachable,
    TargetValueRefused,
)
from tidegate.model.schema import Column, DataType, Kind, TableSchema
from tidegate.targets.duckdb import DuckdbConfig, DuckdbTarget
from tidegate.targets.duckdb.catalog import quote
from tidegate.testing.servers import until
from tidegate.testing.target_contract import TargetContract
from tidegate.testing.target_contract.ground import ORDERS, OTHER_RUN, RUN, TEXT, batch, one_column

# How the texts of DuckDB's types become those of the canonical grammar.
CANONICAL = {
    "BOOLEAN": "CASE {0} WHEN true THEN 't' WHEN false THEN 'f' END",
    "BLOB": "'\\x' || lower(hex({0}))",
    "DATE": r"regexp_replace({0}::VARCHAR, '^(\S+) \(BC\)(.*)$', '\1\2 BC')",
}
CANONICAL |= dict.fromkeys(("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"), CANONICAL["DATE"])


class TestDuckdbTarget(TargetContract):
    unheld: ClassVar = {
        "numeric(10,2)": {"NaN"},
        "timestamp without time zone": {"294276-12-31 23:59:59.999999"},
        "timestamp with time zone": {"294276-12-31 23:59:59.999999+00"},
    }

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "lake.duckdb"

    def target(self) -> DuckdbTarget:
        return DuckdbTarget(DuckdbConfig(path=str(self.path)))

    def rows(self, table: TargetTable) -> list[dict[str, str | None]]:
        with duckdb.connect(self.path) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            place = f"{quote(table.schema)}.{quote(table.name)}"
            columns = connection.execute(f"DESCRIBE {place}").fetchall()
            texts = [CANONICAL.get(type, "{0}::VARCHAR").format(quote(name)) for name, type, *_ in columns]
            found = connection.execute(f"SELECT {', '.join(texts)} FROM {place}").fetchall()
        return [dict(zip([name for name, *_ in columns], row, strict=True)) for row in found]


# --- what only DuckDB has ---


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lake.duckdb"


def at(path: Path) -> DuckdbTarget:
    return DuckdbTarget(DuckdbConfig(path=str(path)))


@pytest.fixture
def run(path: Path) -> Iterator[DuckdbTarget]:
    """A target with the table of orders and one row."""
    target = at(path)
    target.open(RUN, 1)
    target.prepare(orders(), create=True, replace=False)
    target.write([Append(orders(), [batch(("id", "note"), ("1", "a"))])], Progress("1"))
    yield target
    target.close()


def orders(schema: str = "shop", name: str = "orders", source: TableSchema = ORDERS) -> TargetTable:
    return TargetTable(schema, name, source, WriteMode.UPSERT)


BUSY = """
import sys
from tidegate.connect.target import Append, Progress
from tidegate.targets.duckdb import DuckdbConfig, DuckdbTarget
from tidegate.testing.target_contract.ground import OTHER_RUN, batch
target = DuckdbTarget(DuckdbConfig(path=sys.argv[1]))
target.open(OTHER_RUN, 1)
for n in range(1_000_000):
    target.write([], Progress(str(n)))
    if n == 0:
        print("writing", flush=True)
"""
HOLDING = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def child(code: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process at work on the file, from its first line of output on."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_task_that_never_rests_takes_turns_with_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.targets.duckdb._WAIT_S", 10.0)
    with child(BUSY, path):
        target = at(path)
        assert target.open(RUN, 1) is None
        for n in range(3):
            target.write([], Progress(str(n)))
            target.release()
        before = int((target.stored(OTHER_RUN) or Stored("-1", {})).position)
        target.release()
        until(lambda: int((at(path).stored(OTHER_RUN) or Stored("-1", {})).position) > before, "the other to go on", 20)
        target.close()


def test_a_file_that_was_open_for_long_is_let_go_of_between_two_writes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = at(path)
    target.open(RUN, 1)
    target.write([], Progress("1"))
    with pytest.raises(duckdb.Error), duckdb.connect(path, read_only=True):
        pass  # open with other settings in this process
    monkeypatch.setattr("tidegate.targets.duckdb.file._LEAST_HOLD_S", 0.0)
    monkeypatch.setattr("tidegate.targets.duckdb.file._LONGEST_HOLD_S", 0.0)
    target.write([], Progress("2"))
    with duckdb.connect(path, read_only=True):
        pass
    target.write([], Progress("3"))
    assert target.stored(RUN) == Stored("3", {})
    target.close()


def test_a_file_held_by_another_program_is_busy_after_a_while(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.targets.duckdb._WAIT_S", 0.2)
    monkeypatch.setattr("tidegate.targets.duckdb._CHECK_WAIT_S", 0.2)
    target = at(path)
    with child(HOLDING, path):
        for deed in (
            lambda: target.open(RUN, 1),
            lambda: target.stored(RUN),
            lambda: target.columns(orders()),
            lambda: target.forget(RUN),
        ):
            with pytest.raises(TargetBusy, match=r"lake\.duckdb"):
                deed()
        assert [check.code for check in target.check() if not check.ok] == ["target.busy"]
    assert target.open(RUN, 1) is None
    target.close()


def test_a_file_that_others_let_go_of_in_time_is_waited_for(path: Path) -> None:
    target = at(path)
    with child(HOLDING, path) as holder, ThreadPoolExecutor(1) as pool:
        opened = pool.submit(target.open, RUN, 1)
        with pytest.raises(TimeoutError):
            opened.result(0.2)
        holder.kill()
        assert opened.result(20) is None
    target.close()


def test_a_released_file_is_whole_and_open_to_all(run: DuckdbTarget, path: Path) -> None:
    run.release()
    assert not path.with_name("lake.duckdb.wal").exists()
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.execute("SELECT id, note FROM shop.orders").fetchall() == [(1, "a")]


def test_looking_makes_no_file(path: Path) -> None:
    target = at(path)
    assert [check for check in target.check() if not check.ok] == []
    assert target.stored(RUN) is None
    assert target.columns(orders()) is None
    target.forget(RUN)
    assert list(path.parent.iterdir()) == []


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    target = at(tmp_path / "nowhere" / "lake.duckdb")
    assert [(check.name, check.code) for check in target.check()] == [("folder", "target.unreachable")]
    with pytest.raises(TargetUnreachable, match="folder"):
        target.open(RUN, 1)


def test_a_file_that_is_something_else_is_told_and_left_alone(path: Path) -> None:
    path.write_text("a,b\n1,2\n")
    target = at(path)
    assert [check.code for check in target.check() if not check.ok] == ["data_source.invalid"]
    with pytest.raises(ConfigInvalid, match="not a DuckDB"):
        target.open(RUN, 1)
    assert path.read_text() == "a,b\n1,2\n"


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "lake.duckdb").mkdir()
    target = at(tmp_path / "lake.duckdb")
    assert [check.code for check in target.check() if not check.ok] == ["data_source.invalid"]
    with pytest.raises(ConfigInvalid):
        target.open(RUN, 1)


def test_a_file_that_was_only_begun_is_made_anew(path: Path) -> None:
    path.touch()
    target = at(path)
    assert target.stored(RUN) is None
    assert target.open(RUN, 1) is None
    target.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_told(path: Path) -> None:
    path.parent.chmod(0o500)
    try:
        assert [check.code for check in at(path).check() if not check.ok] == ["target.privilege_missing"]
        with pytest.raises(TargetPrivilegeMissing):
            at(path).open(RUN, 1)
    finally:
        path.parent.chmod(0o700)


def test_a_path_that_depends_on_the_working_folder_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="path"):
        parse_config(DuckdbConfig, {"path": "lake.duckdb"}, of="target")


def test_two_ways_to_one_file_have_one_identity(path: Path, run: DuckdbTarget) -> None:
    link = path.with_name("link.duckdb")
    link.symlink_to(path)
    assert at(link).identity() == run.identity()


def test_tables_that_differ_in_upper_and_lower_case_only_are_kept_apart(run: DuckdbTarget) -> None:
    with pytest.raises(TargetNameClash, match=r"shop\.Orders.*shop\.orders"):
        run.prepare(orders(name="Orders"), create=True, replace=True)


def test_what_upper_and_lower_case_do_not_keep_apart_is_refused_before_anything_is_made(path: Path) -> None:
    both = TableSchema(ORDERS.name, (*ORDERS.columns, Column("NOTE", TEXT)), ("id",), "postgres")
    refused = at(path).refusals([orders(), orders(name="both", source=both), orders(name="Orders")])
    assert [type(error) for error in refused] == [TargetUnfit, TargetNameClash]
    assert "NOTE and note" in str(refused[0])
    assert "Orders" in str(refused[1])
    assert not path.exists()


def test_columns_that_differ_in_upper_and_lower_case_only_are_refused(run: DuckdbTarget) -> None:
    columns = (*ORDERS.columns, Column("NOTE", TEXT))
    with pytest.raises(TargetMisfit, match="NOTE and note"):
        run.prepare(
            orders(name="both", source=TableSchema(ORDERS.name, columns, ("id",), "postgres")),
            create=True,
            replace=False,
        )


def test_a_schema_may_be_called_like_the_file(run: DuckdbTarget) -> None:
    table = orders("lake", "lake")
    run.prepare(table, create=True, replace=False)
    run.write([Net(table, puts=batch(("id",), ("1",))), Clear(table)], Progress("2"))
    run.add_columns(table, [Column("more", TEXT)])
    assert run.prepare(table, create=True, replace=False) is True


@pytest.mark.parametrize(
    ("type", "value"),
    [
        (DataType(Kind.DECIMAL, "numeric(10,2)", 10, 2), "1.005"),
        (DataType(Kind.TIME, "time without time zone"), "00:00:00.1234567"),
        (DataType(Kind.TIMESTAMP, "timestamp without time zone"), "2024-01-01 00:00:00.1234567"),
        (DataType(Kind.TIMESTAMPTZ, "timestamp with time zone"), "2024-01-01 00:00:00.1234567+00"),
    ],
)
def test_what_duckdb_would_round_is_refused(run: DuckdbTarget, type: DataType, value: str) -> None:
    table = orders(name="one", source=one_column(type))
    run.prepare(table, create=True, replace=False)
    with pytest.raises(TargetValueRefused, match=r"shop\.one\.value"):
        run.write([Append(table, [batch(("id", "value"), ("1", value))])], Progress("2"))


MISFITS = {
    "amount DECIMAL(10,2) GENERATED ALWAYS AS (1)": "amount",
    "amount DECIMAL(10,2) NOT NULL": "amount",
    "amount DECIMAL(9,2)": "amount",
    "amount DOUBLE": "amount",
    "amount BIGINT": "amount",
    "amount DECIMAL(10,2), shelf INTEGER NOT NULL": "shelf",
    "amount DECIMAL(10,2), UNIQUE (note)": "note",
    "amount DECIMAL(10,2) REFERENCES shop.other (a)": "amount",
}


@pytest.mark.parametrize("columns", MISFITS)
def test_what_does_not_fit_is_named(columns: str, path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute("CREATE TABLE shop.other (a DECIMAL(10,2) PRIMARY KEY)")
        connection.execute(f"CREATE TABLE shop.orders (id BIGINT, note VARCHAR, doc VARCHAR, {columns})")
    target = at(path)
    assert [misfit.column for misfit in target.misfits(orders())] == [MISFITS[columns]]
    target.open(RUN, 1)
    with pytest.raises(TargetMisfit, match=MISFITS[columns]):
        target.prepare(orders(), create=True, replace=True)
    target.close()


def test_a_view_is_not_a_table_to_feed(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute("CREATE VIEW shop.orders AS SELECT 1 AS id")
    assert ["view" in misfit.reason for misfit in at(path).misfits(orders())] == [True]


def test_an_existing_table_with_a_primary_key_and_more_columns_is_fed(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("CREATE SCHEMA shop")
        connection.execute(
            "CREATE TABLE shop.orders (ID HUGEINT PRIMARY KEY, amount DECIMAL(12,2), note VARCHAR, doc VARCHAR, "
            "seen VARCHAR DEFAULT 'no')"
        )
    target = at(path)
    assert target.misfits(orders()) == []
    target.open(RUN, 1)
    target.prepare(orders(), create=False, replace=False)
    target.write([Append(orders(), [batch(("id", "note"), ("1", "a"), ("2", "b"))])], Progress("1"))
    target.release()
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE shop.orders SET seen = 'yes'")
    step = Net(
        orders(),
        deletes=batch(("id",), ("2",)),
        puts=batch(ORDERS.names, ("1", "1.00", "b", None), ("3", None, None, None)),
    )
    target.write([step], Progress("2"))
    target.close()
    with duckdb.connect(path) as connection:
        held = connection.execute("SELECT id, note, seen FROM shop.orders ORDER BY 1").fetchall()
    assert held == [(1, "b", "yes"), (3, None, "no")]


def test_rows_already_written_are_not_kept_in_memory_until_the_commit(run: DuckdbTarget) -> None:
    most = 0
    note = "x" * 1000

    def many() -> Iterator[pa.RecordBatch]:
        nonlocal most
        for start in range(0, 250_000, 5_000):
            yield batch(("id", "note"), *((str(10 + start + n), note) for n in range(5_000)))
            most = max(most, pa.total_allocated_bytes())

    run.write([Append(orders(), many())], Progress("2"))
    assert 5 << 20 < most < 100 << 20, "of 250 MB"


def test_rows_too_wide_for_the_memory_allowed_end_the_write_and_not_the_file(run: DuckdbTarget, path: Path) -> None:
    run.close()
    small = DuckdbTarget(DuckdbConfig(path=str(path), memory_mb=128))
    small.open(RUN, 1)
    wide = "x" * (1 << 20)
    rows = [batch(("id", "note"), *((str(n + m), wide) for m in range(8))) for n in range(10, 170, 8)]
    with pytest.raises(TargetExhausted, match="128 MB"):
        small.write([Append(orders(), rows)], Progress("2"))
    assert small.open(RUN, 1) == Stored("1", {})
    small.close()
    run.open(RUN, 1)
    run.write([Append(orders(), rows)], Progress("2"))
    run.release()
    with duckdb.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM shop.orders").fetchall() == [(161,)]


def test_a_table_made_again_under_its_name_is_known_for_another(tmp_path: Path) -> None:
    path = tmp_path / "lake.duckdb"
    table = TargetTable("main", "Orders", ORDERS, WriteMode.UPSERT)
    target = DuckdbTarget(DuckdbConfig(path=str(path)))
    target.open(RUN, 1)
    target.prepare(table, create=True, replace=False)
    assert target.remade(RUN, table) is False
    target.close()
    with duckdb.connect(str(path)) as connection:
        connection.execute('CREATE TABLE main.saved AS FROM main."Orders"; DROP TABLE main."Orders"')
        connection.execute('ALTER TABLE main.saved RENAME TO "Orders"')
    assert target.remade(RUN, table) is True
    target.close()
