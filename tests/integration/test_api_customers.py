"""Customers, payment methods and tokens, through the function's own API on in-memory stores."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import stripe

from functions.api_customers.handler import build
from shared.domain.cards import CardSummary
from shared.domain.documents import DocumentWrite
from shared.domain.idempotency import Claim
from shared.edge import documents
from tests.support.api import CARD, LIVE_KEY, OTHER_KEY, SECRET_KEY, Client

NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


class OneSandboxCard:
    """Implements SandboxCards with pm_card_visa alone."""

    def describe(self, alias: str, account: str) -> CardSummary | None:
        return CardSummary.of({**CARD, "fingerprint": account}) if alias == "pm_card_visa" else None


@pytest.fixture
def client() -> Client:
    return Client(lambda platform: build(platform.ports(), platform.documents, OneSandboxCard))


def create(client: Client, **params: Any) -> str:
    client.platform.clock.advance(1_000)
    answer = client.post("/v1/customers", params)
    assert answer.status == 200, answer.text
    customer_id: str = answer.body["id"]
    return customer_id


def attach(client: Client, method_id: str, customer_id: str) -> None:
    client.platform.put_payment_method(method_id)
    path = f"/v1/payment_methods/{method_id}/attach"
    assert client.post(path, {"customer": customer_id}).status == 200


def test_create_customer_returns_every_field(client: Client) -> None:
    answer = client.post(
        "/v1/customers",
        {
            "address": {"line1": "1 Road", "country": "GB"},
            "description": "first",
            "email": "jenny@example.com",
            "metadata": {"order": "7"},
            "name": "Jenny",
            "phone": "+4915123456789",
            "preferred_locales": ["en", "de"],
            "shipping": {"name": "Jenny", "address": {"line1": "2 Road"}},
        },
    )
    now_s = client.platform.clock.now_ms() // 1000
    assert answer.status == 200
    assert answer.body == {
        "id": answer.body["id"],
        "object": "customer",
        "address": {**NO_ADDRESS, "line1": "1 Road", "country": "GB"},
        "balance": 0,
        "business_name": None,
        "created": now_s,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": "first",
        "discount": None,
        "email": "jenny@example.com",
        "individual_name": None,
        "invoice_prefix": None,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {"order": "7"},
        "name": "Jenny",
        "next_invoice_sequence": 1,
        "phone": "+4915123456789",
        "preferred_locales": ["en", "de"],
        "shipping": {
            "address": {**NO_ADDRESS, "line1": "2 Road"},
            "carrier": None,
            "name": "Jenny",
            "phone": None,
            "tracking_number": None,
        },
        "tax_exempt": "none",
        "test_clock": None,
    }
    assert client.get(f"/v1/customers/{answer.body['id']}").body == answer.body


@pytest.mark.parametrize(
    ("prefix", "status"), [("A", 200), ("A1" * 6, 200), ("A" * 13, 400), ("a", 400)]
)
def test_invoice_prefix_has_one_to_twelve_capitals_and_digits(
    client: Client, prefix: str, status: int
) -> None:
    answer = client.post("/v1/customers", {"invoice_prefix": prefix})
    assert answer.status == status
    assert answer.body.get("invoice_prefix") == (prefix if status == 200 else None)


def test_create_customer_repeated_key_creates_one(client: Client) -> None:
    first = client.post("/v1/customers", {"name": "A"}, idempotency_key="k")
    second = client.post("/v1/customers", {"name": "A"}, idempotency_key="k")
    assert second.text == first.text
    assert client.get("/v1/customers").ids == [first.body["id"]]


def test_create_customer_with_payment_method_attaches_it(client: Client) -> None:
    client.platform.put_payment_method("pm_1")
    customer_id = create(
        client, payment_method="pm_1", invoice_settings={"default_payment_method": "pm_1"}
    )
    method = client.get("/v1/payment_methods/pm_1").body
    customer = client.get(f"/v1/customers/{customer_id}").body
    assert method["customer"] == customer_id
    assert customer["invoice_settings"]["default_payment_method"] == "pm_1"


def test_create_customer_with_unknown_payment_method_creates_nothing(client: Client) -> None:
    answer = client.post("/v1/customers", {"payment_method": "pm_9"})
    assert answer.status == 400
    assert answer.error == {
        "code": "resource_missing",
        "param": "payment_method",
        "message": "No such PaymentMethod: 'pm_9'",
        "type": "invalid_request_error",
    }
    assert client.get("/v1/customers").ids == []


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"email": "nobody"}, "email_invalid", "email"),
        ({"shipping": {"name": "A"}}, "parameter_missing", "shipping[address]"),
        ({"balance": "ten"}, "parameter_invalid_integer", "balance"),
        ({"tax_exempt": "maybe"}, None, "tax_exempt"),
        ({"coupon": "x"}, "parameter_unknown", "coupon"),
        ({"source": {"number": "1"}}, "parameter_unknown", "source"),
        ({"metadata": {f"k{i}": "v" for i in range(51)}}, None, "metadata"),
        (
            {"invoice_settings": {"default_payment_method": "pm_9"}},
            "resource_missing",
            "invoice_settings[default_payment_method]",
        ),
    ],
)
def test_create_customer_bad_parameter_is_refused(
    client: Client, params: dict[str, Any], code: str | None, param: str
) -> None:
    answer = client.post("/v1/customers", params)
    assert (answer.status, answer.error.get("code"), answer.error["param"]) == (400, code, param)
    assert client.get("/v1/customers").ids == []


def test_update_customer_changes_what_was_sent(client: Client) -> None:
    customer_id = create(
        client, name="A", email="a@example.com", description="d", metadata={"a": "1", "b": "2"}
    )
    answer = client.post(
        f"/v1/customers/{customer_id}",
        {"name": "B", "description": "", "metadata": {"a": "", "c": "3"}, "address": {"city": "X"}},
    )
    assert answer.status == 200
    assert (answer.body["name"], answer.body["email"]) == ("B", "a@example.com")
    assert answer.body["description"] is None
    assert answer.body["metadata"] == {"b": "2", "c": "3"}
    assert answer.body["address"]["city"] == "X"
    assert client.get(f"/v1/customers/{customer_id}").body == answer.body


def test_update_customer_default_of_another_customer_is_refused(client: Client) -> None:
    customer_id, other_id = create(client), create(client)
    attach(client, "pm_1", other_id)
    settings = {"default_payment_method": "pm_1"}
    answer = client.post(f"/v1/customers/{customer_id}", {"invoice_settings": settings})
    assert answer.error["message"] == (
        "The customer does not have a payment method with the ID pm_1. The payment method must be"
        " attached to the customer."
    )


def test_list_customers_pages_newest_first(client: Client) -> None:
    ids = [create(client) for _ in range(5)][::-1]
    page = client.get("/v1/customers", limit=2)
    assert (page.ids, page.body["has_more"]) == (ids[:2], True)
    assert page.body["url"] == "/v1/customers"
    page = client.get("/v1/customers", limit=3, starting_after=ids[1])
    assert (page.ids, page.body["has_more"]) == (ids[2:], False)
    page = client.get("/v1/customers", limit=2, ending_before=ids[3])
    assert (page.ids, page.body["has_more"]) == (ids[1:3], True)


def test_list_customers_created_bounds_the_list(client: Client) -> None:
    ids = [create(client) for _ in range(3)]
    created = client.get(f"/v1/customers/{ids[1]}").body["created"]
    assert client.get("/v1/customers", created=created).ids == [ids[1]]
    assert client.get("/v1/customers", created={"gt": created}).ids == [ids[2]]
    assert client.get("/v1/customers", created={"lte": created}).ids == [ids[1], ids[0]]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"starting_after": "cus_9"}, "starting_after"),
        ({"created": {"gt": "x"}}, "created[gt]"),
    ],
)
def test_list_customers_bad_parameter_is_refused(
    client: Client, params: dict[str, Any], param: str
) -> None:
    answer = client.get("/v1/customers", **params)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_list_customers_by_email_follows_changes(client: Client) -> None:
    first, second = create(client, email="a@example.com"), create(client, email="b@example.com")
    assert client.get("/v1/customers", email="a@example.com").ids == [first]
    client.post(f"/v1/customers/{second}", {"email": "a@example.com"})
    assert client.get("/v1/customers", email="a@example.com").ids == [second, first]
    assert client.get("/v1/customers", email="b@example.com").ids == []


def test_delete_customer_leaves_a_tombstone_and_detaches(client: Client) -> None:
    customer_id = create(client, email="a@example.com")
    for number in range(30):
        attach(client, f"pm_{number}", customer_id)
    deleted = {"id": customer_id, "object": "customer", "deleted": True}
    assert client.delete(f"/v1/customers/{customer_id}").body == deleted
    assert client.get(f"/v1/customers/{customer_id}").body == deleted
    assert client.get("/v1/customers").ids == []
    assert client.get("/v1/customers", email="a@example.com").ids == []
    assert client.get("/v1/payment_methods/pm_7").body["customer"] is None
    assert "example.com" not in str(client.platform.database.documents[customer_id])
    assert client.delete(f"/v1/customers/{customer_id}").status == 404
    assert client.post(f"/v1/customers/{customer_id}", {"name": "A"}).status == 404


@pytest.mark.parametrize("key", [OTHER_KEY, LIVE_KEY])
def test_customer_of_another_account_or_mode_is_unknown(client: Client, key: str) -> None:
    customer_id = create(client)
    client.platform.put_payment_method("pm_1")
    path = f"/v1/customers/{customer_id}"
    for answer in (
        client.get(path, key=key),
        client.post(path, {"name": "B"}, key=key),
        client.delete(path, key=key),
        client.get(f"{path}/payment_methods", key=key),
        client.get("/v1/payment_methods/pm_1", key=key),
        client.post("/v1/payment_methods/pm_1/attach", {"customer": customer_id}, key=key),
    ):
        assert (answer.status, answer.error["code"]) == (404, "resource_missing")
        assert answer.error["message"].startswith("No such ")
    assert client.get("/v1/customers", key=key).ids == []


def test_customer_of_the_other_mode_is_hinted_at(client: Client) -> None:
    customer_id = create(client)
    answer = client.get(f"/v1/customers/{customer_id}", key=LIVE_KEY)
    assert answer.error["message"] == (
        f"No such customer: '{customer_id}'; a similar object exists in test mode, but a live mode"
        " key was used to make this request."
    )


def test_object_of_another_kind_is_unknown(client: Client) -> None:
    client.platform.put_payment_method("pm_1")
    assert client.get("/v1/customers/pm_1").status == 404


def test_retrieve_payment_method_returns_every_field(client: Client) -> None:
    details = {"name": "Jenny", "address": {"postal_code": "1"}}
    client.platform.put_payment_method("pm_1", billing_details=details)
    assert client.get("/v1/payment_methods/pm_1").body == {
        "id": "pm_1",
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": {**NO_ADDRESS, "postal_code": "1"},
            "email": None,
            "name": "Jenny",
            "phone": None,
            "tax_id": None,
        },
        "card": {
            "brand": "visa",
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "pass",
            },
            "country": "US",
            "description": None,
            "display_brand": "visa",
            "exp_month": 12,
            "exp_year": 2040,
            "fingerprint": "Xt5EWLLDS7FJjR1c",
            "funding": "credit",
            "generated_from": None,
            "iin": None,
            "issuer": None,
            "last4": "4242",
            "networks": {"available": ["visa"], "preferred": None},
            "regulated_status": None,
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": client.platform.clock.now_ms() // 1000,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "radar_options": None,
        "type": "card",
    }


def test_attach_payment_method_lists_it_with_its_customer(client: Client) -> None:
    customer_id = create(client)
    client.platform.put_payment_method("pm_0")
    attach(client, "pm_1", customer_id)
    attach(client, "pm_2", customer_id)
    both = ["pm_2", "pm_1"]
    assert client.get(f"/v1/customers/{customer_id}/payment_methods", type="card").ids == both
    assert client.get("/v1/payment_methods", customer=customer_id).ids == both
    assert client.get("/v1/payment_methods").ids == [*both, "pm_0"]
    path = f"/v1/customers/{customer_id}/payment_methods"
    assert client.get(f"{path}/pm_1").body["customer"] == customer_id
    assert client.get(f"{path}/pm_0").status == 404


def test_attach_payment_method_expands_its_customer(client: Client) -> None:
    customer_id = create(client, name="Jenny")
    client.platform.put_payment_method("pm_1")
    params = {"customer": customer_id, "expand": ["customer"]}
    answer = client.post("/v1/payment_methods/pm_1/attach", params, idempotency_key="k")
    assert answer.body["customer"]["name"] == "Jenny"


def test_attach_test_card_makes_a_payment_method(client: Client) -> None:
    customer_id = create(client)
    path, params = "/v1/payment_methods/pm_card_visa/attach", {"customer": customer_id}
    first = client.post(path, params, idempotency_key="k").body
    again = client.post(path, params, idempotency_key="k").body
    other = client.post(path, params, idempotency_key="k2").body
    assert (first["customer"], first["card"]["last4"]) == (customer_id, "4242")
    assert first == again
    assert first["id"] not in {"pm_card_visa", other["id"]}
    listed = client.get("/v1/payment_methods", customer=customer_id).ids
    assert set(listed) == {first["id"], other["id"]}
    assert client.get(f"/v1/payment_methods/{first['id']}").body == first


@pytest.mark.parametrize(("alias", "key"), [("pm_card_x", SECRET_KEY), ("pm_card_visa", LIVE_KEY)])
def test_attach_unknown_test_card_is_refused(client: Client, alias: str, key: str) -> None:
    customer_id = client.post("/v1/customers", key=key).body["id"]
    path = f"/v1/payment_methods/{alias}/attach"
    answer = client.post(path, {"customer": customer_id}, key=key)
    assert (answer.status, answer.error["code"]) == (404, "resource_missing")


def test_create_customer_with_test_card_makes_it_the_default(client: Client) -> None:
    customer_id = create(
        client,
        payment_method="pm_card_visa",
        invoice_settings={"default_payment_method": "pm_card_visa"},
    )
    (method_id,) = client.get("/v1/payment_methods", customer=customer_id).ids
    customer = client.get(f"/v1/customers/{customer_id}").body
    assert customer["invoice_settings"]["default_payment_method"] == method_id


def test_attach_payment_method_again_to_the_same_customer_changes_nothing(client: Client) -> None:
    customer_id = create(client)
    attach(client, "pm_1", customer_id)
    answer = client.post("/v1/payment_methods/pm_1/attach", {"customer": customer_id})
    assert answer.status == 200
    assert client.platform.database.documents["pm_1"].version == 2


@pytest.mark.parametrize("detach", [False, True])
def test_attach_payment_method_that_was_used_is_refused(client: Client, detach: bool) -> None:
    attach(client, "pm_1", create(client))
    if detach:
        assert client.post("/v1/payment_methods/pm_1/detach").status == 200
    answer = client.post("/v1/payment_methods/pm_1/attach", {"customer": create(client)})
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")


def test_attach_payment_method_to_deleted_customer_is_refused(client: Client) -> None:
    customer_id = create(client)
    client.delete(f"/v1/customers/{customer_id}")
    client.platform.put_payment_method("pm_1")
    answer = client.post("/v1/payment_methods/pm_1/attach", {"customer": customer_id})
    assert (answer.status, answer.error["param"]) == (400, "customer")


def before_the_next_commit(client: Client, object_id: str, act: Callable[[], object]) -> None:
    """Makes something happen between what a request reads and its writing of an object."""
    documents = client.platform.documents
    commit = documents.commit

    def first(writes: Sequence[DocumentWrite], claim: Claim | None = None) -> None:
        if any(write.document.id == object_id for write in writes):
            documents.commit = commit  # type: ignore[method-assign]
            act()
        commit(writes, claim)

    documents.commit = first  # type: ignore[method-assign]


def test_attach_payment_method_while_its_customer_is_deleted_is_refused(client: Client) -> None:
    # given
    customer_id = create(client)
    client.platform.put_payment_method("pm_1")
    before_the_next_commit(client, "pm_1", lambda: client.delete(f"/v1/customers/{customer_id}"))
    # when
    answer = client.post("/v1/payment_methods/pm_1/attach", {"customer": customer_id})
    # then
    assert (answer.status, answer.error["code"]) == (429, "lock_timeout")
    assert client.get("/v1/payment_methods/pm_1").body["customer"] is None


def test_payment_method_that_is_attached_while_its_customer_is_deleted_goes_too(
    client: Client,
) -> None:
    # given
    customer_id = create(client)
    before_the_next_commit(client, customer_id, lambda: attach(client, "pm_1", customer_id))
    # when
    assert client.delete(f"/v1/customers/{customer_id}").status == 200
    # then
    assert client.get("/v1/payment_methods/pm_1").body["customer"] is None


@pytest.mark.parametrize("is_first", ["default", "detach"])
def test_payment_method_that_is_detached_meanwhile_is_nobodys_default(
    client: Client, is_first: str
) -> None:
    # given
    customer_id = create(client)
    attach(client, "pm_1", customer_id)
    settings = {"invoice_settings": {"default_payment_method": "pm_1"}}
    requests = {
        "default": lambda: client.post(f"/v1/customers/{customer_id}", settings),
        "detach": lambda: client.post("/v1/payment_methods/pm_1/detach"),
    }
    written = "pm_1" if is_first == "default" else customer_id
    before_the_next_commit(client, written, requests.pop(is_first))
    # when
    answer = requests.popitem()[1]()
    # then
    assert (answer.status, answer.error["code"]) == (429, "lock_timeout")
    kept = client.get(f"/v1/customers/{customer_id}").body["invoice_settings"]
    is_kept = client.get("/v1/payment_methods/pm_1").body["customer"] is not None
    assert kept["default_payment_method"] == ("pm_1" if is_kept else None)
    assert is_kept is (is_first == "default")


@pytest.mark.parametrize("pages_max", [1, 20])
@pytest.mark.parametrize("cursor", ["starting_after", "ending_before"])
def test_payment_methods_of_a_customer_are_narrowed_page_by_page(
    client: Client, monkeypatch: pytest.MonkeyPatch, pages_max: int, cursor: str
) -> None:
    # given
    monkeypatch.setattr(documents, "_READ_PAGES_MAX", pages_max)
    monkeypatch.setattr(documents, "LIMIT_MAX", 10)
    customer_id = create(client)
    for number in range(25):
        facts = {"allow_redisplay": "always"} if number in {0, 2, 12, 13, 14, 24} else {}
        client.platform.put_payment_method(f"pm_{number}", **facts)
        path = f"/v1/payment_methods/pm_{number}/attach"
        assert client.post(path, {"customer": customer_id}).status == 200
    narrowed: dict[str, Any] = {"customer": customer_id, "allow_redisplay": "always", "limit": 2}
    by_path = f"/v1/customers/{customer_id}/payment_methods"
    is_back = cursor == "ending_before"
    # when
    found: list[str] = []
    beyond = "pm_1" if is_back else "pm_24"
    while beyond:
        page = client.get("/v1/payment_methods", **narrowed, **{cursor: beyond})
        assert 0 < len(page.ids) <= 2
        same = client.get(by_path, allow_redisplay="always", limit=2, **{cursor: beyond})
        assert (same.ids, same.body["has_more"]) == (page.ids, page.body["has_more"])
        found = [*page.ids, *found] if is_back else [*found, *page.ids]
        beyond = (page.ids[0] if is_back else page.ids[-1]) if page.body["has_more"] else ""
    # then
    shown = ["pm_24", "pm_14", "pm_13", "pm_12", "pm_2"]
    assert found == (shown if is_back else [*shown[1:], "pm_0"])
    limited = client.get("/v1/payment_methods", customer=customer_id, allow_redisplay="limited")
    assert (limited.ids, limited.body["has_more"]) == ([], False)
    rest = {"allow_redisplay": "unspecified", "customer": customer_id}
    assert client.get("/v1/payment_methods", **rest).ids[0] == "pm_23"


def test_payment_methods_of_all_customers_are_not_narrowed(client: Client) -> None:
    answer = client.get("/v1/payment_methods", allow_redisplay="always")
    assert (answer.status, answer.error["param"]) == (400, "allow_redisplay")


def test_detach_payment_method_is_no_longer_the_default(client: Client) -> None:
    customer_id = create(client)
    attach(client, "pm_1", customer_id)
    settings = {"default_payment_method": "pm_1"}
    client.post(f"/v1/customers/{customer_id}", {"invoice_settings": settings})
    answer = client.post("/v1/payment_methods/pm_1/detach")
    customer = client.get(f"/v1/customers/{customer_id}").body
    assert answer.body["customer"] is None
    assert customer["invoice_settings"]["default_payment_method"] is None
    assert client.get("/v1/payment_methods", customer=customer_id).ids == []


def test_detach_payment_method_of_nobody_is_refused(client: Client) -> None:
    client.platform.put_payment_method("pm_1")
    answer = client.post("/v1/payment_methods/pm_1/detach")
    assert answer.error["message"] == (
        "The payment method you provided is not attached to a customer so detachment is impossible."
    )


def test_update_payment_method_changes_what_was_sent(client: Client) -> None:
    attach(client, "pm_1", create(client))
    path = "/v1/payment_methods/pm_1"
    client.post(path, {"billing_details": {"name": "A", "address": {"city": "X"}}})
    answer = client.post(
        path,
        {
            "allow_redisplay": "always",
            "billing_details": {"email": "a@example.com", "address": {"line1": "1 Road"}},
            "card": {"exp_month": 1, "exp_year": 2041},
            "metadata": {"a": "1"},
        },
    )
    assert answer.status == 200
    details = answer.body["billing_details"]
    assert (details["name"], details["email"]) == ("A", "a@example.com")
    assert (details["address"]["city"], details["address"]["line1"]) == ("X", "1 Road")
    assert (answer.body["card"]["exp_month"], answer.body["card"]["exp_year"]) == (1, 2041)
    assert answer.body["allow_redisplay"] == "always"
    assert client.get(path).body == answer.body


@pytest.mark.parametrize(
    ("card", "status", "code", "param"),
    [
        ({"exp_month": 13}, 402, "invalid_expiry_month", "card[exp_month]"),
        ({"exp_year": 2020}, 402, "invalid_expiry_year", "card[exp_year]"),
        ({"exp_year": 2400}, 402, "invalid_expiry_year", "card[exp_year]"),
        ({"exp_year": ""}, 400, "parameter_invalid_empty", "card[exp_year]"),
        ({"cvc": "123"}, 400, "card_data_refused", "card"),
        ({"number": CARD["last4"]}, 400, "card_data_refused", "card"),
    ],
)
def test_update_payment_method_bad_card_is_refused(
    client: Client, card: dict[str, Any], status: int, code: str, param: str
) -> None:
    attach(client, "pm_1", create(client))
    answer = client.post("/v1/payment_methods/pm_1", {"card": card})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (status, code, param)


def test_update_payment_method_of_nobody_is_refused(client: Client) -> None:
    client.platform.put_payment_method("pm_1")
    answer = client.post("/v1/payment_methods/pm_1", {"metadata": {"a": "1"}})
    assert answer.status == 400


def test_create_payment_method_is_not_served_here(client: Client) -> None:
    assert client.post("/v1/payment_methods", {"type": "card"}).status == 404


def test_retrieve_token_returns_every_field(client: Client) -> None:
    data = {
        "card": dict(CARD),
        "card_id": "card_1",
        "checks": {"cvc_check": "pass"},
        "billing_details": {"name": "Jenny", "address": {"postal_code": "1"}},
        "used": True,
    }
    client.platform.put_object("token", "tok_1", data)
    token = client.get("/v1/tokens/tok_1").body
    assert (token["object"], token["type"], token["used"]) == ("token", "card", True)
    assert (token["card"]["id"], token["card"]["brand"]) == ("card_1", "Visa")
    assert (token["card"]["address_zip"], token["card"]["name"]) == ("1", "Jenny")
    assert client.get("/v1/tokens/tok_2").status == 404


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/v1/customers/{id}", stripe.Customer),
        ("/v1/payment_methods/pm_1", stripe.PaymentMethod),
    ],
)
def test_object_fields_are_fields_of_the_sdks_class(
    client: Client, path: str, resource: type[stripe.StripeObject]
) -> None:
    customer_id = create(client)
    attach(client, "pm_1", customer_id)
    body = client.get(path.format(id=customer_id)).body
    assert set(body) <= set(resource.__annotations__)


@pytest.mark.parametrize("params", [{}, {"name": "Ada"}, {"metadata[a]": "1"}, {"metadata[b]": ""}])
def test_update_that_changes_nothing_of_a_customer_is_no_change(
    client: Client, params: dict[str, str]
) -> None:
    # given
    customer_id = create(client, name="Ada", **{"metadata[a]": "1"})
    before = client.platform.documents.get(customer_id)
    # when
    answer = client.post(f"/v1/customers/{customer_id}", params)
    # then
    assert (answer.status, answer.body["name"]) == (200, "Ada")
    assert client.platform.documents.get(customer_id) == before


@pytest.mark.parametrize("params", [{}, {"metadata[a]": "1"}, {"card[exp_month]": "12"}])
def test_update_that_changes_nothing_of_a_payment_method_is_no_change(
    client: Client, params: dict[str, str]
) -> None:
    # given
    attach(client, "pm_1", create(client))
    client.post("/v1/payment_methods/pm_1", {"metadata[a]": "1"})
    before = client.platform.documents.get("pm_1")
    # when
    answer = client.post("/v1/payment_methods/pm_1", params)
    # then
    assert (answer.status, answer.body["metadata"]) == (200, {"a": "1"})
    assert client.platform.documents.get("pm_1") == before
