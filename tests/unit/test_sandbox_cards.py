"""The table of test cards and the brands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import sandbox_cards
from shared.domain.card_brands import brand_of, brands
from shared.domain.cards import passes_luhn
from shared.domain.errors import InvariantError, NotFoundError
from shared.domain.sandbox_cards import CARDS, Outcome
from shared.domain.vault import open_sandbox_card


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.last4)
def test_sandbox_card_any_is_a_possible_number(card: sandbox_cards.SandboxCard) -> None:
    assert passes_luhn(card.number)
    assert len(card.number) in card.brand.lengths
    assert len(card.cvc) == card.brand.cvc_length


def test_sandbox_cards_numbers_and_names_are_unique() -> None:
    numbers = [card.number for card in CARDS]
    names = [name for card in CARDS for name in card.names]
    assert len(set(numbers)) == len(numbers)
    assert len(set(names)) == len(names)


def test_sandbox_card_declining_always_states_the_decline() -> None:
    for card in CARDS:
        assert (card.decline is not None) or card.outcome is not Outcome.DECLINE
        if card.outcome is Outcome.APPROVE:
            assert card.decline is None


@pytest.mark.parametrize(
    ("alias", "number"),
    [
        ("pm_card_visa", "4242424242424242"),
        ("tok_visa", "4242424242424242"),
        ("pm_card_amex", "378282246310005"),
        ("tok_chargeDeclined", "4000000000000002"),
        ("pm_card_visa_chargeDeclined", "4000000000000002"),
        ("pm_card_createMultipleDisputes", "4000000404000079"),
    ],
)
def test_by_alias_known_names_the_card(alias: str, number: str) -> None:
    card = sandbox_cards.by_alias(alias)
    assert card is not None
    assert card.number == number
    assert sandbox_cards.by_number(number) is card


@pytest.mark.parametrize("alias", ["pm_card_nope", "tok_", "visa", "pm_visa", "", "tok_VISA"])
def test_by_alias_unknown_finds_nothing(alias: str) -> None:
    assert sandbox_cards.by_alias(alias) is None


def test_vault_token_of_a_named_card_opens_to_it() -> None:
    for card in CARDS:
        if not card.names:
            with pytest.raises(InvariantError):
                sandbox_cards.vault_token(card)
            continue
        opened = open_sandbox_card(sandbox_cards.vault_token(card))
        assert (opened.number, opened.cvc) == (card.number, card.cvc)


@pytest.mark.parametrize("token", ["test:nope", "test:", "test:4242424242424242", "vlt_1"])
def test_open_sandbox_card_unknown_is_refused_without_an_echo(token: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        open_sandbox_card(token)
    assert token not in caught.value.message


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4111111111111111", "visa"),
        ("2221000000000009", "mastercard"),
        ("2720990000000007", "mastercard"),
        ("5105105105105100", "mastercard"),
        ("340000000000009", "amex"),
        ("6449000000000000", "discover"),
        ("3095000000000000", "diners"),
        ("3528000000000007", "jcb"),
        ("3589000000000003", "jcb"),
        ("8171999927660000", "unionpay"),
    ],
)
def test_brand_of_a_published_range_names_it(number: str, brand: str) -> None:
    found = brand_of(number)
    assert found is not None
    assert found.name == brand


@pytest.mark.parametrize(
    "number", ["", "2", "2220999999999999", "2721000000000000", "5600000000000000", "3527", "1"]
)
def test_brand_of_outside_the_ranges_is_none(number: str) -> None:
    assert brand_of(number) is None


@given(st.from_regex(r"[0-9]{13,19}", fullmatch=True))
def test_brand_of_any_number_is_none_or_listed(number: str) -> None:
    brand = brand_of(number)
    assert brand is None or brand in list(brands())


@given(st.from_regex(r"[0-9]{12,18}", fullmatch=True))
def test_passes_luhn_one_changed_digit_fails(body: str) -> None:
    # given the one check digit that completes the number
    number = next(body + str(check) for check in range(10) if passes_luhn(body + str(check)))
    # when a digit changes, then the check fails
    for position, digit in enumerate(number):
        other = str((int(digit) + 1) % 10)
        assert not passes_luhn(number[:position] + other + number[position + 1 :])
