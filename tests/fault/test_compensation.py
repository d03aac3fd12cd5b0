"""Every step of every saga dies, finds the provider gone or hears nothing from it.

After each: the undo order, the state, the books, the network's record, no hold left behind, and
the same answer to a retry without a second charge.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from shared.domain.errors import ProviderUnavailableError, UnknownOutcomeError
from shared.domain.idempotency import LEASE_MS, RETENTION_S
from shared.domain.payment import Payment, RefundStatus
from shared.domain.saga import CANCEL, CAPTURE, INCREMENT, PAY, REFUND, SAGAS, SETUP
from shared.domain.sandbox_network import Command, Operation, operation_of
from tests.support.faults import (
    CrashError,
    crash_after,
    crash_before,
    deliver_twice,
    fail_provider,
    on_provider,
    watch,
)
from tests.support.machine_world import MachineWorld
from tests.support.world import Answer, Merchant, World

KEY = "order-1"
RELEASE, VOID, REFUND_STEP = "release_funds", "void_authorization", "refund_capture"
Break = Callable[[World, str], None]


def _provider(
    moment: str, error: type[Exception], operation: Operation | None = None
) -> Callable[[World, str], None]:
    def break_it(world: World, _: str) -> None:
        fail_provider(world, operation, moment, error("the test broke it"))

    return break_it


FAULTS: dict[str, Break] = {
    "crash_before": crash_before,
    "crash_after": crash_after,
    "dies_before_send": _provider("before_send", CrashError),
    "dies_after_effect": _provider("after_effect", CrashError),
    "unavailable": _provider("before_send", ProviderUnavailableError),
    "times_out": _provider("after_effect", UnknownOutcomeError),
    "capture_dies_before_send": _provider("before_send", CrashError, Operation.CAPTURE),
    "capture_dies_after_effect": _provider("after_effect", CrashError, Operation.CAPTURE),
    "capture_unavailable": _provider("before_send", ProviderUnavailableError, Operation.CAPTURE),
    "capture_times_out": _provider("after_effect", UnknownOutcomeError, Operation.CAPTURE),
}


@dataclass(frozen=True)
class Case:
    """A fault and what must come of it.

    Args: after: steps entered after the broken one. answer: HTTP status and the object's status,
    or the error's code. retry: likewise of the retry, None for the same answer.
    """

    saga: str
    step: str
    fault: str
    after: tuple[str, ...]
    answer: tuple[int, str | None]
    retry: tuple[int, str | None] | None = None
    has_sale: bool = True

    def __str__(self) -> str:
        provider = "" if self.has_sale else "-without_sale"
        return f"{self.saga}-{self.step}-{self.fault}{provider}"


FAILED = (402, "processing_error")
LOST = (500, None)
PAID = (200, "succeeded")
OPEN = (200, "processing")
HELD = (200, "requires_capture")

CASES = [
    # A payment by one sale call.
    Case("pay", "validate_payment", "crash_before", (RELEASE,), LOST, PAID),
    Case("pay", "validate_payment", "crash_after", (RELEASE,), LOST, PAID),
    Case("pay", "reserve_funds", "crash_before", ("score_fraud", RELEASE), LOST, PAID),
    # Whose reservation it is that it finds, the undo cannot know.
    Case("pay", "reserve_funds", "crash_after", ("score_fraud", RELEASE), OPEN, PAID),
    Case("pay", "score_fraud", "crash_before", (RELEASE,), FAILED),
    Case("pay", "score_fraud", "crash_after", (RELEASE,), FAILED),
    Case("pay", "authorize_payment", "crash_before", (VOID, RELEASE), FAILED),
    Case("pay", "authorize_payment", "crash_after", (VOID,), PAID),
    Case("pay", "authorize_payment", "dies_before_send", (VOID, RELEASE), FAILED),
    Case("pay", "authorize_payment", "dies_after_effect", (VOID, RELEASE), FAILED),
    Case("pay", "authorize_payment", "unavailable", (RELEASE,), FAILED),
    Case("pay", "authorize_payment", "times_out", (), OPEN, PAID),
    # A payment whose provider has no sale call.
    *(
        Case("pay", "capture_payment", fault, after, answer, retry, has_sale=False)
        for fault, after, answer, retry in (
            ("crash_before", (REFUND_STEP, VOID, RELEASE), FAILED, None),
            ("crash_after", (REFUND_STEP,), PAID, None),
            ("capture_dies_before_send", (REFUND_STEP, VOID, RELEASE), FAILED, None),
            # The money was taken after all: the payment goes forward.
            ("capture_dies_after_effect", (REFUND_STEP,), PAID, None),
            ("capture_unavailable", (REFUND_STEP, VOID, RELEASE), FAILED, None),
            ("capture_times_out", (), OPEN, PAID),
        )
    ),
    *(
        Case("pay", "authorize_payment", fault, after, answer, retry, has_sale=False)
        for fault, after, answer, retry in (
            ("crash_before", (VOID, RELEASE), FAILED, None),
            ("crash_after", (VOID, RELEASE), FAILED, None),
            ("dies_after_effect", (VOID, RELEASE), FAILED, None),
            ("unavailable", (RELEASE,), FAILED, None),
            ("times_out", (), OPEN, PAID),
        )
    ),
    # A manual capture.
    Case("capture", "capture_payment", "crash_before", (), LOST, PAID),
    Case("capture", "capture_payment", "crash_after", (), PAID),
    Case("capture", "capture_payment", "dies_before_send", (), OPEN, PAID),
    Case("capture", "capture_payment", "dies_after_effect", (), OPEN, PAID),
    Case("capture", "capture_payment", "unavailable", (), FAILED),
    Case("capture", "capture_payment", "times_out", (), OPEN, PAID),
    # An increment.
    Case("increment", "increment_authorization", "crash_before", (), LOST, HELD),
    Case("increment", "increment_authorization", "crash_after", (), HELD),
    Case("increment", "increment_authorization", "dies_before_send", (), OPEN, HELD),
    Case("increment", "increment_authorization", "dies_after_effect", (), OPEN, HELD),
    Case("increment", "increment_authorization", "unavailable", (), FAILED),
    Case("increment", "increment_authorization", "times_out", (), OPEN, HELD),
    # A cancellation.
    Case("cancel", VOID, "crash_before", (), LOST, (200, "canceled")),
    Case("cancel", VOID, "crash_after", (), OPEN, (200, "canceled")),
    Case("cancel", VOID, "dies_before_send", (), OPEN, (200, "canceled")),
    Case("cancel", VOID, "dies_after_effect", (), OPEN, (200, "canceled")),
    Case("cancel", VOID, "unavailable", (), FAILED),
    Case("cancel", VOID, "times_out", (), OPEN, (200, "canceled")),
    Case("cancel", RELEASE, "crash_before", (), OPEN, (200, "canceled")),
    Case("cancel", RELEASE, "crash_after", (), (200, "canceled")),
    # A refund.
    Case("refund", "reserve_funds", "crash_before", (), LOST, PAID),
    Case("refund", "reserve_funds", "crash_after", (), (200, "pending"), PAID),
    Case("refund", REFUND_STEP, "crash_before", (), (200, "pending"), PAID),
    Case("refund", REFUND_STEP, "crash_after", (), PAID),
    Case("refund", REFUND_STEP, "dies_before_send", (), (200, "pending"), PAID),
    Case("refund", REFUND_STEP, "dies_after_effect", (), (200, "pending"), PAID),
    Case("refund", REFUND_STEP, "unavailable", (RELEASE,), (200, "failed")),
    Case("refund", REFUND_STEP, "times_out", (), (200, "pending"), PAID),
]


def request_of(
    saga: str, world: World, merchant: Merchant, key: str | None = KEY
) -> Callable[[], Answer]:
    """Brings a payment to where the saga starts; returns the request that runs the saga."""
    if saga == PAY.name:
        return lambda: world.pay(merchant, key=key)
    manual = {} if saga == REFUND.name else {"capture_method": "manual"}
    payment_id = world.pay(merchant, **manual).body["id"]
    if saga == REFUND.name:
        path, params = "/v1/refunds", {"payment_intent": payment_id}
    elif saga == INCREMENT.name:
        path = f"/v1/payment_intents/{payment_id}/increment_authorization"
        params = {"amount": "3000"}
    else:
        path, params = f"/v1/payment_intents/{payment_id}/{saga}", {}
    return lambda: world.call("POST", path, params, merchant=merchant, key=key)


def outcome(answer: Answer) -> tuple[int, str | None]:
    """Returns the HTTP status with the object's status or the error's code."""
    if "error" in answer.body:
        return answer.status, answer.body["error"].get("code")
    return answer.status, answer.body["status"]


def only_payment(world: World) -> Payment:
    (payment,) = world.database.payments.values()
    return payment


def is_parked(payment: Payment) -> bool:
    """Tells whether an operation's outcome is still to be found out."""
    return payment.pending is not None or any(
        refund.status is RefundStatus.PENDING for refund in payment.refunds
    )


