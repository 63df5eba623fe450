"""Files that are applied: several documents, variables for secrets, and refusals that name the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.cli.definitions import fill, read
from tidegate.errors import EnvironmentLacking, TaskInvalid

SHOP = """
data_source: shop
kind: postgres
config: {host: localhost, port: 5432, password: "${ENV:SHOP_PASSWORD}"}
---
resource_group: nightly
units: 2
---
task: shop_to_lake
kind: whole_database
resource_group: nightly
source: {data_source: shop, tables: [public.orders]}
target: {data_source: lake, table: "${table_name_di_src}", write: upsert}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "shop.yaml"
    path.write_text(text)
    return str(path)


def test_each_document_says_by_a_field_what_it_is(tmp_path: Path) -> None:
    found = read(written(tmp_path, SHOP), {"SHOP_PASSWORD": "p"})
    assert [(one.kind, one.name) for one in found] == [
        ("data_source", "shop"),
        ("resource_group", "nightly"),
        ("task", "shop_to_lake"),
    ]
    assert found[0].values["config"]["password"] == "p"
    assert found[2].values["target"]["table"] == "${table_name_di_src}"


def test_a_variable_may_stand_inside_a_text_and_twice() -> None:
    config = fill({"a": "x${ENV:A}y${ENV:A}", "b": 5, "c": "${ENV:}", "d": "${OTHER}"}, "f", {"A": "1"})
    assert config == {"a": "x1y1", "b": 5, "c": "${ENV:}", "d": "${OTHER}"}


def test_what_a_variable_holds_is_not_filled_in_again() -> None:
    assert fill({"a": "${ENV:A}"}, "f", {"A": "${ENV:B}", "B": "x"}) == {"a": "${ENV:B}"}


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacking, match=r"shop\.yaml: data source shop: .*SHOP_PASSWORD is not set"):
        read(written(tmp_path, SHOP), {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds nothing"),
        ("colour: red", "has one of the fields alert_rule, task, alert_channel, data_source"),
        ("data_source: shop\nconfg: {}", "there is no field confg"),
        ("data_source: shop\nconfig: text", "config must be a mapping"),
        ("data_source: [a]\nconfig: {}", "data_source must be its name"),
        ("task: a b\nkind: whole_database", "task: must be 1 to 100 letters"),
        ("task: [", "line 1, column 8: not well-formed YAML"),
    ],
)
def test_a_document_that_means_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TaskInvalid, match=said):
        read(written(tmp_path, text), {})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacking, match=r"nothing\.yaml cannot be read: No such file"):
        read(str(tmp_path / "nothing.yaml"), {})
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EnvironmentLacking, match="not UTF-8"):
        read(str(tmp_path / "bytes.yaml"), {})
