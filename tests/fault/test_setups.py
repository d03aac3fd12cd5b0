"""Setups that die on their way: one attempt, asked under one key, that comes to an end."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from functions.sweep_due import handler as sweep_due
from shared import bootstrap
from shared.adapters.memory_saga import MemorySagaRunner
from shared.domain.documents import DocumentWrite
from shared.domain.errors import (
    InvariantError,
    OverloadedError,
    ProviderUnavailableError,
    TransientError,
    UnknownOutcomeError,
)
from shared.domain.idempotency import LEASE_MS, Claim
from shared.domain.resolution import DAY_MS, MINUTE_MS, SWEEP_AFTER_MS
from shared.domain.saga import LOOKUP
from shared.domain.sandbox_network import Command, Operation, operation_of
from tests.support.faults import (
    CrashError,
    crash_after,
    crash_before,
    deliver_twice,
    fail_provider,
)
from tests.support.machine_world import MachineWorld
from tests.support.world import Answer, Merchant, World

PATH = "/v1/setup_intents"
STEP = "verify_card"
VERIFICATION = Operation.VERIFICATION
# As the sweeper sees an attempt that nobody went on with.
OVERDUE_MS = MINUTE_MS + SWEEP_AFTER_MS + 1
ORDER = {"payment_method": "pm_card_visa", "confirm": "true"}
PLATFORMS = pytest.mark.parametrize("platform", [World, MachineWorld], ids=["table", "machine"])


def send(world: World, merchant: Merchant, key: str | None = "key", **order: Any) -> Answer:
    return world.call("POST", PATH, {**ORDER, **order}, merchant=merchant, key=key)


def retry(world: World, merchant: Merchant, **order: Any) -> Answer:
    """Sends the request again when its first run counts as dead."""
    world.clock.advance(LEASE_MS + 1)
    return send(world, merchant, **order)


def keys_sent(world: World) -> list[str]:
    """Returns a list that grows by the key of every verification that is sent from now on."""
    sent: list[str] = []
    broken = world.provider.fault

    def counted(moment: str, command: Command) -> None:
        broken(moment, command)
        if moment == "before_send" and operation_of(command) is VERIFICATION:
            sent.append(command.idempotency_key)

    world.provider.fault = counted
    return sent


def intent_of(world: World, merchant: Merchant) -> Mapping[str, Any]:
    (intent,) = world.call("GET", PATH, merchant=merchant).body["data"]
    found: Mapping[str, Any] = intent
    return found


def attempts_of(world: World, merchant: Merchant) -> list[Mapping[str, Any]]:
    query = {"setup_intent": intent_of(world, merchant)["id"]}
    answer = world.call("GET", "/v1/setup_attempts", query, merchant=merchant)
    found: list[Mapping[str, Any]] = answer.body["data"]
    return found


def look_up(world: World) -> list[Mapping[str, Any]]:
    """Runs what was started to look up; returns what it says."""
    sagas = world.sagas()
    started, sagas.started = sagas.started, {}
    assert {saga for saga, _ in started.values()} <= {LOOKUP.name}
    return [MemorySagaRunner.run(sagas, saga, state) for saga, state in started.values()]


def due(world: World) -> Sequence[str]:
    """Returns the attempts that the sweeper will ever look after."""
    return world.due_documents.overdue(world.clock.now_ms() + 9 * DAY_MS, 100)


def refuse_to_start(world: World) -> None:
    def refuse(saga: str, name: str, saga_input: Mapping[str, Any]) -> None:
        raise TransientError("throttled")

    world.sagas().start = refuse  # type: ignore[method-assign]


def die_before_the_saga(world: World) -> None:
    sagas, real = world.sagas(), world.sagas().run

    def died(saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        sagas.run = real  # type: ignore[method-assign]
        raise CrashError("the API")

    sagas.run = died  # type: ignore[method-assign]


def die_after_the_effect(world: World) -> None:
    fail_provider(world, VERIFICATION, "after_effect", CrashError("the step"))


def fail_to_commit(world: World, *, is_written: bool) -> None:
    """Makes the next commit of documents fail, with its effect or without."""
    documents, real = world.documents, world.documents.commit

    def commit(writes: Sequence[DocumentWrite], claim: Claim | None = None) -> None:
        documents.commit = real  # type: ignore[method-assign]
        if is_written:
            real(writes, claim)
        raise TransientError("no answer")

    documents.commit = commit  # type: ignore[method-assign]


FAULTS: Mapping[str, Callable[[World], None]] = {
    "api_dies": die_before_the_saga,
    "crash_before": lambda world: crash_before(world, STEP),
    "crash_after": lambda world: crash_after(world, STEP),
    "dies_after_effect": die_after_the_effect,
    "times_out": lambda world: fail_provider(
        world, VERIFICATION, "after_effect", UnknownOutcomeError("silence")
    ),
    "delivered_twice": lambda world: deliver_twice(world, STEP),
}

BROKEN_LOOKUPS: Mapping[str, Callable[[World], None]] = {
    "crash_before": lambda world: crash_before(world, STEP),
    "crash_after": lambda world: crash_after(world, STEP),
    "delivered_twice": lambda world: deliver_twice(world, STEP),
    "not_written": lambda world: fail_to_commit(world, is_written=False),
    "written_and_not_answered": lambda world: fail_to_commit(world, is_written=True),
}


@PLATFORMS
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("card", ["pm_card_visa", "pm_card_chargeDeclined"])
def test_setup_that_died_is_resumed_with_one_attempt_under_one_key(
    fault: str, card: str, platform: type[World]
) -> None:
    # given
    world = platform()
    merchant = world.merchant()
    FAULTS[fault](world)
    sent = keys_sent(world)
    first = send(world, merchant, payment_method=card)
    assert first.status in {200, 402, 500}
    # when
    answer = retry(world, merchant, payment_method=card)
    # then
    is_good = card == "pm_card_visa"
    assert answer.status == (200 if is_good else 402)
    (attempt,) = attempts_of(world, merchant)
    assert attempt["status"] == ("succeeded" if is_good else "failed")
    assert intent_of(world, merchant)["status"] == (
        "succeeded" if is_good else "requires_payment_method"
    )
    assert len(set(sent)) == 1
    assert retry(world, merchant, payment_method=card).text == answer.text


@PLATFORMS
def test_setup_without_an_answer_is_processing_and_looked_up(platform: type[World]) -> None:
    # given
    world = platform()
    merchant = world.merchant()
    fail_provider(world, VERIFICATION, "after_effect", UnknownOutcomeError("silence"))
    # when
    answer = send(world, merchant, key=None)
    # then
    assert (answer.status, answer.body["status"]) == (200, "processing")
    (attempt,) = attempts_of(world, merchant)
    assert attempt["status"] == "processing"
    confirm = f"{PATH}/{answer.body['id']}/confirm"
    refused = world.call("POST", confirm, merchant=merchant)
    assert refused.body["error"]["code"] == "setup_intent_unexpected_state"
    # when: its date has come
    world.clock.advance(MINUTE_MS)
    (ended,) = look_up(world)
    # then
    assert ended["outcome"] == "done"
    assert intent_of(world, merchant)["status"] == "succeeded"
    assert [item["status"] for item in attempts_of(world, merchant)] == ["succeeded"]


def test_lookup_waits_for_the_attempts_date_and_is_started_once() -> None:
    # given
    world = World()
    merchant = world.merchant()
    fail_provider(world, VERIFICATION, "after_effect", UnknownOutcomeError("silence"))
    send(world, merchant)
    started = dict(world.sagas().started)
    # when
    intent_of(world, merchant)
    (waiting,) = look_up(world)
    # then
    assert len(started) == 1
    assert waiting["outcome"] == "waiting"
    assert waiting["due_at"].endswith("+00:00")


def test_lookup_of_what_never_came_ends_the_attempt() -> None:
    # given: it is lost on its way, and no retry comes
    world = World()
    merchant = world.merchant()
    fail_provider(world, VERIFICATION, "before_send", UnknownOutcomeError("lost"))
    send(world, merchant)
    world.clock.advance(MINUTE_MS)
    # when
    look_up(world)
    # then
    intent = intent_of(world, merchant)
    assert intent["status"] == "requires_payment_method"
    assert intent["last_setup_error"]["code"] == "processing_error"
    late = retry(world, merchant)
    assert (late.status, late.body["error"]["code"]) == (402, "processing_error")


def test_lookup_asks_for_three_days_and_then_gives_up() -> None:
    # given
    world = World()
    merchant = world.merchant()
    fail_provider(world, VERIFICATION, "after_effect", UnknownOutcomeError("silence"))
    send(world, merchant)
    ((saga, state),) = world.sagas().started.values()
    silent, asked = True, 0

    def find(idempotency_key: str) -> None:
        nonlocal asked
        asked += 1
        if silent:
            raise ProviderUnavailableError("no network")

    world.provider.find = find  # type: ignore[method-assign]
    # when
    begun_ms = world.clock.now_ms()
    output: Mapping[str, Any] = {"outcome": "waiting"}
    while output["outcome"] == "waiting":
        world.clock.advance(MINUTE_MS * 5)
        output = world.sagas().run(saga, state)
    # then
    assert 3 * DAY_MS <= world.clock.now_ms() - begun_ms < 4 * DAY_MS
    assert 5 < asked < 12
    assert intent_of(world, merchant)["last_setup_error"]["code"] == "processing_error"


@PLATFORMS
@pytest.mark.parametrize("fault", FAULTS)
def test_setup_that_died_is_ended_by_the_sweep_when_nobody_comes_back(
    fault: str, platform: type[World]
) -> None:
    # given: the API dies too, before it starts what looks up
    world = platform()
    merchant = world.merchant()
    FAULTS[fault](world)
    sent = keys_sent(world)
    send(world, merchant)
    world.sagas().started.clear()
    # when
    world.clock.advance(OVERDUE_MS)
    world.sweep()
    # then: never sent, or what the provider says
    (attempt,) = attempts_of(world, merchant)
    assert attempt["status"] == ("succeeded" if sent else "failed")
    assert intent_of(world, merchant)["status"] == (
        "succeeded" if sent else "requires_payment_method"
    )
    assert len(set(sent)) <= 1
    assert not due(world)


def test_setup_that_is_not_overdue_is_left_to_who_is_at_it() -> None:
    # given
    world = World()
    merchant = world.merchant()
    die_before_the_saga(world)
    send(world, merchant)
    # when
    world.clock.advance(OVERDUE_MS - 1)
    world.sweep()
    # then
    assert intent_of(world, merchant)["status"] == "processing"


@pytest.mark.parametrize("broken", BROKEN_LOOKUPS)
def test_lookup_that_dies_or_comes_twice_is_swept_again_until_the_attempt_is_over(
    broken: str,
) -> None:
    # given
    world = World()
    merchant = world.merchant()
    die_after_the_effect(world)
    send(world, merchant)
    world.sagas().started.clear()
    BROKEN_LOOKUPS[broken](world)
    # when
    for _ in range(2):
        world.clock.advance(OVERDUE_MS)
        world.sweep()
    # then
    (attempt,) = attempts_of(world, merchant)
    assert attempt["status"] == "succeeded"
    assert not due(world)


def test_sweep_that_cannot_start_a_lookup_does_in_the_next_minute_and_once_in_each() -> None:
    # given
    world = World()
    merchant = world.merchant()
    die_before_the_saga(world)
    send(world, merchant)
    world.clock.advance(OVERDUE_MS)
    sagas, start = world.sagas(), world.sagas().start
    refuse_to_start(world)
    # when
    refused = sweep_due.run(LOOKUP.name, world.due_documents, sagas, world.clock)
    sagas.start = start  # type: ignore[method-assign]
    world.clock.advance(MINUTE_MS)
    for _ in range(2):
        sweep_due.run(LOOKUP.name, world.due_documents, sagas, world.clock)
    # then
    assert refused == {"started": 0, "failed": 1}
    assert len(sagas.started) == 1
    look_up(world)
    assert intent_of(world, merchant)["status"] == "requires_payment_method"


def test_lookup_that_fails_whenever_it_is_run_gets_later_dates_until_it_is_repaired() -> None:
    # given
    world = World()
    merchant = world.merchant()
    die_after_the_effect(world)
    send(world, merchant)
    world.sagas().started.clear()
    begun_ms, real, asked = world.clock.now_ms(), world.provider.find, 0

    def broken(idempotency_key: str) -> None:
        nonlocal asked
        asked += 1
        raise InvariantError("a defect")

    world.provider.find = broken  # type: ignore[method-assign]
    # when
    while world.clock.now_ms() < begun_ms + 5 * DAY_MS:
        world.clock.advance(10 * MINUTE_MS)
        world.sweep()
    # then
    assert 6 < asked < 14
    assert intent_of(world, merchant)["status"] == "processing"
    world.provider.find = real  # type: ignore[method-assign]
    world.clock.advance(DAY_MS + SWEEP_AFTER_MS)
    world.sweep()
    assert intent_of(world, merchant)["status"] == "succeeded"


@pytest.mark.parametrize("kept", ["due_payments", "due_documents"])
def test_sweep_of_one_table_goes_on_where_the_other_cannot_be_read(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: one of each is overdue
    world = World()
    merchant = world.merchant()
    fail_provider(world, Operation.SALE, "after_effect", UnknownOutcomeError("silence"))
    world.pay(merchant)
    die_before_the_saga(world)
    send(world, merchant)
    world.sagas().started.clear()
    world.clock.advance(OVERDUE_MS)

    class Unreadable:
        def overdue(self, before_ms: int, limit: int) -> list[str]:
            raise TransientError("throttled")

    for name in ("due_payments", "due_documents"):
        index = getattr(world, name) if name == kept else Unreadable()
        monkeypatch.setattr(bootstrap, name, lambda index=index: index)
    monkeypatch.setattr(bootstrap, "sagas", world.sagas)
    monkeypatch.setattr(bootstrap, "clock", lambda: world.clock)
    # when: what could not be read alarms
    with pytest.raises(TransientError):
        sweep_due.handler({}, None)
    # then
    ((saga, _),) = world.sagas().started.values()
    assert saga == ("resolve" if kept == "due_payments" else "lookup")


def test_lookup_that_cannot_be_started_does_not_fail_the_request() -> None:
    # given
    world = World()
    merchant = world.merchant()
    fail_provider(world, VERIFICATION, "after_effect", UnknownOutcomeError("silence"))

    refuse_to_start(world)
    # when
    answer = send(world, merchant)
    # then
    assert (answer.status, answer.body["status"]) == (200, "processing")


@pytest.mark.parametrize("error", [OverloadedError("busy"), TransientError("down")])
def test_setup_that_could_not_be_started_has_failed(error: TransientError) -> None:
    # given
    world = World()
    merchant = world.merchant()
    sagas, real = world.sagas(), world.sagas().run

    def refuse(saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        sagas.run = real  # type: ignore[method-assign]
        raise error

    sagas.run = refuse  # type: ignore[method-assign]
    # when
    answer = send(world, merchant)
    # then
    assert (answer.status, answer.body["error"]["code"]) == (402, "processing_error")
    assert [item["status"] for item in attempts_of(world, merchant)] == ["failed"]
    assert retry(world, merchant).text == answer.text


def test_provider_that_cannot_be_reached_fails_the_first_run_and_says_nothing_of_it_later() -> None:
    # given
    unavailable = ProviderUnavailableError("no network")
    first, second = World(), World()
    merchant, other = first.merchant(), second.merchant()
    fail_provider(first, VERIFICATION, "before_send", unavailable)
    die_after_the_effect(second)
    # when
    failed = send(first, merchant)
    send(second, other)
    fail_provider(second, VERIFICATION, "before_send", unavailable)
    resumed = retry(second, other)
    # then
    assert (failed.status, failed.body["error"]["code"]) == (402, "processing_error")
    assert (resumed.status, resumed.body["status"]) == (200, "processing")
    second.clock.advance(2 * MINUTE_MS)
    look_up(second)
    assert intent_of(second, other)["status"] == "succeeded"
