"""Payment intents: create, confirm, retrieve, update, list, capture, cancel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from functions.api_payments.amount_details import NAME, amount_details, line_items, require_sum
from functions.api_payments.clients import check_publishable, shipping_origin
from functions.api_payments.models import (
    CancelPaymentIntent,
    CapturePaymentIntent,
    ConfirmPaymentIntent,
    CreatePaymentIntent,
    IncrementAuthorization,
    ListPaymentIntents,
    UpdatePaymentIntent,
    details_of,
)
from functions.api_payments.orders import (
    PaymentMethodChoice,
    Presence,
    created_data,
    is_alias,
    method_of,
    pay_order,
    sandbox_method,
)
from functions.api_payments.references import require, require_customer
from functions.api_payments.room import (
    CONFIRMATION_BYTES_MAX,
    DETAILS_BYTES_MAX,
    require_room,
)
from functions.api_payments.sagas import SagaStarter
from functions.api_payments.tokens import Tokens, names_method, tokens_of
from shared.domain.audit_trail import next_version
from shared.domain.authorization import created_entries, new_payment_method
from shared.domain.changes import Draft, change
from shared.domain.documents import Document, DocumentWrite, ListEntry, Scope
from shared.domain.errors import RejectedError
from shared.domain.events import EventType
from shared.domain.method_configurations import KIND as CONFIGURATION
from shared.domain.payment import Charge, Payment, PaymentStatus, unexpected_state
from shared.domain.ports import DocumentStore, PaymentStore, SandboxCards
from shared.domain.saga import CANCEL, CAPTURE, INCREMENT, PAY
from shared.domain.search import PAYMENT_INTENTS
from shared.edge.api import Api, Reply, Request
from shared.edge.card_options import merged, require_no_network
from shared.edge.clients import RetrieveIntent, require_secret
from shared.edge.fields import PageParams, merge_metadata
from shared.edge.lists import list_reply, page_query
from shared.edge.methods import require_nothing_of_confirmation
from shared.edge.offers import EXCLUDED, configuration_id, offer, other_offer
from shared.edge.payments import find_payment, pick_payment, rendered_page, source
from shared.edge.search import SearchParams, search_reply
from shared.wire import payments as wire
from shared.wire.errors import error_body, missing_reference, no_such

_DESCRIPTOR = "statement_descriptor"
_NOUN = "PaymentIntent"
# The parameters of a creation that mean something only where it confirms.
_OF_CONFIRMATION = ("confirmation_token", "error_on_requires_action", "off_session", "return_url")
_EDITABLE = {
    PaymentStatus.REQUIRES_PAYMENT_METHOD,
    PaymentStatus.REQUIRES_CONFIRMATION,
    PaymentStatus.REQUIRES_ACTION,
}


@dataclass(frozen=True, slots=True)
class PaymentIntents:
    """The operations on payment intents."""

    payments: PaymentStore
    documents: DocumentStore
    sandbox_cards: SandboxCards
    sagas: SagaStarter

    @property
    def _tokens(self) -> Tokens:
        return Tokens(self.documents, self.sandbox_cards)

    def register(self, api: Api) -> None:
        """Adds the operations to an API."""
        kind = "payment_intent"
        path = "/v1/payment_intents"
        api.post(path, CreatePaymentIntent, returns=kind, references=_of_creation)(self.create)
        api.list(path, ListPaymentIntents, returns=kind)(self.list)
        api.list(path + "/search", SearchParams, returns=kind)(self.search)
        api.get(path + "/{id}", RetrieveIntent, returns=kind, publishable=True)(self.retrieve)
        api.post(path + "/{id}", UpdatePaymentIntent, returns=kind, references=_of_update)(
            self.update
        )
        api.post(
            path + "/{id}/confirm",
            ConfirmPaymentIntent,
            returns=kind,
            publishable=True,
            references=_of_confirmation,
        )(self.confirm)
        api.post(path + "/{id}/increment_authorization", IncrementAuthorization, returns=kind)(
            self.increment
        )
        api.post(path + "/{id}/capture", CapturePaymentIntent, returns=kind)(self.capture)
        api.list(path + "/{id}/amount_details_line_items", PageParams)(self.line_items)
        api.post(path + "/{id}/cancel", CancelPaymentIntent, returns=kind)(self.cancel)

    def create(self, request: Request[CreatePaymentIntent]) -> Reply:
        """Creates a payment, and confirms it at once where asked to."""
        params = request.params
        payment_id = request.new_id("pi")
        made = self.payments.load(payment_id) if request.resumed else None
        if made is not None and self.sagas.is_over(request, made):
            return _answer(made, request)
        if made is None:
            require_customer(request.references, request.scope, params.customer)
        method = self._method(request, payment_id, request.references, params.payment_method)
        offered = None if made is not None else self._offer(request)
        created = _created_data(request, payment_id, method, offered)
        require_room(created, bytes_max=DETAILS_BYTES_MAX)
        if not params.confirm:
            require_nothing_of_confirmation(params, _OF_CONFIRMATION, _NOUN)
            require_no_network(params.sent(), _NOUN)
            return self._create_only(request, payment_id, created, method)
        if method is None:
            raise RejectedError(
                "You cannot confirm this PaymentIntent because it's missing a payment method. "
                "Pass one in the `payment_method` parameter.",
                code="payment_intent_unexpected_state",
                param="payment_method",
            )
        account = request.references[request.scope.account]
        order = pay_order(method, account, _presence(params), create=created)
        require_room(order, bytes_max=CONFIRMATION_BYTES_MAX)
        return self.sagas.run(PAY, request, payment_id, order, lambda p: _answer(p, request))

    def _create_only(
        self,
        request: Request[CreatePaymentIntent],
        payment_id: str,
        created: Mapping[str, Any],
        method: PaymentMethodChoice | None,
    ) -> Reply:
        draft = (EventType.PAYMENT_CREATED, created)
        made = change(None, [draft], request.context, payment_id)
        reply = Reply(200, wire.payment_intent(made.payment))
        self.payments.commit(
            replace(
                made,
                listed=created_entries(made.payment),
                documents=_made(request, made.payment, method),
                claim=request.answered(reply),
            )
        )
        return reply

    def confirm(self, request: Request[ConfirmPaymentIntent]) -> Reply:
        """Confirms a payment: the customer agrees to pay."""
        params = request.params
        payment = self._opened(request)
        if self.sagas.is_over(request, payment):
            return _answer(payment, request)
        known = None if names_method(params) else payment.payment_method
        if known is None and not names_method(params):
            raise RejectedError(
                "You cannot confirm this PaymentIntent because it's missing a payment method. "
                "You can either update the PaymentIntent with a payment method and then "
                "confirm it again, or confirm it again directly with a payment method.",
                code="payment_intent_unexpected_state",
                param="payment_method",
            )
        references = self._with_stored(request, payment, known)
        if not request.resumed:
            require_customer(references, request.scope, payment.customer)
        method = self._method(request, payment.id, references, params.payment_method or known)
        if method is None:
            raise missing_reference("PaymentMethod", str(known), "payment_method")
        parts = _parts(request, payment, payment.amount_minor)
        details = {**method.details, **details_sent(params), **parts}
        options = merged(payment.card_options, params.sent())
        check_publishable(request, payment, details, options)
        details |= shipping_origin(request, payment, details)
        update: dict[str, Any] = {"details": details}
        if params.capture_method is not None:
            update["capture_method"] = params.capture_method
        if params.payment_method_options is not None:
            update["card_options"] = options
        if not update["details"]:
            del update["details"]
        account = references[request.scope.account]
        order = pay_order(method, account, _presence(params), before=payment, update=update)
        if not request.resumed:
            require_room(order, bytes_max=CONFIRMATION_BYTES_MAX)
        return self.sagas.run(PAY, request, payment.id, order, lambda p: _answer(p, request))

    def retrieve(self, request: Request[RetrieveIntent]) -> Reply:
        """Retrieves a payment."""
        return Reply(200, wire.payment_intent(self._opened(request)))

    def update(self, request: Request[UpdatePaymentIntent]) -> Reply:
        """Changes a payment; what is charged may change only before it is confirmed."""
        payment = self._load(request)
        params = request.params
        require_customer(request.references, request.scope, params.customer)
        method = self._method(request, payment.id, request.references, params.payment_method)
        changes = self._changes(request, payment, method)
        if not changes:
            return Reply(200, wire.payment_intent(payment), unchanged=True)
        draft: Draft = (EventType.PAYMENT_UPDATED, {"changes": changes})
        made = change(payment, [draft], request.context)
        after = made.payment
        require_room(after.details, bytes_max=DETAILS_BYTES_MAX)
        reply = Reply(200, wire.payment_intent(after))
        self.payments.commit(
            replace(
                made,
                listed=_customer_entry(after, payment),
                unlisted=_customer_entry(payment, after),
                documents=_made(request, after, method),
                claim=request.answered(reply),
            )
        )
        return reply

    def _changes(
        self,
        request: Request[UpdatePaymentIntent],
        payment: Payment,
        method: PaymentMethodChoice | None,
    ) -> dict[str, Any]:
        params, sent = request.params, request.params.sent()
        changes = _charged_otherwise(sent, payment, method)
        stored = payment.details.get("automatic_payment_methods")
        offered = other_offer(request, self.documents, stored)
        is_fixed = payment.status not in _EDITABLE or payment.pending is not None
        if is_fixed and (changes or offered):
            raise unexpected_state(payment, "update")
        details = details_of(params) | offered
        if "metadata" in sent:
            stored = payment.details.get("metadata") or {}
            details["metadata"] = merge_metadata(stored, params.metadata)
        amount_minor = changes.get("amount_minor", payment.amount_minor)
        details |= _parts(request, payment, amount_minor)
        details |= shipping_origin(request, payment, details)
        if details:
            changes["details"] = details
        return changes

    def list(self, request: Request[ListPaymentIntents]) -> Reply:
        """Lists payments, newest first."""
        customer = request.params.customer
        collection = f"payment_intent/{customer}" if customer else "payment_intent"
        query = page_query(
            request.params,
            lambda object_id: self._created_ms(object_id, request.scope),
            noun="payment_intent",
        )
        page = self.documents.page(request.scope, collection, query)
        read = source(self.payments, pick_payment)
        data = rendered_page(page, read, request.scope)
        return Reply(200, list_reply("/v1/payment_intents", data, has_more=page.has_more))

    def search(self, request: Request[SearchParams]) -> Reply:
        """Searches payments, newest first."""
        read, scope = source(self.payments, pick_payment), request.scope
        return Reply(
            200,
            search_reply(
                "/v1/payment_intents/search",
                request.params,
                PAYMENT_INTENTS,
                read=lambda query: self.documents.page(scope, "payment_intent", query),
                render=lambda page: rendered_page(page, read, scope),
                created_ms=lambda name: self._created_ms(name, scope),
            ),
        )

    def increment(self, request: Request[IncrementAuthorization]) -> Reply:
        """Has more reserved for a payment that waits for its capture."""
        payment = self._load(request)
        details = _details_changed(request.params, payment.details, "description", _DESCRIPTOR)
        order = {
            "before": payment.to_dict(),
            "amount_minor": request.params.amount,
            "update": {"details": details} if details else {},
        }
        if details:
            require_room(order, bytes_max=CONFIRMATION_BYTES_MAX)
        key = request.claim.use if request.claim is not None else None
        return self.sagas.run(
            INCREMENT, request, payment.id, order, lambda after: _incremented(after, key)
        )

    def capture(self, request: Request[CapturePaymentIntent]) -> Reply:
        """Captures an authorized payment, in full or in part."""
        payment = self._load(request)
        amount_minor = request.params.amount_to_capture
        parts = _parts(request, payment, amount_minor or payment.amount_minor)
        suffix = f"{_DESCRIPTOR}_suffix"
        details = {**_details_changed(request.params, payment.details, suffix), **parts}
        order = {
            "before": payment.to_dict(),
            "amount_minor": amount_minor,
            "update": {"details": details} if details else {},
        }
        if details:
            require_room(order, bytes_max=CONFIRMATION_BYTES_MAX)
        return self.sagas.run(CAPTURE, request, payment.id, order, _state)

    def cancel(self, request: Request[CancelPaymentIntent]) -> Reply:
        """Cancels a payment that has taken no money."""
        payment = self._load(request)
        order = {"before": payment.to_dict(), "reason": request.params.cancellation_reason}
        return self.sagas.run(CANCEL, request, payment.id, order, _state)

    def line_items(self, request: Request[PageParams]) -> Reply:
        """Lists what was bought."""
        return line_items(request, self._load(request))

    def _load(self, request: Request[Any]) -> Payment:
        payment_id = request.path["id"]
        payment = find_payment(self.payments, payment_id, request.scope)
        if payment is None:
            raise no_such("payment_intent", payment_id, "intent")
        return payment

    def _opened(self, request: Request[RetrieveIntent] | Request[ConfirmPaymentIntent]) -> Payment:
        """Loads a payment; its client secret, where one is sent, must be the right one."""
        payment, params = self._load(request), request.params
        require_secret(
            params,
            payment.client_secret,
            _NOUN,
            code="payment_intent_invalid_parameter",
        )
        return payment

    def _with_stored(
        self, request: Request[ConfirmPaymentIntent], payment: Payment, known: str | None
    ) -> Mapping[str, Document]:
        """Returns the references, and the documents that the payment itself names.

        Args: known: its payment method, where that is the one to pay with.
        """
        names = [name for name in (payment.customer, known) if name]
        return {**request.references, **self.documents.get_many(names)}

    def _offer(self, request: Request[CreatePaymentIntent]) -> Mapping[str, Any] | None:
        """Returns the configuration that says what the payment may be made with, if one does."""
        params = request.params
        named, automatic = params.payment_method_configuration, params.automatic_payment_methods
        return offer(request, self.documents, named, automatic)

    def _created_ms(self, payment_id: str, scope: Scope) -> int | None:
        payment = find_payment(self.payments, payment_id, scope)
        return payment.created_ms if payment else None

    def _method(
        self,
        request: Request[Any],
        payment_id: str,
        references: Mapping[str, Document],
        method_id: str | None,
    ) -> PaymentMethodChoice | None:
        """Finds the payment method, or makes the one that the request brings or names a card of."""
        brought = self._tokens.choice(request, payment_id, references)
        if brought is not None:
            return brought
        if method_id is None:
            return None
        if is_alias(method_id):
            return sandbox_method(request, method_id, self.sandbox_cards)
        document = require(references, request.scope, method_id, "PaymentMethod", "payment_method")
        return method_of(document, resumed=request.resumed)


def _of_creation(params: CreatePaymentIntent, scope: Scope) -> Sequence[str | None]:
    named, automatic = params.payment_method_configuration, params.automatic_payment_methods
    return (
        params.customer,
        _unless_alias(params.payment_method),
        *tokens_of(params),
        configuration_id(named, automatic, scope),
        scope.account,
    )


def _of_update(params: UpdatePaymentIntent, _scope: Scope) -> Sequence[str | None]:
    return (
        params.customer,
        _unless_alias(params.payment_method),
        *tokens_of(params),
        params.payment_method_configuration,
    )


def _of_confirmation(params: ConfirmPaymentIntent, scope: Scope) -> Sequence[str | None]:
    return _unless_alias(params.payment_method), *tokens_of(params), scope.account


def _unless_alias(method_id: str | None) -> str | None:
    return None if method_id is None or is_alias(method_id) else method_id


def _made(
    request: Request[Any], payment: Payment, method: PaymentMethodChoice | None
) -> tuple[DocumentWrite, ...]:
    if method is None:
        return ()
    used = tuple(next_version(token, request.context) for token in method.used)
    if method.new is None:
        return used
    return (new_payment_method(payment, method.id, method.new, request.context), *used)


def _created_data(
    request: Request[CreatePaymentIntent],
    payment_id: str,
    method: PaymentMethodChoice | None,
    offered: Mapping[str, Any] | None,
) -> dict[str, Any]:
    params = request.params
    automatic = params.automatic_payment_methods
    details = {
        **(method.details if method else {}),
        **details_of(params),
        "metadata": merge_metadata({}, params.metadata),
        "confirmation_method": params.confirmation_method,
        "automatic_payment_methods": automatic.model_dump() if automatic else None,
    }
    if offered is not None:
        details[CONFIGURATION] = offered
    if params.amount_details is not None:
        details[NAME] = amount_details(request, params.amount_details, {}, params.amount)
    options = merged({}, params.sent())
    return created_data(request, payment_id, method, params.capture_method, details, options)


def _charged_otherwise(
    sent: Mapping[str, Any], payment: Payment, method: PaymentMethodChoice | None
) -> dict[str, Any]:
    """Returns what an update changes of what is charged, to whom and how."""
    changes: dict[str, Any] = {}
    for name, field in (("amount", "amount_minor"), ("currency", "currency")):
        if sent.get(name) is not None:
            changes[field] = sent[name]
    for name in ("capture_method", "customer"):
        if sent.get(name) is not None:
            changes[name] = sent[name]
    if "payment_method" in sent or method is not None:
        changes["payment_method"] = method.id if method else None
    require_no_network(sent, _NOUN)
    options = merged(payment.card_options, sent)
    if options != payment.card_options:
        changes["card_options"] = options
    return changes


def _parts(
    request: Request[UpdatePaymentIntent]
    | Request[ConfirmPaymentIntent]
    | Request[CapturePaymentIntent],
    payment: Payment,
    amount_minor: int,
) -> dict[str, Any]:
    """Returns the detail of what an amount is made of, where a request changes it.

    Raises: RejectedError when it does not fit the amount, of which one or the other is changed.
    """
    params, stored = request.params, payment.details.get(NAME) or {}
    if NAME in params.model_fields_set:
        return {NAME: amount_details(request, params.amount_details, stored, amount_minor)}
    is_changed = isinstance(params, UpdatePaymentIntent) and amount_minor != payment.amount_minor
    if stored and is_changed:
        require_sum(stored, amount_minor)
    return {}


def details_sent(params: ConfirmPaymentIntent) -> dict[str, Any]:
    """Returns the details that a confirmation changes."""
    sent = params.sent()
    names = (
        "allowed_payment_method_types",
        EXCLUDED,
        "receipt_email",
        "setup_future_usage",
        "shipping",
    )
    return {name: sent[name] for name in names if name in sent}


def _details_changed(
    params: CapturePaymentIntent | IncrementAuthorization, stored: Mapping[str, Any], *names: str
) -> dict[str, Any]:
    """Returns the details of these names, and the metadata, that a request changes."""
    sent = params.sent()
    details = {name: sent[name] for name in names if name in sent}
    if "metadata" in sent:
        details["metadata"] = merge_metadata(stored.get("metadata") or {}, params.metadata)
    return details


def _presence(params: CreatePaymentIntent | ConfirmPaymentIntent) -> Presence:
    return Presence(
        challenge=not (params.off_session or params.error_on_requires_action),
        off_session=params.off_session,
    )


def _customer_entry(payment: Payment, other: Payment) -> tuple[ListEntry, ...]:
    """Returns the row of the payment in its customer's list, where the other state has another."""
    if payment.customer is None or payment.customer == other.customer:
        return ()
    entry = ListEntry(f"payment_intent/{payment.customer}", payment.created_ms, payment.id)
    return (entry,)


