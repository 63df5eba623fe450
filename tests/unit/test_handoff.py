"""The decision table of the hand-over, cell by cell, and what follows from it."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.connect.source import ChunkMark
from tidegate.connect.target import KeyRange
from tidegate.engine.handoff import Chunk, ChunkState, Handoff, TableCopy, Verdict, key_of, sides
from tidegate.errors import SourceLogBroken
from tidegate.model.change import UNCHANGED, Op
from tidegate.model.schema import TableName
from unit.logged import KEYED, KEYLESS, At, copy_of, delete, insert, mark, part, truncate, update

DONE, READING, TODO = ChunkState.DONE, ChunkState.READING, ChunkState.TODO


def one_chunk(state: ChunkState, held: ChunkMark | None) -> Handoff:
    return Handoff([copy_of(KEYED, states=[(state, held)])])


@pytest.mark.parametrize(
    ("state", "held", "verdict"),
    [
        (TODO, None, Verdict.DROP),
        (READING, mark(1, log_end=200), Verdict.DROP),
        (READING, mark(2, log_end=200), Verdict.STALL),
        (DONE, mark(1, log_end=200), Verdict.DROP),
        (DONE, mark(2, log_end=200), Verdict.DELIVER),
    ],
)
def test_the_chunk_that_owns_the_key_decides(state: ChunkState, held: ChunkMark | None, verdict: Verdict) -> None:
    handoff = one_chunk(state, held)
    coming = part(insert("a", "v", ""), transaction=1)
    assert handoff.stalls(coming, At(50)) == (verdict is Verdict.STALL)
    if verdict is not Verdict.STALL:
        assert handoff.deliver(coming.changes[0], coming, At(50))[1] == (verdict is Verdict.DELIVER)


def test_behind_the_end_the_log_had_at_the_snapshot_nothing_is_contained_any_more() -> None:
    """Ids are compared only as long as they mean something: one may come again after two thousand million."""
    handoff = one_chunk(DONE, mark(1, log_end=200))
    change = insert("a", "v", "")
    assert handoff.deliver(change, part(change, transaction=1), At(199)) == (False, False)
    assert handoff.deliver(change, part(change, transaction=1), At(200)) == (False, True)


@pytest.mark.parametrize(("key", "owner"), [("a", 0), ("f", 0), ("f0", 1), ("m", 1), ("n", 2), ("z", 2), ("", 0)])
def test_each_key_has_one_owner_and_edges_belong_below(key: str, owner: int) -> None:
    assert copy_of(KEYED, "f", "m").owner((key,)).index == owner


@given(st.lists(st.integers(-50, 50), unique=True, max_size=8), st.integers(-60, 60))
def test_the_owner_is_the_chunk_whose_range_holds_the_key(edges: list[int], key: int) -> None:
    bounds: list[tuple[str, ...] | None] = [None, *((str(edge),) for edge in sorted(edges)), None]
    ranges = [KeyRange(after, upto) for after, upto in pairwise(bounds)]
    copy = TableCopy(KEYED, [Chunk(i, keys) for i, keys in enumerate(ranges)], lambda k: tuple(map(int, k)))
    owner = copy.owner((str(key),))
    assert owner.keys.after is None or int(owner.keys.after[0]) < key
    assert owner.keys.upto is None or key <= int(owner.keys.upto[0])


def test_edges_may_bound_the_first_columns_of_a_key_only() -> None:
    copy = TableCopy(KEYED, [Chunk(0, KeyRange(None, ("5",))), Chunk(1, KeyRange(("5",), None))], tuple)
    assert [copy.owner((a, b)).index for a, b in (("5", "0"), ("5", "9"), ("6", "0"))] == [0, 0, 1]


# --- the two sides of a key that moves ---


@pytest.mark.parametrize(
    ("left", "right", "sides_delivered"),
    [
        ((DONE, mark(log_end=200)), (DONE, mark(log_end=200)), (True, True)),
        ((DONE, mark(log_end=200)), (TODO, None), (True, False)),
        ((TODO, None), (DONE, mark(log_end=200)), (False, True)),
        ((DONE, mark(1, log_end=200)), (DONE, mark(log_end=200)), (False, True)),
        ((DONE, mark(log_end=200)), (DONE, mark(1, log_end=200)), (True, False)),
        ((TODO, None), (TODO, None), (False, False)),
    ],
)
def test_each_side_of_a_moved_key_is_decided_by_its_own_chunk(
    left: tuple[ChunkState, ChunkMark | None],
    right: tuple[ChunkState, ChunkMark | None],
    sides_delivered: tuple[bool, bool],
) -> None:
    handoff = Handoff([copy_of(KEYED, "m", states=[left, right])])
    change = update("z", "v", "", old=("a", None, None))
    coming = part(change)
    assert not handoff.stalls(coming, At(50))
    assert handoff.deliver(change, coming, At(50)) == sides_delivered


@pytest.mark.parametrize("reading", [0, 1])
def test_either_side_of_a_moved_key_can_stall(reading: int) -> None:
    states = [(DONE, mark(log_end=200)), (DONE, mark(log_end=200))]
    states[reading] = (READING, mark(log_end=200))
    handoff = Handoff([copy_of(KEYED, "m", states=states)])
    assert handoff.stalls(part(update("z", "v", "", old=("a", None, None))), At(50))


def test_an_update_that_leaves_its_key_alone_has_one_owner() -> None:
    handoff = Handoff([copy_of(KEYED, "m", states=[(DONE, mark(log_end=200)), (TODO, None)])])
    for change in (update("a", "v", UNCHANGED), update("a", "v", "", old=("a", "w", ""))):
        assert handoff.deliver(change, part(change), At(50)) == (True, True)


def test_a_whole_part_stalls_for_one_change() -> None:
    handoff = Handoff([copy_of(KEYED, "m", states=[(DONE, mark(log_end=200)), (READING, mark(log_end=200))])])
    assert not handoff.stalls(part(insert("a", "v", "")), At(50))
    assert handoff.stalls(part(insert("a", "v", ""), insert("z", "v", "")), At(50))


# --- patches ---


def test_a_key_that_was_read_by_itself_goes_by_its_own_snapshot() -> None:
    copy = copy_of(KEYED, states=[(DONE, mark(log_end=200))])
    copy.patches[("a",)] = mark(1, 2, log_end=400)
    handoff = Handoff([copy])
    change = delete("a", None, None)
    for transaction, delivered in ((1, False), (2, False), (3, True)):
        assert handoff.deliver(change, part(change, transaction=transaction), At(50)) == (delivered, False)
    other = delete("b", None, None)
    assert handoff.deliver(other, part(other, transaction=1), At(50)) == (True, False)


def test_a_table_is_in_step_when_the_log_has_passed_every_snapshot() -> None:
    copy = copy_of(KEYED, "m", states=[(DONE, mark(log_end=200)), (DONE, mark(log_end=300))])
    handoff = Handoff([copy])
    assert handoff.settle(At(299)) == []
    assert handoff.copying
    assert handoff.settle(At(300)) == [copy]
    assert not handoff.copying
    assert handoff.settle(At(301)) == []


def test_a_table_is_not_in_step_before_the_log_has_passed_its_patches() -> None:
    copy = copy_of(KEYED, states=[(DONE, mark(log_end=200))])
    copy.patches[("a",)] = mark(log_end=400)
    handoff = Handoff([copy])
    assert handoff.settle(At(399)) == []
    assert handoff.settle(At(400)) == [copy]
    assert copy.patches == {}


def test_a_table_with_a_chunk_to_do_is_not_in_step() -> None:
    for state, held in ((TODO, None), (READING, mark(log_end=10))):
        copy = copy_of(KEYED, "m", states=[(DONE, mark(log_end=200)), (state, held)])
        assert Handoff([copy]).settle(At(1_000)) == []


def test_every_change_of_a_table_in_step_is_delivered() -> None:
    copy = copy_of(KEYED, states=[(DONE, mark(1, log_end=200))])
    copy.in_step = True
    handoff = Handoff([copy])
    for change in (insert("a", "v", ""), update("a", "v", ""), delete("a", None, None)):
        assert handoff.deliver(change, part(change, transaction=1), At(50)) == (True, True)
    assert not handoff.stalls(part(insert("a", "v", "")), At(50))


def test_changes_of_a_table_that_is_not_planned_yet_are_dropped() -> None:
    handoff = Handoff([])
    change = insert("a", "v", "")
    assert handoff.deliver(change, part(change), At(50)) == (False, False)
    assert handoff.truncated(KEYED.name, part(truncate()), At(50)) == []
    handoff.add(copy_of(KEYED))
    assert handoff.copying


# --- truncate ---


def test_a_truncate_empties_the_chunks_that_do_not_contain_it() -> None:
    states = [
        (TODO, None),
        (DONE, mark(1, log_end=200)),
        (DONE, mark(2, log_end=200)),
        (DONE, mark(log_end=40)),
    ]
    handoff = Handoff([copy_of(KEYED, "d", "m", "s", states=states)])
    chunks = handoff.truncated(KEYED.name, part(truncate(), transaction=1), At(50))
    assert chunks is not None
    assert [chunk.index for chunk in chunks] == [2, 3]


def test_a_truncate_stalls_for_a_chunk_being_read_that_does_not_contain_it() -> None:
    for seen, stalls in ((1, False), (2, True)):
        handoff = one_chunk(READING, mark(seen, log_end=200))
        assert handoff.stalls(part(truncate(), transaction=1), At(50)) == stalls


def test_a_truncate_of_a_table_in_step_empties_all_of_it() -> None:
    copy = copy_of(KEYED)
    copy.in_step = True
    assert Handoff([copy]).truncated(KEYED.name, part(truncate()), At(50)) is None


# --- keys ---


def test_a_table_without_a_key_has_one_owner_for_all_rows() -> None:
    handoff = Handoff([copy_of(KEYLESS, states=[(DONE, mark(1, log_end=200))])])
    change = update("v", old=("w",), table=KEYLESS)
    assert sides(change) == ((), ())
    assert handoff.deliver(change, part(change, transaction=1), At(50)) == (False, False)
    assert handoff.deliver(change, part(change, transaction=2), At(50)) == (True, True)


@pytest.mark.parametrize("cell", [None, UNCHANGED])
def test_a_change_without_its_key_breaks_the_log(cell: object) -> None:
    with pytest.raises(SourceLogBroken, match=r"public\.t"):
        key_of(KEYED, (cell, "v", ""))  # type: ignore[arg-type]


def test_tables_are_found_by_name() -> None:
    assert KEYED.name == TableName("public", "t")
    assert set(Handoff([copy_of(KEYED), copy_of(KEYLESS)]).tables) == {KEYED.name, KEYLESS.name}


# --- the rule as a whole, against a model ---


@given(st.integers(0, 2**32))
@settings(max_examples=500, deadline=None)
def test_chunks_and_log_together_give_every_row_as_it_is(seed: int) -> None:
    """Random transactions; two chunks whose snapshots are taken at random moments; the log read at random moments. What
    is delivered, put over what the chunks read, is what the transactions made of the table."""
    r, keys = random.Random(seed), ["a", "b", "y", "z"]
    history: list[dict[str, str]] = [{}]  # the table after each transaction
    log = []
    for transaction in range(1, r.randint(1, 10) + 1):
        table = dict(history[-1])
        changes = []
        for number in range(r.randint(1, 3)):
            key, value = r.choice(keys), f"{transaction}.{number}"
            if key not in table:
                changes.append(insert(key, value, ""))
                table[key] = value
                continue
            move_to = r.choice([None, "", *keys])
            if move_to is None:
                changes.append(delete(key, None, None))
                del table[key]
            elif move_to and move_to not in table:
                changes.append(update(move_to, value, "", old=(key, None, None)))
                del table[key]
                table[move_to] = value
            else:
                changes.append(update(key, value, ""))
                table[key] = value
        history.append(table)
        log.append(part(*changes, transaction=transaction, commit=10 * transaction))
    copy = copy_of(KEYED, "m")
    handoff = Handoff([copy])
    target: dict[str, str] = {}
    position, committed, read = At(0), 0, 0
    while read < len(log) or not all(chunk.state is DONE for chunk in copy.chunks):
        step = r.choice(["commit", "log", "mark", "write"])
        if step == "commit":
            committed = min(committed + 1, len(log))
        elif step == "mark":
            for chunk in copy.chunks:
                if chunk.state is TODO:
                    chunk.mark = mark(*range(1, committed + 1), log_end=10 * committed + 1)
                    chunk.state = READING
                    break
        elif step == "write":
            for chunk in copy.chunks:
                if chunk.state is READING and chunk.mark is not None:
                    seen = history[max(chunk.mark.seen.transactions, default=0)]  # type: ignore[attr-defined]
                    target |= {k: v for k, v in seen.items() if copy.owner((k,)) is chunk}
                    chunk.state = DONE
                    break
        elif read < committed and not handoff.stalls(log[read], position):
            for change in log[read].changes:
                old_side, new_side = handoff.deliver(change, log[read], position)
                old, new = sides(change)
                if old_side and old is not None and change.op is not Op.INSERT:
                    target.pop(old[0], None)
                if new_side and new is not None and change.new is not None:
                    target[new[0]] = str(change.new[1])
            position = log[read].position  # type: ignore[assignment]
            read += 1
            handoff.settle(position)
    assert target == history[-1]
