"""HTTP/1.1 as the server speaks it, plain or under TLS: httptools reads it, on uvloop, and the head of a request has a
size and a deadline, and so has what comes before it under TLS.

Neither httptools nor uvicorn bounds a head: without this, whoever reaches the port could have the server keep what
never ends, or hold its connections for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import uvicorn
import uvloop
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.server.live import WORD_BYTES_MAX
from tidegate.server.tls import HSTS, Tls

HEAD_MAX_BYTES: Final = 32 << 10
HEAD_DEADLINE_S: Final = 20.0
KEEP_ALIVE_S: Final = 20
GOODBYE_DEADLINE_S: Final = 1.0
"""Under TLS the other side is to say that it has ended as well; one that does not is not waited for."""
CONNECTIONS_MAX: Final = 4_000
"""A worker holds one or two, an open page of the console as many."""


class BoundedHeads(HttpToolsProtocol):
    """Answers 400 to a head that is too large, and lets go of a connection on which none arrives in time."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._in_head = True
        self._head_bytes = self._told_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._awaited()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        # What the parser keeps of a line that has no end yet it tells nobody.
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_MAX_BYTES:
            self.send_400_response("The head of the request is too large.")
        elif self._deadline is None:
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._told_bytes = True, 0, 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._told(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._told(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._awaited()
        super().on_headers_complete()

    def _told(self, more_bytes: int) -> None:
        self._told_bytes += more_bytes
        if self._told_bytes > HEAD_MAX_BYTES:
            raise ValueError("the head of a request is too large")  # the parser says so to uvicorn, which answers 400

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_DEADLINE_S, self.transport.close)

    def _awaited(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Loop(uvloop.Loop):
    """Gives handshakes the deadline of a head: before their end nothing of HTTP is there that could have one."""

    async def create_server(self, *given: Any, ssl: Any = None, **named: Any) -> Any:
        if ssl is not None:
            named |= {"ssl_handshake_timeout": HEAD_DEADLINE_S, "ssl_shutdown_timeout": GOODBYE_DEADLINE_S}
        return await super().create_server(*given, ssl=ssl, **named)


class Serving(uvicorn.Config):
    """uvicorn's, with handshakes of our own making."""

    def __init__(self, app: ASGIApp, *, tls: Tls | None, **named: Any) -> None:
        super().__init__(app, headers=[HSTS] if tls else None, **named)
        self._tls = tls

    def load(self) -> None:
        super().load()
        self.ssl = self._tls.context if self._tls else None

    def get_loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        return Loop


def configured(
    app: ASGIApp, *, tls: Tls | None = None, connections_max: int = CONNECTIONS_MAX, **named: Any
) -> uvicorn.Config:
    """How uvicorn serves the application; `named` is what else it is told."""
    return Serving(
        app,
        tls=tls,
        http=BoundedHeads,
        ws="websockets-sansio",
        ws_max_size=WORD_BYTES_MAX,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=connections_max,
        timeout_keep_alive=KEEP_ALIVE_S,
        **named,
    )
