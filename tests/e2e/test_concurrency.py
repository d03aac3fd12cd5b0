"""Requests that race each other: one of them wins, and the network and the ledger agree on it."""

import functools
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import pytest
import stripe

from tests.e2e.conftest import Platform
from tests.support.live import FORM, TIMEOUT_S, CheckedClient, eventually, read_all, read_json

pytestmark = pytest.mark.e2e

THREADS = 8
RACES = 3
RETRIES = 8
ORDER: Any = {
    "amount": 2_000,
    "currency": "usd",
    "payment_method": "pm_card_visa",
    "confirm": True,
}
ORDER_TO_CAPTURE: Any = {**ORDER, "capture_method": "manual"}
ORDER_TO_CONFIRM: Any = {**ORDER, "confirm": False}

T = TypeVar("T")


def at_once(calls: Sequence[Callable[[], T]]) -> list[T | stripe.StripeError]:
    """Makes all calls at the same moment; returns what each returned or was refused with."""
    barrier = threading.Barrier(len(calls), timeout=TIMEOUT_S)

    def run(call: Callable[[], T]) -> T | stripe.StripeError:
        barrier.wait()
        try:
            return call()
        except stripe.StripeError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def patient(platform: Platform, merchant: Mapping[str, str]) -> stripe.StripeClient:
    """Returns an SDK that tries again where the platform asks it to."""
    return stripe.StripeClient(
        merchant["secret_key"],
        base_addresses={"api": platform.base},
        http_client=CheckedClient(timeout=TIMEOUT_S),
        max_network_retries=RETRIES,
    )


def payment_ids(client: stripe.StripeClient) -> set[str]:
    """Reads the newest payments."""
    return {payment.id for payment in client.v1.payment_intents.list({"limit": 100}).data}


def network_types(client: stripe.StripeClient, payment_id: str) -> list[str]:
    """Reads what the network did for a payment, oldest first."""
    path = "/v1/test_helpers/network_transactions"
    return [item["type"] for item in read_all(client, path, payment_intent=payment_id)][::-1]


def test_same_key_at_once_makes_one_payment(platform: Platform) -> None:
    # given
    merchant = platform.merchant()
    client = platform.client(merchant)
    create = patient(platform, merchant).v1.payment_intents.create
    options: stripe.RequestOptions = {"idempotency_key": "once"}
    # when
    paid = at_once([lambda: create(ORDER, options)] * THREADS)
    # then
    payments = [payment for payment in paid if isinstance(payment, stripe.PaymentIntent)]
    assert len(payments) == THREADS, paid
    assert {(payment.id, payment.status) for payment in payments} == {(payments[0].id, "succeeded")}
    assert [payment.id for payment in client.v1.payment_intents.list().data] == [payments[0].id]
    assert network_types(client, payments[0].id) == ["sale"]
    assert len(client.v1.charges.list().data) == 1


def test_same_key_at_once_is_refused_to_the_impatient_as_in_use(
    client: stripe.StripeClient,
) -> None:
    # given
    options: stripe.RequestOptions = {"idempotency_key": "once-only"}
    # when
    answers = at_once([lambda: client.v1.payment_intents.create(ORDER, options)] * THREADS)
    # then
    paid = {answer.id for answer in answers if isinstance(answer, stripe.PaymentIntent)}
    refused = [answer for answer in answers if isinstance(answer, stripe.StripeError)]
    assert len(paid) == 1
    for error in refused:
        assert (error.http_status, error.error and error.error.code) == (
            409,
            "idempotency_key_in_use",
        )
    assert network_types(client, paid.pop()) == ["sale"]


@pytest.mark.parametrize("_race", range(RACES))
def test_two_full_refunds_at_once_give_the_money_back_once(
    client: stripe.StripeClient, _race: int
) -> None:
    # given
    payment = client.v1.payment_intents.create(ORDER)
    # when
    answers = at_once([lambda: client.v1.refunds.create({"payment_intent": payment.id})] * 2)
    # then
    assert [isinstance(answer, stripe.Refund) for answer in answers].count(True) == 1, answers
    refused = next(answer for answer in answers if isinstance(answer, stripe.StripeError))
    assert refused.http_status in {400, 429}
    assert network_types(client, payment.id) == ["sale", "refund"]
    charge = client.v1.charges.retrieve(str(payment.latest_charge))
    assert (charge.amount_refunded, charge.refunded) == (2_000, True)


@pytest.mark.parametrize("_race", range(RACES))
def test_capture_against_cancel_lets_one_win(client: stripe.StripeClient, _race: int) -> None:
    # given
    intents = client.v1.payment_intents
    payment = intents.create(ORDER_TO_CAPTURE)
    # when
    answers = at_once([lambda: intents.capture(payment.id), lambda: intents.cancel(payment.id)])
    # then
    won = [answer for answer in answers if isinstance(answer, stripe.PaymentIntent)]
    assert len(won) == 1, answers
    refused = next(answer for answer in answers if isinstance(answer, stripe.StripeError))
    assert refused.http_status in {400, 429}
    ended = intents.retrieve(payment.id)
    assert ended.status == won[0].status
    expected = {"succeeded": "capture", "canceled": "void"}
    assert network_types(client, payment.id) == ["authorization", expected[ended.status]]


@pytest.mark.parametrize("_race", range(RACES))
def test_confirm_twice_at_once_charges_once(client: stripe.StripeClient, _race: int) -> None:
    # given
    intents = client.v1.payment_intents
    payment = intents.create(ORDER_TO_CONFIRM)
    # when
    answers = at_once([lambda: intents.confirm(payment.id)] * 2)
    # then
    won = [answer for answer in answers if isinstance(answer, stripe.PaymentIntent)]
    assert [answer.status for answer in won] == ["succeeded"], answers
    assert network_types(client, payment.id) == ["sale"]


