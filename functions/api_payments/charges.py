"""Charges: create, retrieve, list, search, update, capture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from functions.api_payments.models import CaptureCharge, CreateCharge, ListCharges, UpdateCharge
from functions.api_payments.orders import Presence, created_data, pay_order
from functions.api_payments.parts import created_ms, page_of, retrieve
from functions.api_payments.references import require_customer
from functions.api_payments.room import CONFIRMATION_BYTES_MAX, DETAILS_BYTES_MAX, require_room
from functions.api_payments.sagas import SagaStarter
from functions.api_payments.sources import Sources
from shared.domain.changes import change
from shared.domain.charges import check_update, updated_draft
from shared.domain.documents import ListEntry, Scope
from shared.domain.errors import InvariantError, RejectedError, StateError
from shared.domain.payment import Charge, ChargeStatus, Payment
from shared.domain.ports import DocumentStore, PaymentStore, SandboxCards
from shared.domain.saga import CAPTURE, PAY
from shared.domain.search import CHARGES
from shared.edge.api import Api, Reply, Request
from shared.edge.fields import NoParams, merge_metadata
from shared.edge.lists import list_reply, page_query
from shared.edge.payments import find_owner, find_payment, pick_charge, rendered_page, source
from shared.edge.search import SearchParams, search_reply
from shared.wire import payments as wire
from shared.wire.errors import error_body, no_such


@dataclass(frozen=True, slots=True)
class Charges:
    """The operations on charges."""

    payments: PaymentStore
    documents: DocumentStore
    sandbox_cards: SandboxCards
    sagas: SagaStarter

    def register(self, api: Api) -> None:
        """Adds the operations to an API."""
        kind, path = "charge", "/v1/charges"
        api.post(path, CreateCharge, returns=kind, references=_of_creation)(self.create)
        api.list(path, ListCharges, returns=kind)(self.list)
        api.list(path + "/search", SearchParams, returns=kind)(self.search)
        api.get(path + "/{id}", NoParams, returns=kind)(self.retrieve)
        api.post(path + "/{id}", UpdateCharge, returns=kind, references=_of_update)(self.update)
        api.post(path + "/{id}/capture", CaptureCharge, returns=kind)(self.capture)

    def create(self, request: Request[CreateCharge]) -> Reply:
        """Charges a card: makes a payment and confirms it at once, with nobody there."""
        params = request.params
        payment_id = request.new_id("pi")
        made = self.payments.load(payment_id) if request.resumed else None
        if made is not None and self.sagas.is_over(request, made):
            return _charged(made)
        if made is None:
            require_customer(request.references, request.scope, params.customer)
        sources = Sources(self.documents, self.sandbox_cards)
        method = sources.choice(request) if made is None else sources.charged(made)
        capture_method = "automatic" if params.capture else "manual"
        details = _said(params)
        created = created_data(request, payment_id, method, capture_method, details)
        require_room(created, bytes_max=DETAILS_BYTES_MAX)
        account = request.references[request.scope.account]
        presence = Presence(challenge=False, off_session=params.customer is not None)
        order = pay_order(method, account, presence, create=created)
        require_room(order, bytes_max=CONFIRMATION_BYTES_MAX)
        return self.sagas.run(PAY, request, payment_id, order, _charged)

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Retrieves a charge."""
        return retrieve(self.payments, request, "charge", pick_charge)

    def update(self, request: Request[UpdateCharge]) -> Reply:
        """Records what the merchant says anew about a charge."""
        payment, charge = self._load(request)
        customer = request.params.customer
        require_customer(request.references, request.scope, customer)
        details = _details(request.params, payment.charge_details(charge))
        if not details:
            return Reply(200, wire.charge(payment, charge), unchanged=True)
        check_update(payment, charge, details)
        made = change(payment, [updated_draft(charge, details)], request.context)
        require_room(made.payment.to_dict(), bytes_max=CONFIRMATION_BYTES_MAX)
        reply = Reply(200, _rendered(made.payment, charge.id))
        listed: tuple[ListEntry, ...] = ()
        if customer is not None:
            listed = (ListEntry(f"charge/{customer}", charge.created_ms, charge.id),)
        self.payments.commit(replace(made, listed=listed, claim=request.answered(reply)))
        return reply

    def capture(self, request: Request[CaptureCharge]) -> Reply:
        """Captures an authorized charge, in full or in part."""
        payment, charge = self._load(request)
        if charge.status is ChargeStatus.FAILED:
            raise StateError(f"You cannot capture charge {charge.id} because it has failed.")
        said = request.params.sent()
        amount_minor = said.pop("amount", None)
        check_update(payment, charge, said)
        order = {
            "before": payment.to_dict(),
            "amount_minor": amount_minor,
            "charge_update": said,
        }
        if said:
            require_room(order, bytes_max=CONFIRMATION_BYTES_MAX)

        def answer(after: Payment) -> Reply:
            return Reply(200, _rendered(after, charge.id), began=after.pending is None)

        try:
            return self.sagas.run(CAPTURE, request, payment.id, order, answer)
        except RejectedError as error:
            raise _refusal(error, charge) from error

    def _load(self, request: Request[Any]) -> tuple[Payment, Charge]:
        charge_id = request.path["id"]
        payment = find_owner(self.payments, charge_id, request.scope)
        charge = payment.charge(charge_id) if payment else None
        if payment is None or charge is None:
            raise no_such("charge", charge_id, "charge")
        return payment, charge

    def list(self, request: Request[ListCharges]) -> Reply:
        """Lists charges, newest first, of the account, a customer or one payment."""
        params, scope = request.params, request.scope
        query = page_query(params, lambda name: self._created_ms(name, scope), noun="charge")
        if params.payment_intent is not None:
            payment = find_payment(self.payments, params.payment_intent, scope)
            rows = [
                (charge.created_ms, charge.id)
                for charge in (payment.charges if payment else ())
                if payment and params.customer in {None, payment.charge_details(charge)["customer"]}
            ]
            page = page_of(rows, query)
        else:
            collection = f"charge/{params.customer}" if params.customer else "charge"
            page = self.documents.page(scope, collection, query)
        data = rendered_page(page, source(self.payments, pick_charge), scope)
        return Reply(200, list_reply("/v1/charges", data, has_more=page.has_more))

    def search(self, request: Request[SearchParams]) -> Reply:
        """Searches charges, newest first."""
        read, scope = source(self.payments, pick_charge), request.scope
        return Reply(
            200,
            search_reply(
                "/v1/charges/search",
                request.params,
                CHARGES,
                read=lambda query: self.documents.page(scope, "charge", query),
                render=lambda page: rendered_page(page, read, scope),
                created_ms=lambda name: self._created_ms(name, scope),
            ),
        )

    def _created_ms(self, charge_id: str, scope: Scope) -> int | None:
        return created_ms(self.payments, charge_id, Payment.charge, scope)


