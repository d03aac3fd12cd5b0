"""Customers, payment methods, tokens, webhook endpoints and metadata through Stripe's SDK."""

from typing import Any

import pytest
import stripe

from tests.e2e.conftest import Platform
from tests.support.live import eventually

pytestmark = pytest.mark.e2e

CARD: Any = {"number": "5555555555554444", "exp_month": 11, "exp_year": 2033, "cvc": "321"}


def test_customer_created_changed_and_deleted_is_what_it_was_made(
    client: stripe.StripeClient,
) -> None:
    # given
    created = client.v1.customers.create(
        {
            "email": "jenny@example.com",
            "name": "Jenny Rosen",
            "phone": "+1 555 010 0100",
            "preferred_locales": ["en", "fr"],
            "address": {"line1": "1 Main St", "city": "Oslo", "country": "NO"},
        }
    )
    assert client.v1.customers.retrieve(created.id) == created
    # when
    changed = client.v1.customers.update(created.id, {"name": "", "description": "A regular"})
    # then
    assert (changed.name, changed.description) == (None, "A regular")
    assert (changed.email, changed.preferred_locales) == ("jenny@example.com", ["en", "fr"])
    assert changed.address is not None
    assert changed.address.city == "Oslo"
    # when
    gone = client.v1.customers.delete(created.id)
    # then
    assert (gone.id, gone.deleted) == (created.id, True)
    assert client.v1.customers.retrieve(created.id).deleted
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.update(created.id, {"name": "Jenny"})
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


def test_customers_listed_page_by_page_are_all_there(platform: Platform) -> None:
    # given
    client = platform.client(platform.merchant())
    emails = ["a@example.com", "b@example.com", "a@example.com"]
    made = [client.v1.customers.create({"email": email}).id for email in emails]
    client.v1.customers.delete(client.v1.customers.create({"email": "a@example.com"}).id)
    # when
    listed = client.v1.customers.list({"limit": 1})
    named = client.v1.customers.list({"limit": 1, "email": "a@example.com"})
    # then
    assert [customer.id for customer in listed.auto_paging_iter()] == made[::-1]
    assert [customer.id for customer in named.auto_paging_iter()] == [made[2], made[0]]


def test_customers_balance_is_what_its_transactions_add_up_to(
    client: stripe.StripeClient,
) -> None:
    # given
    customer = client.v1.customers.create({"balance": -500})
    transactions = client.v1.customers.balance_transactions
    # when
    made = transactions.create(customer.id, {"amount": 200, "currency": "usd"})
    transactions.update(customer.id, made.id, {"description": "A part of it"})
    # then
    assert client.v1.customers.retrieve(customer.id).balance == -300
    assert transactions.retrieve(customer.id, made.id).description == "A part of it"
    listed = transactions.list(customer.id, {"limit": 1}).auto_paging_iter()
    assert [(found.amount, found.ending_balance) for found in listed] == [(200, -300), (-500, -500)]


