"""Types of parameters that operations share, as Stripe reads them from form values."""

import re
from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from shared.domain.documents import LIMIT_DEFAULT, LIMIT_MAX
from shared.domain.money import is_currency
from shared.edge.params import Params
from shared.wire.errors import ECHO_LENGTH_MAX, RequestError

METADATA_KEYS_MAX = 50
METADATA_KEY_LENGTH_MAX = 40
METADATA_VALUE_LENGTH_MAX = 500
TEXT_LENGTH_MAX = 5_000

T = TypeVar("T")

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


def refusal(
    message: str, *, code: str | None = None, param: str | None = None
) -> PydanticCustomError:
    """Makes the error that a validator raises to choose its own words.

    Args: param: where it is not the field being validated, in bracket form.
    """
    facts = {"message": message, "code": code, "param": param}
    return PydanticCustomError("stripe", "{message}", facts)


def _integer(value: object) -> object:
    if not isinstance(value, str) or value == "":
        return value
    if not _INTEGER.fullmatch(value):
        shown = value[:ECHO_LENGTH_MAX]
        raise refusal(f"Invalid integer: {shown}", code="parameter_invalid_integer")
    return int(value)


def _boolean(value: object) -> object:
    if not isinstance(value, str) or value == "":
        return value
    if value not in {"true", "false"}:
        raise refusal(f"Invalid boolean: {value[:ECHO_LENGTH_MAX]}")
    return value == "true"


def _items(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    if not all(key.isascii() and key.isdigit() for key in value):
        raise refusal("Invalid array")
    return [value[key] for key in sorted(value, key=int)]


def _empty_unsets(value: object) -> object:
    return None if value == "" else value


def _metadata(value: object) -> object:
    if value == "" or not isinstance(value, Mapping):
        return _empty_unsets(value)
    for key, text in value.items():
        if isinstance(text, Mapping):
            raise refusal("Metadata values are strings; nested hashes are not accepted.")
        if len(key) > METADATA_KEY_LENGTH_MAX:
            raise refusal(
                f"Metadata keys can have up to {METADATA_KEY_LENGTH_MAX} characters, but you"
                f" passed in a key that is {len(key)} characters."
            )
        if len(text) > METADATA_VALUE_LENGTH_MAX:
            raise refusal(
                f"Metadata values can have up to {METADATA_VALUE_LENGTH_MAX} characters, but you"
                f" passed in a value that is {len(text)} characters."
            )
    return value


def _currency(value: object) -> object:
    if not isinstance(value, str) or value == "":
        return value
    code = value.lower()
    if not is_currency(code):
        raise refusal(f"Invalid currency: {value[:20]}. Use a three-letter ISO 4217 code.")
    return code


def _email(value: object) -> object:
    if isinstance(value, str) and value and not _EMAIL.fullmatch(value):
        shown = value[:ECHO_LENGTH_MAX]
        raise refusal(f"Invalid email address: {shown}", code="email_invalid")
    return value


Integer = Annotated[int, BeforeValidator(_integer)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_LENGTH_MAX)]
Email = Annotated[str, StringConstraints(min_length=1, max_length=512), BeforeValidator(_email)]
Currency = Annotated[str, StringConstraints(min_length=1), BeforeValidator(_currency)]
ObjectId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
# A list sent as a[0]=, a[1]= or a[]=.
Items = Annotated[list[T], BeforeValidator(_items)]
# A field that an empty string unsets: sent and None.
Clearable = Annotated[T | None, BeforeValidator(_empty_unsets)]
# Sent values by key; "" unsets a key; None (metadata=) unsets all of them.
Metadata = Annotated[dict[str, str] | None, BeforeValidator(_metadata)]


# Short enough that all fields of an object together stay inside a DynamoDB item.
AddressPart = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Address(Params):
    """A postal address; each part may be left out or unset."""

    city: Clearable[AddressPart] = None
    country: Clearable[AddressPart] = None
    line1: Clearable[AddressPart] = None
    line2: Clearable[AddressPart] = None
    postal_code: Clearable[AddressPart] = None
    state: Clearable[AddressPart] = None


class BillingDetails(Params):
    """Who a card belongs to, and where they live."""

    address: Clearable[Address] = None
    email: Clearable[Email] = None
    name: Clearable[Text] = None
    phone: Clearable[Text] = None
    tax_id: Clearable[Text] = None


class Shipping(Params):
    """Where and to whom goods are sent."""

    address: Address
    name: Text
    phone: Clearable[Text] = None


class CreatedRange(Params):
    """Bounds of a creation time, in epoch seconds."""

    gt: Integer | None = None
    gte: Integer | None = None
    lt: Integer | None = None
    lte: Integer | None = None


def _created(value: object) -> object:
    if not isinstance(value, str) or value == "":
        return value
    second = _integer(value)
    return {"gte": second, "lte": second}


Created = Annotated[CreatedRange, BeforeValidator(_created)]


class PageParams(Params):
    """Which page of a list is wanted."""

    limit: Annotated[Integer, Field(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    starting_after: ObjectId | None = None
    ending_before: ObjectId | None = None


class ListParams(PageParams):
    """The parameters of a list that can be bounded by time."""

    created: Created | None = None


class NoParams(Params):
    """The parameters of an operation that takes none."""


def merge_metadata(current: Mapping[str, str], changes: Mapping[str, str] | None) -> dict[str, str]:
    """Applies sent metadata to what is stored.

    Args: changes: None unsets everything; an empty value unsets its key.
    Raises: RequestError when more keys would remain than are allowed.
    """
    if changes is None:
        return {}
    merged = {key: value for key, value in {**current, **changes}.items() if value != ""}
    if len(merged) > METADATA_KEYS_MAX:
        raise RequestError(
            f"Metadata can have up to {METADATA_KEYS_MAX} keys, but there would be {len(merged)}.",
            param="metadata",
        )
    return merged
