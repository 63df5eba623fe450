"""Every way we know to write an address of this machine, its network or a cloud's metadata service into a channel, at
both kinds of channel, with somebody really listening: nothing arrives."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import pytest

from fixtures.receiver import receiving
from tidegate.errors import AlertAddressRefused, AlertRefused, AlertUndelivered, TidegateError
from tidegate.watch.messenger import send
from tidegate.watch.outbound import Outbound, allowed_networks, checked_url

PUBLIC, INNER = "93.184.216.34", "10.0.0.5"
METADATA = "169.254.169.254"


def _digits(address: str) -> list[str]:
    """An IPv4 address as a resolver of the system may take it."""
    number = int(ipaddress.IPv4Address(address))
    a, b, c, d = (int(part) for part in address.split("."))
    return [
        address,
        str(number),
        f"0x{number:x}",
        f"0X{number:08X}",
        f"0{number:o}",
        f"{a}.{(b << 16) + (c << 8) + d}",
        f"{a}.{b}.{(c << 8) + d}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"0{a:o}.0x{b:x}.{c}.{d}",
        f"{a}.{b}.{c}.{d}.",
        f"000{a:o}.{b}.{c}.{d}",
    ]


def _carried(address: str) -> list[str]:
    """IPv6 addresses that carry an IPv4 one."""
    number = int(ipaddress.IPv4Address(address))
    high, low = number >> 16, number & 0xFFFF
    c, d = number >> 8 & 0xFF, number & 0xFF
    return [
        f"::ffff:{address}",  # mapped
        f"::ffff:{high:x}:{low:x}",
        f"0:0:0:0:0:ffff:{high:x}:{low:x}",
        f"::{address}",  # compatible
        f"::ffff:0:{address}",  # translated (SIIT)
        f"64:ff9b::{address}",  # NAT64, the well-known prefix
        f"64:ff9b::{high:x}:{low:x}",
        f"64:ff9b:1::{address}",  # … and those for local use, by the lengths of RFC 6052
        f"64:ff9b:1:{high:x}:{c:x}:{d << 8:x}:808:808",  # … before what looks like a public one
        f"2002:{high:x}:{low:x}::1",  # 6to4
        f"2001:0:4136:e378:8000:63bf:{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}",  # Teredo
    ]


FULLWIDTH = str.maketrans("0123456789.", "０１２３４５６７８９．")
CIRCLED = str.maketrans("123456789", "①②③④⑤⑥⑦⑧⑨")
NAMES = {
    # As public DNS answers them, and as hosts files do.
    "localhost": "127.0.0.1",
    "localhost.": "127.0.0.1",
    "LocalHost": "127.0.0.1",
    "localhost.localdomain": "127.0.0.1",
    "ip6-localhost": "::1",
    "foo.localhost": "127.0.0.1",
    "127.0.0.1.nip.io": "127.0.0.1",
    "7f000001.nip.io": "127.0.0.1",
    "10-0-0-5.sslip.io": INNER,
    "localtest.me": "127.0.0.1",
    "metadata.google.internal": METADATA,
    "metadata.google.internal.": METADATA,
    "metadata.tencentyun.com": "169.254.0.23",
    "instance-data": METADATA,
    "kubernetes.default.svc": "10.96.0.1",
    "host.docker.internal": "172.17.0.1",
    "printer.local": "192.168.1.9",
    "v6.example": "fd00::1",
    "mapped.example": "::ffff:127.0.0.1",
    "nat64.example": "64:ff9b::a00:5",
    "xn--lcalhost-54a.example": "127.0.0.1",
    "löcalhost.example": "127.0.0.1",
    "ｌｏｃａｌｈｏｓｔ": "127.0.0.1",
    "localhost。example": "127.0.0.1",
}
HOSTS = [
    *(spelt for address in ("127.0.0.1", INNER, METADATA, "192.168.0.1") for spelt in _digits(address)),
    *(f"[{spelt}]" for address in ("127.0.0.1", INNER, METADATA) for spelt in _carried(address)),
    *("127.1", "127.0.1", "0", "0.0.0.0", "00000177.1", "2130706433."),  # noqa: S104
    *("127.0.0.1".translate(FULLWIDTH), "127.0.0.1".translate(CIRCLED), "127。0。0。1", "127．0．0．1", "127｡0｡0｡1"),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]", "[fe80::1%25eth0]", "[fe80::1]", "[fec0::1]"),
    *("[fd00:ec2::254]", "[ff02::1]", "[ff0e::1]"),
    *("100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "169.254.170.2", "224.0.0.1", "255.255.255.255"),
    *("198.18.0.1", "192.0.2.1", "240.0.0.1", "192.88.99.1", "[3fff::1]", "[5f00::1]", "[2001:db8::1]", "[100::1]"),
    *NAMES,
]  # fmt: skip
URLS = [
    "https://93.184.216.34@127.0.0.1/",
    "https://hooks.example:443@127.0.0.1:80/",
    "https://hooks.example%40127.0.0.1/",
    "https://127.0.0.1#@hooks.example/",
    "https://hooks.example#@127.0.0.1/",
    "https://127.0.0.1\\@hooks.example/",
    "https:\\\\127.0.0.1/",
    "https://hooks.example\t@127.0.0.1/",
    "https://hooks.example\r\nHost:127.0.0.1/",
    "https://hooks.example:0/",
    "https://hooks.example:65536/",
    "https://hooks.example:-1/",
    "https://hooks.example:port/",
    "https://[::ffff:127.0.0.1/",
    "https://[fe80::1%lo/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:11211/stats",
    "ldap://127.0.0.1/",
    "ftp://127.0.0.1/",
    "unix:///var/run/docker.sock",
    "jar:http://127.0.0.1!/",
    "netdoc:///etc/passwd",
    "data:text/plain,x",
    "ws://127.0.0.1/",
    "//127.0.0.1/",
    "/127.0.0.1",
    "127.0.0.1:80",
]
CASES = len(HOSTS) + len(URLS)


def lookup(host: str, port: int) -> Sequence[str]:
    """As the system's resolver, which takes numbers however they are written; names as they are somewhere."""
    if host in NAMES:
        return [NAMES[host]]
    flags = socket.AI_NUMERICHOST
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)]


