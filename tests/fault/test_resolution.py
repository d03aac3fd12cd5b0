"""Payments whose outcome is not known, and nobody asks again: the platform ends them by itself."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from functions.sweep_due import handler as sweep_due
from shared.domain.announcements import announce_payment
from shared.domain.authorization import CAPTURE_WITHIN_MS
from shared.domain.changes import Context
from shared.domain.errors import (
    InvariantError,
    ProviderUnavailableError,
    TransientError,
    UnknownOutcomeError,
)
from shared.domain.payment import Payment, PaymentStatus, rebuild
from shared.domain.providers import ProviderAnswer, ProviderStatus
from shared.domain.resolution import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    PROBES_AFTER_MS,
    REFUND_PENDING_MAX_MS,
    SWEEP_AFTER_MS,
    look_again,
)
from shared.domain.saga import RESOLVE
from shared.domain.sandbox_network import Command, Operation
from tests.support.faults import (
    State,
    crash_after,
    crash_before,
    deliver_twice,
    fail_provider,
    on_provider,
)
from tests.support.machine_world import MachineWorld
from tests.support.world import Merchant, World

KEY = "order-1"
SLOW_CARD = "pm_card_pendingRefund"
WORLDS: list[Callable[..., World]] = [World, MachineWorld]
BOTH = pytest.mark.parametrize("has_sale", [True, False], ids=["sale", "without_sale"])


def silence(world: World) -> None:
    """Makes the provider answer nothing any more, whatever it does."""

    def look_up(_: str) -> None:
        raise UnknownOutcomeError("lost")

    fail_provider(world, None, "after_effect", UnknownOutcomeError("lost"), times=10_000)
    world.provider.find = look_up  # type: ignore[method-assign,assignment]


def repair(world: World) -> None:
    world.provider.fault = lambda moment, command: None
    vars(world.provider).pop("find", None)


def park(world: World, payment_id: str) -> None:
    """Sweeps until it is a person's turn."""
    while (due_ms := world.load(payment_id).due_at_ms) is not None:
        sweep_after(world, due_ms - world.clock.now_ms() + 31_000)


def sweep_after(world: World, milliseconds: int = 2 * MINUTE_MS) -> None:
    world.clock.advance(milliseconds)
    world.sweep()


def sweep_at_next_date(world: World, payment_id: str) -> None:
    due_ms = world.load(payment_id).due_at_ms
    assert due_ms is not None
    sweep_after(world, due_ms - world.clock.now_ms() + SWEEP_AFTER_MS + 1_000)


def outcomes_of_resolver(world: World) -> list[str]:
    """Returns a list that grows by what each run of the resolver says."""
    said: list[str] = []
    real = world.steps["resolve_payment"]

    def observed(state: State) -> State:
        output = real(state)
        said.append(str(output["outcome"]))
        return output

    world.steps["resolve_payment"] = observed
    return said


def slow_bank(world: World) -> None:
    """Makes the bank of SLOW_CARD say nothing of how its refunds end."""

    def accepted(_: object) -> ProviderAnswer:
        return ProviderAnswer(ProviderStatus.PENDING, "ntx_1")

    world.provider._answer_now = accepted  # type: ignore[method-assign,assignment]


def events_of(world: World, payment_id: str) -> list[str]:
    """Returns all that the payment was announced as."""
    told: list[str] = []
    before: Payment | None = None
    history = world.payments.events(payment_id)
    for count in range(1, len(history) + 1):
        after = rebuild(history[:count])
        told += [announcement.type for announcement in announce_payment(before, after)]
        before = after
    return told


@pytest.fixture(params=WORLDS, ids=["table", "machines"])
def make(request: pytest.FixtureRequest) -> Callable[..., World]:
    worlds: Callable[..., World] = request.param
    return worlds


