"""Payments through Stripe's Python SDK, as it comes from its registry."""

from typing import Any

import pytest
import stripe

from tests.e2e.conftest import Platform
from tests.support.live import eventually

pytestmark = pytest.mark.e2e

# What is charged: 2.9 % of it is a whole number, so that no test depends on a rounding.
AMOUNT = 2_000
CARD: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}


def pay(client: stripe.StripeClient, **params: Any) -> stripe.PaymentIntent:
    """Creates and confirms a payment in one request."""
    order: Any = {
        "amount": AMOUNT,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": True,
        **params,
    }
    return client.v1.payment_intents.create(order)


def test_payment_created_updated_and_confirmed_is_paid(client: stripe.StripeClient) -> None:
    # given
    created = client.v1.payment_intents.create(
        {"amount": 1_000, "currency": "usd", "metadata": {"order": "1"}}
    )
    assert (created.status, created.latest_charge) == ("requires_payment_method", None)
    updated = client.v1.payment_intents.update(
        created.id,
        {
            "amount": AMOUNT,
            "description": "Two cups",
            "metadata": {"cups": "2"},
            "payment_method": "pm_card_visa",
        },
    )
    assert updated.status == "requires_confirmation"
    # when
    confirmed = client.v1.payment_intents.confirm(created.id)
    # then
    assert (confirmed.status, confirmed.amount_received) == ("succeeded", AMOUNT)
    assert confirmed.description == "Two cups"
    assert confirmed.metadata.to_dict() == {"order": "1", "cups": "2"}
    assert confirmed.client_secret == created.client_secret
    assert client.v1.payment_intents.retrieve(created.id) == confirmed


def test_payment_of_a_created_card_and_customer_is_charged_to_both(
    client: stripe.StripeClient,
) -> None:
    # given
    customer = client.v1.customers.create({"email": "jenny@example.com"})
    method = client.v1.payment_methods.create({"type": "card", "card": CARD})
    client.v1.payment_methods.attach(method.id, {"customer": customer.id})
    # when
    payment = pay(client, customer=customer.id, payment_method=method.id)
    # then
    assert payment.status == "succeeded"
    charge = client.v1.charges.retrieve(str(payment.latest_charge))
    assert (charge.customer, charge.payment_method) == (customer.id, method.id)
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.last4 == "4242"
    assert (charge.paid, charge.captured, charge.refunded) == (True, True, False)


def test_payment_confirmed_by_a_page_with_its_client_secret_is_paid(
    platform: Platform, merchant: dict[str, str], client: stripe.StripeClient
) -> None:
    # given
    page = platform.client({**merchant, "secret_key": merchant["publishable_key"]})
    created = client.v1.payment_intents.create(
        {"amount": AMOUNT, "currency": "usd", "metadata": {"order": "1"}}
    )
    secret = str(created.client_secret)
    method = page.v1.payment_methods.create({"type": "card", "card": CARD})
    # when
    agreed: Any = {"client_secret": secret, "payment_method": method.id}
    confirmed = page.v1.payment_intents.confirm(created.id, agreed)
    # then
    assert (confirmed.status, confirmed.payment_method) == ("succeeded", method.id)
    assert not {"latest_charge", "metadata"} & confirmed.to_dict().keys()
    assert page.v1.payment_intents.retrieve(created.id, {"client_secret": secret}) == confirmed
    with pytest.raises(stripe.InvalidRequestError, match="does not match"):
        page.v1.payment_intents.retrieve(created.id, {"client_secret": f"{secret}x"})
    paid = client.v1.payment_intents.retrieve(created.id)
    assert (paid.amount_received, paid.metadata.to_dict()) == (AMOUNT, {"order": "1"})


@pytest.mark.parametrize("currency", ["jpy", "kwd"])
def test_payment_in_a_currency_without_two_decimals_is_paid(
    client: stripe.StripeClient, currency: str
) -> None:
    payment = pay(client, currency=currency, amount=1_230)
    assert (payment.status, payment.amount, payment.currency) == ("succeeded", 1_230, currency)


def test_payments_listed_page_by_page_come_newest_first(client: stripe.StripeClient) -> None:
    # given
    customer = client.v1.customers.create({"name": "Jenny"})
    made = [
        client.v1.payment_intents.create(
            {"amount": AMOUNT + number, "currency": "usd", "customer": customer.id}
        ).id
        for number in range(5)
    ]
    # when
    page = client.v1.payment_intents.list({"customer": customer.id, "limit": 2})
    backwards = client.v1.payment_intents.list(
        {"customer": customer.id, "limit": 2, "ending_before": made[0]}
    )
    # then
    assert [payment.id for payment in page.auto_paging_iter()] == made[::-1]
    assert page.has_more
    assert [payment.id for payment in backwards.data] == [made[2], made[1]]
    assert [payment.id for payment in backwards.auto_paging_iter()] == made[1:]


