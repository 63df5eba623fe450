"""What happens to the bytes of one connection on their way: delays, pieces, losses, flipped bits, and how it ends.

`tidegate.testing.proxy` is the door; this is what it does to each connection, all of it on the proxy's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import random
import re
import socket
import struct
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

READ_BYTES = 64 << 10
# How much one direction of one connection holds back before it stops reading.
HELD_BYTES_MAX = 256 << 10
# Small, so that what is not delivered pushes back on the sender soon.
SOCKET_BUFFER_BYTES = 64 << 10
DELIVER_DEADLINE_S = 1.0
TICK_S = 0.005

Watch = Callable[[bytes], int | None]
"""Sees one direction's bytes of one connection as they pass, piece by piece; says behind how many bytes of the piece
something is to happen, or None."""


class Then(Enum):
    """What happens to the connection at the place a rule's watch names."""

    RESET = "deliver everything up to the place, then reset both ends"
    RESET_UNANSWERED = "deliver the whole piece, wait until the other end has answered, keep the answer, reset"
    STALL = "deliver everything up to the place and nothing after it, reading no more"
    SWALLOW = "deliver everything up to the place and drop what follows"
    HALF_CLOSE = "deliver everything up to the place, then end this direction only"
    GARBLE = "flip bits of the byte behind the place"


@dataclass(slots=True)
class Way:
    """One direction, of all connections. Change it at any time; it holds for bytes that arrive from then on."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    """A random part of this is added to the latency; the order of bytes stays."""
    rate_bytes_s: float | None = None
    """Per connection."""
    piece_bytes: int | None = None
    """Deliver in pieces of at most so many bytes."""
    stalls: bool = False
    """Take nothing and deliver nothing: the sender is pushed back once the buffers are full."""
    swallows: bool = False
    """Take everything and deliver nothing."""
    garbled_share: float = 0.0
    """How many of the bytes have bits flipped."""
    bytes: int = 0
    """How many were sent on so far."""
    pieces: int = 0
    """In how many pieces."""

    def heal(self) -> None:
        self.latency_s = self.jitter_s = self.garbled_share = 0.0
        self.rate_bytes_s = self.piece_bytes = None
        self.stalls = self.swallows = False


@dataclass(slots=True)
class Counts:
    connections: int = 0
    """Accepted and connected to the server."""
    turned_away: int = 0
    """Accepted and reset: too many at once, or the server did not take them."""
    cuts: int = 0
    """Connections that were reset or half-closed by a fault."""


@dataclass(slots=True, eq=False)
class Rule:
    """`times` is how often it still happens; 0 takes it back."""

    way: Way
    watch: Callable[[], Watch]
    then: Then
    times: int
    fired: int = 0


@dataclass(slots=True)
class Orders:
    """What holds for all connections of a proxy."""

    up: Way
    down: Way
    random: random.Random
    counts: Counts = field(default_factory=Counts)
    rules: list[Rule] = field(default_factory=list)


def behind_bytes(count: int) -> Callable[[], Watch]:
    """The place behind so many bytes of a connection, counted from when the rule was made."""

    def begin() -> Watch:
        passed = 0

        def watch(data: bytes) -> int | None:
            nonlocal passed
            before, passed = passed, passed + len(data)
            return count - before if before <= count <= passed else None

        return watch

    return begin


def behind(pattern: bytes, longest: int = 256) -> Callable[[], Watch]:
    """The place behind the first match of a regular expression, which may be cut over pieces; `longest` is the most
    bytes a match has."""
    wanted = re.compile(pattern, re.DOTALL)

    def begin() -> Watch:
        tail = b""

        def watch(data: bytes) -> int | None:
            nonlocal tail
            seen = tail + data
            found = wanted.search(seen)
            place = None if found is None else found.end() - len(tail)
            # What is behind a match may match again, what is before it may not.
            tail = (seen if found is None else seen[found.end() :])[-longest:]
            return place

        return watch

    return begin


# The statement as a client of PostgreSQL sends it: as a query, or to be parsed.
COMMIT = behind(rb"Q\x00\x00\x00\x0bCOMMIT\x00|P\x00\x00\x00.[^\x00]{0,200}\x00COMMIT\x00")
# The same of MariaDB: the first packet of a command, COM_QUERY.
MARIADB_COMMIT = behind(rb"\x07\x00\x00\x00\x03COMMIT")


class Link:
    """One connection: two streams, and how it ends."""

    def __init__(self, orders: Orders, client: socket.socket, server: socket.socket) -> None:
        self.gone = asyncio.Event()
        self._orders = orders
        self._sockets = (client, server)
        self._over: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._abrupt = False
        for end in self._sockets:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
            if end.family == socket.AF_INET:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.streams = (
            Stream(orders, orders.up, client, server, self),
            Stream(orders, orders.down, server, client, self),
        )

    async def run(self) -> None:
        tasks = [asyncio.ensure_future(work) for stream in self.streams for work in (stream.take(), stream.deliver())]
        for task in tasks:
            task.add_done_callback(self._look)
        try:
            patience_s = await self._over
            if patience_s:
                await self._delivered(patience_s)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in self._sockets:
                close_socket(end, abruptly=self._abrupt)

    def _look(self, task: asyncio.Task[None]) -> None:
        """Over when both directions have ended, or one broke."""
        if self._over.done():
            return
        if not task.cancelled() and task.exception() is not None:
            self._abrupt = True
            self._over.set_result(0)
        elif all(stream.ended for stream in self.streams):
            self._over.set_result(0)

    def reset(self, *, delivering_s: float = 0.0) -> None:
        """At once, or after what was sent has left this machine's buffers."""
        if not self._over.done():
            self._orders.counts.cuts += 1
            self._abrupt = True
            self._over.set_result(delivering_s)

    def other(self, stream: Stream) -> Stream:
        return self.streams[1] if stream is self.streams[0] else self.streams[0]

    async def _delivered(self, patience_s: float) -> None:
        until = time.monotonic() + patience_s
        while time.monotonic() < until and any(_unsent(end) for end in self._sockets):
            await asyncio.sleep(TICK_S)


