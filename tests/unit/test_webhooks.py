import json
from dataclasses import replace
from ipaddress import ip_address

import pytest
import stripe

from shared.domain.documents import Document
from shared.domain.webhooks import (
    RETRY_MAX_S,
    Delivery,
    deliveries_of,
    is_public,
    is_subscribed,
    retry_delay_s,
    signature_header,
)

ENDPOINT = Document(
    "we_1",
    "webhook_endpoint",
    "acct_1",
    False,
    1,
    5,
    {"status": "enabled", "enabled_events": ["customer.created"]},
)


def test_signature_is_accepted_by_the_official_sdk() -> None:
    body = json.dumps({"id": "evt_1", "object": "event", "type": "x", "data": {}}).encode()
    header = signature_header("whsec_1", body, 1_900_000_000)
    assert stripe.WebhookSignature.verify_header(body.decode(), header, "whsec_1")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body.decode() + " ", header, "whsec_1")


@pytest.mark.parametrize(
    ("changes", "event_type", "expected"),
    [
        ({}, "customer.created", True),
        ({}, "customer.updated", False),
        ({"enabled_events": ["*"]}, "customer.updated", True),
        ({"status": "disabled"}, "customer.created", False),
        ({"deleted": True}, "customer.created", False),
    ],
)
def test_subscription(changes: dict[str, object], event_type: str, *, expected: bool) -> None:
    endpoint = replace(ENDPOINT, data={**ENDPOINT.data, **changes})
    assert is_subscribed(endpoint, event_type) is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"event": "evt_1", "endpoint": "we_1"}, ["we_1"]),
        ({"detail": {"event": "evt_1", "endpoints": ["we_1"]}}, ["we_1"]),
        ({"detail": {"event": "evt_1", "endpoints": ["we_1", "we_2"]}}, ["we_1", "we_2"]),
        ({"detail": {"event": "evt_1", "endpoints": []}}, []),
    ],
)
def test_message_asks_for_deliveries(message: dict[str, object], expected: list[str]) -> None:
    asked = deliveries_of(message)
    assert asked == tuple(Delivery("evt_1", endpoint) for endpoint in expected)


def test_retry_delay_grows_to_its_bound() -> None:
    delays = [retry_delay_s(attempt) for attempt in (1, 2, 3, 50)]
    assert delays == [2, 8, 32, RETRY_MAX_S]


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address to be refused
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a00:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
def test_special_address_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_global_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_loopback_is_public_on_a_developers_machine_only() -> None:
    assert is_public(ip_address("127.0.0.1"), allow_loopback=True)
    assert not is_public(ip_address("10.0.0.1"), allow_loopback=True)
