"""When an operation is looked after, and what may still be asked then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.memory import MemoryClock
from shared.adapters.memory_provider import MemoryProvider
from shared.domain.changes import Draft
from shared.domain.errors import UnknownOutcomeError
from shared.domain.events import EventType
from shared.domain.look_up import LookUpOnly
from shared.domain.providers import ProviderStatus
from shared.domain.resolution import (
    DATES_SET_MAX,
    DAY_MS,
    HOUR_MS,
    PROBES_AFTER_MS,
    REFUND_PENDING_MAX_MS,
    RESEND_UNTIL_MS,
    look_again,
    may_resend,
    next_look_ms,
    next_probe_ms,
)
from tests.support.payments import (
    AUTHORIZED,
    CAPTURED,
    CONFIRMED,
    CONTEXT,
    CREATED,
    OUTCOME_UNKNOWN,
    REFUND_ID,
    REFUND_PENDING,
    REFUND_REQUESTED,
    after,
    refund_ended,
)

TAKEN = (CREATED, CONFIRMED, AUTHORIZED, CAPTURED)
AGES = st.integers(0, 40 * DAY_MS)


@given(AGES)
def test_next_probe_is_the_first_of_the_schedule_that_is_to_come(age_ms: int) -> None:
    probe = next_probe_ms(1_000, 1_000 + age_ms)
    to_come = [after for after in PROBES_AFTER_MS if after > age_ms]
    assert probe == (1_000 + min(to_come) if to_come else None)


@given(AGES)
def test_next_look_at_an_accepted_refund_is_within_a_day_for_a_month(age_ms: int) -> None:
    look = next_look_ms(0, age_ms)
    if age_ms < REFUND_PENDING_MAX_MS:
        assert look is not None
        assert age_ms < look <= age_ms + DAY_MS
    else:
        assert look is None


def test_last_resend_is_before_a_provider_forgets_the_key() -> None:
    assert RESEND_UNTIL_MS < DAY_MS
    assert may_resend(0, RESEND_UNTIL_MS - 1)
    assert not may_resend(0, RESEND_UNTIL_MS)
    assert any(HOUR_MS < after < RESEND_UNTIL_MS for after in PROBES_AFTER_MS)


def test_look_up_only_finds_what_was_done_and_does_nothing() -> None:
    # given
    provider = MemoryProvider(MemoryClock())
    desk = LookUpOnly(provider)
    done = provider.void("ch_1", "ch_1/void")
    # when, then
    assert desk.void("ch_1", "ch_1/void") == done
    assert desk.find("ch_1/void") == done
    assert done.status is ProviderStatus.NOTHING_TO_VOID
    with pytest.raises(UnknownOutcomeError):
        desk.capture("ch_1", 5, "ch_1/capture")
    with pytest.raises(UnknownOutcomeError):
        desk.refund("ch_1", "re_1", 5, "re_1/refund")
    assert provider.transactions == []


def parked(draft: Draft) -> Draft:
    """Makes the event after which it is a person's turn."""
    event_type, data = draft
    return event_type, {**data, "due_at_ms": None}


def reserved(number: int) -> Draft:
    event_type, data = REFUND_REQUESTED
    return event_type, {**data, "refund_id": f"{REFUND_ID}{number}", "amount_minor": 1}


def test_look_again_makes_the_operation_that_waits_for_a_person_due_now() -> None:
    # given
    payment = after(None, CREATED, CONFIRMED, parked(OUTCOME_UNKNOWN))
    assert payment.waits_for_person
    # when
    change = look_again(payment, CONTEXT)
    # then
    assert change is not None
    assert change.before_version == payment.version
    assert [event.type for event in change.events] == [EventType.PAYMENT_OUTCOME_UNKNOWN]
    assert not change.payment.waits_for_person
    assert change.payment.due_at_ms == CONTEXT.now_ms
    assert change.payment.pending is not None
    assert change.journals == ()


def test_look_again_makes_every_refund_that_waits_due_in_one_change() -> None:
    # given: two refunds wait, one has a date and one has ended
    waiting = [parked(reserved(number)) for number in (1, 2)]
    ended = refund_ended(EventType.REFUND_SUCCEEDED)
    payment = after(None, *TAKEN, REFUND_REQUESTED, ended, *waiting, reserved(3))
    # when
    change = look_again(payment, CONTEXT)
    # then
    assert change is not None
    assert change.payment.version == payment.version + 2
    dates = {refund.id: refund.due_at_ms for refund in change.payment.refunds}
    date_of_the_third = reserved(3)[1]["due_at_ms"]
    assert dates == {
        REFUND_ID: None,
        f"{REFUND_ID}1": CONTEXT.now_ms,
        f"{REFUND_ID}2": CONTEXT.now_ms,
        f"{REFUND_ID}3": date_of_the_third,
    }


def test_look_again_takes_what_one_transaction_holds_and_the_rest_the_next_time() -> None:
    # given
    waiting = [parked(reserved(number)) for number in range(DATES_SET_MAX + 1)]
    payment = after(None, *TAKEN, *waiting)
    # when
    first = look_again(payment, CONTEXT)
    assert first is not None
    second = look_again(first.payment, CONTEXT)
    # then
    assert len(first.events) == DATES_SET_MAX
    assert second is not None
    assert len(second.events) == 1
    assert not second.payment.waits_for_person


@pytest.mark.parametrize(
    "drafts",
    [
        (CREATED,),
        (CREATED, CONFIRMED),
        (CREATED, CONFIRMED, OUTCOME_UNKNOWN),
        (*TAKEN, REFUND_REQUESTED, REFUND_PENDING),
        (*TAKEN, REFUND_REQUESTED, refund_ended(EventType.REFUND_FAILED, "declined")),
    ],
)
def test_look_again_where_nothing_waits_for_a_person_changes_nothing(
    drafts: tuple[Draft, ...],
) -> None:
    assert look_again(after(None, *drafts), CONTEXT) is None
