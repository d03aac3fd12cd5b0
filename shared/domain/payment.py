"""The payment: its state, and how each event changes it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from shared.domain.card_options import wants_authentication
from shared.domain.cards import CardSummary
from shared.domain.errors import InvariantError, StateError
from shared.domain.events import Event, EventType
from shared.domain.ledger import book_of

_FUTURE_USAGE = "setup_future_usage"


class PaymentStatus(StrEnum):
    """Stripe's states of a PaymentIntent."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    CANCELED = "canceled"
    SUCCEEDED = "succeeded"


class ChargeStatus(StrEnum):
    """States of one attempt to take the money."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class RefundStatus(StrEnum):
    """States of a refund."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class OperationKind(StrEnum):
    """Work at the provider. A reversal gives an authorization back that was not recorded."""

    AUTHORIZATION = "authorization"
    CAPTURE = "capture"
    INCREMENT = "increment"
    CANCELLATION = "cancellation"
    REVERSAL = "reversal"


@dataclass(frozen=True, slots=True)
class Increment:
    """An ended attempt to reserve more of a charge's authorization.

    Args: amount_minor: beyond what was reserved before. operation_key: as in Charge. failure:
    {"code", "decline_code", "message"}, None where it was reserved.
    """

    amount_minor: int
    operation_key: str | None
    failure: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """One confirmation of a payment and what became of it.

    Args: operation_key: hash of the idempotency key that asked for it, so that a retry finds it.
    failure: {"code", "decline_code", "message"} or None. risk: {"level", "score", "blocked"}.
    capture_before_ms: when an authorization that the merchant captures expires. details: what the
    merchant says about this charge alone; it stands before the payment's details. increments: of
    its authorization, oldest first.
    """

    id: str
    attempt: int
    status: ChargeStatus
    amount_minor: int
    created_ms: int
    payment_method: str
    card: CardSummary
    billing_details: Mapping[str, Any]
    provider: str
    operation_key: str | None
    provider_reference: str | None = None
    authorization_code: str | None = None
    network_transaction_id: str | None = None
    checks: Mapping[str, str | None] | None = None
    failure: Mapping[str, Any] | None = None
    risk: Mapping[str, Any] | None = None
    captured: bool = False
    amount_captured_minor: int = 0
    platform_fee_minor: int = 0
    capture_before_ms: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    increments: tuple[Increment, ...] = ()

    def increment(self, operation_key: str | None) -> Increment | None:
        """Finds the newest increment that was asked for under that key."""
        asked = (each for each in reversed(self.increments) if each.operation_key == operation_key)
        return next(asked, None)


@dataclass(frozen=True, slots=True)
class Refund:
    """Money on its way back, or given back, to the card.

    Args: due_at_ms: while pending, when it must be looked after, None when it waits for a person;
    None once it has ended. provider_reference: None until the provider accepted it. run: as in
    PendingOperation.
    """

    id: str
    charge_id: str
    status: RefundStatus
    amount_minor: int
    created_ms: int
    reason: str | None
    metadata: Mapping[str, str]
    operation_key: str | None
    due_at_ms: int | None = None
    run: str | None = None
    provider_reference: str | None = None
    failure_reason: str | None = None


@dataclass(frozen=True, slots=True)
class PendingOperation:
    """Work at the provider whose outcome is not recorded yet; it keeps other work out.

    Args: kind: of the work. amount_minor: to be moved. operation_key: as in Charge.
    requested_ms: when it began. due_at_ms: when it must be looked after, None when it waits for a
    person. run: id of the request that is at it, None for the platform itself; only that one may
    say that nothing was sent. challenge: whether the customer was there to authenticate.
    is_unknown: whether the provider was asked and did not answer.
    """

    kind: OperationKind
    amount_minor: int
    operation_key: str | None
    requested_ms: int
    due_at_ms: int | None
    run: str | None = None
    reason: str | None = None
    challenge: bool = False
    is_unknown: bool = False

    def is_same(self, other: "PendingOperation | None") -> bool:
        """Tells whether it is the same operation, however far it got."""
        if other is None:
            return False
        begun = (self.kind, self.requested_ms, self.amount_minor, self.operation_key)
        return begun == (other.kind, other.requested_ms, other.amount_minor, other.operation_key)


