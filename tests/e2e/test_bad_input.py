"""What merchants get wrong, sent as it is: each answer is Stripe's, and nothing is changed."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

import pytest

from local.home import regions
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.domain.documents import DocumentWrite
from shared.edge.auth import key_record_id
from tests.e2e.conftest import Platform
from tests.support.deployed import Deployed
from tests.support.live import Answer, Wire

pytestmark = pytest.mark.e2e

INTENTS = "/v1/payment_intents"
ORDER = {
    "amount": "2000",
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "confirm": "true",
}
BODY_BYTES_MAX = 256 * 1024


@pytest.fixture(scope="module")
def wire(platform: Platform, merchant: Mapping[str, str]) -> Wire:
    return Wire(platform.base, merchant["secret_key"])


@pytest.fixture(scope="module")
def foreign(platform: Platform) -> Mapping[str, str]:
    """Objects of another merchant, by their collection."""
    wire = Wire(platform.base, platform.merchant()["secret_key"])
    customer = wire.send("POST", "/v1/customers", {"name": "Jenny"}).body["id"]
    attach = "/v1/payment_methods/pm_card_visa/attach"
    method = wire.send("POST", attach, {"customer": customer}).body["id"]
    held = wire.send("POST", INTENTS, {**ORDER, "capture_method": "manual"}).body
    paid = wire.send("POST", INTENTS, ORDER).body
    refund = wire.send("POST", "/v1/refunds", {"payment_intent": paid["id"], "amount": "1"}).body
    endpoint = wire.send(
        "POST",
        "/v1/webhook_endpoints",
        {"url": "http://127.0.0.1:9/", "enabled_events[0]": "charge.failed"},
    ).body
    return {
        "charges": paid["latest_charge"],
        "customers": customer,
        "payment_intents": held["id"],
        "payment_methods": method,
        "refunds": refund["id"],
        "webhook_endpoints": endpoint["id"],
    }


def require_refusal(
    answer: Answer, status: int, code: str | None = None, param: str | None = None
) -> None:
    """Asserts that an answer is Stripe's error object."""
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["request-id"].startswith("req_")
    error = answer.error
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert (error.get("code"), error.get("param")) == (code, param)


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"surprise": "1"}, "parameter_unknown", "surprise"),
        ({"shipping[colour]": "red"}, "parameter_unknown", "shipping[colour]"),
        ({"amount": None}, "parameter_missing", "amount"),
        ({"currency": None}, "parameter_missing", "currency"),
        ({"amount": ""}, "parameter_invalid_empty", "amount"),
        ({"amount": "ten"}, "parameter_invalid_integer", "amount"),
        ({"amount": "20.00"}, "parameter_invalid_integer", "amount"),
        ({"amount": "٢٠٠"}, "parameter_invalid_integer", "amount"),
        ({"amount": "0"}, "parameter_invalid_integer", "amount"),
        ({"amount": "-2000"}, "parameter_invalid_integer", "amount"),
        ({"amount": "100000000"}, "amount_too_large", "amount"),
        ({"amount": "9" * 40}, "parameter_invalid_integer", "amount"),
        ({"currency": "zzz"}, None, "currency"),
        ({"currency": "us dollars"}, None, "currency"),
        ({"currency": ""}, "parameter_invalid_empty", "currency"),
        ({"confirm": "maybe"}, None, "confirm"),
        ({"capture_method": "later"}, None, "capture_method"),
        ({"metadata": "text"}, None, "metadata"),
        ({"metadata[a][b]": "deep"}, None, "metadata"),
        ({"metadata[" + "k" * 41 + "]": "v"}, None, "metadata"),
        ({"metadata[k]": "v" * 501}, None, "metadata"),
        ({"receipt_email": "nobody"}, "email_invalid", "receipt_email"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"payment_method": "pm_nothing"}, "resource_missing", "payment_method"),
        ({"payment_method": None}, "payment_intent_unexpected_state", "payment_method"),
        ({"expand[0]": "everything"}, None, "expand"),
    ],
)
def test_wrong_parameter_is_refused_by_name(
    wire: Wire, changes: Mapping[str, str | None], code: str | None, param: str
) -> None:
    order = {name: value for name, value in {**ORDER, **changes}.items() if value is not None}
    require_refusal(wire.send("POST", INTENTS, order), 400, code, param)


@pytest.mark.parametrize(
    "body",
    [
        b"amount=2000&currency=usd&description=%zz",
        b"amount=2000&currency=usd&description=%ff",
        b"amount=2000&currency=usd&description=%00",
        b"amount=2000&currency=usd&metadata[a=1",
        b"amount=2000&currency=usd&metadata[a]]=1",
        b"amount=2000&amount[a]=1&currency=usd",
        b"amount=2000&currency=usd&metadata" + b"[a]" * 9 + b"=1",
        b"amount=2000&currency=usd" + b"&a=1" * 1_000,
        b"\xff\xfe\x00",
    ],
)
def test_malformed_body_is_refused(wire: Wire, body: bytes) -> None:
    require_refusal(wire.send("POST", INTENTS, body), 400)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_body_of_another_type_is_refused(wire: Wire, kind: str) -> None:
    body = b'{"amount": 2000, "currency": "usd"}'
    require_refusal(wire.send("POST", INTENTS, body, {"Content-Type": kind}), 400)