def test_authorized_payment_captured_in_full_is_paid(client: stripe.StripeClient) -> None:
    # given
    authorized = pay(client, capture_method="manual")
    assert (authorized.status, authorized.amount_capturable) == ("requires_capture", AMOUNT)
    # when
    captured = client.v1.payment_intents.capture(authorized.id)
    # then
    assert (captured.status, captured.amount_received) == ("succeeded", AMOUNT)
    assert captured.amount_capturable == 0


def test_authorization_incremented_is_captured_in_full(client: stripe.StripeClient) -> None:
    # given
    held = pay(client, capture_method="manual")
    # when
    grown = client.v1.payment_intents.increment_authorization(held.id, {"amount": AMOUNT + 500})
    captured = client.v1.charges.capture(str(held.latest_charge))
    # then
    assert (grown.status, grown.amount_capturable) == ("requires_capture", AMOUNT + 500)
    assert (captured.captured, captured.amount_captured) == (True, AMOUNT + 500)


def test_charge_of_a_token_is_updated_and_its_refund_too(client: stripe.StripeClient) -> None:
    # given
    token = client.v1.tokens.create({"card": CARD})
    charge = client.v1.charges.create({"amount": AMOUNT, "currency": "usd", "source": token.id})
    # when
    updated = client.v1.charges.update(
        charge.id, {"metadata": {"cups": "2"}, "fraud_details": {"user_report": "safe"}}
    )
    refund = client.v1.refunds.create({"charge": charge.id, "amount": 500})
    # then
    assert (charge.paid, charge.captured) == (True, True)
    assert updated.metadata.to_dict() == {"cups": "2"}
    assert updated.fraud_details is not None
    assert updated.fraud_details.user_report == "safe"
    noted = client.v1.refunds.update(refund.id, {"metadata": {"cup": "broken"}})
    assert noted.metadata is not None
    assert noted.metadata.to_dict() == {"cup": "broken"}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.cancel(refund.id)


def test_line_items_of_a_payment_are_listed_page_by_page(client: stripe.StripeClient) -> None:
    # given
    costs = [500, 700, 800]
    items: Any = [{"product_name": "cup", "quantity": 1, "unit_cost": cost} for cost in costs]
    payment = pay(client, amount_details={"line_items": items})
    # when
    lines = client.v1.payment_intents.amount_details_line_items.list(payment.id, {"limit": 1})
    # then
    assert [line.unit_cost for line in lines.auto_paging_iter()] == costs


def test_authorized_payment_captured_in_part_releases_the_rest(
    client: stripe.StripeClient,
) -> None:
    # given
    authorized = pay(client, capture_method="manual")
    # when
    captured = client.v1.payment_intents.capture(authorized.id, {"amount_to_capture": 1_500})
    # then
    assert (captured.status, captured.amount_received) == ("succeeded", 1_500)
    charge = client.v1.charges.retrieve(str(captured.latest_charge))
    assert (charge.amount, charge.amount_captured) == (AMOUNT, 1_500)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(authorized.id, {"amount_to_capture": 500})
    assert refused.value.code == "payment_intent_unexpected_state"


