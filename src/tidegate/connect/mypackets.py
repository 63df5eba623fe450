"""The packets of a replication stream, put together to events.

Format: MariaDB documentation, "0 - Packet": a length of three bytes, least significant first, a number of one, and as
many bytes; a packet of the largest size is continued by the next.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.errors import SourceLogBroken, TidegateError

# An event may be as large as the server's largest packet.
EVENT_BYTES_MAX = (1 << 30) + (1 << 20)
_HEADER_BYTES, _PACKET_BYTES_MAX = 4, 0xFFFFFF


class Packets:
    """What has come and was not read yet; `told` makes an error of a packet that is no event."""

    def __init__(self, told: Callable[[bytes], TidegateError]) -> None:
        self._told = told
        self.held = bytearray()

    def event(self, at: int) -> tuple[int, bytes] | None:
        """The event at this byte, and where it ends; None if it is not whole. Raises what the server says instead, and
        `SourceLogBroken`."""
        payload, held = b"", self.held
        while len(held) - at >= _HEADER_BYTES:
            size = int.from_bytes(held[at : at + 3], "little")
            first, behind = at + _HEADER_BYTES, at + _HEADER_BYTES + size
            if len(payload) + size > EVENT_BYTES_MAX:
                raise SourceLogBroken("an event is larger than any server makes")
            if behind > len(held):
                return None
            payload += held[first:behind]
            at = behind
            if size < _PACKET_BYTES_MAX:
                if payload[:1] != b"\0":
                    raise self._told(payload)
                return at, payload[1:]
        return None

    def forget(self, count: int) -> None:
        """So many bytes were read."""
        del self.held[:count]