@dataclass(frozen=True, slots=True)
class Payment:
    """The state of a payment after `version` events.

    Args: details: what the merchant says about it (description, metadata, shipping, ...).
    attempts: confirmations so far. charges: what they charged, oldest first.
    amount_capturable_minor: authorized and not yet captured.
    settled: whether the captured funds became due to the merchant. last_operation_key: of the
    newest confirmation, capture or cancellation, so that its retry is recognized when it is over.
    event_hash: of the newest event, which names them all.
    challenged_keys: of confirmations that ended with a challenge, which left no charge.
    method_facts: what else the payment method was when it was last charged: {"allow_redisplay",
    "checks", "created_ms", "customer", "metadata"}.
    stripes: over which its list rows are spread; see shared.domain.lists.
    card_options: what the merchant says of cards alone, by Stripe's names; it stands before what is
    said of all payment methods.
    """

    id: str
    account: str
    livemode: bool
    version: int
    created_ms: int
    status: PaymentStatus
    amount_minor: int
    currency: str
    capture_method: str
    client_secret: str
    customer: str | None
    payment_method: str | None
    payment_method_types: tuple[str, ...]
    details: Mapping[str, Any]
    last_event: EventType
    last_request: Mapping[str, str | None]
    event_hash: str
    attempts: int = 0
    charges: tuple[Charge, ...] = ()
    refunds: tuple[Refund, ...] = ()
    pending: PendingOperation | None = None
    amount_capturable_minor: int = 0
    amount_received_minor: int = 0
    last_payment_error: Mapping[str, Any] | None = None
    next_action: Mapping[str, Any] | None = None
    canceled_at_ms: int | None = None
    cancellation_reason: str | None = None
    settled: bool = False
    last_operation_key: str | None = None
    challenged_keys: tuple[str, ...] = ()
    method_facts: Mapping[str, Any] | None = None
    stripes: int = 1
    card_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def book(self) -> str:
        """The books that its journals are written in."""
        return book_of(self.account, livemode=self.livemode)

    @property
    def latest_charge(self) -> Charge:
        """The newest attempt.

        Raises: InvariantError when the payment was never confirmed.
        """
        if not self.charges:
            raise InvariantError(f"{self.id} has no charge")
        return self.charges[-1]

    @property
    def open_dates(self) -> Mapping[str | None, int | None]:
        """The due dates of what is open: by refund id, and None for the payment's own operation.

        A date is None where a person is waited for.
        """
        own: dict[str | None, int | None] = {}
        if self.pending is not None:
            own[None] = self.pending.due_at_ms
        return {**own, **{refund.id: refund.due_at_ms for refund in self.open_refunds}}

    @property
    def due_at_ms(self) -> int | None:
        """When the payment must be looked after: the first of all that is open on it."""
        dates = list(self.open_dates.values())
        if self.pending is None and self.status is PaymentStatus.REQUIRES_CAPTURE:
            dates.append(self.latest_charge.capture_before_ms)
        return min((date for date in dates if date is not None), default=None)

    def knows(self, operation_key: str | None) -> bool:
        """Tells whether an operation was asked for under that key before."""
        if operation_key is None:
            return False
        charged = any(
            charge.operation_key == operation_key or charge.increment(operation_key) is not None
            for charge in self.charges
        )
        is_last = self.last_operation_key == operation_key
        return is_last or charged or operation_key in self.challenged_keys

    def is_at(self, operation_key: str | None) -> bool:
        """Tells whether the open operation was asked for under that key."""
        pending = self.pending
        return pending is not None and None is not operation_key == pending.operation_key

    @property
    def is_open(self) -> bool:
        """Tells whether work at the provider is not over."""
        return self.pending is not None or bool(self.open_refunds)

    @property
    def is_automatic(self) -> bool:
        """Tells whether what is authorized is captured at once."""
        capture_method: str = self.card_options.get("capture_method", self.capture_method)
        return capture_method != "manual"

    @property
    def future_usage(self) -> str | None:
        """What the card is to be saved for; None where it is not."""
        return future_usage(self.card_options, self.details)

    @property
    def wants_authentication(self) -> bool:
        """Tells whether the cardholder is to be authenticated wherever the card can be."""
        return wants_authentication(self.card_options)

    @property
    def is_incrementable(self) -> bool:
        """Tells whether the merchant left it open to reserve more later."""
        return self.card_options.get("request_incremental_authorization") != "never"

    def has_pending(self, kind: OperationKind) -> bool:
        """Tells whether work of that kind is open."""
        return self.pending is not None and self.pending.kind is kind

    @property
    def open_refunds(self) -> tuple[Refund, ...]:
        """The refunds that have not ended."""
        return tuple(r for r in self.refunds if r.status is RefundStatus.PENDING)

    @property
    def waits_for_person(self) -> bool:
        """Tells whether something is open that nobody will look after without being told."""
        return None in self.open_dates.values()

    @property
    def refunded_minor(self) -> int:
        """What refunds took or hold of the captured amount."""
        return sum(r.amount_minor for r in self.refunds if r.status is not RefundStatus.FAILED)

    @property
    def refundable_minor(self) -> int:
        """What may still be refunded."""
        return self.amount_received_minor - self.refunded_minor

    def charge_details(self, charge: Charge) -> Mapping[str, Any]:
        """Returns what the merchant says about a charge: of it alone, and of its payment."""
        return {"customer": self.customer, **self.details, **charge.details}

    def charge(self, charge_id: str) -> Charge | None:
        """Finds an attempt by id."""
        return next((charge for charge in self.charges if charge.id == charge_id), None)

    def refund(self, refund_id: str) -> Refund | None:
        """Finds a refund by id."""
        return next((refund for refund in self.refunds if refund.id == refund_id), None)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON that `of` reads back."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Payment":
        """Reads a payment from JSON."""
        pending = data["pending"]
        return cls(
            **{
                **data,
                "status": PaymentStatus(data["status"]),
                "last_event": EventType(data["last_event"]),
                "payment_method_types": tuple(data["payment_method_types"]),
                "challenged_keys": tuple(data["challenged_keys"]),
                "charges": tuple(_charge_of(charge) for charge in data["charges"]),
                "refunds": tuple(_refund_of(refund) for refund in data["refunds"]),
                "pending": _pending_of(pending) if pending else None,
            }
        )


