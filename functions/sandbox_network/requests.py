"""The network's requests: what their JSON must be, checked by hand."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from shared.domain.cards import CardNumber
from shared.domain.money import AMOUNT_MINOR_MAX, is_currency
from shared.domain.providers import AuthorizationRequest, VerificationRequest
from shared.domain.sandbox_network import FollowUp, Operation

BODY_LENGTH_MAX = 16_384
LIMIT_MAX = 100
LIMIT_DEFAULT = 10

_NAME = re.compile(r"[A-Za-z0-9_]{1,255}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_NUMBER = re.compile(r"[0-9]{12,19}")
_CVC = re.compile(r"[\x21-\x7e]{1,8}")
_ADDRESS = re.compile(r"(?s).{0,200}")
_TRANSACTION = re.compile(r"ntx_[0-9]{13}[A-Za-z0-9]{1,64}")


class BadRequestError(ValueError):
    """Says what is wrong with a request, without repeating its values."""


def parse_body(text: str) -> Mapping[str, Any]:
    """Reads a JSON object of bounded size.

    Raises: BadRequestError.
    """
    if len(text) > BODY_LENGTH_MAX:
        raise BadRequestError("the body is too long")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(body, dict):
        raise BadRequestError("the body is not a JSON object")
    return body


def parse_key(key: str | None) -> str:
    """Checks an idempotency key: 1 to 255 visible ASCII characters.

    Raises: BadRequestError.
    """
    return _text(key, "Idempotency-Key", _KEY)


def parse_name(value: object, field: str) -> str:
    """Checks an id: 1 to 255 letters, digits and underscores.

    Raises: BadRequestError.
    """
    return _text(value, field, _NAME)


def authorization_of(body: Mapping[str, Any], key: str) -> AuthorizationRequest:
    """Reads a request for an authorization or a sale.

    Raises: BadRequestError.
    """
    names = {"merchant", "livemode", "payment_intent", "reference", "card", "amount", "currency"}
    _only(body, {*names, "capture", "address", "off_session", "authenticate"})
    _in_test_mode(body)
    currency = body.get("currency")
    if not isinstance(currency, str) or not is_currency(currency):
        raise BadRequestError("currency must be a lower-case ISO 4217 code")
    address = _address_of(body.get("address"))
    return AuthorizationRequest(
        account=parse_name(body.get("merchant"), "merchant"),
        payment_id=parse_name(body.get("payment_intent"), "payment_intent"),
        reference=parse_name(body.get("reference"), "reference"),
        idempotency_key=key,
        card=_card_of(body.get("card")),
        amount_minor=_amount(body),
        currency=currency,
        capture=_boolean(body.get("capture"), "capture"),
        address_line1=address.get("line1"),
        address_postal_code=address.get("postal_code"),
        off_session=_boolean(body.get("off_session", False), "off_session"),
        authenticate=_boolean(body.get("authenticate", False), "authenticate"),
    )


def verification_of(body: Mapping[str, Any], key: str) -> VerificationRequest:
    """Reads a request for the verification of a card.

    Raises: BadRequestError.
    """
    names = {"merchant", "livemode", "setup_intent", "reference", "card"}
    _only(body, {*names, "address", "authenticate"})
    _in_test_mode(body)
    address = _address_of(body.get("address"))
    return VerificationRequest(
        account=parse_name(body.get("merchant"), "merchant"),
        setup_id=parse_name(body.get("setup_intent"), "setup_intent"),
        reference=parse_name(body.get("reference"), "reference"),
        idempotency_key=key,
        card=_card_of(body.get("card")),
        address_line1=address.get("line1"),
        address_postal_code=address.get("postal_code"),
        authenticate=_boolean(body.get("authenticate", False), "authenticate"),
    )


def follow_up_of(
    operation: Operation, reference: str, body: Mapping[str, Any], key: str
) -> FollowUp:
    """Reads a request for an increment, capture, void or refund.

    Raises: BadRequestError.
    """
    if operation is Operation.VOID:
        _only(body, set())
        return FollowUp(operation, reference, key)
    if operation in {Operation.INCREMENT, Operation.CAPTURE}:
        _only(body, {"amount"})
        return FollowUp(operation, reference, key, _amount(body))
    _only(body, {"amount", "refund"})
    refund = parse_name(body.get("refund"), "refund")
    return FollowUp(operation, reference, key, _amount(body), refund)


def page_of(
    query: Mapping[str, str],
) -> tuple[str, str | None, int, str | None]:
    """Reads a request for transactions.

    Returns: merchant, payment intent, limit and the id to start after.
    Raises: BadRequestError.
    """
    _only(query, {"merchant", "payment_intent", "limit", "starting_after"})
    payment, after = query.get("payment_intent"), query.get("starting_after")
    limit = query.get("limit", str(LIMIT_DEFAULT))
    if not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= LIMIT_MAX:
        raise BadRequestError("limit must be an integer from 1 to 100")
    return (
        parse_name(query.get("merchant"), "merchant"),
        None if payment is None else parse_name(payment, "payment_intent"),
        int(limit),
        None if after is None else _text(after, "starting_after", _TRANSACTION),
    )


def _in_test_mode(body: Mapping[str, Any]) -> None:
    if body.get("livemode") is not False:
        raise BadRequestError("livemode must be false: this network moves no money")


def _card_of(card: object) -> CardNumber:
    if not isinstance(card, dict):
        raise BadRequestError("card must be an object")
    _only(card, {"number", "exp_month", "exp_year", "cvc"})
    cvc = card.get("cvc")
    return CardNumber(
        number=_text(card.get("number"), "card.number", _NUMBER),
        exp_month=_integer(card.get("exp_month"), "card.exp_month", 1, 12),
        exp_year=_integer(card.get("exp_year"), "card.exp_year", 1950, 9999),
        cvc=None if cvc is None else _text(cvc, "card.cvc", _CVC),
    )


def _address_of(address: object) -> Mapping[str, str]:
    """Reads what there is of an address: line1 and postal_code, or None in their place."""
    given = {} if address is None else address
    if not isinstance(given, dict):
        raise BadRequestError("address must be an object")
    _only(given, {"line1", "postal_code"})
    return {
        name: _text(value, f"address.{name}", _ADDRESS)
        for name, value in given.items()
        if value is not None
    }


def _amount(body: Mapping[str, Any]) -> int:
    return _integer(body.get("amount"), "amount", 1, AMOUNT_MINOR_MAX)


def _integer(value: object, field: str, least: int, most: int) -> int:
    # A bool is an int to Python and no number to JSON.
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadRequestError(f"{field} must be an integer from {least} to {most}")
    return value


def _boolean(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise BadRequestError(f"{field} must be a boolean")
    return value


def _text(value: object, field: str, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise BadRequestError(f"{field} is missing or malformed")
    return value


def _only(body: Mapping[str, Any], known: Collection[str]) -> None:
    if not body.keys() <= set(known):
        raise BadRequestError(f"unknown fields; known are: {', '.join(sorted(known)) or 'none'}")
