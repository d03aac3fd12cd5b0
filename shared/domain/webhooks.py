"""Webhooks: who is told of an event, how the telling is signed, and when it is tried again.

Source: Stripe documentation, "Receive events in your webhook endpoint".
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Protocol

from shared.domain.documents import Document

COLLECTION = "webhook_endpoint"
RESEND = "webhook_resend"
ENDPOINTS_MAX = 16
HOUR_S = 60 * 60
DAY_MS = 24 * HOUR_S * 1000
# How long to wait after each attempt that failed: 14 attempts within three days, and three within
# hours for test mode, where nobody may be listening any more.
LIVE_DELAYS_S = (
    *(2, 8, 32, 120, 600, 2_400),
    *(3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S, 12 * HOUR_S, 12 * HOUR_S, 12 * HOUR_S, 12 * HOUR_S),
)
TEST_DELAYS_S = (5, 2 * HOUR_S)
# A delay is shortened by up to that part, so that what failed together does not come together.
_JITTER = 0.25
# A queue holds a message back no longer.
HOLD_S_MAX = 15 * 60
# An endpoint that took nothing for that long, although it was tried, is disabled.
FAILING_MS_MAX = 3 * DAY_MS
FAILING = "failing"
# What attempts end with that took as long as they may.
HUNG = frozenset({"connect_timeout", "timeout"})
SECRET_OVERLAP_MS = DAY_MS
PREVIOUS_SECRETS_MAX = 3
ATTEMPTS_KEPT_MAX = 50
RETRY_FIRST_S = 2
RETRY_FACTOR = 4
RETRY_MAX_S = 600

# Addresses of version 6 that carry one of version 4 in their last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")
# All that is given out to be reached; the rest is reserved, or carries one of version 4 for
# networks of one's own, and Python calls some of it global.
_GIVEN_OUT = IPv6Network("2000::/3")
# Within it: protocol assignments (Teredo among them), and documentation.
_SPECIAL = (IPv6Network("2001::/23"), IPv6Network("3fff::/20"))
# Older Pythons call some of the protocol assignments global, where one cloud keeps its metadata.
_PROTOCOLS = IPv4Network("192.0.0.0/24")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to tell one endpoint of one event.

    Args: attempt: its number in the schedule, from 1. due_ms: not before that time. resend: id of
    the request of the merchant's that asked for it, outside of the schedule. aside: it is in the
    queue of those to endpoints that hang.
    """

    event: str
    endpoint: str
    attempt: int = 1
    due_ms: int = 0
    resend: str | None = None
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of an attempt.

    Args: http_status: None when there was no answer. error: the kind of it, None when it was
    taken. resend: as in Delivery.
    """

    at_ms: int
    latency_ms: int
    http_status: int | None
    error: str | None
    resend: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """What became of the deliveries of one event to one endpoint.

    Args: version: 1 when it is new, plus one per change. status: "pending", "delivered", "failed"
    when the schedule is over, or "canceled" when the endpoint was disabled or deleted. made: the
    number of the last attempt of the schedule. queued: of the last one that is surely in the queue.
    attempts: the newest of all.
    """

    event: str
    endpoint: str
    version: int = 0
    status: str = "pending"
    made: int = 0
    queued: int = 0
    attempts: tuple[Attempt, ...] = ()
    next_attempt_ms: int | None = None

    def includes(self, delivery: Delivery) -> bool:
        """Tells whether there is nothing left to be done for a delivery."""
        if delivery.resend is not None:
            return any(attempt.resend == delivery.resend for attempt in self.attempts)
        return self.status in {"delivered", "canceled"} or self.made >= delivery.attempt

    def after(
        self, delivery: Delivery, attempt: Attempt, next_attempt_ms: int | None
    ) -> "DeliveryRecord":
        """Returns the record with an attempt more.

        Args: next_attempt_ms: of the schedule; None when it is over, and for a resend.
        """
        told = replace(
            self,
            version=self.version + 1,
            attempts=(*self.attempts, attempt)[-ATTEMPTS_KEPT_MAX:],
        )
        if attempt.error is None:
            made = max(self.made, 0 if delivery.resend else delivery.attempt)
            return replace(told, status="delivered", made=made, next_attempt_ms=None)
        if delivery.resend is not None:
            # It neither ends a schedule nor begins one.
            return told if self.version else replace(told, status="failed")
        status = "failed" if next_attempt_ms is None else "pending"
        return replace(told, status=status, made=delivery.attempt, next_attempt_ms=next_attempt_ms)

    def unqueued(self) -> Delivery | None:
        """Returns the next attempt of the schedule where it may not be in the queue yet."""
        if self.status != "pending" or self.next_attempt_ms is None or self.queued > self.made:
            return None
        return Delivery(self.event, self.endpoint, self.made + 1, self.next_attempt_ms)

    def with_queued(self, attempt: int) -> "DeliveryRecord":
        """Returns the record once an attempt is in the queue."""
        return replace(self, version=self.version + 1, queued=attempt)

    def canceled(self) -> "DeliveryRecord":
        """Returns the record of a delivery that is given up, because its endpoint is."""
        status = "canceled" if self.status == "pending" else self.status
        return replace(self, version=self.version + 1, status=status, next_attempt_ms=None)

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "DeliveryRecord":
        """Reads what `to_dict` returned."""
        attempts = tuple(Attempt(**attempt) for attempt in facts["attempts"])
        return cls(**{**facts, "attempts": attempts})


class DeliveryLog(Protocol):
    """Remembers of each event who was told, and every attempt to tell."""

    def find(self, event_id: str, endpoint_id: str) -> DeliveryRecord | None:
        """Reads one record, strongly consistent."""

    def of_event(self, event_id: str) -> Sequence[DeliveryRecord]:
        """Reads the records of an event, in the order of the endpoints' ids."""

    def keep(self, record: DeliveryRecord, expires_at_s: int | None) -> bool:
        """Writes the next version of a record; tells whether nobody else wrote it first."""

    def tried(self, event_id: str, endpoint_id: str) -> None:
        """Adds an endpoint that did not take it yet; the same again changes nothing."""

    def delivered(self, event_id: str, endpoint_id: str) -> None:
        """Adds an endpoint that was told, or is gone; the same again changes nothing."""


