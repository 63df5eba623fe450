"""Messages by Apprise: in a process of its own, in which no connection leads to this machine or its network."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tidegate.errors import AlertAddressRefused, AlertChannelInvalid, AlertUndelivered
from tidegate.watch.messenger import SERVICES, Warden, checked_address, send
from tidegate.watch.outbound import Outbound, allowed_networks

pytest.importorskip("apprise")


@contextmanager
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """Somebody on this machine who takes a connection, and keeps what is sent."""
    got: list[bytes] = []
    place = socket.create_server(("127.0.0.1", 0))
    place.settimeout(0.1)
    over = threading.Event()

    def take() -> None:
        while not over.is_set():
            try:
                connection, _ = place.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(5)
                said = connection.recv(65536)
                while told := re.search(rb"(?i)content-length: (\d+)", said):
                    if len(said.partition(b"\r\n\r\n")[2]) >= int(told[1]):
                        break
                    said += connection.recv(65536)
                got.append(said)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    try:
        yield place.getsockname()[1], got
    finally:
        over.set()
        thread.join(20)
        place.close()


def message(url: str) -> dict[str, str]:
    return {"url": url, "title": "late", "body": "the task is late", "level": "warning"}


@pytest.mark.filterwarnings("ignore")  # of modules that some of its hundred plugins import
def test_every_service_of_the_table_is_one_that_apprise_knows() -> None:
    known = pytest.importorskip("apprise.manager_plugins").NotificationManager().schemas()
    assert set(SERVICES) - set(known) == set()


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1/x",
        "jsons://example.com/x",
        "xml://example.com",
        "form://example.com",
        "http://example.com",
        "syslog://",
        "dbus://",
        "windows://",
        "macosx://",
        "gnome://",
        "file:///etc/passwd",
        "slack",
        "slack://",
        "mailto://a\nb",
        "",
    ],
)
def test_a_service_that_is_not_of_the_table_is_refused(url: str) -> None:
    with pytest.raises(AlertChannelInvalid) as caught:
        checked_address(url)
    assert len(url) < 10 or url not in str(caught.value)


def test_one_process_sends_them_and_says_of_each_what_became_of_it() -> None:
    with listening() as (port, got):
        outcomes = send(
            [
                message(f"gotify://127.0.0.1:{port}/AAAAAAAAAAAAAAA"),
                {"url": "slack://nonsense", "check": True},
                {"url": "mailtos://user:word@example.com", "check": True},
            ],
            Outbound(),
            deadline_s=60,
        )
        assert isinstance(outcomes[0], AlertAddressRefused)
        assert isinstance(outcomes[1], AlertChannelInvalid)
        assert outcomes[2] is None
        assert got == [], "not a byte was sent"


def test_a_network_that_is_allowed_is_reached_by_it() -> None:
    with listening() as (port, got):
        allowed = Outbound(allowed_networks("127.0.0.1/32"))
        assert send([message(f"gotify://127.0.0.1:{port}/AAAAAAAAAAAAAAA")], allowed, deadline_s=60) == [None]
        assert b"the task is late" in b"".join(got)


def test_what_is_not_said_by_the_deadline_may_be_tried_again() -> None:
    outcomes = send([message("slack://x"), message("slack://y")], Outbound(), deadline_s=0.01)
    assert [type(outcome) for outcome in outcomes] == [AlertUndelivered, AlertUndelivered]


@pytest.mark.parametrize("event", ["subprocess.Popen", "os.system", "os.exec", "os.fork"])
def test_it_may_start_no_other_program(event: str) -> None:
    with pytest.raises(PermissionError):
        Warden(Outbound())(event, ())


def test_a_connection_by_name_or_to_a_file_is_not_made() -> None:
    warden = Warden(Outbound())
    with socket.socket() as plain, socket.socket(socket.AF_UNIX) as local:
        for connection, place in (
            (plain, ("localhost", 80)),
            (plain, ("127.0.0.1", 80)),
            (local, "/run/x.sock"),
        ):
            with pytest.raises(PermissionError):
                warden("socket.connect", (connection, place))
        warden("socket.connect", (plain, ("1.1.1.1", 443)))
