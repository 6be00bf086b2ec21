"""Who is really calling: the peer's address, seen through the proxies that we trust and no others."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import web

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOOPBACK = ipaddress.IPv4Address("127.0.0.1")


def peer_address(request: web.BaseRequest, trusted: Sequence[Network]) -> Address:
    """The nearest address that is not a trusted proxy's. A Unix socket is this machine.

    `X-Forwarded-For` is read from the right, and only while each hop is trusted: what stands further left was
    written by the client.
    """
    address = _parsed(request.remote or "") or _LOOPBACK
    if not trusted or not within(address, trusted):
        return address
    for hop in reversed(",".join(request.headers.getall("X-Forwarded-For", ())).split(",")):
        written = _parsed(hop.strip())
        if written is None:
            return address
        address = written
        if not within(address, trusted):
            return address
    return address


def is_ours(request: web.BaseRequest, hosts: Sequence[str]) -> bool:
    """Whether the request is meant for us: its Host, and the address in its first line if it has one."""
    try:
        named = {urlsplit(f"//{host}").hostname for host in (request.headers.get("Host", ""), request.host)}
    except ValueError:
        return False
    return all(name in hosts for name in named)


def is_same_origin(request: web.BaseRequest) -> bool:
    """False for a browser on a page of somebody else's. What is no browser sends no `Origin`."""
    origin = request.headers.get("Origin")
    return origin is None or origin in {f"{scheme}://{request.headers.get('Host', '')}" for scheme in ("http", "https")}


def is_for_loopback(request: web.BaseRequest) -> bool:
    """Whether the request names this machine itself, and not a name that somebody let point here."""
    try:
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return False
    address = _parsed(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether the address lies in one of the networks. An IPv4 address in IPv6 clothes is the IPv4 address."""
    return any(address.version == network.version and address in network for network in networks)


def limited_as(address: Address) -> str:
    """What a rate limit counts: an IPv4 address, or the /64 that one IPv6 customer has to themselves."""
    if address.version == 4:
        return str(address)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if address.version == 6 else address
