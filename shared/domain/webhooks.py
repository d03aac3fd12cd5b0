"""Webhooks: who is told of an event, how the telling is signed, and when it is tried again.

Source: Stripe documentation, "Receive events in your webhook endpoint".
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any, Protocol

from shared.domain.documents import Document

COLLECTION = "webhook_endpoint"
ENDPOINTS_MAX = 16
RETRY_FIRST_S = 2
RETRY_FACTOR = 4
RETRY_MAX_S = 600

# Addresses of version 6 that carry one of version 4 in their last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint."""

    event: str
    endpoint: str


class DeliveryLog(Protocol):
    """Remembers of each event who was told, and whom somebody tried to tell."""

    def tried(self, event_id: str, endpoint_id: str) -> None:
        """Adds an endpoint that did not take it yet; the same again changes nothing."""

    def delivered(self, event_id: str, endpoint_id: str) -> None:
        """Adds an endpoint that was told, or is gone; the same again changes nothing."""


class DeliveryQueue(Protocol):
    """Holds deliveries until they succeed or were tried often enough."""

    def put(self, deliveries: Sequence[Delivery]) -> None:
        """Queues all, or raises TransientError after which all may be put again."""

    def retry_later(self, receipt_handle: str, delay_s: int) -> None:
        """Hides a received message for a while."""


class WebhookSender(Protocol):
    """Posts to merchants' endpoints."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Posts once and returns the HTTP status.

        Raises: RejectedError when the URL may not be called; TransientError when there was no
        answer.
        """


def is_subscribed(endpoint: Document, event_type: str) -> bool:
    """Tells whether an endpoint wants events of a type now."""
    if endpoint.is_deleted or endpoint.data["status"] != "enabled":
        return False
    wanted = endpoint.data["enabled_events"]
    return "*" in wanted or event_type in wanted


def signature_header(secret: str, body: bytes, timestamp_s: int) -> str:
    """Returns the value of Stripe-Signature.

    Args: secret: of the endpoint. body: exactly as it is sent. timestamp_s: when it is sent.
    """
    signed = f"{timestamp_s}.".encode() + body
    signature = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={timestamp_s},v1={signature}"


def retry_delay_s(receive_count: int) -> int:
    """Returns how long to wait after the n-th try (1 for the first)."""
    delay: int = RETRY_FIRST_S * RETRY_FACTOR ** (min(receive_count, 10) - 1)
    return min(delay, RETRY_MAX_S)


def is_public(address: IPv4Address | IPv6Address, *, allow_loopback: bool = False) -> bool:
    """Tells whether an address may be called on a merchant's behalf.

    Private, link-local, metadata and other special addresses would let a merchant reach the
    platform's own network through it. Addresses that carry one of version 4 are judged by it.
    Args: allow_loopback: true on a developer's machine only.
    """
    if isinstance(address, IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = IPv4Address(int(address) & 0xFFFF_FFFF)
        if carried is not None:
            return is_public(carried, allow_loopback=allow_loopback)
        if address.teredo is not None:
            return False
    if address.is_loopback:
        return allow_loopback
    return address.is_global and not address.is_multicast


def deliveries_of(message: Mapping[str, Any]) -> tuple[Delivery, ...]:
    """Reads what a message asks for: one delivery, or the bus's announcement to all endpoints."""
    if "endpoint" in message:
        return (Delivery(message["event"], message["endpoint"]),)
    detail = message["detail"]
    return tuple(Delivery(detail["event"], endpoint) for endpoint in detail["endpoints"])
