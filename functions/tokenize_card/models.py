"""Parameters of the vault's two operations."""

from typing import Literal

from shared.edge.fields import BillingDetails, Clearable, Integer, Metadata, ObjectId, Text
from shared.edge.params import Params


class CardParams(Params):
    """A card in the clear, or a token that stands for one."""

    number: Text | None = None
    exp_month: Integer | None = None
    exp_year: Integer | None = None
    cvc: Text | None = None
    token: ObjectId | None = None


class CreatePaymentMethod(Params):
    """Parameters of POST /v1/payment_methods."""

    type: Literal["card"]
    card: CardParams
    billing_details: BillingDetails = BillingDetails()
    metadata: Metadata = None
    allow_redisplay: Literal["always", "limited", "unspecified"] = "unspecified"


class TokenCardParams(Params):
    """A card in the clear, with its holder as the older API names the parts."""

    number: Text | None = None
    exp_month: Integer | None = None
    exp_year: Integer | None = None
    cvc: Text | None = None
    name: Clearable[Text] = None
    address_line1: Clearable[Text] = None
    address_line2: Clearable[Text] = None
    address_city: Clearable[Text] = None
    address_state: Clearable[Text] = None
    address_zip: Clearable[Text] = None
    address_country: Clearable[Text] = None


class CreateToken(Params):
    """Parameters of POST /v1/tokens."""

    card: TokenCardParams
