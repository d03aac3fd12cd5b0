"""`payment_method_options[card]` as requests send it; no other payment method is served.

What cannot be honoured yet is no parameter here, so that it is refused by its name.
"""

from collections.abc import Mapping
from typing import Any, Literal

from shared.domain.card_options import PARAM
from shared.edge.params import Params
from shared.wire.errors import RequestError

NAME = "payment_method_options"

Network = Literal[
    "amex",
    "cartes_bancaires",
    "diners",
    "discover",
    "eftpos_au",
    "girocard",
    "interac",
    "jcb",
    "link",
    "mastercard",
    "unionpay",
    "unknown",
    "visa",
]


class CardOptions(Params):
    """What may be said of a card whether it is charged or saved."""

    network: Network | None = None
    request_three_d_secure: Literal["any", "automatic", "challenge"] | None = None


def merged(stored: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is said of cards from now on.

    Args: sent: the parameters of a request.
    """
    changes = sent.get(NAME, {}).get("card", {})
    if changes is None:
        return {}
    return {name: value for name, value in {**stored, **changes}.items() if value is not None}


def require_no_network(sent: Mapping[str, Any], noun: str) -> None:
    """Refuses to choose a network before there is a card to be confirmed with.

    Args: sent: the parameters of a request that confirms nothing.
    Raises: RequestError.
    """
    if (sent.get(NAME, {}).get("card") or {}).get("network") is not None:
        param = f"{PARAM}[network]"
        raise RequestError(
            f"You can only pass `{param}` when the {noun} is confirmed with this request.",
            param=param,
        )
