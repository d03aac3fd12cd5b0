"""Parameters of the operations on payment method configurations and domains."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from shared.edge.fields import Boolean, ObjectId, PageParams, Text, refusal
from shared.edge.params import Params

Name = Annotated[Text, Field(max_length=255)]


# RFC 1123 labels, of which the last is no number: an address is no domain.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?![0-9]+$){_LABEL}")


def _domain_name(value: object) -> object:
    if not isinstance(value, str) or value == "":
        return value
    name = value.lower()
    if not _DOMAIN.fullmatch(name):
        raise refusal(
            "Invalid domain name: send it alone, without a scheme, port or path, such as"
            " shop.example.com."
        )
    return name


DomainName = Annotated[
    str, StringConstraints(min_length=1, max_length=253), BeforeValidator(_domain_name)
]


class DisplayPreference(Params):
    """Whether a payment method is wanted; none leaves that to the defaults."""

    preference: Literal["none", "off", "on"] | None = None


class Method(Params):
    """A payment method of a configuration."""

    display_preference: DisplayPreference = DisplayPreference()


class _Methods(Params):
    """The payment methods of a configuration, in the order of METHODS."""

    acss_debit: Method | None = None
    affirm: Method | None = None
    afterpay_clearpay: Method | None = None
    alipay: Method | None = None
    alma: Method | None = None
    amazon_pay: Method | None = None
    apple_pay: Method | None = None
    au_becs_debit: Method | None = None
    bacs_debit: Method | None = None
    bancontact: Method | None = None
    billie: Method | None = None
    bizum: Method | None = None
    blik: Method | None = None
    boleto: Method | None = None
    card: Method | None = None
    cartes_bancaires: Method | None = None
    cashapp: Method | None = None
    crypto: Method | None = None
    customer_balance: Method | None = None
    eps: Method | None = None
    fpx: Method | None = None
    giropay: Method | None = None
    google_pay: Method | None = None
    grabpay: Method | None = None
    ideal: Method | None = None
    jcb: Method | None = None
    kakao_pay: Method | None = None
    klarna: Method | None = None
    konbini: Method | None = None
    kr_card: Method | None = None
    link: Method | None = None
    mb_way: Method | None = None
    mobilepay: Method | None = None
    multibanco: Method | None = None
    naver_pay: Method | None = None
    nz_bank_account: Method | None = None
    oxxo: Method | None = None
    p24: Method | None = None
    pay_by_bank: Method | None = None
    payco: Method | None = None
    paynow: Method | None = None
    paypal: Method | None = None
    paypay: Method | None = None
    payto: Method | None = None
    pix: Method | None = None
    promptpay: Method | None = None
    revolut_pay: Method | None = None
    samsung_pay: Method | None = None
    satispay: Method | None = None
    scalapay: Method | None = None
    sepa_debit: Method | None = None
    sequra: Method | None = None
    sofort: Method | None = None
    sunbit: Method | None = None
    swish: Method | None = None
    twint: Method | None = None
    upi: Method | None = None
    us_bank_account: Method | None = None
    wechat_pay: Method | None = None
    zip: Method | None = None


class CreateConfiguration(_Methods):
    """POST /v1/payment_method_configurations."""

    name: Name | None = None
    parent: ObjectId | None = None


class UpdateConfiguration(_Methods):
    """POST /v1/payment_method_configurations/{configuration}."""

    active: Boolean | None = None
    name: Name | None = None


class ListConfigurations(PageParams):
    """GET /v1/payment_method_configurations."""

    active: Boolean | None = None


class UpdateDomain(Params):
    """POST /v1/payment_method_domains/{payment_method_domain}."""

    enabled: Boolean = True


class CreateDomain(UpdateDomain):
    """POST /v1/payment_method_domains."""

    domain_name: DomainName


class ListDomains(PageParams):
    """GET /v1/payment_method_domains."""

    domain_name: DomainName | None = None
    enabled: Boolean | None = None


def preferences_of(params: CreateConfiguration | UpdateConfiguration) -> dict[str, Any]:
    """Returns what was chosen, by payment method."""
    sent = {name: getattr(params, name) for name in _Methods.model_fields}
    chosen = {name: item.display_preference.preference for name, item in sent.items() if item}
    return {name: choice for name, choice in chosen.items() if choice is not None}
