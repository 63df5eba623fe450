"""Which place of MySQL's log a consistent snapshot has, with a server that is said to do what its manual says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tidegate.connect import mysnapshot
from tidegate.connect.myflavour import MYSQL
from tidegate.connect.myposition import Place
from tidegate.errors import SourcePrivilegeMissing
from tidegate.model.schema import TableName

T = TableName("d", "o`dd")


@dataclass
class Server:
    """Commits as MySQL does: it names a transaction, puts it into its log, and makes it visible later."""

    named: bool = True
    logged: int = 0
    visible: int = 0
    then: dict[int, str] = field(default_factory=dict)
    """What others do in front of the question of this number: log one, or make one visible."""
    asked: list[str] = field(default_factory=list)
    seen: int = -1
    """What the snapshot sees."""

    def query(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        others = self.then.get(len(self.asked), "")
        self.logged += others.count("l")
        self.visible += others.count("v")
        self.asked.append(statement)
        under_way = self.logged - self.visible
        if "gtid_owned" in statement:
            return [("u:1" if self.named and under_way else "",)]
        if "ongoing" in statement:
            return [("Ongoing_anonymous_transaction_count", "0" if self.named else str(under_way))]
        if statement == "show binary log status":
            return [("log.000001", 100 + self.logged, "", "", "")]
        if statement == mysnapshot.BEGIN:
            self.seen = self.visible
        if statement.startswith("lock tables"):
            self.visible = self.logged  # who has changed the table has committed, or the lock is not given
        return []


def place(transactions: int) -> Place:
    return Place.of("log.000001", 100 + transactions)


def test_in_quiet_a_snapshot_sees_all_that_is_in_the_log() -> None:
    server = Server(logged=3, visible=3)
    assert mysnapshot.in_quiet(server.query, MYSQL) == place(3)
    assert server.seen == 3


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("when", range(10))
@pytest.mark.parametrize("others", ["l", "lv", "v"])
def test_a_snapshot_never_sees_more_or_less_than_its_place_says(named: bool, when: int, others: str) -> None:
    """Whatever others do in front of which question; `v` makes visible what was in the log from the beginning."""
    server = Server(named, logged=5, visible=4 if others == "v" else 5, then={when: others})
    found = mysnapshot.in_quiet(server.query, MYSQL)
    if found is not None:
        assert found == place(server.seen)


@pytest.mark.parametrize("named", [True, False])
def test_a_transaction_that_is_in_the_log_and_not_visible_yet_is_waited_for(named: bool) -> None:
    server = Server(named, logged=5, visible=4, then={7: "v"})
    assert mysnapshot.in_quiet(server.query, MYSQL) == place(5)
    assert server.seen == 5


def test_a_server_that_is_never_quiet_gives_no_place() -> None:
    server = Server(then=dict.fromkeys(range(1000), "lv"))
    assert mysnapshot.in_quiet(server.query, MYSQL) is None
    assert server.asked[-1] == "rollback"


def test_under_a_lock_a_snapshot_of_a_table_has_the_place_at_which_the_lock_is_let_go() -> None:
    server = Server(logged=7, visible=5)
    assert mysnapshot.under_lock(server.query, server.query, MYSQL, T) == place(7)
    assert server.asked == ["lock tables `d`.`o``dd` read", mysnapshot.BEGIN, "show binary log status", "unlock tables"]
    assert server.seen == 7


def test_a_lock_is_let_go_whatever_happens_under_it() -> None:
    server = Server()

    def refused(statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        raise SourcePrivilegeMissing("no")

    with pytest.raises(SourcePrivilegeMissing):
        mysnapshot.under_lock(refused, server.query, MYSQL, T)
    assert server.asked[-1] == "unlock tables"
