"""Networks as people write them, and whether an address is in one. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NETWORKS_MAX = 100


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks such as `10.1.0.0/16`, or single addresses. Raises `ValueError` for what is neither, and for a network
    with bits beyond its length: what was meant by it is unknown."""
    return tuple(ipaddress.ip_network(text.strip()) for text in texts if text.strip())


def parse_address(text: str) -> Address | None:
    """The address a connection comes from, an IPv4 one as such also where it came by an IPv6 socket; None: it is none,
    as where a request did not come by a network."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def holds(networks: Sequence[Network], text: str) -> bool:
    """Whether the address is in one of the networks."""
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)
