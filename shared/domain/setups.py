"""Setups: cards verified without money, so that their customers may be charged later.

A setup intent and its attempts are documents. An attempt is written before the provider is asked
and ended by its word; until then it has a due date, by which the sweeper finds it. No money moves,
so nothing is ever undone: what has no word after three days has failed, and its card is as free as
before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shared.domain.attachment import attached_to
from shared.domain.audit_trail import created, updated
from shared.domain.cards import CardSummary
from shared.domain.changes import Context
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import InvariantError, RejectedError, VersionConflictError
from shared.domain.providers import ProviderAnswer, ProviderStatus
from shared.domain.resolution import DAY_MS, first_due_ms, next_probe_ms
from shared.domain.saga import LOOKUP, SETUP

if TYPE_CHECKING:
    from shared.domain.ports import DocumentStore

INTENT = "setup_intent"
ATTEMPT = "setup_attempt"
OPERATION = "verification"
OPTIONS = "card_options"

_COMMIT_ATTEMPTS_MAX = 8
_DECLINED = {
    "code": "card_declined",
    "decline_code": "generic_decline",
    "message": "Your card was declined.",
}
_NOT_CARRIED_OUT = {
    "code": "processing_error",
    "decline_code": "processing_error",
    "message": "An error occurred while processing your card. Try again in a little bit.",
}


class SetupStatus(StrEnum):
    """How far a setup intent got, in Stripe's words."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


class AttemptStatus(StrEnum):
    """How far one confirmation of it got."""

    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABANDONED = "abandoned"


class Silence(StrEnum):
    """What is known where there is no answer of the provider."""

    NEVER_CAME = "never_came"
    UNKNOWN = "unknown"


Word = ProviderAnswer | Silence
Names = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Setup:
    """A setup intent and one of its attempts, which are changed together.

    Args: customer: as they are now, where that was read and there is one.
    """

    intent: Document
    attempt: Document
    customer: Document | None = None

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "Setup":
        """Reads it from a saga's state."""
        return cls(Document(**state["intent"]), Document(**state["attempt"]))

    @property
    def is_open(self) -> bool:
        """Tells whether the provider's word is still to be recorded."""
        return is_open(self.attempt)

    @property
    def names(self) -> Names:
        """The ids of the intent, the attempt and the payment method."""
        return names_of(self.attempt)

    @property
    def card(self) -> CardSummary:
        """The card to verify."""
        return CardSummary.of(self.attempt.data["method"]["data"]["card"])


def is_open(attempt: Document) -> bool:
    """Tells whether the provider's word on an attempt is still to be recorded."""
    return bool(attempt.data["status"] == AttemptStatus.PROCESSING)


def names_of(attempt: Document) -> Names:
    """Returns the ids of an attempt's intent, of itself and of its payment method."""
    return attempt.data["setup_intent"], attempt.id, attempt.data["method"]["id"]


def card_options(intent: Document) -> Mapping[str, Any]:
    """Returns what the merchant says of cards alone; older intents say nothing."""
    options: Mapping[str, Any] = intent.data.get(OPTIONS, {})
    return options


def setup_input(setup: Setup, context: Context, *, resumed: bool) -> dict[str, Any]:
    """Returns the JSON that starts the saga `setup`.

    Args: context: of the request. resumed: an earlier run of it died; what it did at the provider
    is unknown.
    """
    return {
        "saga": SETUP.name,
        "setup_intent_id": setup.intent.id,
        "account": setup.intent.account,
        "request_id": context.request_id,
        "idempotency_key": context.idempotency_key,
        "actor": context.actor,
        "resumed": resumed,
        "intent": asdict(setup.intent),
        "attempt": asdict(setup.attempt),
    }


def lookup_input(attempt_id: str) -> dict[str, Any]:
    """Returns the JSON that starts the saga `lookup`, on nobody's request."""
    return {
        "saga": LOOKUP.name,
        "setup_attempt_id": attempt_id,
        "account": None,
        "request_id": None,
    }


def request_context(state: Mapping[str, Any], now_ms: int) -> Context:
    """Returns whose request the saga `setup` carries out."""
    return Context(now_ms, state["request_id"], state["idempotency_key"], state["actor"])


