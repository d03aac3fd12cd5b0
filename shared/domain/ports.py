"""The ports: what the platform needs of the outside, as protocols; adapters implement them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from shared.domain.audit import AuditRecord, Change
from shared.domain.available import Available
from shared.domain.cards import CardNumber, CardSummary
from shared.domain.changes import PaymentChange
from shared.domain.documents import Document, DocumentWrite, Page, PageQuery, Scope
from shared.domain.events import Event, SignedEvent
from shared.domain.evidence import Block, Leaf
from shared.domain.idempotency import Answer, Claim, Found
from shared.domain.ledger import Journal
from shared.domain.pages import BookPage, Place
from shared.domain.payment import Payment
from shared.domain.providers import AuthorizationRequest, ProviderAnswer, VerificationRequest
from shared.domain.risk import RiskFeatures, RiskScore
from shared.domain.sealing import Name
from shared.domain.signatures import Signature
from shared.domain.stripes import Stripes


class Clock(Protocol):
    """Tells the time."""

    def now_ms(self) -> int:
        """Returns milliseconds since the epoch."""


class Entropy(Protocol):
    """Makes unguessable text."""

    def token(self, length: int) -> str:
        """Returns that many random base-62 characters."""


class DocumentStore(Protocol):
    """Keeps documents and lists."""

    def get(self, object_id: str) -> Document | None:
        """Reads one document, strongly consistent."""

    def get_many(self, object_ids: Sequence[str]) -> Mapping[str, Document]:
        """Reads up to 100 documents, strongly consistent; the missing ones are left out."""

    def commit(self, writes: Sequence[DocumentWrite], claim: Claim | None = None) -> None:
        """Writes all or nothing, with the idempotency claim.

        Raises: VersionConflictError when a version exists; KeyInUseError when the claim is held.
        """

    def put_events(self, events: Sequence[DocumentWrite]) -> None:
        """Writes event objects unconditionally: the same ones again change nothing."""

    def page(self, scope: Scope, collection: str, query: PageQuery) -> Page:
        """Reads one page of a list, strongly consistent."""


class ChangeStore(Protocol):
    """Keeps the audit records of documents and of what operators do; none is ever changed.

    They are written with the documents; all reads are strongly consistent.
    """

    def of_entity(
        self,
        entity: str,
        limit: int,
        *,
        before_version: int | None = None,
        after_version: int | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Reads an entity's records, newest first: the newest, or those next to a version."""

    def get_many(self, names: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], AuditRecord]:
        """Reads up to 100 records by entity and version; the missing ones are left out."""

    def append(self, change: Change) -> None:
        """Writes the record of what an operator did to something that is no document.

        Raises: VersionConflictError when there is one of the same version.
        """


class PaymentStore(Protocol):
    """Keeps payments: events, snapshot, journals, in one transaction."""

    def load(self, payment_id: str) -> Payment | None:
        """Reads the snapshot, strongly consistent."""

    def load_many(self, payment_ids: Sequence[str]) -> Mapping[str, Payment]:
        """Reads up to 100 snapshots; the missing ones are left out."""

    def events(self, payment_id: str) -> tuple[Event, ...]:
        """Reads all events of a payment in order."""

    def commit(self, change: PaymentChange) -> None:
        """Writes snapshot, events, journals, list rows, documents and claim, all or nothing.

        Raises: VersionConflictError when another writer recorded the version (or a journal of the
        same id exists); KeyInUseError when the claim is held by another request;
        InsufficientFundsError when a guarded account would fall below its floor.
        """


class SignedEvents(Protocol):
    """Reads events as they are stored."""

    def signed_events(self, payment_id: str) -> tuple[SignedEvent, ...]:
        """Reads all events of a payment in order, with their signatures."""


class LedgerStore(Protocol):
    """Keeps journals."""

    def of_subject(self, subject: str) -> tuple[Journal, ...]:
        """Reads the journals of an object's history, in the order of their ids.

        Strongly consistent.
        """

    def get_many(self, journal_ids: Sequence[str]) -> Mapping[str, Journal]:
        """Reads journals by id, strongly consistent; the missing ones are left out."""

    def post(self, journal: Journal) -> None:
        """Writes a journal that belongs to no change of a payment, such as a correction.

        Raises: VersionConflictError when there is one of the same id.
        """


