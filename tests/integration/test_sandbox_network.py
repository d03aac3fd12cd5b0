"""The sandbox network as a service: its record, its bounds, and what it never keeps."""

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from functions.sandbox_network.handler import handler
from functions.sandbox_network.service import NetworkService
from functions.sandbox_network.store import NetworkStore
from shared.adapters.memory import MemoryClock
from shared.adapters.secrets import RENEWAL_INTERVAL_MS, StoredSecret
from shared.domain.sandbox_network import REFUND_ENDS_AFTER_MS, Notice
from tests.support.aws import REGION, create_table
from tests.support.composition import forget_composition
from tests.support.logs import recorded_logger
from tests.support.notices import KeptNotices

CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "987"}
SALE = {
    "merchant": "acct_1",
    "livemode": False,
    "payment_intent": "pi_1",
    "reference": "ch_1",
    "card": CARD,
    "amount": 1500,
    "currency": "usd",
    "capture": True,
}


class Secrets:
    def __init__(self) -> None:
        self.secret = "right"
        self.reads = 0

    def get_secret_value(self, *, SecretId: str) -> Mapping[str, Any]:
        self.reads += 1
        return {"SecretString": self.secret}


class Network:
    def __init__(self) -> None:
        self.dynamodb = boto3.client("dynamodb", region_name=REGION)
        create_table(self.dynamodb, "network")
        self.clock = MemoryClock()
        self.logger, self.log = recorded_logger()
        self.secrets = Secrets()
        self.notices = KeptNotices()
        self.service = NetworkService(
            NetworkStore(self.dynamodb, "network"),
            StoredSecret(self.secrets, "arn", self.clock),
            self.notices,
            self.clock,
            self.logger,
        )

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = "key",
        bearer: str = "right",
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {bearer}"}
        if key is not None:
            headers["idempotency-key"] = key
        event = {
            "rawPath": path,
            "headers": headers,
            "queryStringParameters": query,
            "requestContext": {"http": {"method": method}},
            "body": body if isinstance(body, str) else json.dumps(body),
        }
        response = self.service.handle(event, None)
        return response["statusCode"], json.loads(response["body"])

    def sell(self, reference: str, **changes: object) -> Any:
        body = {**SALE, "reference": reference, **changes}
        status, answer = self.call("POST", "/v1/authorizations", body, key=f"{reference}/sale")
        assert status == 200
        self.clock.advance(1)
        return answer

    def items(self) -> list[Any]:
        return self.dynamodb.scan(TableName="network")["Items"]


@pytest.fixture
def network() -> Iterator[Network]:
    with mock_aws():
        yield Network()


def test_sale_leaves_one_transaction_and_no_card_data(network: Network) -> None:
    network.sell("ch_1")
    network.sell("ch_2", card={**CARD, "number": "4000000000000002"})
    stored, logged = json.dumps(network.items()), network.log.getvalue()
    for secret in ("4242424242424242", "4000000000000002", '"987"', "right"):
        assert secret not in stored
        assert secret not in logged
    assert logged.count("network request") == 2


def test_transactions_lists_effects_newest_first(network: Network) -> None:
    network.sell("ch_1")
    network.sell("ch_2", payment_intent="pi_2")
    network.sell("ch_3", card={**CARD, "number": "4000000000000002"})
    network.call("POST", "/v1/authorizations/ch_1/refunds", {"amount": 7, "refund": "re_1"})
    status, page = network.call("GET", "/v1/transactions", query={"merchant": "acct_1"})
    assert status == 200
    assert [(row["type"], row["amount"], row["reference"]) for row in page["data"]] == [
        ("refund", 7, "ch_1"),
        ("sale", 1500, "ch_2"),
        ("sale", 1500, "ch_1"),
    ]
    assert page["data"][0]["idempotency_key"] == "key"
    assert page["has_more"] is False


def test_transactions_pages_and_filters(network: Network) -> None:
    ids = [network.sell(f"ch_{number}")["id"] for number in range(3)]
    network.sell("ch_other", payment_intent="pi_2")
    query = {"merchant": "acct_1", "payment_intent": "pi_1", "limit": "2"}
    _, first = network.call("GET", "/v1/transactions", query=query)
    _, second = network.call(
        "GET", "/v1/transactions", query={**query, "starting_after": first["data"][-1]["id"]}
    )
    assert [row["id"] for row in first["data"]] == [ids[2], ids[1]]
    assert [row["id"] for row in second["data"]] == [ids[0]]
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_transactions_leaves_out_refunds_that_are_not_made_yet_or_came_back(
    network: Network,
) -> None:
    network.sell("ch_1", card={**CARD, "number": "4000000000007726"})
    network.sell("ch_2", card={**CARD, "number": "4000000000005126"})
    for number in ("1", "2"):
        refund = {"amount": 7, "refund": f"re_{number}"}
        path = f"/v1/authorizations/ch_{number}/refunds"
        network.call("POST", path, refund, key=f"re_{number}/refund")
    query = {"merchant": "acct_1", "limit": "1"}

    def listed() -> list[tuple[str, str, str]]:
        rows, page = [], {"has_more": True}
        cursor: dict[str, str] = {}
        while page["has_more"]:
            _, page = network.call("GET", "/v1/transactions", query={**query, **cursor})
            rows += [(row["type"], row["reference"], row["status"]) for row in page["data"]]
            cursor = {"starting_after": page["data"][-1]["id"]}
        return rows

    sales = {("sale", "ch_1", "approved"), ("sale", "ch_2", "approved")}
    assert set(listed()) == {*sales, ("refund", "ch_2", "approved")}
    network.clock.advance(REFUND_ENDS_AFTER_MS)
    assert set(listed()) == {*sales, ("refund", "ch_1", "approved")}
    assert network.notices.sent == [
        (Notice("ch_1", "re_1"), 6),
        (Notice("ch_2", "re_2"), 6),
    ]


