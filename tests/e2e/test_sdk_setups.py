"""Cards saved without a charge, and with one, through Stripe's SDK."""

from typing import Any

import pytest
import stripe

from tests.support.live import eventually

pytestmark = pytest.mark.e2e

CARD: Any = {"number": "4242424242424242", "exp_month": 11, "exp_year": 2033, "cvc": "321"}


def test_card_is_set_up_and_charged_without_its_holder(client: stripe.StripeClient) -> None:
    # given
    customer = client.v1.customers.create({"name": "Ada"})
    method = client.v1.payment_methods.create({"type": "card", "card": CARD})
    intent = client.v1.setup_intents.create({"customer": customer.id, "usage": "off_session"})
    assert intent.status == "requires_payment_method"
    # when
    confirmed = client.v1.setup_intents.confirm(
        intent.id, {"payment_method": method.id, "expand": ["latest_attempt"]}
    )
    # then
    assert confirmed.status == "succeeded"
    assert isinstance(confirmed.latest_attempt, stripe.SetupAttempt)
    assert confirmed.latest_attempt.payment_method == method.id
    attempts = client.v1.setup_attempts.list({"setup_intent": intent.id})
    assert [attempt.status for attempt in attempts.data] == ["succeeded"]
    saved = client.v1.customers.payment_methods.list(customer.id)
    assert [item.id for item in saved.data] == [method.id]
    charged = client.v1.payment_intents.create(
        {
            "amount": 1500,
            "currency": "usd",
            "customer": customer.id,
            "payment_method": method.id,
            "confirm": True,
            "off_session": True,
        }
    )
    assert charged.status == "succeeded"
    told = eventually(
        lambda: {event.type for event in client.v1.events.list({"limit": 100}).data},
        lambda types: {"setup_intent.succeeded", "payment_method.attached"} <= types,
    )
    assert "setup_intent.created" in told


def test_declined_card_is_not_set_up(client: stripe.StripeClient) -> None:
    # given
    intent = client.v1.setup_intents.create()
    # when
    with pytest.raises(stripe.CardError) as refused:
        client.v1.setup_intents.confirm(
            intent.id, {"payment_method": "pm_card_visa_chargeDeclined"}
        )
    # then
    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
    after = client.v1.setup_intents.retrieve(intent.id)
    assert after.status == "requires_payment_method"
    assert after.last_setup_error is not None
    assert after.last_setup_error.decline_code == "generic_decline"
    canceled = client.v1.setup_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert canceled.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError) as none:
        client.v1.mandates.retrieve("mandate_none")
    assert none.value.http_status == 404
