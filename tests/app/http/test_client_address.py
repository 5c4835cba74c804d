from typing import Any

import pytest

from app.http.client_address import ClientAddresses, foreign_trait, network_of, parse_address


def scope_of(peer: str | None, *headers: tuple[str, str]) -> dict[str, Any]:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    return {"client": None if peer is None else (peer, 1234), "headers": encoded}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        (" 1.2.3.4:80 ", "1.2.3.4"),
        ("::1", "::1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("unknown", None),
        ("_hidden", None),
        ("", None),
        ("[", None),
        ("1.2.3.4.5", None),
        ("999.1.1.1", None),
    ],
)
def test_addresses_are_parsed(text: str, address: str | None) -> None:
    found = parse_address(text)
    assert (found and str(found)) == address


def test_addresses_of_ipv6_are_counted_by_network() -> None:
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert network_of("::ffff:1.2.3.4") == network_of("1.2.3.4") == "1.2.3.4"
    assert network_of("") == ""


XFF, FORWARDED = "x-forwarded-for", "forwarded"


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("1.2.3.4", [(XFF, "9.9.9.9")], "1.2.3.4"),  # not a proxy that is trusted
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [(XFF, "9.9.9.9")], "9.9.9.9"),
        ("10.0.0.1", [(XFF, "8.8.8.8, 9.9.9.9")], "9.9.9.9"),  # what is before it may be invented
        ("10.0.0.1", [(XFF, "8.8.8.8, 9.9.9.9, 10.0.0.7")], "9.9.9.9"),
        ("10.0.0.1", [(XFF, "8.8.8.8"), (XFF, "9.9.9.9,10.0.0.7")], "9.9.9.9"),
        ("10.0.0.1", [(XFF, "10.0.0.2, 10.0.0.3")], "10.0.0.2"),
        ("10.0.0.1", [(XFF, "8.8.8.8, unknown, 10.0.0.3")], "10.0.0.3"),
        ("10.0.0.1", [(XFF, "")], "10.0.0.1"),
        ("10.0.0.1", [(XFF, "8.8.8.8:1234")], "8.8.8.8"),
        ("::ffff:10.0.0.1", [(XFF, "8.8.8.8")], "8.8.8.8"),
        ("fd00::1", [(XFF, "2001:db8::1")], "2001:db8::/64"),
        ("10.0.0.1", [(FORWARDED, "for=8.8.8.8, for=9.9.9.9;proto=https;by=10.0.0.1")], "9.9.9.9"),
        ("10.0.0.1", [(FORWARDED, 'proto=http;For="[2001:db8::1]:99"')], "2001:db8::/64"),
        ("10.0.0.1", [(FORWARDED, "for=8.8.8.8, for=_hidden")], "10.0.0.1"),
        ("10.0.0.1", [(FORWARDED, "by=10.0.0.1")], "10.0.0.1"),
        ("10.0.0.1", [(FORWARDED, "for=8.8.8.8"), (XFF, "9.9.9.9")], "9.9.9.9"),
        (None, [(XFF, "9.9.9.9")], ""),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(
    peer: str | None, headers: list[tuple[str, str]], address: str
) -> None:
    addresses = ClientAddresses(("10.0.0.0/8", "fd00::1"))
    assert addresses.limited_address(scope_of(peer, *headers)) == address


def test_without_trusted_proxies_no_header_counts() -> None:
    addresses = ClientAddresses(())
    assert addresses.limited_address(scope_of("10.0.0.1", (XFF, "9.9.9.9"))) == "10.0.0.1"


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000", "[::1]"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_a_request_of_this_machine_is_recognised(peer: str, host: str) -> None:
    assert foreign_trait(scope_of(peer, ("host", host), ("accept", "*/*"))) is None


FORWARDING = (
    *("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded"),
    *("x-real-ip", "cf-connecting-ip", "true-client-ip"),
)


@pytest.mark.parametrize("name", FORWARDING)
def test_a_request_through_a_proxy_is_foreign(name: str) -> None:
    trait = foreign_trait(scope_of("127.0.0.1", ("host", "localhost"), (name, "127.0.0.1")))
    assert trait == f"this request has the header {name}, which proxies add"


@pytest.mark.parametrize("peer", ["172.17.0.1", "192.168.1.2", "2001:db8::1", "0.0.0.0", "", "testclient", None])  # noqa: S104
def test_a_request_from_elsewhere_is_foreign(peer: str | None) -> None:
    trait = foreign_trait(scope_of(peer, ("host", "localhost")))
    assert trait
    assert trait.startswith("this request comes from")


HOSTS = ["evil.example", "localhost.evil.example", "10.0.0.1", "", "[::1", "127.0.0.1.evil.example", "0.0.0.0"]  # noqa: S104


@pytest.mark.parametrize("host", HOSTS)
def test_a_request_for_another_host_is_foreign(host: str) -> None:
    trait = foreign_trait(scope_of("127.0.0.1", ("host", host)))
    assert trait
    assert trait.startswith("this request is for the host")


def test_a_request_with_two_hosts_or_none_is_foreign() -> None:
    assert foreign_trait(scope_of("127.0.0.1"))
    assert foreign_trait(scope_of("127.0.0.1", ("host", "localhost"), ("host", "evil.example")))