def entries(intent: Document) -> tuple[ListEntry, ...]:
    """Returns the list rows of a setup intent: of all, and by what lists are narrowed to."""
    collections = {
        collection(customer, method)
        for customer in (None, intent.data["customer"])
        for method in (None, intent.data["payment_method"])
    }
    return tuple(ListEntry(name, intent.created_ms, intent.id) for name in sorted(collections))


def collection(customer: str | None, method: str | None) -> str:
    """Names the list of setup intents of a customer, a payment method, both, or all."""
    return "/".join(name for name in (INTENT, customer, method) if name)


def attempts_of(intent_id: str) -> str:
    """Names the list of an intent's attempts."""
    return f"{ATTEMPT}/{intent_id}"


def changed(intent: Document, data: Mapping[str, Any], context: Context) -> DocumentWrite:
    """Writes the next version of an intent, and the rows that it is found by."""
    old, new = entries(intent), entries(replace(intent, data=data))
    return updated(
        intent,
        data,
        context,
        listed=[entry for entry in new if entry not in old],
        unlisted=[entry for entry in old if entry not in new],
    )


def confirmed(data: Mapping[str, Any], attempt_id: str, method_id: str) -> dict[str, Any]:
    """Returns an intent's data while an attempt is under way."""
    return {
        **data,
        "status": SetupStatus.PROCESSING.value,
        "payment_method": method_id,
        "latest_attempt": attempt_id,
        "last_error": None,
        "next_action": None,
    }


def new_attempt(
    intent: Document, attempt_id: str, method: Document, context: Context
) -> DocumentWrite:
    """Makes an attempt durable before the provider hears of it.

    Args: intent: as it is written with the attempt. method: the payment method, kept as it is now.
    """
    attempt = Document(
        id=attempt_id,
        kind=ATTEMPT,
        account=intent.account,
        livemode=intent.livemode,
        version=1,
        created_ms=context.now_ms,
        data={
            "setup_intent": intent.id,
            "customer": intent.data["customer"],
            "usage": intent.data["usage"],
            "status": AttemptStatus.PROCESSING.value,
            "method": {
                "id": method.id,
                "created_ms": method.created_ms,
                "data": dict(method.data),
            },
            "checks": None,
            "error": None,
            "due_at_ms": first_due_ms(context.now_ms),
        },
    )
    listed = ListEntry(attempts_of(intent.id), attempt.created_ms, attempt.id)
    return created(attempt, context, listed=[listed])


def abandoned(attempt: Document, context: Context) -> DocumentWrite:
    """Gives up an attempt whose cardholder was asked for an authentication."""
    return updated(attempt, {**attempt.data, "status": AttemptStatus.ABANDONED.value}, context)


def record(setup: Setup, word: Word, method: Document, context: Context) -> list[DocumentWrite]:
    """Records what came of asking the provider.

    Args: method: the payment method as it is now; attached where the intent has a customer.
    """
    if word is Silence.NEVER_CAME:
        return _failed(setup, _NOT_CARRIED_OUT, None, context)
    if isinstance(word, Silence):
        return _unknown(setup, context)
    checks = asdict(word.checks)
    if word.status is ProviderStatus.ACTION_REQUIRED:
        action = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
        return _ended(
            setup,
            context,
            {"status": AttemptStatus.REQUIRES_ACTION.value, "checks": checks},
            {"status": SetupStatus.REQUIRES_ACTION.value, "next_action": action},
        )
    if word.status is not ProviderStatus.APPROVED:
        said = {name: getattr(word, name) for name in _DECLINED}
        failure = {**_DECLINED, **{name: text for name, text in said.items() if text}}
        return _failed(setup, failure, checks, context)
    return _succeeded(setup, method, checks, context)


def _unknown(setup: Setup, context: Context) -> list[DocumentWrite]:
    """Sets the date to ask again; what was asked about for three days has failed."""
    due_at_ms = next_probe_ms(setup.attempt.created_ms, context.now_ms)
    if due_at_ms is None:
        return _failed(setup, _NOT_CARRIED_OUT, None, context)
    return [_dated(setup.attempt, due_at_ms, context)]


def postponed(attempt: Document, context: Context) -> DocumentWrite:
    """Sets the next date of an attempt that could not be looked after, whatever kept it from that.

    In the end it is tried daily, until what keeps it from its end is repaired.
    """
    due_at_ms = next_probe_ms(attempt.created_ms, context.now_ms)
    return _dated(attempt, due_at_ms or context.now_ms + DAY_MS, context)


