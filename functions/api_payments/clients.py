"""What a publishable key may not do to a payment that it may confirm.

Source: Stripe's API reference of payment intents, and the refusals that its users quote.
"""

from collections.abc import Mapping
from typing import Any

from functions.api_payments.models import ConfirmPaymentIntent, UpdatePaymentIntent
from shared.domain.card_options import PARAM
from shared.domain.payment import Payment
from shared.edge.api import Request
from shared.edge.clients import secret_key_required
from shared.wire.errors import RequestError

_SHIPPING, _USAGE = "shipping", "setup_future_usage"
# Detail of a payment whose shipping was last set with a publishable key.
_ORIGIN = "shipping_of_client"


def check_publishable(
    request: Request[ConfirmPaymentIntent],
    payment: Payment,
    details: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    """Refuses what a publishable key may not have confirmed.

    Args: details: that the confirmation changes. options: what is said of cards from now on.
    Raises: RequestError.
    """
    if not request.publishable:
        return
    stored = payment.details
    if stored.get("confirmation_method") == "manual":
        raise secret_key_required(
            f"This PaymentIntent {payment.id} cannot be confirmed using your publishable key"
            " because its `confirmation_method` is set to `manual`. Please use your secret key"
            " instead, or create a PaymentIntent with `confirmation_method` set to `automatic`."
        )
    usage = stored.get(_USAGE)
    wanted = details.get(_USAGE, usage)
    _check_usage(usage, wanted, _USAGE)
    # Where nothing is said of cards, what is said of all payment methods stands.
    of_cards = payment.card_options.get(_USAGE, usage)
    _check_usage(of_cards, options.get(_USAGE, wanted), f"{PARAM}[{_USAGE}]")
    sent_to = stored.get(_SHIPPING)
    is_clients = sent_to is None or stored.get(_ORIGIN)
    if not is_clients and details.get(_SHIPPING, sent_to) != sent_to:
        raise _is_set(
            "The shipping information on this PaymentIntent was last set with a secret key and"
            " therefore cannot be changed with a publishable key. Please use your secret key"
            " instead.",
            _SHIPPING,
        )


def _check_usage(stored: str | None, wanted: str | None, param: str) -> None:
    """Refuses to save a card for less, or for what the merchant does not want it for."""
    is_wider = (stored, wanted) == ("on_session", "off_session")
    if stored is None or wanted == stored or is_wider:
        return
    raise _is_set(
        f"The `{_USAGE}` of this PaymentIntent is {stored}: with a publishable key it can only be"
        " changed from `on_session` to `off_session`.",
        param,
    )


def shipping_origin(
    request: Request[ConfirmPaymentIntent] | Request[UpdatePaymentIntent],
    payment: Payment,
    details: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the detail that says with which kind of key shipping was set, where that changes.

    Who repeats with a publishable key what a secret one has set, has set nothing.
    """
    stored = payment.details
    if _SHIPPING not in details or stored.get(_ORIGIN, False) == request.publishable:
        return {}
    if request.publishable and details[_SHIPPING] == stored.get(_SHIPPING):
        return {}
    return {_ORIGIN: request.publishable}


def _is_set(message: str, param: str) -> RequestError:
    return RequestError(message, code="payment_intent_invalid_parameter", param=param)
