"""Whatever is sent to the payment and ledger APIs is answered below 500 and in Stripe's shape.

A refused request changes nothing. Once on in-memory stores, where everything stored is compared,
and once on DynamoDB, which refuses keys and sizes that memory takes.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from shared.adapters.dynamodb_documents import DynamoDocumentStore, DynamoIdempotencyStore
from shared.adapters.dynamodb_ledger import DynamoLedgerStore
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.domain.documents import Document, ListEntry
from shared.edge.api import Api
from tests.support.api import form, http_event
from tests.support.aws import REGION, create_payment_tables
from tests.support.documents import audited
from tests.support.fuzz import Tree, likely_requests, trees
from tests.support.world import Answer, Merchant, World

PROFILE = settings(derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
TYPES = {"invalid_request_error", "idempotency_error", "card_error"}
FAMILIES = ("/v1/payment_intents", "/v1/balance")
FORM_HEADERS = {"content-type": "application/x-www-form-urlencoded"}

# What merchants and their mistakes send as an amount, a currency, an id, a flag.
ODD = (
    *("", " ", "0", "-0", "-1", "1", "+1", "007", "1.0", "1e2", "0x1", "٣", "½", "NaN", "null"),
    *("9" * 18, "9" * 19, "-" + "9" * 18, "9" * 5000, "true", "TRUE", "false", "yes", "[]", "{}"),
    *("usd", "USD", "UsD", "us", "xxx", "€", "🏦" * 300, "\u202e", "a\tb", "'; drop table", "%"),
    *("pi_", "pi_1", "ch_1", "re_1", "pm_card_visa", "pm_card_", "KEY#1", "..", "x" * 4096),
    *("manual", "automatic", "card", "requested_by_customer", "duplicate"),
)
NAMES = (
    *("amount", "currency", "confirm", "payment_method", "customer", "capture_method", "metadata"),
    *("amount_to_capture", "cancellation_reason", "reason", "charge", "payment_intent", "shipping"),
    *("description", "receipt_email", "off_session", "limit", "starting_after", "ending_before"),
    *("created", "expand", "payment_method_types", "automatic_payment_methods", "return_url"),
)
ODD_VALUES = st.one_of(st.sampled_from(ODD), st.text(max_size=40))
ODD_TREES = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(
        ODD_VALUES,
        st.dictionaries(st.sampled_from(("0", "1", "gt", "gte", "name", "", "a")), ODD_VALUES),
    ),
    max_size=5,
)
KEYS = st.sampled_from((None, "k1", "k2", "k" * 255, "k" * 256, "ключ"))


class DynamoWorld(World):
    """The platform on tables."""

    def open_stores(self) -> None:
        """Opens stores on tables of their own."""
        client: Any = boto3.client(
            "dynamodb",
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        tables = create_payment_tables(client)
        objects, keys, signer = tables["objects"], tables["idempotency"], self.database.signer
        self.documents = DynamoDocumentStore(client, objects, keys, signer)
        self.payments = DynamoPaymentStore(client, tables, self.database.signer)
        self.ledger = DynamoLedgerStore(client, tables["ledger"])
        self.idempotency = DynamoIdempotencyStore(
            client, tables["idempotency"], tables["objects"], self.clock
        )


class Shop:
    """A merchant with payments in several states, whose ids stand for the names in a request."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.merchant = world.merchant()
        put_customer(world, self.merchant)
        paid = world.pay(self.merchant).body
        refund = world.call(
            "POST",
            "/v1/refunds",
            {"charge": paid["latest_charge"], "amount": 1},
            merchant=self.merchant,
        ).body
        declined = world.pay(self.merchant, payment_method="pm_card_chargeDeclined").body
        self.intents = [
            paid["id"],
            world.pay(self.merchant, capture_method="manual").body["id"],
            declined["error"]["payment_intent"]["id"],
            world.pay(self.merchant, confirm="false", payment_method="pm_card_visa").body["id"],
            world.pay(self.merchant, payment_method="pm_card_authenticationRequired").body["id"],
        ]
        self.names = {
            "ch_1": paid["latest_charge"],
            "re_1": refund["id"],
            "pm_1": paid["payment_method"],
        }

    def named(self, value: Any, intent: str) -> Any:
        """Replaces the names of objects by the ids of this shop's."""
        if isinstance(value, Mapping):
            return {key: self.named(item, intent) for key, item in value.items()}
        return {**self.names, "pi_1": intent}.get(value, value)

    def send(
        self,
        method: str,
        path: str,
        params: Tree,
        *,
        intent: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends parameters, in the query or as a form; checks the answer."""
        tree = form(self.named(params, intent))
        path = "/".join(self.named(part, intent) for part in path.split("/"))
        is_post = method == "POST"
        return self.send_raw(
            method,
            path,
            query="" if is_post else tree,
            body=tree if is_post else None,
            headers={**FORM_HEADERS, **(headers or {})},
        )

    def send_raw(self, method: str, path: str, **parts: Any) -> Answer:
        """Sends anything; checks that a refusal changed nothing."""
        headers = {
            "authorization": f"Bearer {self.merchant.secret_key}",
            **parts.pop("headers", {}),
        }
        event = http_event(method, path, headers=headers, **parts)
        before = stored(self.world)
        answer = self.world.respond(json.loads(json.dumps(event)))
        require_stripes_shape(answer)
        if answer.status >= 400 and answer.status != 402:
            assert stored(self.world) == before, answer.text
        return answer


def put_customer(world: World, merchant: Merchant) -> None:
    data = {"name": "Ada", "metadata": {}}
    document = Document("cus_1", "customer", merchant.account, False, 1, 1, data)
    world.documents.commit([audited(document, (ListEntry("customer", 1, "cus_1"),))])


def stored(world: World) -> object:
    """Returns everything stored in memory, for comparison."""
    database = world.database
    return (
        dict(database.documents),
        {key: frozenset(rows) for key, rows in database.lists.items()},
        dict(database.payments),
        {key: len(events) for key, events in database.events.items()},
        len(database.journals),
        # A refusal that is an answer is kept with its key, and nothing else.
        {name: claim for name, claim in database.claims.items() if claim.answer is None},
        len(world.provider.transactions),
    )


def require_stripes_shape(answer: Answer) -> None:
    assert answer.status < 500, answer.text
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Content-Type"] == "application/json"
    for value in answer.headers.values():
        assert value.isascii()
        assert value.isprintable()
    if answer.status < 400:
        assert answer.status == 200
        assert "object" in answer.body
        return
    error = answer.body["error"]
    assert error["type"] in TYPES
    assert error["message"]
    assert len(answer.text) < 20_000
    known = {"type", "message", "code", "param", "decline_code", "charge", "payment_intent"}
    assert set(error) <= {*known, "payment_method"}


@pytest.fixture(scope="module")
def dynamo_shop() -> Iterator[Shop]:
    with mock_aws():
        yield Shop(DynamoWorld())


@settings(PROFILE, max_examples=120)
@given(family=st.sampled_from(FAMILIES), data=st.data(), key=KEYS, state=st.integers(0, 4))
def test_likely_request_is_answered_below_500(
    family: str, data: st.DataObject, key: str | None, state: int
) -> None:
    # given
    shop = Shop(World())
    method, path, params = data.draw(likely_requests(api(family)))
    headers = {"idempotency-key": key} if key else {}
    # then
    intent = shop.intents[state]
    first = shop.send(method, path, params, intent=intent, headers=headers)
    again = shop.send(method, path, params, intent=intent, headers=headers)
    if again.headers.get("Idempotent-Replayed"):
        assert again.text == first.text
    shop.world.check()


@settings(PROFILE, max_examples=120)
@given(
    family=st.sampled_from(FAMILIES),
    data=st.data(),
    params=ODD_TREES,
    state=st.integers(0, 4),
)
def test_odd_value_anywhere_is_answered_below_500(
    family: str, data: st.DataObject, params: Tree, state: int
) -> None:
    # given
    shop = Shop(World())
    method, path, likely = data.draw(likely_requests(api(family)))
    # then
    shop.send(method, path, {**likely, **params}, intent=shop.intents[state])
    shop.world.check()


@settings(PROFILE, max_examples=120)
@given(
    method=st.sampled_from(("GET", "POST", "DELETE", "PATCH", "", "post")),
    path=st.one_of(
        st.sampled_from(
            (
                "/v1/payment_intents",
                "/v1/payment_intents/",
                "/v1/payment_intents/pi_1/confirm",
                "/v1/payment_intents/pi_1/confirm/x",
                "/v1/charges/ch_1",
                "/v1/refunds",
                "/v1/balance",
                "/v1/balance/x",
                "/v1/ledger/journals",
                "/v1/ledger/trial_balance",
                "/",
                "",
            )
        ),
        st.text(max_size=30).map(lambda text: f"/v1/refunds/{text}"),
    ),
    query=st.one_of(trees.map(form), st.text(max_size=60)),
    body=st.one_of(st.none(), st.binary(max_size=300), trees.map(lambda tree: form(tree).encode())),
    headers=st.dictionaries(
        st.sampled_from(
            ("idempotency-key", "content-type", "stripe-version", "stripe-account", "authorization")
        ),
        st.one_of(st.sampled_from(("", "k", "application/json", "Basic Og==")), st.text()),
        max_size=3,
    ),
)
def test_garbled_request_is_answered_below_500(
    method: str, path: str, query: str, body: bytes | None, headers: dict[str, str]
) -> None:
    shop = Shop(World())
    shop.send_raw(method, path, query=query, body=body, headers=headers)


def api(family: str) -> Api:
    return World().api_of(family)


@settings(PROFILE, max_examples=120)
@given(
    family=st.sampled_from(FAMILIES),
    data=st.data(),
    params=ODD_TREES,
    state=st.integers(0, 4),
    key=KEYS,
)
def test_odd_value_is_answered_below_500_on_dynamodb(
    dynamo_shop: Shop,
    family: str,
    data: st.DataObject,
    params: Tree,
    state: int,
    key: str | None,
) -> None:
    method, path, likely = data.draw(likely_requests(api(family)))
    headers = {"idempotency-key": key} if key else {}
    drawn = data.draw(st.sampled_from((likely, {**likely, **params})))
    dynamo_shop.send(method, path, drawn, intent=dynamo_shop.intents[state], headers=headers)


BODIES: dict[str, bytes] = {
    "too large": b"description=" + b"x" * (256 * 1024),
    "largest": b"amount=1&currency=usd&description=" + b"x" * (256 * 1024 - 40),
    "invalid UTF-8": b"amount=%ff&currency=usd",
    "raw invalid UTF-8": b"amount=\xff\xfe&currency=usd",
    "NUL": b"amount=1&currency=usd&description=%00",
    "bad percent": b"amount=%zz",
    "cut percent": b"amount=1%",
    "open bracket": b"a[b=1",
    "closed first": b"a]b[=1",
    "no name": b"=1&amount=1",
    "only brackets": b"[]=1",
    "nested bracket": b"metadata[a[b]]=1",
    "deep": b"a" + b"[b]" * 50 + b"=1",
    "deeper": b"a" + b"[b]" * 20_000 + b"=1",
    "many": b"&".join(b"a%d=1" % n for n in range(1_001)),
    "value and hash": b"metadata=1&metadata[a]=1",
    "hash and value": b"metadata[a]=1&metadata=1",
    "value of hash": b"metadata[a]=1&metadata[a][b]=1",
    "same twice": b"amount=1&amount=x&currency=usd",
    "huge index": b"expand[" + b"9" * 5_000 + b"]=customer",
    "odd index": b"expand[x]=customer",
    "many expansions": b"&".join(b"expand[]=customer" for _ in range(60)),
    "deep expansion": b"amount=1&currency=usd&expand[]=a.b.c.d.e",
    "emoji": "amount=1&currency=usd&description={}".format("🏦" * 5_000).encode(),
    "largest emoji": (
        "amount=1&currency=usd&confirm=true&payment_method=pm_card_visa&"
        + "&".join(f"metadata[{n}]={'🏦' * 500}" for n in range(50))
        + f"&description={'🏦' * 5000}&transfer_group={'🏦' * 5000}"
    ).encode(),
    "JSON": b'{"amount": 100, "currency": "usd"}',
    "separators": b"&&&&=&=&&",
    "empty": b"",
}


@pytest.mark.parametrize("store", ["memory", "dynamodb"])
@pytest.mark.parametrize("name", BODIES)
def test_extreme_body_is_answered_below_500(dynamo_shop: Shop, name: str, store: str) -> None:
    # given
    shop = dynamo_shop if store == "dynamodb" else Shop(World())
    paths = ["/v1/payment_intents", "/v1/refunds"]
    paths += [f"/v1/payment_intents/{intent}" for intent in shop.intents]
    paths += [f"/v1/payment_intents/{shop.intents[1]}/capture"]
    # then
    for path in paths:
        shop.send_raw("POST", path, body=BODIES[name], headers=FORM_HEADERS)


@pytest.mark.parametrize("body", ["%%%", "not base64!", "YQ=", "é"])
def test_body_that_is_no_base64_is_refused(body: str) -> None:
    # given
    shop = Shop(World())
    event = http_event("POST", "/v1/payment_intents", body=body, headers=FORM_HEADERS)
    event["headers"]["authorization"] = f"Bearer {shop.merchant.secret_key}"
    event["isBase64Encoded"] = True
    # then
    answer = shop.world.respond(event)
    require_stripes_shape(answer)
    assert answer.status == 400


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/payment_intents/" + "p" * 3_000, ""),
        ("/v1/payment_intents/pi_" + "é" * 300, ""),
        ("/v1/charges/ch_" + "9" * 2_500, ""),
        ("/v1/refunds/re_" + "é" * 40, ""),
        ("/v1/payment_intents", "customer=" + "🏦" * 255),
        ("/v1/payment_intents", "created[gte]=" + "9" * 18),
        ("/v1/payment_intents", "created[lt]=-" + "9" * 18),
        ("/v1/payment_intents", "created[gt]=9&created[lt]=5"),
        ("/v1/payment_intents", "starting_after=" + "é" * 255),
        ("/v1/charges", "payment_intent=" + "🏦" * 255),
        ("/v1/refunds", "charge=" + "é" * 255),
        ("/v1/ledger/journals", "payment_intent=" + "🏦" * 255),
        ("/v1/ledger/journals", "payment_intent=pi_/../"),
    ],
)
def test_extreme_query_is_answered_below_500_on_dynamodb(
    dynamo_shop: Shop, path: str, query: str
) -> None:
    dynamo_shop.send_raw("GET", path, query=quote(query, safe="=&[]"))


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic !", "sk_test_x", "é"])
def test_request_without_a_usable_key_is_401(authorization: str) -> None:
    # given
    shop = Shop(World())
    encoded = base64.b64encode(authorization.encode()).decode()
    # then
    for value in (authorization, f"Basic {encoded}"):
        answer = shop.send_raw("POST", "/v1/payment_intents", headers={"authorization": value})
        assert answer.status == 401
