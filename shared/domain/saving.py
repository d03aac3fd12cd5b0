"""Cards that are saved with the payment that they were charged for."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from shared.domain.attachment import attached, attached_to
from shared.domain.changes import Context, PaymentChange
from shared.domain.payment import Payment
from shared.domain.providers import ProviderAnswer, ProviderStatus

if TYPE_CHECKING:
    from shared.domain.ports import DocumentStore

# Of those that commit a change. Who has many payments at once, or is changed all the time, would
# keep the provider's word from being recorded by it; the card is saved all the same.
_RELYING_TRIES = 3


def saved(
    change: PaymentChange,
    before: Payment,
    answer: ProviderAnswer,
    documents: "DocumentStore",
    context: Context,
    tried: int,
) -> PaymentChange:
    """Attaches the payment method to the customer with the change that records an authorization.

    Where the merchant asked for it, and there is a customer; what is somebody's already, or was
    detached meanwhile, stays as it is, and so it does where the customer was deleted: the payment
    is good all the same.

    Args: before: the payment that the change is of. tried: how often the change was made before,
    and another writer was first.
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
    checks = {"checks": asdict(answer.checks)}
    if tried < _RELYING_TRIES:
        write = attached_to(method, owner, context, checks)
    else:
        write = attached(method, owner.id, context, checks)
    return replace(change, documents=(*change.documents, write))
