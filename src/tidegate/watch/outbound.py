"""Where the server may send to on somebody's word: public addresses, and the networks an administrator allows.

A name is resolved once, every address it has is looked at, and the connection goes to exactly the one that was looked
at, so that a name which changes its mind between two questions gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import httpx

from tidegate.errors import AlertAddressRefused, AlertRefused, AlertUndelivered, SettingInvalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

URL_MAX = 2000
SEND_DEADLINE_S = 10.0
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Not for everybody, whatever a version of Python says of them: protocol assignments, in which clouds put their metadata
# too; relays of 6to4; the metadata of one cloud; protocol assignments of IPv6, Teredo among them; documentation.
_NEVER = tuple(
    ipaddress.ip_network(one)
    for one in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "3fff::/20")
)
# NAT64's well-known prefix ends with the IPv4 address (RFC 6052). Where those for local use have theirs (RFC 8215) only
# their network knows, so they are like any address of one's own.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_HOST = re.compile(rb"[0-9A-Za-z._:-]+")


def allowed_networks(text: str | None) -> tuple[Network, ...]:
    """The setting's networks, separated by commas. Raises `SettingInvalid`."""
    try:
        return tuple(ipaddress.ip_network(one.strip()) for one in (text or "").split(",") if one.strip())
    except ValueError:
        raise SettingInvalid(
            "outbound_allow must be networks such as 10.1.0.0/16 or 127.0.0.1/32, separated by commas"
        ) from None


def is_public(address: Address) -> bool:
    """Whether it is an ordinary address of the internet, and not one of this machine, its network, a cloud's metadata
    service, or one that carries such an address in it."""
    if any(address in network for network in _NEVER):
        return False
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    return address in _GLOBAL_UNICAST and (address.sixtofour is None or is_public(address.sixtofour))


def bare(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it stands for one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def resolved(host: str, port: int) -> Sequence[str]:
    """By the system, for as long as the system takes. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True)
class Outbound:
    """What may be reached: public addresses, and those in `allowed`."""

    allowed: tuple[Network, ...] = ()
    resolve: Resolve = resolved
    deadline_s: float = SEND_DEADLINE_S
    trust: ssl.SSLContext | None = field(default=None, repr=False)
    """Which certificates are taken; by default those the system's authorities signed."""

    def may_reach(self, address: str) -> bool:
        """Whether a connection to this numeric address may be made."""
        try:
            found = bare(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            return False
        return is_public(found) or any(found in network for network in self.allowed)

    def place(self, host: str, port: int) -> str:
        """The numeric address to connect to. Raises `AlertAddressRefused`, also if one of several addresses is not
        public: which of them is taken must make no difference. Raises `AlertUndelivered` if there is none."""
        try:
            found = self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise AlertUndelivered(f"the receiver's name {host} is not known here") from error
        if not found:
            raise AlertUndelivered(f"the receiver's name {host} has no address")
        if not all(self.may_reach(address) for address in found):
            raise AlertAddressRefused(f"{host} is, or may be, an address that is not public")
        return found[0]

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        return self.trust or ssl.create_default_context()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send, and look at nothing but the answer's status. Raises `AlertAddressRefused`, `AlertUndelivered` (it may
        be tried again), `AlertRefused` (it need not)."""
        parsed = checked_url(url)
        secure = parsed.scheme == "https"
        address = self.place(parsed.host, parsed.port or (443 if secure else 80))
        request = httpx.Request(
            "POST",
            parsed.copy_with(host=address.partition("%")[0]),
            content=body,
            # The address replaced the name; virtual host and certificate go by the name.
            headers={**headers, "Host": parsed.netloc.decode("ascii")},
            extensions={
                "sni_hostname": parsed.host if secure else None,
                "timeout": httpx.Timeout(self.deadline_s).as_dict(),
            },
        )
        try:
            status = asyncio.run(self._answered(request))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise AlertUndelivered(f"{parsed.host} did not take the message: {type(error).__name__}") from error
        if 200 <= status < 300:
            return
        # A redirect is a refusal: nobody is followed anywhere.
        if status in (408, 425, 429) or status >= 500:
            raise AlertUndelivered(f"{parsed.host} answered {status}", status=status)
        raise AlertRefused(f"{parsed.host} answered {status}", status=status)

    async def _answered(self, request: httpx.Request) -> int:
        """The answer's status; all of it within the deadline, also if each of its bytes comes in time."""
        # No proxy of the environment: it would resolve the name anew.
        async with asyncio.timeout(self.deadline_s), httpx.AsyncHTTPTransport(verify=self._trusted) as transport:
            answer = await transport.handle_async_request(request)
            await answer.aclose()
            return answer.status_code


def checked_url(url: str) -> httpx.URL:
    """An address of a webhook, as it may be stored. Raises `AlertAddressRefused`, never quoting it (I8)."""
    if len(url) > URL_MAX or not url.isprintable() or any(sign in url for sign in " \\"):
        raise AlertAddressRefused("the address is too long or holds a character that no address has")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise AlertAddressRefused("the address cannot be read") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise AlertAddressRefused("the address must begin with https:// or http:// and name a host")
    if not _HOST.fullmatch(parsed.raw_host):
        raise AlertAddressRefused("the address names a host with a character that no host has")
    if parsed.userinfo:
        raise AlertAddressRefused("the address must not hold a user or password")
    if (parsed.port is not None and not 0 < parsed.port < 65536) or parsed.fragment:
        raise AlertAddressRefused("the address must name a port that exists and no fragment")
    return parsed
