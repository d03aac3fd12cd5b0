"""Ids: their form, and that children lead back to their payment."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import NotFoundError
from shared.domain.ids import (
    ATTEMPTS_MAX,
    BODY_LENGTH,
    base62,
    body,
    charge_id,
    derive_id,
    event_id,
    payment_id_of,
    refund_id,
)

PROFILE = settings(derandomize=True, deadline=None, max_examples=200)
PARTS = st.lists(st.text(max_size=30), min_size=1, max_size=4)
PREFIXES = st.sampled_from(["pi", "ch", "re", "cus", "pm", "tok", "evt", "we"])
FORM = re.compile(r"[a-z]+_[0-9A-Za-z]+")


@PROFILE
@given(PREFIXES, PARTS)
def test_derived_id_is_the_same_for_the_same_parts(prefix: str, parts: list[str]) -> None:
    # when
    made = derive_id(prefix, *parts)
    # then
    assert made == derive_id(prefix, *parts)
    assert FORM.fullmatch(made)
    assert len(body(made)) == BODY_LENGTH


@PROFILE
@given(PREFIXES, PREFIXES, PARTS, PARTS)
def test_derived_ids_of_other_kinds_or_parts_share_no_body(
    prefix: str, other_prefix: str, parts: list[str], other_parts: list[str]
) -> None:
    # given
    if (prefix, parts) == (other_prefix, other_parts):
        return
    # then
    assert body(derive_id(prefix, *parts)) != body(derive_id(other_prefix, *other_parts))


def test_derived_id_does_not_confuse_where_parts_end() -> None:
    ids = {derive_id("pi", "ab", "c"), derive_id("pi", "a", "bc"), derive_id("pi", "abc")}
    assert len(ids | {derive_id("pi", "2:ab", "c"), derive_id("pia", "b", "c")}) == 5


@PROFILE
@given(PARTS, st.integers(1, ATTEMPTS_MAX), PARTS)
def test_charges_and_refunds_lead_back_to_their_payment(
    parts: list[str], attempt: int, refund_parts: list[str]
) -> None:
    # given
    payment = derive_id("pi", *parts)
    # then
    for child in (charge_id(payment, attempt), refund_id(payment, *refund_parts)):
        assert payment_id_of(child) == payment
        assert FORM.fullmatch(child)


@PROFILE
@given(PARTS)
def test_charges_of_a_payment_are_all_different(parts: list[str]) -> None:
    # given
    payment = derive_id("pi", *parts)
    # then
    attempts = range(1, ATTEMPTS_MAX + 1)
    assert len({charge_id(payment, attempt) for attempt in attempts}) == ATTEMPTS_MAX


@PROFILE
@given(PARTS, st.integers(1, 99_999), st.integers(0, 9))
def test_event_id_names_one_announcement(parts: list[str], version: int, ordinal: int) -> None:
    # given
    payment = derive_id("pi", *parts)
    # then
    made = event_id(payment, version, ordinal)
    assert FORM.fullmatch(made)
    assert made != event_id(payment, version + 1, ordinal)
    assert made != event_id(payment, version, ordinal + 1)
    assert event_id(charge_id(payment, 1), version, ordinal) == made


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "ch",
        "ch_",
        "re_123",
        "pi_" + "a" * 30,
        "cus_" + "a" * 30,
        "ch_" + "a" * BODY_LENGTH,
        "ch_" + "a" * BODY_LENGTH + "/1",
        "ch_" + "a" * BODY_LENGTH + " 1",
        "ch_" + "a" * BODY_LENGTH + "_1",
    ],
)
def test_id_that_is_no_childs_is_not_found(odd: str) -> None:
    with pytest.raises(NotFoundError):
        payment_id_of(odd)


def test_base62_uses_every_character_and_keeps_the_length() -> None:
    assert base62(b"\x00", 4) == "0000"
    assert base62(b"\x3d", 2) == "z0"
    assert base62(b"\x3e", 2) == "01"
