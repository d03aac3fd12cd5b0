"""Whatever is sent to a deployed platform, nothing it answers is a 5xx."""

from collections.abc import Mapping
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from functions.api_customers import models as customers
from functions.api_events import models as events
from functions.api_ledger import models as ledger
from functions.api_payments import models as payments
from functions.api_test_helpers import models as test_helpers
from functions.tokenize_card import models as vault
from shared.edge.fields import NoParams, PageParams
from shared.edge.params import Params
from tests.e2e.conftest import Platform
from tests.support.api import form
from tests.support.fuzz import Tree, likely_trees, mostly, trees
from tests.support.live import Answer, Wire

pytestmark = pytest.mark.e2e

LIKELY_REQUESTS = 110
ANY_REQUESTS = 50
KINDS = {"api_error", "card_error", "idempotency_error", "invalid_request_error"}
# Names in braces stand for objects that there are, or for nothing.
OPERATIONS: tuple[tuple[str, str, type[Params]], ...] = (
    ("POST", "/v1/payment_intents", payments.CreatePaymentIntent),
    ("GET", "/v1/payment_intents", payments.ListPaymentIntents),
    ("GET", "/v1/payment_intents/{intent}", NoParams),
    ("POST", "/v1/payment_intents/{intent}", payments.UpdatePaymentIntent),
    ("POST", "/v1/payment_intents/{intent}/confirm", payments.ConfirmPaymentIntent),
    ("POST", "/v1/payment_intents/{intent}/capture", payments.CapturePaymentIntent),
    ("POST", "/v1/payment_intents/{intent}/cancel", payments.CancelPaymentIntent),
    ("GET", "/v1/charges", payments.ListCharges),
    ("GET", "/v1/charges/{charge}", NoParams),
    ("POST", "/v1/refunds", payments.CreateRefund),
    ("GET", "/v1/refunds", payments.ListRefunds),
    ("GET", "/v1/refunds/{refund}", NoParams),
    ("POST", "/v1/customers", customers.CreateCustomer),
    ("GET", "/v1/customers", customers.ListCustomers),
    ("POST", "/v1/customers/{customer}", customers.UpdateCustomer),
    ("POST", "/v1/payment_methods", vault.CreatePaymentMethod),
    ("GET", "/v1/payment_methods", customers.ListPaymentMethods),
    ("POST", "/v1/payment_methods/{method}", customers.UpdatePaymentMethod),
    ("POST", "/v1/payment_methods/{method}/attach", customers.AttachPaymentMethod),
    ("POST", "/v1/payment_methods/{method}/detach", NoParams),
    ("POST", "/v1/tokens", vault.CreateToken),
    ("GET", "/v1/events", events.ListEvents),
    ("GET", "/v1/events/{event}", NoParams),
    ("POST", "/v1/webhook_endpoints", events.CreateWebhookEndpoint),
    ("GET", "/v1/webhook_endpoints", PageParams),
    ("GET", "/v1/balance_transactions", ledger.ListBalanceTransactions),
    ("GET", "/v1/ledger/accounts", ledger.ListAccounts),
    ("GET", "/v1/ledger/accounts/2000:x:usd/entries", ledger.ListEntries),
    ("GET", "/v1/ledger/checkpoints", ledger.ListCheckpoints),
    ("GET", "/v1/ledger/journals", ledger.ListJournals),
    ("GET", "/v1/ledger/payment_intents/{intent}", ledger.AsOf),
    ("GET", "/v1/ledger/trial_balance", ledger.AsOf),
    ("GET", "/v1/test_helpers/network_transactions", test_helpers.ListNetworkTransactions),
)
FITTING = {
    "amount": "50",
    "charge": "{charge}",
    "confirm": "true",
    "currency": "usd",
    "customer": "{customer}",
    "payment_intent": "{intent}",
    "payment_method": "pm_card_visa",
}
METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH")
ODD_NAMES = ("%00", "%2e%2e", "%F0%9F%92%B3", "%25", "KEY%23x", "a" * 300, "[]", "~", "%ff")
HEADERS = ("Idempotency-Key", "Stripe-Version", "Content-Type", "Expect-Nothing", "X-Forwarded-For")
SETTINGS = settings(
    deadline=None,
    database=None,
    # Each example is a request to a platform that remembers: shrinking would send hundreds more.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def wire(platform: Platform, merchant: Mapping[str, str]) -> Wire:
    return Wire(platform.base, merchant["secret_key"])


@pytest.fixture(scope="module")
def known(wire: Wire) -> Mapping[str, str]:
    """One object of each kind; the payment is authorized, so that most can happen to it."""
    order = {"amount": "2000", "currency": "usd", "payment_method": "pm_card_visa"}
    paid = wire.send("POST", "/v1/payment_intents", {**order, "confirm": "true"}).body
    held = {**order, "confirm": "true", "capture_method": "manual"}
    refund = {"payment_intent": paid["id"], "amount": "1"}
    customer = wire.send("POST", "/v1/customers", {}).body["id"]
    attach = "/v1/payment_methods/pm_card_visa/attach"
    return {
        "intent": wire.send("POST", "/v1/payment_intents", held).body["id"],
        "charge": paid["latest_charge"],
        "refund": wire.send("POST", "/v1/refunds", refund).body["id"],
        "customer": customer,
        "method": wire.send("POST", attach, {"customer": customer}).body["id"],
        "event": "evt_nothing",
    }


def require_no_failure(answer: Answer) -> None:
    """Asserts that an answer is Stripe's, and no failure of the platform."""
    assert answer.status < 500, answer.text
    assert answer.headers["request-id"].startswith("req_")
    if answer.status >= 400:
        assert answer.error["type"] in KINDS
        assert answer.error["message"]
    else:
        assert "object" in answer.body


def send(wire: Wire, method: str, path: str, tree: Tree, headers: Mapping[str, str]) -> Answer:
    if method == "POST":
        return wire.send(method, path, form(tree).encode(errors="replace"), headers)
    query = form({name: value for name, value in tree.items() if len(str(value)) < 2_000})
    return wire.send(method, f"{path}?{query}"[:4_000], headers=headers)


@settings(SETTINGS, max_examples=LIKELY_REQUESTS)
@given(data=st.data())
def test_likely_request_is_never_answered_by_a_failure(
    wire: Wire, known: Mapping[str, str], data: st.DataObject
) -> None:
    method, template, model = data.draw(st.sampled_from(OPERATIONS))
    schema = model.model_json_schema()
    tree = data.draw(likely_trees(schema, schema.get("$defs", {})))
    # References are mostly to what there is, so that requests get past the first check.
    for name, value in FITTING.items():
        if name in tree and data.draw(st.integers(0, 3)):
            tree[name] = value.format(**known)
    names = {name: data.draw(mostly(st.just(object_id))) for name, object_id in known.items()}
    path = template.format(**{name: quote(str(text)) or "x" for name, text in names.items()})
    headers = data.draw(st.sampled_from(({}, {"Idempotency-Key": "k1"})))
    require_no_failure(send(wire, method, path, tree, headers))


@settings(SETTINGS, max_examples=ANY_REQUESTS)
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from([template for _, template, _ in OPERATIONS]),
    name=st.one_of(st.sampled_from(ODD_NAMES), st.text(max_size=9).map(quote)),
    tree=trees,
    body=st.one_of(st.none(), st.binary(max_size=300)),
    headers=st.dictionaries(
        st.sampled_from(HEADERS),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40).map(str.strip),
        max_size=2,
    ),
)
def test_any_request_is_never_answered_by_a_failure(
    wire: Wire,
    method: str,
    path: str,
    name: str,
    tree: Tree,
    body: bytes | None,
    headers: Mapping[str, str],
) -> None:
    slots = ("intent", "charge", "refund", "customer", "method", "event")
    target = path.format(**dict.fromkeys(slots, name or "x"))
    if body is None:
        require_no_failure(send(wire, method, target, tree, headers))
    else:
        require_no_failure(wire.send(method, target, body, headers))