def test_void_is_recorded_with_what_it_released(network: Network) -> None:
    network.sell("ch_1", capture=False)
    network.call("POST", "/v1/authorizations/ch_1/voids", {})
    _, page = network.call("GET", "/v1/transactions", query={"merchant": "acct_1"})
    assert [(row["type"], row["amount"]) for row in page["data"]] == [
        ("void", 1500),
        ("authorization", 1500),
    ]


def test_lookup_tells_the_state_or_404(network: Network) -> None:
    network.sell("ch_1")
    status, state = network.call("GET", "/v1/authorizations/ch_1")
    assert (status, state["captured_minor"], state["last4"]) == (200, 1500, "4242")
    assert network.call("GET", "/v1/authorizations/ch_0")[0] == 404


def test_concurrent_requests_of_one_key_have_one_effect_and_one_answer(network: Network) -> None:
    answers: list[tuple[int, Any]] = []
    barrier = threading.Barrier(4)

    def sell() -> None:
        barrier.wait()
        answers.append(network.call("POST", "/v1/authorizations", SALE, key="ch_1/sale"))

    threads = [threading.Thread(target=sell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200] * 4
    assert len({json.dumps(answer, sort_keys=True) for _, answer in answers}) == 1
    _, page = network.call("GET", "/v1/transactions", query={"merchant": "acct_1"})
    assert len(page["data"]) == 1


def test_key_used_for_another_request_is_a_conflict(network: Network) -> None:
    network.sell("ch_1")
    body = {**SALE, "reference": "ch_1", "amount": 1501}
    assert network.call("POST", "/v1/authorizations", body, key="ch_1/sale")[0] == 409


def test_wrong_secret_is_refused_and_looked_up_once_a_minute(network: Network) -> None:
    for _ in range(3):
        assert network.call("GET", "/v1/authorizations/ch_1", bearer="wrong")[0] == 401
    assert network.secrets.reads == 1
    network.secrets.secret = "rotated"
    network.clock.advance(RENEWAL_INTERVAL_MS)
    assert network.call("GET", "/v1/authorizations/ch_1", bearer="rotated")[0] == 404
    assert network.secrets.reads == 2


@pytest.mark.parametrize(
    "body",
    [
        "not json",
        "[" * 16_000,
        "x" * 20_000,
        [],
        {},
        {**SALE, "livemode": True},
        {**SALE, "amount": 0},
        {**SALE, "amount": True},
        {**SALE, "amount": 1.5},
        {**SALE, "amount": 100_000_000},
        {**SALE, "currency": "xxx"},
        {**SALE, "capture": "yes"},
        {**SALE, "off_session": None},
        {**SALE, "authenticate": None},
        {**SALE, "reference": "a b"},
        {**SALE, "reference": "\ud800"},
        {**SALE, "card": None},
        {**SALE, "card": {**CARD, "number": "4242"}},
        {**SALE, "card": {**CARD, "exp_month": 13}},
        {**SALE, "more": 1},
    ],
)
def test_bad_request_is_400_and_changes_nothing(network: Network, body: object) -> None:
    assert network.call("POST", "/v1/authorizations", body)[0] == 400
    assert network.items() == []


@pytest.mark.parametrize("key", [None, "", "a b", "k" * 256])
def test_bad_key_is_400(network: Network, key: str | None) -> None:
    assert network.call("POST", "/v1/authorizations", SALE, key=key)[0] == 400


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"merchant": "acct_1", "limit": "0"},
        {"merchant": "acct_1", "limit": "101"},
        {"merchant": "acct_1", "starting_after": "pi_1"},
        {"merchant": "acct_1", "other": "1"},
    ],
)
def test_bad_query_is_400(network: Network, query: Mapping[str, str]) -> None:
    assert network.call("GET", "/v1/transactions", query=query)[0] == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.sampled_from(
    ["/v1/authorizations", "/v1/authorizations/ch_1/captures", "/v1/authorizations/%zz/refunds"]
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=PATHS,
    body=JSON | st.fixed_dictionaries(dict.fromkeys(SALE, JSON)) | st.text(),
    key=st.text(min_size=1, max_size=20),
)
def test_no_input_makes_a_server_error(network: Network, path: str, body: object, key: str) -> None:
    assert network.call("POST", path, body, key=key)[0] < 500


def test_handler_answers_its_sample_event(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("secretsmanager", region_name=REGION)
    arn = client.create_secret(Name="network", SecretString="sandbox-network-secret")["ARN"]
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("NETWORK_TABLE", "network")
    monkeypatch.setenv("NETWORK_SECRET_ARN", arn)
    monkeypatch.setenv("NETWORK_NOTICES_URL", "https://sqs.us-east-1.amazonaws.com/1/notices")
    event = json.loads(Path("events/sandbox_network.json").read_text())
    forget_composition()
    response = handler(event, None)
    forget_composition()
    assert response["statusCode"] == 200
    assert json.loads(response["body"])["status"] == "approved"
