"""The invariants: what holds of every payment, whatever failed on its way.

An observation is what somebody could see of one payment: a test in the same process, the audit of
the tables, or a client of the public API. A part that the observer could not see is None, and the
rules that need it are skipped. Nothing here knows a card.
Source: docs/ledger.md, "Invariants".
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.domain.announced import History
from shared.domain.changes import replay
from shared.domain.errors import InvariantError
from shared.domain.events import Event
from shared.domain.ledger import REVERSAL, Journal, Layer, Posting, opposite
from shared.domain.payment import (
    ChargeStatus,
    OperationKind,
    Payment,
    PaymentStatus,
    RefundStatus,
    rebuild,
)
from shared.domain.sandbox_network import Operation

# A due date is looked after within seconds; an hour later nobody will.
OVERDUE_AFTER_MS = 60 * 60 * 1000


class Rule(StrEnum):
    """Names an invariant."""

    CHARGED_ONCE = "charged_once"
    REFUNDS_WITHIN_CAPTURE = "refunds_within_capture"
    HAS_OWNER = "has_owner"
    NOT_OVERDUE = "not_overdue"
    STATE_IS_REPLAY = "state_is_replay"
    BOOKS_BALANCE = "books_balance"
    BOOKS_AGREE = "books_agree"
    BOOKS_FOLLOW = "books_follow_events"
    NO_HOLD_LEFT = "no_hold_left"
    NETWORK_AGREES = "network_agrees"
    ONE_EFFECT = "one_effect_per_operation"
    TOLD_ONCE = "told_once"
    DELIVERY_TRIED = "delivery_tried"
    RECORD_IS_READABLE = "record_is_readable"


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold.

    Args: payment: its id, None where it is about the books as a whole. message: with the numbers.
    """

    rule: Rule
    payment: str | None
    message: str


@dataclass(frozen=True, slots=True)
class ChargeFacts:
    """One attempt to take the money."""

    id: str
    status: ChargeStatus
    amount_minor: int
    captured_minor: int


@dataclass(frozen=True, slots=True)
class RefundFacts:
    """Money on its way back, or given back."""

    id: str
    charge_id: str
    status: RefundStatus
    amount_minor: int


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """What the invariants need to know of a payment's state.

    Args: is_pending: whether an operation is at the provider. charges: oldest first. due_dates:
    of everything that is open, None for what waits for a person; or None when not seen, like
    fees_minor (the platform's) and is_settled. incrementing_minor: that an open operation asks to
    reserve beyond the amount.
    """

    id: str
    status: PaymentStatus
    is_pending: bool
    is_automatic: bool
    currency: str
    amount_minor: int
    capturable_minor: int
    received_minor: int
    charges: tuple[ChargeFacts, ...] = ()
    refunds: tuple[RefundFacts, ...] = ()
    due_dates: tuple[int | None, ...] | None = None
    fees_minor: int | None = None
    is_settled: bool | None = None
    incrementing_minor: int = 0

    @classmethod
    def of(cls, payment: Payment) -> "PaymentFacts":
        """Reads the facts of a payment."""
        return cls(
            id=payment.id,
            status=payment.status,
            is_pending=payment.pending is not None,
            is_automatic=payment.is_automatic,
            currency=payment.currency,
            amount_minor=payment.amount_minor,
            capturable_minor=payment.amount_capturable_minor,
            received_minor=payment.amount_received_minor,
            charges=tuple(
                ChargeFacts(c.id, c.status, c.amount_minor, c.amount_captured_minor)
                for c in payment.charges
            ),
            refunds=tuple(
                RefundFacts(r.id, r.charge_id, r.status, r.amount_minor) for r in payment.refunds
            ),
            due_dates=tuple(payment.open_dates.values()),
            fees_minor=sum(charge.platform_fee_minor for charge in payment.charges),
            is_settled=payment.settled,
            incrementing_minor=_incrementing(payment),
        )

    def refunded_minor(self, *statuses: RefundStatus, charge_id: str | None = None) -> int:
        """Adds up the refunds in one of these states, of one charge or all."""
        return sum(
            refund.amount_minor
            for refund in self.refunds
            if refund.status in statuses and charge_id in {None, refund.charge_id}
        )


