"""Deliveries of events as merchants read them; objects of Farthing's own."""

from typing import Any

from shared.domain.documents import Document
from shared.domain.webhooks import Attempt, DeliveryRecord

Json = dict[str, Any]


def delivery(event: Document, record: DeliveryRecord) -> Json:
    """Renders what became of an event's deliveries to one endpoint."""
    next_ms = record.next_attempt_ms
    return {
        "id": f"{record.event}_{record.endpoint}",
        "object": "event_delivery",
        "attempts": [_attempt(attempt) for attempt in record.attempts],
        "event": record.event,
        "livemode": event.livemode,
        "next_attempt": None if next_ms is None else next_ms // 1000,
        "status": record.status,
        "webhook_endpoint": record.endpoint,
    }


def _attempt(attempt: Attempt) -> Json:
    return {
        "created": attempt.at_ms // 1000,
        "error": attempt.error,
        "http_status": attempt.http_status,
        "latency_ms": attempt.latency_ms,
        "resend": attempt.resend,
    }
