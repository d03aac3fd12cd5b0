"""In-memory twins of the stores: the same contracts, for tests and simulations."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from shared.adapters.memory_signer import MemorySigner
from shared.domain.audit import AuditRecord
from shared.domain.audit_trail import require_changes
from shared.domain.available import FLOOR_MINOR, Available, guarded_debits, insufficient_funds
from shared.domain.changes import PaymentChange
from shared.domain.documents import Document, DocumentWrite, ListEntry, Page, PageQuery, Scope
from shared.domain.errors import KeyInUseError, VersionConflictError
from shared.domain.events import Event, SignedEvent
from shared.domain.idempotency import LEASE_MS, Answer, Claim, Found
from shared.domain.ledger import Journal
from shared.domain.lists import is_spread, shard_of_row, stripes_of
from shared.domain.payment import Payment
from shared.domain.ports import EventSigner
from shared.domain.signatures import Signature

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
    """The tables behind the stores, with all-or-nothing writes.

    Args: signer: of the events and audit records.
    """

    def __init__(self, signer: EventSigner | None = None) -> None:
        self.signer = signer or MemorySigner(MemoryClock())
        self.documents: dict[str, Document] = {}
        self.changes: dict[str, list[AuditRecord]] = {}
        self.lists: dict[tuple[str, bool, str, int], set[_Row]] = {}
        self.payments: dict[str, Payment] = {}
        self.events: dict[str, list[Event]] = {}
        self.signatures: dict[str, list[Signature]] = {}
        self.journals: dict[str, Journal] = {}
        self.available: dict[tuple[str, str], Available] = {}
        self.added: dict[tuple[str, str, int], int] = {}
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
        """Raises VersionConflictError unless each write is the next version.

        InvariantError when an audit record is missing.
        """
        require_changes(writes)
        for write in writes:
            read = {write.document.id: write.document.version - 1}
            read |= {other.id: other.version for other in write.unchanged}
            for object_id, version in read.items():
                current = self.documents.get(object_id)
                if (current.version if current else 0) != version:
                    raise VersionConflictError("Another request changed this object first.")

    def put_documents(self, writes: Sequence[DocumentWrite]) -> None:
        """Writes documents, their audit records and their rows."""
        for write in writes:
            document, change = write.document, write.change
            self.documents[document.id] = document
            if change is not None:
                record = AuditRecord(change, change.hash, self.signer.sign(change.hash))
                self.changes.setdefault(document.id, []).append(record)
            scope = document.scope
            self._change_rows(scope, write.stripes, write.listed, write.unlisted)

    def check_debits(self, journals: Sequence[Journal]) -> None:
        """Raises InsufficientFundsError where a guarded account would fall below its floor."""
        for (book, account), amount_minor in guarded_debits(journals).items():
            if self.available_of(book, account).headroom_minor < amount_minor:
                raise insufficient_funds()

    def available_of(self, book: str, account: str) -> Available:
        """Returns the available balance of an account."""
        new = Available(book, account, 0, -FLOOR_MINOR)
        return self.available.get((book, account), new)

    def change_available(self, book: str, account: str, change_minor: int) -> None:
        """Adds to the available balance of an account, and to what may be taken."""
        before = self.available_of(book, account)
        self.available[book, account] = replace(
            before,
            available_minor=before.available_minor + change_minor,
            headroom_minor=before.headroom_minor + change_minor,
        )

    def change_rows(
        self, payment: Payment, listed: Sequence[ListEntry], unlisted: Sequence[ListEntry]
    ) -> None:
        """Writes and removes a payment's list rows."""
        scope = Scope(payment.account, payment.livemode)
        self._change_rows(scope, payment.stripes, listed, unlisted)

    def _change_rows(
        self,
        scope: Scope,
        stripes: int,
        listed: Sequence[ListEntry],
        unlisted: Sequence[ListEntry],
    ) -> None:
        for entry in listed:
            self._rows(scope, stripes, entry).add(_row(entry))
        for entry in unlisted:
            self._rows(scope, stripes, entry).discard(_row(entry))

    def rows_of(self, scope: Scope, collection: str) -> set[_Row]:
        """Returns the rows of a list in the shards that a reader knows of."""
        account = self.documents.get(scope.account)
        shards = stripes_of(account, livemode=scope.livemode) if is_spread(collection) else 1
        keys = [(scope.account, scope.livemode, collection, shard) for shard in range(shards)]
        return set().union(*(self.lists.get(key, set()) for key in keys))

    def _rows(self, scope: Scope, stripes: int, entry: ListEntry) -> set[_Row]:
        shard = shard_of_row(entry.collection, entry.object_id, stripes)
        key = (scope.account, scope.livemode, entry.collection, shard)
        return self.lists.setdefault(key, set())


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
        rows = self._database.rows_of(scope, collection)
        matching = sorted(row for row in rows if _matches(row, query))
        upward = query.before is not None
        chosen = matching[: query.limit] if upward else matching[-query.limit :]
        ids = tuple(object_id for _, object_id in reversed(chosen))
        return Page(ids, len(matching) > query.limit, chosen[0] if chosen else None)


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
    """Implements PaymentStore and SignedEvents."""

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

    def signed_events(self, payment_id: str) -> tuple[SignedEvent, ...]:
        """Reads all events of a payment in order, with their signatures."""
        signatures = self._database.signatures.get(payment_id, ())
        return tuple(map(SignedEvent, self.events(payment_id), signatures))

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
        database.check_debits(change.journals)
        # Through JSON, as a real store would, so that a field it cannot hold fails here too.
        database.payments[payment.id] = Payment.of(payment.to_dict())
        database.events.setdefault(payment.id, []).extend(change.events)
        database.signatures.setdefault(payment.id, []).extend(
            database.signer.sign(event.hash) for event in change.events
        )
        database.journals.update({journal.id: journal for journal in change.journals})
        for (book, account), amount_minor in guarded_debits(change.journals).items():
            database.change_available(book, account, -amount_minor)
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

    def of_subject(self, subject: str) -> tuple[Journal, ...]:
        """Reads the journals of an object's history, in the order of their ids."""
        found = [j for j in self._database.journals.values() if j.subject == subject]
        return tuple(sorted(found, key=lambda journal: journal.id))

    def get_many(self, journal_ids: Sequence[str]) -> Mapping[str, Journal]:
        """Reads journals by id; the missing ones are left out."""
        journals = self._database.journals
        return {name: journals[name] for name in journal_ids if name in journals}

    def post(self, journal: Journal) -> None:
        """Writes a journal that belongs to no change of a payment."""
        if journal.id in self._database.journals:
            raise VersionConflictError(f"{journal.id} is posted already.")
        self._database.journals[journal.id] = journal