def _incrementing(payment: Payment) -> int:
    pending = payment.pending
    is_asked = pending is not None and pending.kind is OperationKind.INCREMENT
    return pending.amount_minor if pending and is_asked else 0


@dataclass(frozen=True, slots=True)
class Record:
    """A payment's snapshot and the events behind it."""

    snapshot: Payment
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """A journal as it was found, balanced or not."""

    id: str
    postings: tuple[Posting, ...]

    @classmethod
    def of(cls, journal: Journal) -> "JournalFacts":
        """Reads the facts of a journal."""
        return cls(journal.id, journal.postings)


@dataclass(frozen=True, slots=True)
class Movement:
    """A transaction in effect in a card network's own record.

    Args: key: that it was asked for under. reference: charge id. refund: refund id, of a refund.
    """

    key: str
    operation: Operation
    reference: str
    amount_minor: int
    currency: str
    refund: str | None = None

    @classmethod
    def of(cls, transaction: Mapping[str, Any], reference: str) -> "Movement":
        """Reads a movement from the network's JSON, or the API's, which call its charge unlike."""
        return cls(
            key=transaction["idempotency_key"],
            operation=Operation(transaction["type"]),
            reference=reference,
            amount_minor=transaction["amount"],
            currency=transaction["currency"],
            refund=transaction["refund"],
        )


@dataclass(frozen=True, slots=True)
class EventObject:
    """An event as merchants are told it.

    Args: object_id: of the object told about. untried: webhook endpoints to tell that nobody has
    tried to tell, None when not known.
    """

    id: str
    type: str
    object_id: str
    untried: int | None = None


@dataclass(frozen=True, slots=True)
class EventObjects:
    """The event objects of one payment; those of changes before kept_from_ms may have expired."""

    found: tuple[EventObject, ...]
    kept_from_ms: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a payment at one time; a part that could not be seen is None.

    Args: network: everything in effect that the network remembers of this payment.
    """

    payment: PaymentFacts
    now_ms: int
    record: Record | None = None
    journals: tuple[JournalFacts, ...] | None = None
    network: tuple[Movement, ...] | None = None
    event_objects: EventObjects | None = None


Check = Callable[[Observation], "Iterable[str] | None"]


def violations(seen: Observation) -> tuple[Violation, ...]:
    """Returns the invariants that do not hold, of those that could be judged."""
    return tuple(
        Violation(rule, seen.payment.id, message)
        for rule, check in _CHECKS.items()
        for message in check(seen) or ()
    )


def skipped(seen: Observation) -> tuple[Rule, ...]:
    """Returns the rules that could not be judged."""
    return tuple(rule for rule, check in _CHECKS.items() if check(seen) is None)


def unbalanced(journals: Iterable[JournalFacts]) -> tuple[Violation, ...]:
    """Returns where the books as a whole do not balance: a journal, or a trial balance."""
    books = tuple(journals)
    messages = [*_unbalanced_journals(books), *_unbalanced_total(books)]
    return tuple(Violation(Rule.BOOKS_BALANCE, None, message) for message in messages)


def _charged_once(seen: Observation) -> Iterable[str]:
    payment = seen.payment
    captured = [charge for charge in payment.charges if charge.captured_minor]
    taken = sum(charge.captured_minor for charge in captured)
    if len(captured) > 1:
        yield f"{len(captured)} charges are captured: {[charge.id for charge in captured]}"
    approved = [charge.id for charge in payment.charges if charge.status is ChargeStatus.SUCCEEDED]
    if len(approved) > 1:
        yield f"{len(approved)} charges succeeded: {approved}"
    if taken != payment.received_minor:
        yield f"{payment.received_minor} is received and {taken} is captured"
    for charge in captured:
        if charge.status is not ChargeStatus.SUCCEEDED:
            yield f"{charge.id} is captured and {charge.status}"
        if charge.captured_minor > charge.amount_minor:
            yield f"{charge.id} of {charge.amount_minor} has {charge.captured_minor} captured"
    if len({charge.id for charge in payment.charges}) != len(payment.charges):
        yield "two charges have one id"


def _refunds_within_capture(seen: Observation) -> Iterable[str]:
    payment = seen.payment
    taken = payment.refunded_minor(RefundStatus.PENDING, RefundStatus.SUCCEEDED)
    if taken > payment.received_minor:
        yield f"{taken} is refunded or being refunded of {payment.received_minor} received"
    for refund in payment.refunds:
        if refund.amount_minor <= 0:
            yield f"{refund.id} is of {refund.amount_minor}"
    if len({refund.id for refund in payment.refunds}) != len(payment.refunds):
        yield "two refunds have one id"


_FINAL = {PaymentStatus.SUCCEEDED, PaymentStatus.CANCELED}


def _has_owner(seen: Observation) -> Iterable[str]:
    """Whatever is not the merchant's turn is an open operation, which has a date or a person."""
    payment = seen.payment
    if payment.is_pending:
        if payment.status in _FINAL:
            yield f"it is {payment.status} with an operation pending"
        return
    if payment.status is PaymentStatus.PROCESSING:
        yield "it is processing with no operation pending"
    if payment.status is PaymentStatus.REQUIRES_CAPTURE and payment.is_automatic:
        yield "it waits for a capture that no merchant and no operation makes"
    if any(charge.status is ChargeStatus.PENDING for charge in payment.charges):
        yield "a charge is pending with no operation pending"


