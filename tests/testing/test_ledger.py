"""The audit finds what is lost, doubled, invented, out of order and stale, and nothing where all is well."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tidegate.errors import EnvironmentLacking
from tidegate.testing.crash.ends import ENDS
from tidegate.testing.ledger import TOTAL, Load, Verdict, Workload, fold, judge_ledger, judge_rows
from tidegate.testing.servers import PostgresServer, until

COMMITTED = {1: 4, 2: 2}
WHOLE = [(1, 1), (2, 1), (1, 2), (1, 3), (2, 2), (1, 4)]


def counts(verdict: Verdict) -> tuple[int, int, int, int]:
    return verdict.lost, verdict.doubled, verdict.invented, verdict.reordered


def test_a_whole_ledger_is_right() -> None:
    assert judge_ledger(COMMITTED, WHOLE, WHOLE).right


@pytest.mark.parametrize(
    ("arrived", "found"),
    [
        (WHOLE[:-1], (1, 0, 0, 0)),
        ([*WHOLE, (2, 2)], (0, 1, 0, 0)),
        ([*WHOLE, (2, 3)], (0, 0, 1, 0)),
        ([*WHOLE, (3, 1)], (0, 0, 1, 0)),
        ([(1, 2), (1, 1), *WHOLE[3:], (2, 1)], (0, 0, 0, 2)),
        ([], (6, 0, 0, 0)),
    ],
)
def test_what_is_wrong_with_a_ledger_is_told_apart(
    arrived: list[tuple[int, int]], found: tuple[int, int, int, int]
) -> None:
    assert counts(judge_ledger(COMMITTED, arrived, arrived)) == found


def test_rows_that_came_by_the_copy_may_come_in_any_order() -> None:
    assert judge_ledger(COMMITTED, [*reversed(WHOLE[:3]), *WHOLE[3:]], WHOLE[3:]).right


SOURCE = [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.parametrize(
    ("target", "lost", "doubled", "invented", "stale"),
    [
        (SOURCE, 0, 0, 0, 0),
        (SOURCE[1:], 1, 0, 0, 0),
        ([*SOURCE, (1, "a")], 0, 1, 0, 0),
        ([*SOURCE, (4, "d")], 0, 0, 1, 0),
        ([(1, "old"), *SOURCE[1:]], 0, 0, 0, 1),
    ],
)
def test_what_is_wrong_with_rows_is_told_apart(
    target: list[tuple[int, str]], lost: int, doubled: int, invented: int, stale: int
) -> None:
    verdict = judge_rows("t", SOURCE, target, 1)
    assert (verdict.lost, verdict.doubled, verdict.invented, verdict.stale) == (lost, doubled, invented, stale)
    assert verdict.right == (target == SOURCE)


def test_changes_fold_to_the_rows_that_are_left() -> None:
    changes = [("read", (1, "a")), ("insert", (2, "b")), ("update", (1, "c")), ("delete", (2, None))]
    assert fold(changes, 1) == [(1, "c")]


@pytest.mark.parametrize("kind", ENDS)
def test_a_workload_keeps_its_sum_and_knows_what_it_committed_over_a_crash_of_the_server(kind: str) -> None:
    try:
        end = ENDS[kind]("src")
    except EnvironmentLacking as lacking:
        pytest.skip(lacking.detail)
    with end.server:
        end.create(1)
        workload = Workload(
            lambda: end.connect(1, autocommit=False), 5, Load(writers=2, items=50, pause_s=0.001), end.tongue
        ).create()
        workload.start()
        until(lambda: sum(workload.committed.values()) > 50, "transactions", 30)
        end.crash()
        seen = sum(workload.committed.values())
        until(lambda: sum(workload.committed.values()) > seen + 50, "transactions after the crash", 30)
        workload.stop()
        with end.connect(1) as connection:
            ((total,),) = connection.execute("select sum(amount) from account").fetchall()
            arrived = connection.execute("select writer, n from ledger").fetchall()
        assert total == TOTAL
        assert judge_ledger(workload.committed, arrived).right
        assert workload.reconnects > 0


def test_a_workload_says_what_ended_it(postgres: PostgresServer, database: Callable[..., str]) -> None:
    name = database()
    workload = (
        Workload(lambda: postgres.connect(name, autocommit=False), 5, Load(writers=1, pause_s=0.001)).create().start()
    )
    until(lambda: workload.committed[1] > 5, "transactions", 30)
    postgres.execute("drop table item cascade", name)
    until(lambda: not workload.alive, "the writer to end", 30)
    with pytest.raises(psycopg.errors.UndefinedTable):
        workload.stop()