def test_body_above_256_kb_is_refused(wire: Wire) -> None:
    start = b"amount=2000&currency=usd&description="
    body = start + b"x" * (BODY_BYTES_MAX + 1 - len(start))
    require_refusal(wire.send("POST", INTENTS, body), 413)
    # What is too long is the text then, no more the body.
    answer = wire.send("POST", INTENTS, body[:-1])
    require_refusal(answer, 400, None, "description")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=ten", "starting_after=pi_nothing", "created[gte]=now"],
)
@pytest.mark.parametrize("path", [INTENTS, "/v1/customers"])
def test_wrong_page_is_refused(wire: Wire, path: str, query: str) -> None:
    answer = wire.send("GET", f"{path}?{quote(query, safe='=&')}")
    assert answer.status == 400
    assert answer.error["param"] == query.partition("=")[0]


def test_both_cursors_are_refused(wire: Wire) -> None:
    query = "starting_after=pi_1&ending_before=pi_2"
    require_refusal(
        wire.send("GET", f"{INTENTS}?{query}"), 400, "parameters_exclusive", "ending_before"
    )


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (None, "You did not provide an API key."),
        ("", "You did not provide an API key."),
        ("Bearer ", "You did not provide an API key."),
        ("Digest abc", "You did not provide an API key."),
        ("Bearer sk_test_nobody0000000000", "Invalid API Key provided: sk_test_***0000"),
        ("Bearer nonsense", "Invalid API Key provided: ***"),
        ("Basic !!!", "You did not provide an API key."),
    ],
)
def test_request_without_a_valid_key_is_refused(
    platform: Platform, authorization: str | None, message: str
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = Wire(platform.base, None).send("GET", "/v1/balance", headers=headers)
    require_refusal(answer, 401)
    assert answer.error["message"].startswith(message)


def test_key_as_basic_user_name_is_accepted(platform: Platform, merchant: dict[str, str]) -> None:
    login = base64.b64encode(f"{merchant['secret_key']}:".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    assert Wire(platform.base, None).send("GET", "/v1/balance", headers=headers).status == 200


@pytest.mark.parametrize("facts", [{"expires_at_s": 1}, {"revoked": True}])
def test_key_that_is_no_longer_good_is_refused(
    platform: Platform, merchant: dict[str, str], facts: Mapping[str, int | bool]
) -> None:
    # given
    region, deployed = regions()[0], Deployed(platform.home)
    outputs = deployed.outputs("Data", region)
    store = DynamoDocumentStore(
        deployed.dynamodb(region), outputs["ObjectsTable"], outputs["IdempotencyTable"]
    )
    known = store.get(key_record_id(merchant["secret_key"]))
    assert known is not None
    key = f"sk_test_{merchant['secret_key'][8:][::-1]}{len(facts)}{next(iter(facts))[:1]}"
    old = replace(known, id=key_record_id(key), data={**known.data, **facts})
    # Not signed for: the test is no operator, and its key is no good.
    store.put_events([DocumentWrite(old)])
    # when
    answer = Wire(platform.base, key).send("POST", INTENTS, ORDER)
    # then
    require_refusal(answer, 401, "api_key_expired")
    assert key not in answer.text


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", INTENTS), ("GET", "/v1/customers"), ("GET", "/v1/balance"), ("POST", "/v1/refunds")],
)
def test_publishable_key_on_a_secret_operation_is_refused(
    platform: Platform, merchant: dict[str, str], method: str, target: str
) -> None:
    answer = Wire(platform.base, merchant["publishable_key"]).send(method, target)
    require_refusal(answer, 403, "secret_key_required")


def test_publishable_key_makes_tokens(platform: Platform, merchant: dict[str, str]) -> None:
    card = {
        "card[number]": "4242424242424242",
        "card[exp_month]": "12",
        "card[exp_year]": "2034",
        "card[cvc]": "123",
    }
    answer = Wire(platform.base, merchant["publishable_key"]).send("POST", "/v1/tokens", card)
    assert (answer.status, answer.body["object"]) == (200, "token")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_key_at_the_other_region_is_told_its_home(
    platform: Platform, merchant: dict[str, str], method: str
) -> None:
    home, other = regions()[:2]
    wire = Wire(platform.summary["regions"][other], merchant["secret_key"])
    answer = wire.send(method, INTENTS, ORDER if method == "POST" else None)
    require_refusal(answer, 403, "account_home_region_mismatch")
    assert home in answer.error["message"]
    assert answer.headers["farthing-home-region"] == home


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v1/nothing"),
        ("POST", "/v1/payment_intents/pi_1/explode"),
        ("GET", "/v1/payment_intents/"),
        ("GET", "/v1/payment_intents/pi_1/"),
        ("PUT", INTENTS),
        ("PATCH", f"{INTENTS}/pi_1"),
        ("DELETE", f"{INTENTS}/pi_1"),
        ("DELETE", "/v1/balance"),
        ("POST", "/v1/balance"),
        ("PUT", "/v1/payment_methods"),
        ("GET", "/v1/test_helpers/other"),
    ],
)
def test_unknown_route_or_method_is_refused(wire: Wire, method: str, target: str) -> None:
    answer = wire.send(method, target)
    require_refusal(answer, 404)
    assert answer.error["message"].startswith(f"Unrecognized request URL ({method}: {target})")


