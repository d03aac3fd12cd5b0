"""Events: the immutable facts a payment is made of, one per change of state."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from shared.domain.canonical import canonical
from shared.domain.signatures import Signature

# The actor of what nobody asked for.
PLATFORM = "platform"


class EventType(StrEnum):
    """Names what happened; the number is the version of the data's shape."""

    PAYMENT_CREATED = "PaymentCreated.v1"
    PAYMENT_UPDATED = "PaymentUpdated.v1"
    PAYMENT_CONFIRMED = "PaymentConfirmed.v1"
    PAYMENT_ACTION_REQUIRED = "PaymentActionRequired.v1"
    PAYMENT_AUTHORIZED = "PaymentAuthorized.v1"
    PAYMENT_DECLINED = "PaymentDeclined.v1"
    PAYMENT_OUTCOME_UNKNOWN = "PaymentOutcomeUnknown.v1"
    OPERATION_TAKEN_OVER = "OperationTakenOver.v1"
    CAPTURE_REQUESTED = "CaptureRequested.v1"
    CAPTURE_REFUSED = "CaptureRefused.v1"
    PAYMENT_CAPTURED = "PaymentCaptured.v1"
    CHARGE_UPDATED = "ChargeUpdated.v1"
    INCREMENT_REQUESTED = "IncrementRequested.v1"
    INCREMENT_REFUSED = "IncrementRefused.v1"
    AUTHORIZATION_INCREMENTED = "AuthorizationIncremented.v1"
    CANCELLATION_REQUESTED = "CancellationRequested.v1"
    CANCELLATION_REFUSED = "CancellationRefused.v1"
    REVERSAL_REQUESTED = "ReversalRequested.v1"
    PAYMENT_CANCELED = "PaymentCanceled.v1"
    REFUND_REQUESTED = "RefundRequested.v1"
    REFUND_PENDING = "RefundPending.v1"
    REFUND_SUCCEEDED = "RefundSucceeded.v1"
    REFUND_FAILED = "RefundFailed.v1"
    REFUND_RETURNED = "RefundReturned.v1"
    REFUND_UPDATED = "RefundUpdated.v1"
    PAYMENT_SETTLED = "PaymentSettled.v1"


# What opens something for whoever knows it: the payment needs it, its evidence must not tell it.
_SECRETS: Mapping[EventType, frozenset[str]] = {
    EventType.PAYMENT_CREATED: frozenset({"client_secret"})
}


# Without slots, which would leave its hash no place to be kept.
@dataclass(frozen=True)
class Event:
    """One change of one payment.

    Args: version: 1 for the first event, then without gap; a second writer of the same version
    loses. data: JSON, by the type. request: {"id", "idempotency_key", "actor"} of the API call
    behind it; id and key are None where the platform acted by itself. previous_hash: of the event
    before, "" for the first.
    """

    payment_id: str
    version: int
    type: EventType
    occurred_at_ms: int
    data: Mapping[str, Any]
    request: Mapping[str, str | None]
    previous_hash: str = ""

    @cached_property
    def hash(self) -> str:
        """SHA-256 over everything above but secrets, in hex: it names all events up to this one."""
        return hashlib.sha256(canonical(self.facts())).hexdigest()

    def facts(self) -> dict[str, Any]:
        """Returns what the hash is of, and what is sealed: all but secrets."""
        secrets = _SECRETS.get(self.type, frozenset())
        return {
            "payment_id": self.payment_id,
            "version": self.version,
            "type": self.type,
            "occurred_at_ms": self.occurred_at_ms,
            "data": {name: value for name, value in self.data.items() if name not in secrets},
            "request": self.request,
            "previous_hash": self.previous_hash,
        }


@dataclass(frozen=True, slots=True)
class SignedEvent:
    """An event as it is stored."""

    event: Event
    signature: Signature
