"""The vault's API: what it accepts, refuses and makes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.tokenize_card.tokenization import StagePolicy
from functions.tokenize_card.validation import checked_card
from shared.adapters.memory import (
    MemoryClock,
    MemoryDatabase,
    MemoryDocumentStore,
    MemoryIdempotencyStore,
)
from shared.adapters.memory_vault import MemoryVault
from shared.domain.cards import passes_luhn
from shared.domain.documents import PageQuery, Scope
from shared.domain.errors import RejectedError
from shared.domain.sandbox_cards import CARDS, SandboxCard
from tests.support.vault_api import (
    CARD,
    CVC,
    DEVELOPMENT,
    LIVE,
    METHOD,
    NUMBER,
    OTHER,
    PRODUCTION,
    PUBLISHABLE,
    REAL_LOOKING,
    SECRET,
    VaultApi,
)


class Subject(VaultApi):
    def __init__(self, policy: StagePolicy) -> None:
        clock = MemoryClock()
        database = MemoryDatabase()
        self.vault = MemoryVault(clock, has_sandbox_cards=policy.has_sandbox_cards)
        documents = MemoryDocumentStore(database)
        claims = MemoryIdempotencyStore(database, clock)
        super().__init__(self.vault, documents, claims, clock, policy)
        self.database = database


@pytest.fixture
def subject() -> Subject:
    return Subject(DEVELOPMENT)


@pytest.fixture
def production() -> Subject:
    return Subject(PRODUCTION)


def test_payment_method_of_a_card_is_created_as_stripe_renders_it(subject: Subject) -> None:
    # when
    answer = subject.method({**METHOD, "billing_details[name]": "Jenny", "metadata[a]": "b"})
    # then
    assert answer.status == 200
    body = answer.body
    assert (body["object"], body["type"], body["customer"]) == ("payment_method", "card", None)
    assert body["card"]["last4"] == NUMBER[-4:]
    assert (body["card"]["brand"], body["card"]["funding"]) == ("amex", "credit")
    assert (body["card"]["exp_month"], body["card"]["exp_year"]) == (12, 2040)
    assert body["card"]["checks"]["cvc_check"] is None
    assert body["billing_details"]["name"] == "Jenny"
    assert body["billing_details"]["address"]["city"] is None
    assert body["metadata"] == {"a": "b"}
    assert body["allow_redisplay"] == "unspecified"
    page = subject.documents.page(Scope("acct_1", livemode=False), "payment_method", PageQuery())
    assert page.ids == (body["id"],)


@pytest.mark.parametrize(
    ("changed", "code", "param"),
    [
        ({"card[number]": "4242424242424241"}, "incorrect_number", "number"),
        ({"card[number]": "424242424242"}, "incorrect_number", "number"),
        ({"card[number]": "9999999999999995"}, "incorrect_number", "number"),
        ({"card[number]": "4242"}, "invalid_number", "number"),
        ({"card[number]": "no number"}, "invalid_number", "number"),
        ({"card[number]": "४२४२४२४२४२४२४२४२"}, "invalid_number", "number"),
        ({"card[exp_month]": "13"}, "invalid_expiry_month", "exp_month"),
        ({"card[exp_month]": "0"}, "invalid_expiry_month", "exp_month"),
        ({"card[exp_year]": "2020"}, "invalid_expiry_year", "exp_year"),
        ({"card[exp_year]": "95"}, "invalid_expiry_year", "exp_year"),
        ({"card[exp_year]": "-1"}, "invalid_expiry_year", "exp_year"),
        ({"card[exp_year]": "20400"}, "invalid_expiry_year", "exp_year"),
        ({"card[cvc]": "99"}, "invalid_cvc", "cvc"),
        ({"card[cvc]": "12345"}, "invalid_cvc", "cvc"),
        ({"card[cvc]": "12a"}, "invalid_cvc", "cvc"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/payment_methods", "/v1/tokens"])
def test_card_that_cannot_be_is_refused_with_402_and_stores_nothing(
    subject: Subject, path: str, changed: dict[str, str], code: str, param: str
) -> None:
    form = {**(METHOD if path == "/v1/payment_methods" else CARD), **changed}
    before = dict(subject.database.documents)
    answer = subject.post(path, form)
    assert answer.status == 402
    assert answer.error["type"] == "card_error"
    assert (answer.error["code"], answer.error["param"]) == (code, param)
    assert subject.vault.is_empty
    assert subject.database.documents == before


def test_card_that_expired_this_year_names_the_month(subject: Subject) -> None:
    # given the clock stands in September 2026
    answer = subject.method({**METHOD, "card[exp_month]": "8", "card[exp_year]": "2026"})
    assert answer.error["code"] == "invalid_expiry_month"
    # then a card is good until the end of its month, and a two-digit year is of this century
    good = subject.method({**METHOD, "card[exp_month]": "9", "card[exp_year]": "26"})
    assert good.body["card"]["exp_year"] == 2026


@pytest.mark.parametrize(
    ("changed", "code", "param"),
    [
        ({"type": None}, "parameter_missing", "type"),
        ({"type": "sepa_debit"}, None, "type"),
        ({"card[number]": None}, "parameter_missing", "card[number]"),
        ({"card[exp_month]": None}, "parameter_missing", "card[exp_month]"),
        ({"card[exp_year]": None}, "parameter_missing", "card[exp_year]"),
        ({"card[exp_month]": "May"}, "parameter_invalid_integer", "card[exp_month]"),
        ({"card[number]": ""}, "parameter_invalid_empty", "card[number]"),
        ({"card[colour]": "red"}, "parameter_unknown", "card[colour]"),
        ({"allow_redisplay": "never"}, None, "allow_redisplay"),
        ({"billing_details[email]": "none"}, "email_invalid", "billing_details[email]"),
        ({"card[token]": "tok_visa"}, None, "card"),
    ],
)
def test_payment_method_with_wrong_parameters_is_refused_with_400(
    subject: Subject, changed: dict[str, str | None], code: str | None, param: str
) -> None:
    form = {key: value for key, value in {**METHOD, **changed}.items() if value is not None}
    answer = subject.method(form)
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert (answer.error.get("code"), answer.error["param"]) == (code, param)
    assert subject.vault.is_empty


def test_number_with_blanks_and_dashes_is_the_same_card(subject: Subject) -> None:
    plain = subject.method()
    spaced = subject.method({**METHOD, "card[number]": "3782-822463 10005"})
    assert spaced.body["card"]["fingerprint"] == plain.body["card"]["fingerprint"]


@pytest.mark.parametrize("key", [SECRET, LIVE])
def test_real_looking_card_outside_production_is_declined_and_kept_out(
    subject: Subject, key: str
) -> None:
    answer = subject.method(REAL_LOOKING, key=key)
    assert answer.status == 402
    assert (answer.error["code"], answer.error["decline_code"]) == (
        "card_declined",
        "test_mode_live_card",
    )
    assert subject.vault.is_empty
    assert subject.vault.scheduled == []


def test_test_card_in_live_mode_is_declined(production: Subject) -> None:
    answer = production.method(key=LIVE)
    assert answer.error["decline_code"] == "live_mode_test_card"
    assert production.method().status == 200


def test_card_without_an_entry_in_the_table_is_summarised_by_its_brand(
    production: Subject,
) -> None:
    form = REAL_LOOKING
    card = production.method(form, key=LIVE).body["card"]
    assert (card["brand"], card["funding"], card["last4"]) == ("visa", "unknown", "1111")


def test_same_key_with_another_number_is_refused(subject: Subject) -> None:
    subject.method(idempotency_key="k1")
    form = {**METHOD, "card[number]": "371449635398431"}
    answer = subject.method(form, idempotency_key="k1")
    assert (answer.status, answer.error["type"]) == (400, "idempotency_error")


def test_token_is_created_and_used_once(subject: Subject) -> None:
    # given
    form = {**CARD, "card[name]": "Jenny", "card[address_zip]": "94103"}
    token = subject.token(form)
    assert token.status == 200
    assert (token.body["object"], token.body["used"]) == ("token", False)
    assert token.body["card"]["last4"] == NUMBER[-4:]
    # when
    use = {"type": "card", "card[token]": token.body["id"]}
    method = subject.method(use)
    # then the method has the token's card and holder
    assert method.status == 200
    assert method.body["billing_details"]["name"] == "Jenny"
    assert method.body["billing_details"]["address"]["postal_code"] == "94103"
    assert subject.stored(token.body["id"]).data["used"] is True
    stored = subject.stored(method.body["id"]).data["card"]
    assert subject.vault.open(stored["vault_token"], "acct_1").cvc == CVC
    # and no second use is possible
    again = subject.method(use)
    assert (again.status, again.error["code"]) == (400, "token_already_used")
    assert again.error["param"] == "card[token]"


def test_token_used_under_a_key_is_replayed_not_refused(subject: Subject) -> None:
    use = {"type": "card", "card[token]": subject.token().body["id"]}
    first = subject.method(use, idempotency_key="k1")
    assert subject.method(use, idempotency_key="k1").body == first.body


def test_billing_details_of_the_request_win_over_the_tokens(subject: Subject) -> None:
    token = subject.token({**CARD, "card[name]": "Jenny", "card[address_zip]": "94103"})
    form = {
        "type": "card",
        "card[token]": token.body["id"],
        "billing_details[name]": "Rosen",
        "billing_details[address][city]": "Berlin",
    }
    details = subject.method(form).body["billing_details"]
    assert details["name"] == "Rosen"
    assert (details["address"]["city"], details["address"]["postal_code"]) == ("Berlin", None)


@pytest.mark.parametrize("token_id", ["tok_unknown", "tok_nope", "pm_card_visa", "x" * 255])
def test_unknown_token_is_missing(subject: Subject, token_id: str) -> None:
    answer = subject.method({"type": "card", "card[token]": token_id})
    assert (answer.status, answer.error["code"]) == (400, "resource_missing")


def test_foreign_token_is_missing_and_stays_unused(subject: Subject) -> None:
    token_id = subject.token().body["id"]
    answer = subject.method({"type": "card", "card[token]": token_id}, key=OTHER)
    assert (answer.status, answer.error["code"]) == (400, "resource_missing")
    assert subject.stored(token_id).data["used"] is False


def test_payment_method_given_as_a_token_is_missing(subject: Subject) -> None:
    method_id = subject.method().body["id"]
    answer = subject.method({"type": "card", "card[token]": method_id})
    assert answer.error["code"] == "resource_missing"


def test_named_token_gives_a_test_card_any_number_of_times(subject: Subject) -> None:
    use = {"type": "card", "card[token]": "tok_amex"}
    first, second = subject.method(use), subject.method(use)
    assert first.body["id"] != second.body["id"]
    assert first.body["card"]["fingerprint"] == subject.method().body["card"]["fingerprint"]
    stored = subject.stored(first.body["id"]).data["card"]
    assert stored["vault_token"] == "test:amex"
    assert subject.vault.open("test:amex", "acct_1").number == NUMBER


def test_named_token_in_production_is_missing(production: Subject) -> None:
    answer = production.method({"type": "card", "card[token]": "tok_visa"})
    assert answer.error["code"] == "resource_missing"


def test_publishable_key_may_tokenize(subject: Subject) -> None:
    assert subject.token(key=PUBLISHABLE).status == 200
    assert subject.method(key=PUBLISHABLE).status == 200


def test_alias_is_described_with_the_fingerprint_of_its_number(subject: Subject) -> None:
    described = subject.tokenizer.describe_alias("pm_card_amex", "acct_1")
    method = subject.method()
    assert described is not None
    assert described["fingerprint"] == method.body["card"]["fingerprint"]
    assert described["vault_token"] == "test:amex"
    assert set(described) == set(subject.stored(method.body["id"]).data["card"])
    elevated = subject.tokenizer.describe_alias("pm_card_riskLevelElevated", "acct_1")
    assert elevated is not None
    assert elevated["network_risk"] == "elevated"


def test_alias_that_no_card_has_is_not_described(subject: Subject) -> None:
    assert subject.tokenizer.describe_alias("pm_card_nope", "acct_1") is None


def test_alias_in_production_is_not_described(production: Subject) -> None:
    assert production.tokenizer.describe_alias("pm_card_visa", "acct_1") is None


@given(
    number=st.one_of(st.text(max_size=25), st.from_regex(r"[0-9 \-]{12,24}", fullmatch=True)),
    month=st.integers(-(10**18), 10**18),
    year=st.integers(-(10**18), 10**18),
    cvc=st.one_of(st.none(), st.text(min_size=1, max_size=6)),
)
def test_checked_card_any_input_is_a_card_or_a_refusal_without_an_echo(
    number: str, month: int, year: int, cvc: str | None
) -> None:
    try:
        card = checked_card(number, month, year, cvc, now_ms=MemoryClock().now_ms())
    except RejectedError as error:
        assert len(number) < 5 or number not in error.message
        return
    assert passes_luhn(card.number)
    assert 1 <= card.exp_month <= 12
    assert (2026, 9) <= (card.exp_year, card.exp_month) < (2077, 1)
    assert card.cvc == cvc


@given(st.sampled_from(CARDS), st.sampled_from(["", " ", "-"]), st.integers(1, 12))
def test_checked_card_any_test_card_passes(card: SandboxCard, blank: str, month: int) -> None:
    typed = blank.join(card.number[at : at + 4] for at in range(0, len(card.number), 4))
    checked = checked_card(typed, month, 27, card.cvc, now_ms=MemoryClock().now_ms())
    assert (checked.number, checked.exp_year) == (card.number, 2027)
