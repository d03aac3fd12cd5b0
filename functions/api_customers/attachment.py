"""Payment methods on their way to a customer and back."""

from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import RejectedError
from shared.edge.documents import changed

# Two writes each, in a transaction of at most a hundred.
DETACHED_AT_ONCE_MAX = 25


def attached_collection(customer_id: str) -> str:
    """Names the list of a customer's payment methods."""
    return f"payment_method/{customer_id}"


def attached(method: Document, customer_id: str) -> DocumentWrite:
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
    document = changed(method, {**method.data, "customer": customer_id})
    return DocumentWrite(document, listed=(_entry(method, customer_id),))


def detached(method: Document) -> DocumentWrite:
    """Detaches a payment method, for good.

    Raises: RejectedError when it is not attached.
    """
    customer_id = method.data.get("customer")
    if customer_id is None:
        raise RejectedError(
            "The payment method you provided is not attached to a customer so detachment is"
            " impossible."
        )
    document = changed(method, {**method.data, "customer": None, "detached": True})
    return DocumentWrite(document, unlisted=(_entry(method, customer_id),))


def _entry(method: Document, customer_id: str) -> ListEntry:
    return ListEntry(attached_collection(customer_id), method.created_ms, method.id)
