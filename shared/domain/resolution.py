"""Resolution: when somebody looks after an operation whose outcome is not recorded.

Every operation at a provider is due from its first transaction on. Whoever looks after it asks the
provider by our own reference, and never concludes from silence that nothing happened.
"""

from collections.abc import Sequence
from dataclasses import replace

from shared.domain.changes import Context, Draft, PaymentChange, change
from shared.domain.errors import InvariantError
from shared.domain.events import EventType
from shared.domain.idempotency import Claim
from shared.domain.payment import OperationKind, Payment

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# By then the API has answered the request that began the operation, whatever became of it. Its
# execution may still run: see `take_over`.
_DUE_AFTER_MS = MINUTE_MS
# Times after the operation was requested at which the provider is asked; then a person is.
PROBES_AFTER_MS = (
    2 * SECOND_MS,
    10 * SECOND_MS,
    30 * SECOND_MS,
    2 * MINUTE_MS,
    10 * MINUTE_MS,
    HOUR_MS,
    6 * HOUR_MS,
    22 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    3 * DAY_MS,
)
# Who waits for a date acts on it; the sweeper takes over when nobody did.
SWEEP_AFTER_MS = 30 * SECOND_MS
# Providers remember an idempotency key for a day: later the same request would be a new one.
RESEND_UNTIL_MS = 23 * HOUR_MS
# A bank may take days to pay a refund that the provider accepted.
REFUND_PENDING_MAX_MS = 30 * DAY_MS
# A store writes a change, the snapshot and its events, in one transaction of at most 100 writes.
DATES_SET_MAX = 99


def first_due_ms(now_ms: int) -> int:
    """Returns when an operation that is requested now is due."""
    return now_ms + _DUE_AFTER_MS


def next_probe_ms(requested_ms: int, now_ms: int) -> int | None:
    """Returns when to ask next, or None when it is a person's turn."""
    probes = (requested_ms + after for after in PROBES_AFTER_MS)
    return next((probe for probe in probes if probe > now_ms), None)


def next_look_ms(requested_ms: int, now_ms: int) -> int | None:
    """Returns when to look next for the end of a refund that the provider accepted."""
    probe = next_probe_ms(requested_ms, now_ms)
    if probe is None and now_ms < requested_ms + REFUND_PENDING_MAX_MS:
        return now_ms + DAY_MS
    return probe


def may_resend(requested_ms: int, now_ms: int) -> bool:
    """Tells whether the same request under the same key is still the same to the provider."""
    return now_ms < requested_ms + RESEND_UNTIL_MS


def take_over(
    payment: Payment,
    context: Context,
    refund_id: str | None = None,
    claim: Claim | None = None,
) -> PaymentChange | None:
    """Makes it durable who goes on with an operation, before the provider is asked again.

    Whoever was at it before may still run, however late: it finds that the operation is not its
    own any more, and does not conclude from what it saw that nothing was sent.

    Args: claim: of a request that resumes, whose lease begins anew; another that does finds it.
    Returns: None when it is the request's own already, or over.
    """
    refund = payment.refund(refund_id) if refund_id else None
    operation = refund if refund_id else payment.pending
    is_over = refund is not None and refund not in payment.open_refunds
    if operation is None or is_over or operation.run == context.request_id:
        return None
    data = {"refund_id": refund_id, "due_at_ms": first_due_ms(context.now_ms)}
    return replace(change(payment, [(EventType.OPERATION_TAKEN_OVER, data)], context), claim=claim)


def record_unknown(
    payment: Payment, context: Context, refund_id: str | None = None
) -> PaymentChange:
    """Records that a provider was asked and did not say what became of it, and when to ask next.

    Args: refund_id: of the refund that it was asked about, None for the payment's own operation.
    Raises: InvariantError when there is no such operation.
    """
    draft = _unknown_until(refund_id, _next_date(payment, refund_id, context.now_ms))
    asked = refund_id is None and payment.has_pending(OperationKind.AUTHORIZATION)
    used = payment.latest_charge.card.stored_token if asked else None
    return replace(change(payment, [draft], context), verification_used=used)


def _next_date(payment: Payment, refund_id: str | None, now_ms: int) -> int | None:
    refund = payment.refund(refund_id) if refund_id else None
    if refund is not None:
        is_accepted = refund.provider_reference is not None
        next_ms = next_look_ms if is_accepted else next_probe_ms
        return next_ms(refund.created_ms, now_ms)
    if payment.pending is None or refund_id is not None:
        raise InvariantError(f"{payment.id} has no operation that is unknown")
    return next_probe_ms(payment.pending.requested_ms, now_ms)


def _unknown_until(refund_id: str | None, due_at_ms: int | None) -> Draft:
    return EventType.PAYMENT_OUTCOME_UNKNOWN, {"refund_id": refund_id, "due_at_ms": due_at_ms}


def postpone(payment: Payment, context: Context) -> PaymentChange | None:
    """Sets the next date of everything that is due, whatever kept it from being looked after.

    Returns: None when nothing is due.
    """
    now_ms = context.now_ms
    dates = payment.open_dates.items()
    due = [name for name, date in dates if date is not None and date <= now_ms]
    drafts = [_unknown_until(name, _next_date(payment, name, now_ms)) for name in due]
    return _dated(payment, drafts, context)


def park(payment: Payment, context: Context) -> PaymentChange | None:
    """Leaves the payment's own operation to a person."""
    return _dated(payment, [_unknown_until(None, None)], context)


def look_again(
    payment: Payment, context: Context, reason: str | None = None
) -> PaymentChange | None:
    """Has what waits for a person looked after from now on, because a person says so.

    What has a date keeps it: what is overdue is looked after anyway, and a later date would hide
    that nobody did.

    Args: reason: why, for who reads the events later.
    Returns: None when nothing waits for a person. More than DATES_SET_MAX take another call.
    """
    waiting = [name for name, date in payment.open_dates.items() if date is None]
    told = {} if reason is None else {"reason": reason}
    drafts: list[Draft] = []
    for name in waiting:
        kind, data = _unknown_until(name, context.now_ms)
        drafts.append((kind, {**data, **told}))
    return _dated(payment, drafts, context)


def _dated(payment: Payment, drafts: Sequence[Draft], context: Context) -> PaymentChange | None:
    if not drafts:
        return None
    return change(payment, drafts[:DATES_SET_MAX], context)
