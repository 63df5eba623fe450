"""Reading a binary log's bytes in order, never past their end, and the two ways in which bytes can be turned down.

Format: MariaDB documentation, "Replication Protocol" and "Protocol Data Types"; MySQL Source Code Documentation,
"Binary Log Event". Numbers are little-endian unless said otherwise.
"""

from __future__ import annotations


class Malformed(ValueError):
    """The bytes are not what a server writes. Says which kind of event and where, never what the values were (I8)."""


class Refused(ValueError):
    """The bytes are sound, but rows cannot be had from them exactly. `advice` says what the person can change."""

    def __init__(self, detail: str, advice: str) -> None:
        super().__init__(f"{detail}. {advice}")
        self.detail = detail
        self.advice = advice


class Cursor:
    """A place in a piece of bytes. Every read moves it on, and raises `Malformed` where the piece ends too soon."""

    __slots__ = ("at", "data", "end", "what")

    def __init__(self, data: bytes, what: str, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.what = what
        """What is being read, for errors."""
        self.at = at
        self.end = len(data) if end is None else end

    def malformed(self, reason: str) -> Malformed:
        return Malformed(f"{self.what}: {reason} at byte {self.at} of {self.end}")

    def left(self) -> int:
        return self.end - self.at

    def skip(self, count: int) -> int:
        """Where the skipped bytes begin."""
        start = self.at
        if count < 0 or count > self.end - start:
            raise self.malformed(f"{count} bytes wanted")
        self.at = start + count
        return start

    def take(self, count: int) -> bytes:
        start = self.skip(count)
        return self.data[start : self.at]

    def rest(self) -> bytes:
        return self.take(self.end - self.at)

    def unsigned(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def signed(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little", signed=True)

    def big_endian(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def packed(self) -> int:
        """A length-encoded integer: one byte up to 250, else 252, 253 or 254 and 2, 3 or 8 bytes."""
        first = self.unsigned(1)
        if first <= 250:
            return first
        if first in (251, 255):
            raise self.malformed(f"no length begins with {first}")
        return self.unsigned({252: 2, 253: 3, 254: 8}[first])

    def packed_bytes(self) -> bytes:
        return self.take(self.packed())

    def part(self, count: int, what: str) -> Cursor:
        """A cursor over the next `count` bytes alone; this one moves behind them."""
        start = self.skip(count)
        return Cursor(self.data, f"{self.what}, {what}", start, self.at)

    def text(self, raw: bytes) -> str:
        """Names and statements are UTF-8."""
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.malformed(f"{len(raw)} bytes that are not UTF-8") from None

    def done(self) -> None:
        if self.at != self.end:
            raise self.malformed(f"{self.end - self.at} bytes too many")
