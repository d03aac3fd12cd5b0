"""Cards that are saved with the payment that they were charged for."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from shared.domain.attachment import attached_to
from shared.domain.changes import Context, PaymentChange
from shared.domain.payment import Payment
from shared.domain.providers import ProviderAnswer, ProviderStatus

if TYPE_CHECKING:
    from shared.domain.ports import DocumentStore


def saved(
    change: PaymentChange,
    before: Payment,
    answer: ProviderAnswer,
    documents: "DocumentStore",
    context: Context,
) -> PaymentChange:
    """Attaches the payment method to the customer with the change that records an authorization.

    Where the merchant asked for it, and there is a customer; what is somebody's already, or was
    detached meanwhile, stays as it is, and so it does where the customer was deleted: the payment
    is good all the same.

    Args: before: the payment that the change is of.
    """
    customer, wanted = before.customer, before.future_usage
    if answer.status is not ProviderStatus.APPROVED or customer is None or wanted is None:
        return change
    method = documents.get(before.latest_charge.payment_method)
    if method is None or method.data.get("customer") or method.data.get("detached"):
        return change
    owner = documents.get(customer)
    if owner is None or owner.is_deleted:
        return change
    write = attached_to(method, owner, context, {"checks": asdict(answer.checks)})
    return replace(change, documents=(*change.documents, write))
