"""What every card provider does; run on the sandbox network over HTTP and on its twin in memory."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.adapters.memory import MemoryClock
from shared.domain.cards import CardNumber
from shared.domain.errors import InvariantError
from shared.domain.ports import CardProvider
from shared.domain.providers import AuthorizationRequest, ProviderStatus
from shared.domain.sandbox_network import REFUND_ENDS_AFTER_MS
from tests.support.card_network import network

VISA = CardNumber("4242424242424242", 12, 2040, "123")
SALE = AuthorizationRequest(
    account="acct_1",
    payment_id="pi_1",
    reference="ch_1",
    idempotency_key="ch_1/sale",
    card=VISA,
    amount_minor=1500,
    currency="usd",
    capture=True,
)
HOLD = replace(SALE, idempotency_key="ch_1/authorization", capture=False)


@pytest.fixture
def clock() -> MemoryClock:
    return MemoryClock()


@pytest.fixture(params=["memory", "http"])
def provider(request: pytest.FixtureRequest, clock: MemoryClock) -> Iterator[CardProvider]:
    with network(request.param, clock) as found:
        yield found


def with_number(number: str, *, cvc: str | None = "123") -> AuthorizationRequest:
    return replace(SALE, card=CardNumber(number, 12, 2040, cvc))


def test_authorize_with_capture_takes_the_money_once(provider: CardProvider) -> None:
    answer = provider.authorize(SALE)
    again = provider.authorize(SALE)
    assert answer.status is ProviderStatus.APPROVED
    assert answer.checks.cvc_check == "pass"
    assert answer.authorization_code
    assert answer.network_transaction_id
    assert again == answer


def test_authorize_repeated_without_the_deleted_cvc_is_the_same_request(
    provider: CardProvider,
) -> None:
    first = provider.authorize(SALE)
    assert provider.authorize(replace(SALE, card=replace(VISA, cvc=None))) == first


def test_authorize_with_a_used_key_and_another_amount_is_a_bug(provider: CardProvider) -> None:
    provider.authorize(SALE)
    with pytest.raises(InvariantError):
        provider.authorize(replace(SALE, amount_minor=1501))


def test_authorize_of_a_used_reference_under_another_key_is_declined(
    provider: CardProvider,
) -> None:
    provider.authorize(SALE)
    answer = provider.authorize(replace(SALE, idempotency_key="another"))
    assert answer.status is ProviderStatus.DECLINED
    assert answer.decline_code == "duplicate_transaction"


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000000069", "expired_card", "expired_card"),
        ("4000000000000127", "incorrect_cvc", "incorrect_cvc"),
        ("4000000000000119", "processing_error", "processing_error"),
        ("4100000000000019", "card_declined", "fraudulent"),
        ("4012888888881881", "card_declined", "test_mode_live_card"),
    ],
)
def test_authorize_of_a_declining_card_says_why(
    provider: CardProvider, number: str, code: str, decline_code: str
) -> None:
    answer = provider.authorize(with_number(number))
    assert answer.status is ProviderStatus.DECLINED
    assert (answer.code, answer.decline_code) == (code, decline_code)
    assert answer.message


def test_authorize_of_an_authenticating_card_asks_for_action(provider: CardProvider) -> None:
    answer = provider.authorize(with_number("4000002760003184"))
    assert answer.status is ProviderStatus.ACTION_REQUIRED


@pytest.mark.parametrize(
    ("number", "status"),
    [
        ("4000000000003055", ProviderStatus.ACTION_REQUIRED),
        ("4242424242424242", ProviderStatus.APPROVED),
        ("378282246310005", ProviderStatus.APPROVED),
    ],
)
def test_authorize_that_wants_an_authentication_asks_enrolled_cards_for_it(
    provider: CardProvider, number: str, status: ProviderStatus
) -> None:
    cvc = "1234" if number.startswith("37") else "123"
    request = replace(SALE, card=replace(SALE.card, number=number, cvc=cvc))
    wanted = replace(request, reference="ch_2", idempotency_key="ch_2/sale", authenticate=True)
    assert provider.authorize(request).status is ProviderStatus.APPROVED
    assert provider.authorize(wanted).status is status


def test_authorize_of_a_card_set_up_for_it_is_approved_off_session_only(
    provider: CardProvider,
) -> None:
    request = with_number("4000003800000446")
    on_session = provider.authorize(request)
    absent = replace(request, reference="ch_2", idempotency_key="ch_2/sale", off_session=True)
    assert on_session.status is ProviderStatus.ACTION_REQUIRED
    assert provider.authorize(absent).status is ProviderStatus.APPROVED
    always = replace(with_number("4000002760003184"), reference="ch_3", idempotency_key="ch_3/sale")
    assert provider.authorize(replace(always, off_session=True)).code == "authentication_required"


def test_capture_of_a_card_that_bypasses_pending_is_paid_at_once(provider: CardProvider) -> None:
    card = CardNumber("4000000000000077", 12, 2040, None)
    held = replace(HOLD, reference="ch_2", idempotency_key="ch_2/authorization", card=card)
    assert not provider.authorize(SALE).paid_at_once
    assert not provider.authorize(held).paid_at_once
    assert provider.capture("ch_2", 900, "ch_2/capture").paid_at_once
    sold = replace(SALE, reference="ch_3", idempotency_key="ch_3/sale", card=card)
    assert provider.authorize(sold).paid_at_once


def test_authorize_reports_the_check_of_the_cvc(provider: CardProvider) -> None:
    failed = provider.authorize(with_number("4000000000000101"))
    assert failed.status is ProviderStatus.APPROVED
    assert failed.checks.cvc_check == "fail"


def test_authorize_without_a_cvc_checks_none(provider: CardProvider) -> None:
    assert provider.authorize(with_number("4242424242424242", cvc=None)).checks.cvc_check is None


@pytest.mark.parametrize("card", [replace(VISA, exp_year=2020), replace(VISA, cvc="12")])
def test_authorize_of_a_misfitting_card_is_declined(
    provider: CardProvider, card: CardNumber
) -> None:
    answer = provider.authorize(replace(SALE, card=card))
    assert answer.status is ProviderStatus.DECLINED
    assert answer.code in {"expired_card", "incorrect_cvc"}


def test_capture_takes_a_part_once(provider: CardProvider) -> None:
    provider.authorize(HOLD)
    answer = provider.capture("ch_1", 900, "ch_1/capture")
    assert answer.status is ProviderStatus.APPROVED
    assert provider.capture("ch_1", 900, "ch_1/capture") == answer
    assert provider.capture("ch_1", 100, "another").status is ProviderStatus.REFUSED


def test_increment_reserves_more_once(provider: CardProvider) -> None:
    provider.authorize(HOLD)
    answer = provider.increment("ch_1", 500, "ch_1_1/increment")
    again = provider.increment("ch_1", 500, "ch_1_1/increment")
    assert answer.status is ProviderStatus.APPROVED
    assert again == answer == provider.find("ch_1_1/increment")
    assert provider.capture("ch_1", 2001, "another").status is ProviderStatus.REFUSED
    assert provider.capture("ch_1", 2000, "ch_1/capture").status is ProviderStatus.APPROVED


def test_increment_of_what_is_not_open_is_refused(provider: CardProvider) -> None:
    assert provider.increment("ch_0", 1, "ch_0_1/increment").status is ProviderStatus.REFUSED
    provider.authorize(HOLD)
    provider.capture("ch_1", 100, "ch_1/capture")
    assert provider.increment("ch_1", 1, "ch_1_1/increment").status is ProviderStatus.REFUSED


def test_increment_beyond_what_an_issuer_lets_grow_is_declined_and_changes_nothing(
    provider: CardProvider,
) -> None:
    provider.authorize(HOLD)
    answer = provider.increment("ch_1", 4 * 1500 + 1, "ch_1_1/increment")
    assert (answer.status, answer.code) == (ProviderStatus.DECLINED, "card_declined")
    assert provider.capture("ch_1", 1501, "ch_1/capture").status is ProviderStatus.REFUSED
    assert provider.increment("ch_1", 4 * 1500, "ch_1_2/increment").code is None


@pytest.mark.parametrize("amount", [1501, 99_999_999])
def test_capture_above_the_authorization_is_refused(provider: CardProvider, amount: int) -> None:
    provider.authorize(HOLD)
    answer = provider.capture("ch_1", amount, "ch_1/capture")
    assert answer.status is ProviderStatus.REFUSED


def test_capture_of_an_unknown_reference_is_refused(provider: CardProvider) -> None:
    assert provider.capture("ch_0", 1, "ch_0/capture").status is ProviderStatus.REFUSED


def test_void_of_an_authorization_ends_it(provider: CardProvider) -> None:
    provider.authorize(HOLD)
    assert provider.void("ch_1", "ch_1/void").status is ProviderStatus.APPROVED
    assert provider.void("ch_1", "ch_1/void").status is ProviderStatus.APPROVED
    assert provider.void("ch_1", "another").status is ProviderStatus.NOTHING_TO_VOID
    assert provider.capture("ch_1", 1, "ch_1/capture").status is ProviderStatus.REFUSED


def test_void_of_a_sale_gives_everything_back(provider: CardProvider) -> None:
    provider.authorize(SALE)
    assert provider.void("ch_1", "ch_1/void").status is ProviderStatus.APPROVED
    assert provider.refund("ch_1", "re_1", 1, "re_1/refund").status is ProviderStatus.REFUSED


def test_void_of_a_captured_authorization_is_refused(provider: CardProvider) -> None:
    provider.authorize(HOLD)
    provider.capture("ch_1", 1500, "ch_1/capture")
    assert provider.void("ch_1", "ch_1/void").status is ProviderStatus.REFUSED


def test_void_before_the_authorization_keeps_it_out(provider: CardProvider) -> None:
    assert provider.void("ch_1", "ch_1/void").status is ProviderStatus.NOTHING_TO_VOID
    assert provider.authorize(SALE).status is ProviderStatus.DECLINED


def test_void_of_a_declined_authorization_has_nothing_to_void(provider: CardProvider) -> None:
    provider.authorize(with_number("4000000000000002"))
    assert provider.void("ch_1", "ch_1/void").status is ProviderStatus.NOTHING_TO_VOID


def test_refund_never_exceeds_the_capture(provider: CardProvider) -> None:
    provider.authorize(HOLD)
    provider.capture("ch_1", 1000, "ch_1/capture")
    assert provider.refund("ch_1", "re_1", 600, "re_1/refund").status is ProviderStatus.APPROVED
    assert provider.refund("ch_1", "re_1", 600, "re_1/refund").status is ProviderStatus.APPROVED
    assert provider.refund("ch_1", "re_2", 401, "re_2/refund").status is ProviderStatus.REFUSED
    assert provider.refund("ch_1", "re_3", 400, "re_3/refund").status is ProviderStatus.APPROVED


def test_refund_of_an_uncaptured_authorization_is_refused(provider: CardProvider) -> None:
    provider.authorize(HOLD)
    assert provider.refund("ch_1", "re_1", 1, "re_1/refund").status is ProviderStatus.REFUSED


@pytest.mark.parametrize(
    ("number", "line1", "postal_code"),
    [
        ("4242424242424242", "pass", "pass"),
        ("4000000000000010", "fail", "fail"),
        ("4000000000000028", "fail", "pass"),
        ("4000000000000036", "pass", "fail"),
        ("4000000000000044", "unavailable", "unavailable"),
    ],
)
def test_authorize_with_an_address_tells_what_the_issuer_says_of_it(
    provider: CardProvider, number: str, line1: str, postal_code: str
) -> None:
    asked = replace(with_number(number), address_line1="1 High St", address_postal_code="N1 9GU")
    answer = provider.authorize(asked)
    assert answer.status is ProviderStatus.APPROVED
    assert answer.checks.address_line1_check == line1
    assert answer.checks.address_postal_code_check == postal_code


def test_authorize_without_an_address_checks_none_unless_the_card_is_made_to_fail(
    provider: CardProvider,
) -> None:
    plain = provider.authorize(SALE)
    failing = provider.authorize(
        replace(with_number("4000000000000036"), reference="ch_2", idempotency_key="ch_2/sale")
    )
    assert plain.checks.address_line1_check is None
    assert plain.checks.address_postal_code_check is None
    assert failing.checks.address_line1_check is None
    assert failing.checks.address_postal_code_check == "fail"


@pytest.mark.parametrize("text", ["é" * 5000, "a\nb", ""])
def test_authorize_with_any_text_as_address_is_served(provider: CardProvider, text: str) -> None:
    asked = replace(SALE, address_line1=text, address_postal_code=text)
    assert provider.authorize(asked).status is ProviderStatus.APPROVED


def test_find_of_an_operation_that_never_came_is_nothing(provider: CardProvider) -> None:
    provider.authorize(SALE)
    assert provider.find("ch_2/sale") is None
    assert provider.find("ch_1/void") is None


def test_find_of_an_operation_is_its_answer(provider: CardProvider) -> None:
    sale = provider.authorize(SALE)
    refused = provider.refund("ch_1", "re_1", 9999, "re_1/refund")
    assert provider.find("ch_1/sale") == sale
    assert provider.find("re_1/refund") == refused


def test_refund_to_a_slow_bank_is_pending_and_then_approved(
    provider: CardProvider, clock: MemoryClock
) -> None:
    provider.authorize(with_number("4000000000007726"))
    asked = provider.refund("ch_1", "re_1", 1500, "re_1/refund")
    assert asked.status is ProviderStatus.PENDING
    clock.advance(REFUND_ENDS_AFTER_MS)
    ended = provider.find("re_1/refund")
    again = provider.refund("ch_1", "re_1", 1500, "re_1/refund")
    assert ended is not None
    assert ended.status is ProviderStatus.APPROVED
    assert again == ended
    assert provider.refund("ch_1", "re_2", 1, "re_2/refund").status is ProviderStatus.REFUSED


def test_refund_to_a_closed_card_comes_back_and_can_be_made_again(
    provider: CardProvider, clock: MemoryClock
) -> None:
    provider.authorize(with_number("4000000000005126"))
    asked = provider.refund("ch_1", "re_1", 1500, "re_1/refund")
    too_early = provider.refund("ch_1", "re_2", 1500, "re_2/refund")
    clock.advance(REFUND_ENDS_AFTER_MS)
    ended = provider.find("re_1/refund")
    assert asked.status is ProviderStatus.APPROVED
    assert too_early.status is ProviderStatus.REFUSED
    assert ended is not None
    assert (ended.status, ended.code) == (ProviderStatus.RETURNED, "expired_or_canceled_card")
    third = provider.refund("ch_1", "re_3", 1500, "re_3/refund")
    assert third.status is ProviderStatus.APPROVED