def test_partition_during_payment_ends_with_the_providers_word(
    make: Callable[..., World],
) -> None:
    # given: funds are reserved, the provider is asked, and takes the money
    world = make()
    merchant = world.merchant()
    fail_provider(world, Operation.SALE, "after_effect", UnknownOutcomeError("partition"))
    # when: its answer is lost
    answer = world.pay(merchant, key=KEY)
    # then: the customer is not told that it failed, and the hold stays
    assert (answer.status, answer.body["status"]) == (200, "processing")
    payment_id = answer.body["id"]
    assert world.pending(merchant) != {}
    world.check()
    # when: the partition is over; nobody asks again but the platform
    sweep_after(world)
    # then: the payment succeeded, once
    assert world.load(payment_id).status is PaymentStatus.SUCCEEDED
    assert len(world.provider.effects(Operation.SALE)) == 1
    told = events_of(world, payment_id)
    assert told.index("payment_intent.processing") < told.index("payment_intent.succeeded")
    # and: the delayed answer, or a retry, changes nothing any more
    again = world.pay(merchant, key=KEY)
    assert again.body["status"] == "succeeded"
    assert len(world.provider.effects(Operation.SALE)) == 1
    assert world.pending(merchant) == {}
    world.check()


def test_partition_before_the_request_arrived_ends_as_failed_and_late_arrival_is_refused(
    make: Callable[..., World],
) -> None:
    # given: the request is still on its way when the platform gives up waiting
    world = make()
    merchant = world.merchant()
    sent: list[Command] = []

    def lose(moment: str, command: Command) -> None:
        if moment == "before_send" and not sent:
            sent.append(command)
            raise UnknownOutcomeError("partition")

    world.provider.fault = lose
    answer = world.pay(merchant, key=KEY)
    assert answer.body["status"] == "processing"
    # when
    sweep_after(world)
    # then: the provider said that it had nothing, and refuses what may still come
    payment = world.load(answer.body["id"])
    assert payment.status is PaymentStatus.REQUIRES_PAYMENT_METHOD
    assert payment.last_payment_error is not None
    assert payment.last_payment_error["code"] == "processing_error"
    repair(world)
    late = world.provider.authorize(sent[0])  # type: ignore[arg-type]
    assert late.status == "declined"
    assert world.provider.effects() == []
    world.check()


@BOTH
@pytest.mark.parametrize("step", ["authorize_payment", "capture_payment", "void_authorization"])
def test_payment_that_died_at_a_step_is_ended_without_its_client(
    make: Callable[..., World], step: str, has_sale: bool
) -> None:
    world = make(has_sale=has_sale)
    merchant = world.merchant()
    crash_before(world, step)
    if step == "void_authorization":
        crash_before(world, "authorize_payment")
    world.pay(merchant, key=KEY)
    sweep_after(world)
    sweep_after(world)
    for payment in world.database.payments.values():
        assert payment.pending is None
    world.check()


def held(world: World, merchant: Merchant) -> str:
    return str(world.pay(merchant, capture_method="manual").body["id"])


@pytest.mark.parametrize(
    ("path", "operation", "final"),
    [
        ("capture", Operation.CAPTURE, PaymentStatus.SUCCEEDED),
        ("cancel", Operation.VOID, PaymentStatus.CANCELED),
    ],
)
@pytest.mark.parametrize("moment", ["before_send", "after_effect"])
def test_capture_or_cancellation_of_unknown_outcome_is_finished(
    make: Callable[..., World],
    path: str,
    operation: Operation,
    final: PaymentStatus,
    moment: str,
) -> None:
    world = make()
    merchant = world.merchant()
    payment_id = held(world, merchant)
    fail_provider(world, operation, moment, UnknownOutcomeError("lost"))
    answer = world.call("POST", f"/v1/payment_intents/{payment_id}/{path}", merchant=merchant)
    assert answer.body["status"] == "processing"
    sweep_after(world)
    assert world.load(payment_id).status is final
    assert len(world.provider.effects(operation)) == 1
    world.check()


@pytest.mark.parametrize("moment", ["before_send", "after_effect"])
def test_refund_of_unknown_outcome_is_finished(make: Callable[..., World], moment: str) -> None:
    world = make()
    merchant = world.merchant()
    payment_id = world.pay(merchant).body["id"]
    fail_provider(world, Operation.REFUND, moment, UnknownOutcomeError("lost"))
    refund = world.call("POST", "/v1/refunds", {"payment_intent": payment_id}, merchant=merchant)
    assert refund.body["status"] == "pending"
    sweep_after(world)
    after = world.call("GET", f"/v1/refunds/{refund.body['id']}", merchant=merchant)
    assert after.body["status"] == "succeeded"
    assert len(world.provider.effects(Operation.REFUND)) == 1
    world.check()


