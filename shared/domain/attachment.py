"""Payment methods on their way to a customer and back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.domain.audit_trail import updated
from shared.domain.changes import Context
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import RejectedError

METHOD = "payment_method"


def attached_collection(customer_id: str) -> str:
    """Names the list of a customer's payment methods."""
    return f"{METHOD}/{customer_id}"


def attached_entry(method: Document, customer_id: str) -> ListEntry:
    """Returns the row of a payment method in its customer's list."""
    return ListEntry(attached_collection(customer_id), method.created_ms, method.id)


def attached(
    method: Document,
    customer_id: str,
    context: Context,
    changes: Mapping[str, Any] | None = None,
) -> DocumentWrite:
    """Attaches a payment method.

    Args: changes: of its data, in the same write.
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
    data = {**method.data, **(changes or {}), "customer": customer_id}
    return updated(method, data, context, listed=[attached_entry(method, customer_id)])


def attached_to(
    method: Document,
    customer: Document | None,
    context: Context,
    changes: Mapping[str, Any] | None = None,
) -> DocumentWrite:
    """Attaches a payment method to a customer who is there.

    Written only while the customer stays as they were read: nothing is attached to one who is
    deleted meanwhile.

    Args: customer: None where there is none. changes: see attached.
    Raises: RejectedError as `attached` does, and when the customer was deleted.
    """
    if customer is None or customer.is_deleted:
        raise RejectedError("The customer was deleted.", code="resource_missing", param="customer")
    return replace(attached(method, customer.id, context, changes), unchanged=(customer,))


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
    return updated(method, data, context, unlisted=[attached_entry(method, customer_id)])
