"""Time travel: a payment as it was, made again from its events."""

from dataclasses import dataclass

from functions.api_ledger.models import AsOf
from shared.domain.payment import Payment, apply
from shared.domain.ports import PaymentStore
from shared.edge.api import Api, Reply, Request
from shared.edge.payments import find_payment
from shared.wire.errors import no_such
from shared.wire.payments import payment_intent


@dataclass(frozen=True, slots=True)
class History:
    """The operations on what was."""

    payments: PaymentStore

    def register(self, api: Api) -> None:
        """Adds the operations to an API."""
        api.get("/v1/ledger/payment_intents/{id}", AsOf, returns="payment_intent")(self.retrieve)

    def retrieve(self, request: Request[AsOf]) -> Reply:
        """Retrieves a payment as its events up to a second say it was, strongly consistent."""
        payment_id, as_of = request.path["id"], request.params.as_of
        known = find_payment(self.payments, payment_id, request.scope)
        if known is None:
            raise no_such("payment_intent", payment_id)
        payment: Payment | None = None
        for event in self.payments.events(payment_id):
            if as_of is not None and event.occurred_at_ms // 1000 > as_of:
                break
            payment = apply(payment, event)
        if payment is None:
            raise no_such("payment_intent", payment_id)
        return Reply(200, payment_intent(payment))
