"""A card's number goes to the vault and is found nowhere else: not in answers, logs or tables."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from local.home import regions
from tests.e2e.conftest import Platform
from tests.support.deployed import Deployed
from tests.support.live import Answer, Wire, eventually

pytestmark = pytest.mark.e2e

# A test card that no other test uses, as it is found in logs that other tests write to as well.
NUMBER = "4000056655665556"
SPACED = "4000 0566 5566 5556"


def base64_writings(text: str) -> Iterator[str]:
    """Writes a text as it looks inside base64, such as an API Gateway event's body."""
    for before in range(3):
        padded = base64.b64encode(b" " * before + text.encode()).decode().rstrip("=")
        # The characters at the ends hold bits of what is around the text.
        yield padded[(before * 8 + 5) // 6 : -1]


PLAIN = (NUMBER, SPACED, quote(SPACED), SPACED.replace(" ", "+"), SPACED.replace(" ", "-"))
WRITINGS = (*PLAIN, *(writing for text in PLAIN for writing in base64_writings(text)))
CARD = {
    "type": "card",
    "card[number]": SPACED,
    "card[exp_month]": "12",
    "card[exp_year]": "2034",
    "card[cvc]": "876",
}


@dataclass(frozen=True)
class Trial:
    """A way to send a card number where none belongs."""

    name: str
    target: str = "/v1/payment_intents"
    method: str = "POST"
    body: Mapping[str, str] = field(default_factory=lambda: {"amount": "2000", "currency": "usd"})
    extra: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, wire: Wire) -> Answer:
        """Sends it; a GET has no body."""
        body = {**self.body, **self.extra} if self.method == "POST" else None
        return wire.send(self.method, self.target, body, self.headers)


TRIALS = (
    Trial("description", extra={"description": f"card {NUMBER}"}),
    Trial("description, spaced", extra={"description": SPACED}),
    Trial("metadata value", extra={"metadata[note]": NUMBER}),
    Trial("metadata key", extra={f"metadata[{NUMBER}]": "note"}),
    Trial("unknown parameter", extra={"surprise": NUMBER}),
    Trial("card on a payment", extra={"card[number]": NUMBER}),
    Trial("card data on a payment", extra={"payment_method_data[card][number]": NUMBER}),
    Trial("payment method", extra={"payment_method": NUMBER}),
    Trial("path", target=f"/v1/payment_intents/{NUMBER}", method="GET"),
    Trial("path, spaced", target=f"/v1/customers/{quote(SPACED)}", method="GET"),
    Trial("unknown route", target=f"/v1/{NUMBER}", method="GET"),
    Trial("query", target=f"/v1/customers?email={NUMBER}", method="GET"),
    Trial("query name", target=f"/v1/events?{NUMBER}=1", method="GET"),
    Trial("query of the vault", target=f"/v1/payment_methods?note={NUMBER}", body=CARD),
    Trial("idempotency key", headers={"Idempotency-Key": f"order-of {NUMBER}"}),
    Trial("name in the vault", target="/v1/tokens", body={"card[name]": NUMBER}),
    Trial("customer", target="/v1/customers", body={"name": SPACED}),
    Trial("refund", target="/v1/refunds", body={"charge": NUMBER}),
    Trial("webhook", target="/v1/webhook_endpoints", body={"url": f"http://127.0.0.1/{NUMBER}"}),
    Trial("ledger", target=f"/v1/ledger/journals?payment_intent={NUMBER}", method="GET"),
)


@dataclass(frozen=True)
class Traces:
    """What the trials and one payment with the card left behind."""

    answers: Mapping[str, Answer]
    paid: Answer
    log: list[tuple[str, str]]


@pytest.fixture(scope="module")
def wire(platform: Platform, merchant: Mapping[str, str]) -> Wire:
    return Wire(platform.base, merchant["secret_key"])


@pytest.fixture(scope="module")
def deployed(platform: Platform) -> Deployed:
    return Deployed(platform.home)


@pytest.fixture(scope="module")
def traces(wire: Wire, deployed: Deployed) -> Traces:
    since_ms = time.time_ns() // 1_000_000
    answers = {trial.name: trial.send(wire) for trial in TRIALS}
    # Headers that nothing reads are neither refused nor kept.
    wire.send("GET", "/v1/balance", headers={"X-Note": NUMBER, "User-Agent": NUMBER})
    method = wire.send("POST", "/v1/payment_methods", CARD)
    assert method.status == 200, method.text
    token = wire.send("POST", "/v1/tokens", {k: v for k, v in CARD.items() if k != "type"})
    assert token.status == 200, token.text
    order = {
        "amount": "2000",
        "currency": "usd",
        "payment_method": method.body["id"],
        "confirm": "true",
    }
    paid = wire.send("POST", "/v1/payment_intents", order)
    wanted = {answer.headers["request-id"] for answer in (*answers.values(), paid)}

    def complete(log: list[tuple[str, str]]) -> bool:
        return wanted <= request_ids(log)

    return Traces(answers, paid, eventually(lambda: list(deployed.log_lines(since_ms)), complete))


def request_ids(log: list[tuple[str, str]]) -> set[str]:
    """Reads which requests the log tells of."""
    lines = (json.loads(line) for _, line in log if line.startswith("{"))
    return {line["request_id"] for line in lines if "request_id" in line}


@pytest.mark.parametrize("name", [trial.name for trial in TRIALS])
def test_card_number_elsewhere_is_refused_and_not_repeated(traces: Traces, name: str) -> None:
    answer = traces.answers[name]
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["code"] == "card_data_refused"
    assert not holds_number(f"{answer.headers}{answer.text}")


def test_card_number_is_in_no_log(traces: Traces) -> None:
    assert [(group, line) for group, line in traces.log if holds_number(line)] == []


def test_card_number_is_in_no_table(traces: Traces, deployed: Deployed) -> None:
    assert traces.paid.body["status"] == "succeeded"
    found = [table for region in regions() for table, item in deployed.items(region) if holds(item)]
    assert found == []


def test_cvc_is_gone_after_the_first_authorization(wire: Wire, deployed: Deployed) -> None:
    # given
    before = set(sealed_cvcs(deployed))
    method = wire.send("POST", "/v1/payment_methods", CARD).body
    sealed = set(sealed_cvcs(deployed)) - before
    assert sealed
    # when
    order = {"amount": "2000", "currency": "usd", "confirm": "true", "payment_method": method["id"]}
    assert wire.send("POST", "/v1/payment_intents", order).body["status"] == "succeeded"
    # then
    assert not sealed & set(sealed_cvcs(deployed))


def sealed_cvcs(deployed: Deployed) -> Iterator[str]:
    region = regions()[0]
    table = deployed.outputs("Vault", region)["VerificationsTable"]
    for page in deployed.dynamodb(region).get_paginator("scan").paginate(TableName=table):
        yield from (item["pk"]["S"] for item in page["Items"])


def holds_number(text: str) -> bool:
    return any(writing in text for writing in WRITINGS)


def holds(item: Mapping[str, Any]) -> bool:
    return holds_number(str(item))
