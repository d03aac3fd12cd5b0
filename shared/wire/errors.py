"""Errors as Stripe's error object, with their HTTP status and headers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.errors import (
    ConflictError,
    NotFoundError,
    OverloadedError,
    PaymentError,
    RejectedError,
    TransientError,
    UnknownOutcomeError,
    VersionConflictError,
)
from shared.domain.limits import Reason

ECHO_LENGTH_MAX = 100
_LOCKED = (
    "This object cannot be accessed right now because another API request is currently accessing"
    " it. Retry the request."
)
_UNAVAILABLE = "The platform cannot serve this request right now. Nothing was changed; retry it."
_UNKNOWN = "The outcome of this request is not known yet. Retry it with the same Idempotency-Key."
_BROKEN = "An unexpected error occurred on our side. It has been recorded under the request id."
_LIMITED = {
    Reason.GLOBAL_RATE: "Request rate limit exceeded.",
    Reason.ENDPOINT_RATE: "Request rate limit of this endpoint exceeded.",
    Reason.RESOURCE: "This object was changed too often.",
    Reason.ENDPOINT_CONCURRENCY: "Too many requests to this endpoint at the same time.",
}
_WAIT = "Wait before you try again, and longer each time."
_RETRY = {"Stripe-Should-Retry": "true", "Retry-After": "1"}


class RequestError(RejectedError):
    """Says that a request is refused with an HTTP status of its own.

    Args: kind: Stripe's error type. headers: sent with the answer. payment_intent, setup_intent:
    shown with it. is_answer: see RejectedError.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        payment_intent: Mapping[str, Any] | None = None,
        setup_intent: Mapping[str, Any] | None = None,
        is_answer: bool = False,
    ) -> None:
        super().__init__(message, code=code, param=param)
        self.is_answer = is_answer
        self.status = status
        self.payment_intent = payment_intent
        self.setup_intent = setup_intent
        self.kind = kind
        self.headers = dict(headers or {})

    def show(self, rendered: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        """Shows the intent, where there is one, as another rendering has it."""
        if self.payment_intent is not None:
            self.payment_intent = rendered(self.payment_intent)
        if self.setup_intent is not None:
            self.setup_intent = rendered(self.setup_intent)


class RateLimitError(RequestError):
    """Says that too much is asked for; nothing was begun.

    Without Stripe-Should-Retry: who retries at once makes it worse.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(
            f"{_LIMITED[reason]} {_WAIT}",
            status=429,
            code="rate_limit",
            headers={"Stripe-Rate-Limited-Reason": reason},
        )


class CardError(RequestError):
    """Says that a card cannot be used as it is; Stripe answers 402 for these."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        param: str | None = None,
        decline_code: str | None = None,
    ) -> None:
        super().__init__(message, status=402, kind="card_error", code=code, param=param)
        self.decline_code = decline_code


@dataclass(frozen=True, slots=True)
class WireError:
    """An error answer."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def error_body(kind: str, message: str, **facts: Any) -> dict[str, Any]:
    """Builds Stripe's error object; facts that are None are left out.

    Args: kind: "api_error", "card_error", "idempotency_error" or "invalid_request_error". facts:
    such as code, param, decline_code, charge, payment_intent.
    """
    known = {name: value for name, value in facts.items() if value is not None}
    return {"error": {**known, "message": message, "type": kind}}


def wire_error(error: PaymentError) -> WireError:
    """Renders an expected failure."""
    if isinstance(error, RequestError):
        decline_code = error.decline_code if isinstance(error, CardError) else None
        facts = {
            "code": error.code,
            "decline_code": decline_code,
            "param": error.param,
            "payment_intent": error.payment_intent,
            "setup_intent": error.setup_intent,
        }
        return WireError(
            error.status, error_body(error.kind, error.message, **facts), error.headers
        )
    if isinstance(error, VersionConflictError):
        return WireError(
            429, error_body("invalid_request_error", _LOCKED, code="lock_timeout"), _RETRY
        )
    if isinstance(error, OverloadedError):
        return wire_error(RateLimitError(Reason.ENDPOINT_CONCURRENCY))
    if isinstance(error, TransientError):
        return WireError(503, error_body("api_error", _UNAVAILABLE), _RETRY)
    if isinstance(error, UnknownOutcomeError):
        return WireError(500, error_body("api_error", _UNKNOWN), _RETRY)
    status = 404 if isinstance(error, NotFoundError) else 400
    status = 409 if isinstance(error, ConflictError) else status
    body = error_body("invalid_request_error", error.message, code=error.code, param=error.param)
    return WireError(status, body)


def unexpected_error() -> WireError:
    """Renders a bug or an outage, about which the merchant learns nothing but the request id."""
    return WireError(500, error_body("api_error", _BROKEN))


def no_such(noun: str, object_id: str, param: str = "id") -> NotFoundError:
    """Says that the object a path names does not exist: 404.

    Args: noun: what Stripe's messages call the kind, such as "customer" or "PaymentMethod".
    """
    return NotFoundError(_no_such(noun, object_id), code="resource_missing", param=param)


def missing_reference(noun: str, object_id: str, param: str) -> RejectedError:
    """Says that an object a parameter names does not exist: 400."""
    return RejectedError(_no_such(noun, object_id), code="resource_missing", param=param)


def _no_such(noun: str, object_id: str) -> str:
    return f"No such {noun}: '{object_id[:ECHO_LENGTH_MAX]}'"