def _not_overdue(seen: Observation) -> Iterable[str] | None:
    dates = seen.payment.due_dates
    if dates is None:
        return None
    late = [seen.now_ms - date for date in dates if date is not None]
    return [f"it has been due for {ms} ms" for ms in late if ms > OVERDUE_AFTER_MS]


def _state_is_replay(seen: Observation) -> Iterable[str] | None:
    if seen.record is None:
        return None
    events, snapshot = seen.record.events, seen.record.snapshot
    try:
        rebuilt = rebuild(events)
    except InvariantError as error:
        return [f"its {len(events)} events do not follow one another: {error}"]
    if rebuilt == snapshot:
        return []
    if rebuilt.version != snapshot.version:
        return [f"it is at version {snapshot.version} and has events to {rebuilt.version}"]
    was, is_now = rebuilt.to_dict(), snapshot.to_dict()
    differing = sorted(name for name in is_now if was[name] != is_now[name])
    return [f"it differs from its {len(events)} events in: {', '.join(differing)}"]


def _books_balance(seen: Observation) -> Iterable[str] | None:
    if seen.journals is None:
        return None
    return [*_unbalanced_journals(seen.journals), *_unbalanced_total(seen.journals)]


def _unbalanced_journals(journals: Iterable[JournalFacts]) -> Iterator[str]:
    names: Counter[str] = Counter()
    for journal in journals:
        names[journal.id] += 1
        for (currency, layer), net in _nets(journal.postings).items():
            if net:
                yield f"{journal.id} does not balance in {layer} {currency}: {net}"
    yield from (f"{name} is posted {count} times" for name, count in names.items() if count > 1)


def _unbalanced_total(journals: Iterable[JournalFacts]) -> Iterator[str]:
    postings = [posting for journal in journals for posting in journal.postings]
    for (currency, layer), net in _nets(postings).items():
        if net:
            yield f"the trial balance of {layer} {currency} is {net}"


