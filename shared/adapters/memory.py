"""In-memory twins of the stores: the same contracts, for tests and simulations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from shared.domain.changes import PaymentChange
from shared.domain.documents import Document, DocumentWrite, ListEntry, Page, PageQuery, Scope
from shared.domain.errors import KeyInUseError, VersionConflictError
from shared.domain.events import Event
from shared.domain.idempotency import LEASE_MS, Answer, Claim, Found
from shared.domain.ledger import Journal
from shared.domain.payment import Payment

_Row = tuple[int, str]


class MemoryClock:
    """A clock that stands until it is moved."""

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Returns milliseconds since the epoch."""
        return self._now_ms

    def advance(self, milliseconds: int) -> None:
        """Moves the clock forward."""
        self._now_ms += milliseconds


class MemoryEntropy:
    """Entropy that counts, so that runs repeat."""

    def __init__(self) -> None:
        self._count = 0

    def token(self, length: int) -> str:
        """Returns the next number as text of that length."""
        self._count += 1
        return f"{self._count:0{length}d}"


class MemoryDatabase:
    """The tables behind the stores, with all-or-nothing writes."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.lists: dict[tuple[str, bool, str], set[_Row]] = {}
        self.payments: dict[str, Payment] = {}
        self.events: dict[str, list[Event]] = {}
        self.journals: dict[str, Journal] = {}
        self.claims: dict[str, Claim] = {}
        self.verification_used: list[str] = []

    def check_claim(self, claim: Claim) -> None:
        """Raises KeyInUseError unless the key is free, expired, or left by its own dead request."""
        held = self.claims.get(claim.key_hash)
        now_ms = claim.lease_until_ms - LEASE_MS
        if held is None or held.expires_at_s <= now_ms // 1000:
            return
        same_request = held.fingerprint == claim.fingerprint
        if not same_request or held.answer is not None or held.lease_until_ms > now_ms:
            raise KeyInUseError("The idempotency key is in use.")

    def check_documents(self, writes: Sequence[DocumentWrite]) -> None:
        """Raises VersionConflictError unless each write is the next version."""
        for write in writes:
            current = self.documents.get(write.document.id)
            if (current.version if current else 0) != write.document.version - 1:
                raise VersionConflictError("Another request changed this object first.")

    def put_documents(self, writes: Sequence[DocumentWrite]) -> None:
        """Writes documents and their rows."""
        for write in writes:
            document = write.document
            self.documents[document.id] = document
            for entry in write.listed:
                self._rows(document.account, document.livemode, entry).add(_row(entry))
            for entry in write.unlisted:
                self._rows(document.account, document.livemode, entry).discard(_row(entry))

    def change_rows(
        self, payment: Payment, listed: Sequence[ListEntry], unlisted: Sequence[ListEntry]
    ) -> None:
        """Writes and removes a payment's list rows."""
        for entry in listed:
            self._rows(payment.account, payment.livemode, entry).add(_row(entry))
        for entry in unlisted:
            self._rows(payment.account, payment.livemode, entry).discard(_row(entry))

    def _rows(self, account: str, livemode: bool, entry: ListEntry) -> set[_Row]:  # noqa: FBT001
        return self.lists.setdefault((account, livemode, entry.collection), set())


def _row(entry: ListEntry) -> _Row:
    return entry.created_ms, entry.object_id