def test_payment_method_attached_and_detached_is_not_used_again(
    client: stripe.StripeClient,
) -> None:
    # given
    customer = client.v1.customers.create()
    method = client.v1.payment_methods.create(
        {"type": "card", "card": CARD, "billing_details": {"name": "Jenny Rosen"}}
    )
    assert method.card is not None
    assert (method.card.brand, method.card.last4) == ("mastercard", "4444")
    assert client.v1.payment_methods.retrieve(method.id) == method
    # when
    attached = client.v1.payment_methods.attach(method.id, {"customer": customer.id})
    # then
    assert (attached.customer, attached.billing_details.name) == (customer.id, "Jenny Rosen")
    listed = client.v1.payment_methods.list({"customer": customer.id, "type": "card"})
    assert [found.id for found in listed.data] == [method.id]
    # when
    detached = client.v1.payment_methods.detach(method.id)
    # then
    assert detached.customer is None
    assert client.v1.payment_methods.list({"customer": customer.id}).data == []
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_methods.attach(method.id, {"customer": customer.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create(
            {"amount": 2_000, "currency": "usd", "payment_method": method.id, "confirm": True}
        )
    assert refused.value.code == "payment_method_unexpected_state"


def test_payment_methods_listed_page_by_page_are_all_there(client: stripe.StripeClient) -> None:
    # given
    customer = client.v1.customers.create()
    attach = client.v1.payment_methods.attach
    aliases = ["pm_card_visa", "pm_card_mastercard", "pm_card_amex"]
    made = [attach(alias, {"customer": customer.id}).id for alias in aliases]
    # when
    listed = client.v1.payment_methods.list({"customer": customer.id, "limit": 1})
    of_customer = client.v1.customers.payment_methods.list(customer.id, {"limit": 2})
    # then
    assert [method.id for method in listed.auto_paging_iter()] == made[::-1]
    assert [method.id for method in of_customer.auto_paging_iter()] == made[::-1]


def test_same_card_twice_has_one_fingerprint(client: stripe.StripeClient) -> None:
    later: Any = {**CARD, "exp_year": 2034}
    made = [
        client.v1.payment_methods.create({"type": "card", "card": card}) for card in (CARD, later)
    ]
    fingerprints = {method.card.fingerprint for method in made if method.card is not None}
    assert len(fingerprints) == 1


def test_token_makes_one_payment_method(client: stripe.StripeClient) -> None:
    # given
    holder: Any = {**CARD, "name": "Jenny Rosen"}
    token = client.v1.tokens.create({"card": holder})
    assert (token.type, token.used) == ("card", False)
    assert token.card is not None
    assert token.card.last4 == "4444"
    card: Any = {"token": token.id}
    # when
    method = client.v1.payment_methods.create({"type": "card", "card": card})
    # then
    assert method.billing_details.name == "Jenny Rosen"
    assert client.v1.tokens.retrieve(token.id).used
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_methods.create({"type": "card", "card": card})
    assert refused.value.code == "token_already_used"


def test_confirmation_token_confirms_one_payment(client: stripe.StripeClient) -> None:
    # given
    token = client.v1.test_helpers.confirmation_tokens.create({"payment_method": "pm_card_visa"})
    assert token.payment_method_preview is not None
    assert token.payment_method_preview.card is not None
    assert token.payment_method_preview.card.last4 == "4242"
    order: stripe.params.PaymentIntentCreateParams = {
        "amount": 2_000,
        "currency": "usd",
        "confirm": True,
        "confirmation_token": token.id,
    }
    # when
    paid = client.v1.payment_intents.create(order)
    # then
    assert paid.status == "succeeded"
    assert client.v1.confirmation_tokens.retrieve(token.id).payment_intent == paid.id
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create(order)
    assert refused.value.code == "token_already_used"


def test_payment_method_configuration_says_what_is_offered(platform: Platform) -> None:
    # given
    configurations = platform.client(platform.merchant()).v1.payment_method_configurations
    (default,) = configurations.list().data
    assert default.is_default
    assert default.card is not None
    assert default.card.available
    # when
    made = configurations.create({"name": "Nothing", "parent": default.id})
    off = configurations.update(made.id, {"card": {"display_preference": {"preference": "off"}}})
    # then
    assert off.card is not None
    assert (off.card.available, off.card.display_preference.value) == (False, "off")
    listed = configurations.list({"limit": 1}).auto_paging_iter()
    assert [found.id for found in listed] == [made.id, default.id]


def test_payment_method_domain_has_no_active_wallet(platform: Platform) -> None:
    # given
    domains = platform.client(platform.merchant()).v1.payment_method_domains
    made = domains.create({"domain_name": "shop.example.com"})
    # when
    validated = domains.validate(made.id)
    disabled = domains.update(made.id, {"enabled": False})
    # then
    assert (validated.apple_pay.status, disabled.enabled) == ("inactive", False)
    named = domains.list({"domain_name": "shop.example.com"})
    assert [found.id for found in named.data] == [made.id]
    assert domains.list({"enabled": True}).data == []


def test_webhook_endpoint_shows_its_secret_once(platform: Platform) -> None:
    # given
    client = platform.client(platform.merchant())
    endpoints = client.v1.webhook_endpoints
    url = "http://127.0.0.1:9/webhooks"
    # when
    created = endpoints.create({"url": url, "enabled_events": ["charge.succeeded"]})
    second = endpoints.create({"url": url, "enabled_events": ["*"], "description": "All"})
    # then
    assert str(created.secret).startswith("whsec_")
    assert "secret" not in endpoints.retrieve(created.id).to_dict()
    listed = endpoints.list({"limit": 1})
    assert [endpoint.id for endpoint in listed.auto_paging_iter()] == [second.id, created.id]
    # when
    changed = endpoints.update(
        created.id, {"disabled": True, "enabled_events": ["charge.failed"], "metadata": {"a": "b"}}
    )
    # then
    assert (changed.status, changed.enabled_events) == ("disabled", ["charge.failed"])
    assert changed.metadata.to_dict() == {"a": "b"}
    # when
    gone = endpoints.delete(created.id)
    # then
    assert gone.deleted
    assert [endpoint.id for endpoint in endpoints.list().data] == [second.id]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        endpoints.retrieve(created.id)
    assert refused.value.code == "resource_missing"


def test_metadata_is_merged_key_by_key(client: stripe.StripeClient) -> None:
    # given
    customer = client.v1.customers.create({"metadata": {"a": "1", "b": "2", "ø x": "é"}})
    # when
    update = client.v1.customers.update
    changed = update(customer.id, {"metadata": {"a": "", "c": "3"}})
    # then
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"b": "2", "c": "3", "ø x": "é"}
    # when
    emptied = update(customer.id, {"metadata": ""})
    # then
    assert emptied.metadata is not None
    assert emptied.metadata.to_dict() == {}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        update(customer.id, {"metadata": {f"k{number}": "v" for number in range(51)}})
    assert refused.value.param == "metadata"


def test_object_events_tell_what_changed(client: stripe.StripeClient) -> None:
    # given
    customer = client.v1.customers.create({"name": "Before"})
    client.v1.customers.update(customer.id, {"name": "After"})
    client.v1.customers.delete(customer.id)

    # when
    def told() -> list[stripe.Event]:
        page = client.v1.events.list({"types": ["customer.*"], "limit": 100})
        return [event for event in page.data if event.data.object["id"] == customer.id]

    events = eventually(told, lambda found: len(found) >= 3)
    # then
    assert [event.type for event in events] == [
        "customer.deleted",
        "customer.updated",
        "customer.created",
    ]
    assert events[1].data.previous_attributes is not None
    assert events[1].data.previous_attributes["name"] == "Before"