def _nets(postings: Iterable[Posting]) -> dict[tuple[str, Layer], int]:
    nets: dict[tuple[str, Layer], int] = defaultdict(int)
    for posting in postings:
        nets[posting.currency, posting.layer] += posting.debit_minor - posting.credit_minor
    return nets


def _balances(seen: Observation, layer: Layer) -> dict[tuple[str, str], int] | None:
    """Returns debits less credits by account code and currency, as the events posted them.

    What takes a journal back is left out: the payment is as it was before somebody corrected its
    books, and `_books_follow` says whether it takes back just that.
    """
    if seen.journals is None:
        return None
    balances: dict[tuple[str, str], int] = defaultdict(int)
    for journal in seen.journals:
        if _corrected(journal.id) is not None:
            continue
        for posting in journal.postings:
            if posting.layer is layer:
                code = posting.account.partition(":")[0]
                net = posting.debit_minor - posting.credit_minor
                balances[code, posting.currency] += net
    return balances


def _corrected(journal_id: str) -> str | None:
    """Names the journal that one takes back; None where it takes none back."""
    original, _, kind = journal_id.rpartition("/")
    return original if kind == REVERSAL else None


def _books_agree(seen: Observation) -> Iterable[str] | None:
    balances, payment = _balances(seen, Layer.POSTED), seen.payment
    if balances is None:
        return None
    posted = {
        code: net for (code, currency), net in balances.items() if currency == payment.currency
    }
    gone = payment.refunded_minor(RefundStatus.SUCCEEDED)
    going = payment.refunded_minor(RefundStatus.PENDING)
    platform_fee = -posted.get("4000", 0)
    owed = -(posted.get("2000", 0) + posted.get("2010", 0))
    expected = {
        "the receivable (1100)": (posted.get("1100", 0), payment.received_minor - gone),
        "refunds in flight (2200)": (-posted.get("2200", 0), going),
        "provider fees (5000)": (posted.get("5000", 0), -posted.get("2500", 0)),
        "owed to the merchant (2000 and 2010)": (
            owed,
            payment.received_minor - platform_fee - gone - going,
        ),
    }
    if payment.fees_minor is not None:
        expected["platform fees (4000)"] = (platform_fee, payment.fees_minor)
    if payment.is_settled:
        expected["pending to the merchant (2000)"] = (posted.get("2000", 0), 0)
    foreign = {key: net for key, net in balances.items() if key[1] != payment.currency and net}
    return [
        *(f"{name}: {net} instead of {due}" for name, (net, due) in expected.items() if net != due),
        *(f"{code} holds {net} {currency}" for (code, currency), net in foreign.items()),
    ]


def _books_follow(seen: Observation) -> Iterable[str] | None:
    """The journals are what the events post, and corrections of them."""
    if seen.journals is None or seen.record is None:
        return None
    try:
        posted = {journal.id: journal.postings for journal in replay(seen.record.events)[1]}
    except InvariantError:
        # That they do not add up is a violation by itself; what they post cannot be said.
        return []
    found = {journal.id: journal.postings for journal in seen.journals}
    corrections = {name: original for name in found if (original := _corrected(name)) is not None}
    return [
        *(f"{name} is not posted" for name in sorted(posted.keys() - found.keys())),
        *(
            f"no event posts {name}"
            for name in sorted(found.keys() - posted.keys() - corrections.keys())
        ),
        *(
            f"{name} does not take {original} back"
            for name, original in sorted(corrections.items())
            if found[name] != opposite(found.get(original, ()))
        ),
        *(
            f"{name} is not what its event posts"
            for name in sorted(posted.keys() & found.keys())
            if posted[name] != found[name]
        ),
    ]


