"""What every card verifier does; run on the sandbox network over HTTP and on its twin in memory."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared.adapters.memory import MemoryClock
from shared.adapters.memory_provider import MemoryProvider
from shared.adapters.providers.sandbox import SandboxProvider
from shared.domain.cards import CardNumber
from shared.domain.errors import InvariantError
from shared.domain.providers import AuthorizationRequest, ProviderStatus, VerificationRequest
from tests.support.card_network import network

VISA = CardNumber("4242424242424242", 12, 2040, "123")
ASKED = VerificationRequest(
    account="acct_1",
    setup_id="seti_1",
    reference="setatt_1",
    idempotency_key="setatt_1/verification",
    card=VISA,
)
Verifier = MemoryProvider | SandboxProvider


@pytest.fixture(params=["memory", "http"])
def verifier(request: pytest.FixtureRequest) -> Iterator[Verifier]:
    with network(request.param, MemoryClock()) as found:
        yield found


def with_number(number: str) -> VerificationRequest:
    return replace(ASKED, card=CardNumber(number, 12, 2040, "123"))


def test_verification_of_a_good_card_is_approved_with_its_checks(verifier: Verifier) -> None:
    # when
    answer = verifier.verify(
        replace(ASKED, address_line1="1 High St", address_postal_code="N1 9GU")
    )
    # then
    assert answer.status is ProviderStatus.APPROVED
    assert answer.network_transaction_id
    checks = answer.checks
    assert (checks.cvc_check, checks.address_line1_check) == ("pass", "pass")
    assert checks.address_postal_code_check == "pass"


def test_verification_again_is_the_same_answer_without_the_deleted_code(
    verifier: Verifier,
) -> None:
    # when
    first = verifier.verify(ASKED)
    again = verifier.verify(replace(ASKED, card=replace(VISA, cvc=None)))
    # then
    assert again == first
    assert verifier.find("setatt_1/verification") == first
    assert verifier.find("setatt_2/verification") is None


def test_verification_key_for_something_else_is_a_bug(verifier: Verifier) -> None:
    verifier.verify(ASKED)
    with pytest.raises(InvariantError):
        verifier.verify(replace(ASKED, setup_id="seti_2"))


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000000069", "expired_card", "expired_card"),
        ("4000000000000127", "incorrect_cvc", "incorrect_cvc"),
        ("4100000000000019", "card_declined", "fraudulent"),
        ("4012888888881881", "card_declined", "test_mode_live_card"),
    ],
)
def test_verification_of_a_declining_card_says_why(
    verifier: Verifier, number: str, code: str, decline_code: str
) -> None:
    answer = verifier.verify(with_number(number))
    assert answer.status is ProviderStatus.DECLINED
    assert (answer.code, answer.decline_code) == (code, decline_code)


@pytest.mark.parametrize("number", ["4000002500003155", "4000003800000446", "4000000000003220"])
def test_verification_asks_for_the_cardholder_who_is_there(verifier: Verifier, number: str) -> None:
    assert verifier.verify(with_number(number)).status is ProviderStatus.ACTION_REQUIRED


@pytest.mark.parametrize(
    ("number", "status"),
    [
        ("4000000000003055", ProviderStatus.ACTION_REQUIRED),
        ("4242424242424242", ProviderStatus.APPROVED),
    ],
)
def test_verification_that_wants_an_authentication_asks_enrolled_cards_for_it(
    verifier: Verifier, number: str, status: ProviderStatus
) -> None:
    request = with_number(number)
    wanted = replace(request, reference="sa_2", idempotency_key="sa_2/v", authenticate=True)
    assert verifier.verify(request).status is ProviderStatus.APPROVED
    assert verifier.verify(wanted).status is status


def test_card_whose_charges_are_declined_can_be_verified(verifier: Verifier) -> None:
    # given
    card = CardNumber("4000000000000341", 12, 2040, "123")
    charge = AuthorizationRequest(
        account="acct_1",
        payment_id="pi_1",
        reference="ch_1",
        idempotency_key="ch_1/sale",
        card=card,
        amount_minor=1500,
        currency="usd",
        capture=True,
    )
    # then
    assert verifier.verify(replace(ASKED, card=card)).status is ProviderStatus.APPROVED
    assert verifier.authorize(charge).status is ProviderStatus.DECLINED


def test_verification_leaves_no_transaction(verifier: Verifier) -> None:
    verifier.verify(ASKED)
    recorded = (
        verifier.transactions
        if isinstance(verifier, MemoryProvider)
        else verifier.transactions("acct_1").data
    )
    assert not recorded
