"""A proxy that treats connections to one server as bad networks do: slow, stalled, torn, silent, garbled or refused.

Real sockets: TCP in front, TCP or a Unix socket behind. Every fault can be switched while connections are open, and
everything random follows from a seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tidegate.testing.wire import (
    COMMIT,
    MARIADB_COMMIT,
    SOCKET_BUFFER_BYTES,
    TICK_S,
    Counts,
    Link,
    Orders,
    Rule,
    Then,
    Watch,
    Way,
    behind,
    behind_bytes,
    close_socket,
)

__all__ = ["COMMIT", "MARIADB_COMMIT", "Counts", "Proxy", "Rule", "Then", "Watch", "Way", "behind", "behind_bytes"]

CONNECTIONS_MAX = 200
CONNECT_DEADLINE_S = 10.0
CLOSE_DEADLINE_S = 10.0


class Proxy:
    """Listens at `host` and `port` from the constructor on, for one server: `(host, port)`, or a Unix socket's path.

    `up` is the way to the server, `down` the way back. Use it as a context manager, or call `close`, which ends all
    connections. Raises OSError when it cannot listen.
    """

    def __init__(self, server: tuple[str, int] | Path, *, seed: int = 0, port: int = 0) -> None:
        self.server = server
        self.up, self.down = Way(), Way()
        self._orders = Orders(self.up, self.down, random.Random(seed))
        self.counts = self._orders.counts
        self.silent = False
        """Take new connections and never do anything with them."""
        self._refuses = False
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # Never listens: it keeps the port while the proxy refuses.
        self._holder = _bound(port)
        self.host: str
        self.port: int
        self.host, self.port = self._holder.getsockname()
        self._listener = self._listening()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()
        self._do(self._begin())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what may be asked of it, from any thread ---

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._links)

    @property
    def refuses(self) -> bool:
        """Whether new connections are refused, as by a machine on which nobody listens."""
        return self._refuses

    @refuses.setter
    def refuses(self, refuses: bool) -> None:
        self._do(self._set_refuses(refuses))

    def when(self, way: Way, watch: Callable[[], Watch], then: Then, times: int = 1) -> Rule:
        """Do something where `watch` says so, on whichever connection that happens first; `watch` begins anew for each
        connection."""
        rule = Rule(way, watch, then, times)
        self._orders.rules = [*(held for held in self._orders.rules if held.times > 0), rule]
        return rule

    def reset(self) -> int:
        """Reset every open connection, at both ends; how many."""
        count: int = self._do(self._reset())
        return count

    def half_close(self, way: Way) -> None:
        """End one direction of every open connection: the receiver reads an end, and may still send."""
        self._do(self._half_close(way))

    def black_hole(self) -> None:
        """Everything is taken and nothing answered, by open connections and by new ones."""
        self.silent = self.up.swallows = self.down.swallows = True

    def heal(self) -> None:
        """No fault any more. Connections that lost bytes stay broken: reset them."""
        for rule in self._orders.rules:
            rule.times = 0
        self.up.heal()
        self.down.heal()
        self.silent = self.refuses = False

    def close(self) -> None:
        """Idempotent."""
        if self._loop.is_closed():
            return
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_DEADLINE_S)
        self._loop.close()
        self._holder.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CLOSE_DEADLINE_S)

    # --- on the loop ---

    async def _begin(self) -> None:
        self._accepting = self._loop.create_task(self._accept())

    async def _end(self) -> None:
        await self._stop_accepting()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _listening(self) -> socket.socket:
        listener = _bound(self.port)
        # Handed on to the connections it accepts.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        listener.setblocking(False)
        listener.listen(128)
        return listener

    async def _set_refuses(self, refuses: bool) -> None:
        if refuses and not self._refuses:
            await self._stop_accepting()
        elif self._refuses and not refuses:
            self._listener = self._listening()
            await self._begin()
        self._refuses = refuses

    async def _stop_accepting(self) -> None:
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._listener.close()

    async def _reset(self) -> int:
        links = list(self._links)
        for link in links:
            link.reset()
        await asyncio.gather(*(link.gone.wait() for link in links))
        return len(links)

    async def _half_close(self, way: Way) -> None:
        for link in self._links:
            for stream in link.streams:
                if stream.way is way and not stream.ended:
                    self.counts.cuts += 1
                    stream.end()

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            task = self._loop.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        try:
            client.setblocking(False)
            while self.silent:
                await asyncio.sleep(TICK_S)
            if len(self._tasks) <= CONNECTIONS_MAX:
                with contextlib.suppress(OSError, TimeoutError):
                    server = await asyncio.wait_for(self._connect(), CONNECT_DEADLINE_S)
            if server is None:
                self.counts.turned_away += 1
                close_socket(client, abruptly=True)
                return
            self.counts.connections += 1
            link = Link(self._orders, client, server)
            self._links.add(link)
            try:
                await link.run()
            finally:
                self._links.discard(link)
                link.gone.set()
        finally:
            close_socket(client, abruptly=False)
            if server is not None:
                close_socket(server, abruptly=False)

    async def _connect(self) -> socket.socket:
        unix = isinstance(self.server, Path)
        server = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
            server.setblocking(False)
            await self._loop.sock_connect(server, str(self.server) if isinstance(self.server, Path) else self.server)
        except BaseException:
            server.close()
            raise
        return server


def _bound(port: int) -> socket.socket:
    """A socket that has the port, which others that have it and do not listen let it share. Raises OSError."""
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
    except BaseException:
        bound.close()
        raise
    return bound