def _no_hold_left(seen: Observation) -> Iterable[str] | None:
    balances, payment = _balances(seen, Layer.PENDING), seen.payment
    if balances is None:
        return None
    is_asked = bool(payment.charges) and payment.charges[-1].status is ChargeStatus.PENDING
    held = payment.amount_minor if is_asked or payment.capturable_minor else 0
    expected = {("1100", payment.currency): held, ("2000", payment.currency): -held}
    return [
        f"{code} holds {balances.get((code, currency), 0)} {currency} "
        f"instead of {expected.get((code, currency), 0)}"
        for code, currency in sorted(balances.keys() | expected.keys())
        if balances.get((code, currency), 0) != expected.get((code, currency), 0)
    ]


@dataclass(slots=True)
class _Moved:
    """What a card network did under one reference.

    Args: unfounded_minor: captured without an authorization of it.
    """

    reserved_minor: int
    taken_minor: int
    unfounded_minor: int = 0

    @classmethod
    def of(cls, movements: Iterable[Movement]) -> "_Moved":
        sums: Counter[Operation] = Counter()
        for movement in movements:
            sums[movement.operation] += movement.amount_minor
        authorized = sums[Operation.AUTHORIZATION] + sums[Operation.INCREMENT]
        taken = sums[Operation.SALE] + sums[Operation.CAPTURE] - sums[Operation.REFUND]
        unfounded = max(0, sums[Operation.CAPTURE] - authorized)
        if not authorized:
            # A sale is voided by giving back what was not refunded.
            return cls(0, taken - sums[Operation.VOID], unfounded)
        is_over = sums[Operation.CAPTURE] or sums[Operation.VOID]
        return cls(0 if is_over else authorized, taken, unfounded)


def _network_agrees(seen: Observation) -> Iterable[str] | None:
    if seen.network is None:
        return None
    return [*_strangers(seen.payment, seen.network), *_differences(seen.payment, seen.network)]


def _strangers(payment: PaymentFacts, network: tuple[Movement, ...]) -> Iterator[str]:
    ours = {charge.id for charge in payment.charges}
    for reference in sorted({movement.reference for movement in network} - ours):
        moved = _Moved.of(m for m in network if m.reference == reference)
        if moved.taken_minor or moved.reserved_minor:
            yield (
                f"{reference} is no charge of it, and the network has taken "
                f"{moved.taken_minor} and reserved {moved.reserved_minor}"
            )


def _differences(payment: PaymentFacts, network: tuple[Movement, ...]) -> Iterator[str]:
    for charge in payment.charges:
        movements = [movement for movement in network if movement.reference == charge.id]
        moved = _Moved.of(movements)
        taken, reserved = _due(payment, charge)
        if moved.taken_minor not in taken:
            yield f"{charge.id}: the network has taken {moved.taken_minor}, not {_bounds(taken)}"
        if moved.reserved_minor not in reserved:
            yield (
                f"{charge.id}: the network has reserved {moved.reserved_minor}, "
                f"not {_bounds(reserved)}"
            )
        if moved.unfounded_minor:
            yield f"{charge.id}: the network has captured {moved.unfounded_minor} unauthorized"
        currencies = {movement.currency for movement in movements} - {payment.currency}
        if currencies and (moved.taken_minor or moved.reserved_minor):
            yield f"{charge.id}: in {sorted(currencies)} instead of {payment.currency}"
    for refund in payment.refunds:
        found = [m.amount_minor for m in network if m.refund == refund.id]
        allowed = {
            RefundStatus.SUCCEEDED: ([refund.amount_minor],),
            RefundStatus.FAILED: ([],),
            RefundStatus.PENDING: ([], [refund.amount_minor]),
        }[refund.status]
        if found not in allowed:
            yield f"{refund.id} of {refund.amount_minor} is {refund.status}, by the network {found}"


def _due(payment: PaymentFacts, charge: ChargeFacts) -> tuple[range, range]:
    """Returns what the network may have taken, and reserved, for a charge."""
    is_latest = charge is payment.charges[-1]
    if payment.is_pending and is_latest:
        # Its outcome is not recorded yet.
        any_part = range(charge.amount_minor + payment.incrementing_minor + 1)
        return any_part, any_part
    gone = payment.refunded_minor(RefundStatus.SUCCEEDED, charge_id=charge.id)
    going = payment.refunded_minor(RefundStatus.PENDING, charge_id=charge.id)
    left = charge.captured_minor - gone
    held = payment.capturable_minor if is_latest else 0
    return range(left - going, left + 1), range(held, held + 1)


