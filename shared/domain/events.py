"""Events: the immutable facts a payment is made of, one per change of state."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


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
    CANCELLATION_REQUESTED = "CancellationRequested.v1"
    CANCELLATION_REFUSED = "CancellationRefused.v1"
    REVERSAL_REQUESTED = "ReversalRequested.v1"
    PAYMENT_CANCELED = "PaymentCanceled.v1"
    REFUND_REQUESTED = "RefundRequested.v1"
    REFUND_PENDING = "RefundPending.v1"
    REFUND_SUCCEEDED = "RefundSucceeded.v1"
    REFUND_FAILED = "RefundFailed.v1"
    REFUND_RETURNED = "RefundReturned.v1"
    PAYMENT_SETTLED = "PaymentSettled.v1"


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one payment.

    Args: version: 1 for the first event, then without gap; a second writer of the same version
    loses. data: JSON, by the type. request: {"id", "idempotency_key"} of the API call behind it,
    None in both where the platform acted by itself.
    """

    payment_id: str
    version: int
    type: EventType
    occurred_at_ms: int
    data: Mapping[str, Any]
    request: Mapping[str, str | None]