class MemoryDocumentStore:
    """Implements DocumentStore."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def get(self, object_id: str) -> Document | None:
        """Reads one document."""
        return self._database.documents.get(object_id)

    def get_many(self, object_ids: Sequence[str]) -> Mapping[str, Document]:
        """Reads documents; the missing ones are left out."""
        documents = self._database.documents
        return {key: documents[key] for key in object_ids if key in documents}

    def commit(self, writes: Sequence[DocumentWrite], claim: Claim | None = None) -> None:
        """Writes all or nothing, with the claim."""
        if claim is not None:
            self._database.check_claim(claim)
        self._database.check_documents(writes)
        self._database.put_documents(writes)
        if claim is not None:
            self._database.claims[claim.key_hash] = claim

    def put_events(self, events: Sequence[DocumentWrite]) -> None:
        """Writes event objects; the same ones again change nothing."""
        self._database.put_documents(events)

    def page(self, scope: Scope, collection: str, query: PageQuery) -> Page:
        """Reads one page, newest first."""
        rows = self._database.lists.get((scope.account, scope.livemode, collection), set())
        matching = sorted(row for row in rows if _matches(row, query))
        if query.before is not None:
            ids = [object_id for _, object_id in matching[: query.limit]]
        else:
            ids = [object_id for _, object_id in matching[-query.limit :]]
        return Page(tuple(reversed(ids)), len(matching) > query.limit)


def _matches(row: _Row, query: PageQuery) -> bool:
    created_ms = row[0]
    return (
        (query.after is None or row < query.after)
        and (query.before is None or row > query.before)
        and (query.created_from_ms is None or created_ms >= query.created_from_ms)
        and (query.created_to_ms is None or created_ms <= query.created_to_ms)
    )


class MemoryIdempotencyStore:
    """Implements IdempotencyStore."""

    def __init__(self, database: MemoryDatabase, clock: MemoryClock) -> None:
        self._database = database
        self._clock = clock

    def find(self, key_hash: str, object_ids: Sequence[str] = ()) -> Found:
        """Reads a claim that has not expired, and documents."""
        claim, documents = self._database.claims.get(key_hash), self._database.documents
        expired = claim is not None and claim.expires_at_s * 1000 <= self._clock.now_ms()
        return Found(
            claim=None if expired else claim,
            documents={name: documents[name] for name in object_ids if name in documents},
        )

    def answer(self, claim: Claim, answer: Answer) -> None:
        """Stores the first answer; later ones change nothing."""
        held = self._database.claims.get(claim.key_hash)
        if held is not None and held.fingerprint == claim.fingerprint and held.answer is None:
            self._database.claims[claim.key_hash] = replace(held, answer=answer)

    def keep(self, claim: Claim) -> None:
        """Stores an answered claim where its key is free."""
        held = self._database.claims.get(claim.key_hash)
        if held is None or held.expires_at_s * 1000 <= self._clock.now_ms():
            self._database.claims[claim.key_hash] = claim


class MemoryPaymentStore:
    """Implements PaymentStore."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def load(self, payment_id: str) -> Payment | None:
        """Reads the snapshot."""
        return self._database.payments.get(payment_id)

    def load_many(self, payment_ids: Sequence[str]) -> Mapping[str, Payment]:
        """Reads snapshots; the missing ones are left out."""
        payments = self._database.payments
        return {key: payments[key] for key in payment_ids if key in payments}

    def events(self, payment_id: str) -> tuple[Event, ...]:
        """Reads all events of a payment in order."""
        return tuple(self._database.events.get(payment_id, ()))

    def commit(self, change: PaymentChange) -> None:
        """Writes a change, all or nothing."""
        database, payment = self._database, change.payment
        if change.claim is not None:
            database.check_claim(change.claim)
        current = database.payments.get(payment.id)
        if (current.version if current else 0) != change.before_version:
            raise VersionConflictError("Another request changed this object first.")
        if any(journal.id in database.journals for journal in change.journals):
            raise VersionConflictError("The operation is posted already.")
        database.check_documents(change.documents)
        # Through JSON, as a real store would, so that a field it cannot hold fails here too.
        database.payments[payment.id] = Payment.of(payment.to_dict())
        database.events.setdefault(payment.id, []).extend(change.events)
        database.journals.update({journal.id: journal for journal in change.journals})
        database.change_rows(payment, change.listed, change.unlisted)
        database.put_documents(change.documents)
        if change.claim is not None:
            database.claims[change.claim.key_hash] = change.claim
        if change.verification_used is not None:
            database.verification_used.append(change.verification_used)


class MemoryLedgerStore:
    """Implements LedgerStore."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def journals(self, scope: Scope, payment_id: str | None = None) -> Iterator[Journal]:
        """Reads an account's journals, or one payment's."""
        for journal in sorted(self._database.journals.values(), key=lambda j: j.id):
            in_scope = (journal.account, journal.livemode) == (scope.account, scope.livemode)
            if in_scope and payment_id in {None, journal.payment_id}:
                yield journal


class MemoryDueIndex:
    """Implements DueIndex."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def overdue(self, before_ms: int, limit: int) -> Sequence[str]:
        """Returns ids of payments due before that time, the longest overdue first."""
        dates = {
            payment.id: payment.due_at_ms
            for payment in self._database.payments.values()
            if payment.due_at_ms is not None and payment.due_at_ms < before_ms
        }
        return sorted(dates, key=lambda payment_id: (dates[payment_id], payment_id))[:limit]
