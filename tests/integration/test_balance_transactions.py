"""Customers' balances and their transactions, through the function's own API on memory stores."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from functions.api_customers.handler import build
from shared.adapters.memory import MemoryDocumentStore
from shared.domain.announcements import announce_document
from shared.domain.documents import Document, DocumentWrite
from shared.domain.idempotency import Claim
from shared.domain.ports import SandboxCards
from shared.wire.events import event_write
from tests.support.api import ACCOUNT, LIVE_KEY, OTHER_KEY, Client, Platform

OF_ACCOUNT = {"home_region": "us-east-1", "country": "NO", "default_currency": "nok"}


def no_cards() -> SandboxCards:
    raise AssertionError("nobody names a test card")


class Rivalled(MemoryDocumentStore):
    """Documents that somebody else changes just before they are first changed."""

    rival: Callable[[], object] | None = None

    def commit(self, writes: Sequence[DocumentWrite], claim: Claim | None = None) -> None:
        """Lets the rival go first, once."""
        rival, self.rival = self.rival, None
        if rival is not None:
            rival()
        super().commit(writes, claim)


@pytest.fixture
def client() -> Client:
    client = Client(lambda platform: build(platform.ports(), platform.documents, no_cards))
    client.platform.put(Document(ACCOUNT, "account", ACCOUNT, False, 1, 0, OF_ACCOUNT))
    return client


def customer(client: Client, **params: Any) -> str:
    answer = client.post("/v1/customers", params)
    assert answer.status == 200, answer.text
    customer_id: str = answer.body["id"]
    return customer_id


def transact(client: Client, customer_id: str, amount: int, **params: Any) -> dict[str, Any]:
    client.platform.clock.advance(1_000)
    path = f"/v1/customers/{customer_id}/balance_transactions"
    answer = client.post(path, {"amount": amount, "currency": "eur", **params})
    assert answer.status == 200, answer.text
    return answer.body


def balance(client: Client, customer_id: str) -> tuple[int, str | None]:
    body = client.get(f"/v1/customers/{customer_id}").body
    return body["balance"], body["currency"]


def transactions(client: Client, customer_id: str) -> list[tuple[int, int, str, str]]:
    listed = client.get(f"/v1/customers/{customer_id}/balance_transactions").body["data"]
    return [(t["amount"], t["ending_balance"], t["currency"], t["type"]) for t in listed]


def test_create_balance_transaction_returns_every_field(client: Client) -> None:
    # given
    customer_id = customer(client)
    # when
    made = transact(client, customer_id, -500, description="Sorry", metadata={"case": "7"})
    # then
    assert made == {
        "id": made["id"],
        "object": "customer_balance_transaction",
        "amount": -500,
        "checkout_session": None,
        "created": client.platform.clock.now_ms() // 1000,
        "credit_note": None,
        "currency": "eur",
        "customer": customer_id,
        "customer_account": None,
        "description": "Sorry",
        "ending_balance": -500,
        "invoice": None,
        "livemode": False,
        "metadata": {"case": "7"},
        "type": "adjustment",
    }
    assert made["id"].startswith("cbtxn_")
    assert balance(client, customer_id) == (-500, "eur")
    path = f"/v1/customers/{customer_id}/balance_transactions/{made['id']}"
    assert client.get(path).body == made
    expanded = client.get(path, expand=["customer"]).body["customer"]
    assert (expanded["id"], expanded["balance"]) == (customer_id, -500)


def test_balance_transactions_add_up_and_are_listed_newest_first(client: Client) -> None:
    # given
    customer_id, other_id = customer(client), customer(client)
    transact(client, other_id, 70)
    # when
    made = [transact(client, customer_id, amount)["id"] for amount in (-500, 200, 0, 1_000)]
    # then
    endings = [ending for _, ending, _, _ in transactions(client, customer_id)]
    assert endings == [700, -300, -300, -500]
    assert balance(client, customer_id) == (700, "eur")
    path = f"/v1/customers/{customer_id}/balance_transactions"
    assert client.get(path, limit=2, starting_after=made[3]).ids == [made[2], made[1]]
    assert client.get(path, ending_before=made[2]).ids == [made[3]]
    assert client.get(path, starting_after="cbtxn_9").error["param"] == "starting_after"


def test_balance_set_with_the_customer_makes_transactions(client: Client) -> None:
    # given
    customer_id = customer(client, balance=-1_000)
    path = f"/v1/customers/{customer_id}"
    # when
    for balance_sent in ("-400", "-400", "0"):
        client.platform.clock.advance(1_000)
        assert client.post(path, {"balance": balance_sent}).status == 200
    assert client.post(path, {"name": "Jenny"}).status == 200
    # then
    assert transactions(client, customer_id) == [
        (400, 0, "nok", "adjustment"),
        (600, -400, "nok", "adjustment"),
        (-1_000, -1_000, "nok", "initial"),
    ]
    assert balance(client, customer_id) == (0, "nok")


def test_customer_without_balance_has_no_transaction_and_no_currency(client: Client) -> None:
    for params in ({}, {"balance": 0}):
        customer_id = customer(client, **params)
        assert transactions(client, customer_id) == []
        assert balance(client, customer_id) == (0, None)


def test_balance_transaction_is_announced_as_its_customers_change(client: Client) -> None:
    # given
    customer_id = customer(client)
    before = client.platform.database.documents[customer_id]
    # when
    made = transact(client, customer_id, 300)
    # then
    after = client.platform.database.documents[customer_id]
    (told,) = announce_document(before, after)
    event = event_write(told, 0, ()).document.data
    assert event["type"] == "customer.updated"
    assert event["data"]["previous_attributes"] == {"balance": 0, "currency": None}
    assert announce_document(None, client.platform.database.documents[made["id"]]) == ()


def test_update_balance_transaction_changes_description_and_metadata_only(client: Client) -> None:
    # given
    customer_id = customer(client)
    made = transact(client, customer_id, -500, description="Sorry", metadata={"a": "1", "b": "2"})
    path = f"/v1/customers/{customer_id}/balance_transactions/{made['id']}"
    # when
    changed = client.post(path, {"description": "Thanks", "metadata": {"a": "", "c": "3"}}).body
    # then
    assert changed == {**made, "description": "Thanks", "metadata": {"b": "2", "c": "3"}}
    assert client.post(path, {"description": ""}).body["description"] is None
    for name in ("amount", "currency", "type", "ending_balance"):
        answer = client.post(path, {name: "1"})
        assert (answer.status, answer.error["code"]) == (400, "parameter_unknown")
    assert balance(client, customer_id) == (-500, "eur")


def test_balance_transaction_in_another_currency_is_refused(client: Client) -> None:
    # given
    customer_id = customer(client)
    transact(client, customer_id, -500)
    path = f"/v1/customers/{customer_id}/balance_transactions"
    # when
    answer = client.post(path, {"amount": 100, "currency": "usd"})
    # then
    assert (answer.status, answer.error["param"]) == (400, "currency")
    assert len(transactions(client, customer_id)) == 1


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"currency": "eur"}, "amount"),
        ({"amount": 1}, "currency"),
        ({"amount": "1.5", "currency": "eur"}, "amount"),
        ({"amount": 100_000_000, "currency": "eur"}, "amount"),
        ({"amount": 1, "currency": "xxx"}, "currency"),
        ({"amount": 1, "currency": "eur", "invoice": "in_1"}, "invoice"),
        ({"amount": 99_999_999, "currency": "eur"}, "amount"),
    ],
)
def test_create_balance_transaction_bad_parameter_is_refused(
    client: Client, params: dict[str, Any], param: str
) -> None:
    # given
    customer_id = customer(client)
    transact(client, customer_id, 1)
    # when
    answer = client.post(f"/v1/customers/{customer_id}/balance_transactions", params)
    # then
    assert (answer.status, answer.error["param"]) == (400, param)
    assert balance(client, customer_id) == (1, "eur")


def test_create_balance_transaction_repeated_key_counts_once(client: Client) -> None:
    # given
    customer_id = customer(client)
    path = f"/v1/customers/{customer_id}/balance_transactions"
    # when
    answers = [
        client.post(path, {"amount": 5, "currency": "eur"}, idempotency_key="k") for _ in range(2)
    ]
    # then
    assert answers[0].text == answers[1].text
    assert balance(client, customer_id) == (5, "eur")


@pytest.mark.parametrize("path", ["/v1/customers/{}", "/v1/customers/{}/balance_transactions"])
def test_balance_changed_by_two_at_once_counts_one_and_tells_the_other_to_retry(path: str) -> None:
    # given
    platform = Platform()
    documents = Rivalled(platform.database)
    client = Client(lambda platform: build(platform.ports(), documents, no_cards), platform)
    platform.put(Document(ACCOUNT, "account", ACCOUNT, False, 1, 0, OF_ACCOUNT))
    customer_id = customer(client)
    documents.rival = lambda: transact(client, customer_id, 30)
    sent = {"balance": 7} if path.endswith("{}") else {"amount": 7, "currency": "eur"}
    # when
    answer = client.post(path.format(customer_id), sent)
    # then
    assert (answer.status, answer.error["code"]) == (429, "lock_timeout")
    assert transactions(client, customer_id) == [(30, 30, "eur", "adjustment")]
    assert balance(client, customer_id) == (30, "eur")


@pytest.mark.parametrize("key", [OTHER_KEY, LIVE_KEY])
def test_balance_transaction_of_another_account_or_mode_is_unknown(
    client: Client, key: str
) -> None:
    # given
    customer_id = customer(client)
    made = transact(client, customer_id, 10)
    path = f"/v1/customers/{customer_id}/balance_transactions"
    # then
    for answer in (
        client.get(path, key=key),
        client.post(path, {"amount": 1, "currency": "eur"}, key=key),
        client.get(f"{path}/{made['id']}", key=key),
        client.post(f"{path}/{made['id']}", key=key),
    ):
        assert (answer.status, answer.error["code"]) == (404, "resource_missing")


def test_balance_transaction_of_another_customer_is_unknown(client: Client) -> None:
    # given
    made = transact(client, customer(client), 10)
    other = customer(client)
    # when
    answer = client.get(f"/v1/customers/{other}/balance_transactions/{made['id']}")
    # then
    assert (answer.status, answer.error["param"]) == (404, "transaction")


def test_balance_of_a_deleted_customer_is_not_changed(client: Client) -> None:
    # given
    customer_id = customer(client)
    client.delete(f"/v1/customers/{customer_id}")
    # when
    path = f"/v1/customers/{customer_id}/balance_transactions"
    answer = client.post(path, {"amount": 1, "currency": "eur"})
    # then
    assert (answer.status, answer.error["param"]) == (404, "customer")
