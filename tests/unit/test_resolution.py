"""When an operation is looked after, and what may still be asked then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.memory import MemoryClock
from shared.adapters.memory_provider import MemoryProvider
from shared.domain.errors import UnknownOutcomeError
from shared.domain.look_up import LookUpOnly
from shared.domain.providers import ProviderStatus
from shared.domain.resolution import (
    DAY_MS,
    HOUR_MS,
    PROBES_AFTER_MS,
    REFUND_PENDING_MAX_MS,
    RESEND_UNTIL_MS,
    may_resend,
    next_look_ms,
    next_probe_ms,
)

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
