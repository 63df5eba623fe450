"""The heads of requests: how large, how slow, and how many on one connection."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from api.rig import Api
from tidegate.server import protocol
from tidegate.server.protocol import HEAD_MAX_BYTES

ASKED = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n"
PIECE = b"y" * 1_000


@contextmanager
def line_to(api: Api) -> Iterator[socket.socket]:
    place = urlsplit(api.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as line:
        yield line


def answered(line: socket.socket) -> bytes:
    """The first line of the answer; nothing if the connection ended without one."""
    try:
        return line.recv(4096).split(b"\r\n")[0]
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    "said",
    [
        lambda at: b"X-%d: %s\r\n" % (at, PIECE),
        lambda at: b"X: " + PIECE if at == 0 else PIECE,
    ],
    ids=["many headers", "one that has no end"],
)
def test_a_head_that_is_too_large_is_refused_before_it_ends(standing_api: Api, said: Callable[[int], bytes]) -> None:
    with line_to(standing_api) as line:
        line.sendall(ASKED)
        try:
            for at in range(2 * HEAD_MAX_BYTES // len(PIECE)):
                line.sendall(said(at))
        except ConnectionError:
            pass  # it was refused on the way
        assert answered(line) in (b"HTTP/1.1 400 Bad Request", b"")
    assert standing_api.ask("GET", "/health")["status"] == "ok"


def test_an_address_that_is_too_long_is_refused(standing_api: Api) -> None:
    with line_to(standing_api) as line:
        line.sendall(b"GET /" + b"y" * HEAD_MAX_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answered(line) == b"HTTP/1.1 400 Bad Request"


def test_a_head_in_pieces_is_read_and_many_requests_share_a_connection(standing_api: Api) -> None:
    with line_to(standing_api) as line:
        for _ in range(2 * HEAD_MAX_BYTES // 8_000):
            line.sendall(ASKED)
            line.sendall(b"X: " + b"y" * 8_000 + b"\r\n")
            line.sendall(b"\r\n")
            assert answered(line) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("said", [b"", b"GET /api", ASKED], ids=["nothing", "half a line", "half a head"])
def test_a_connection_on_which_no_head_arrives_is_let_go(
    standing_api: Api, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_DEADLINE_S", 0.2)
    with line_to(standing_api) as line:
        line.sendall(said)
        assert line.recv(4096) == b""


def test_a_second_request_has_to_arrive_in_time_as_well(standing_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with line_to(standing_api) as line:
        line.sendall(ASKED + b"\r\n")
        assert answered(line) == b"HTTP/1.1 200 OK"
        monkeypatch.setattr(protocol, "HEAD_DEADLINE_S", 0.2)
        line.sendall(b"GET /api")
        assert line.recv(4096) == b""
