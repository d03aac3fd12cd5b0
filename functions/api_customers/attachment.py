"""Payment methods on their way to a customer and back."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from shared.domain.audit_trail import created, updated
from shared.domain.cards import SANDBOX_METHOD_PREFIX
from shared.domain.changes import Context
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import RejectedError
from shared.domain.ports import SandboxCards
from shared.edge.api import Request

# Three writes each, in a transaction of at most a hundred.
DETACHED_AT_ONCE_MAX = 25

_KIND = "payment_method"

# Composed at its first use only: few requests name a test card.
SandboxCardsSource = Callable[[], SandboxCards]


def attached_collection(customer_id: str) -> str:
    """Names the list of a customer's payment methods."""
    return f"{_KIND}/{customer_id}"


def attached(method: Document, customer_id: str, context: Context) -> DocumentWrite:
    """Attaches a payment method.

    Raises: RejectedError when it is another customer's, or was detached from one.
    """
    if method.data.get("customer") is not None:
        raise RejectedError(
            "The payment method you provided has already been attached to a customer."
        )
    if method.data.get("detached"):
        raise RejectedError(
            "The payment method you provided was detached from a customer. It may not be used"
            " again; create a new one."
        )
    data = {**method.data, "customer": customer_id}
    return updated(method, data, context, listed=[_entry(method, customer_id)])


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
        kind=_KIND,
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
    listed = ListEntry(_KIND, document.created_ms, document.id)
    return created(document, request.context, listed=[listed, _entry(document, customer_id)])


def detached(method: Document, context: Context) -> DocumentWrite:
    """Detaches a payment method, for good.

    Raises: RejectedError when it is not attached.
    """
    customer_id = method.data.get("customer")
    if customer_id is None:
        raise RejectedError(
            "The payment method you provided is not attached to a customer so detachment is"
            " impossible."
        )
    data = {**method.data, "customer": None, "detached": True}
    return updated(method, data, context, unlisted=[_entry(method, customer_id)])


def _entry(method: Document, customer_id: str) -> ListEntry:
    return ListEntry(attached_collection(customer_id), method.created_ms, method.id)