def test_provider_that_stays_silent_is_asked_on_schedule_and_at_last_a_person_is(
    make: Callable[..., World],
) -> None:
    # given
    world = make()
    merchant = world.merchant()
    payment_id = held(world, merchant)
    started_ms = world.clock.now_ms()
    silence(world)
    world.call("POST", f"/v1/payment_intents/{payment_id}/capture", merchant=merchant)
    # when
    dates = []
    while (due_ms := world.load(payment_id).due_at_ms) is not None:
        dates.append(due_ms - started_ms)
        sweep_after(world, due_ms - world.clock.now_ms() + 31_000)
    # then: each probe was later than the one before, to the last
    assert dates == sorted(dates)
    assert dates[0] == PROBES_AFTER_MS[0]
    assert dates[-1] == 3 * DAY_MS
    assert world.load(payment_id).waits_for_person
    captures = [t for t in world.provider.transactions if t.type is Operation.CAPTURE]
    assert len(captures) == 1
    world.check()


def ask_again(world: World, payment_id: str) -> None:
    """Does what an operator's command does."""
    change = look_again(world.load(payment_id), Context(world.clock.now_ms()))
    assert change is not None
    world.payments.commit(change)


@BOTH
@pytest.mark.parametrize("operation", ["payment", "capture", "refund"])
def test_operation_that_waited_for_a_person_ends_when_it_is_looked_after_again(
    make: Callable[..., World], operation: str, has_sale: bool
) -> None:
    # given: the provider did it, and was silent for days
    world = make(has_sale=has_sale)
    merchant = world.merchant()
    if operation == "payment":
        silence(world)
        payment_id = world.pay(merchant).body["id"]
    elif operation == "capture":
        payment_id = held(world, merchant)
        silence(world)
        world.call("POST", f"/v1/payment_intents/{payment_id}/capture", merchant=merchant)
    else:
        payment_id = world.pay(merchant).body["id"]
        silence(world)
        world.call("POST", "/v1/refunds", {"payment_intent": payment_id}, merchant=merchant)
    park(world, payment_id)
    assert world.load(payment_id).waits_for_person
    effects = world.provider.effects(Operation.SALE, Operation.CAPTURE, Operation.REFUND)
    # when: nobody says so, nothing happens, even though the provider would answer
    repair(world)
    sweep_after(world, DAY_MS)
    assert world.load(payment_id).waits_for_person
    # when: a person has it looked after
    ask_again(world, payment_id)
    sweep_after(world)
    # then
    payment = world.load(payment_id)
    assert not payment.is_open
    assert payment.status is PaymentStatus.SUCCEEDED
    assert payment.refunded_minor == (2000 if operation == "refund" else 0)
    assert events_of(world, payment_id).count("payment_intent.processing") <= 1
    asked = world.provider.effects(Operation.SALE, Operation.CAPTURE, Operation.REFUND)
    if has_sale or operation != "payment":
        assert asked == effects
    world.check()


def test_operation_that_is_looked_after_again_in_vain_waits_for_a_person_again(
    make: Callable[..., World],
) -> None:
    world = make()
    merchant = world.merchant()
    payment_id = held(world, merchant)
    silence(world)
    world.call("POST", f"/v1/payment_intents/{payment_id}/capture", merchant=merchant)
    park(world, payment_id)
    ask_again(world, payment_id)
    assert not world.load(payment_id).waits_for_person
    sweep_after(world)
    assert world.load(payment_id).waits_for_person
    world.check()


def test_capture_that_is_a_day_old_is_looked_up_and_not_sent_again(
    make: Callable[..., World],
) -> None:
    # given: nothing was heard for a day, after which the provider has forgotten our keys
    world = make()
    merchant = world.merchant()
    payment_id = held(world, merchant)
    fail_provider(world, Operation.CAPTURE, "before_send", UnknownOutcomeError("lost"))
    world.call("POST", f"/v1/payment_intents/{payment_id}/capture", merchant=merchant)
    # when
    sweep_after(world, 23 * HOUR_MS)
    # then
    assert world.provider.effects(Operation.CAPTURE) == []
    assert world.load(payment_id).pending is not None
    world.check()