@pytest.mark.parametrize("target", [INTENTS, "/v1/nothing"])
def test_head_is_answered_without_a_body(wire: Wire, target: str) -> None:
    answer = wire.send("HEAD", target)
    assert (answer.status, answer.text) == (404, "")
    assert answer.headers["request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("method", "template"),
    [
        ("GET", "/v1/charges/{charges}"),
        ("GET", "/v1/customers/{customers}"),
        ("POST", "/v1/customers/{customers}"),
        ("DELETE", "/v1/customers/{customers}"),
        ("GET", "/v1/customers/{customers}/payment_methods"),
        ("GET", "/v1/payment_intents/{payment_intents}"),
        ("POST", "/v1/payment_intents/{payment_intents}"),
        ("POST", "/v1/payment_intents/{payment_intents}/confirm"),
        ("POST", "/v1/payment_intents/{payment_intents}/capture"),
        ("POST", "/v1/payment_intents/{payment_intents}/cancel"),
        ("GET", "/v1/payment_methods/{payment_methods}"),
        ("POST", "/v1/payment_methods/{payment_methods}/detach"),
        ("GET", "/v1/refunds/{refunds}"),
        ("GET", "/v1/webhook_endpoints/{webhook_endpoints}"),
        ("DELETE", "/v1/webhook_endpoints/{webhook_endpoints}"),
    ],
)
def test_foreign_object_in_the_path_is_missing(
    wire: Wire, foreign: Mapping[str, str], method: str, template: str
) -> None:
    answer = wire.send(method, template.format(**foreign))
    assert answer.status == 404
    assert answer.error["code"] == "resource_missing"


@pytest.mark.parametrize(
    ("target", "body", "param"),
    [
        (INTENTS, {**ORDER, "customer": "{customers}"}, "customer"),
        (INTENTS, {**ORDER, "payment_method": "{payment_methods}"}, "payment_method"),
        ("/v1/refunds", {"payment_intent": "{payment_intents}"}, "payment_intent"),
        ("/v1/refunds", {"charge": "{charges}"}, "charge"),
        (
            "/v1/payment_methods/pm_card_visa/attach",
            {"customer": "{customers}"},
            "customer",
        ),
    ],
)
def test_foreign_object_in_a_parameter_is_missing(
    wire: Wire,
    foreign: Mapping[str, str],
    target: str,
    body: Mapping[str, str],
    param: str,
) -> None:
    sent = {name: value.format(**foreign) for name, value in body.items()}
    require_refusal(wire.send("POST", target, sent), 400, "resource_missing", param)


@pytest.mark.parametrize(
    "target",
    ["/v1/charges?payment_intent={payment_intents}", "/v1/refunds?charge={charges}"],
)
def test_list_narrowed_to_a_foreign_object_is_empty(
    wire: Wire, foreign: Mapping[str, str], target: str
) -> None:
    answer = wire.send("GET", target.format(**foreign))
    assert (answer.status, answer.body["data"]) == (200, [])


def test_connected_account_is_refused(wire: Wire) -> None:
    answer = wire.send("POST", INTENTS, ORDER, {"Stripe-Account": "acct_1"})
    require_refusal(answer, 403, "connected_accounts_unsupported")


def test_idempotency_key_used_for_something_else_is_refused(wire: Wire) -> None:
    # given
    headers = {"Idempotency-Key": "customer-1"}
    first = wire.send("POST", "/v1/customers", {"name": "Jenny"}, headers)
    # when
    answer = wire.send("POST", "/v1/customers", {"name": "Kim"}, headers)
    # then
    assert first.status == 200
    assert answer.status == 400
    assert answer.error["type"] == "idempotency_error"
    assert answer.error["message"] == (
        "Keys for idempotent requests can only be used with the same parameters they were first"
        " used with. Try using a key other than 'customer-1' if you meant to execute a different"
        " request."
    )


@pytest.mark.parametrize("key", ["k" * 256, "clé"])
def test_idempotency_key_that_can_not_be_one_is_refused(wire: Wire, key: str) -> None:
    require_refusal(wire.send("POST", INTENTS, ORDER, {"Idempotency-Key": key}), 400)


def test_refused_requests_have_changed_nothing(wire: Wire) -> None:
    """Comes last: every test above had its requests refused with this merchant's key."""
    for path in (INTENTS, "/v1/charges", "/v1/refunds", "/v1/webhook_endpoints"):
        assert wire.send("GET", path).body["data"] == []
    names = [customer["name"] for customer in wire.send("GET", "/v1/customers").body["data"]]
    assert set(names) <= {"Jenny"}
    assert wire.send("GET", "/v1/test_helpers/network_transactions").body["data"] == []
    assert wire.send("GET", "/v1/ledger/trial_balance").body["data"] == []
