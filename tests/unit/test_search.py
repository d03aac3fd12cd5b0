"""Stripe's query language for searches."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import RejectedError
from shared.domain.search import (
    CHARGES,
    CLAUSES_MAX,
    CUSTOMERS,
    PAYMENT_INTENTS,
    QUERY_LENGTH_MAX,
    parse_query,
)

PAYMENT: dict[str, Any] = {
    "amount": 2000,
    "created": 1_790_000_000,
    "currency": "usd",
    "customer": None,
    "metadata": {"order": "6735", "he said": 'a "b"'},
    "status": "requires_capture",
}
CUSTOMER: dict[str, Any] = {
    "created": 5,
    "email": "Jenny.Rosen@example.com",
    "metadata": {},
    "name": "Jenny Ødegård",
    "phone": "",
}
CHARGE: dict[str, Any] = {
    **PAYMENT,
    "refunded": False,
    "payment_method_details": {"card": {"brand": "visa", "last4": "4242", "exp_year": 2034}},
    "billing_details": {"address": None},
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status:'requires_capture'", True),
        ('status:"REQUIRES_CAPTURE"', True),
        ("status:'requires'", False),
        ("-status:'canceled'", True),
        ("-status:'requires_capture'", False),
        ("amount>1999", True),
        ("amount>2000", False),
        ("amount>=2000", True),
        ("amount<'2001'", True),
        ("amount<=1999", False),
        ("amount:2000", True),
        ("-amount:2000", False),
        ("customer:null", True),
        ("-customer:null", False),
        ("customer:'cus_1'", False),
        ("-customer:'cus_1'", True),
        ("metadata['order']:'6735'", True),
        ('metadata["he said"]:"a \\"b\\""', True),
        ('metadata["nothing"]:null', True),
        ('-metadata["order"]:null', True),
        ("amount>1000 AND status:'requires_capture'", True),
        ("amount>1000 and status:'canceled'", False),
        ("amount>1000 status:'requires_capture'", True),
        ("amount>9000 OR status:'requires_capture'", True),
        ("amount>9000 or status:'canceled'", False),
        ("  created>=1790000000  AND -customer:'x' AND currency:'USD' ", True),
    ],
)
def test_query_matches_what_it_says(query: str, expected: bool) -> None:
    assert parse_query(query, PAYMENT_INTENTS).matches(PAYMENT) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("email~'rosen'", True),
        ("email~'ROSEN@EX'", True),
        ("email~'rosa'", False),
        ("email:'jenny.rosen@EXAMPLE.com'", True),
        ("name~'ØDE'", True),
        ("phone:null", True),
        ("phone~'555'", False),
    ],
)
def test_query_of_customers_finds_parts_of_phrases(query: str, expected: bool) -> None:
    assert parse_query(query, CUSTOMERS).matches(CUSTOMER) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("payment_method_details.card.last4:'4242'", True),
        ("payment_method_details.card.exp_year<2034", False),
        ("refunded:'false'", True),
        ("billing_details.address.postal_code:null", True),
        ("billing_details.address.postal_code:'94105'", False),
    ],
)
def test_query_of_charges_looks_inside_of_objects(query: str, expected: bool) -> None:
    assert parse_query(query, CHARGES).matches(CHARGE) is expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "wanted at 0"),
        ("status", "wanted at 0"),
        ("status:", "wanted at 0"),
        ("status:requires_capture", "wanted at 0"),
        ("status:'open", "wanted at 0"),
        ("status:1", "in quotes"),
        ("status>'a'", "does not take >"),
        ("status~'abc'", "does not take ~"),
        ("amount:'much'", "is a number"),
        ("amount>null", "null by : alone"),
        ("description:'x'", "description cannot be searched for"),
        ("metadata:'x'", "by key"),
        ("status['x']:'y'", "by key"),
        ("status:'a' AND", "wanted at 11"),
        ("status:'a' AND ", "wanted at 11"),
        ("status:'a',status:'b'", "AND, OR or a space"),
        ("(status:'a')", "wanted at 0"),
        ("status:'a' AND amount:1 OR amount:2", "cannot be mixed"),
        ("status:'a' amount:1 OR amount:2", "cannot be mixed"),
        (" AND ".join(["amount:1"] * (CLAUSES_MAX + 1)), "more than"),
        ("x" * (QUERY_LENGTH_MAX + 1), "longer"),
    ],
)
def test_query_that_is_none_is_refused(query: str, words: str) -> None:
    with pytest.raises(RejectedError, match=words) as refused:
        parse_query(query, PAYMENT_INTENTS)
    assert refused.value.param == "query"


def test_query_of_a_part_that_is_too_short_is_refused() -> None:
    with pytest.raises(RejectedError, match="3 characters"):
        parse_query("email~'ab'", CUSTOMERS)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("created>5", (6000, None)),
        ("created>=5 created<9", (5000, 8999)),
        ("created:5", (5000, 5999)),
        ("created<=5", (None, 5999)),
        ("-created>5", (None, None)),
        ("created>5 OR amount:1", (None, None)),
        ("amount>5", (None, None)),
        ("created>99999999999999999999", (1000 * (10**12 + 1), None)),
    ],
)
def test_query_bounds_when_what_matches_was_created(
    query: str, expected: tuple[int | None, int | None]
) -> None:
    assert parse_query(query, PAYMENT_INTENTS).created_ms() == expected


@given(st.text(max_size=60))
def test_query_of_any_text_is_read_or_refused(text: str) -> None:
    try:
        query = parse_query(text, PAYMENT_INTENTS)
    except RejectedError as error:
        assert error.param == "query"
    else:
        assert query.matches(PAYMENT) in {True, False}


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(key=st.text(max_size=40), value=st.text(max_size=40))
def test_query_of_any_metadata_finds_it_and_nothing_else(key: str, value: str) -> None:
    query = parse_query(f"metadata[{quoted(key)}]:{quoted(value)}", PAYMENT_INTENTS)
    assert query.matches({"metadata": {key: value}})
    assert not query.matches({"metadata": {f"{key}x": value}})
    assert not query.matches({"metadata": {key: f"{value}x"}})


CONDITIONS = st.tuples(
    st.booleans(), st.sampled_from((":", "<", ">", "<=", ">=")), st.integers(-3, 3)
)
HOLDS = {
    ":": int.__eq__,
    "<": int.__lt__,
    ">": int.__gt__,
    "<=": int.__le__,
    ">=": int.__ge__,
}


@given(st.lists(CONDITIONS, min_size=1, max_size=6), st.booleans(), st.integers(-3, 3))
def test_query_of_conditions_is_their_conjunction_or_disjunction(
    conditions: list[tuple[bool, str, int]], either: bool, amount: int
) -> None:
    # given
    texts = [f"{'-' * negated}amount{sign}{value}" for negated, sign, value in conditions]
    holds = [HOLDS[sign](amount, value) is not negated for negated, sign, value in conditions]
    # when
    query = parse_query((" OR " if either else " AND ").join(texts), PAYMENT_INTENTS)
    # then
    expected = any(holds) if either and len(holds) > 1 else all(holds)
    assert query.matches({"amount": amount}) is expected


@given(st.lists(CONDITIONS, min_size=1, max_size=4), st.integers(-3, 3))
def test_query_bounds_leave_out_nothing_that_matches(
    conditions: list[tuple[bool, str, int]], created: int
) -> None:
    texts = [f"{'-' * negated}created{sign}{value}" for negated, sign, value in conditions]
    query = parse_query(" ".join(texts), PAYMENT_INTENTS)
    from_ms, to_ms = query.created_ms()
    if query.matches({"created": created}):
        assert from_ms is None or from_ms <= created * 1000
        assert to_ms is None or created * 1000 + 999 <= to_ms
