"""Authorization: confirming a payment, recording the provider's word, releasing the hold."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from shared.domain.audit_trail import created, next_version
from shared.domain.capture import captured_drafts, requested_draft
from shared.domain.card_options import require_network, require_no_cvc
from shared.domain.changes import Context, Draft, PaymentChange, change
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import RejectedError
from shared.domain.events import EventType
from shared.domain.ids import ATTEMPTS_MAX, charge_id
from shared.domain.payment import (
    OperationKind,
    Payment,
    PaymentStatus,
    future_usage,
    unexpected_state,
)
from shared.domain.ports import PaymentStore
from shared.domain.providers import ProviderAnswer, ProviderStatus
from shared.domain.resolution import DAY_MS, first_due_ms
from shared.domain.reversal import request_reversal
from shared.domain.work import Work, commit_latest, is_same_request

_CONFIRMABLE = {
    PaymentStatus.REQUIRES_PAYMENT_METHOD,
    PaymentStatus.REQUIRES_CONFIRMATION,
    PaymentStatus.REQUIRES_ACTION,
}
_DECLINED_MESSAGES = {
    "fraudulent": "Your card was declined.",
    "processing_error": (
        "An error occurred while processing your card. Try again in a little bit."
    ),
}
# How long issuers keep an authorization; Stripe's default for cards used online.
CAPTURE_WITHIN_MS = 7 * DAY_MS
NO_CHECKS = {
    "cvc_check": None,
    "address_line1_check": None,
    "address_postal_code_check": None,
}


def check_confirmation(work: Work, before: Payment | None) -> None:
    """Refuses a confirmation that could not be carried out.

    Args: work: of the pay saga. before: the payment as read, None when it is created with this.
    Raises: RejectedError with Stripe's code and param.
    """
    if work.livemode:
        raise RejectedError(
            "No live card provider is configured in this deployment; use a test mode key.",
            code="provider_unavailable",
        )
    if before is not None and is_same_request(before, work):
        return
    method = work.order["payment_method"]
    said = work.order["create"] or work.order["update"] or {}
    options = said.get("card_options", before.card_options if before else {})
    details = {**(before.details if before else {}), **said.get("details", {})}
    if work.order["off_session"]:
        _require_not_saved(options, details)
    customer = said.get("customer", before.customer if before else None)
    if method["customer"] is not None and method["customer"] != customer:
        raise RejectedError(
            "The provided PaymentMethod belongs to another customer. Pass its customer in the "
            "`customer` parameter, or use another PaymentMethod.",
            code="payment_method_customer_mismatch",
            param="payment_method",
        )
    require_network(options, method["card"]["brand"])
    require_no_cvc(options, method["customer"])
    if before is None:
        return
    if before.status not in _CONFIRMABLE or before.pending is not None:
        raise unexpected_state(before, "confirm")
    if before.attempts >= ATTEMPTS_MAX:
        raise RejectedError(
            f"This PaymentIntent was confirmed {ATTEMPTS_MAX} times; create a new one.",
            code="payment_intent_payment_attempt_expired",
        )


def _require_not_saved(options: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    """Refuses to save a card whose holder is not there to agree to it.

    Raises: RejectedError.
    """
    if future_usage(options, details) is not None:
        raise RejectedError(
            "You cannot confirm with `off_session=true` when `setup_future_usage` is also set on"
            " the PaymentIntent. The customer needs to be on-session to perform the steps which may"
            " be required to set up the PaymentMethod for future usage.",
            param="off_session",
        )


def is_undoable(payment: Payment, work: Work) -> bool:
    """Tells whether this request's authorization is still to be undone.

    What was recorded as captured, declined or waiting for the merchant stands, and so does what
    the merchant has asked for since.
    """
    if not payment.charges or payment.charges[-1].id != _charge_of(work):
        return False
    undoable = {OperationKind.AUTHORIZATION, OperationKind.REVERSAL}
    if payment.is_automatic:
        undoable.add(OperationKind.CAPTURE)
    return payment.pending is not None and payment.pending.kind in undoable


def begin_undo(payments: PaymentStore, payment: Payment, work: Work, now_ms: int) -> Payment:
    """Makes it durable that this request's authorization is being undone, where it still is."""

    def decide(current: Payment) -> PaymentChange | None:
        if not is_undoable(current, work):
            return None
        return request_reversal(current, work.context(now_ms))

    return commit_latest(payments, payment, decide)


def _charge_of(work: Work) -> str | None:
    """Names the charge that this request makes, whether it has made it or not; None when it ended
    without one.

    From what the request found, not from the payment as it is: that may be further by now.
    """
    before = Payment.of(work.order["before"]) if work.order["before"] else None
    if before is None:
        return charge_id(work.payment_id, 1)
    if not before.knows(work.operation_key):
        return charge_id(work.payment_id, before.attempts + 1)
    made = [charge.id for charge in before.charges if charge.operation_key == work.operation_key]
    return made[0] if made else None


