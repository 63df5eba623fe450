"""Cases about runs: all or nothing, position and progress, epochs, letting go and dying."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tidegate.connect.capability import WriteMode
from tidegate.connect.config import parse_config, revealed
from tidegate.connect.registry import target_class
from tidegate.connect.target import (
    Append,
    Clear,
    Net,
    Progress,
    Step,
    Stored,
    Target,
    TargetTable,
)
from tidegate.errors import (
    Fenced,
    TargetPositionMismatch,
    TargetTableGone,
    TargetValueRefused,
)
from tidegate.model.schema import Column
from tidegate.testing.target_contract.ground import INT, LINES, ORDERS, OTHER_RUN, RUN, TEXT, Ground, batch


class Running(Ground):
    def test_a_step_that_fails_undoes_the_steps_before_it_and_the_progress(self) -> None:
        target, table, lines = self.started(), self.upsert(), self.upsert(LINES)
        self.filled(target, table, ("1", None, "a", None))
        target.prepare(lines, create=True, replace=False)
        target.write([], Progress("before", {"chunk": "1"}))
        steps: list[Step] = [
            Append(lines, [batch(LINES.names, ("a", "1", "x"))]),
            Net(table, deletes=batch(("id",), ("1",)), puts=batch(("id", "note"), ("2", "b"))),
            Append(table, [batch(("id", "amount"), ("3", "123456789012.00"))]),
        ]
        with pytest.raises(TargetValueRefused):
            target.write(steps, Progress("after", {"chunk": None, "new": "1"}))
        assert self.held(table, "id") == [("1",)]
        assert self.rows(lines) == []
        assert target.stored(RUN) == Stored("before", {"chunk": "1"})

    @pytest.mark.parametrize("schema", ["shop", "elsewhere"])
    @pytest.mark.parametrize("kind", ["append", "puts", "patches", "deletes", "clear"])
    def test_a_table_dropped_in_the_middle_of_a_run_is_gone_and_not_to_be_made_by_hand(
        self, kind: str, schema: str
    ) -> None:
        target = self.started()
        self.filled(target, self.upsert(), ("1", None, None, None))
        dropped = TargetTable(schema, "dropped", ORDERS, WriteMode.UPSERT)
        rows = batch(("id", "note"), ("2", "a"))
        steps: dict[str, Step] = {
            "append": Append(dropped, [rows]),
            "puts": Net(dropped, puts=rows),
            "patches": Net(dropped, patches=[rows]),
            "deletes": Net(dropped, deletes=batch(("id",), ("2",))),
            "clear": Clear(dropped),
        }
        with pytest.raises(TargetTableGone, match="dropped"):
            target.write([Append(self.upsert(), [rows]), steps[kind]], Progress("2"))
        assert self.held(self.upsert(), "id") == [("1",)]

    def test_a_column_for_a_table_dropped_in_the_middle_of_a_run_finds_it_gone(self) -> None:
        target = self.started()
        self.filled(target, self.upsert())
        with pytest.raises(TargetTableGone):
            target.add_columns(self.upsert(name="dropped"), [Column("more", TEXT)])

    def test_progress_is_put_changed_and_removed_with_the_rows(self) -> None:
        target = self.started()
        awkward = {"chunk/1": "", "é": 'a"b\n\\.', "'; --": "x" * 100_000}
        target.write([], Progress("1", {**awkward, "gone": "x"}))
        target.write([], Progress("2", {"gone": None, "never was": None, "chunk/1": "done"}))
        target.write([], Progress("3"))
        assert self.fresh_after(target).stored(RUN) == Stored("3", {**awkward, "chunk/1": "done"})

    def fresh_after(self, target: Target) -> Target:
        target.close()
        return self.fresh()

    def test_a_run_has_stored_nothing_before_its_first_write(self) -> None:
        target = self.fresh()
        assert target.open(RUN, 1) is None
        target.prepare(self.upsert(), create=True, replace=False)
        assert target.stored(RUN) is None
        assert self.fresh_after(target).open(RUN, 2) is None

    def test_opening_again_gives_what_was_stored(self) -> None:
        target = self.started()
        target.write([], Progress("0/16B3748", {"a": "1"}))
        assert self.fresh_after(target).open(RUN, 2) == Stored("0/16B3748", {"a": "1"})

    def test_the_same_epoch_may_open_again(self) -> None:
        target = self.started()
        target.write([], Progress("1"))
        assert target.open(RUN, 1) == Stored("1", {})
        target.write([], Progress("2"))
        assert target.stored(RUN) == Stored("2", {})

    def test_an_older_epoch_can_write_nothing_once_a_newer_one_has_opened(self) -> None:
        older, table = self.started(epoch=1), self.upsert()
        self.filled(older, table, ("1", None, "a", None))
        newer = self.started(epoch=2)
        deeds: list[Callable[[], object]] = [
            lambda: older.write([Net(table, deletes=batch(("id",), ("1",)))], Progress("stale", {"x": "1"})),
            lambda: older.write([], Progress("stale")),
            lambda: older.prepare(self.upsert(LINES), create=True, replace=True),
            lambda: older.add_columns(table, [Column("more", INT)]),
            lambda: older.open(RUN, 1),
        ]
        for deed in deeds:
            with pytest.raises(Fenced, match=RUN):
                deed()
        assert self.held(table, "id") == [("1",)]
        assert [column.name for column in newer.columns(table) or []] == list(ORDERS.names)
        assert newer.columns(self.upsert(LINES)) is None
        assert newer.stored(RUN) == Stored("filled", {})
        newer.write([Net(table, deletes=batch(("id",), ("1",)))], Progress("newer"))
        assert self.rows(table) == []

    def test_a_run_whose_state_was_removed_cannot_write(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, None, None))
        self.fresh().forget(RUN)
        with pytest.raises(TargetPositionMismatch, match=RUN):
            target.write([Clear(table)], Progress("2"))
        assert self.held(table, "id") == [("1",)]

    def test_forget_removes_the_state_of_one_run_and_leaves_the_rows(self) -> None:
        other = self.started(OTHER_RUN)
        other.write([], Progress("other", {"a": "1"}))
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, None, None))
        target.write([], Progress("1", {"a": "1"}))
        target.close()
        for _ in range(2):
            self.fresh().forget(RUN)
        assert self.fresh().stored(RUN) is None
        assert self.fresh().stored(OTHER_RUN) == Stored("other", {"a": "1"})
        assert self.held(table, "id") == [("1",)]

    def test_forgetting_a_run_that_never_was_does_nothing(self) -> None:
        self.fresh().forget(RUN)
        assert self.fresh().stored(RUN) is None

    def test_two_runs_side_by_side_keep_to_themselves(self) -> None:
        one, other = self.started(RUN), self.started(OTHER_RUN)
        mine, theirs, both = self.upsert(), self.upsert(LINES), self.append()
        one.prepare(mine, create=True, replace=False)
        other.prepare(theirs, create=True, replace=False)
        for target in (one, other):
            target.prepare(both, create=True, replace=False)
        for n in range(1, 4):
            row = batch(("id",), (str(n),))
            one.write([Append(mine, [row]), Append(both, [row])], Progress(f"one {n}"))
            line = batch(LINES.key, ("a", str(n)))
            other.write([Append(theirs, [line]), Append(both, [row])], Progress(f"other {n}"))
        assert self.held(mine, "id") == [("1",), ("2",), ("3",)]
        assert self.held(theirs, "no") == [("1",), ("2",), ("3",)]
        assert len(self.rows(both)) == 6
        assert one.stored(RUN) == Stored("one 3", {})
        assert one.stored(OTHER_RUN) == Stored("other 3", {})

    # --- letting go, dying ---

    def test_nothing_written_still_moves_the_position(self) -> None:
        target = self.started()
        target.write([], Progress("1"))
        empty = Net(self.upsert(), batch(("id",)), batch(ORDERS.names), batch(ORDERS.names), [batch(("id", "note"))])
        target.prepare(self.upsert(), create=True, replace=False)
        target.write([empty], Progress("2"))
        assert target.stored(RUN) == Stored("2", {})

    def test_released_it_lets_another_process_in_and_goes_on_afterwards(self) -> None:
        target, table = self.started(), self.upsert()
        self.filled(target, table, ("1", None, None, None))
        target.release()
        assert self._elsewhere("stored")[0] == "filled"
        target.write([Append(table, [batch(("id",), ("2",))])], Progress("2"))
        target.release()
        target.release()
        assert self._elsewhere("stored")[0] == "2"
        assert self.held(table, "id") == [("1",), ("2",)]

    def test_closing_twice_is_closing_once_and_it_can_be_opened_again(self) -> None:
        unopened = self.fresh()
        unopened.close()
        target = self.started()
        target.write([], Progress("1"))
        target.close()
        target.close()
        assert target.open(RUN, 1) == Stored("1", {})

    def test_a_writer_that_is_killed_leaves_all_of_a_write_or_nothing(self) -> None:
        seed = random.randrange(1 << 32)
        sys.stdout.write(f"seed {seed}\n")
        chance = random.Random(seed)
        table, log = self.upsert(), self.append()
        target = self.started()
        for each in (table, log):
            target.prepare(each, create=True, replace=False)
        target.write([], Progress("0"))
        target.close()
        at = 0
        for epoch in range(2, 5):
            told = self._killed_while_writing(epoch, chance.uniform(0.05, 0.4))
            target.open(RUN, epoch)
            stored = target.stored(RUN)
            target.close()
            assert stored is not None
            assert int(stored.position) >= told >= at, "a write that was reported as done is gone"
            at = int(stored.position)
            assert stored.entries == ({"last": str(at)} if at else {})
            assert sorted(int(row["id"] or 0) for row in self.rows(table)) == [
                *range(at * WRITE_ROWS - WRITE_ROWS, at * WRITE_ROWS)
            ]
            assert sorted(int(row["id"] or 0) for row in self.rows(log)) == [*range(at * WRITE_ROWS)]
        assert at > 3, "too little happened to say anything"

    def _killed_while_writing(self, epoch: int, after_s: float) -> int:
        """Kill a child some time after its first write; the last position it reported."""
        child = self._child("write", epoch)
        assert child.stdout is not None
        try:
            ready, _, _ = select.select([child.stdout], [], [], 60)
            assert ready, "the child wrote nothing"
            time.sleep(after_s)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(30)
        with child.stdout:
            whole = child.stdout.read().rpartition("\n")[0]
        return int(whole.split()[-1]) if whole else 0

    def _elsewhere(self, what: str) -> list[Any]:
        """What another process sees."""
        child = self._child(what, 0)
        try:
            out, _ = child.communicate(timeout=60)
        finally:
            child.kill()
            child.wait(30)
        answer: list[Any] = json.loads(out)
        return answer

    def _child(self, what: str, epoch: int) -> subprocess.Popen[str]:
        target = self.target()
        told = json.dumps({"what": what, "kind": target.kind, "config": revealed(target.config), "epoch": epoch})
        return subprocess.Popen(
            [sys.executable, "-c", "from tidegate.testing.target_contract.running import child; child()"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TIDEGATE_CONTRACT": told},
        )


WRITE_ROWS = 500


def child() -> None:
    """The other process of `TargetContract`: looks, or writes until it is killed."""
    told = json.loads(os.environ["TIDEGATE_CONTRACT"])
    cls = target_class(told["kind"])
    target = cls(parse_config(cls.Config, told["config"], of="contract"))
    if told["what"] == "stored":
        stored = target.stored(RUN)
        sys.stdout.write(json.dumps([stored.position, dict(stored.entries)] if stored else [None, {}]))
        return
    opened = target.open(RUN, told["epoch"])
    table = TargetTable("shop", "orders", ORDERS, WriteMode.UPSERT)
    log = TargetTable("shop", "orders_log", ORDERS, WriteMode.APPEND)
    at = int(opened.position) if opened else 0
    while True:
        new = [(str(at * WRITE_ROWS + n), "x" * 100) for n in range(WRITE_ROWS)]
        old = [(str((at - 1) * WRITE_ROWS + n),) for n in range(WRITE_ROWS)]
        rows = batch(("id", "note"), *new)
        at += 1
        steps: list[Step] = [Append(log, [rows]), Net(table, deletes=batch(("id",), *old), puts=rows)]
        target.write(steps, Progress(str(at), {"last": str(at)}))
        sys.stdout.write(f"{at}\n")
        sys.stdout.flush()