@BOTH
def test_resolver_beside_a_retry_charges_once(has_sale: bool) -> None:
    # given: the client asks again just as the platform looks after the payment
    world = World(has_sale=has_sale)
    merchant = world.merchant()
    fail_provider(world, None, "before_send", UnknownOutcomeError("lost"))
    world.pay(merchant, key=KEY)
    world.clock.advance(2 * MINUTE_MS)

    def retry() -> None:
        world.pay(merchant, key=KEY)

    on_provider(world, Operation.VOID, "before_send", retry)
    # when
    world.sweep()
    world.pay(merchant, key=KEY)
    sweep_after(world)
    # then
    for payment in world.database.payments.values():
        assert payment.pending is None
    assert len(world.provider.effects(Operation.SALE, Operation.CAPTURE)) <= 1
    world.check()


def test_resolver_that_cannot_reach_the_provider_tries_again(make: Callable[..., World]) -> None:
    world = make()
    merchant = world.merchant()
    payment_id = held(world, merchant)
    fail_provider(world, Operation.CAPTURE, "after_effect", UnknownOutcomeError("lost"))
    world.call("POST", f"/v1/payment_intents/{payment_id}/capture", merchant=merchant)
    fail_provider(world, None, "before_send", ProviderUnavailableError("down"))
    sweep_after(world)
    assert world.load(payment_id).pending is not None
    sweep_after(world, 15 * MINUTE_MS)
    assert world.load(payment_id).status is PaymentStatus.SUCCEEDED
    world.check()


def test_refund_at_a_slow_bank_is_found_without_a_notice(make: Callable[..., World]) -> None:
    world = make()
    merchant = world.merchant()
    payment_id = world.pay(merchant, payment_method="pm_card_pendingRefund").body["id"]
    world.call("POST", "/v1/refunds", {"payment_intent": payment_id}, merchant=merchant)
    world.provider.notices.clear()
    sweep_after(world)
    assert world.load(payment_id).open_refunds == ()
    world.check()


@BOTH
@pytest.mark.parametrize("trouble", [crash_before, crash_after, deliver_twice])
def test_resolver_that_died_or_came_twice_ends_the_payment_once(
    make: Callable[..., World], trouble: Callable[[World, str], None], has_sale: bool
) -> None:
    world = make(has_sale=has_sale)
    merchant = world.merchant()
    crash_before(world, "authorize_payment")
    crash_before(world, "void_authorization")
    world.pay(merchant, key=KEY)
    trouble(world, "resolve_payment")
    sweep_after(world)
    sweep_after(world)
    (payment,) = world.database.payments.values()
    assert payment.pending is None
    assert world.provider.effects() == []
    world.check()


def test_payment_nobody_need_look_after_is_left_alone(make: Callable[..., World]) -> None:
    world = make()
    merchant = world.merchant()
    world.pay(merchant)
    held(world, merchant)
    before = dict(world.database.payments)
    sweep_after(world, DAY_MS)
    assert world.database.payments == before


def test_authorization_that_is_not_captured_in_time_expires(make: Callable[..., World]) -> None:
    # given
    world = make()
    merchant = world.merchant()
    payment_id = held(world, merchant)
    charge_id = world.load(payment_id).latest_charge.id
    charge = world.call("GET", f"/v1/charges/{charge_id}", merchant=merchant).body
    deadline_s = charge["payment_method_details"]["card"]["capture_before"]
    assert deadline_s == world.clock.now_ms() // 1000 + 7 * DAY_MS // 1000
    # when
    sweep_after(world, 7 * DAY_MS)
    assert world.load(payment_id).status is PaymentStatus.REQUIRES_CAPTURE
    sweep_after(world, MINUTE_MS)
    # then
    intent = world.call("GET", f"/v1/payment_intents/{payment_id}", merchant=merchant).body
    assert (intent["status"], intent["cancellation_reason"]) == ("canceled", "automatic")
    assert events_of(world, payment_id)[-2:] == ["charge.expired", "payment_intent.canceled"]
    assert world.pending(merchant) == {}
    world.check()