class EndpointHealth(Protocol):
    """Remembers since when endpoints fail; a change of an endpoint begins a new history."""

    def failing(self, endpoint: Document, now_ms: int, *, hung: bool) -> int:
        """Notes a failure; returns the time of the first one since the last success.

        Args: hung: the endpoint did not answer in time.
        """

    def hangs(self, endpoint: Document) -> bool:
        """Tells whether an endpoint did not answer in time when it was tried last.

        It may tell a little late.
        """

    def healthy(self, endpoint: Document, now_ms: int, *, after_failure: bool) -> None:
        """Notes a success; one of many may not be noted, but after a failure it always is."""


class DeliveryQueue(Protocol):
    """Holds deliveries until they are due."""

    def put(self, deliveries: Sequence[Delivery], delay_s: int = 0) -> None:
        """Queues all, or raises TransientError after which all may be put again.

        Args: delay_s: at most HOLD_S_MAX.
        """

    def retry_later(self, receipt_handle: str, delay_s: int) -> None:
        """Hides a received message for a while."""


class WebhookSender(Protocol):
    """Posts to merchants' endpoints."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Posts once and returns the HTTP status.

        Raises: RejectedError when the URL may not be called; TransientError when there was no
        answer. The code of either is its kind.
        """


def is_subscribed(endpoint: Document, event_type: str) -> bool:
    """Tells whether an endpoint wants events of a type now."""
    if endpoint.is_deleted or endpoint.data["status"] != "enabled":
        return False
    wanted = endpoint.data["enabled_events"]
    return "*" in wanted or event_type in wanted