def _of_creation(params: CreateCharge, scope: Scope) -> Sequence[str | None]:
    return params.customer, params.source, scope.account


def _said(params: CreateCharge) -> dict[str, Any]:
    """Returns the details of the payment that a charge makes."""
    others = {"amount", "capture", "currency", "customer", "metadata", "source"}
    said = params.model_dump(exclude_unset=True, exclude=others)
    return {**said, "metadata": merge_metadata({}, params.metadata)}


def _charged(payment: Payment) -> Reply:
    """Answers with the charge that a payment was made as; with 402 where it failed."""
    charge = payment.charges[0]
    if charge.failure is None:
        return Reply(200, wire.charge(payment, charge), began=payment.pending is None)
    failure = charge.failure
    facts = {"code": failure["code"], "decline_code": failure["decline_code"]}
    body = error_body("card_error", failure["message"], **facts, charge=charge.id)
    return Reply(402, body, began=True)


def _of_update(params: UpdateCharge, _scope: Scope) -> Sequence[str | None]:
    return (params.customer,)


def _details(params: UpdateCharge, known: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is said anew, as it is stored.

    Args: known: what was said before.
    """
    said = params.sent()
    if "metadata" in said:
        said["metadata"] = merge_metadata(known.get("metadata") or {}, params.metadata)
    if params.fraud_details is not None:
        del said["fraud_details"]
        said["user_report"] = params.fraud_details.user_report
    return said


def _rendered(payment: Payment, charge_id: str) -> dict[str, Any]:
    charge = payment.charge(charge_id)
    if charge is None:
        raise InvariantError(f"{payment.id} has lost {charge_id}")
    return wire.charge(payment, charge)


def _refusal(error: RejectedError, charge: Charge) -> RejectedError:
    """Says of a charge why its payment could not be captured."""
    if error.code == "payment_intent_unexpected_state":
        if charge.captured:
            message = f"Charge {charge.id} has already been captured."
            return StateError(message, code="charge_already_captured")
        return StateError(f"Charge {charge.id} cannot be captured any more, or not yet.")
    if error.param == "amount_to_capture":
        return RejectedError(error.message, code=error.code, param="amount")
    return error
