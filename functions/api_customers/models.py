"""Parameters of the operations on customers, their payment methods, and tokens."""

from typing import Annotated, Literal

from pydantic import Field

from shared.edge.fields import (
    Address,
    BillingDetails,
    Clearable,
    Currency,
    Email,
    Integer,
    Items,
    ListParams,
    Metadata,
    ObjectId,
    PageParams,
    Shipping,
    Text,
)
from shared.edge.params import Params

BALANCE_MINOR_MAX = 99_999_999

Balance = Annotated[Integer, Field(ge=-BALANCE_MINOR_MAX, le=BALANCE_MINOR_MAX)]
AllowRedisplay = Literal["always", "limited", "unspecified"]
PaymentMethodType = Literal["card"]


class InvoiceSettings(Params):
    """Defaults of a customer's invoices."""

    default_payment_method: Clearable[ObjectId] = None
    footer: Clearable[Text] = None


class UpdateCustomer(Params):
    """Parameters of POST /v1/customers/{id}."""

    address: Clearable[Address] = None
    balance: Balance = 0
    business_name: Clearable[Annotated[Text, Field(max_length=150)]] = None
    description: Clearable[Text] = None
    email: Clearable[Email] = None
    individual_name: Clearable[Annotated[Text, Field(max_length=150)]] = None
    invoice_prefix: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,12}$")] | None = None
    invoice_settings: InvoiceSettings = InvoiceSettings()
    metadata: Metadata = Field(default_factory=dict)
    name: Clearable[Annotated[Text, Field(max_length=256)]] = None
    next_invoice_sequence: Annotated[Integer, Field(ge=1)] = 1
    phone: Clearable[Annotated[Text, Field(max_length=20)]] = None
    preferred_locales: Clearable[
        Annotated[Items[Annotated[Text, Field(max_length=20)]], Field(max_length=50)]
    ] = None
    shipping: Clearable[Shipping] = None
    tax_exempt: Clearable[Literal["exempt", "none", "reverse"]] = None


class CreateCustomer(UpdateCustomer):
    """Parameters of POST /v1/customers."""

    payment_method: ObjectId | None = None


class ListCustomers(ListParams):
    """Parameters of GET /v1/customers."""

    email: Annotated[Text, Field(max_length=512)] | None = None


class UpdateBalanceTransaction(Params):
    """Parameters of POST /v1/customers/{customer}/balance_transactions/{id}."""

    description: Clearable[Text] = None
    metadata: Metadata = Field(default_factory=dict)


class CreateBalanceTransaction(UpdateBalanceTransaction):
    """Parameters of POST /v1/customers/{customer}/balance_transactions."""

    amount: Balance
    currency: Currency


class CustomersPaymentMethods(PageParams):
    """Parameters of GET /v1/customers/{id}/payment_methods."""

    allow_redisplay: AllowRedisplay | None = None
    type: PaymentMethodType | None = None


class ListPaymentMethods(CustomersPaymentMethods):
    """Parameters of GET /v1/payment_methods."""

    customer: ObjectId | None = None


class CardChanges(Params):
    """What may change of a stored card."""

    exp_month: Integer | None = None
    exp_year: Integer | None = None


class UpdatePaymentMethod(Params):
    """Parameters of POST /v1/payment_methods/{id}."""

    allow_redisplay: AllowRedisplay = "unspecified"
    billing_details: Clearable[BillingDetails] = None
    card: CardChanges = CardChanges()
    metadata: Metadata = Field(default_factory=dict)


class AttachPaymentMethod(Params):
    """Parameters of POST /v1/payment_methods/{id}/attach."""

    customer: ObjectId
