"""Blocks of streamed transactions: both ways of walking through them and of taking the numbers out agree with what is
said of the messages one by one."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decode.conftest import LACKING
from decode.streams import CHANGES, ODD, frames
from decode.test_twins import garbled
from tidegate.decode import stream
from tidegate.decode.blocks import NUMBERED, NUMBERS, Blocks, PlainBlocks
from tidegate.decode.fault import Contradiction, Fault, Malformed
from tidegate.decode.nativeblocks import NativeBlocks
from tidegate.decode.pgoutput import EPOCH_US
from unit import pgwire

given_twins = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True
)


@pytest.fixture(params=["python", "native"])
def blocks(request: pytest.FixtureRequest) -> Blocks:
    if request.param == "python":
        return PlainBlocks()
    if LACKING:
        pytest.skip(LACKING)
    return NativeBlocks()


@pytest.fixture
def twins() -> tuple[Blocks, Blocks]:
    if LACKING:
        pytest.skip(LACKING)
    return PlainBlocks(), NativeBlocks()


MESSAGES = st.sampled_from([*(change for oid in CHANGES for change in CHANGES[oid][:40]), *ODD])
NUMBERS_DRAWN = st.sampled_from([1, 2, 3, 700, 1 << 31, (1 << 32) - 1])
MARKS = st.sampled_from([pgwire.stream_start(7), pgwire.stream_stop(), pgwire.stream_abort(7, 8), pgwire.begin(5)])
NUMBERED_MESSAGES = st.lists(st.tuples(NUMBERS_DRAWN, MESSAGES), max_size=12)
ABORTED = st.sets(NUMBERS_DRAWN).map(lambda drawn: array(NUMBERS, sorted(drawn)))


def told(work: Callable[[], object]) -> object:
    try:
        return work()
    except Malformed as error:
        return type(error), str(error)


def stripped(blocks: Blocks, given: bytes, aborted: Sequence[int]) -> object:
    held = bytearray(given)

    def work() -> object:
        done = blocks.strip(held, array(NUMBERS, aborted))
        return done, bytes(held[: done.written_bytes])

    return told(work)


@given(NUMBERED_MESSAGES, ABORTED)
@given_twins
def test_what_is_left_are_the_messages_of_the_others_as_they_are(
    blocks: Blocks, messages: list[tuple[int, bytes]], aborted: array[int]
) -> None:
    given = frames(*(pgwire.numbered(number, message) for number, message in messages))
    left = frames(*(one for number, one in messages if one[0] not in NUMBERED or number not in aborted))
    assert stripped(blocks, given, aborted) == ((len(given), len(left)), left)
    assert blocks.walk(given, 0, inside=True) == (len(given), False)


@given(
    st.lists(st.one_of(MARKS, st.builds(pgwire.numbered, NUMBERS_DRAWN, MESSAGES)), min_size=1, max_size=12),
    st.integers(0, 2**64),
    st.sampled_from(["not", "flip", "cut", "insert", "length"]),
    st.integers(0, 2**32 - 1),
    ABORTED,
)
@given_twins
def test_both_say_the_same_of_whatever_bytes(
    twins: tuple[Blocks, Blocks], messages: list[bytes], at: int, how: str, value: int, aborted: array[int]
) -> None:
    given = frames(*messages)
    if how != "not":
        given = garbled(given, at, how, value)
    start = value % (len(given) + 1)
    for inside, begin in product((False, True), (0, start)):
        plain, native = (told(partial(one.walk, given, begin, inside=inside)) for one in twins)
        assert native == plain
    plain, native = (stripped(one, given, aborted) for one in twins)
    assert native == plain


def test_a_walk_ends_at_each_mark(blocks: Blocks) -> None:
    other = frames(pgwire.begin(5), b"", b"?")
    for mark in (b"S", b"E", b"c", b"A"):
        given = other + frames(mark)
        assert blocks.walk(given, 0, inside=False) == (len(other), True)
        assert blocks.walk(given, len(other), inside=True) == (0, True)
    assert blocks.walk(other + b"\0\0", 0, inside=False) == (len(other) + 2, False)


@pytest.mark.parametrize(
    ("message", "kind", "fault"),
    [
        (pgwire.begin(5), Contradiction, Fault.PLACE),
        (b"?", Contradiction, Fault.PLACE),
        (b"I\0\0\0", Malformed, Fault.SHORT),
        (b"", Malformed, Fault.SHORT),
    ],
)
def test_what_does_not_belong_into_a_block_is_an_error_once_it_is_first(
    blocks: Blocks, message: bytes, kind: type[Malformed], fault: Fault
) -> None:
    sound = frames(pgwire.origin())
    for work in (
        lambda given: blocks.walk(given, 0, inside=True),
        lambda given: blocks.strip(bytearray(given), array(NUMBERS)),
    ):
        assert work(sound + frames(message))[0] == len(sound)
        with pytest.raises(kind) as told:
            work(frames(message))
        assert told.value.fault is fault


def test_a_length_no_message_has_is_an_error(blocks: Blocks) -> None:
    with pytest.raises(Malformed) as told:
        blocks.walk(struct.pack(">I", 1 << 30), 0, inside=True)
    assert told.value.fault is Fault.LONG


def test_a_transaction_begins_and_ends_as_if_it_had_been_sent_once_committed() -> None:
    commit = stream.decode(pgwire.stream_commit(7, 300, 310, 1_700_000_000_000_000))
    assert isinstance(commit, stream.StreamCommit)
    begin, end = stream.ends(commit)
    assert begin == pgwire.begin(300, 1_700_000_000_000_000, 7)
    assert end == pgwire.commit(300, 310, 1_700_000_000_000_000)


def test_a_rollback_says_where_and_when_to_who_applies_in_parallel() -> None:
    short = pgwire.stream_abort(7, 8)
    assert stream.decode(short) == stream.StreamAbort(7, 8, 0, 0)
    assert stream.decode(short + struct.pack(">Qq", 55, 1)) == stream.StreamAbort(7, 8, 55, EPOCH_US + 1)


@pytest.mark.parametrize(
    "message",
    [pgwire.stream_start(7), pgwire.stream_stop(), pgwire.stream_commit(7, 300, 310), pgwire.stream_abort(7, 8)],
    ids=["start", "stop", "commit", "abort"],
)
def test_a_mark_that_is_too_short_or_too_long_is_an_error(message: bytes) -> None:
    with pytest.raises(Malformed) as told:
        stream.decode(message + b"?")
    assert told.value.fault is (Fault.SHORT if message[:1] == b"A" else Fault.TRAILING)
    if len(message) > 1:
        with pytest.raises(Malformed) as told:
            stream.decode(message[:-1])
        assert told.value.fault is Fault.SHORT
