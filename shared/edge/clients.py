"""What may be asked with a publishable key, which is in every page and app of a merchant.

What opens an intent to such a key is the intent's own client secret, which the merchant gives to
the one customer it is for.
Source: Stripe's API reference of payment intents and setup intents, and of their client secrets.
"""

import hmac
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from shared.edge.fields import Text
from shared.edge.params import Params, bracketed
from shared.wire.errors import ECHO_LENGTH_MAX, RequestError

EXPANDABLE = "payment_method"


class ClientParams(Params):
    """Is the base of what is asked of an intent, with a publishable key or with a secret one.

    Its `FOR_CLIENTS` are the parameters that a publishable key may send beside the secret, those
    inside a hash by their whole names, such as "payment_method_options[card][network]".
    """

    FOR_CLIENTS: ClassVar[frozenset[str]] = frozenset()

    client_secret: Text | None = None


class RetrieveIntent(ClientParams):
    """GET /v1/payment_intents/{intent} and GET /v1/setup_intents/{intent}."""


def check_client(params: Params, expansions: Sequence[str]) -> None:
    """Checks that what is asked with a publishable key may be.

    Args: expansions: paths.
    Raises: RequestError 403 for what takes a secret key, 400 without the client secret.
    """
    for path in expansions:
        if path != EXPANDABLE:
            raise secret_key_required(
                "This property cannot be expanded with a publishable API key"
                f" ({path[:ECHO_LENGTH_MAX]}). Please use a secret API key.",
                "expand",
            )
    if not isinstance(params, ClientParams):
        return
    for name in _others(params.sent(), params.FOR_CLIENTS | {"client_secret"}):
        raise secret_key_required(
            f"The parameter `{name}` cannot be used with a publishable API key. Please use a secret"
            " API key.",
            name,
        )
    if params.client_secret is None:
        raise RequestError(
            "Missing required param: client_secret.",
            code="parameter_missing",
            param="client_secret",
        )


def _others(
    sent: Mapping[str, Any], names: Collection[str], path: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yields the names of what is sent that are not among names."""
    for name, value in sorted(sent.items()):
        here = bracketed((*path, name))
        if here in names:
            continue
        if isinstance(value, dict) and any(other.startswith(f"{here}[") for other in names):
            yield from _others(value, names, (*path, name))
        else:
            yield here


def require_secret(params: ClientParams, expected: str, noun: str, *, code: str) -> None:
    """Checks the client secret of an intent, where one was sent; the time it takes tells nothing.

    Args: expected: the intent's own. noun: what Stripe's messages call the intent.
    Raises: RequestError.
    """
    sent = params.client_secret
    if sent is None or hmac.compare_digest(sent.encode(), expected.encode()):
        return
    raise RequestError(
        f"The client_secret provided does not match the client_secret associated with the {noun}.",
        code=code,
        param="client_secret",
    )


def secret_key_required(message: str, param: str | None = None) -> RequestError:
    """Says that a publishable key may not do this."""
    return RequestError(message, status=403, code="secret_key_required", param=param)