def signature_header(secrets: Iterable[str], body: bytes, timestamp_s: int) -> str:
    """Returns the value of Stripe-Signature.

    Args: secrets: of the endpoint; a receiver that knows one of them is content. body: exactly as
    it is sent. timestamp_s: when it is sent.
    """
    signed = f"{timestamp_s}.".encode() + body
    macs = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp_s}", *(f"v1={mac}" for mac in macs)])


def valid_secrets(endpoint: Document, now_ms: int) -> tuple[str, ...]:
    """Returns the secrets that deliveries are signed with now, the newest first."""
    previous = _unexpired(endpoint, now_ms)
    return (endpoint.data["secret"], *(item["secret"] for item in previous))


def rolled(endpoint: Document, secret: str, now_ms: int) -> dict[str, Any]:
    """Returns the endpoint's data with a new secret; the one before is valid for a day more."""
    replaced = {"secret": endpoint.data["secret"], "expires_ms": now_ms + SECRET_OVERLAP_MS}
    previous = [replaced, *_unexpired(endpoint, now_ms)][:PREVIOUS_SECRETS_MAX]
    return {**endpoint.data, "secret": secret, "previous_secrets": previous}


def _unexpired(endpoint: Document, now_ms: int) -> list[Mapping[str, Any]]:
    known = endpoint.data.get("previous_secrets", ())
    return [item for item in known if item["expires_ms"] > now_ms]


def next_attempt(delivery: Delivery, now_ms: int, *, livemode: bool) -> Delivery | None:
    """Returns what comes after an attempt that failed; None when the schedule is over.

    The jitter follows from the delivery, so that the same failure leads to the same delay.
    """
    delays_s = LIVE_DELAYS_S if livemode else TEST_DELAYS_S
    if delivery.resend is not None or delivery.attempt > len(delays_s):
        return None
    name = f"{delivery.event}/{delivery.endpoint}/{delivery.attempt}"
    drawn = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    delay_ms = int(delays_s[delivery.attempt - 1] * 1000 * (1 - _JITTER * drawn))
    return replace(delivery, attempt=delivery.attempt + 1, due_ms=now_ms + delay_ms)


def hold_s(delivery: Delivery, now_ms: int) -> int:
    """Returns how long a queue should hold a delivery back; it may be due only later."""
    return min(max(0, -(-(delivery.due_ms - now_ms) // 1000)), HOLD_S_MAX)


def retry_delay_s(receive_count: int) -> int:
    """Returns how long to hide a message that could not be handled n times."""
    delay: int = RETRY_FIRST_S * RETRY_FACTOR ** (min(receive_count, 10) - 1)
    return min(delay, RETRY_MAX_S)


def is_public(address: IPv4Address | IPv6Address, *, allow_loopback: bool = False) -> bool:
    """Tells whether an address may be called on a merchant's behalf.

    Private, link-local, metadata and other special addresses would let a merchant reach the
    platform's own network through it. Addresses that carry one of version 4 are judged by it.
    Args: allow_loopback: true on a developer's machine only.
    """
    if address.is_loopback:
        return allow_loopback
    if isinstance(address, IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = IPv4Address(int(address) & 0xFFFF_FFFF)
        if carried is not None:
            return is_public(carried, allow_loopback=allow_loopback)
        if address not in _GIVEN_OUT or any(address in network for network in _SPECIAL):
            return False
    return address.is_global and not address.is_multicast and address not in _PROTOCOLS


def deliveries_of(message: Mapping[str, Any]) -> tuple[Delivery, ...]:
    """Reads what a message asks for: one delivery, or the bus's announcement to all endpoints."""
    if "endpoint" in message:
        return (Delivery(**message),)
    detail = message["detail"]
    return tuple(
        Delivery(detail["event"], endpoint, resend=detail.get("resend"))
        for endpoint in detail["endpoints"]
    )