def future_usage(options: Mapping[str, Any], details: Mapping[str, Any]) -> str | None:
    """Returns what a card is to be saved for, by what is said of cards before all else."""
    usage: str | None = options.get(_FUTURE_USAGE, details.get(_FUTURE_USAGE))
    return None if usage == "none" else usage


def _pending_of(data: Mapping[str, Any]) -> PendingOperation:
    return PendingOperation(**{**data, "kind": OperationKind(data["kind"])})


def _charge_of(data: Mapping[str, Any]) -> Charge:
    card, status = CardSummary.of(data["card"]), ChargeStatus(data["status"])
    # Charges of older snapshots have none.
    increments = tuple(Increment(**increment) for increment in data.get("increments", ()))
    return Charge(**{**data, "card": card, "status": status, "increments": increments})


def _refund_of(data: Mapping[str, Any]) -> Refund:
    return Refund(**{**data, "status": RefundStatus(data["status"])})


def unexpected_state(payment: Payment, verb: str) -> StateError:
    """Builds Stripe's error for an operation that the state does not allow."""
    return StateError(
        f"You cannot {verb} this PaymentIntent because it has a status of {payment.status}"
        + (f" and its {payment.pending.kind} is in progress." if payment.pending else "."),
        code="payment_intent_unexpected_state",
    )


def apply(payment: Payment | None, event: Event) -> Payment:
    """Returns the state after an event.

    Raises: InvariantError when the event does not follow the state.
    """
    if payment is None:
        is_first = event.version == 1 and not event.previous_hash
        if event.type is not EventType.PAYMENT_CREATED or not is_first:
            raise InvariantError(f"{event.payment_id} starts with {event.type} {event.version}")
        return _created(event)
    if event.version != payment.version + 1 or event.payment_id != payment.id:
        raise InvariantError(f"{event.payment_id} {event.version} follows {payment.version}")
    if event.previous_hash != payment.event_hash:
        raise InvariantError(f"{event.payment_id} {event.version} follows another event")
    changed = _APPLY[event.type](payment, event.data, event)
    return replace(
        changed,
        version=event.version,
        last_event=event.type,
        last_request=event.request,
        event_hash=event.hash,
    )