def _bounds(amounts: range) -> str:
    first, last = amounts[0], amounts[-1]
    return str(first) if first == last else f"{first} to {last}"


def _one_effect(seen: Observation) -> Iterable[str] | None:
    if seen.network is None:
        return None
    asked_for = Counter(movement.key for movement in seen.network)
    begins = {Operation.AUTHORIZATION, Operation.SALE}
    done = Counter(
        ("authorization" if m.operation in begins else str(m.operation), m.refund or m.reference)
        for m in seen.network
        # An authorization may be incremented more than once, each time under a key of its own.
        if m.operation is not Operation.INCREMENT
    )
    return [
        *(f"{key} had {count} effects" for key, count in asked_for.items() if count > 1),
        *(f"{count} times {what} of {of}" for (what, of), count in done.items() if count > 1),
    ]


def _told_once(seen: Observation) -> Iterable[str] | None:
    objects = seen.event_objects
    if objects is None:
        return None
    counted = Counter(item.id for item in objects.found)
    twice = [f"{name} is there {count} times" for name, count in counted.items() if count > 1]
    if seen.record is None:
        return [*twice, *_untold_state(seen.payment, objects)]
    try:
        history = History(seen.record.events)
    except InvariantError:
        return None
    untold = history.untold({item.id: item.type for item in objects.found}, objects.kept_from_ms)
    return twice if untold is None else [*twice, untold]


def _untold_state(payment: PaymentFacts, objects: EventObjects) -> Iterator[str]:
    """Compares with what the state alone says must have been told, where the history is not seen.

    What was told long ago is not kept, so nothing is expected of an observer who kept less than
    all.
    """
    if objects.kept_from_ms:
        return
    told = Counter((item.type, item.object_id) for item in objects.found)
    expected = [("payment_intent.created", payment.id)]
    if payment.status in _FINAL:
        expected.append((f"payment_intent.{payment.status}", payment.id))
    for charge in payment.charges:
        if charge.status is not ChargeStatus.PENDING:
            expected.append((f"charge.{charge.status}", charge.id))
    for refund in payment.refunds:
        expected.append(("refund.created", refund.id))
        if refund.status is RefundStatus.FAILED:
            expected.append(("refund.failed", refund.id))
    for event_type, object_id in expected:
        count = told[event_type, object_id]
        if count != 1:
            yield f"{event_type} of {object_id} was told {count} times"


def _delivery_tried(seen: Observation) -> Iterable[str] | None:
    objects = seen.event_objects
    if objects is None or any(item.untried is None for item in objects.found):
        return None
    return [
        f"{item.id} was not sent to {item.untried} webhook endpoints"
        for item in objects.found
        if item.untried
    ]


_CHECKS: Mapping[Rule, Check] = {
    Rule.CHARGED_ONCE: _charged_once,
    Rule.REFUNDS_WITHIN_CAPTURE: _refunds_within_capture,
    Rule.HAS_OWNER: _has_owner,
    Rule.NOT_OVERDUE: _not_overdue,
    Rule.STATE_IS_REPLAY: _state_is_replay,
    Rule.BOOKS_BALANCE: _books_balance,
    Rule.BOOKS_AGREE: _books_agree,
    Rule.BOOKS_FOLLOW: _books_follow,
    Rule.NO_HOLD_LEFT: _no_hold_left,
    Rule.NETWORK_AGREES: _network_agrees,
    Rule.ONE_EFFECT: _one_effect,
    Rule.TOLD_ONCE: _told_once,
    Rule.DELIVERY_TRIED: _delivery_tried,
}
