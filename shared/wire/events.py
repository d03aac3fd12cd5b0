"""Announcements as event objects, as they are stored and told."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.domain.announcements import Announcement, State
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import InvariantError
from shared.domain.payment import Payment
from shared.wire import objects, payments, setups

Json = dict[str, Any]

RETENTION_S = 30 * 24 * 60 * 60
_RENDERED: Mapping[str, Callable[[Document], Json]] = {
    "customer": objects.customer,
    "payment_method": objects.payment_method,
    "setup_intent": setups.setup_intent,
    "webhook_endpoint": objects.webhook_endpoint,
}
# What Stripe tells of the request; who made it is for the audit log.
_REQUEST = ("id", "idempotency_key")


def event_write(
    announcement: Announcement, occurred_ms: int, endpoint_ids: Sequence[str]
) -> DocumentWrite:
    """Makes the event object of an announcement, with the row that lists it.

    Args: occurred_ms: when the change was made. endpoint_ids: the webhook endpoints to tell.
    """
    after = announcement.after
    told: Json = {"object": _rendered(announcement.kind, announcement.object_id, after)}
    if announcement.before is not None:
        before = _rendered(announcement.kind, announcement.object_id, announcement.before)
        told["previous_attributes"] = previous_attributes(before, told["object"])
    request = after.last_request if isinstance(after, Payment) else None
    document = Document(
        id=announcement.id,
        kind="event",
        account=after.account,
        livemode=after.livemode,
        version=1,
        created_ms=occurred_ms,
        data={
            "type": announcement.type,
            "data": told,
            "request": None if request is None else {name: request[name] for name in _REQUEST},
            "pending_webhooks": len(endpoint_ids),
            "endpoints": list(endpoint_ids),
            "object_version": announcement.version,
        },
        expires_at_s=occurred_ms // 1000 + RETENTION_S,
    )
    stripes = after.stripes if isinstance(after, Payment) else 1
    listed = ListEntry("event", occurred_ms, announcement.id)
    return DocumentWrite(document, (listed,), stripes=stripes)


def announcement_detail(event: Document) -> Json:
    """Returns what the bus is told of an event; see EventBus."""
    return {
        "type": event.data["type"],
        "account": event.account,
        "livemode": event.livemode,
        "event": event.id,
        "object": event.data["data"]["object"]["id"],
        "created": event.created_ms // 1000,
        "endpoints": list(event.data["endpoints"]),
        # The bus's rules cannot ask for a list that is not empty.
        "webhooks": bool(event.data["endpoints"]),
    }


def resend_detail(resend: Document) -> Json:
    """Returns what the bus is told of a merchant's wish to be told of an event once more."""
    return {
        "type": resend.kind,
        "account": resend.account,
        "livemode": resend.livemode,
        "event": resend.data["event"],
        "object": resend.id,
        "created": resend.created_ms // 1000,
        "endpoints": [resend.data["webhook_endpoint"]],
        "webhooks": True,
        "resend": resend.id,
    }


def previous_attributes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Json:
    """Returns what attributes were before, of those that differ; nested where both are objects.

    An attribute that did not exist before is told as null.
    """
    changed: Json = {}
    for name in [*before, *(name for name in after if name not in before)]:
        was, is_now = before.get(name), after.get(name)
        if was == is_now:
            continue
        if isinstance(was, Mapping) and isinstance(is_now, Mapping):
            changed[name] = previous_attributes(was, is_now)
        else:
            changed[name] = was
    return changed


def _rendered(kind: str, object_id: str, state: State) -> Json:
    if isinstance(state, Document):
        return _RENDERED[kind](state)
    if kind == "payment_intent":
        return payments.payment_intent(state)
    charge, refund = state.charge(object_id), state.refund(object_id)
    if charge is not None:
        return payments.charge(state, charge)
    if refund is not None:
        return payments.refund(state, refund)
    raise InvariantError(f"{state.id} has no {kind} {object_id}")
