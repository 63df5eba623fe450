"""What a campaign is asked to attack."""

from __future__ import annotations

import pytest

from tidegate.docs.results import _pairs
from tidegate.faultpoint import POINTS
from tidegate.testing.crash.campaign import crossed
from tidegate.testing.crash.pairs import MARIADB_PAIRS, PAIRS, Pair, all_of


def test_a_pair_is_named_by_its_ends_and_maybe_by_how_it_is_written() -> None:
    assert all_of(["mariadb:duckdb:append", "postgres:mariadb"]) == (
        Pair("mariadb", "duckdb", "append"),
        Pair("postgres", "mariadb", "append"),
        Pair("postgres", "mariadb", "upsert"),
    )


def test_a_pair_that_is_named_twice_is_one() -> None:
    assert all_of(["postgres:duckdb", "postgres:duckdb:upsert"]) == all_of(["postgres:duckdb"])


@pytest.mark.parametrize("wrong", ["", "mariadb", "duckdb:postgres", "mariadb:oracle", "mariadb:postgres:merge"])
def test_what_is_no_pair_is_told(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no pair"):
        all_of([wrong])


def test_no_death_is_waited_for_where_nobody_comes_by() -> None:
    assert crossed(PAIRS) == crossed(MARIADB_PAIRS) == list(POINTS)
    assert "handoff.gated" not in crossed(all_of(["mariadb:postgres"]))


def test_results_name_ends_that_were_written_in_both_ways_once() -> None:
    assert _pairs(["a→b append", "a→b upsert", "b→a append"]) == "a→b<br>b→a append"