def test_cases_every_step_of_every_saga_is_broken() -> None:
    # given
    steps = {
        (saga.name, step.name)
        for saga in SAGAS.values()
        if saga is not SETUP and not saga.is_lasting  # see test_setups and test_resolution
        for step in (*(s for stage in saga.stages for s in stage),)
    }
    # then
    for fault in ("crash_before", "crash_after"):
        assert {(c.saga, c.step) for c in CASES if c.fault == fault} == steps
    asks_provider = {
        (PAY.name, "authorize_payment"),
        (PAY.name, "capture_payment"),
        (INCREMENT.name, "increment_authorization"),
        (CAPTURE.name, "capture_payment"),
        (CANCEL.name, VOID),
        (REFUND.name, REFUND_STEP),
    }
    for suffix in ("unavailable", "times_out", "dies_after_effect"):
        assert {(c.saga, c.step) for c in CASES if c.fault.endswith(suffix)} == asks_provider


@pytest.mark.parametrize("platform", [World, MachineWorld], ids=["table", "state_machine"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_step_broken_is_undone_or_parked_and_charges_once(
    case: Case, platform: type[World]
) -> None:
    # given
    world = platform(has_sale=case.has_sale)
    merchant = world.merchant()
    send = request_of(case.saga, world, merchant)
    FAULTS[case.fault](world, case.step)
    entered = watch(world)
    # when
    first = send()
    # then
    assert outcome(first) == case.answer
    assert tuple(entered[entered.index(case.step) + 1 :]) == case.after
    world.check()
    for payment in world.database.payments.values():
        if is_parked(payment):
            assert first.body["status"] in {"processing", "pending"}
            assert (payment.due_at_ms or 0) > world.clock.now_ms()
    # when
    world.clock.advance(LEASE_MS + 1)
    retried = send()
    # then
    assert outcome(retried) == (case.retry or case.answer)
    if case.retry is None and case.saga != REFUND.name:
        assert retried.body.get("id") == first.body.get("id")
    world.check()
    payment = only_payment(world)
    assert not is_parked(payment)
    assert len(world.provider.effects(Operation.SALE, Operation.CAPTURE)) <= 1
    assert len(world.provider.effects(Operation.REFUND)) <= 1
    if payment.status != "requires_capture":
        assert world.pending(merchant) == {}


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.answer in {OPEN, (200, "pending")}], ids=str
)
def test_retry_while_the_lease_of_an_open_request_runs_is_in_progress(case: Case) -> None:
    # given
    world = World(has_sale=case.has_sale)
    send = request_of(case.saga, world, world.merchant())
    FAULTS[case.fault](world, case.step)
    send()
    # when
    answer = send()
    # then
    assert outcome(answer) == (409, "idempotency_key_in_use")


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
@pytest.mark.parametrize("has_sale", [True, False], ids=["sale", "without_sale"])
@pytest.mark.parametrize(
    ("saga", "step"),
    sorted(
        {
            (saga.name, step.name)
            for saga in SAGAS.values()
            if saga is not SETUP and not saga.is_lasting  # see test_setups, test_resolution
            for stage in saga.stages
            for step in stage
        }
    ),
)
def test_step_delivered_twice_answers_and_charges_once(
    saga: str, step: str, has_sale: bool, keyed: bool
) -> None:
    # given
    world = World(has_sale=has_sale)
    merchant = world.merchant()
    send = request_of(saga, world, merchant, KEY if keyed else None)
    deliver_twice(world, step)
    # when
    answer = send()
    # then
    left = {CANCEL.name: "canceled", INCREMENT.name: "requires_capture"}.get(saga, "succeeded")
    assert outcome(answer) == (200, left)
    world.check()
    assert (world.pending(merchant) == {}) == (saga != INCREMENT.name)
    assert len(world.provider.effects(Operation.INCREMENT)) == (saga == INCREMENT.name)
    assert len(world.provider.effects(Operation.SALE, Operation.CAPTURE)) == (left == "succeeded")