@contextmanager
def traps() -> Iterator[tuple[int, list[object]]]:
    """Somebody who listens at one port of every address of this machine; yields the port and who came."""
    came: list[object] = []
    with ExitStack() as held:
        first = held.enter_context(socket.create_server(("0.0.0.0", 0)))  # noqa: S104 - every address is meant
        port = first.getsockname()[1]
        listening = [first]
        with suppress(OSError):
            listening.append(held.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6)))
        over = threading.Event()

        def take(place: socket.socket) -> None:
            place.settimeout(0.05)
            while not over.is_set():
                with suppress(TimeoutError):
                    connection, whence = place.accept()
                    came.append(whence)
                    connection.close()

        threads = [threading.Thread(target=take, args=(place,), daemon=True) for place in listening]
        for thread in threads:
            thread.start()
        try:
            yield port, came
        finally:
            over.set()
            for thread in threads:
                thread.join(20)


@pytest.fixture(scope="module")
def trapped() -> Iterator[tuple[int, list[object]]]:
    with traps() as found:
        yield found


def test_the_corpus_is_not_a_small_one() -> None:
    assert CASES >= 120
    assert len(set(HOSTS)) > 100


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_webhook_reaches_no_address_inside_however_it_is_written(
    trapped: tuple[int, list[object]], host: str, scheme: str
) -> None:
    port, came = trapped
    before = len(came)
    with pytest.raises((AlertAddressRefused, AlertUndelivered)) as caught:
        Outbound(resolve=lookup, deadline_s=2).post(f"{scheme}://{host}:{port}/hook", b"{}", {})
    assert "did not take the message" not in str(caught.value), "a connection was tried"
    assert len(came) == before


@pytest.mark.parametrize("url", URLS)
def test_a_webhook_is_no_other_kind_of_address(url: str) -> None:
    with pytest.raises(AlertAddressRefused):
        checked_url(url)


@pytest.mark.slow
def test_no_service_of_apprise_reaches_an_address_inside_however_it_is_written() -> None:
    """By the system's own resolver: in its process every connection is looked at where it is made."""
    pytest.importorskip("apprise")
    hosts = [host for host in HOSTS if host not in NAMES or host.lower().strip(".") == "localhost"]
    with traps() as (port, came):
        urls = [f"gotify://{host}:{port}/AAAAAAAAAAAAAAA" for host in hosts]
        urls += [f"ntfy://{host}:{port}/topic" for host in hosts]
        urls += [f"mmost://{host}:{port}/AAAAAAAAAAAAAAAAAAAAAAAA" for host in hosts]
        said = send(
            [{"url": url, "title": "t", "body": "b", "level": "info"} for url in urls], Outbound(), deadline_s=240
        )
        assert len(said) == len(urls)
        assert [url for url, outcome in zip(urls, said, strict=True) if outcome is None] == []
        assert sum(isinstance(outcome, AlertAddressRefused) for outcome in said) > len(hosts)
        assert came == []


def test_a_name_that_was_public_when_it_was_saved_and_is_not_when_it_is_used_is_refused() -> None:
    answers = [[PUBLIC], ["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["::ffff:127.0.0.1"], ["::1"]]
    with receiving() as receiver:
        outbound = Outbound(resolve=lambda host, port: answers.pop(0), deadline_s=2)
        assert outbound.place("rebinding.example", receiver.port) == PUBLIC
        while answers:
            with pytest.raises(AlertAddressRefused):
                outbound.post(f"http://rebinding.example:{receiver.port}/", b"", {})
        assert receiver.got == []


def test_a_name_that_turns_between_the_look_and_the_connection_gains_nothing() -> None:
    """The second answer would be this machine's other address, where somebody else listens."""
    asked: list[str] = []

    def turning(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with receiving() as receiver:
        Outbound(allowed_networks("127.0.0.1/32"), turning, 5).post(f"http://r.example:{receiver.port}/", b"", {})
        assert (asked, len(receiver.got)) == (["r.example"], 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("inside", ["http://127.0.0.2:{port}/", "//127.0.0.2:{port}/", "gopher://127.0.0.2:{port}/_x"])
def test_no_redirect_leads_a_message_inside(status: int, inside: str) -> None:
    with receiving() as receiver, traps() as (port, came):
        receiver.status, receiver.headers = status, {"Location": inside.format(port=port)}
        with pytest.raises(AlertRefused):
            Outbound(allowed_networks("127.0.0.1/32"), deadline_s=5).post(f"http://127.0.0.1:{receiver.port}/", b"", {})
        assert came == []


def test_no_redirect_leads_a_service_of_apprise_inside() -> None:
    pytest.importorskip("apprise")
    with receiving() as receiver, traps() as (port, came):
        receiver.status, receiver.headers = 302, {"Location": f"http://127.0.0.2:{port}/"}
        url = f"gotify://127.0.0.1:{receiver.port}/AAAAAAAAAAAAAAA"
        asked = [{"url": url, "title": "t", "body": "b", "level": "info"}]
        said: list[TidegateError | None] = send(asked, Outbound(allowed_networks("127.0.0.1/32")), deadline_s=60)
        assert isinstance(said[0], TidegateError)
        assert len(receiver.got) >= 1
        assert came == []