class MemoryAvailableStore:
    """Implements AvailableStore."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def of_book(self, book: str) -> tuple[Available, ...]:
        """Reads the available balances of a book, by account."""
        return tuple(
            item for (name, _), item in sorted(self._database.available.items()) if name == book
        )

    def add(self, book: str, account: str, change_minor: int, shard: int, number: int) -> bool:
        """Adds what a block changes, once; tells whether it was this call."""
        added = self._database.added
        if added.get((book, account, shard), 0) >= number:
            return False
        added[book, account, shard] = number
        self._database.change_available(book, account, change_minor)
        return True

    def set_floor(self, book: str, account: str, floor_minor: int) -> None:
        """Sets how far an account may go; what it holds is not changed."""
        before = self._database.available_of(book, account)
        headroom_minor = before.available_minor - floor_minor
        self._database.available[book, account] = replace(before, headroom_minor=headroom_minor)


class MemoryDueIndex:
    """Implements DueIndex.

    Args: table: of the database, its payments or its documents.
    """

    def __init__(self, table: Mapping[str, Payment] | Mapping[str, Document]) -> None:
        self._table = table

    def overdue(self, before_ms: int, limit: int) -> Sequence[str]:
        """Returns ids of what is due before that time, the longest overdue first."""
        dates = {
            item.id: item.due_at_ms
            for item in self._table.values()
            if item.due_at_ms is not None and item.due_at_ms < before_ms
        }
        return sorted(dates, key=lambda object_id: (dates[object_id], object_id))[:limit]