def rebuild(events: Iterable[Event]) -> Payment:
    """Returns the state that a payment's events add up to.

    Raises: InvariantError when there is none, or they have gaps.
    """
    payment: Payment | None = None
    for event in events:
        payment = apply(payment, event)
    if payment is None:
        raise InvariantError("a payment has at least one event")
    return payment


Data = Mapping[str, Any]


def _created(event: Event) -> Payment:
    data = event.data
    return Payment(
        id=event.payment_id,
        account=data["account"],
        livemode=data["livemode"],
        version=1,
        created_ms=event.occurred_at_ms,
        status=_unconfirmed_status(data["payment_method"]),
        amount_minor=data["amount_minor"],
        currency=data["currency"],
        capture_method=data["capture_method"],
        client_secret=data["client_secret"],
        customer=data["customer"],
        payment_method=data["payment_method"],
        payment_method_types=tuple(data["payment_method_types"]),
        details=data["details"],
        last_event=event.type,
        last_request=event.request,
        event_hash=event.hash,
        stripes=data.get("stripes", 1),
        card_options=data.get("card_options", {}),
    )


def _unconfirmed_status(payment_method: str | None) -> PaymentStatus:
    if payment_method is None:
        return PaymentStatus.REQUIRES_PAYMENT_METHOD
    return PaymentStatus.REQUIRES_CONFIRMATION


def _updated(payment: Payment, data: Data, _: Event) -> Payment:
    changes = dict(data["changes"])
    changes["details"] = {**payment.details, **changes.get("details", {})}
    updated = replace(payment, **changes)
    # Another payment method makes the authentication of the one before pointless.
    starts_over = payment.status is PaymentStatus.REQUIRES_ACTION and "payment_method" in changes
    if payment.status in _UNCONFIRMED or starts_over:
        status = _unconfirmed_status(updated.payment_method)
        updated = replace(updated, status=status, next_action=None)
    return updated


def _confirmed(payment: Payment, data: Data, event: Event) -> Payment:
    charge = Charge(
        id=data["charge_id"],
        attempt=payment.attempts + 1,
        status=ChargeStatus.PENDING,
        amount_minor=payment.amount_minor,
        created_ms=event.occurred_at_ms,
        payment_method=data["payment_method"],
        card=CardSummary.of(data["card"]),
        billing_details=data["billing_details"],
        provider=data["provider"],
        operation_key=data["operation_key"],
    )
    return replace(
        payment,
        status=PaymentStatus.PROCESSING,
        payment_method=charge.payment_method,
        method_facts=data.get("method_facts"),
        charges=(*payment.charges, charge),
        attempts=charge.attempt,
        last_operation_key=charge.operation_key,
        pending=PendingOperation(
            OperationKind.AUTHORIZATION,
            payment.amount_minor,
            charge.operation_key,
            requested_ms=event.occurred_at_ms,
            due_at_ms=data["due_at_ms"],
            run=event.request["id"],
            challenge=data["challenge"],
        ),
        next_action=None,
    )


def _with_charge(payment: Payment, **changes: Any) -> Payment:
    charge = replace(payment.latest_charge, **changes)
    return replace(payment, charges=(*payment.charges[:-1], charge))


def _action_required(payment: Payment, data: Data, _: Event) -> Payment:
    # Nothing was charged before the authentication, so the charge goes; its attempt number does
    # not come back, because the provider remembers the key made of it.
    key = payment.latest_charge.operation_key
    return replace(
        payment,
        charges=payment.charges[:-1],
        challenged_keys=payment.challenged_keys + ((key,) if key else ()),
        status=PaymentStatus.REQUIRES_ACTION,
        pending=None,
        next_action=data["next_action"],
    )


