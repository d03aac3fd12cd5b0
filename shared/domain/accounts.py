"""The chart of accounts: every account of the books, as data.

An account is named by code, name, parties and currency: "2000:merchant:acct_1:pending:usd". The
parties are the merchant, a connected account, a provider or a bank.
Source: docs/ledger.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter

from shared.domain.errors import InvariantError

# The parties whose accounts are totalled by a control account: there are many of them.
_HOLDERS = {"account", "connected"}


class AccountKind(StrEnum):
    """The side of the accounting equation that an account is on."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"


@dataclass(frozen=True, slots=True)
class AccountType:
    """A row of the chart.

    Args: code: four digits, which an account's name begins with. template: the account's name,
    with its parties in braces. purpose: what its balance says. is_guarded: whether somebody may
    take money out only as far as its floor.
    """

    code: int
    kind: AccountKind
    template: str
    purpose: str
    is_guarded: bool = False

    @property
    def is_debit_normal(self) -> bool:
        """Tells whether debits increase the account."""
        return self.kind in {AccountKind.ASSET, AccountKind.EXPENSE}

    @property
    def parties(self) -> frozenset[str]:
        """The names that a full account name needs."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.template) if name)

    def name(self, currency: str, parties: Mapping[str, str]) -> str:
        """Names the account of these parties in a currency."""
        return self.template.format(currency=currency, **parties)


_KINDS = {
    1: AccountKind.ASSET,
    2: AccountKind.LIABILITY,
    4: AccountKind.INCOME,
    5: AccountKind.EXPENSE,
}
# By code; each row below enters itself.
CHART: dict[int, AccountType] = {}


def _row(code: int, name: str, purpose: str, *, is_guarded: bool = False) -> AccountType:
    kind = _KINDS[code // 1000]
    CHART[code] = AccountType(code, kind, f"{code}:{name}:{{currency}}", purpose, is_guarded)
    return CHART[code]


CASH = _row(1000, "cash:{bank}", "money at a bank")
RECEIVABLE = _row(1100, "receivable:acquirer:{provider}", "what a provider still has to pay out")
DISPUTE_RECEIVABLE = _row(
    1120, "receivable:dispute:{provider}", "what a provider took back while a dispute is open"
)
ACH_RECEIVABLE = _row(1130, "receivable:ach", "bank debits on their way")
HELD_RESERVE = _row(1140, "reserve_held_by:{provider}", "what a provider keeps as a reserve")
SETTLEMENT_VARIANCE = _row(1190, "settlement_variance", "differences of settlements in question")
MERCHANT_RECEIVABLE = _row(
    1200, "receivable:merchant:{account}", "negative balances, reclassed in reports"
)
FX_POSITION = _row(1400, "fx_position", "currencies bought and sold and not covered yet")
MERCHANT_PENDING = _row(2000, "merchant:{account}:pending", "owed to the merchant, not settled yet")
MERCHANT_AVAILABLE = _row(
    2010, "merchant:{account}:available", "due to the merchant", is_guarded=True
)
MERCHANT_RESERVE = _row(2020, "merchant:{account}:reserve", "kept from the merchant for a time")
DISPUTE_HOLD = _row(2030, "merchant:{account}:dispute_hold", "kept while a dispute is open")
CONNECTED_PENDING = _row(
    2100, "connected:{connected}:pending", "owed to a connected account, not settled yet"
)
CONNECTED_AVAILABLE = _row(
    2110, "connected:{connected}:available", "due to a connected account", is_guarded=True
)
REFUND_IN_FLIGHT = _row(2200, "refund_in_flight", "refunds asked for and not accepted yet")
PAYOUT_IN_TRANSIT = _row(2300, "payout_in_transit", "payouts sent and not confirmed by the bank")
ACH_RETURN_CLEARING = _row(2350, "ach_return_clearing", "returns that the bank has yet to debit")
TAX_PAYABLE = _row(2400, "tax_payable", "tax on fees")
PROVIDER_FEE_PAYABLE = _row(2500, "provider_fee_payable:{provider}", "what a provider will invoice")
SUSPENSE = _row(2900, "suspense", "money that nobody knows the owner of yet")
PLATFORM_FEE = _row(4000, "platform_fee", "fees that merchants pay")
DISPUTE_FEE_RECOVERY = _row(4010, "dispute_fee_recovery", "dispute fees passed on")
FX_SPREAD = _row(4020, "fx_spread", "what conversions earn")
RETURN_FEE_RECOVERY = _row(4030, "return_fee_recovery", "return fees passed on")
FX_GAIN = _row(4090, "fx_gain", "gains of covering currencies")
PROVIDER_FEE = _row(5000, "provider_fee:{provider}", "fees of providers")
DISPUTE_FEE = _row(5010, "dispute_fee", "fees of disputes")
DISPUTE_LOSS = _row(5020, "dispute_loss", "disputes lost at the platform's expense")
BAD_DEBT = _row(5030, "bad_debt", "negative balances written off")
FX_LOSS = _row(5040, "fx_loss", "losses of covering currencies")
PAYOUT_FEE = _row(5050, "payout_fee", "bank fees of payouts")
ACH_RETURN_FEE = _row(5060, "ach_return_fee", "bank fees of returns")

_NAMES = {
    code: re.compile(
        "".join(
            re.escape(text) + (f"(?P<{name}>[^:]+)" if name else "")
            for text, name, _, _ in Formatter().parse(row.template)
        )
    )
    for code, row in CHART.items()
}


def account_type(account: str) -> AccountType:
    """Returns the row of the chart that an account belongs to.

    Raises: InvariantError when there is none, or its name is not of the row's form.
    """
    return _parsed(account)[0]


def control_account(account: str) -> str:
    """Names the account that totals all holders' accounts of a kind and currency.

    Returns: such as "2000:merchant:*:pending:usd"; an account without a holder is its own.
    Raises: InvariantError as `account_type`.
    """
    row, parties = _parsed(account)
    return row.template.format(
        **{name: "*" if name in _HOLDERS else text for name, text in parties.items()}
    )


def _parsed(account: str) -> tuple[AccountType, Mapping[str, str]]:
    code = account.partition(":")[0]
    row = CHART.get(int(code)) if code.isdecimal() else None
    match = _NAMES[row.code].fullmatch(account) if row else None
    if row is None or match is None:
        raise InvariantError(f"the chart has no account {account}")
    return row, match.groupdict()
