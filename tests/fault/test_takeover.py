"""A run that stands still while another goes on with its operation, and then goes on itself.

A saga outlives its request, the claim's lease and the operation's due date. Whoever goes on with an
operation takes it over first; from then on, nobody else says that nothing was sent. A request that
comes again finds what became of it, whatever was done on the payment since.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.changes import PaymentChange
from shared.domain.documents import Document, ListEntry
from shared.domain.errors import ProviderUnavailableError, UnknownOutcomeError
from shared.domain.events import EventType
from shared.domain.idempotency import LEASE_MS
from shared.domain.payment import Payment, PaymentStatus
from shared.domain.resolution import MINUTE_MS, SWEEP_AFTER_MS
from shared.domain.sandbox_network import Command, Operation, operation_of
from tests.support.documents import audited
from tests.support.faults import (
    CrashError,
    State,
    crash_before,
    deliver_twice,
    fail_provider,
    on_provider,
)
from tests.support.machine_world import MachineWorld
from tests.support.world import CARD, Answer, Merchant, World

KEY = "order-1"
OVERDUE_MS = MINUTE_MS + SWEEP_AFTER_MS + 1
DECLINED_CARD, GOOD_CARD = "4000000000000002", "4242424242424242"


@pytest.fixture(params=[World, MachineWorld], ids=["table", "machines"])
def world(request: pytest.FixtureRequest) -> World:
    platform: type[World] = request.param
    return platform()


@pytest.fixture
def merchant(world: World) -> Merchant:
    return world.merchant()


def hold_back(world: World, step: str, meanwhile: Callable[[Callable[[], None]], None]) -> None:
    """Makes the next run of a step stand still.

    Args: meanwhile: what happens before it goes on, which it does when the argument is called.
    """
    real = world.steps[step]

    def held(state: State) -> State:
        world.steps[step] = real
        ends: list[State | UnknownOutcomeError] = []

        def go_on() -> None:
            try:
                ends.append(real(state))
            except UnknownOutcomeError as error:
                ends.append(error)

        meanwhile(go_on)
        (end,) = ends
        if isinstance(end, UnknownOutcomeError):
            raise end
        return end

    world.steps[step] = held


def lose_answer(world: World) -> Callable[[], None]:
    """Makes the API die before it stores an answer; returns what repairs it."""
    real = world.idempotency.answer
    world.idempotency.answer = lambda *_: None  # type: ignore[method-assign]

    def repair() -> None:
        world.idempotency.answer = real  # type: ignore[method-assign]

    return repair


def retry_after_lease(world: World, send: Callable[[], Answer]) -> Answer:
    world.clock.advance(LEASE_MS + 1)
    return send()


def sweep_when_overdue(world: World) -> None:
    world.clock.advance(OVERDUE_MS)
    world.sweep()


def only_payment(world: World) -> Payment:
    (payment,) = world.database.payments.values()
    return payment


def held(world: World, merchant: Merchant) -> str:
    return str(world.pay(merchant, capture_method="manual").body["id"])


def unconfirmed(world: World, merchant: Merchant, **params: str) -> str:
    return str(world.pay(merchant, confirm="false", **params).body["id"])


def confirm(world: World, merchant: Merchant, payment_id: str, method: str, key: str) -> Answer:
    path = f"/v1/payment_intents/{payment_id}/confirm"
    return world.call("POST", path, {"payment_method": method}, merchant=merchant, key=key)


def payment_method(world: World, merchant: Merchant, number: str = GOOD_CARD) -> str:
    params = {"type": "card", "card": {**CARD, "number": number}}
    answer = world.call("POST", "/v1/payment_methods", params, merchant=merchant)
    return str(answer.body["id"])


# --- a run that stands still


@pytest.mark.parametrize("ended_by", ["retry", "resolver"])
def test_release_of_an_ended_attempt_leaves_the_next_one_alone(
    world: World, merchant: Merchant, ended_by: str
) -> None:
    # given: a step died, its attempt is voided, and the release stands still
    crash_before(world, "authorize_payment")
    key = KEY if ended_by == "retry" else None
    answers: list[Answer] = []

    def meanwhile(go_on: Callable[[], None]) -> None:
        if ended_by == "retry":
            retry_after_lease(world, lambda: world.pay(merchant, key=key))
        else:
            sweep_when_overdue(world)
        on_provider(world, Operation.SALE, "after_effect", go_on)
        payment_id = only_payment(world).id
        answers.append(confirm(world, merchant, payment_id, "pm_card_mastercard", "order-2"))

    hold_back(world, "release_funds", meanwhile)
    # when: it goes on while the network takes the money of the customer's other card
    world.pay(merchant, key=key)
    # then
    assert [(answer.status, answer.body["status"]) for answer in answers] == [(200, "succeeded")]
    payment = only_payment(world)
    assert [charge.status for charge in payment.charges] == ["failed", "succeeded"]
    assert len(world.provider.effects(Operation.SALE)) == 1
    assert payment.pending is None
    world.check()


@pytest.mark.parametrize(
    ("operation", "taken_by"),
    [
        (Operation.SALE, "retry"),
        (Operation.REFUND, "retry"),
        (Operation.REFUND, "resolver"),
    ],
)
def test_release_of_what_another_run_sends_concludes_nothing(
    world: World, merchant: Merchant, operation: Operation, taken_by: str
) -> None:
    # given: the provider could not be reached, and the release stands still
    if operation is Operation.SALE:
        path, params = "/v1/payment_intents", {"amount": 2000, "currency": "usd"}
        params |= {"confirm": "true", "payment_method": "pm_card_visa"}
    else:
        path, params = "/v1/refunds", {"payment_intent": world.pay(merchant).body["id"]}

    def send() -> Answer:
        return world.call("POST", path, params, merchant=merchant, key=KEY)

    def meanwhile(go_on: Callable[[], None]) -> None:
        on_provider(world, operation, "after_effect", go_on)
        if taken_by == "retry":
            answers.append(retry_after_lease(world, send))
        else:
            sweep_when_overdue(world)

    fail_provider(world, operation, "before_send", ProviderUnavailableError("down"))
    hold_back(world, "release_funds", meanwhile)
    answers: list[Answer] = []
    # when: it goes on between the other run's word from the provider and its record
    answers.append(send())
    # then
    assert {(answer.status, answer.body["status"]) for answer in answers} == {(200, "succeeded")}
    assert len(world.provider.effects(operation)) == 1
    assert not only_payment(world).is_open
    world.check()


@pytest.mark.parametrize("taken_by", ["retry", "resolver"])
@pytest.mark.parametrize(
    ("verb", "operation", "final"),
    [
        ("capture", Operation.CAPTURE, PaymentStatus.SUCCEEDED),
        ("cancel", Operation.VOID, PaymentStatus.CANCELED),
    ],
)
def test_step_that_cannot_connect_while_another_run_sends_concludes_nothing(
    world: World,
    merchant: Merchant,
    verb: str,
    operation: Operation,
    final: PaymentStatus,
    taken_by: str,
) -> None:
    # given
    payment_id = held(world, merchant)
    sent: list[Command] = []

    def send() -> Answer:
        path = f"/v1/payment_intents/{payment_id}/{verb}"
        return world.call("POST", path, merchant=merchant, key=KEY)

    def fault(moment: str, command: Command) -> None:
        if operation_of(command) is not operation or len(sent) > 1:
            return
        if moment == "after_effect":
            sent.append(command)
            raise CrashError
        if not sent:
            # The first stands still before it connects; the other sends, and dies.
            sent.append(command)
            if taken_by == "retry":
                retry_after_lease(world, send)
            else:
                sweep_when_overdue(world)
            raise ProviderUnavailableError("down")

    world.provider.fault = fault
    # when
    answer = send()
    # then
    assert (answer.status, answer.body["status"]) == (200, "processing")
    assert world.load(payment_id).pending is not None
    # when
    sweep_when_overdue(world)
    # then
    assert world.load(payment_id).status is final
    assert len(world.provider.effects(operation)) == 1
    world.check()


def capture(world: World, merchant: Merchant, payment_id: str, key: str, **params: Any) -> Answer:
    path = f"/v1/payment_intents/{payment_id}/capture"
    return world.call("POST", path, params, merchant=merchant, key=key)


def capture_that_stands_still(
    world: World, merchant: Merchant, payment_id: str
) -> Callable[[], None]:
    """Asks for a capture of 5.00; its step dies before it connects.

    Returns: what makes the step go on, so late that it cannot reach the provider.
    """
    real, states = world.steps["capture_payment"], list[State]()

    def observed(state: State) -> State:
        world.steps["capture_payment"] = real
        states.append(state)
        return real(state)

    world.steps["capture_payment"] = observed
    fail_provider(world, Operation.CAPTURE, "before_send", CrashError("stands still"))
    capture(world, merchant, payment_id, KEY, amount_to_capture=500)

    def go_on() -> None:
        fail_provider(world, Operation.CAPTURE, "before_send", ProviderUnavailableError("down"))
        real(states[0])

    return go_on


def test_capture_asked_for_by_the_resolver_is_not_recorded_on_the_next_one(
    world: World, merchant: Merchant
) -> None:
    # given: the resolver has captured 5.00, and not recorded it
    payment_id = held(world, merchant)
    go_on = capture_that_stands_still(world, merchant, payment_id)

    def interrupt() -> None:
        # The step concludes what it can, and the merchant asks for all.
        go_on()
        capture(world, merchant, payment_id, "order-2")

    on_provider(world, Operation.CAPTURE, "after_effect", interrupt)
    # when
    sweep_when_overdue(world)
    # then
    payment = world.load(payment_id)
    assert (payment.status, payment.amount_received_minor) == (PaymentStatus.SUCCEEDED, 500)
    world.check()


def test_resolver_that_came_for_a_refused_capture_leaves_the_next_one_alone(
    world: World, merchant: Merchant
) -> None:
    # given: the resolver has read a capture of 5.00 that is due, and not taken it over yet
    payment_id = held(world, merchant)
    go_on = capture_that_stands_still(world, merchant, payment_id)
    real = world.payments.commit

    def commit(change: PaymentChange) -> None:
        if change.events[0].type is EventType.OPERATION_TAKEN_OVER:
            world.payments.commit = real  # type: ignore[method-assign]
            # Its own run says rightly that it was not sent; the merchant asks for all.
            go_on()
            fail_provider(world, Operation.CAPTURE, "before_send", CrashError("on its way"))
            capture(world, merchant, payment_id, "order-2")
        real(change)

    world.payments.commit = commit  # type: ignore[method-assign]
    # when
    sweep_when_overdue(world)
    # then
    assert world.provider.effects(Operation.CAPTURE) == []
    # when
    sweep_when_overdue(world)
    # then
    payment = world.load(payment_id)
    assert (payment.status, payment.amount_received_minor) == (PaymentStatus.SUCCEEDED, 2000)
    world.check()


def test_execution_that_comes_late_and_dies_does_not_release_what_another_sends(
    world: World, merchant: Merchant
) -> None:
    # given: the first execution is on its way to the platform when the SDK asks again
    sagas = world.sagas()
    real_run, real_step = sagas.run, world.steps["authorize_payment"]
    late: list[tuple[str, State]] = []

    def run(saga: str, saga_input: State) -> State:
        sagas.run = real_run  # type: ignore[method-assign]
        late.append((saga, saga_input))
        raise UnknownOutcomeError("late")

    def authorize(state: State) -> State:
        # It arrives while the second is about to ask the provider, and dies.
        world.steps["authorize_payment"] = real_step
        crash_before(world, "validate_payment")
        try:
            real_run(*late[0])
        except UnknownOutcomeError:
            late.clear()
        return real_step(state)

    sagas.run = run  # type: ignore[method-assign]
    world.steps["authorize_payment"] = authorize
    assert world.pay(merchant, key=KEY).status == 500
    # when
    answer = world.pay(merchant, key=KEY)
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    assert len(world.provider.effects(Operation.SALE)) == 1
    world.check()


# --- a request that comes again


def test_retries_at_once_after_the_lease_are_resumed_once(world: World, merchant: Merchant) -> None:
    # given: a request that died, and whose lease is over
    crash_before(world, "authorize_payment")
    crash_before(world, "void_authorization")
    world.pay(merchant, key=KEY)
    world.clock.advance(LEASE_MS + 1)
    twins: list[Answer] = []
    on_provider(
        world,
        Operation.SALE,
        "before_send",
        lambda: twins.append(world.pay(merchant, key=KEY)),
    )
    # when
    answer = world.pay(merchant, key=KEY)
    # then: the resumed run has a lease of its own
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    assert [twin.status for twin in twins] == [409]
    assert twins[0].body["error"]["code"] == "idempotency_key_in_use"
    world.check()


def test_retry_of_a_confirmation_whose_first_step_comes_twice_is_carried_out(
    world: World, merchant: Merchant
) -> None:
    # given: a confirmation that died, and whose lease is over
    payment_id = unconfirmed(world, merchant)
    crash_before(world, "authorize_payment")
    crash_before(world, "void_authorization")
    confirm(world, merchant, payment_id, "pm_card_visa", KEY)
    deliver_twice(world, "reserve_funds")
    # when
    answer = retry_after_lease(
        world, lambda: confirm(world, merchant, payment_id, "pm_card_visa", KEY)
    )
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    world.check()


@pytest.mark.parametrize("method", ["its_own", "pm_card_visa"])
def test_confirmation_that_failed_is_not_carried_out_again_after_another(
    world: World, merchant: Merchant, method: str
) -> None:
    # given: a confirmation never arrived, was ended as failed, and another was declined
    payment_id = unconfirmed(world, merchant)
    card = payment_method(world, merchant) if method == "its_own" else method
    fail_provider(world, Operation.SALE, "before_send", UnknownOutcomeError("lost"))
    confirm(world, merchant, payment_id, card, "one")
    sweep_when_overdue(world)
    confirm(world, merchant, payment_id, "pm_card_chargeDeclined", "two")
    # when
    answer = confirm(world, merchant, payment_id, card, "one")
    # then
    assert answer.status == 402
    assert len(world.load(payment_id).charges) == 2
    assert world.provider.effects() == []
    world.check()


def test_confirmation_that_was_declined_is_not_carried_out_again_after_another(
    world: World, merchant: Merchant
) -> None:
    # given: the answer of the first was lost
    payment_id = unconfirmed(world, merchant)
    card = payment_method(world, merchant, DECLINED_CARD)
    repair = lose_answer(world)
    confirm(world, merchant, payment_id, card, "one")
    repair()
    confirm(world, merchant, payment_id, card, "two")
    # when
    answer = retry_after_lease(world, lambda: confirm(world, merchant, payment_id, card, "one"))
    # then
    assert (answer.status, answer.body["error"]["code"]) == (402, "card_declined")
    assert len(world.load(payment_id).charges) == 2
    world.check()


def test_confirmation_that_was_captured_since_is_answered_and_not_refused(
    world: World, merchant: Merchant
) -> None:
    # given: the answer of the confirmation was lost
    payment_id = unconfirmed(world, merchant, capture_method="manual")
    repair = lose_answer(world)
    confirm(world, merchant, payment_id, "pm_card_visa", "one")
    repair()
    capture(world, merchant, payment_id, "two", amount_to_capture=500)
    # when
    answer = retry_after_lease(
        world, lambda: confirm(world, merchant, payment_id, "pm_card_visa", "one")
    )
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    assert answer.body["amount_received"] == 500
    world.check()


def change_document(world: World, document_id: str, **data: Any) -> None:
    document = world.database.documents[document_id]
    after = replace(document, version=document.version + 1, data={**document.data, **data})
    world.documents.commit([audited(after)])


@pytest.mark.parametrize("change", ["method_attached", "customer_deleted"])
def test_payment_that_succeeded_is_answered_whatever_changed_around_it(
    world: World, merchant: Merchant, change: str
) -> None:
    # given: a payment whose answer was lost
    entry = ListEntry("customer", 1, "cus_1")
    customer = Document("cus_1", "customer", merchant.account, False, 1, 1, {"metadata": {}})
    world.documents.commit([audited(customer, (entry,))])
    params = {"payment_method": payment_method(world, merchant)}
    if change == "customer_deleted":
        params["customer"] = "cus_1"
    repair = lose_answer(world)
    first = world.pay(merchant, key=KEY, **params)
    repair()
    # when
    if change == "method_attached":
        change_document(world, params["payment_method"], customer="cus_1")
    else:
        change_document(world, "cus_1", deleted=True)
    answer = retry_after_lease(world, lambda: world.pay(merchant, key=KEY, **params))
    # then
    assert (answer.status, answer.body) == (first.status, first.body)
    assert answer.body["status"] == "succeeded"
    assert len(world.provider.effects(Operation.SALE)) == 1
    world.check()