@pytest.mark.parametrize("moment", ["before_send", "after_effect"])
def test_capture_during_an_expiry_is_refused_and_takes_nothing(
    make: Callable[..., World], moment: str
) -> None:
    world = make()
    merchant = world.merchant()
    payment_id = held(world, merchant)
    path = f"/v1/payment_intents/{payment_id}/capture"
    answers = []
    on_provider(
        world,
        Operation.VOID,
        moment,
        lambda: answers.append(world.call("POST", path, merchant=merchant)),
    )
    sweep_after(world, 7 * DAY_MS + MINUTE_MS)
    assert [answer.status for answer in answers] == [400]
    assert answers[0].body["error"]["code"] == "payment_intent_unexpected_state"
    assert world.load(payment_id).status is PaymentStatus.CANCELED
    assert world.provider.effects(Operation.CAPTURE) == []
    world.check()


@pytest.mark.parametrize("moment", ["before_send", "after_effect"])
def test_expiry_during_a_capture_leaves_the_capture(
    make: Callable[..., World], moment: str
) -> None:
    world = make()
    merchant = world.merchant()
    payment_id = held(world, merchant)
    world.clock.advance(7 * DAY_MS + MINUTE_MS)
    on_provider(world, Operation.CAPTURE, moment, world.sweep)
    path = f"/v1/payment_intents/{payment_id}/capture"
    answer = world.call("POST", path, merchant=merchant)
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    assert world.provider.effects(Operation.VOID) == []
    world.check()


def test_expiry_that_the_provider_refuses_is_a_persons_turn(make: Callable[..., World]) -> None:
    # given: the authorization is over at the provider, or was captured at its desk
    world = make()
    merchant = world.merchant()
    payment_id = held(world, merchant)
    refusal = ProviderAnswer(ProviderStatus.REFUSED, "ntx_1", message="expired")
    world.provider.void = lambda *_: refusal  # type: ignore[method-assign]
    said = outcomes_of_resolver(world)
    # when
    sweep_after(world, 7 * DAY_MS + MINUTE_MS)
    # then
    assert said == ["parked"]
    payment = world.load(payment_id)
    assert payment.waits_for_person
    # when: it is not asked again each minute
    for _ in range(10):
        sweep_after(world, MINUTE_MS)
    # then
    assert said == ["parked"]
    assert world.load(payment_id).version == payment.version
    world.check()


def test_refund_that_was_accepted_is_looked_up_after_a_look_up_failed(
    make: Callable[..., World],
) -> None:
    # given: a bank that takes its time; the refund is older than an operation is asked about
    world = make()
    merchant = world.merchant()
    payment_id = world.pay(merchant, payment_method=SLOW_CARD).body["id"]
    real = world.provider._answer_now
    slow_bank(world)
    world.call("POST", "/v1/refunds", {"payment_intent": payment_id}, merchant=merchant)
    started_ms = world.clock.now_ms()
    while world.clock.now_ms() < started_ms + PROBES_AFTER_MS[-1]:
        sweep_at_next_date(world, payment_id)
    # when
    silence(world)
    sweep_at_next_date(world, payment_id)
    # then
    due_ms = world.load(payment_id).due_at_ms
    assert due_ms is not None
    assert due_ms < started_ms + REFUND_PENDING_MAX_MS
    assert not world.load(payment_id).waits_for_person
    # when: the bank paid it
    repair(world)
    world.provider._answer_now = real  # type: ignore[method-assign]
    sweep_at_next_date(world, payment_id)
    # then
    assert world.load(payment_id).refunded_minor == 2000
    world.check()


def test_resolver_that_fails_whenever_it_is_run_gets_later_dates_and_at_last_a_person(
    make: Callable[..., World],
) -> None:
    # given: a provider that refuses the form of the look-up
    world = make()
    merchant = world.merchant()
    fail_provider(world, Operation.SALE, "after_effect", UnknownOutcomeError("lost"))
    payment_id = world.pay(merchant).body["id"]
    started_ms = world.clock.now_ms()

    def refuse(_: str) -> None:
        raise InvariantError("408")

    world.provider.find = refuse  # type: ignore[method-assign,assignment]
    # when
    dates: list[int] = []
    while (due_ms := world.load(payment_id).due_at_ms) is not None:
        dates.append(due_ms - started_ms)
        assert len(dates) <= len(PROBES_AFTER_MS), "the date does not move"
        sweep_at_next_date(world, payment_id)
    # then
    assert dates == sorted(set(dates))
    assert dates[-1] == PROBES_AFTER_MS[-1]
    assert world.load(payment_id).waits_for_person
    world.check()


