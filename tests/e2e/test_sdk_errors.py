"""What Stripe's SDK raises, and what it gets back for the same idempotency key."""

from typing import Any

import pytest
import stripe

from tests.e2e.conftest import Platform
from tests.support.live import read_all

pytestmark = pytest.mark.e2e

CARD: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}


def order(**changes: Any) -> Any:
    """Parameters of a payment that succeeds, but for the changes."""
    return {
        "amount": 2_000,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": True,
        **changes,
    }


@pytest.mark.parametrize(
    ("payment_method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
        ("pm_card_radarBlock", "card_declined", "fraudulent"),
    ],
)
def test_declined_card_raises_card_error_with_its_payment(
    client: stripe.StripeClient, payment_method: str, code: str, decline_code: str | None
) -> None:
    # when
    with pytest.raises(stripe.CardError) as declined:
        client.v1.payment_intents.create(order(payment_method=payment_method))
    # then
    error = declined.value.error
    assert error is not None
    assert (declined.value.http_status, declined.value.code) == (402, code)
    assert decline_code in {None, error.decline_code}
    assert str(declined.value.request_id).startswith("req_")
    assert error.payment_intent is not None
    payment = client.v1.payment_intents.retrieve(error.payment_intent["id"])
    assert (payment.status, payment.amount_received) == ("requires_payment_method", 0)
    assert payment.last_payment_error is not None
    assert payment.last_payment_error.code == code
    charge = client.v1.charges.retrieve(str(error.charge))
    assert (charge.status, charge.failure_code, charge.paid) == ("failed", code, False)


@pytest.mark.parametrize(
    ("part", "value", "code"),
    [
        ("number", "4242424242424241", "incorrect_number"),
        ("exp_month", 13, "invalid_expiry_month"),
        ("exp_year", 2019, "invalid_expiry_year"),
        ("cvc", "12", "invalid_cvc"),
    ],
)
def test_card_that_can_not_be_one_raises_card_error(
    client: stripe.StripeClient, part: str, value: object, code: str
) -> None:
    card: Any = {**CARD, part: value}
    with pytest.raises(stripe.CardError) as refused:
        client.v1.payment_methods.create({"type": "card", "card": card})
    assert (refused.value.code, refused.value.param) == (code, part)


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"currency": "xyz"}, None, "currency"),
        ({"surprise": "yes"}, "parameter_unknown", "surprise"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"payment_method": "pm_nothing"}, "resource_missing", "payment_method"),
        ({"capture_method": "later"}, None, "capture_method"),
        ({"shipping": {"name": "Jenny"}}, "parameter_missing", "shipping[address]"),
    ],
)
def test_wrong_parameter_raises_invalid_request_error_that_names_it(
    client: stripe.StripeClient, changes: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create(order(**changes))
    assert (refused.value.http_status, refused.value.param) == (400, param)
    assert refused.value.code == code


def test_missing_object_raises_invalid_request_error_with_404(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="No such payment_intent") as refused:
        client.v1.payment_intents.retrieve("pi_nothing")
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


def test_unknown_key_raises_authentication_error(platform: Platform) -> None:
    client = platform.client({"secret_key": "sk_test_nobody0000000000"})
    with pytest.raises(stripe.AuthenticationError) as refused:
        client.v1.customers.create()
    assert refused.value.http_status == 401


def test_publishable_key_raises_permission_error(
    platform: Platform, merchant: dict[str, str]
) -> None:
    client = platform.client({"secret_key": merchant["publishable_key"]})
    with pytest.raises(stripe.PermissionError) as refused:
        client.v1.customers.create()
    assert refused.value.error is not None
    assert refused.value.error.code == "secret_key_required"


def test_same_key_and_parameters_again_give_the_same_payment_once(
    client: stripe.StripeClient,
) -> None:
    # given
    options: stripe.RequestOptions = {"idempotency_key": "order-1"}
    first = client.v1.payment_intents.create(order(), options)
    # when
    again = client.v1.payment_intents.create(order(), options)
    # then
    assert again == first
    assert first.last_response is not None
    assert again.last_response is not None
    assert again.last_response.idempotency_key == "order-1"
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.request_id != first.last_response.request_id
    network = read_all(
        client, "/v1/test_helpers/network_transactions", payment_intent=str(first.id)
    )
    assert [operation["type"] for operation in network] == ["sale"]


def test_same_key_after_a_decline_gives_the_same_decline(client: stripe.StripeClient) -> None:
    # given
    options: stripe.RequestOptions = {"idempotency_key": "order-2"}
    declining = order(payment_method="pm_card_chargeDeclined")
    declined: list[str] = []
    # when
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refused:
            client.v1.payment_intents.create(declining, options)
        declined.append(str(refused.value.http_body))
    # then
    assert declined[0] == declined[1]


def test_same_key_after_refused_parameters_is_free(client: stripe.StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "order-3"}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create(order(amount=-1), options)
    assert client.v1.payment_intents.create(order(), options).status == "succeeded"


def test_same_key_for_something_else_raises_idempotency_error(client: stripe.StripeClient) -> None:
    # given
    options: stripe.RequestOptions = {"idempotency_key": "order-4"}
    first = client.v1.payment_intents.create(order(confirm=False), options)
    # when, then
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        client.v1.payment_intents.create(order(confirm=False, amount=1), options)
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        client.v1.payment_intents.confirm(first.id, {}, options)
    assert client.v1.payment_intents.retrieve(first.id).status == "requires_confirmation"


def test_same_key_of_another_merchant_is_another_key(
    platform: Platform, client: stripe.StripeClient
) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "order-5"}
    other = platform.client(platform.merchant())
    mine = client.v1.customers.create({"name": "Jenny"}, options)
    assert other.v1.customers.create({"name": "Kim"}, options).id != mine.id
