"""Parameters of payment intents, charges and refunds."""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from shared.domain.money import AMOUNT_MINOR_MAX
from shared.edge.card_options import CardOptions
from shared.edge.clients import ClientParams
from shared.edge.fields import (
    Boolean,
    Clearable,
    Currency,
    Email,
    Integer,
    Items,
    ListParams,
    Metadata,
    ObjectId,
    Shipping,
    Text,
    refusal,
)
from shared.edge.methods import PaymentMethodData
from shared.edge.offers import AutomaticPaymentMethods, ExcludedTypes
from shared.edge.params import Params


def _amount(value: int) -> int:
    if value < 1:
        raise refusal(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer"
        )
    if value > AMOUNT_MINOR_MAX:
        raise refusal(f"Amount must be no more than {AMOUNT_MINOR_MAX}.", code="amount_too_large")
    return value


Amount = Annotated[Integer, AfterValidator(_amount)]


def _descriptor(value: str) -> str:
    if not re.search("[A-Za-z]", value):
        raise refusal("The statement descriptor must contain at least one Latin letter.")
    if re.search(r"""[<>\\'"*]""", value):
        raise refusal("The statement descriptor must not contain any of < > \\ ' \" *.")
    return value


def _not_of_cards(value: str) -> str:
    raise refusal(
        "The statement_descriptor parameter is not supported for the payment_method_type `card`."
        " To continue supporting payment_method_type `card`, please pass in"
        " `statement_descriptor_suffix` or remove the `statement_descriptor` parameter altogether."
    )


KanaDescriptor = Annotated[str, StringConstraints(min_length=1, max_length=22)]
Descriptor = Annotated[KanaDescriptor, AfterValidator(_descriptor)]
# Taken for payment methods other than cards, which there are none of.
OthersDescriptor = Annotated[KanaDescriptor, AfterValidator(_not_of_cards)]
KanjiDescriptor = Annotated[str, StringConstraints(min_length=1, max_length=17)]
CaptureMethod = Literal["automatic", "automatic_async", "manual"]


SetupFutureUsage = Literal["off_session", "on_session"]
Requested = Literal["if_available", "never"]


class CarriedShipping(Shipping):
    """Where the goods of a payment go, and who carries them."""

    carrier: Clearable[Text] = None
    tracking_number: Clearable[Text] = None


def _part(value: int) -> int:
    if not 0 <= value <= AMOUNT_MINOR_MAX:
        raise refusal(
            f"This value must be between 0 and {AMOUNT_MINOR_MAX}.",
            code="parameter_invalid_integer",
        )
    return value


Part = Annotated[Integer, AfterValidator(_part)]
PostalCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z -]{1,10}$")]
LINE_ITEMS_MAX = 200


class TotalTax(Params):
    """The tax that is part of an amount."""

    total_tax_amount: Part


class ShippingPart(Params):
    """What of an amount is for shipping."""

    amount: Clearable[Part] = None
    from_postal_code: Clearable[PostalCode] = None
    to_postal_code: Clearable[PostalCode] = None


class CommodityCode(Params):
    """What card networks are told of a line item."""

    commodity_code: Text | None = None


class LineItemOptions(Params):
    """What is said of a line item by payment method; cards are all there is."""

    card: CommodityCode | None = None


class LineItem(Params):
    """What was bought."""

    product_name: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    quantity: Amount
    unit_cost: Part
    discount_amount: Amount | None = None
    payment_method_options: LineItemOptions | None = None
    product_code: Annotated[str, StringConstraints(min_length=1, max_length=12)] | None = None
    tax: TotalTax | None = None
    unit_of_measure: Annotated[str, StringConstraints(min_length=1, max_length=12)] | None = None


class AmountDetails(Params):
    """What an amount is made of."""

    discount_amount: Clearable[Amount] = None
    enforce_arithmetic_validation: Boolean = True
    line_items: Clearable[Annotated[Items[LineItem], Field(max_length=LINE_ITEMS_MAX)]] = None
    shipping: Clearable[ShippingPart] = None
    tax: Clearable[TotalTax] = None


class ChargedCardOptions(CardOptions):
    """What is said of cards alone, before what is said of all payment methods."""

    capture_method: Clearable[Literal["manual"]] = None
    request_extended_authorization: Requested | None = None
    request_incremental_authorization: Requested | None = None
    request_multicapture: Requested | None = None
    request_overcapture: Requested | None = None
    require_cvc_recollection: Boolean | None = None
    setup_future_usage: Clearable[Literal["none", "off_session", "on_session"]] = None
    statement_descriptor_suffix_kana: Clearable[KanaDescriptor] = None
    statement_descriptor_suffix_kanji: Clearable[KanjiDescriptor] = None


class PaymentMethodOptions(Params):
    """What is said of a payment method alone; cards are all there is."""

    card: Clearable[ChargedCardOptions] = None


class _Details(Params):
    """What a merchant may say about a payment at any time."""

    allowed_payment_method_types: Items[Literal["card"]] | None = None
    description: Clearable[Text] = None
    excluded_payment_method_types: Clearable[ExcludedTypes] = None
    metadata: Metadata = Field(default_factory=dict)
    receipt_email: Clearable[Email] = None
    setup_future_usage: Clearable[SetupFutureUsage] = None
    shipping: Clearable[CarriedShipping] = None
    statement_descriptor: Clearable[OthersDescriptor] = None
    statement_descriptor_suffix: Clearable[Descriptor] = None
    transfer_group: Clearable[Text] = None


class _Confirming(Params):
    """Parameters that mean something only while a payment is confirmed."""

    return_url: Text | None = None
    off_session: Boolean = False
    error_on_requires_action: Boolean = False
    use_stripe_sdk: Boolean = False


