"""Cases about the log: what a change says, in which order, and whose it is."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

from tidegate.model.change import UNCHANGED, Op
from tidegate.testing.source_contract.ground import DEADLINE_S, OTHER_RUN, RUN, Ground, cell, ids

LARGE_VALUE = "x" * 20_000
WAITING_S = 0.7
"""Longer than adding a table takes when nothing is waited for."""


class Following(Ground):
    def test_inserts_updates_and_deletes_say_what_happened(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.execute("insert into t values (10, 'new', null)")
        self.execute("update t set note = null where id = 1")
        self.execute("delete from t where id = 2")
        insert, update, delete = log.changes(3)
        assert (insert.op, insert.old, insert.new) == (Op.INSERT, None, ("10", "new", None))
        assert (update.op, update.new) == (Op.UPDATE, ("1", None, None))
        assert (delete.op, delete.new) == (Op.DELETE, None)
        assert cell(delete, "id", delete.old) == "2"

    def test_only_what_happens_after_the_beginning_is_in_the_log(self) -> None:
        name = self.table()
        self.execute("update t set note = 'early'")
        source, position = self.begun(name)
        log = self.followed(source, position)
        self.execute("update t set note = 'late' where id = 1")
        assert ids(log.changes(1)) == [("update", "1")]

    def test_what_happened_before_the_log_was_opened_is_in_it(self) -> None:
        source, position = self.begun(self.table())
        self.execute("delete from t where id = 1")
        assert ids(self.followed(source, position).changes(1)) == [("delete", "1")]

    def test_a_transaction_is_one_part_and_its_changes_are_in_order(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.whole(
            "insert into t values (10, 'a', null)",
            "update t set note = 'b' where id = 10",
            "delete from t where id = 10",
        )
        log.changes(3)
        (part,) = log.parts
        assert ids(part.changes) == [("insert", "10"), ("update", "10"), ("delete", "10")]
        assert (part.first_index, part.ends) == (0, True)
        assert abs(part.committed_at_us / 1e6 - time.time()) < 3600

    def test_transactions_come_in_the_order_of_their_commits(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        with self.session() as one, self.session() as other:
            one.execute("begin")
            one.execute("update t set note = 'begun first' where id = 1")
            other.execute("begin")
            other.execute("update t set note = 'committed first' where id = 2")
            other.execute("commit")
            one.execute("commit")
        assert [cell(change, "note") for change in log.changes(2)] == ["committed first", "begun first"]
        assert [part.first_index for part in log.parts] == [0, 0]

    def test_positions_and_commits_only_grow(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        for n in range(10):
            self.execute(f"update t set note = 'v{n}' where id = 1")
        log.changes(10)
        assert all(one.position < next.position for one, next in pairwise(log.parts))
        assert all(one.commit < next.commit for one, next in pairwise(log.parts))
        assert all(one.commit.sortable() < next.commit.sortable() for one, next in pairwise(log.parts))
        assert all(position < part.position and part.commit < part.position for part in log.parts)

    def test_what_is_rolled_back_never_comes(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.execute("begin", "update t set note = 'no'", "rollback")
        self.execute(
            "begin",
            "insert into t values (10, 'yes', null)",
            "savepoint s",
            "insert into t values (11, 'no', null)",
            "rollback to savepoint s",
            "insert into t values (12, 'yes', null)",
            "commit",
        )
        assert ids(log.changes(2)) == [("insert", "10"), ("insert", "12")]

    def test_an_open_transaction_holds_nothing_back(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        with self.session() as open:
            open.execute("begin")
            open.execute("update t set note = 'open' where id = 1")
            self.execute("update t set note = 'done' where id = 2")
            assert [cell(change, "note") for change in log.changes(1)] == ["done"]
            open.execute("commit")
        assert [cell(change, "note") for change in log.changes(2)] == ["done", "open"]

    def test_an_update_that_moves_a_key_says_which_it_was(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.execute("update t set id = 100 where id = 1")
        (change,) = log.changes(1)
        assert change.op is Op.UPDATE
        assert (cell(change, "id", change.old), cell(change, "id")) == ("1", "100")

    def test_a_large_value_that_was_left_alone_is_there_or_unchanged_and_never_null(self) -> None:
        source, position = self.begun(self.table())
        self.execute(f"update t set big = '{LARGE_VALUE}' where id = 1")
        log = self.followed(source, position)
        self.execute("update t set note = 'touched' where id = 1", "update t set big = null where id = 1")
        first, touched, emptied = log.changes(3)
        assert cell(first, "big") == LARGE_VALUE
        assert cell(touched, "big") in (UNCHANGED, LARGE_VALUE)
        assert cell(emptied, "big") is None

    def test_a_truncate_is_a_change_without_rows(self) -> None:
        if not self.truncates:
            return
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.execute("truncate table t", "insert into t values (1, 'again', null)")
        truncate, insert = log.changes(2)
        assert (truncate.op, truncate.old, truncate.new) == (Op.TRUNCATE, None, None)
        assert insert.op is Op.INSERT

    def test_a_change_knows_its_table(self) -> None:
        one, other = self.table(), self.table("u")
        source, position = self.begun(one, other)
        log = self.followed(source, position)
        self.whole(
            "update t set note = 'x' where id = 1", "update u set note = 'y' where id = 1", "delete from t where id = 2"
        )
        changes = log.changes(3)
        assert [change.table.name for change in changes] == [one, other, one]
        assert changes[0].table == source.schema(one)

    def test_all_changes_of_a_table_in_a_part_share_one_shape(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        self.execute("update t set note = 'older'", "alter table t add more int", "update t set more = 7")
        changes = log.changes(6)
        assert [len(change.table.columns) for change in changes] == [3, 3, 3, 4, 4, 4]
        assert all(len(change.new or ()) == len(change.table.columns) for change in changes)
        assert cell(changes[-1], "more") == "7"
        assert all(len({id(change.table) for change in part.changes}) <= 1 for part in log.parts)

    # --- which tables ---

    def test_other_tables_do_not_come(self) -> None:
        name = self.table()
        self.table("u")
        source, position = self.begun(name)
        log = self.followed(source, position)
        self.execute("update u set note = 'no'", "update t set note = 'yes' where id = 1")
        assert [change.table.name for change in log.changes(1)] == [name]

    def test_the_position_moves_on_while_only_other_tables_are_busy(self) -> None:
        name = self.table()
        self.table("u", rows=200)
        source, position = self.begun(name)
        log = self.followed(source, position)
        self.execute("update u set note = 'busy'")
        log.until(lambda: any(position < part.position for part in (*log.idle, *log.parts)), "a further position")
        assert log.seen == []
        assert all(part.changes == [] for part in log.idle)

    def test_a_table_that_is_added_is_followed_from_then_on(self) -> None:
        name, later = self.table(), self.table("u")
        source, position = self.begun(name)
        log = self.followed(source, position)
        self.execute("update u set note = 'before' where id = 1")
        for _ in range(2):
            self.another(source).add_tables(RUN, [later])
        self.execute("update u set note = 'after' where id = 2", "update t set note = 'too' where id = 1")
        changes = log.changes(2)
        assert [(change.table.name, cell(change, "id")) for change in changes] == [(later, "2"), (name, "1")]

    def test_what_was_open_while_a_table_was_added_is_in_its_copy_or_in_the_log(self) -> None:
        """R4: most sources wait for it; one that does not must have it in its log."""
        name, later = self.table(), self.table("u", rows=0)
        source, position = self.begun(name)
        log, adding = self.followed(source, position), self.another(source)
        schema = source.schema(later)
        with self.session() as other:
            other.execute("begin")
            other.execute("insert into u values (1, 'older', null)")
            joining = threading.Thread(target=adding.add_tables, args=(RUN, [later]), daemon=True)
            joining.start()
            joining.join(WAITING_S)
            waits = joining.is_alive()
            copied = [] if waits else self.read(source, schema)[2]
            other.execute("commit")
        joining.join(DEADLINE_S)
        assert not joining.is_alive(), "adding a table did not end"
        if waits:
            copied = self.read(source, schema)[2]
        self.execute("insert into u values (2, 'younger', null)")
        log.until(lambda: ("insert", "2") in ids(log.seen), "the younger row")
        assert "1" in [row["id"] for row in copied] or ("insert", "1") in ids(log.seen)

    def test_a_table_that_is_dropped_from_the_run_is_followed_no_longer(self) -> None:
        name, other = self.table(), self.table("u")
        source, position = self.begun(name, other)
        log = self.followed(source, position)
        assert source.unfollowed(RUN, [name, other]) == []
        for _ in range(2):
            source.drop_tables(RUN, [other])
        self.execute("update u set note = 'no'", "update t set note = 'yes' where id = 1")
        assert [change.table.name for change in log.changes(1)] == [name]
        assert source.unfollowed(RUN, [name, other]) == [other]

    def test_a_table_that_is_gone_is_told_to_be_unfollowed(self) -> None:
        one, other = self.table(), self.table("u")
        source, _ = self.begun(one, other)
        self.execute("drop table u")
        assert source.unfollowed(RUN, [one, other]) == [other]

    def test_two_runs_follow_one_source_without_knowing_each_other(self) -> None:
        one, other = self.table(), self.table("u")
        source, position = self.begun(one)
        theirs, their_position = self.begun(one, other, run=OTHER_RUN)
        log, their_log = self.followed(source, position), self.followed(theirs, their_position, OTHER_RUN)
        self.execute("update t set note = 'both' where id = 1", "update u set note = 'theirs' where id = 1")
        assert len(their_log.changes(2)) == 2
        assert len(log.changes(1)) == 1
        source.end(RUN)
        self.execute("update t set note = 'still' where id = 1")
        assert len(their_log.changes(3)) == 3

    def test_how_far_the_log_goes_is_known(self) -> None:
        source, position = self.begun(self.table(rows=200))
        before = source.behind_bytes(position)
        self.execute("update t set note = 'much more than nothing'")
        after = source.behind_bytes(position)
        assert 0 <= before < after
        log = self.followed(source, position)
        log.changes(200)
        assert source.behind_bytes(log.parts[-1].position) < after

    def test_a_quiet_log_gives_nothing_and_does_not_wait_longer_than_asked(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            begun = time.monotonic()
            log.more(0.1)
            assert time.monotonic() - begun < 1
        assert log.parts == []

    def test_a_log_that_nobody_reads_waits_and_loses_nothing(self) -> None:
        source, position = self.begun(self.table(rows=0))
        log = self.followed(source, position)
        self.execute("insert into t values (1, 'first', null)")
        count = 1
        while count < self.large:
            self.execute(f"insert into t select id + {count}, note, big from t")
            count *= 2
        time.sleep(0.5)
        log.until(lambda: len(log.seen) >= count, "every row")
        assert sorted(int(cell(change, "id")) for change in log.seen) == list(range(1, count + 1))

    def test_closing_a_log_may_be_said_twice(self) -> None:
        source, position = self.begun(self.table())
        log = self.followed(source, position)
        log.close()
        log.close()
        source.log_state(RUN, position)