def _authorized(payment: Payment, data: Data, _: Event) -> Payment:
    authorized = _with_charge(
        payment,
        status=ChargeStatus.SUCCEEDED,
        provider_reference=data["provider_reference"],
        authorization_code=data["authorization_code"],
        network_transaction_id=data["network_transaction_id"],
        checks=data["checks"],
        risk=data["risk"],
        capture_before_ms=data["capture_before_ms"],
    )
    return replace(
        authorized,
        status=PaymentStatus.REQUIRES_CAPTURE,
        pending=None,
        amount_capturable_minor=payment.amount_minor,
        last_payment_error=None,
    )


def _declined(payment: Payment, data: Data, _: Event) -> Payment:
    declined = _with_charge(
        payment,
        status=ChargeStatus.FAILED,
        provider_reference=data["provider_reference"],
        checks=data["checks"],
        failure=data["failure"],
        risk=data["risk"],
    )
    return replace(
        declined,
        status=PaymentStatus.REQUIRES_PAYMENT_METHOD,
        payment_method=None,
        pending=None,
        amount_capturable_minor=0,
        last_payment_error={**data["failure"], "payment_method": payment.payment_method},
    )


def _outcome_unknown(payment: Payment, data: Data, _: Event) -> Payment:
    if data["refund_id"] is not None:
        return _with_refund(payment, data["refund_id"], due_at_ms=data["due_at_ms"])
    if payment.pending is None:
        raise InvariantError(f"{payment.id} has nothing pending to be unknown")
    pending = replace(payment.pending, due_at_ms=data["due_at_ms"], is_unknown=True)
    return replace(payment, pending=pending)


def _taken_over(payment: Payment, data: Data, event: Event) -> Payment:
    taken = {"run": event.request["id"], "due_at_ms": data["due_at_ms"]}
    if data["refund_id"] is not None:
        return _with_refund(payment, data["refund_id"], **taken)
    if payment.pending is None:
        raise InvariantError(f"{payment.id} has nothing pending to be taken over")
    return replace(payment, pending=replace(payment.pending, **taken))


def _requested(kind: OperationKind) -> Callable[[Payment, Data, Event], Payment]:
    def request(payment: Payment, data: Data, event: Event) -> Payment:
        pending = PendingOperation(
            kind,
            data["amount_minor"],
            data["operation_key"],
            requested_ms=event.occurred_at_ms,
            due_at_ms=data["due_at_ms"],
            run=event.request["id"],
            reason=data["reason"],
            # A reversal goes on with what an authorization or capture left open.
            is_unknown=payment.pending is not None and payment.pending.is_unknown,
        )
        return replace(payment, pending=pending, last_operation_key=data["operation_key"])

    return request


def _refused(payment: Payment, _data: Data, _: Event) -> Payment:
    return replace(payment, pending=None)


def _captured(payment: Payment, data: Data, _: Event) -> Payment:
    captured = _with_charge(
        payment,
        captured=True,
        amount_captured_minor=data["amount_minor"],
        platform_fee_minor=data["platform_fee_minor"],
    )
    return replace(
        captured,
        status=PaymentStatus.SUCCEEDED,
        pending=None,
        amount_capturable_minor=0,
        amount_received_minor=data["amount_minor"],
    )


def _incremented(payment: Payment, data: Data, _: Event) -> Payment:
    more = data["amount_minor"]
    grown = _with_increment(payment, None)
    return replace(
        _with_charge(grown, amount_minor=grown.latest_charge.amount_minor + more),
        amount_minor=payment.amount_minor + more,
        amount_capturable_minor=payment.amount_capturable_minor + more,
    )


def _not_incremented(payment: Payment, data: Data, _: Event) -> Payment:
    return _with_increment(payment, data["failure"])


def _with_increment(payment: Payment, failure: Mapping[str, Any] | None) -> Payment:
    pending = payment.pending
    if pending is None:
        raise InvariantError(f"{payment.id} has no increment in progress")
    ended = Increment(pending.amount_minor, pending.operation_key, failure)
    made = _with_charge(payment, increments=(*payment.latest_charge.increments, ended))
    return replace(made, pending=None)


def _charge_updated(payment: Payment, data: Data, _: Event) -> Payment:
    charges = tuple(
        replace(charge, details={**charge.details, **data["details"]})
        if charge.id == data["charge_id"]
        else charge
        for charge in payment.charges
    )
    return replace(payment, charges=charges)


