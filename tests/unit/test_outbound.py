"""Where alerts may be sent to: every way to write an address that is not public is refused, and the connection goes to
the very address that was looked at."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence

import pytest

from fixtures.receiver import receiving
from tidegate.errors import AlertAddressRefused, AlertRefused, AlertUndelivered, SettingInvalid
from tidegate.watch.outbound import Outbound, allowed_networks, checked_url

HOME = Outbound(allowed_networks("127.0.0.1/32"), deadline_s=5)

NOT_PUBLIC = [
    # this machine
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 - it is refused
    "0.1.2.3",
    "::1",
    "::",
    # networks of one's own
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "fc00::1",
    "fd12:3456:789a::1",
    # the link, and what clouds put there
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    # shared, reserved, for tests and documents, to many
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "ff02::1",
    "ff0e::1",
    "fec0::1",
    "2001:db8::1",
    "100::1",
    "2001::1",
    "4000::1",
    # one that carries another
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::10.0.0.1",
    "2002:7f00:1::",
    "2002:0a00:0001::1",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:0001::1",
    "2001:0:7f00:1::",
    # no address at all
    "",
    "localhost",
    "127.1",
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:1.1.1.1"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_not_reached(address: str) -> None:
    assert not Outbound().may_reach(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached(address: str) -> None:
    assert Outbound().may_reach(address)


# What the system's resolver takes for an address, however it is written.
SPELLINGS = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F.1",
    "0177.0.0.01",
    "0177.1",
    "127.1",
    "127.0.1",
    "0",
    "0.0.0.0",  # noqa: S104 - it is refused
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "3232235521",
    "0xc0a80001",
    "0300.0250.0.1",
    "2852039166",
    "0xA9FEA9FE",
    "169.16689662",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127.0.0.1.",
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_however_it_is_spelt_this_machine_is_not_sent_to(host: str) -> None:
    with pytest.raises((AlertAddressRefused, AlertUndelivered)):
        Outbound(deadline_s=5).post(f"http://{host}/hook", b"{}", {})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hook",
        "//example.com/hook",
        "ftp://example.com/hook",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http:///hook",
        "http://",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com/#part",
        "https://exa mple.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/\r\nHost: other",
        "https://[::1/",
        "https://" + "a" * 3000,
    ],
)
def test_what_is_no_address_of_a_webhook_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(AlertAddressRefused) as caught:
        checked_url(url)
    assert len(url) < 8 or url not in str(caught.value)


def test_networks_that_are_none_are_refused() -> None:
    assert allowed_networks(None) == allowed_networks(" , ") == ()
    assert allowed_networks("10.1.0.0/16, ::1/128") == (
        ipaddress.ip_network("10.1.0.0/16"),
        ipaddress.ip_network("::1/128"),
    )
    with pytest.raises(SettingInvalid):
        allowed_networks("localhost")


def test_an_allowed_network_is_reached_and_its_neighbour_is_not() -> None:
    outbound = Outbound(allowed_networks("10.1.0.0/16"))
    assert outbound.may_reach("10.1.2.3")
    assert outbound.may_reach("::ffff:10.1.2.3")
    assert not outbound.may_reach("10.2.0.1")


@pytest.mark.parametrize(
    "found",
    [["93.184.216.34", "127.0.0.1"], ["127.0.0.1", "93.184.216.34"], ["93.184.216.34", "::1"], ["fd00::1", "1.1.1.1"]],
)
def test_a_name_with_one_address_that_is_not_public_is_refused_whichever_comes_first(found: list[str]) -> None:
    with pytest.raises(AlertAddressRefused):
        Outbound(resolve=lambda host, port: found).place("both.example", 443)


def test_a_name_that_nobody_knows_may_be_tried_again() -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror

    with pytest.raises(AlertUndelivered):
        Outbound(resolve=unknown).place("nowhere.example", 443)


# --- connections ------------------------------------------------------------------------------------------------


def test_a_message_goes_to_the_address_looked_at_under_the_name_asked_for() -> None:
    asked = []

    def once(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with receiving() as receiver:
        outbound = Outbound(HOME.allowed, once, 5)
        outbound.post(f"http://hooks.example:{receiver.port}/a?b=c", b"body", {"X-One": "1"})
        assert asked == [("hooks.example", receiver.port)], "a name that changes its mind is asked once"
        _, path, headers, body = receiver.got[0]
        assert (path, headers["Host"], headers["X-One"], body) == (
            "/a?b=c",
            f"hooks.example:{receiver.port}",
            "1",
            b"body",
        )


def test_nobody_is_followed_to_another_address() -> None:
    with receiving() as receiver, receiving() as other:
        receiver.status, receiver.headers = 307, {"Location": f"http://127.0.0.1:{other.port}/"}
        with pytest.raises(AlertRefused):
            HOME.post(f"http://127.0.0.1:{receiver.port}/", b"", {})
        assert other.got == []


@pytest.mark.parametrize(
    ("status", "error"), [(400, AlertRefused), (404, AlertRefused), (429, AlertUndelivered), (503, AlertUndelivered)]
)
def test_an_answer_says_whether_trying_again_helps(status: int, error: type[Exception]) -> None:
    with receiving() as receiver:
        receiver.status = status
        with pytest.raises(error, match=str(status)):
            HOME.post(f"http://127.0.0.1:{receiver.port}/", b"", {})


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver, receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        HOME.post(f"http://127.0.0.1:{receiver.port}/", b"", {})
        assert (len(receiver.got), proxy.got) == (1, [])


def test_who_answers_a_byte_at_a_time_is_given_up_at_the_deadline() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000:
                if over.wait(0.05):
                    return
                try:
                    connection.sendall(bytes([byte]))
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        with pytest.raises(AlertUndelivered):
            Outbound(HOME.allowed, deadline_s=1).post(f"http://127.0.0.1:{listening.getsockname()[1]}/", b"", {})
    finally:
        over.set()
        thread.join(20)
        listening.close()
