"""The target contract on a DuckDB file, and what only DuckDB has."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import duckdb
import pytest

from tidegate.connect.target import TargetTable
from tidegate.targets.duckdb import DuckdbConfig, DuckdbTarget
from tidegate.targets.duckdb.catalog import quote
from tidegate.testing.target_contract import TargetContract

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
