"""Payment method configurations: which payment methods an account wants to offer.

`Document.data` of one: {"name", "active", "parent": the id of the configuration that it takes its
defaults from, or None, "preferences": "on" or "off" by payment method, of those that the account
chose}. Every account has a default one in each mode, which is stored when it is first changed.
Source: Stripe API reference, "Payment Method Configurations".
"""

from collections.abc import Mapping
from typing import Any

from shared.domain.documents import Document, Scope
from shared.domain.ids import derive_id

_NAMES = """
    acss_debit affirm afterpay_clearpay alipay alma amazon_pay apple_pay au_becs_debit bacs_debit
    bancontact billie bizum blik boleto card cartes_bancaires cashapp crypto customer_balance eps
    fpx giropay google_pay grabpay ideal jcb kakao_pay klarna konbini kr_card link mb_way mobilepay
    multibanco naver_pay nz_bank_account oxxo p24 pay_by_bank payco paynow paypal paypay payto pix
    promptpay revolut_pay samsung_pay satispay scalapay sepa_debit sequra sofort sunbit swish twint
    upi us_bank_account wechat_pay zip
"""

KIND = "payment_method_configuration"
METHODS = tuple(_NAMES.split())
# What the platform has; a preference for anything else is kept, and comes to nothing.
OFFERED = frozenset({"card"})
DEFAULT_NAME = "Default"


def default_id(scope: Scope) -> str:
    """Names the default configuration of an account and mode."""
    return derive_id("pmc", scope.account, scope.mode)


def default_configuration(scope: Scope, created_ms: int) -> Document:
    """Returns the default configuration as it is before anybody changes it: of version 0.

    Args: created_ms: when the account was made.
    """
    data = {"name": DEFAULT_NAME, "active": True, "parent": None, "preferences": {}}
    name = default_id(scope)
    return Document(name, KIND, scope.account, scope.livemode, 0, created_ms, data)


def is_default(configuration: Document) -> bool:
    """Tells whether it is the account's default one."""
    return configuration.id == default_id(configuration.scope)


def preferred(preferences: Mapping[str, str], sent: Mapping[str, Any]) -> dict[str, str]:
    """Applies sent preferences by method; "none" leaves the choice to the defaults again."""
    merged = {**preferences, **sent}
    return {method: choice for method, choice in merged.items() if choice != "none"}


def effective(method: str, configuration: Document, parent: Document | None) -> str:
    """Returns "on" or "off": what the account chose, its parent did, or what holds for all."""
    for chosen in (configuration, parent):
        choice = chosen.data["preferences"].get(method) if chosen else None
        if choice is not None:
            return str(choice)
    return "on" if method in OFFERED else "off"