def _dated(attempt: Document, due_at_ms: int, context: Context) -> DocumentWrite:
    return updated(attempt, {**attempt.data, "due_at_ms": due_at_ms}, context)


def _succeeded(
    setup: Setup, method: Document, checks: Mapping[str, Any], context: Context
) -> list[DocumentWrite]:
    try:
        saved = _attached(setup, method, checks, context)
    except RejectedError as error:
        # Somebody else's by now, or the customer is gone: the card is good, and still cannot be
        # kept for them.
        code = error.code or "payment_method_unexpected_state"
        failure = {"code": code, "message": error.message}
        return _failed(setup, failure, checks, context)
    ended = _ended(
        setup,
        context,
        {"status": AttemptStatus.SUCCEEDED.value, "checks": checks},
        {"status": SetupStatus.SUCCEEDED.value},
    )
    return [*ended, *saved]


def _attached(
    setup: Setup, method: Document, checks: Mapping[str, Any], context: Context
) -> list[DocumentWrite]:
    customer = setup.intent.data["customer"]
    if customer is None or method.data.get("customer") == customer:
        return []
    return [attached_to(method, setup.customer, context, {"checks": dict(checks)})]


def _failed(
    setup: Setup,
    failure: Mapping[str, Any],
    checks: Mapping[str, Any] | None,
    context: Context,
) -> list[DocumentWrite]:
    """Ends an attempt; the intent waits for another payment method.

    Args: failure: code, message, and of a decline its decline_code.
    """
    error = {**failure, "method": setup.attempt.data["method"]}
    return _ended(
        setup,
        context,
        {"status": AttemptStatus.FAILED.value, "checks": checks, "error": dict(failure)},
        {
            "status": SetupStatus.REQUIRES_PAYMENT_METHOD.value,
            "payment_method": None,
            "last_error": error,
        },
    )


def _ended(
    setup: Setup,
    context: Context,
    attempt_changes: Mapping[str, Any],
    intent_changes: Mapping[str, Any],
) -> list[DocumentWrite]:
    ended = {**setup.attempt.data, **attempt_changes, "due_at_ms": None}
    return [
        updated(setup.attempt, ended, context),
        changed(setup.intent, {**setup.intent.data, **intent_changes}, context),
    ]


def load_attempt(documents: "DocumentStore", attempt_id: str) -> Document:
    """Reads an attempt that must exist.

    Raises: InvariantError when it does not.
    """
    found = documents.get_many([attempt_id])
    if attempt_id not in found:
        raise InvariantError(f"{attempt_id} does not exist")
    return found[attempt_id]


def load(documents: "DocumentStore", names: Names) -> tuple[Setup, Document]:
    """Reads a setup as it is now, and its payment method.

    Args: names: see names_of.
    Raises: InvariantError when one of them does not exist.
    """
    found = documents.get_many(names)
    if len(found) != len(names):
        raise InvariantError(f"{names} are not all there")
    intent, attempt, method = (found[name] for name in names)
    return Setup(intent, attempt), method


def commit_open(
    documents: "DocumentStore",
    names: Names,
    decide: Callable[[Setup, Document], Sequence[DocumentWrite]],
) -> Setup:
    """Commits what becomes of an attempt as long as it is open, again when another was first.

    Args: names: see names_of. decide: makes the writes of the state, and the payment method, as
    they are now.
    Raises: VersionConflictError when other writers win too often.
    """
    for _ in range(_COMMIT_ATTEMPTS_MAX):
        setup, method = load(documents, names)
        if not setup.is_open:
            return setup
        writes = decide(_with_customer(documents, setup), method)
        try:
            documents.commit(writes)
        except VersionConflictError:
            continue
        after = {write.document.id: write.document for write in writes}
        return Setup(after.get(setup.intent.id, setup.intent), after[setup.attempt.id])
    raise VersionConflictError(f"{names} change too often; try again")


def _with_customer(documents: "DocumentStore", setup: Setup) -> Setup:
    """Reads the customer too, whom the card is to be kept for."""
    customer = setup.intent.data["customer"]
    if customer is None:
        return setup
    return replace(setup, customer=documents.get_many([customer]).get(customer))
