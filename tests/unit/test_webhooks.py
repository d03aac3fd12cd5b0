import json
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise

import pytest
import stripe

from shared.domain.documents import Document
from shared.domain.webhooks import (
    ATTEMPTS_KEPT_MAX,
    DAY_MS,
    HOUR_S,
    RETRY_MAX_S,
    Attempt,
    Delivery,
    DeliveryRecord,
    deliveries_of,
    hold_s,
    is_public,
    is_subscribed,
    next_attempt,
    retry_delay_s,
    rolled,
    signature_header,
    valid_secrets,
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
    header = signature_header(["whsec_1"], body, 1_900_000_000)
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
        ({"event": "evt_1", "endpoint": "we_1", "attempt": 1, "due_ms": 0}, ["we_1"]),
        ({"detail": {"event": "evt_1", "endpoints": ["we_1"]}}, ["we_1"]),
        ({"detail": {"event": "evt_1", "endpoints": ["we_1", "we_2"]}}, ["we_1", "we_2"]),
        ({"detail": {"event": "evt_1", "endpoints": []}}, []),
    ],
)
def test_message_asks_for_deliveries(message: dict[str, object], expected: list[str]) -> None:
    asked = deliveries_of(message)
    assert asked == tuple(Delivery("evt_1", endpoint) for endpoint in expected)


def attempts(*, livemode: bool) -> list[int]:
    """Returns when each attempt is due, in ms from the first one."""
    delivery: Delivery | None = Delivery("evt_1", "we_1")
    due_ms = []
    while delivery is not None:
        due_ms.append(delivery.due_ms)
        delivery = next_attempt(delivery, delivery.due_ms, livemode=livemode)
    return due_ms


def test_schedule_in_live_mode_spans_most_of_three_days() -> None:
    due_ms = attempts(livemode=True)
    assert len(due_ms) == 14
    assert 2 * DAY_MS < due_ms[-1] < 3 * DAY_MS
    gaps = [later - sooner for sooner, later in pairwise(due_ms)]
    assert all(first < second for first, second in pairwise(gaps[:8]))


def test_schedule_in_test_mode_is_three_attempts_within_hours() -> None:
    due_ms = attempts(livemode=False)
    assert len(due_ms) == 3
    assert due_ms[1] <= 5_000
    assert HOUR_S * 1000 < due_ms[2] < 3 * HOUR_S * 1000


def test_deliveries_that_failed_together_are_tried_again_apart() -> None:
    due_ms = set()
    for number in range(100):
        following = next_attempt(Delivery(f"evt_{number}", "we_1", 10), 0, livemode=True)
        assert following is not None
        due_ms.add(following.due_ms)
    assert len(due_ms) == 100
    assert max(due_ms) - min(due_ms) > 2 * HOUR_S * 1000


@pytest.mark.parametrize(("due_ms", "held_s"), [(0, 0), (1_001, 1), (901_000, 900), (10**9, 900)])
def test_queue_holds_a_delivery_until_it_is_due_or_as_long_as_it_can(
    due_ms: int, held_s: int
) -> None:
    assert hold_s(Delivery("evt_1", "we_1", due_ms=due_ms), 1_000) == held_s


def test_resend_is_followed_by_nothing() -> None:
    assert next_attempt(Delivery("evt_1", "we_1", resend="whr_1"), 0, livemode=True) is None


def test_attempts_that_are_kept_are_bounded() -> None:
    record = DeliveryRecord("evt_1", "we_1")
    for number in range(ATTEMPTS_KEPT_MAX + 1):
        delivery = Delivery("evt_1", "we_1", resend=f"whr_{number}")
        record = record.after(
            delivery, Attempt(number, 1, 500, "http_status", delivery.resend), None
        )
    assert len(record.attempts) == ATTEMPTS_KEPT_MAX
    assert (record.attempts[0].at_ms, record.version) == (1, ATTEMPTS_KEPT_MAX + 1)


def test_rolled_secrets_are_valid_for_a_day() -> None:
    endpoint = replace(ENDPOINT, data={**ENDPOINT.data, "secret": "a"})
    for number, secret in enumerate("bcdef"):
        endpoint = replace(endpoint, data=rolled(endpoint, secret, number))
    assert valid_secrets(endpoint, 5) == ("f", "e", "d", "c")
    assert valid_secrets(endpoint, DAY_MS + 3) == ("f", "e")
    assert valid_secrets(endpoint, DAY_MS + 4) == ("f",)


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
        "64:ff9b:1::a00:1",
        "::7f00:1",
        "fec0::1",
        "240.0.0.1",
        "198.18.0.1",
        "192.0.0.192",
        "192.0.0.9",
        "::ffff:0:a9fe:a9fe",
        "100:0:0:1::1",
        "4000::1",
        "5f00::1",
        "2001:1::1",
        "2001:20::1",
        "3fff::1",
    ],
)
def test_special_address_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2001:200::1"]
)
def test_global_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_loopback_is_public_on_a_developers_machine_only() -> None:
    assert is_public(ip_address("127.0.0.1"), allow_loopback=True)
    assert not is_public(ip_address("10.0.0.1"), allow_loopback=True)
