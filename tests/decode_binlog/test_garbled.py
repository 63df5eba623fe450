"""Whatever bytes come, the decoder answers with events, or with one of its two errors: garbled events of every kind."""

from __future__ import annotations

import struct
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from decode_binlog import wire
from decode_binlog.test_built import EMPTY, MAP, QUERY, difference, partial, payload, row
from tidegate.decode.binlog import BinlogDecoder, Body, Payload, file_events
from tidegate.decode.binlog_cursor import Malformed, Refused
from tidegate.decode.binlog_rows import Rows

HOME = Path(__file__).parent / "recorded"
SERVER = uuid.UUID(int=5)
LOGS = ("numbers_minimal", "texts_minimal", "times", "compressed_columns", "compressed_events", "transactions")
LOGS += ("image_minimal", "statements")


@cache
def sequences() -> list[tuple[bytes, ...]]:
    """Format description, table map if there is one, and the event, for each event; without checksums."""
    found: list[tuple[bytes, ...]] = []
    for name in LOGS:
        description, *events = file_events((HOME / f"{name}.bin").read_bytes())
        cut = 0 if name.endswith("minimal") and name != "image_minimal" else 4
        version = description[21:71].rstrip(b"\0").decode()
        plain, tables = wire.format_description(version), ()
        for event in events:
            bare = sized(event[: len(event) - cut])
            found.append((plain, *tables, bare))
            tables = (bare,) if event[4] == 19 else tables
    mysql = wire.format_description("8.4.0")
    inner = MAP + wire.rows(30, 6, [0x3F], row(1, EMPTY))
    document = wire.document(
        wire.json_container([wire.json_text("x"), wire.json_container([(5, b"\1\0")])], ["a", "b"])
    )
    change = difference(0, "$.a", wire.document(wire.json_text("y"))) + difference(1, '$."b c"', b"\x04\0")
    built = [
        wire.gtid(SERVER, 5, tail=b"\xff" * 7 + bytes(7) + b"\x05"),
        wire.tagged_gtid(SERVER, "tag", 5, 10**15, 99),
    ]
    built += [wire.event(35, struct.pack("<Q", 1) + SERVER.bytes + struct.pack("<Q2q", 1, 1, 6)), wire.event(2, QUERY)]
    built += [wire.event(41, b"\x01\x03abc\x02\x01\x05\0"), payload(255, inner, len(inner)), mysql, MAP]
    found += [(mysql, event) for event in built]
    found += [(mysql, MAP, wire.rows(30, 6, [0x3F], row(1, document))), (mysql, MAP, partial(change))]
    return found


def sized(event: bytes) -> bytes:
    """The event with its length in its header, so that what is behind the header is looked at."""
    return event[:9] + struct.pack("<I", len(event)) + event[13:]


def read(events: tuple[bytes, ...]) -> None:
    decoder = BinlogDecoder()
    with suppress(Malformed, Refused):
        for event in events:
            drained(decoder.decode(event).body)


def drained(body: Body | None) -> None:
    if isinstance(body, Rows):
        for _ in body.changes():
            pass
    elif isinstance(body, Payload):
        for event in body.events:
            drained(event.body)


def test_the_events_to_be_garbled_are_sound() -> None:
    sound = 0
    for events in sequences():
        decoder = BinlogDecoder()
        with suppress(Refused):
            for event in events:
                drained(decoder.decode(event).body)
            sound += 1
    # All but the statements.
    assert sound > 0.97 * len(sequences()) > 100


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_a_garbled_event_is_malformed_or_refused_or_another_event(data: st.DataObject) -> None:
    events = list(data.draw(st.sampled_from(sequences())))
    which = data.draw(st.integers(0, len(events) - 1))
    raw = bytearray(events[which])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)) | st.integers(0, min(60, max(len(raw) - 1, 0))))
        match data.draw(st.sampled_from(["set", "set", "cut", "put"])):
            case "set" if raw:
                raw[at] = data.draw(st.sampled_from([0, 1, 127, 128, 250, 251, 252, 254, 255]) | st.integers(0, 255))
            case "cut":
                del raw[at : at + data.draw(st.integers(1, 20))]
            case _:
                raw[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    events[which] = sized(bytes(raw)) if len(raw) >= 19 and data.draw(st.booleans()) else bytes(raw)
    read(tuple(events))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 255), st.binary(max_size=200))
def test_any_bytes_behind_a_header_are_malformed_or_refused_or_an_event(kind: int, body: bytes) -> None:
    read((wire.format_description("8.4.0"), MAP, wire.event(kind, body)))
    read((wire.format_description("10.11.8-MariaDB"), MAP, wire.event(kind, body)))