def _state(payment: Payment) -> Reply:
    # The answer of an open operation is not kept: a retry goes on with it.
    return Reply(200, wire.payment_intent(payment), began=payment.pending is None)


def _answer(payment: Payment, request: Request[Any]) -> Reply:
    """Answers a confirmation with the payment; with 402 where its card was declined."""
    superseded = _superseded(payment, request)
    if superseded is not None and superseded.failure is not None:
        facts = {**superseded.failure, "charge": superseded.id}
        return _declined(wire.payment_intent(payment), facts)
    may_be_tried_again = payment.status is PaymentStatus.REQUIRES_PAYMENT_METHOD
    if not may_be_tried_again or payment.last_payment_error is None:
        return _state(payment)
    body = wire.payment_intent(payment)
    return _declined(body, body["last_payment_error"])


def _incremented(payment: Payment, operation_key: str | None) -> Reply:
    """Answers an increment; with 402 where the issuer declined it, and nothing has changed."""
    charge = payment.latest_charge
    made = charge.increment(operation_key)
    if payment.pending is not None or made is None or made.failure is None:
        return _state(payment)
    return _declined(wire.payment_intent(payment), {**made.failure, "charge": charge.id})


def _declined(body: Mapping[str, Any], error: Mapping[str, Any]) -> Reply:
    facts = {name: value for name, value in error.items() if name not in {"type", "message"}}
    return Reply(
        402,
        error_body("card_error", error["message"], **facts, payment_intent=body),
        began=True,
    )


def _superseded(payment: Payment, request: Request[Any]) -> Charge | None:
    """Finds the charge of a request that others were made after, which has an answer of its own."""
    if request.claim is None:
        return None
    earlier = payment.charges[:-1]
    return next((c for c in earlier if c.operation_key == request.claim.use), None)
