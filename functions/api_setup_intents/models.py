"""Parameters of setup intents, setup attempts and mandates."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.edge.card_options import CardOptions
from shared.edge.clients import ClientParams
from shared.edge.fields import (
    Boolean,
    Clearable,
    Integer,
    Items,
    ListParams,
    Metadata,
    ObjectId,
    Text,
)
from shared.edge.methods import PaymentMethodData
from shared.edge.offers import AutomaticPaymentMethods, ExcludedTypes
from shared.edge.params import Params

Types = Annotated[Items[Literal["card"]], Field(min_length=1)]


class SetupMethodOptions(Params):
    """What is said of a payment method alone; cards are all there is."""

    card: CardOptions | None = None


class _Details(Params):
    """What a merchant may say about a setup at any time."""

    allowed_payment_method_types: Clearable[Types] = None
    customer: ObjectId | None = None
    description: Clearable[Text] = None
    excluded_payment_method_types: Clearable[ExcludedTypes] = None
    metadata: Metadata = Field(default_factory=dict)
    payment_method_options: SetupMethodOptions | None = None
    payment_method_types: Types | None = None


class CreateSetupIntent(_Details):
    """POST /v1/setup_intents."""

    automatic_payment_methods: AutomaticPaymentMethods | None = None
    confirm: Boolean = False
    confirmation_token: ObjectId | None = None
    payment_method: ObjectId | None = None
    payment_method_configuration: ObjectId | None = None
    payment_method_data: PaymentMethodData | None = None
    return_url: Text | None = None
    usage: Literal["off_session", "on_session"] = "off_session"
    use_stripe_sdk: Boolean = False


class UpdateSetupIntent(_Details):
    """POST /v1/setup_intents/{intent}."""

    payment_method: Clearable[ObjectId] = None
    payment_method_configuration: ObjectId | None = None
    payment_method_data: PaymentMethodData | None = None


class ConfirmSetupIntent(ClientParams):
    """POST /v1/setup_intents/{intent}/confirm."""

    FOR_CLIENTS: ClassVar[frozenset[str]] = frozenset(
        {
            "confirmation_token",
            "payment_method",
            "payment_method_data",
            "payment_method_options[card][network]",
            "return_url",
            "use_stripe_sdk",
        }
    )

    allowed_payment_method_types: Types | None = None
    payment_method_types: Types | None = None
    confirmation_token: ObjectId | None = None
    payment_method: ObjectId | None = None
    payment_method_data: PaymentMethodData | None = None
    payment_method_options: SetupMethodOptions | None = None
    return_url: Text | None = None
    use_stripe_sdk: Boolean = False


class CancelSetupIntent(Params):
    """POST /v1/setup_intents/{intent}/cancel."""

    cancellation_reason: Literal["abandoned", "duplicate", "requested_by_customer"] | None = None


class VerifyMicrodeposits(Params):
    """POST /v1/setup_intents/{intent}/verify_microdeposits."""

    amounts: Annotated[Items[Integer], Field(min_length=2, max_length=2)] | None = None
    descriptor_code: Text | None = None


class ListSetupIntents(ListParams):
    """GET /v1/setup_intents."""

    customer: ObjectId | None = None
    payment_method: ObjectId | None = None


class ListSetupAttempts(ListParams):
    """GET /v1/setup_attempts."""

    setup_intent: ObjectId
