"""The demo's proof: it must find what is wrong, or its green means nothing."""

from __future__ import annotations

import pytest

from tidegate.demo.proof import Change, compare, every_change_once, fold

# Order 1 was there before and is copied at version 2; order 2 comes later; order 3 comes and goes before the copy.
LEDGER = {
    1: Change("update", 1, 2),
    2: Change("insert", 3, 1),
    3: Change("delete", 3, None),
    4: Change("update", 1, 3),
    5: Change("insert", 2, 1),
    6: Change("update", 2, 2),
    7: Change("delete", 1, None),
}
ARRIVED = [Change("read", 1, 2), LEDGER[4], LEDGER[5], LEDGER[6], LEDGER[7]]
COPIED_BY = 3


def test_every_change_after_the_copied_version_is_due_once() -> None:
    found = every_change_once(LEDGER, ARRIVED, COPIED_BY)
    assert found.right
    assert found.rows == 4


@pytest.mark.parametrize("place", range(len(ARRIVED)))
def test_a_change_that_did_not_arrive_is_lost(place: int) -> None:
    found = every_change_once(LEDGER, ARRIVED[:place] + ARRIVED[place + 1 :], COPIED_BY)
    assert found.lost >= 1


@pytest.mark.parametrize("place", range(len(ARRIVED)))
def test_a_change_that_arrived_twice_is_a_duplicate(place: int) -> None:
    assert every_change_once(LEDGER, [*ARRIVED, ARRIVED[place]], COPIED_BY).duplicated == 1


def test_a_change_already_in_the_copied_row_is_a_duplicate() -> None:
    assert every_change_once(LEDGER, [ARRIVED[0], LEDGER[1], *ARRIVED[1:]], COPIED_BY).duplicated == 1


def test_changes_of_one_order_in_another_order_are_found() -> None:
    swapped = [ARRIVED[0], ARRIVED[1], ARRIVED[3], ARRIVED[2], ARRIVED[4]]
    found = every_change_once(LEDGER, swapped, COPIED_BY)
    assert (found.lost, found.duplicated, found.different) == (0, 0, 1)


def test_an_order_that_came_and_went_after_the_copy_must_not_be_missing() -> None:
    ledger = LEDGER | {8: Change("insert", 4, 1), 9: Change("delete", 4, None)}
    assert every_change_once(ledger, ARRIVED, COPIED_BY).lost == 2


def test_rows_are_compared_by_key() -> None:
    here = [("2026-10-01", n, "page", None) for n in range(4)]
    there = [here[0], ("2026-10-01", 1, "other page", None), here[3], ("2026-10-01", 9, "page", None)]
    found = compare("visits", here, there)
    assert (found.rows, found.lost, found.duplicated, found.different) == (4, 1, 1, 1)
    assert compare("visits", here, reversed(here)).right


def test_a_row_that_is_there_twice_is_found() -> None:
    row = ("2026-10-01", 1, "page", None)
    assert compare("visits", [row], [row, row]).duplicated == 1


def test_folding_leaves_the_latest_row_of_each_key() -> None:
    rows = [("read", (1, "a")), ("insert", (2, "b")), ("update", (1, "c")), ("delete", (2, "b"))]
    assert fold(rows) == {1: (1, "c")}