class AvailableStore(Protocol):
    """Keeps the conditional balances of guarded accounts; payments are committed against them."""

    def of_book(self, book: str) -> tuple[Available, ...]:
        """Reads the available balances of a book, by account, strongly consistent."""

    def add(self, book: str, account: str, change_minor: int, shard: int, number: int) -> bool:
        """Adds what a block changes, once; tells whether it was this call.

        Args: shard, number: of the block. Blocks of a shard are added in their order.
        """

    def set_floor(self, book: str, account: str, floor_minor: int) -> None:
        """Sets how far an account may go; what it holds is not changed."""


class BlockStore(Protocol):
    """Keeps the chains of blocks; what is appended never changes. All reads strongly consistent."""

    def tail(self, shard: int) -> Block | None:
        """Reads the newest block of a shard."""

    def get(self, shard: int, number: int) -> Block | None:
        """Reads one block."""

    def blocks(self, shard: int, after_number: int = 0) -> Iterator[Block]:
        """Reads the blocks after one, in their order, as they are asked for."""

    def newest_first(self, shard: int, before_number: int | None = None) -> Iterator[Block]:
        """Reads the blocks before one, or all, backwards, as they are asked for."""

    def append(self, block: Block, late: Sequence[Leaf] = ()) -> bool:
        """Appends a block with the markers of its late records, all or nothing.

        Returns: whether it is the one of its number; False when there was one before.
        """

    def late(self, names: Sequence[Name]) -> Mapping[Name, str]:
        """Reads the markers of late records: their leaf hashes; others are left out."""

    def folded(self, shard: int) -> int:
        """Reads the number of the last block that is folded with all blocks before it."""

    def keep_folded(self, shard: int, number: int) -> None:
        """Keeps that number; a lower one changes nothing."""


class PageStore(Protocol):
    """Keeps the pages of books; what is put never changes. All reads strongly consistent."""

    def put(self, page: BookPage) -> bool:
        """Keeps a page; tells whether it is new. One of the same block is the same page."""

    def last(self, book: str, shard: int, before: Place | None = None) -> BookPage | None:
        """Reads the newest page of a book in a shard, of those before a place."""

    def pages(
        self,
        book: str,
        shard: int,
        *,
        after: Place | None = None,
        before: Place | None = None,
        newest_first: bool = False,
    ) -> Iterator[BookPage]:
        """Reads the pages between two places, without those at them, as they are asked for."""


class StripeStore(Protocol):
    """Keeps over how many ledger shards books are spread."""

    def of_books(self, books: Sequence[str]) -> Mapping[str, Stripes]:
        """Reads the stripes of books, strongly consistent; of one never changed, the default."""

    def change(self, book: str, before: Stripes, after: Stripes) -> None:
        """Replaces the stripes of a book.

        Raises: VersionConflictError when they are not what they were before.
        """


class IdempotencyStore(Protocol):
    """Keeps claims on idempotency keys."""

    def find(self, key_hash: str, object_ids: Sequence[str] = ()) -> Found:
        """Reads a claim that has not expired, and documents in the same call: a request needs
        both, and one call less is waited for. Strongly consistent; up to 99 documents.
        """

    def answer(self, claim: Claim, answer: Answer) -> None:
        """Stores the first answer; later ones change nothing."""

    def keep(self, claim: Claim) -> None:
        """Stores the answered claim of a request that wrote nothing, where its key is free."""


class BucketStore(Protocol):
    """Keeps the buckets that requests are counted in, for all who count."""

    def take(self, name: str, cost_ms: int, *, full_ms: int, ceiling_ms: int) -> int:
        """Takes from a bucket and returns until when it is drained, epoch milliseconds.

        Args: cost_ms: how long what is taken takes to flow in again. full_ms: before which nothing
        is remembered: a bucket is never more than full. ceiling_ms: of a bucket that is drained
        for longer nothing more is taken; then what is returned is this, or later.
        Raises: TransientError when the store does not answer.
        """


class Vault(Protocol):
    """Opens cards; in card-data scope only."""

    def open(self, vault_token: str, account: str) -> CardNumber:
        """Decrypts a card, with its verification value while that is held."""


