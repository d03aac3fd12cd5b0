"""Test cards by name, attached to a customer from their start."""

from typing import Any

from shared.domain.attachment import METHOD, attached_entry
from shared.domain.audit_trail import created
from shared.domain.documents import DocumentWrite, ListEntry
from shared.edge.api import Request
from shared.edge.methods import SandboxCardsSource, sandbox_method

# Three writes each, in a transaction of at most a hundred.
DETACHED_AT_ONCE_MAX = 25


def made_attached(
    request: Request[Any], alias: str, customer_id: str, sandbox_cards: SandboxCardsSource
) -> DocumentWrite | None:
    """Makes a payment method of a test card's name, such as pm_card_visa, attached from its start.

    Returns: None when there is no test card of that name, which in live mode there never is.
    """
    scope = request.scope
    data = sandbox_method(scope, alias, sandbox_cards)
    if data is None:
        return None
    document = request.document(request.new_id("pm"), METHOD, {**data, "customer": customer_id})
    listed = ListEntry(METHOD, document.created_ms, document.id)
    return created(
        document, request.context, listed=[listed, attached_entry(document, customer_id)]
    )
