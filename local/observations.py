"""A running platform's payments as a merchant sees them: public endpoints alone, as observations.

What only the tables say is not seen: events behind a snapshot, due dates, fees, settlement.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from shared.domain.invariants import (
    ChargeFacts,
    EventObject,
    EventObjects,
    JournalFacts,
    Movement,
    Observation,
    PaymentFacts,
    RefundFacts,
)
from shared.domain.ledger import Layer, Posting
from shared.domain.payment import ChargeStatus, PaymentStatus, RefundStatus

PAGES_MAX = 200
Json = Mapping[str, Any]
# Answers a path with its query string by the JSON of the resource.
Read = Callable[[str], Any]


def observations(read: Read) -> Iterator[Observation]:
    """Yields every payment of the merchant that `read` asks for."""
    charges = _by_payment(read_all(read, "/v1/charges"), _payment_of)
    refunds = _by_payment(read_all(read, "/v1/refunds"), _payment_of)
    network = _by_payment(read_all(read, "/v1/test_helpers/network_transactions"), _payment_of)
    events = _by_payment(read_all(read, "/v1/events"), lambda event: _payment_of(_told_of(event)))
    for intent in read_all(read, "/v1/payment_intents"):
        payment = intent["id"]
        journals = read_all(read, "/v1/ledger/journals", payment_intent=payment)
        yield Observation(
            payment=_facts(intent, _with_latest(read, intent, charges[payment]), refunds[payment]),
            # Without due dates nothing depends on the time.
            now_ms=0,
            journals=tuple(_journal(journal) for journal in journals),
            network=tuple(Movement.of(one, one["charge"]) for one in network[payment]),
            event_objects=EventObjects(tuple(_event_object(event) for event in events[payment])),
        )


def trial_balance(read: Read) -> JournalFacts:
    """Returns the trial balance of all books as one journal, which must balance like any."""
    rows = read("/v1/ledger/trial_balance")["data"]
    columns = (
        ("debits", "credits", Layer.POSTED),
        ("pending_debits", "pending_credits", Layer.PENDING),
    )
    postings = [
        posting
        for row in rows
        for debits, credits, layer in columns
        for posting in _both_sides(row, row[debits], row[credits], layer)
    ]
    return JournalFacts("trial balance", tuple(postings))


def _both_sides(row: Json, debit: int, credit: int, layer: Layer) -> Iterator[Posting]:
    account, currency = row["account"], row["currency"]
    if debit:
        yield Posting(account, currency, debit, 0, layer)
    if credit:
        yield Posting(account, currency, 0, credit, layer)


def read_all(
    read: Read, path: str, *, pages_max: int | None = None, **filters: str
) -> list[dict[str, Any]]:
    """Reads all pages of a list, at most PAGES_MAX where no other bound is given.

    Raises: OverflowError when it has too many.
    """
    found: list[dict[str, Any]] = []
    bound = pages_max or PAGES_MAX
    for _ in range(bound):
        after = {"starting_after": found[-1]["id"]} if found else {}
        page = read(f"{path}?{urlencode({**filters, **after, 'limit': 100})}")
        found += page["data"]
        if not page["has_more"]:
            return found
    raise OverflowError(f"{path} has more than {bound} pages")


def _by_payment(items: Iterable[Json], key: Callable[[Json], str]) -> Mapping[str, list[Json]]:
    groups: dict[str, list[Json]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def _told_of(event: Json) -> Json:
    told: Json = event["data"]["object"]
    return told


def _payment_of(item: Json) -> str:
    return str(item["id"] if item["object"] == "payment_intent" else item.get("payment_intent"))


def _with_latest(read: Read, intent: Json, charges: Sequence[Json]) -> Sequence[Json]:
    """Adds the charge that is still open: it is in no list yet."""
    latest = intent["latest_charge"]
    if latest is not None and latest not in {charge["id"] for charge in charges}:
        charges = [*charges, read(f"/v1/charges/{latest}")]
    # The ids of a payment's charges end in the number of the attempt.
    return sorted(charges, key=lambda charge: str(charge["id"]))


def _facts(intent: Json, charges: Iterable[Json], refunds: Iterable[Json]) -> PaymentFacts:
    status, options = PaymentStatus(intent["status"]), intent["payment_method_options"]["card"]
    return PaymentFacts(
        id=intent["id"],
        status=status,
        is_pending=status is PaymentStatus.PROCESSING,
        is_automatic="manual" not in {intent["capture_method"], options["capture_method"]},
        currency=intent["currency"],
        amount_minor=intent["amount"],
        capturable_minor=intent["amount_capturable"],
        received_minor=intent["amount_received"],
        charges=tuple(
            ChargeFacts(c["id"], ChargeStatus(c["status"]), c["amount"], c["amount_captured"])
            for c in charges
        ),
        refunds=tuple(
            RefundFacts(r["id"], r["charge"], RefundStatus(r["status"]), r["amount"])
            for r in refunds
        ),
    )


def _journal(journal: Json) -> JournalFacts:
    postings = tuple(
        Posting(
            posting["account"],
            posting["currency"],
            posting["debit"],
            posting["credit"],
            Layer(posting["layer"]),
            posting["guarded"],
        )
        for posting in journal["postings"]
    )
    return JournalFacts(journal["id"], postings)


def _event_object(event: Json) -> EventObject:
    return EventObject(event["id"], event["type"], _told_of(event)["id"])