def _canceled(payment: Payment, data: Data, event: Event) -> Payment:
    return replace(
        payment,
        status=PaymentStatus.CANCELED,
        pending=None,
        amount_capturable_minor=0,
        next_action=None,
        canceled_at_ms=event.occurred_at_ms,
        cancellation_reason=data["reason"],
    )


def _refund_requested(payment: Payment, data: Data, event: Event) -> Payment:
    refund = Refund(
        id=data["refund_id"],
        charge_id=payment.latest_charge.id,
        status=RefundStatus.PENDING,
        amount_minor=data["amount_minor"],
        created_ms=event.occurred_at_ms,
        reason=data["reason"],
        metadata=data["metadata"],
        operation_key=data["operation_key"],
        due_at_ms=data["due_at_ms"],
        run=event.request["id"],
    )
    return replace(payment, refunds=(*payment.refunds, refund))


def _with_refund(payment: Payment, refund_id: str, **changes: Any) -> Payment:
    refunds = tuple(
        replace(refund, **changes) if refund.id == refund_id else refund
        for refund in payment.refunds
    )
    return replace(payment, refunds=refunds)


def _refund_pending(payment: Payment, data: Data, _: Event) -> Payment:
    return _with_refund(
        payment,
        data["refund_id"],
        due_at_ms=data["due_at_ms"],
        provider_reference=data["provider_reference"],
    )


def _refund_ended(status: RefundStatus) -> Callable[[Payment, Data, Event], Payment]:
    def end(payment: Payment, data: Data, _: Event) -> Payment:
        return _with_refund(
            payment,
            data["refund_id"],
            status=status,
            due_at_ms=None,
            provider_reference=data["provider_reference"],
            failure_reason=data["failure_reason"],
        )

    return end


def _refund_updated(payment: Payment, data: Data, _: Event) -> Payment:
    return _with_refund(payment, data["refund_id"], metadata=data["metadata"])


def _settled(payment: Payment, _data: Data, _: Event) -> Payment:
    return replace(payment, settled=True)


_UNCONFIRMED = {PaymentStatus.REQUIRES_PAYMENT_METHOD, PaymentStatus.REQUIRES_CONFIRMATION}

_APPLY: Mapping[EventType, Callable[[Payment, Data, Event], Payment]] = {
    EventType.PAYMENT_UPDATED: _updated,
    EventType.PAYMENT_CONFIRMED: _confirmed,
    EventType.PAYMENT_ACTION_REQUIRED: _action_required,
    EventType.PAYMENT_AUTHORIZED: _authorized,
    EventType.PAYMENT_DECLINED: _declined,
    EventType.PAYMENT_OUTCOME_UNKNOWN: _outcome_unknown,
    EventType.OPERATION_TAKEN_OVER: _taken_over,
    EventType.CAPTURE_REQUESTED: _requested(OperationKind.CAPTURE),
    EventType.CAPTURE_REFUSED: _refused,
    EventType.PAYMENT_CAPTURED: _captured,
    EventType.CHARGE_UPDATED: _charge_updated,
    EventType.INCREMENT_REQUESTED: _requested(OperationKind.INCREMENT),
    EventType.INCREMENT_REFUSED: _not_incremented,
    EventType.AUTHORIZATION_INCREMENTED: _incremented,
    EventType.CANCELLATION_REQUESTED: _requested(OperationKind.CANCELLATION),
    EventType.CANCELLATION_REFUSED: _refused,
    EventType.REVERSAL_REQUESTED: _requested(OperationKind.REVERSAL),
    EventType.PAYMENT_CANCELED: _canceled,
    EventType.REFUND_REQUESTED: _refund_requested,
    EventType.REFUND_PENDING: _refund_pending,
    EventType.REFUND_SUCCEEDED: _refund_ended(RefundStatus.SUCCEEDED),
    EventType.REFUND_FAILED: _refund_ended(RefundStatus.FAILED),
    EventType.REFUND_RETURNED: _refund_ended(RefundStatus.FAILED),
    EventType.REFUND_UPDATED: _refund_updated,
    EventType.PAYMENT_SETTLED: _settled,
}
