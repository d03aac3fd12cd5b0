"""Setup intents: create, retrieve, update, list, confirm, cancel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from functions.api_setup_intents.methods import (
    Chosen,
    Methods,
    names_method,
    require_owner,
    tokens_of,
)
from functions.api_setup_intents.models import (
    CancelSetupIntent,
    ConfirmSetupIntent,
    CreateSetupIntent,
    ListSetupIntents,
    UpdateSetupIntent,
    VerifyMicrodeposits,
)
from functions.api_setup_intents.verification import Verification
from shared.domain import setups
from shared.domain.attachment import METHOD
from shared.domain.audit_trail import created
from shared.domain.card_options import require_network
from shared.domain.documents import Document, DocumentWrite, Scope
from shared.domain.errors import RejectedError
from shared.domain.method_configurations import KIND as CONFIGURATION
from shared.domain.ports import DocumentStore
from shared.domain.setups import INTENT, Setup, SetupStatus
from shared.edge.api import Api, Reply, Request
from shared.edge.card_options import merged, require_no_network
from shared.edge.clients import RetrieveIntent, require_secret
from shared.edge.documents import ScopedDocuments, storable
from shared.edge.fields import merge_metadata
from shared.edge.methods import require_nothing_of_confirmation
from shared.edge.offers import EXCLUDED, configuration_id, offer, other_offer
from shared.wire.errors import RequestError
from shared.wire.setups import setup_intent

_URL = "/v1/setup_intents"
_NOUN = "SetupIntent"
_ALLOWED = "allowed_payment_method_types"
_SAID = (_ALLOWED, "description", EXCLUDED)
# The parameters of a creation that mean something only where it confirms.
_OF_CONFIRMATION = ("confirmation_token", "return_url")
_OPEN = {
    SetupStatus.REQUIRES_PAYMENT_METHOD,
    SetupStatus.REQUIRES_CONFIRMATION,
    SetupStatus.REQUIRES_ACTION,
}


@dataclass(frozen=True, slots=True)
class SetupIntents:
    """The operations on setup intents."""

    documents: DocumentStore
    methods: Methods
    verification: Verification

    def register(self, api: Api) -> None:
        """Adds the operations to an API."""
        one = _URL + "/{id}"
        api.post(_URL, CreateSetupIntent, returns=INTENT, references=_of_creation)(self.create)
        api.list(_URL, ListSetupIntents, returns=INTENT)(self.list)
        api.get(one, RetrieveIntent, returns=INTENT, publishable=True)(self.retrieve)
        api.post(one, UpdateSetupIntent, returns=INTENT, references=_of_update)(self.update)
        api.post(
            one + "/confirm",
            ConfirmSetupIntent,
            returns=INTENT,
            publishable=True,
            references=tokens_of,
        )(self.confirm)
        api.post(one + "/cancel", CancelSetupIntent, returns=INTENT)(self.cancel)
        microdeposits = one + "/verify_microdeposits"
        api.post(microdeposits, VerifyMicrodeposits, returns=INTENT)(self.verify_microdeposits)

    def create(self, request: Request[CreateSetupIntent]) -> Reply:
        """Creates a setup intent, and confirms it at once where asked to."""
        params = request.params
        intent_id = request.new_id("seti")
        begun = self._begun(request, intent_id)
        if begun is not None:
            return self.verification.run(request, begun)
        self._require_customer(request, params.customer)
        if not params.confirm:
            require_nothing_of_confirmation(params, _OF_CONFIRMATION, _NOUN)
            require_no_network(params.sent(), _NOUN)
        chosen = self.methods.chosen(request, intent_id, params.usage)
        require_owner(chosen, params.customer, None)
        intent = request.document(
            intent_id, INTENT, _created_data(request, intent_id, chosen) | self._offered(request)
        )
        if params.confirm:
            return self._confirm(request, None, intent, chosen)
        write = created(intent, request.context, listed=setups.entries(intent))
        return self._commit(request, [write, *(chosen.writes if chosen else [])])

    def _offered(self, request: Request[CreateSetupIntent]) -> dict[str, Any]:
        """Returns the configuration that says what may be set up, if one does."""
        params = request.params
        named, automatic = params.payment_method_configuration, params.automatic_payment_methods
        return {CONFIGURATION: offer(request, self.documents, named, automatic)}

    def confirm(self, request: Request[ConfirmSetupIntent]) -> Reply:
        """Confirms a setup: the customer agrees that the card is saved."""
        intent = self._opened(request)
        begun = self._begun(request, intent.id)
        if begun is not None:
            return self.verification.run(request, begun)
        usage, known = intent.data["usage"], intent.data[METHOD]
        chosen = self.methods.chosen(request, intent.id, usage, known)
        return self._confirm(request, intent, intent, chosen)

    def _confirm(
        self,
        request: Request[Any],
        before: Document | None,
        intent: Document,
        chosen: Chosen | None,
    ) -> Reply:
        """Makes an attempt durable, and has it carried out.

        Args: before: the intent as it is stored, None for a new one.
        """
        chosen = self._confirmable(request, before, intent, chosen)
        attempt_id, context = request.new_id("setatt"), request.context
        data = setups.confirmed(intent.data, attempt_id, chosen.document.id)
        if _ALLOWED in request.params.model_fields_set:
            data[_ALLOWED] = request.params.allowed_payment_method_types
        data[setups.OPTIONS] = merged(setups.card_options(intent), request.params.sent())
        require_network(data[setups.OPTIONS], chosen.document.data["card"]["brand"])
        if before is None:
            new = replace(intent, data=data)
            write = created(new, context, listed=setups.entries(new))
        else:
            write = setups.changed(before, data, context)
        attempt = setups.new_attempt(write.document, attempt_id, chosen.document, context)
        writes = [write, attempt, *chosen.writes, *self._given_up(request, before)]
        self.documents.commit(writes, request.claim)
        return self.verification.run(request, Setup(write.document, attempt.document))

    def _confirmable(
        self,
        request: Request[Any],
        before: Document | None,
        intent: Document,
        chosen: Chosen | None,
    ) -> Chosen:
        """Refuses a confirmation that could not be carried out; returns the payment method."""
        if chosen is None:
            raise _unexpected_state(
                "You cannot confirm this SetupIntent because it's missing a payment method. You can"
                " either update the SetupIntent with a payment method and then confirm it again,"
                " or confirm it again directly with a payment method or ConfirmationToken.",
                before,
                param=None if before else METHOD,
            )
        if before is not None:
            _require_open(before, "confirm")
        self._require_customer(request, intent.data["customer"])
        require_owner(chosen, intent.data["customer"], before)
        if request.scope.livemode:
            raise RejectedError(
                "No live card provider is configured in this deployment; use a test mode key.",
                code="provider_unavailable",
            )
        return chosen

    def retrieve(self, request: Request[RetrieveIntent]) -> Reply:
        """Retrieves a setup intent."""
        return Reply(200, setup_intent(self._opened(request)))

    def update(self, request: Request[UpdateSetupIntent]) -> Reply:
        """Changes a setup; which card is saved may change only before it is."""
        before = self._named(request)
        params, sent = request.params, request.params.sent()
        data: dict[str, Any] = dict(before.data)
        if params.customer is not None:
            self._require_customer(request, params.customer)
            data["customer"] = params.customer
        data |= {name: sent[name] for name in _SAID if name in sent}
        if "metadata" in sent:
            data["metadata"] = merge_metadata(data["metadata"], params.metadata)
        while_open = self._while_open(request, before)
        data |= while_open
        chosen = self.methods.chosen(request, before.id, before.data["usage"])
        is_other_card = names_method(params)
        is_too_late = params.customer and data["status"] == SetupStatus.PROCESSING
        if is_other_card or while_open or is_too_late:
            _require_open(before, "update")
        given_up = self._given_up(request, before) if is_other_card else ()
        if is_other_card:
            data |= _waiting_for(chosen)
        require_owner(chosen or self.methods.kept(request, data), data["customer"], before)
        if data == before.data:
            return Reply(200, setup_intent(before), unchanged=True)
        write = setups.changed(before, storable(data), request.context)
        return self._commit(request, [write, *given_up, *(chosen.writes if chosen else [])])

    def list(self, request: Request[ListSetupIntents]) -> Reply:
        """Lists setup intents, newest first: all, or a customer's, or a payment method's."""
        params = request.params
        scoped = ScopedDocuments(self.documents, request.scope)
        name = setups.collection(params.customer, params.payment_method)
        return Reply(200, scoped.list(INTENT, name, params, setup_intent, _URL))

    def cancel(self, request: Request[CancelSetupIntent]) -> Reply:
        """Cancels a setup that has not come to its end."""
        before = self._named(request)
        status = before.data["status"]
        if status == SetupStatus.CANCELED:
            raise _unexpected_state(
                "You cannot cancel this SetupIntent because it is already canceled.", before
            )
        if status not in _OPEN:
            raise _unexpected_state(
                f"You cannot cancel this SetupIntent because it has a status of {status}. Only a"
                " SetupIntent with one of the following statuses may be canceled:"
                " `requires_payment_method`, `requires_confirmation`, or `requires_action`.",
                before,
            )
        data = {
            **before.data,
            "status": SetupStatus.CANCELED.value,
            "cancellation_reason": request.params.cancellation_reason,
            "next_action": None,
        }
        write = setups.changed(before, data, request.context)
        return self._commit(request, [write, *self._given_up(request, before)])

    def verify_microdeposits(self, request: Request[VerifyMicrodeposits]) -> Reply:
        """Refuses: cards are not verified so, and no bank account is set up here."""
        intent = self._named(request)
        status = intent.data["status"]
        message = (
            f"This SetupIntent cannot be actioned on because it has a status of {status}. Only a"
            " SetupIntent with one of the following statuses may be actioned on:"
            ' ["requires_action"].'
        )
        if status == SetupStatus.REQUIRES_ACTION:
            message = (
                "This SetupIntent cannot be verified with microdeposits because its payment method"
                " is a card, not a bank account."
            )
        raise RequestError(
            message, code="intent_invalid_state", setup_intent=setup_intent(intent), is_answer=True
        )

    def _while_open(self, request: Request[UpdateSetupIntent], before: Document) -> dict[str, Any]:
        """Returns what an update changes that may only change before the card is saved."""
        options = _other_options(before, request.params.sent())
        stored = before.data.get("automatic_payment_methods")
        return options | other_offer(request, self.documents, stored)

    def _named(self, request: Request[Any]) -> Document:
        scoped = ScopedDocuments(self.documents, request.scope)
        return scoped.named_by_path(INTENT, request.path["id"], param="intent")

    def _opened(self, request: Request[RetrieveIntent] | Request[ConfirmSetupIntent]) -> Document:
        """Finds a setup intent; its client secret, where one is sent, must be the right one."""
        intent = self._named(request)
        expected = intent.data["client_secret"]
        require_secret(request.params, expected, _NOUN, code="setup_intent_invalid_parameter")
        return intent

    def _begun(self, request: Request[Any], intent_id: str) -> Setup | None:
        """Finds what an earlier run of this request made durable before it died."""
        if not request.resumed:
            return None
        found = self.documents.get_many([intent_id, request.new_id("setatt")])
        attempt = found.get(request.new_id("setatt"))
        return None if attempt is None else Setup(found[intent_id], attempt)

    def _given_up(self, request: Request[Any], before: Document | None) -> Sequence[DocumentWrite]:
        """Ends the attempt whose authentication nobody waits for any more."""
        if before is None or before.data["status"] != SetupStatus.REQUIRES_ACTION:
            return []
        found = self.documents.get_many([before.data["latest_attempt"]])
        return [setups.abandoned(attempt, request.context) for attempt in found.values()]

    def _require_customer(self, request: Request[Any], customer: str | None) -> None:
        if customer is not None:
            scoped = ScopedDocuments(self.documents, request.scope)
            scoped.named_by_param("customer", customer, "customer")

    def _commit(self, request: Request[Any], writes: Sequence[DocumentWrite]) -> Reply:
        reply = Reply(200, setup_intent(writes[0].document))
        self.documents.commit(writes, request.answered(reply))
        return reply


def _of_creation(params: CreateSetupIntent, scope: Scope) -> Sequence[str | None]:
    named, automatic = params.payment_method_configuration, params.automatic_payment_methods
    return *tokens_of(params, scope), configuration_id(named, automatic, scope)


def _of_update(params: UpdateSetupIntent, scope: Scope) -> Sequence[str | None]:
    return *tokens_of(params, scope), params.payment_method_configuration


def _created_data(
    request: Request[CreateSetupIntent], intent_id: str, chosen: Chosen | None
) -> dict[str, Any]:
    params = request.params
    automatic = params.automatic_payment_methods
    return {
        **_waiting_for(chosen),
        _ALLOWED: params.allowed_payment_method_types,
        "automatic_payment_methods": automatic.model_dump() if automatic else None,
        "cancellation_reason": None,
        "client_secret": f"{intent_id}_secret_{request.entropy.token(25)}",
        "customer": params.customer,
        "description": params.description,
        EXCLUDED: params.excluded_payment_method_types,
        "last_error": None,
        "latest_attempt": None,
        "metadata": merge_metadata({}, params.metadata),
        setups.OPTIONS: merged({}, params.sent()),
        "usage": params.usage,
    }


def _other_options(before: Document, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is said of cards from now on; nothing where it is what was said before."""
    require_no_network(sent, _NOUN)
    stored = setups.card_options(before)
    options = merged(stored, sent)
    return {} if options == stored else {setups.OPTIONS: options}


def _waiting_for(chosen: Chosen | None) -> Mapping[str, Any]:
    """Returns what an intent says while it waits, with a payment method or for one."""
    waits = SetupStatus.REQUIRES_CONFIRMATION if chosen else SetupStatus.REQUIRES_PAYMENT_METHOD
    return {
        "status": waits.value,
        "payment_method": chosen.document.id if chosen else None,
        "next_action": None,
    }


def _require_open(intent: Document, verb: str) -> None:
    status = intent.data["status"]
    if status in _OPEN:
        return
    reason = {
        SetupStatus.SUCCEEDED: "has already succeeded",
        SetupStatus.CANCELED: "has been canceled",
    }.get(status, f"has a status of {status}")
    raise _unexpected_state(f"You cannot {verb} this SetupIntent because it {reason}.", intent)


def _unexpected_state(
    message: str, intent: Document | None, param: str | None = None
) -> RequestError:
    """Says in Stripe's words that a state does not allow it, and shows the state."""
    return RequestError(
        message,
        code="setup_intent_unexpected_state",
        param=param,
        setup_intent=None if intent is None else setup_intent(intent),
        is_answer=intent is not None,
    )
