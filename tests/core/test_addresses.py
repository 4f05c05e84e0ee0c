"""Whose requests are counted together where there is no key."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from django.test import RequestFactory

from apps.core.api.throttles import client_address, client_network


def network(peer: str, forwarded: str = "") -> str:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return client_network(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers))


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("64:ff9b::203.0.113.9", "203.0.113.9"),
        ("2002:cb00:7109:1::1", "203.0.113.9"),
        ("unknown", "unknown"),
    ],
)
def test_subscriber_counts_once_however_many_addresses_he_has(peer: str, counted: str) -> None:
    assert network(peer) == counted


@pytest.mark.parametrize(
    "written", ["2001:db8::7", "[2001:db8::7]:443", "[2001:db8::7]", "10.0.0.9, 2001:db8::7", "6.6.6.6, 2001:db8::7"]
)
def test_proxy_is_understood_however_it_writes(written: str, settings: Any) -> None:
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]

    assert network("10.0.0.1", written) == network("::ffff:10.0.0.1", written) == "2001:db8::/64"


def test_what_anybody_says_of_himself_is_not_believed(settings: Any) -> None:
    assert network("203.0.113.9", "6.6.6.6") == "203.0.113.9"
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]
    assert network("203.0.113.9", "6.6.6.6") == "203.0.113.9"
    assert network("10.0.0.1", "6.6.6.6, 203.0.113.9") == "203.0.113.9"
    assert network("10.0.0.1", "6.6.6.6, 203.0.113.9:51000, 10.0.0.2") == "203.0.113.9"


def test_address_itself_stays_as_it_came() -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="2001:db8:1:2:3:4:5:6")

    assert client_address(request) == "2001:db8:1:2:3:4:5:6"