def reserve(work: Work, before: Payment | None, now_ms: int) -> PaymentChange:
    """Makes the intent durable before the provider is called: Tx1.

    Returns: the change that creates (or updates) and confirms the payment, posts the hold and
    sets the due date.
    """
    drafts: list[Draft] = []
    if work.order["create"] is not None:
        drafts.append((EventType.PAYMENT_CREATED, work.order["create"]))
    elif work.order["update"]:
        drafts.append((EventType.PAYMENT_UPDATED, {"changes": work.order["update"]}))
    method = work.order["payment_method"]
    drafts.append(
        (
            EventType.PAYMENT_CONFIRMED,
            {
                "charge_id": charge_id(work.payment_id, (before.attempts if before else 0) + 1),
                "payment_method": method["id"],
                "card": method["card"],
                "billing_details": method["billing_details"],
                "method_facts": method.get("facts"),
                "provider": work.order["provider"],
                "operation_key": work.operation_key,
                "due_at_ms": first_due_ms(now_ms),
                "challenge": work.order["challenge"],
            },
        )
    )
    context = work.context(now_ms)
    made = change(before, drafts, context, work.payment_id)
    new = work.order["new_payment_method"]
    documents = [next_version(token, context) for token in work.order.get("used", ())]
    if new:
        documents.append(new_payment_method(made.payment, method["id"], new, context))
    return replace(
        made,
        listed=created_entries(made.payment) if before is None else (),
        documents=tuple(documents),
        claim=work.claim,
    )


def created_entries(payment: Payment) -> tuple[ListEntry, ...]:
    """Returns the list rows of a new payment."""
    return _entries("payment_intent", payment, payment.created_ms, payment.id)


def _entries(
    collection: str, payment: Payment, created_ms: int, object_id: str
) -> tuple[ListEntry, ...]:
    entries = [ListEntry(collection, created_ms, object_id)]
    if payment.customer:
        entries.append(ListEntry(f"{collection}/{payment.customer}", created_ms, object_id))
    return tuple(entries)


def new_payment_method(
    payment: Payment, method_id: str, data: Mapping[str, Any], context: Context
) -> DocumentWrite:
    """Makes an object of its own of a sandbox card's name, such as pm_card_visa."""
    account, livemode, now_ms = payment.account, payment.livemode, context.now_ms
    document = Document(method_id, "payment_method", account, livemode, 1, now_ms, data)
    listed = [ListEntry("payment_method", now_ms, method_id)]
    return created(document, context, listed=listed, stripes=payment.stripes)


def record_answer(
    payment: Payment,
    answer: ProviderAnswer,
    risk: Mapping[str, Any] | None,
    *,
    sale: bool,
    context: Context,
) -> PaymentChange:
    """Records what the provider said to an authorization or sale: Tx2.

    Args: payment: with its authorization pending. risk: None where it is not known any more.
    sale: whether the call asked to capture too.
    """
    charge = payment.latest_charge
    # An authentication that nobody is there for is a decline.
    challenge = payment.pending is not None and payment.pending.challenge
    if answer.status is ProviderStatus.ACTION_REQUIRED and challenge:
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
        drafts: list[Draft] = [(EventType.PAYMENT_ACTION_REQUIRED, {"next_action": action})]
        return _ended(payment, drafts, context, listed=False)
    if answer.status is not ProviderStatus.APPROVED:
        return _ended(payment, [_declined_draft(_failure(answer), risk, answer)], context)
    drafts = [
        (
            EventType.PAYMENT_AUTHORIZED,
            {
                "provider_reference": answer.reference,
                "authorization_code": answer.authorization_code,
                "network_transaction_id": answer.network_transaction_id,
                "checks": asdict(answer.checks),
                "risk": risk,
                "capture_before_ms": (
                    None if payment.is_automatic else charge.created_ms + CAPTURE_WITHIN_MS
                ),
            },
        )
    ]
    if payment.is_automatic and sale:
        drafts += captured_drafts(payment, payment.amount_minor, answer, context.now_ms)
    elif payment.is_automatic:
        # The capture that follows is due from now on, so that nobody can forget it.
        key = charge.operation_key
        drafts.append(requested_draft(payment.amount_minor, key, context.now_ms))
    return _ended(payment, drafts, context)


def _failure(answer: ProviderAnswer) -> dict[str, str | None]:
    if answer.status is ProviderStatus.ACTION_REQUIRED:
        return {
            "code": "authentication_required",
            "decline_code": "authentication_required",
            "message": "Your card was declined. This transaction requires authentication.",
        }
    return answer.decline


def _declined_draft(
    failure: Mapping[str, Any], risk: Mapping[str, Any] | None, answer: ProviderAnswer | None
) -> Draft:
    return (
        EventType.PAYMENT_DECLINED,
        {
            "provider_reference": answer.reference if answer else None,
            "checks": asdict(answer.checks) if answer else NO_CHECKS,
            "failure": failure,
            "risk": risk,
        },
    )


def _ended(
    payment: Payment,
    drafts: Sequence[Draft],
    context: Context,
    *,
    listed: bool = True,
    asked: bool = True,
) -> PaymentChange:
    charge = payment.latest_charge
    return replace(
        change(payment, drafts, context),
        listed=_entries("charge", payment, charge.created_ms, charge.id) if listed else (),
        verification_used=charge.card.stored_token if asked else None,
    )


def release(
    payment: Payment,
    decline_code: str,
    risk: Mapping[str, Any] | None,
    context: Context,
) -> PaymentChange:
    """Gives the hold back and lets the customer try again.

    Args: decline_code: "fraudulent" when the risk score blocked the payment, "processing_error"
    when it could not be carried out. risk: None when it was not scored.
    """
    blocked = decline_code == "fraudulent"
    failure = {
        "code": "card_declined" if blocked else "processing_error",
        "decline_code": decline_code,
        "message": _DECLINED_MESSAGES[decline_code],
    }
    scored = None if risk is None else {**risk, "blocked": blocked}
    return _ended(payment, [_declined_draft(failure, scored, None)], context, asked=False)
