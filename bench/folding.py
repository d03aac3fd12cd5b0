"""What sealing and folding cost: journals per second of one environment, and what it writes.

Speed is of the handler from the stream's images on, over stores in memory that write JSON as the
real ones do; what is left out is the network. Requests, items and write units are recorded from
the real adapters over moto: one unit for each started KB.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.session import get_session
from moto import mock_aws

from bench.recording import Call, Recorder
from functions.seal_ledger.handler import LedgerSeal
from functions.seal_ledger.sealer import Sealer, Stores
from local.invoke import REGION
from shared.adapters import dynamodb
from shared.adapters.dynamodb_available import DynamoAvailableStore
from shared.adapters.dynamodb_blocks import DynamoBlockStore, DynamoStripeStore
from shared.adapters.dynamodb_ledger import DynamoLedgerStore, journal_item
from shared.adapters.dynamodb_pages import DynamoPageStore
from shared.adapters.memory import (
    MemoryAvailableStore,
    MemoryClock,
    MemoryDatabase,
    MemoryLedgerStore,
)
from shared.adapters.memory_blocks import MemoryBlockStore, MemoryStripeStore
from shared.adapters.memory_pages import MemoryPageStore
from shared.domain.events import Event, EventType
from shared.domain.ledger import book_of
from shared.domain.postings import Operation, post
from shared.observability import logger

# Four journals and four events each.
PAYMENTS = 250
TIMED_PAYMENTS = 1_000
QUIET_MERCHANTS = 1_000
# What the issue asks for, per 1,000 journals of one hot account.
HOT_ITEMS_MAX = 40
RATE_MIN = 500
NOW_MS = 1_790_000_000_000
POSTED: Sequence[tuple[str, Mapping[str, int]]] = (
    ("hold", {"amount": 2_000}),
    ("capture", {"amount": 2_000, "held": 2_000}),
    ("fee", {"platform_fee": 88, "provider_fee": 46}),
    ("settle", {"amount": 1_912}),
)
EVENTS = (
    EventType.PAYMENT_CREATED,
    EventType.PAYMENT_CONFIRMED,
    EventType.PAYMENT_CAPTURED,
    EventType.PAYMENT_SETTLED,
)
Image = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """What is told to the sealer.

    Args: batch: records at once. merchants: whose payments they are. events: whether payments'
    events come too, in batches of their own, as they are another stream's.
    """

    name: str
    batch: int
    merchants: int = 1
    events: bool = False

    def batches(self, payments: int) -> Iterator[Sequence[Image]]:
        """Yields batches of images."""
        journals = [i for n in range(payments) for i in _journals(n, self._account(n))]
        events = [i for n in range(payments) for i in _events(n, self._account(n))]
        for images in (events, journals) if self.events else (journals,):
            for start in range(0, len(images), self.batch):
                yield images[start : start + self.batch]

    def _account(self, number: int) -> str:
        return f"acct_1F4rthing{number % self.merchants:06d}"


CASES = (
    Case("hot account, batches of 100", 100),
    Case("hot account, batches of 500", 500),
    Case("hot account with events, of 500", 500, events=True),
    Case("1,000 quiet accounts, of 500", 500, QUIET_MERCHANTS),
    Case("1,000 quiet with events, of 500", 500, QUIET_MERCHANTS, events=True),
)


class _Nowhere:
    """Takes what is no part of the measurement."""

    def ask(self) -> None:
        """Asks nobody."""

    def put(self, letter: Mapping[str, str | None]) -> None:
        """Refuses: no record here is poison."""
        raise RuntimeError(f"a record was set aside: {letter}")


def main() -> bool:
    """Prints a row per case; tells whether all keep within their bounds."""
    logger.setLevel("WARNING")
    columns = ("journals/s", "requests", "reads", "blocks", "pages", "balances", "items", "WRU")
    print(f"{'per 1,000 journals':34}" + "".join(f"{column:>11}" for column in columns))
    kept = [_report(case) for case in CASES]
    print(
        "balances: updates of available balances; items: all that is written, the numbers of folded"
        f" blocks too; at most {HOT_ITEMS_MAX} for a hot account"
    )
    return all(kept)


def _report(case: Case) -> bool:
    rate = _rate(case)
    # A quiet account has one payment.
    payments = QUIET_MERCHANTS if case.merchants > 1 else PAYMENTS
    calls = _recorded(case, payments)
    share = 1_000 / (payments * len(POSTED))
    writes = [write for call in calls for write in call.writes]
    partitions = [write.pk.partition("#")[0] for write in writes]
    items = len(writes) * share
    figures = (
        rate,
        len(calls) * share,
        sum(not call.writes for call in calls) * share,
        partitions.count("BLOCK") * share,
        sum(write.table == "balances" for write in writes) * share
        - partitions.count("AVAILABLE") * share,
        partitions.count("AVAILABLE") * share,
        items,
        sum(write.units for write in writes) * share,
    )
    print(f"{case.name:34}" + "".join(f"{figure:11,.0f}" for figure in figures), flush=True)
    return rate >= RATE_MIN and (case.merchants > 1 or items <= HOT_ITEMS_MAX)


def _rate(case: Case) -> float:
    database = MemoryDatabase()
    seal = _seal(
        Stores(
            blocks=MemoryBlockStore(),
            pages=MemoryPageStore(),
            stripes=MemoryStripeStore(),
            ledger=MemoryLedgerStore(database),
            available=MemoryAvailableStore(database),
        )
    )
    batches = [_told(images) for images in case.batches(TIMED_PAYMENTS)]
    started = time.perf_counter()
    for batch in batches:
        seal.handle(batch, None)
    return TIMED_PAYMENTS * len(POSTED) / (time.perf_counter() - started)


def _recorded(case: Case, payments: int) -> list[Call]:
    recorder = Recorder()
    with _tables(recorder) as client:
        seal = _seal(
            Stores(
                blocks=DynamoBlockStore(client, "evidence"),
                pages=DynamoPageStore(client, "balances"),
                stripes=DynamoStripeStore(client, "evidence"),
                ledger=DynamoLedgerStore(client, "ledger"),
                available=DynamoAvailableStore(client, "balances"),
            )
        )
        for images in case.batches(payments):
            seal.handle(_told(images), None)
    return recorder.calls


def _seal(stores: Stores) -> LedgerSeal:
    nowhere = _Nowhere()
    return LedgerSeal(Sealer(stores, MemoryClock(NOW_MS)), nowhere, nowhere, logger)


@contextmanager
def _tables(recorder: Recorder) -> Iterator[Any]:
    with mock_aws():
        session = get_session()
        client: Any = session.create_client("dynamodb", REGION)
        for name in ("evidence", "balances", "ledger"):
            client.create_table(
                TableName=name,
                KeySchema=[
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                AttributeDefinitions=[
                    {"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")
                ],
                BillingMode="PAY_PER_REQUEST",
            )
        # Clients take their listeners when they are made.
        recorder.listen(session)
        yield session.create_client("dynamodb", REGION)


def _told(images: Sequence[Image]) -> Mapping[str, Any]:
    return {
        "Records": [{"eventName": "INSERT", "dynamodb": {"NewImage": image}} for image in images]
    }


def _payment(number: int) -> str:
    return f"pi_{number:024d}"


def _journals(number: int, account: str) -> Iterator[Image]:
    for place, (kind, amounts) in enumerate(POSTED):
        at_ms = NOW_MS + number + place
        operation = Operation(
            account=account,
            livemode=True,
            subject=_payment(number),
            reference=f"ch_{number:024d}01",
            currency="usd",
            occurred_at_ms=at_ms,
            posted_at_ms=at_ms,
            parties={"provider": "sandbox"},
        )
        journal = post(kind, operation, amounts)
        if journal is not None:
            yield journal_item(journal)


def _events(number: int, account: str) -> Iterator[Image]:
    previous_hash = ""
    request = {"id": f"req_{number:024d}", "idempotency_key": f"key-{number}", "actor": "platform"}
    for version, event_type in enumerate(EVENTS, 1):
        payment = _payment(number)
        at_ms = NOW_MS + number + version
        data = {"amount_minor": 2_000}
        event = Event(payment, version, event_type, at_ms, data, request, previous_hash)
        previous_hash = event.hash
        yield {
            "pk": {"S": payment},
            "sk": {"S": f"EV#{version:08d}"},
            "type": {"S": event.type},
            "occurred_at_ms": {"N": str(at_ms)},
            "body": dynamodb.dump(event.data),
            "request": dynamodb.dump(event.request),
            "previous_hash": {"S": event.previous_hash},
            "hash": {"S": event.hash},
            "key_id": {"S": "2026-11-22"},
            "mac": {"S": event.hash},
            "book": {"S": book_of(account, livemode=True)},
        }
