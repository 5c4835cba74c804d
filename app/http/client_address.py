"""The address of a client, behind proxies as well, and whether a request comes from this machine."""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.types import Scope

Address = IPv4Address | IPv6Address

IPV6_PREFIX = 64
"""Number of leading bits of an IPv6 address that all addresses of one client share."""
FORWARDING_HEADERS = frozenset(
    (
        *(b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"x-original-host"),
        *(b"true-client-ip", b"cf-connecting-ip", b"fastly-client-ip", b"x-envoy-external-address", b"x-proxyuser-ip"),
    )
)
"""Headers that proxies add, besides those that begin with `FORWARDING_PREFIX`."""
FORWARDING_PREFIX = b"x-forwarded"
_FORWARDED_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s]*)', re.IGNORECASE)
"""The parameter `for` of one element of the header `Forwarded` (RFC 7239, section 4)."""


class ClientAddresses:
    """Finds the addresses of clients.

    A client may put anything into the headers that proxies use. Therefore they count only if the request comes from a
    trusted proxy, and are read from their end, to which each proxy adds the address that it was reached from: the last
    one that is not a trusted proxy is the client.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        """Trust these addresses and networks."""
        self._trusted = [ip_network(proxy) for proxy in trusted_proxies]

    def limited_address(self, scope: Scope) -> str:
        """Return the address under which the requests of a client are counted; for IPv6 that is its network."""
        peer = scope["client"][0] if scope.get("client") else ""
        if not self._trusted:
            return network_of(peer)
        client = parse_address(peer)
        if client is None or not self._is_trusted(client):
            return network_of(peer)
        for hop in _hops(scope["headers"]):
            address = parse_address(hop)
            if address is None:
                break
            client = address
            if not self._is_trusted(address):
                break
        return network_of(str(client))

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """Yield the addresses in X-Forwarded-For, or else in Forwarded, the last one first."""
    values: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"forwarded": []}
    for name, value in headers:
        if name in values:
            values[name] += value.decode("latin-1").split(",")
    if values[b"x-forwarded-for"]:
        yield from reversed(values[b"x-forwarded-for"])
        return
    for element in reversed(values[b"forwarded"]):
        found = _FORWARDED_FOR.search(element)
        yield found[1].strip('"') if found else ""


def parse_address(text: str) -> Address | None:
    """Return the IP address in a text, which may have a port; None if there is none.

    An IPv4 address that is written as one of IPv6 is returned as IPv4.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=1024)
def network_of(host: str) -> str:
    """Return an IPv4 address as it is, and the network of an IPv6 address, which one client has to itself."""
    address = parse_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ip_network((int(address), IPV6_PREFIX), strict=False))
    return host if address is None else str(address)


def foreign_trait(scope: Scope) -> str | None:
    """Return what shows that a request may come from another machine; None if it comes from this one.

    A request of this machine has a loopback address, no header that proxies add, and a Host that is localhost or a
    loopback address: a proxy on this machine has the first as well, and a web page whose host name resolves to this
    machine the first two.
    """
    peer = scope["client"][0] if scope.get("client") else "an unknown address"
    address = parse_address(peer)
    if address is None or not address.is_loopback:
        return f"this request comes from {peer[:100]}"
    hosts = []
    for name, value in scope["headers"]:
        if name in FORWARDING_HEADERS or name.startswith(FORWARDING_PREFIX):
            return f"this request has the header {name.decode('latin-1')[:100]}, which proxies add"
        if name == b"host":
            hosts.append(value.decode("latin-1"))
    if len(hosts) != 1 or not _is_local_host(hosts[0]):
        return f"this request is for the host {', '.join(hosts)[:100]!r}"
    return None


def _is_local_host(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    address = parse_address(name)
    return name == "localhost" or (address is not None and address.is_loopback)