class Failing:
    """A saga runner that cannot start one payment's saga."""

    def __init__(self, bad: str) -> None:
        self.bad = bad
        self.started: set[str] = set()

    def run(self, saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        """Implements SagaRunner; the sweeper never waits for a saga."""
        raise NotImplementedError(saga, saga_input)

    def start(self, _saga: str, _name: str, saga_input: Mapping[str, Any]) -> None:
        """Keeps the payment that was to be looked after."""
        if saga_input["payment_id"] == self.bad:
            raise TransientError("reset")
        self.started.add(saga_input["payment_id"])


def test_sweep_that_cannot_start_one_starts_the_others() -> None:
    # given: three payments that are due, of which the oldest cannot be started
    world = World()
    merchant = world.merchant()
    due: list[str] = []
    for _ in range(3):
        fail_provider(world, Operation.SALE, "after_effect", UnknownOutcomeError("lost"))
        due.append(world.pay(merchant).body["id"])
        world.clock.advance(1_000)
    world.clock.advance(5 * MINUTE_MS)
    runner = Failing(due[0])
    # when
    counts = sweep_due.run(RESOLVE.name, world.due_payments, runner, world.clock)
    # then
    assert runner.started == set(due[1:])
    assert counts == {"started": 2, "failed": 1}


def test_person_is_told_of_a_refund_when_its_last_date_is_over_beside_one_with_a_date(
    make: Callable[..., World],
) -> None:
    # given: a refund at a slow bank, and another that the provider never says anything of
    world = make()
    merchant = world.merchant()
    payment_id = world.pay(merchant, payment_method=SLOW_CARD).body["id"]

    def refund(amount: int) -> str:
        params = {"payment_intent": payment_id, "amount": amount}
        return str(world.call("POST", "/v1/refunds", params, merchant=merchant).body["id"])

    slow_bank(world)
    refund(500)
    fail_provider(world, Operation.REFUND, "before_send", UnknownOutcomeError("lost"))
    silent = refund(700)
    real = world.provider.find

    def find(idempotency_key: str) -> ProviderAnswer | None:
        if idempotency_key.startswith(silent):
            raise UnknownOutcomeError("silent")
        return real(idempotency_key)

    def fault(moment: str, command: Command) -> None:
        if moment == "before_send" and command.idempotency_key.startswith(silent):
            raise UnknownOutcomeError("silent")

    world.provider.fault = fault
    world.provider.find = find  # type: ignore[method-assign]
    said = outcomes_of_resolver(world)
    # when
    while not world.load(payment_id).waits_for_person:
        sweep_at_next_date(world, payment_id)
    # then: at that moment, and the other is looked after as before
    assert said[-1] == "parked"
    assert "parked" not in said[:-1]
    assert world.load(payment_id).due_at_ms is not None
    # when
    sweep_at_next_date(world, payment_id)
    # then
    assert said[-1] == "waiting"
    world.check()


def test_authorization_recorded_late_is_to_be_captured_within_seven_days_of_its_request(
    make: Callable[..., World],
) -> None:
    # given: the provider holds the money since the request, and says so a day later
    world = make()
    merchant = world.merchant()
    requested_ms = world.clock.now_ms()
    fail_provider(world, Operation.AUTHORIZATION, "after_effect", UnknownOutcomeError("lost"))
    payment_id = world.pay(merchant, capture_method="manual").body["id"]
    silence(world)
    while world.clock.now_ms() < requested_ms + DAY_MS:
        sweep_at_next_date(world, payment_id)
    # when
    repair(world)
    sweep_at_next_date(world, payment_id)
    # then
    payment = world.load(payment_id)
    assert payment.status is PaymentStatus.REQUIRES_CAPTURE
    assert payment.latest_charge.capture_before_ms == requested_ms + CAPTURE_WITHIN_MS
    world.check()
