"""Test cards by name, attached to a customer from their start."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from shared.domain.attachment import METHOD, attached_entry
from shared.domain.audit_trail import created
from shared.domain.cards import SANDBOX_METHOD_PREFIX
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.ports import SandboxCards
from shared.edge.api import Request

# Three writes each, in a transaction of at most a hundred.
DETACHED_AT_ONCE_MAX = 25

# Composed at its first use only: few requests name a test card.
SandboxCardsSource = Callable[[], SandboxCards]


def made_attached(
    request: Request[Any], alias: str, customer_id: str, sandbox_cards: SandboxCardsSource
) -> DocumentWrite | None:
    """Makes a payment method of a test card's name, such as pm_card_visa, attached from its start.

    Returns: None when there is no test card of that name, which in live mode there never is.
    """
    scope = request.scope
    if scope.livemode or not alias.startswith(SANDBOX_METHOD_PREFIX):
        return None
    card = sandbox_cards().describe(alias, scope.account)
    if card is None:
        return None
    document = Document(
        id=request.new_id("pm"),
        kind=METHOD,
        account=scope.account,
        livemode=scope.livemode,
        version=1,
        created_ms=request.now_ms,
        data={
            "card": asdict(card),
            "billing_details": {},
            "metadata": {},
            "customer": customer_id,
        },
    )
    listed = ListEntry(METHOD, document.created_ms, document.id)
    return created(
        document, request.context, listed=[listed, attached_entry(document, customer_id)]
    )
