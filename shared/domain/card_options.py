"""What a merchant says of cards alone: `payment_method_options[card]`, by Stripe's names."""

from collections.abc import Mapping
from typing import Any

from shared.domain.errors import RejectedError

PARAM = "payment_method_options[card]"

# The values of `request_three_d_secure` that ask for more than the card's issuer does.
_AUTHENTICATING = frozenset({"any", "challenge"})


def wants_authentication(options: Mapping[str, Any]) -> bool:
    """Tells whether the cardholder is to be authenticated wherever the card can be."""
    return options.get("request_three_d_secure") in _AUTHENTICATING


def require_network(options: Mapping[str, Any], brand: str) -> None:
    """Refuses a network that a card is not of; a card is of one network here, its brand's.

    Raises: RejectedError.
    """
    network = options.get("network", brand)
    if network != brand:
        raise RejectedError(
            f"The card cannot be used on the network `{network}`: it is of `{brand}` alone.",
            param=f"{PARAM}[network]",
        )


def require_no_cvc(options: Mapping[str, Any], customer: str | None) -> None:
    """Refuses a saved card where its security code is wanted again, which has no way here.

    Args: customer: whom the card is saved for.
    Raises: RejectedError.
    """
    if customer is not None and options.get("require_cvc_recollection"):
        raise RejectedError(
            "The security code of a saved card is required again (`require_cvc_recollection`), and"
            f" `{PARAM}[cvc_token]`, by which it would be sent, is not accepted yet. Use a card"
            " that is not saved, or set `require_cvc_recollection` to false.",
            param=f"{PARAM}[require_cvc_recollection]",
        )