@pytest.mark.parametrize("platform", [World, MachineWorld], ids=["table", "state_machine"])
@pytest.mark.parametrize("at", ["before_send", "after_effect"])
@pytest.mark.parametrize("has_sale", [True, False], ids=["sale", "without_sale"])
def test_undo_that_stops_is_finished_by_the_retry_and_never_turned_around(
    has_sale: bool, at: str, platform: type[World]
) -> None:
    # given: an authorization took effect, its step died, and so did the void that followed
    world = platform(has_sale=has_sale)
    merchant = world.merchant()
    crash_in_void = [True]

    def fault(moment: str, command: Command) -> None:
        operation = operation_of(command)
        if operation in {Operation.SALE, Operation.AUTHORIZATION} and moment == "after_effect":
            raise CrashError
        if operation is Operation.VOID and moment == at and crash_in_void:
            crash_in_void.clear()
            raise UnknownOutcomeError("no answer")

    world.provider.fault = fault
    first = world.pay(merchant, key=KEY)
    assert outcome(first) == OPEN
    world.check()
    # when
    world.clock.advance(LEASE_MS + 1)
    entered = watch(world)
    retried = world.pay(merchant, key=KEY)
    # then
    assert outcome(retried) == FAILED
    assert "authorize_payment" not in entered
    assert entered[-2:] == [VOID, RELEASE]
    world.check()
    assert world.pending(merchant) == {}