def test_capture_of_more_than_authorized_is_refused(client: stripe.StripeClient) -> None:
    authorized = pay(client, capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(authorized.id, {"amount_to_capture": AMOUNT + 1})
    assert refused.value.param == "amount_to_capture"
    assert client.v1.payment_intents.retrieve(authorized.id).status == "requires_capture"


@pytest.mark.parametrize("confirm", [True, False])
def test_unpaid_payment_canceled_can_not_be_paid(
    client: stripe.StripeClient, confirm: bool
) -> None:
    # given
    payment = pay(client, capture_method="manual", confirm=confirm)
    # when
    canceled = client.v1.payment_intents.cancel(
        payment.id, {"cancellation_reason": "requested_by_customer"}
    )
    # then
    assert (canceled.status, canceled.amount_capturable) == ("canceled", 0)
    assert canceled.cancellation_reason == "requested_by_customer"
    assert canceled.canceled_at is not None
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.confirm(payment.id)
    assert refused.value.code == "payment_intent_unexpected_state"


def test_paid_payment_canceled_is_refused(client: stripe.StripeClient) -> None:
    payment = pay(client)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.cancel(payment.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert client.v1.payment_intents.retrieve(payment.id).status == "succeeded"


def test_declined_payment_confirmed_with_another_card_is_paid(client: stripe.StripeClient) -> None:
    # given
    with pytest.raises(stripe.CardError) as declined:
        pay(client, payment_method="pm_card_chargeDeclined")
    assert declined.value.error is not None
    intent = declined.value.error.payment_intent
    assert intent is not None
    assert intent["status"] == "requires_payment_method"
    # when
    paid = client.v1.payment_intents.confirm(intent["id"], {"payment_method": "pm_card_mastercard"})
    # then
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)
    charges = client.v1.charges.list({"payment_intent": paid.id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]


def test_payment_that_needs_authentication_waits_for_it(client: stripe.StripeClient) -> None:
    payment = pay(client, payment_method="pm_card_threeDSecure2Required")
    assert payment.status == "requires_action"
    assert payment.next_action is not None
    assert client.v1.payment_intents.cancel(payment.id).status == "canceled"


def test_payment_whose_card_is_to_be_authenticated_waits_until_that_is_taken_back(
    client: stripe.StripeClient,
) -> None:
    # given
    wanted: Any = {"card": {"request_three_d_secure": "any", "capture_method": "manual"}}
    card = "pm_card_threeDSecureOptional"
    payment = pay(client, payment_method=card, payment_method_options=wanted)
    assert payment.status == "requires_action"
    # when
    held = client.v1.payment_intents.confirm(
        payment.id, {"payment_method_options": {"card": {"request_three_d_secure": "automatic"}}}
    )
    # then
    assert (held.status, held.capture_method) == ("requires_capture", "automatic_async")
    assert held.payment_method_options is not None
    options = held.payment_method_options.card
    assert options is not None
    assert (options.request_three_d_secure, options.capture_method) == ("automatic", "manual")
    assert client.v1.payment_intents.cancel(payment.id).status == "canceled"


def test_refunds_in_parts_give_back_what_was_paid_and_no_more(client: stripe.StripeClient) -> None:
    # given
    payment = pay(client)
    # when
    first = client.v1.refunds.create(
        {"payment_intent": payment.id, "amount": 500, "metadata": {"why": "cold"}}
    )
    second = client.v1.refunds.create({"charge": str(payment.latest_charge)})
    # then
    assert [first.status, second.status] == ["succeeded", "succeeded"]
    assert [first.amount, second.amount] == [500, AMOUNT - 500]
    assert client.v1.refunds.retrieve(first.id) == first
    listed = client.v1.refunds.list({"payment_intent": payment.id, "limit": 1})
    assert [refund.id for refund in listed.auto_paging_iter()] == [second.id, first.id]
    charge = client.v1.charges.retrieve(str(payment.latest_charge))
    assert (charge.refunded, charge.amount_refunded) == (True, AMOUNT)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": payment.id})
    assert refused.value.code == "charge_already_refunded"


def test_refund_of_more_than_is_left_is_refused(client: stripe.StripeClient) -> None:
    payment = pay(client)
    client.v1.refunds.create({"payment_intent": payment.id, "amount": 500})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": payment.id, "amount": AMOUNT})
    assert refused.value.param == "amount"
    assert len(client.v1.refunds.list({"payment_intent": payment.id}).data) == 1


def test_charges_listed_page_by_page_are_all_there(platform: Platform) -> None:
    # given
    client = platform.client(platform.merchant())
    made = [str(pay(client).latest_charge) for _ in range(3)]
    # when
    listed = client.v1.charges.list({"limit": 1})
    # then
    assert [charge.id for charge in listed.auto_paging_iter()] == made[::-1]


def test_balance_after_a_payment_is_what_is_left_after_the_fee(platform: Platform) -> None:
    # given
    client = platform.client(platform.merchant())
    assert client.v1.balance.retrieve().available[0].amount == 0
    fee = AMOUNT * 29 // 1_000 + 30
    # when
    pay(client)
    # then
    eventually(
        client.v1.balance.retrieve,
        lambda now: (now.pending[0].amount, now.available[0].amount) == (0, AMOUNT - fee),
    )


def test_payment_events_tell_what_happened_in_which_request(client: stripe.StripeClient) -> None:
    # given
    payment = pay(client, metadata={"order": "7"})

    # when
    def told() -> list[stripe.Event]:
        page = client.v1.events.list({"limit": 100})
        return [event for event in page.data if event.data.object["id"] == payment.id]

    events = eventually(told, lambda found: len(found) >= 2)
    # then
    assert {event.type for event in events} == {
        "payment_intent.created",
        "payment_intent.succeeded",
    }
    succeeded = next(event for event in events if event.type == "payment_intent.succeeded")
    assert client.v1.events.retrieve(succeeded.id) == succeeded
    assert succeeded.data.object["metadata"]["order"] == "7"
    assert succeeded.data.object["status"] == "succeeded"
    assert payment.last_response is not None
    assert succeeded.request is not None
    assert succeeded.request.id == payment.last_response.request_id
    only = client.v1.events.list({"type": "payment_intent.succeeded", "limit": 3})
    assert {event.type for event in only.data} == {"payment_intent.succeeded"}


def test_expanded_objects_are_whole(client: stripe.StripeClient) -> None:
    # given
    customer = client.v1.customers.create({"name": "Jenny"})
    # when
    payment = pay(
        client,
        customer=customer.id,
        expand=["customer", "payment_method", "latest_charge.payment_intent"],
    )
    listed = client.v1.payment_intents.list(
        {"customer": customer.id, "expand": ["data.customer", "data.latest_charge"]}
    )
    # then
    assert isinstance(payment.customer, stripe.Customer)
    assert payment.customer.name == "Jenny"
    assert isinstance(payment.payment_method, stripe.PaymentMethod)
    assert isinstance(payment.latest_charge, stripe.Charge)
    assert isinstance(payment.latest_charge.payment_intent, stripe.PaymentIntent)
    assert payment.latest_charge.payment_intent.id == payment.id
    assert isinstance(listed.data[0].customer, stripe.Customer)
    assert isinstance(listed.data[0].latest_charge, stripe.Charge)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        client.v1.payment_intents.retrieve(payment.id, {"expand": ["nothing"]})


def test_module_level_api_takes_the_same_way(
    platform: Platform, merchant: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(stripe, "api_base", platform.base)
    monkeypatch.setattr(stripe, "api_key", merchant["secret_key"])
    monkeypatch.setattr(stripe, "default_http_client", stripe.RequestsClient(timeout=30))
    customer = stripe.Customer.create(name="Jenny")
    method = stripe.PaymentMethod.create(type="card", card=CARD)
    method.attach(customer=customer.id)
    # when
    payment = stripe.PaymentIntent.create(
        amount=AMOUNT,
        currency="usd",
        customer=customer.id,
        payment_method=method.id,
        capture_method="manual",
        confirm=True,
    )
    payment.capture(amount_to_capture=1_900)
    refund = stripe.Refund.create(payment_intent=payment.id, amount=900)
    # then
    assert (payment.status, payment.amount_received) == ("succeeded", 1_900)
    assert stripe.Refund.retrieve(refund.id).amount == 900
    listed = stripe.PaymentIntent.list(customer=customer.id, limit=1)
    assert [found.id for found in listed.auto_paging_iter()] == [payment.id]
    charge = stripe.Charge.retrieve(str(payment.latest_charge), expand=["customer"])
    assert (charge.amount_refunded, charge.customer) == (900, customer)
    with pytest.raises(stripe.CardError):
        stripe.PaymentIntent.create(
            amount=AMOUNT, currency="usd", payment_method="pm_card_chargeDeclined", confirm=True
        )


def test_refund_to_a_slow_bank_is_pending_and_then_succeeds(client: stripe.StripeClient) -> None:
    payment = pay(client, payment_method="pm_card_pendingRefund")
    refund = client.v1.refunds.create({"payment_intent": payment.id})
    assert refund.status == "pending"
    eventually(lambda: client.v1.refunds.retrieve(refund.id).status, lambda s: s == "succeeded")


def test_refund_to_a_closed_card_fails_and_can_be_made_again(client: stripe.StripeClient) -> None:
    # given
    payment = pay(client, payment_method="pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": payment.id})
    assert refund.status == "succeeded"
    # when
    failed = eventually(
        lambda: client.v1.refunds.retrieve(refund.id), lambda one: one.status == "failed"
    )
    # then
    assert failed.failure_reason == "expired_or_canceled_card"
    told: Any = {"type": "refund.failed", "limit": 1}
    (event,) = eventually(lambda: client.v1.events.list(told).data, bool)
    assert event.data.object["id"] == refund.id
    assert client.v1.refunds.create({"payment_intent": payment.id}).status == "succeeded"


def test_charge_shows_what_the_issuer_said_of_the_address(client: stripe.StripeClient) -> None:
    payment = pay(client, payment_method="pm_card_avsZipFail")
    charge = client.v1.charges.retrieve(str(payment.latest_charge))
    assert payment.status == "succeeded"
    assert charge.payment_method_details is not None
    assert charge.payment_method_details.card is not None
    assert charge.payment_method_details.card.checks is not None
    assert charge.payment_method_details.card.checks.address_postal_code_check == "fail"
