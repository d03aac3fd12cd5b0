"""What a charge is made of: a card's token, or a payment method of the customer's."""

from dataclasses import dataclass, replace

from functions.api_payments.models import CreateCharge
from functions.api_payments.orders import PaymentMethodChoice, method_of, new_choice
from shared.domain.documents import Document
from shared.domain.errors import RejectedError
from shared.domain.payment import Payment
from shared.domain.ports import DocumentStore, SandboxCards
from shared.edge.api import Request
from shared.edge.methods import PaymentMethodData, TokenizedCard, new_method
from shared.wire.errors import CardError, missing_reference

_PARAM = "source"
_TOKEN_PREFIX = "tok_"


@dataclass(frozen=True, slots=True)
class Sources:
    """Chooses the payment method of a charge."""

    documents: DocumentStore
    sandbox_cards: SandboxCards

    def choice(self, request: Request[CreateCharge]) -> PaymentMethodChoice:
        """Returns what a request wants to charge.

        Raises: RejectedError when there is no such thing, or it may not be charged.
        """
        source, customer = request.params.source, request.params.customer
        if source is None and customer is None:
            raise RejectedError(
                "Must provide source or customer.", code="parameter_missing", param=_PARAM
            )
        if source is None:
            return self._default(request, request.references[str(customer)])
        if source.startswith(_TOKEN_PREFIX):
            return self._of_token(request, source)
        return _of_customer(request, source)

    def charged(self, payment: Payment) -> PaymentMethodChoice:
        """Returns what an earlier run of the request charged."""
        method_id = payment.charges[0].payment_method
        return method_of(self.documents.get_many([method_id])[method_id], resumed=True)

    def _default(self, request: Request[CreateCharge], customer: Document) -> PaymentMethodChoice:
        method_id = customer.data.get("invoice_settings", {}).get("default_payment_method")
        found = self.documents.get_many([method_id]) if method_id else {}
        if method_id not in found:
            raise CardError(
                "Cannot charge a customer that has no active card.", code="missing", param="card"
            )
        return method_of(found[method_id], resumed=request.resumed)

    def _of_token(self, request: Request[CreateCharge], token_id: str) -> PaymentMethodChoice:
        if request.params.customer is not None:
            raise _not_linked(request.params.customer, token_id)
        sent = PaymentMethodData(type="card", card=TokenizedCard(token=token_id))
        made = new_method(request, sent, lambda: self.sandbox_cards, param=_PARAM)
        return replace(new_choice(request, made.data), used=made.used)


def _of_customer(request: Request[CreateCharge], method_id: str) -> PaymentMethodChoice:
    customer = request.params.customer
    if customer is None:
        # As in Stripe's API: what is saved is charged with the customer who it is of.
        raise missing_reference("source", method_id, _PARAM)
    method = request.references.get(method_id)
    if method is None or method.kind != "payment_method" or method.data.get("customer") != customer:
        raise _not_linked(customer, method_id)
    return method_of(method, resumed=request.resumed)


def _not_linked(customer: str, source: str) -> RejectedError:
    return RejectedError(
        f"Customer {customer} does not have a linked source with ID {source[:100]}.",
        code="missing",
        param=_PARAM,
    )