@pytest.mark.parametrize("step", ["none", REFUND_STEP])
def test_undo_that_finds_the_capture_done_keeps_it(step: str) -> None:
    # given: the capture took effect and its step died; the undo's step dies too, or not
    world = World(has_sale=False)
    merchant = world.merchant()
    fail_provider(world, Operation.CAPTURE, "after_effect", CrashError("died"))
    if step != "none":
        crash_before(world, step)
    # when
    first = world.pay(merchant, key=KEY)
    world.clock.advance(LEASE_MS + 1)
    retried = world.pay(merchant, key=KEY)
    # then: nobody sends the money back and forth
    assert outcome(first) == (PAID if step == "none" else OPEN)
    assert outcome(retried) == PAID
    world.check()
    assert world.pending(merchant) == {}
    assert world.provider.effects(Operation.REFUND, Operation.VOID) == []


def test_answer_that_comes_after_the_undo_is_not_recorded() -> None:
    # given: the machine gave the step up and undid it, while it was still at the provider
    world = World()
    merchant = world.merchant()
    real = world.steps["authorize_payment"]

    def late(state: dict[str, object]) -> object:
        def undo() -> None:
            undone = {**state, "result": world.steps[VOID](state)}
            world.steps[RELEASE](undone)

        on_provider(world, Operation.SALE, "after_effect", undo)
        return real(state)

    world.steps["authorize_payment"] = late  # type: ignore[assignment]
    # when
    answer = world.pay(merchant, key=KEY)
    # then
    assert outcome(answer) == FAILED
    assert only_payment(world).amount_received_minor == 0
    world.check()


def test_late_answer_between_void_and_release_is_not_recorded() -> None:
    # given
    world = World()
    merchant = world.merchant()
    real = world.steps["authorize_payment"]

    def late(state: dict[str, object]) -> object:
        on_provider(world, Operation.SALE, "after_effect", lambda: void(state))
        real(state)
        raise CrashError

    def void(state: dict[str, object]) -> None:
        world.steps[VOID](state)

    world.steps["authorize_payment"] = late  # type: ignore[assignment]
    # when
    answer = world.pay(merchant, key=KEY)
    # then
    assert outcome(answer) == FAILED
    world.check()
    assert world.pending(merchant) == {}


