"""What must hold when everything has come to rest."""

from collections import Counter
from collections.abc import Iterable

from shared.domain.payment import ChargeStatus, Payment, PaymentStatus, RefundStatus
from tests.fault.simulation.clients import Order, is_final, outcome
from tests.fault.simulation.flows import PAY, REFUNDS
from tests.fault.simulation.world import SimulatedWorld
from tests.support.world import Answer

# Of these a payment, a charge or a refund has no more than one in its life.
ONCE = frozenset(
    {
        "payment_intent.created",
        "payment_intent.succeeded",
        "payment_intent.canceled",
        "charge.succeeded",
        "charge.failed",
        "charge.captured",
        "refund.created",
        "refund.failed",
    }
)
_NOT_PAID = frozenset({PaymentStatus.REQUIRES_PAYMENT_METHOD, PaymentStatus.CANCELED})


def check(world: SimulatedWorld, orders: Iterable[Order]) -> None:
    """Asserts everything.

    Raises: AssertionError with what does not hold.
    """
    with world.boundaries.paused():
        assert not world.boundaries.bugs, f"bugs: {world.boundaries.bugs}"
        assert not world.wrong_commits, f"gives back too much: {world.wrong_commits}"
        world.check()
        _check_owners(world)
        _check_network(world)
        _check_events(world)
        for order in orders:
            _check_answers(order.key, world.answers.get(order.key, ()))
            _check_order(world, order)
        assert not world.dead_letters, f"set aside: {world.dead_letters}"


def _check_owners(world: SimulatedWorld) -> None:
    for payment in world.database.payments.values():
        assert payment.pending is None, f"{payment.id} left pending: {payment.pending}"
        open_refunds = [r.id for r in payment.refunds if r.status is RefundStatus.PENDING]
        assert not open_refunds, f"refunds left pending: {open_refunds}"
        pending = [c.id for c in payment.charges if c.status is ChargeStatus.PENDING]
        assert not pending, f"charges left pending: {pending}"
        assert payment.status is not PaymentStatus.PROCESSING, f"{payment.id} left processing"


def _check_network(world: SimulatedWorld) -> None:
    """Money that the network holds or took is money of a payment that we know."""
    now_ms = world.clock.now_ms()
    for authorization in world.provider.authorizations.values():
        if authorization.status != "approved":
            continue
        payment = world.database.payments.get(authorization.payment_intent)
        assert payment is not None, f"{authorization.reference} is of no payment: it is lost"
    for payment_id in world.database.payments:
        taken = [
            authorization.reference
            for authorization in world.provider.authorizations.values()
            if authorization.payment_intent == payment_id
            and authorization.status == "approved"
            and authorization.refundable_minor(now_ms) > 0
        ]
        assert len(taken) <= 1, f"{payment_id} is charged by {taken}"


def _check_events(world: SimulatedWorld) -> None:
    """Every change that is announced made its event objects, once, and each was delivered."""
    events = {d.id: d for d in world.database.documents.values() if d.kind == "event"}
    missing, surplus = world.expected_events - set(events), set(events) - world.expected_events
    assert not missing, f"never announced: {sorted(missing)}"
    assert not surplus, f"announced, and did not happen: {sorted(surplus)}"
    to_tell = {name for name, event in events.items() if event.data["endpoints"]}
    unheard = to_tell - set(world.endpoint.heard)
    assert not unheard, f"never delivered: {sorted(events[e].data['type'] for e in unheard)}"
    told = Counter(
        (event.data["type"], event.data["data"]["object"]["id"]) for event in events.values()
    )
    twice = [facts for facts, count in told.items() if count > 1 and facts[0] in ONCE]
    assert not twice, f"announced twice: {twice}"


def _check_answers(key: str, answers: Iterable[Answer]) -> None:
    """All who ask under one key are answered the same: that it was done, or that it was not."""
    final = {outcome(answer) for answer in answers if is_final(answer)}
    assert len({status for status, _ in final}) <= 1, f"{key} was answered {sorted(final, key=str)}"


def _check_order(world: SimulatedWorld, order: Order) -> None:
    made = _payments_of(world, order)
    assert len(made) <= 1, f"one order made {[payment.id for payment in made]}"
    if not order.is_answered or not made:
        # A client that was told of money moved must be right; one that heard nothing may not be.
        assert not order.is_answered or order.result[0] == 400, f"{order.result} of no payment"
        return
    (payment,) = made
    _, said = order.result
    if order.result[0] == 400:
        return
    if order.path == REFUNDS:
        _check_refund(payment, order)
    elif order.result[0] == 402 and order.path == PAY:
        assert payment.amount_received_minor == 0, f"{payment.id} was declined and charged"
        assert payment.status in _NOT_PAID, f"{payment.id} was declined and is {payment.status}"
    elif said in {"succeeded", "canceled"}:
        assert payment.status == said, f"{payment.id} was {said} and is {payment.status}"


def _check_refund(payment: Payment, order: Order) -> None:
    refund = payment.refund(order.object_id or "")
    assert refund is not None, f"refund {order.object_id} is lost"
    if order.result == (200, "failed"):
        assert refund.status is RefundStatus.FAILED, f"{refund.id} had failed"
    returned = refund.failure_reason == "expired_or_canceled_card"
    if order.result == (200, "succeeded"):
        assert refund.status is RefundStatus.SUCCEEDED or returned, f"{refund.id} had succeeded"


def _payments_of(world: SimulatedWorld, order: Order) -> list[Payment]:
    payments = world.database.payments.values()
    if order.path == PAY:
        return [p for p in payments if p.details["metadata"].get("order") == order.key]
    if order.path == REFUNDS:
        return [p for p in payments if p.id == order.params["payment_intent"]]
    return [p for p in payments if p.id == order.path.split("/")[3]]
