"""The books as objects: Stripe's balance and balance transactions, and Farthing's own ledger.

Amounts are minor units. What is read from folded balances says with "as_of" which journals it
counts: those posted up to that second.
Source: the resources of API version 2026-10-28.endive; docs/ledger.md, "Reading the books".
"""

from collections.abc import Mapping
from typing import Any

from shared.domain.accounts import account_type
from shared.domain.balance_transactions import ADJUSTMENT, REFUND, REFUND_FAILURE
from shared.domain.balance_transactions import BalanceTransaction as Transaction
from shared.domain.evidence import SignedCheckpoint
from shared.domain.ledger import Balance, Journal, currency_of

Json = dict[str, Any]
FEE_NAME = "Farthing processing fees"

_CATEGORIES = {ADJUSTMENT: "other_adjustment"}


def balance(available: Mapping[str, int], pending: Mapping[str, int], *, livemode: bool) -> Json:
    """Renders a merchant's balance.

    Args: available, pending: amounts by currency.
    """
    return {
        "object": "balance",
        "available": _funds(available),
        "connect_reserved": [],
        "instant_available": None,
        "issuing": None,
        "livemode": livemode,
        "pending": _funds(pending),
        "refund_and_dispute_prefunding": {"available": [], "pending": []},
    }


def _funds(amounts: Mapping[str, int]) -> list[Json]:
    return [
        {"amount": amount, "currency": code, "source_types": {"card": amount}}
        for code, amount in sorted(amounts.items())
    ]


def balance_transaction(transaction: Transaction, described: str | None) -> Json:
    """Renders a balance transaction.

    Args: described: what the merchant says of the payment.
    """
    return {
        "id": transaction.id,
        "object": "balance_transaction",
        "amount": transaction.amount_minor,
        "available_on": transaction.available_at_ms // 1000,
        "balance_type": "payments",
        "created": transaction.created_ms // 1000,
        "currency": transaction.currency,
        "description": _description(transaction, described),
        "exchange_rate": None,
        "fee": transaction.fee_minor,
        "fee_details": [
            {
                "amount": fee.amount_minor,
                "application": None,
                "currency": transaction.currency,
                "description": FEE_NAME if fee.type == "stripe_fee" else None,
                "type": fee.type,
            }
            for fee in transaction.fees
        ],
        "net": transaction.net_minor,
        "reporting_category": _CATEGORIES.get(transaction.type, transaction.type),
        "source": None if transaction.type == ADJUSTMENT else transaction.source,
        "status": "available" if transaction.is_available else "pending",
        "type": transaction.type,
    }


def _description(transaction: Transaction, described: str | None) -> str | None:
    name = {REFUND: "REFUND FOR CHARGE", REFUND_FAILURE: "REFUND FAILURE"}.get(transaction.type)
    if name is None:
        return described
    return f"{name} ({described})" if described else name


def account(name: str, held: Balance, as_of_ms: int, *, livemode: bool) -> Json:
    """Renders an account; its balance is on its normal side."""
    row = account_type(name)
    return {
        "id": name,
        "object": "ledger.account",
        "as_of": as_of_ms // 1000,
        **_balances(name, held),
        "code": row.code,
        "credits": held.credits_minor,
        "currency": currency_of(name),
        "debits": held.debits_minor,
        "kind": str(row.kind),
        "livemode": livemode,
        "normal_side": "debit" if row.is_debit_normal else "credit",
        "pending_credits": held.pending_credits_minor,
        "pending_debits": held.pending_debits_minor,
        "purpose": row.purpose,
    }


def _balances(name: str, held: Balance) -> Json:
    sign = 1 if account_type(name).is_debit_normal else -1
    return {"balance": sign * held.net_minor, "pending_balance": sign * held.pending_net_minor}


def entry(item: Journal, position: int, after: Balance) -> Json:
    """Renders a posting as a line of its account's statement.

    Args: position: of the posting in its journal, from 0. after: what the account held after it.
    """
    posting = item.postings[position]
    balances = _balances(posting.account, after)
    return {
        "id": f"{item.id}/{position}",
        "object": "ledger.entry",
        "account": posting.account,
        "balance_after": balances["balance"],
        "created": item.posted_at_ms // 1000,
        "credit": posting.credit_minor,
        "currency": posting.currency,
        "debit": posting.debit_minor,
        "journal": item.id,
        "kind": item.kind,
        "layer": str(posting.layer),
        "livemode": item.livemode,
        "occurred": item.occurred_at_ms // 1000,
        "pending_balance_after": balances["pending_balance"],
        "reference": item.reference,
    }


def journal(item: Journal) -> Json:
    """Renders a journal.

    "created" is when it was posted, "occurred" when the money event happened. "guarded" is a
    debit that was taken only as far as the account's floor.
    """
    return {
        "id": item.id,
        "object": "ledger.journal",
        "created": item.posted_at_ms // 1000,
        "kind": item.kind,
        "livemode": item.livemode,
        "metadata": dict(item.metadata),
        "occurred": item.occurred_at_ms // 1000,
        "payment_intent": item.subject if item.subject.startswith("pi_") else None,
        "postings": [
            {
                "account": posting.account,
                "credit": posting.credit_minor,
                "currency": posting.currency,
                "debit": posting.debit_minor,
                "guarded": posting.is_guarded,
                "layer": str(posting.layer),
            }
            for posting in item.postings
        ],
        "reason": item.reason,
        "reference": item.reference,
        "reverses": item.reverses,
    }


def account_balance(name: str, held: Balance) -> Json:
    """Renders a row of a trial balance; its net is debits less credits."""
    return {
        "object": "ledger.account_balance",
        "account": name,
        **_sums(held, currency_of(name)),
    }


def totals(balances: Mapping[str, Balance]) -> list[Json]:
    """Adds a trial balance up, by currency; each net is zero."""
    sums: dict[str, Balance] = {}
    for name, held in balances.items():
        sums[currency_of(name)] = sums.get(currency_of(name), Balance()) + held
    return [_sums(total, code) for code, total in sorted(sums.items())]


def _sums(held: Balance, currency: str) -> Json:
    return {
        "credits": held.credits_minor,
        "currency": currency,
        "debits": held.debits_minor,
        "net": held.net_minor,
        "pending_credits": held.pending_credits_minor,
        "pending_debits": held.pending_debits_minor,
        "pending_net": held.pending_net_minor,
    }


def checkpoint(signed: SignedCheckpoint) -> Json:
    """Renders a signed checkpoint: what it states, in full, and the signature of its digest.

    It holds no merchant's data, only hashes and counts.
    """
    stated = signed.checkpoint
    return {
        "id": str(stated.number),
        "object": "ledger.checkpoint",
        "checkpoint": stated.to_dict(),
        "created": stated.created_ms // 1000,
        "digest": stated.digest.hex(),
        "key_id": signed.key_id,
        "number": stated.number,
        "signature": signed.signature_b64,
    }