@pytest.mark.parametrize("trouble", ["unavailable", "score_crash", "validate_crash"])
def test_retry_in_trouble_leaves_an_unknown_authorization_open(trouble: str) -> None:
    # given: the sale took effect and its answer was lost
    world = World()
    merchant = world.merchant()
    fail_provider(world, Operation.SALE, "after_effect", UnknownOutcomeError("lost"))
    world.pay(merchant, key=KEY)
    # when: the retry cannot tell either
    world.clock.advance(LEASE_MS + 1)
    if trouble == "unavailable":
        error = ProviderUnavailableError("down")
        fail_provider(world, Operation.SALE, "before_send", error)
    else:
        crash_before(world, "score_fraud" if trouble == "score_crash" else "validate_payment")
    second = world.pay(merchant, key=KEY)
    # then
    assert outcome(second) == OPEN
    world.check()
    # when
    world.clock.advance(LEASE_MS + 1)
    third = world.pay(merchant, key=KEY)
    # then
    assert outcome(third) == PAID
    assert len(world.provider.effects()) == 1
    world.check()


@pytest.mark.parametrize(
    ("saga", "operation", "final"),
    [
        ("capture", Operation.CAPTURE, "succeeded"),
        ("cancel", Operation.VOID, "canceled"),
        ("refund", Operation.REFUND, "succeeded"),
    ],
)
def test_retry_that_finds_the_provider_gone_leaves_an_unknown_operation_open(
    saga: str, operation: Operation, final: str
) -> None:
    # given: the operation took effect and its answer was lost
    world = World()
    send = request_of(saga, world, world.merchant())
    fail_provider(world, operation, "after_effect", UnknownOutcomeError("lost"))
    first = send()
    # when: that the provider is gone now says nothing about what it did
    world.clock.advance(LEASE_MS + 1)
    fail_provider(world, operation, "before_send", ProviderUnavailableError("down"))
    second = send()
    # then
    assert outcome(second) == outcome(first)
    world.check()
    # when
    world.clock.advance(LEASE_MS + 1)
    third = send()
    # then
    assert outcome(third) == (200, final)
    assert len(world.provider.effects(operation)) == 1
    world.check()


def test_blocked_payment_whose_release_died_is_released_by_the_retry() -> None:
    # given
    world = World()
    merchant = world.merchant()
    crash_before(world, RELEASE)
    assert outcome(world.pay(merchant, key=KEY, payment_method="pm_card_radarBlock")) == OPEN
    # when
    world.clock.advance(LEASE_MS + 1)
    retried = world.pay(merchant, key=KEY, payment_method="pm_card_radarBlock")
    # then
    assert outcome(retried) == (402, "card_declined")
    assert world.provider.effects() == []
    assert world.pending(merchant) == {}
    world.check()


def test_confirm_crash_after_an_earlier_decline_is_not_answered_with_that_decline() -> None:
    # given
    world = World()
    merchant = world.merchant()
    declined = world.pay(merchant, payment_method="pm_card_visa_chargeDeclined")
    payment_id = declined.body["error"]["payment_intent"]["id"]
    crash_before(world, "validate_payment")
    # when
    params = {"payment_method": "pm_card_visa"}
    path = f"/v1/payment_intents/{payment_id}/confirm"
    answer = world.call("POST", path, params, merchant=merchant, key=KEY)
    retried = world.call("POST", path, params, merchant=merchant, key=KEY)
    # then
    assert outcome(answer) == LOST
    assert answer.headers["Stripe-Should-Retry"] == "true"
    assert outcome(retried) == PAID
    world.check()


def test_confirm_crash_without_key_after_an_earlier_decline_is_not_answered_with_it() -> None:
    # given
    world = World()
    merchant = world.merchant()
    declined = world.pay(merchant, payment_method="pm_card_visa_chargeDeclined")
    payment_id = declined.body["error"]["payment_intent"]["id"]
    crash_before(world, "reserve_funds")
    # when
    params = {"payment_method": "pm_card_visa"}
    path = f"/v1/payment_intents/{payment_id}/confirm"
    answer = world.call("POST", path, params, merchant=merchant)
    # then
    assert outcome(answer) == LOST


