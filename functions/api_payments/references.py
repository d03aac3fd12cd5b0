"""The documents that parameters name, as the request's scope may use them."""

from collections.abc import Mapping

from shared.domain.documents import Document, Scope
from shared.wire.errors import missing_reference


def require(
    found: Mapping[str, Document], scope: Scope, object_id: str, noun: str, param: str
) -> Document:
    """Returns the document that a parameter names, which is called as its kind.

    Raises: RejectedError when the scope has none of this kind, or it was deleted.
    """
    document = found.get(object_id)
    if document is None or document.kind != param or document.is_deleted or document.scope != scope:
        raise missing_reference(noun, object_id, param)
    return document


def require_customer(found: Mapping[str, Document], scope: Scope, customer: str | None) -> None:
    """Checks that the customer that a request names, if any, is there.

    Raises: RejectedError.
    """
    if customer is not None:
        require(found, scope, customer, "customer", "customer")