@dataclass(slots=True, eq=False)
class Stream:
    """One direction of one connection: `take` reads, judges and queues; `deliver` waits and sends."""

    orders: Orders
    way: Way
    source: socket.socket
    sink: socket.socket
    link: Link
    ended: bool = False
    cuts_answer: bool = False
    """The next bytes are kept, and the connection is reset."""
    _stalls: bool = False
    _swallows: bool = False
    _garbles_next: bool = False
    _held_bytes: int = 0
    _due: float = 0.0
    _free_at: float = 0.0
    _watches: dict[Rule, Watch] = field(default_factory=dict)
    _queue: asyncio.Queue[tuple[float, bytes, Callable[[], None] | None]] = field(default_factory=asyncio.Queue)

    async def take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._while(lambda: self.way.stalls or self._stalls or self._held_bytes > HELD_BYTES_MAX)
            data = await loop.sock_recv(self.source, READ_BYTES)
            await self._while(lambda: self.way.stalls or self._stalls)
            if self.cuts_answer:
                self.link.reset()
                return
            if not data:
                self._put(b"", self.end)
                return
            data, after = self._judged(data)
            if self.way.swallows or self._swallows:
                data = b""
            if data or after:
                self._put(data, after)
            await asyncio.sleep(0)

    def _judged(self, data: bytes) -> tuple[bytes, Callable[[], None] | None]:
        """What is to be delivered of it, and what is to happen then."""
        if self._garbles_next:
            self._garbles_next = False
            data = self._garbled(data, 0)
        if self.way.garbled_share:
            for place in range(len(data)):
                if self.orders.random.random() < self.way.garbled_share:
                    data = self._garbled(data, place)
        for rule in self.orders.rules:
            if rule.way is not self.way or rule.times <= 0:
                continue
            watch = self._watches.get(rule) or self._watches.setdefault(rule, rule.watch())
            at = watch(data)
            if at is not None:
                rule.times -= 1
                rule.fired += 1
                return self._ruled(data, at, rule.then)
        return data, None

    def _ruled(self, data: bytes, at: int, then: Then) -> tuple[bytes, Callable[[], None] | None]:
        match then:
            case Then.RESET:
                self._stalls = True
                return data[:at], lambda: self.link.reset(delivering_s=DELIVER_DEADLINE_S)
            case Then.RESET_UNANSWERED:
                self.link.other(self).cuts_answer = True
                return data, None
            case Then.STALL:
                self._stalls = True
                return data[:at], None
            case Then.SWALLOW:
                return data[:at], self._swallow
            case Then.HALF_CLOSE:
                self.orders.counts.cuts += 1
                self._stalls = True
                return data[:at], self.end
            case Then.GARBLE:
                self._garbles_next = at >= len(data)
                return (data if self._garbles_next else self._garbled(data, at)), None

    def _garbled(self, data: bytes, at: int) -> bytes:
        return data[:at] + bytes([data[at] ^ self.orders.random.randrange(1, 256)]) + data[at + 1 :]

    def _swallow(self) -> None:
        self._swallows = True

    def _put(self, data: bytes, after: Callable[[], None] | None) -> None:
        # What was delayed longer than what follows must still come first.
        delay_s = self.way.latency_s + (self.orders.random.uniform(0, self.way.jitter_s) if self.way.jitter_s else 0)
        self._due = max(self._due, time.monotonic() + delay_s)
        self._held_bytes += len(data)
        self._queue.put_nowait((self._due, data, after))

    async def deliver(self) -> None:
        while not self.ended:
            due, data, after = await self._queue.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            while data and not self._swallows:
                await self._while(lambda: self.way.stalls)
                size = self._piece(len(data))
                await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))
                # Before it can be seen to have arrived.
                self.way.bytes += size
                self.way.pieces += 1
                await asyncio.get_running_loop().sock_sendall(self.sink, data[:size])
                self._held_bytes -= size
                if self.way.rate_bytes_s:
                    self._free_at = max(self._free_at, time.monotonic()) + size / self.way.rate_bytes_s
                data = data[size:]
            self._held_bytes -= len(data)
            if after is not None:
                after()

    def _piece(self, size: int) -> int:
        size = min(size, self.way.piece_bytes or size)
        return min(size, max(1, int(self.way.rate_bytes_s / 20))) if self.way.rate_bytes_s else size

    def end(self) -> None:
        """No more in this direction; the receiver is told."""
        self.ended = True
        with contextlib.suppress(OSError):
            self.sink.shutdown(socket.SHUT_WR)

    async def _while(self, held: Callable[[], bool]) -> None:
        while held():
            await asyncio.sleep(TICK_S)


def close_socket(end: socket.socket, *, abruptly: bool) -> None:
    """Abruptly: the other end reads `Connection reset`, and what it sent is dropped. Idempotent."""
    if end.fileno() < 0:
        return
    if abruptly:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def _unsent(end: socket.socket) -> int:
    held = fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(held, "little")