def test_retry_of_a_creation_that_was_changed_since_answers_with_the_payment() -> None:
    # given: the answer was never stored, and the merchant captured in the meantime
    world = World()
    merchant = world.merchant()
    lose_answers(world)
    created = world.pay(merchant, key=KEY, capture_method="manual")
    payment_id = created.body["id"]
    world.call("POST", f"/v1/payment_intents/{payment_id}/capture", merchant=merchant)
    # when
    world.clock.advance(LEASE_MS + 1)
    retried = world.pay(merchant, key=KEY, capture_method="manual")
    # then
    assert outcome(retried) == PAID
    assert retried.body["id"] == payment_id
    world.check()


def test_retry_of_a_decline_that_was_annotated_since_is_still_that_decline() -> None:
    # given
    world = World()
    merchant = world.merchant()
    lose_answers(world)
    declined = world.pay(merchant, key=KEY, payment_method="pm_card_chargeDeclined")
    payment_id = declined.body["error"]["payment_intent"]["id"]
    path, params = f"/v1/payment_intents/{payment_id}", {"metadata": {"seen": "yes"}}
    assert world.call("POST", path, params, merchant=merchant).status == 200
    # when
    world.clock.advance(LEASE_MS + 1)
    retried = world.pay(merchant, key=KEY, payment_method="pm_card_chargeDeclined")
    # then
    assert outcome(retried) == (402, "card_declined")


def lose_answers(world: World) -> None:
    """Makes the API die before it stores the next answer."""
    real = world.idempotency.answer

    def lose(*_: object) -> None:
        world.idempotency.answer = real  # type: ignore[method-assign]

    world.idempotency.answer = lose  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize(("verb", "status"), [("capture", "succeeded"), ("cancel", "canceled")])
def test_key_used_again_after_a_day_is_a_new_request(verb: str, status: str) -> None:
    # given
    world = World()
    merchant = world.merchant()
    payment_id = world.pay(merchant, key=KEY, capture_method="manual").body["id"]
    # when
    world.clock.advance((RETENTION_S + 1) * 1000)
    path = f"/v1/payment_intents/{payment_id}/{verb}"
    answer = world.call("POST", path, merchant=merchant, key=KEY)
    # then
    assert outcome(answer) == (200, status)
    world.check()


def test_confirm_with_the_same_key_after_a_day_tries_again() -> None:
    # given
    world = World()
    merchant = world.merchant()
    payment_id = world.call(
        "POST", "/v1/payment_intents", {"amount": 500, "currency": "eur"}, merchant=merchant
    ).body["id"]
    path = f"/v1/payment_intents/{payment_id}/confirm"
    bad = {"payment_method": "pm_card_visa_chargeDeclined"}
    assert world.call("POST", path, bad, merchant=merchant, key=KEY).status == 402
    # when
    world.clock.advance((RETENTION_S + 1) * 1000)
    good = {"payment_method": "pm_card_visa"}
    answer = world.call("POST", path, good, merchant=merchant, key=KEY)
    # then
    assert outcome(answer) == PAID
    world.check()


def test_update_between_authorization_and_capture_does_not_stop_the_capture() -> None:
    # given: a provider without a sale call, and a merchant who changes metadata in the middle
    world = World(has_sale=False)
    merchant = world.merchant()
    real = world.steps["capture_payment"]

    def slow(state: dict[str, object]) -> object:
        path = f"/v1/payment_intents/{state['payment_id']}"
        params = {"metadata": {"a": "b"}}
        assert world.call("POST", path, params, merchant=merchant).status == 200
        return real(state)

    world.steps["capture_payment"] = slow  # type: ignore[assignment]
    # when
    answer = world.pay(merchant, key=KEY)
    # then
    assert outcome(answer) == PAID
    assert answer.body["metadata"] == {"a": "b"}
    world.check()


def test_settlement_of_a_poisoned_batch_settles_the_others_once() -> None:
    # given
    world = World()
    merchant = world.merchant()
    payment_id = world.pay(merchant).body["id"]
    # when
    failures = world.settle_batch(["pi_unknown", payment_id, payment_id])
    # then
    assert failures == [{"itemIdentifier": "0"}]
    world.settle(payment_id)
    assert only_payment(world).settled
    assert [j.kind for j in world.database.journals.values()].count("settle") == 1
    world.check()
