"""The objects that Stripe does not have, as typed classes like those of its SDK."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from stripe._stripe_object import StripeObject, UntypedStripeObject


class EventDelivery(StripeObject):
    """What became of an event's deliveries to one endpoint."""

    class Attempt(StripeObject):
        """One try."""

        created: int
        error: str | None
        http_status: int | None
        latency_ms: int
        resend: str | None

    OBJECT_NAME: ClassVar[Literal["event_delivery"]] = "event_delivery"
    attempts: list[Attempt]
    event: str
    id: str
    livemode: bool
    next_attempt: int | None
    object: Literal["event_delivery"]
    status: Literal["canceled", "delivered", "failed", "pending"]
    webhook_endpoint: str


class LedgerAccount(StripeObject):
    """An account of the books, with its balance on its normal side."""

    OBJECT_NAME: ClassVar[Literal["ledger.account"]] = "ledger.account"
    as_of: int
    balance: int
    code: int
    credits: int
    currency: str
    debits: int
    id: str
    kind: Literal["asset", "expense", "income", "liability"]
    livemode: bool
    normal_side: Literal["credit", "debit"]
    object: Literal["ledger.account"]
    pending_balance: int
    pending_credits: int
    pending_debits: int
    purpose: str


class LedgerAccountBalance(StripeObject):
    """A row of a trial balance; its net is debits less credits."""

    OBJECT_NAME: ClassVar[Literal["ledger.account_balance"]] = "ledger.account_balance"
    account: str
    credits: int
    currency: str
    debits: int
    net: int
    object: Literal["ledger.account_balance"]
    pending_credits: int
    pending_debits: int
    pending_net: int


class LedgerAuditRecord(StripeObject):
    """Who changed an object, what it was and became; chained and signed."""

    class Evidence(StripeObject):
        """What proves it."""

        hash: str
        key: str
        mac: str
        previous_hash: str

    OBJECT_NAME: ClassVar[Literal["ledger.audit_record"]] = "ledger.audit_record"
    action: str
    actor: str | None
    created: int
    entity: str
    entity_type: str
    evidence: Evidence
    id: str
    livemode: bool
    metadata: UntypedStripeObject[Any]
    new_value: UntypedStripeObject[Any] | None
    object: Literal["ledger.audit_record"]
    old_value: UntypedStripeObject[Any] | None
    request: str | None
    version: int


class LedgerCheckpoint(StripeObject):
    """The newest block of every shard, signed; it holds no merchant's data."""

    OBJECT_NAME: ClassVar[Literal["ledger.checkpoint"]] = "ledger.checkpoint"
    checkpoint: UntypedStripeObject[Any]
    created: int
    digest: str
    id: str
    key_id: str
    number: int
    object: Literal["ledger.checkpoint"]
    signature: str


class LedgerEntry(StripeObject):
    """A posting as a line of its account's statement."""

    OBJECT_NAME: ClassVar[Literal["ledger.entry"]] = "ledger.entry"
    account: str
    balance_after: int
    created: int
    credit: int
    currency: str
    debit: int
    id: str
    journal: str
    kind: str
    layer: Literal["pending", "posted"]
    livemode: bool
    object: Literal["ledger.entry"]
    occurred: int
    pending_balance_after: int
    reference: str


class LedgerJournal(StripeObject):
    """A balanced set of postings of one operation."""

    class Posting(StripeObject):
        """One leg."""

        account: str
        credit: int
        currency: str
        debit: int
        guarded: bool
        layer: Literal["pending", "posted"]

    OBJECT_NAME: ClassVar[Literal["ledger.journal"]] = "ledger.journal"
    created: int
    id: str
    kind: str
    livemode: bool
    metadata: UntypedStripeObject[Any]
    object: Literal["ledger.journal"]
    occurred: int
    payment_intent: str | None
    postings: list[Posting]
    reason: str | None
    reference: str
    reverses: str | None


class NetworkTransaction(StripeObject):
    """What the sandbox card network did, as it remembers it."""

    OBJECT_NAME: ClassVar[Literal["network_transaction"]] = "network_transaction"
    amount: int
    charge: str
    created: int
    currency: str
    id: str
    idempotency_key: str
    livemode: bool
    object: Literal["network_transaction"]
    payment_intent: str
    refund: str | None
    status: str
    type: str


OWN_CLASSES: Mapping[str, type[StripeObject]] = {
    "event_delivery": EventDelivery,
    "ledger.account": LedgerAccount,
    "ledger.account_balance": LedgerAccountBalance,
    "ledger.audit_record": LedgerAuditRecord,
    "ledger.checkpoint": LedgerCheckpoint,
    "ledger.entry": LedgerEntry,
    "ledger.journal": LedgerJournal,
    "network_transaction": NetworkTransaction,
}
"""The classes by the name that an object of them bears."""
