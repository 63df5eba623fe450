"""Values that the column made for their type cannot hold: the run stops, and goes on once the column is text."""

from __future__ import annotations

import time

import duckdb
import pytest

from pipeline.pairs import DuckPair
from tidegate.errors import TargetValueRefused


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("numeric(10,2)", "NaN"),
        ("timestamp", "294276-12-31 23:59:59.999999"),
        ("timestamptz", "294276-12-31 23:59:59.999999+00"),
    ],
)
def test_a_value_not_held_arrives_once_the_column_was_made_text(duck_pair: DuckPair, type: str, value: str) -> None:
    pair = duck_pair
    pair.source.execute(f"create table public.a (id int primary key, n {type}); insert into a values (1, null)")
    rig = pair.rig(["public.a"], target={"schema": "main"}).start().opens().copied()
    pair.source.execute(f"insert into a values (2, '{value}')")
    refused = rig.fails()
    assert isinstance(refused, TargetValueRefused), refused
    assert ".n" in refused.detail
    with duckdb.connect(pair.path) as connection:
        connection.execute("alter table a alter column n type varchar")
    rig.start().opens().copied()
    until = time.monotonic() + 30
    while rig.counters().get("changes_written", 0) < 1 and time.monotonic() < until:
        time.sleep(0.05)
    rig.pause()
    assert [(row["id"], row["n"]) for row in sorted(pair.texts("a"), key=lambda row: str(row["id"]))] == [
        ("1", None),
        ("2", value),
    ]