def hang_up(
    platform: Platform, secret_key: str, path: str, params: Mapping[str, Any], key: str
) -> None:
    """Sends a request and is gone before the answer comes."""
    body = urlencode({name: str(value).lower() for name, value in params.items()})
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {secret_key}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    address = urlsplit(platform.base)
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as sent:
        sent.sendall(f"{head}{body}".encode())


def test_payment_tried_again_after_hanging_up_is_made_once(
    platform: Platform, merchant: Mapping[str, str], client: stripe.StripeClient
) -> None:
    # given
    before = payment_ids(client)
    hang_up(platform, merchant["secret_key"], "/v1/payment_intents", ORDER, "hung-up")
    # when
    create = patient(platform, merchant).v1.payment_intents.create
    payment = create(ORDER, {"idempotency_key": "hung-up"})
    # then
    assert payment.status == "succeeded"
    assert network_types(client, payment.id) == ["sale"]
    assert payment_ids(client) - before == {payment.id}


@pytest.mark.parametrize("race", range(RACES))
@pytest.mark.parametrize(
    ("verb", "status", "operation"),
    [("capture", "succeeded", "capture"), ("cancel", "canceled", "void")],
)
def test_operation_tried_again_after_hanging_up_is_done_once(
    platform: Platform,
    merchant: Mapping[str, str],
    client: stripe.StripeClient,
    verb: str,
    status: str,
    operation: str,
    race: int,
) -> None:
    # given
    payment = client.v1.payment_intents.create(ORDER_TO_CAPTURE)
    path, key = f"/v1/payment_intents/{payment.id}/{verb}", f"hung-up-{verb}-{race}"
    hang_up(platform, merchant["secret_key"], path, {}, key)
    # when
    again = getattr(patient(platform, merchant).v1.payment_intents, verb)
    # then
    assert again(payment.id, {}, {"idempotency_key": key}).status == status
    assert network_types(client, payment.id) == ["authorization", operation]


@pytest.mark.parametrize("race", range(RACES))
def test_refund_tried_again_after_hanging_up_is_made_once(
    platform: Platform, merchant: Mapping[str, str], client: stripe.StripeClient, race: int
) -> None:
    # given
    payment = client.v1.payment_intents.create(ORDER)
    order: Any = {"payment_intent": payment.id}
    key = f"hung-up-refund-{race}"
    hang_up(platform, merchant["secret_key"], "/v1/refunds", order, key)
    # when
    refund = patient(platform, merchant).v1.refunds.create(order, {"idempotency_key": key})
    # then
    assert refund.status == "succeeded"
    assert network_types(client, payment.id) == ["sale", "refund"]


@pytest.mark.parametrize("_race", range(RACES))
def test_partial_refunds_at_once_give_back_no_more_than_was_paid(
    platform: Platform, merchant: Mapping[str, str], client: stripe.StripeClient, _race: int
) -> None:
    # given
    payment = client.v1.payment_intents.create(ORDER)
    retrying = patient(platform, merchant)
    order: Any = {"payment_intent": payment.id, "amount": 700}
    # when
    answers = at_once([lambda: retrying.v1.refunds.create(order)] * 4)
    # then
    refunds = [answer for answer in answers if isinstance(answer, stripe.Refund)]
    assert [refund.status for refund in refunds] == ["succeeded"] * 2, answers
    assert network_types(client, payment.id) == ["sale", "refund", "refund"]
    assert client.v1.charges.retrieve(str(payment.latest_charge)).amount_refunded == 1_400


def test_metadata_changed_at_once_keeps_every_change(
    platform: Platform, merchant: Mapping[str, str], client: stripe.StripeClient
) -> None:
    # given
    payment = client.v1.payment_intents.create(ORDER_TO_CONFIRM)
    update = patient(platform, merchant).v1.payment_intents.update
    changes: list[Any] = [{"metadata": {f"key-{number}": "set"}} for number in range(THREADS)]
    # when
    at_once([functools.partial(update, payment.id, change) for change in changes])
    # then
    metadata = client.v1.payment_intents.retrieve(payment.id).metadata.to_dict()
    assert sorted(metadata) == [f"key-{number}" for number in range(THREADS)]


def test_token_used_at_once_makes_one_payment_method(client: stripe.StripeClient) -> None:
    # given
    number: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034}
    card: Any = {"token": client.v1.tokens.create({"card": number}).id}
    # when
    made = at_once([lambda: client.v1.payment_methods.create({"type": "card", "card": card})] * 4)
    # then
    assert [isinstance(answer, stripe.PaymentMethod) for answer in made].count(True) == 1, made


def test_books_after_all_races_are_balanced(client: stripe.StripeClient) -> None:
    totals = read_json(client, "/v1/ledger/trial_balance")["totals"]
    assert [total["net"] for total in totals] == [0]
    network = read_all(client, "/v1/test_helpers/network_transactions")
    taken = sum(item["amount"] for item in network if item["type"] in {"sale", "capture"})
    given_back = sum(item["amount"] for item in network if item["type"] == "refund")

    def receivable_row() -> Any:
        rows = read_json(client, "/v1/ledger/trial_balance")["data"]
        return next(row for row in rows if row["account"].startswith("1100:"))

    # then: the books follow a moment behind
    receivable = eventually(
        receivable_row, lambda row: (row["debits"], row["credits"]) == (taken, given_back)
    )
    assert receivable["pending_debits"] == receivable["pending_credits"]
