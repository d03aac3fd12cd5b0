"""What operators do to the books: take journals back, set floors, spread hot books. All audited."""

from collections.abc import Sequence
from typing import Any

from ops.ledger.stage import Ledger
from ops.stages import OperatorError
from shared.domain.accounts import account_type
from shared.domain.audit_trail import Action, act, updated
from shared.domain.available import FLOOR_MINOR
from shared.domain.changes import Context
from shared.domain.documents import DocumentWrite
from shared.domain.errors import InvariantError, VersionConflictError
from shared.domain.evidence import SHARDS
from shared.domain.ledger import reverse
from shared.domain.lists import stripes_of, with_stripes

# How far this machine's clock may be behind: the notice of a change has room for that.
BEHIND_MAX_MS = 10_000
Json = dict[str, Any]


def reverse_journal(ledger: Ledger, journal_id: str, reason: str, context: Context) -> Json:
    """Posts the journal that takes another back; once, whoever does it first.

    Raises: OperatorError when there is no such journal, or it cannot be or is taken back.
    """
    journal = ledger.journals.get_many([journal_id]).get(journal_id)
    if journal is None:
        raise OperatorError(f"there is no journal {journal_id} in {ledger.region}")
    try:
        correction = reverse(journal, reason, context.now_ms)
    except InvariantError as error:
        raise OperatorError(str(error)) from error
    if ledger.journals.get_many([correction.id]):
        raise OperatorError(f"{journal_id} is taken back already")
    done = Action(
        entity=journal_id,
        entity_type="journal",
        name="journal_reversed",
        book=journal.book,
        old={},
        new={"reversal": correction.id},
        reason=reason,
    )
    act(ledger.changes, done, context)
    try:
        ledger.journals.post(correction)
    except VersionConflictError as error:
        raise OperatorError(f"{journal_id} is taken back already") from error
    return {"reversed": journal_id, "by": correction.id, "book": journal.book}


def set_floor(
    ledger: Ledger, book: str, account: str, floor_minor: int, reason: str, context: Context
) -> Json:
    """Sets how far an account may go.

    Raises: OperatorError when the merchant has no such account, or it has no floor.
    """
    try:
        row = account_type(account)
    except InvariantError as error:
        raise OperatorError(str(error)) from error
    if not row.is_guarded:
        raise OperatorError(f"{account} has no floor: nothing is taken from it under one")
    merchant = book.partition("/")[0]
    if f":{merchant}:" not in account:
        raise OperatorError(f"{account} is no account of {merchant}")
    held = {item.account: item.floor_minor for item in ledger.available.of_book(book)}
    was_minor = held.get(account, FLOOR_MINOR)
    done = Action(
        # Of one book: live and test accounts have the same names.
        entity=f"{book}/{account}",
        entity_type="ledger_account",
        name="floor_set",
        book=book,
        old={"floor_minor": was_minor},
        new={"floor_minor": floor_minor},
        reason=reason,
    )
    act(ledger.changes, done, context)
    ledger.available.set_floor(book, account, floor_minor)
    return {"account": account, "floor_minor": floor_minor, "was_minor": was_minor}


def set_stripes(ledger: Ledger, book: str, count: int, reason: str, context: Context) -> Json:
    """Spreads a merchant's lists over more keys at once, and the book over more ledger shards, or
    fewer, from a minute ahead.

    Lists keep the most that they ever had; a book has 64 shards at most.
    Raises: OperatorError when the count is not 1 to 256, there is no such account, a later change
    is made already, or this machine's clock is behind.
    """
    before = ledger.stripes.of_books([book])[book]
    _require_clock(ledger, before.shards(book), context.now_ms)
    try:
        after = before.changed(min(count, SHARDS), context.now_ms)
        wider = _with_wider_lists(ledger, book, count, reason, context)
    except InvariantError as error:
        raise OperatorError(str(error)) from error
    ledger.documents.commit([wider])
    done = Action(
        entity=book,
        entity_type="book",
        name="stripes_set",
        book=book,
        old={"stripes": before.to_dict()},
        new={"stripes": after.to_dict()},
        reason=reason,
    )
    act(ledger.changes, done, context)
    ledger.stripes.change(book, before, after)
    from_ms, in_book = after.history[-1]
    lists = stripes_of(wider.document, livemode=_is_live(book))
    return {"book": book, "stripes": in_book, "from_ms": from_ms, "lists": lists}


def _require_clock(ledger: Ledger, shards: Sequence[int], now_ms: int) -> None:
    tails = [ledger.blocks.tail(shard) for shard in shards]
    sealed_ms = max((tail.newest_ms for tail in tails if tail), default=0)
    if sealed_ms - now_ms > BEHIND_MAX_MS:
        # What was sealed after the change would be looked for, and sealed again, in other shards.
        raise OperatorError("this machine's clock is behind what is sealed: set it first")


def _with_wider_lists(
    ledger: Ledger, book: str, count: int, reason: str, context: Context
) -> DocumentWrite:
    name = book.partition("/")[0]
    account = ledger.documents.get(name)
    if account is None or account.kind != "account":
        raise OperatorError(f"there is no account {name} in {ledger.region}")
    data = with_stripes(account, count, livemode=_is_live(book))
    return updated(account, data, context, reason=reason)


def _is_live(book: str) -> bool:
    return book.rpartition("/")[2] == "live"