class CreatePaymentIntent(_Details, _Confirming):
    """POST /v1/payment_intents."""

    amount_details: Clearable[AmountDetails] = None
    amount: Amount
    currency: Currency
    automatic_payment_methods: AutomaticPaymentMethods | None = None
    payment_method_types: Items[Literal["card"]] | None = None
    capture_method: CaptureMethod = "automatic_async"
    confirm: Boolean = False
    confirmation_method: Literal["automatic", "manual"] = "automatic"
    confirmation_token: ObjectId | None = None
    customer: ObjectId | None = None
    payment_method: ObjectId | None = None
    payment_method_configuration: ObjectId | None = None
    payment_method_data: PaymentMethodData | None = None
    payment_method_options: PaymentMethodOptions | None = None


class UpdatePaymentIntent(_Details):
    """POST /v1/payment_intents/{intent}."""

    amount_details: Clearable[AmountDetails] = None
    amount: Amount | None = None
    currency: Currency | None = None
    payment_method_types: Items[Literal["card"]] | None = None
    capture_method: CaptureMethod | None = None
    customer: ObjectId | None = None
    payment_method: Clearable[ObjectId] = None
    payment_method_configuration: ObjectId | None = None
    payment_method_data: PaymentMethodData | None = None
    payment_method_options: PaymentMethodOptions | None = None


class ConfirmPaymentIntent(ClientParams, _Confirming):
    """POST /v1/payment_intents/{intent}/confirm."""

    FOR_CLIENTS: ClassVar[frozenset[str]] = frozenset(
        {
            "confirmation_token",
            "payment_method",
            "payment_method_data",
            "payment_method_options[card][network]",
            "payment_method_options[card][setup_future_usage]",
            "receipt_email",
            "return_url",
            "setup_future_usage",
            "shipping",
            "use_stripe_sdk",
        }
    )

    amount_details: Clearable[AmountDetails] = None
    allowed_payment_method_types: Items[Literal["card"]] | None = None
    payment_method_types: Items[Literal["card"]] | None = None
    capture_method: CaptureMethod | None = None
    confirmation_token: ObjectId | None = None
    excluded_payment_method_types: Clearable[ExcludedTypes] = None
    payment_method: ObjectId | None = None
    payment_method_data: PaymentMethodData | None = None
    payment_method_options: PaymentMethodOptions | None = None
    receipt_email: Clearable[Email] = None
    setup_future_usage: Clearable[SetupFutureUsage] = None
    shipping: Clearable[CarriedShipping] = None


class IncrementAuthorization(Params):
    """POST /v1/payment_intents/{intent}/increment_authorization."""

    amount: Amount
    description: Text | None = None
    metadata: Metadata = Field(default_factory=dict)
    statement_descriptor: Descriptor | None = None


class CapturePaymentIntent(Params):
    """POST /v1/payment_intents/{intent}/capture."""

    amount_details: Clearable[AmountDetails] = None
    amount_to_capture: Amount | None = None
    # A second capture of the same authorization is not offered.
    final_capture: Literal["true"] = "true"
    metadata: Metadata = Field(default_factory=dict)
    statement_descriptor: OthersDescriptor | None = None
    statement_descriptor_suffix: Descriptor | None = None


class CancelPaymentIntent(Params):
    """POST /v1/payment_intents/{intent}/cancel."""

    cancellation_reason: (
        Literal["abandoned", "duplicate", "fraudulent", "requested_by_customer"] | None
    ) = None


class ListPaymentIntents(ListParams):
    """GET /v1/payment_intents."""

    customer: ObjectId | None = None


class ListCharges(ListParams):
    """GET /v1/charges."""

    customer: ObjectId | None = None
    payment_intent: ObjectId | None = None


class FraudDetails(Params):
    """What the merchant thinks of a charge."""

    user_report: Clearable[Literal["fraudulent", "safe"]]


class _ChargeDetails(Params):
    """What a merchant may say about a charge at any time."""

    description: Clearable[Text] = None
    metadata: Metadata = Field(default_factory=dict)
    receipt_email: Clearable[Email] = None
    shipping: Clearable[CarriedShipping] = None
    transfer_group: Clearable[Text] = None


class CreateCharge(_ChargeDetails):
    """POST /v1/charges."""

    amount: Amount
    currency: Currency
    capture: Boolean = True
    customer: ObjectId | None = None
    source: ObjectId | None = None
    statement_descriptor: Descriptor | None = None
    statement_descriptor_suffix: Descriptor | None = None


class UpdateCharge(_ChargeDetails):
    """POST /v1/charges/{charge}."""

    customer: ObjectId | None = None
    fraud_details: FraudDetails | None = None


class CaptureCharge(Params):
    """POST /v1/charges/{charge}/capture."""

    amount: Amount | None = None
    receipt_email: Email | None = None
    statement_descriptor: Descriptor | None = None
    statement_descriptor_suffix: Descriptor | None = None
    transfer_group: Text | None = None


class UpdateRefund(Params):
    """POST /v1/refunds/{refund}."""

    metadata: Metadata = Field(default_factory=dict)


class CreateRefund(Params):
    """POST /v1/refunds."""

    payment_intent: ObjectId | None = None
    charge: ObjectId | None = None
    amount: Amount | None = None
    metadata: Metadata = Field(default_factory=dict)
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None


class ListRefunds(ListParams):
    """GET /v1/refunds."""

    payment_intent: ObjectId | None = None
    charge: ObjectId | None = None


DETAILS = tuple(_Details.model_fields)


def details_of(params: _Details) -> dict[str, Any]:
    """Returns the sent details except metadata, which merges by its own rules."""
    sent = params.sent()
    return {name: sent[name] for name in DETAILS if name in sent and name != "metadata"}
