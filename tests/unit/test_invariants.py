"""Each invariant finds what breaks it, and nothing in what is sound."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.errors import UnknownOutcomeError
from shared.domain.ids import event_id
from shared.domain.invariants import (
    OVERDUE_AFTER_MS,
    ChargeFacts,
    EventObject,
    EventObjects,
    JournalFacts,
    Movement,
    Observation,
    Rule,
    skipped,
    unbalanced,
    violations,
)
from shared.domain.ledger import Layer, Posting, opposite
from shared.domain.payment import ChargeStatus, PaymentStatus, RefundStatus
from shared.domain.sandbox_network import Operation
from tests.support.faults import fail_provider
from tests.support.telling import TellingWorld

Break = Callable[[Observation], Observation]


def rules(seen: Observation) -> set[Rule]:
    return {violation.rule for violation in violations(seen)}


def paid() -> Observation:
    """A payment of 20.00 that is captured, settled and has 5.00 refunded."""
    world = TellingWorld()
    merchant = world.merchant()
    payment = world.pay(merchant).body["id"]
    world.settle(payment)
    world.call("POST", "/v1/refunds", {"payment_intent": payment, "amount": 500}, merchant=merchant)
    return world.observe(payment)


def held() -> Observation:
    """An authorization that waits for its merchant to capture it."""
    world = TellingWorld()
    return world.observe(world.pay(world.merchant(), capture_method="manual").body["id"])


def lost() -> Observation:
    """A payment whose outcome is unknown."""
    world = TellingWorld()
    merchant = world.merchant()
    fail_provider(world, None, "after_effect", UnknownOutcomeError("lost"), times=9)
    world.pay(merchant)
    (payment,) = world.database.payments
    return world.observe(payment)


def corrected() -> Observation:
    """A payment all of whose journals were taken back."""
    seen = paid()
    taken_back = [
        JournalFacts(f"{j.id}/reversal", opposite(j.postings)) for j in seen.journals or ()
    ]
    return of_journals(lambda found: found.extend(taken_back))(seen)


def of_payment(**changes: Any) -> Break:
    return lambda seen: replace(seen, payment=replace(seen.payment, **changes))


def of_charge(**changes: Any) -> Break:
    def broken(seen: Observation) -> Observation:
        *others, latest = seen.payment.charges
        return of_payment(charges=(*others, replace(latest, **changes)))(seen)

    return broken


def of_refund(**changes: Any) -> Break:
    def broken(seen: Observation) -> Observation:
        (refund,) = seen.payment.refunds
        return of_payment(refunds=(replace(refund, **changes),))(seen)

    return broken


def of_record(**changes: Any) -> Break:
    def broken(seen: Observation) -> Observation:
        assert seen.record is not None
        snapshot = replace(seen.record.snapshot, **changes)
        return replace(seen, record=replace(seen.record, snapshot=snapshot))

    return broken


def without_event(version: int) -> Break:
    def broken(seen: Observation) -> Observation:
        assert seen.record is not None
        events = tuple(event for event in seen.record.events if event.version != version)
        return replace(seen, record=replace(seen.record, events=events))

    return broken


def of_journals(change: Callable[[list[JournalFacts]], Any]) -> Break:
    def broken(seen: Observation) -> Observation:
        assert seen.journals is not None
        journals = list(seen.journals)
        change(journals)
        return replace(seen, journals=tuple(journals))

    return broken


def post(code: str, debit: int, credit: int, layer: Layer = Layer.POSTED) -> Posting:
    return Posting(f"{code}:an:account", "usd", debit, credit, layer)


GIFT = (post("2900", 7, 0), post("2010", 0, 7))


def without_journal(kind: str) -> Break:
    def remove(journals: list[JournalFacts]) -> None:
        journals[:] = [journal for journal in journals if f"/{kind}" not in journal.id]

    return of_journals(remove)


def with_journal(*postings: Posting) -> Break:
    return of_journals(lambda journals: journals.append(JournalFacts("one/more", postings)))


def of_network(change: Callable[[list[Movement]], Any]) -> Break:
    def broken(seen: Observation) -> Observation:
        assert seen.network is not None
        network = list(seen.network)
        change(network)
        return replace(seen, network=tuple(network))

    return broken


def again(operation: Operation, **changes: Any) -> Break:
    """Makes an operation take effect once more, under a key of its own unless told otherwise."""

    def repeat(network: list[Movement]) -> None:
        once = next(movement for movement in network if movement.operation is operation)
        network.append(replace(once, **{"key": "another", **changes}))

    return of_network(repeat)


def of_objects(change: Callable[[list[EventObject]], Any]) -> Break:
    def broken(seen: Observation) -> Observation:
        assert seen.event_objects is not None
        found = list(seen.event_objects.found)
        change(found)
        return replace(seen, event_objects=EventObjects(tuple(found)))

    return broken


def stray(seen: Observation) -> Observation:
    event = EventObject(event_id(seen.payment.id, 9, 0), "charge.succeeded", "ch_1", untried=0)
    return of_objects(lambda found: found.append(event))(seen)


def earlier_charge(status: ChargeStatus) -> Break:
    charge = ChargeFacts("ch_earlier", status, 2000, 0)
    return lambda seen: of_payment(charges=(charge, *seen.payment.charges))(seen)


def taken_though_it_failed(seen: Observation) -> Observation:
    failed = earlier_charge(ChargeStatus.FAILED)(seen)
    return again(Operation.SALE, reference="ch_earlier")(failed)


def later(seen: Observation) -> Observation:
    assert seen.payment.due_dates is not None
    (due_ms,) = seen.payment.due_dates
    assert due_ms is not None
    on_time = replace(seen, now_ms=due_ms + OVERDUE_AFTER_MS)
    assert rules(on_time) == set()
    return replace(seen, now_ms=on_time.now_ms + 1)


SOUND: dict[str, Callable[[], Observation]] = {
    "paid": paid,
    "corrected": corrected,
    "held": held,
    "lost": lost,
}
BROKEN: list[tuple[Rule, str, str, Break]] = [
    (Rule.CHARGED_ONCE, "captured_in_part", "paid", of_charge(captured_minor=1999)),
    (Rule.CHARGED_ONCE, "received_more", "paid", of_payment(received_minor=2001)),
    (Rule.CHARGED_ONCE, "captured_above", "paid", of_charge(amount_minor=1999)),
    (Rule.CHARGED_ONCE, "captured_failed", "paid", of_charge(status=ChargeStatus.FAILED)),
    (
        Rule.CHARGED_ONCE,
        "captured_twice",
        "paid",
        lambda seen: of_payment(charges=(*seen.payment.charges, *seen.payment.charges))(seen),
    ),
    (Rule.CHARGED_ONCE, "approved_twice", "paid", earlier_charge(ChargeStatus.SUCCEEDED)),
    (Rule.REFUNDS_WITHIN_CAPTURE, "too_much", "paid", of_refund(amount_minor=2001)),
    (Rule.REFUNDS_WITHIN_CAPTURE, "nothing", "paid", of_refund(amount_minor=0)),
    (
        Rule.REFUNDS_WITHIN_CAPTURE,
        "pending_too_much",
        "paid",
        of_refund(amount_minor=2001, status=RefundStatus.PENDING),
    ),
    (Rule.HAS_OWNER, "processing", "held", of_payment(status=PaymentStatus.PROCESSING)),
    (Rule.HAS_OWNER, "nobody_captures", "held", of_payment(is_automatic=True)),
    (Rule.HAS_OWNER, "pending_charge", "held", of_charge(status=ChargeStatus.PENDING)),
    (Rule.HAS_OWNER, "final_and_pending", "paid", of_payment(is_pending=True)),
    (Rule.NOT_OVERDUE, "late", "lost", later),
    (Rule.STATE_IS_REPLAY, "other_amount", "paid", of_record(amount_received_minor=1)),
    (Rule.STATE_IS_REPLAY, "lost_event", "paid", without_event(3)),
    (Rule.STATE_IS_REPLAY, "lost_last_event", "held", without_event(3)),
    (Rule.BOOKS_BALANCE, "lopsided", "paid", with_journal(post("4000", 7, 0))),
    (
        Rule.BOOKS_BALANCE,
        "across_layers",
        "paid",
        with_journal(post("1100", 7, 0), post("2000", 0, 7, Layer.PENDING)),
    ),
    (Rule.BOOKS_BALANCE, "twice", "paid", of_journals(lambda found: found.append(found[0]))),
    (Rule.BOOKS_AGREE, "lost_capture", "paid", without_journal("capture")),
    (Rule.BOOKS_AGREE, "lost_fee", "paid", without_journal("fee")),
    (Rule.BOOKS_AGREE, "lost_settlement", "paid", without_journal("settle")),
    (Rule.BOOKS_AGREE, "lost_request", "paid", without_journal("refund_request")),
    (Rule.BOOKS_AGREE, "lost_acceptance", "paid", without_journal("refund_accept")),
    (Rule.BOOKS_AGREE, "other_fees", "paid", of_payment(fees_minor=1)),
    (Rule.BOOKS_AGREE, "other_currency", "paid", of_payment(currency="eur")),
    (Rule.BOOKS_FOLLOW, "lost", "paid", without_journal("fee")),
    (Rule.BOOKS_FOLLOW, "invented", "paid", with_journal(post("1100", 7, 0), post("2000", 0, 7))),
    (
        Rule.BOOKS_FOLLOW,
        "altered",
        "paid",
        of_journals(lambda found: found.__setitem__(0, replace(found[0], postings=()))),
    ),
    (
        Rule.BOOKS_FOLLOW,
        "corrected_by_more",
        "corrected",
        of_journals(lambda found: found.__setitem__(-1, replace(found[-1], postings=GIFT))),
    ),
    (
        Rule.BOOKS_FOLLOW,
        "corrected_nothing",
        "paid",
        of_journals(lambda found: found.append(JournalFacts("one/reversal", GIFT))),
    ),
    (Rule.NO_HOLD_LEFT, "held_when_paid", "paid", without_journal("capture")),
    (Rule.NO_HOLD_LEFT, "not_held", "held", without_journal("hold")),
    (Rule.NO_HOLD_LEFT, "not_held_when_asked", "lost", without_journal("hold")),
    (Rule.NETWORK_AGREES, "charged_twice", "paid", again(Operation.SALE)),
    (Rule.NETWORK_AGREES, "not_charged", "paid", of_network(lambda found: found.clear())),
    (Rule.NETWORK_AGREES, "refunded_twice", "paid", again(Operation.REFUND)),
    (
        Rule.NETWORK_AGREES,
        "strange_charge",
        "held",
        again(Operation.AUTHORIZATION, reference="ch_x"),
    ),
    (Rule.NETWORK_AGREES, "other_currency", "held", of_payment(currency="eur")),
    (
        Rule.NETWORK_AGREES,
        "refund_of_another_amount",
        "paid",
        again(Operation.REFUND, refund="re_x", amount_minor=1),
    ),
    (Rule.NETWORK_AGREES, "reserved", "held", of_payment(capturable_minor=0)),
    (Rule.NETWORK_AGREES, "failed_and_taken", "paid", taken_though_it_failed),
    (Rule.NETWORK_AGREES, "more_than_asked", "lost", again(Operation.SALE, amount_minor=1)),
    (Rule.ONE_EFFECT, "key_twice", "paid", again(Operation.SALE, key="same", amount_minor=0)),
    (Rule.ONE_EFFECT, "operation_twice", "lost", again(Operation.SALE, amount_minor=0)),
    (Rule.ONE_EFFECT, "refund_twice", "paid", again(Operation.REFUND)),
    (Rule.TOLD_ONCE, "lost", "paid", of_objects(lambda found: found.pop(0))),
    (Rule.TOLD_ONCE, "twice", "paid", of_objects(lambda found: found.append(found[0]))),
    (Rule.TOLD_ONCE, "stray", "paid", stray),
    (Rule.TOLD_ONCE, "nothing_told", "lost", of_objects(lambda found: found.clear())),
    (
        Rule.DELIVERY_TRIED,
        "nobody_tried",
        "paid",
        of_objects(lambda found: found.__setitem__(0, replace(found[0], untried=2))),
    ),
]


@pytest.mark.parametrize("name", SOUND)
def test_violations_sound_payment_has_none_and_all_rules_are_judged(name: str) -> None:
    # when
    seen = SOUND[name]()
    # then
    assert violations(seen) == ()
    assert skipped(seen) == ()


def test_every_rule_has_something_that_breaks_it() -> None:
    assert {rule for rule, *_ in BROKEN} == set(Rule) - {Rule.RECORD_IS_READABLE}


@pytest.mark.parametrize(
    ("rule", "sound", "broken"),
    [
        pytest.param(rule, sound, broken, id=f"{rule}-{name}")
        for rule, name, sound, broken in BROKEN
    ],
)
def test_violations_broken_payment_is_found_with_its_id(
    rule: Rule, sound: str, broken: Break
) -> None:
    # given
    seen = broken(SOUND[sound]())
    # when
    found = violations(seen)
    # then
    assert rule in {violation.rule for violation in found}
    assert {violation.payment for violation in found} == {seen.payment.id}
    assert all(violation.message for violation in found)
    assert "4242" not in str(found)


def test_violations_parts_that_were_not_seen_are_said_to_be_skipped() -> None:
    # given: no more than an ordinary client of the API sees
    seen = replace(paid(), record=None, journals=None, network=None, event_objects=None)
    seen = of_payment(due_dates=None, fees_minor=None, is_settled=None)(seen)
    # then
    assert violations(seen) == ()
    assert set(skipped(seen)) == {
        Rule.NOT_OVERDUE,
        Rule.STATE_IS_REPLAY,
        Rule.BOOKS_BALANCE,
        Rule.BOOKS_AGREE,
        Rule.BOOKS_FOLLOW,
        Rule.NO_HOLD_LEFT,
        Rule.NETWORK_AGREES,
        Rule.ONE_EFFECT,
        Rule.TOLD_ONCE,
        Rule.DELIVERY_TRIED,
    }


def test_violations_what_waits_for_a_person_is_not_overdue() -> None:
    # given
    seen = of_payment(due_dates=(None,))(lost())
    # then
    assert violations(replace(seen, now_ms=seen.now_ms + 10**12)) == ()


def test_violations_event_objects_of_long_ago_may_have_expired() -> None:
    # given
    seen = paid()
    assert seen.event_objects is not None
    kept = EventObjects((), kept_from_ms=seen.now_ms + 1)
    # then
    assert rules(replace(seen, event_objects=replace(kept, kept_from_ms=seen.now_ms))) == {
        Rule.TOLD_ONCE
    }
    assert rules(replace(seen, event_objects=kept)) == set()
    assert rules(stray(replace(seen, event_objects=kept))) == {Rule.TOLD_ONCE}


@pytest.mark.parametrize("fault", ["lost", "twice"])
def test_violations_event_objects_without_a_history_are_held_against_the_state(fault: str) -> None:
    # given
    seen = replace(paid(), record=None)
    assert violations(seen) == ()
    assert seen.event_objects is not None
    must_be_told = {
        "payment_intent.created",
        "payment_intent.succeeded",
        "charge.succeeded",
        "refund.created",
    }
    # then
    for event in seen.event_objects.found:
        others = [other for other in seen.event_objects.found if other is not event]
        found = others if fault == "lost" else [*others, event, replace(event, id="evt_x")]
        broken = replace(seen, event_objects=EventObjects(tuple(found)))
        assert (Rule.TOLD_ONCE in rules(broken)) == (event.type in must_be_told), event


def test_unbalanced_books_of_many_payments_are_one_sum() -> None:
    # given
    one, other = JournalFacts("a", (post("1100", 7, 0),)), JournalFacts("b", (post("2000", 0, 7),))
    # then
    assert unbalanced(()) == ()
    messages = [violation.message for violation in unbalanced([one, other])]
    assert messages == [
        "a does not balance in posted usd: 7",
        "b does not balance in posted usd: -7",
    ]
    assert unbalanced([one])[-1].message == "the trial balance of posted usd is 7"
    assert {violation.payment for violation in unbalanced([one])} == {None}


MOVES = st.lists(
    st.sampled_from(["capture", "cancel", "refund", "refund_all", "confirm", "settle", "lose"]),
    max_size=5,
)
CARDS = st.sampled_from(
    ["pm_card_visa", "pm_card_chargeDeclined", "pm_card_refundFail", "pm_card_pendingRefund"]
)


def live(card: str, method: str, moves: list[str], has_sale: bool, ticks: bool) -> Observation:
    """Lets a payment live; the clock stands unless it ticks, so that all is of one time."""
    world = TellingWorld(has_sale=has_sale)
    merchant = world.merchant()
    world.pay(merchant, payment_method=card, capture_method=method)
    (payment,) = world.database.payments
    path = f"/v1/payment_intents/{payment}"
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "capture": (f"{path}/capture", {"amount_to_capture": 700}),
        "cancel": (f"{path}/cancel", {}),
        "confirm": (f"{path}/confirm", {"payment_method": "pm_card_visa"}),
        "refund": ("/v1/refunds", {"payment_intent": payment, "amount": 300}),
        "refund_all": ("/v1/refunds", {"payment_intent": payment}),
    }
    for move in moves:
        world.clock.advance(1 if ticks else 0)
        if move == "settle":
            world.settle(payment)
        elif move == "lose":
            fail_provider(world, None, "after_effect", UnknownOutcomeError("lost"))
        else:
            target, params = requests[move]
            world.call("POST", target, params, merchant=merchant)
    world.deliver_notices()
    return world.observe(payment)


@settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    card=CARDS,
    method=st.sampled_from(["automatic", "manual"]),
    moves=MOVES,
    has_sale=st.booleans(),
    ticks=st.booleans(),
)
def test_violations_any_one_thing_lost_or_doubled_is_found(
    card: str, method: str, moves: list[str], has_sale: bool, ticks: bool
) -> None:
    # given
    seen = live(card, method, moves, has_sale, ticks)
    assert violations(seen) == ()
    assert seen.event_objects is not None
    assert seen.journals is not None
    assert seen.network is not None
    # then
    for index, event in enumerate(seen.event_objects.found):
        assert Rule.TOLD_ONCE in rules(of_objects(lambda f, i=index: f.pop(i))(seen)), event  # type: ignore[misc]
    for index, journal in enumerate(seen.journals):
        books = {Rule.BOOKS_AGREE, Rule.NO_HOLD_LEFT}
        double = JournalFacts("another", journal.postings)
        assert books & rules(of_journals(lambda j, i=index: j.pop(i))(seen)), journal  # type: ignore[misc]
        assert books & rules(of_journals(lambda j, d=double: j.append(d))(seen)), journal  # type: ignore[misc]
    for movement in seen.network:
        double_effect = of_network(lambda n, m=movement: n.append(replace(m, key="another")))  # type: ignore[misc]
        assert Rule.ONE_EFFECT in rules(double_effect(seen)), movement
        if not seen.payment.is_pending and all(
            refund.status is not RefundStatus.PENDING for refund in seen.payment.refunds
        ):
            lose = of_network(lambda n, m=movement: n.remove(m))  # type: ignore[misc]
            assert Rule.NETWORK_AGREES in rules(lose(seen)), movement