class CardProvider(Protocol):
    """Moves money on cards. Same idempotency key, same effect and answer.

    Raises (all methods): ProviderUnavailableError when nothing was sent; UnknownOutcomeError when
    bytes were sent and no answer was read.
    """

    name: str
    has_sale: bool

    def authorize(self, request: AuthorizationRequest) -> ProviderAnswer:
        """Reserves money, or takes it when `request.capture`."""

    def increment(self, reference: str, more_minor: int, idempotency_key: str) -> ProviderAnswer:
        """Reserves more money beside what is reserved."""

    def capture(self, reference: str, amount_minor: int, idempotency_key: str) -> ProviderAnswer:
        """Takes reserved money; the rest of the reservation is given back."""

    def void(self, reference: str, idempotency_key: str) -> ProviderAnswer:
        """Gives a reservation, or a sale, back in full."""

    def refund(
        self, reference: str, refund_id: str, amount_minor: int, idempotency_key: str
    ) -> ProviderAnswer:
        """Gives taken money back."""

    def find(self, idempotency_key: str) -> ProviderAnswer | None:
        """Looks up what has become of an operation; None when the provider has not seen it."""


class CardVerifier(Protocol):
    """Tells whether cards are good. Same idempotency key, same answer.

    Raises (all methods): as CardProvider does.
    """

    def verify(self, request: VerificationRequest) -> ProviderAnswer:
        """Asks the issuer about a card, without money."""

    def find(self, idempotency_key: str) -> ProviderAnswer | None:
        """Looks up what became of a verification; None when the provider has not seen it."""


class RiskScorer(Protocol):
    """Scores a payment before authorization."""

    def score(self, features: RiskFeatures) -> RiskScore:
        """Returns the risk of a payment; the same features give the same score."""


class SagaRunner(Protocol):
    """Runs a saga to its answer."""

    def run(self, saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        """Runs and returns the saga's output.

        Raises: UnknownOutcomeError when the answer did not come.
        """

    def start(self, saga: str, name: str, saga_input: Mapping[str, Any]) -> None:
        """Starts a lasting saga; one of the same name that was started before is the same.

        Raises: TransientError when it may not have been started.
        """


class DueIndex(Protocol):
    """Finds what somebody must look after: of payments, or of documents."""

    def overdue(self, before_ms: int, limit: int) -> Sequence[str]:
        """Returns ids of what is due before that time, some of the longest overdue first.

        Eventually consistent: something may show up late, or still when it is done.
        """


class PaymentWalk(Protocol):
    """Walks through all payments, a page at a time, and remembers where it is."""

    def place(self) -> str | None:
        """Returns where the walk is; None at its beginning."""

    def page(self, place: str | None) -> tuple[Sequence[str], str | None]:
        """Reads the ids of the payments that come next, maybe none of them yet.

        Returns: the ids, and the place behind them; None at the end of the walk. A payment that
        is made meanwhile may be passed over until the next walk.
        """

    def keep(self, place: str | None) -> None:
        """Remembers where the walk is; None lets it begin anew."""


class EventSigner(Protocol):
    """Signs the hashes of events."""

    def sign(self, event_hash: str) -> Signature:
        """Signs a hash, 64 hex digits, with the key of the day.

        Raises: TransientError when the key of the day is not at hand and cannot be fetched.
        """

    def verify(self, event_hash: str, signature: Signature) -> bool:
        """Tells whether the platform signed this hash on the day that the signature names.

        Raises: TransientError when that day's key cannot be fetched.
        """


class EventBus(Protocol):
    """Announces events to whoever listens."""

    def publish(self, announcements: Sequence[Mapping[str, Any]]) -> None:
        """Announces all, or raises TransientError after which the same call may be made again.

        Args: announcements: {"type": event type, "account", "livemode", "event": event id,
        "object": object id, "created": epoch s, "endpoints": ids of the webhook endpoints to
        tell, "webhooks": whether there are any}.
        """


class SandboxCards(Protocol):
    """Describes the sandbox's named test cards, such as pm_card_visa."""

    def describe(self, alias: str, account: str) -> CardSummary | None:
        """Returns what may be known of the card, or None when this stage has none of that name."""
