"""The audit over DynamoDB: what it finds, what it leaves alone, how far it goes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.audit_invariants import handler as audit_invariants
from functions.audit_invariants.handler import PAGES_MAX, Audit
from functions.audit_invariants.observer import QUIET_MS, Observer
from shared.adapters.dynamodb_documents import DynamoDocumentStore, DynamoIdempotencyStore
from shared.adapters.dynamodb_ledger import DynamoLedgerStore
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.dynamodb_walk import DynamoPaymentWalk
from shared.adapters.memory_provider import MemoryProvider
from shared.domain.errors import ProviderUnavailableError, UnknownOutcomeError
from shared.domain.events import Event
from shared.domain.invariants import OVERDUE_AFTER_MS, Rule
from shared.domain.payment import Payment
from shared.domain.ports import Clock, PaymentStore
from shared.domain.sandbox_network import (
    Operation,
    Transaction,
    TransactionPage,
    transaction_to_json,
)
from shared.wire.events import event_write
from tests.support.aws import REGION, create_payment_tables, create_table
from tests.support.composition import forget_composition
from tests.support.faults import fail_provider
from tests.support.logs import recorded_logger
from tests.support.telling import TellingStore, TellingWorld

SAMPLE = Path(__file__).parents[2] / "events" / "audit_invariants.json"
NETWORK_RULES = {str(Rule.NETWORK_AGREES), str(Rule.ONE_EFFECT)}


class TableWorld(TellingWorld):
    """The platform on tables, with event objects."""

    def open_stores(self) -> None:
        self.client: Any = boto3.client("dynamodb", region_name=REGION)
        self.tables = create_payment_tables(self.client)
        self.tables["audit"] = create_table(self.client, "audit")
        objects, keys = self.tables["objects"], self.tables["idempotency"]
        self.documents = DynamoDocumentStore(self.client, objects, keys, self.database.signer)
        self.idempotency = DynamoIdempotencyStore(self.client, keys, objects, self.clock)
        self.ledger = DynamoLedgerStore(self.client, self.tables["ledger"])
        store = DynamoPaymentStore(self.client, self.tables, self.database.signer)
        self.payments = self.telling = TellingStore(store)

    def relay(self, *endpoints: str) -> None:
        """Writes the event objects of all changes."""
        for announcements in self.telling.told.values():
            for announcement in announcements:
                write = event_write(announcement, self.clock.now_ms(), endpoints)
                self.documents.put_events([write])

    def items(self, *names: str) -> dict[str, list[Any]]:
        """Returns what is in tables."""
        return {
            name: sorted(self.client.scan(TableName=self.tables[name])["Items"], key=str)
            for name in names or self.tables
        }


@dataclass
class Record:
    """The network's own record, as its service tells it."""

    provider: MemoryProvider
    clock: Clock
    calls: int = 0
    error: Exception | None = None
    more: list[Transaction] = field(default_factory=list)
    pages: int = 100

    def transactions(
        self,
        account: str,
        payment_id: str | None = None,
        limit: int = 10,
        starting_after: str | None = None,
    ) -> TransactionPage:
        self.calls += 1
        if self.error is not None:
            raise self.error
        found = [
            transaction_to_json(transaction, self.clock.now_ms())
            for transaction in [*self.provider.effects(), *self.more]
            if (transaction.merchant, transaction.payment_intent) == (account, payment_id)
        ]
        names = [transaction["id"] for transaction in found]
        start = names.index(starting_after) + 1 if starting_after else 0
        end = start + min(limit, self.pages)
        return TransactionPage(tuple(found[start:end]), end < len(found))


class Bench:
    """A platform and its audit."""

    def __init__(self) -> None:
        self.world = TableWorld()
        self.merchant = self.world.merchant()
        self.record = Record(self.world.provider, self.world.clock)
        self.logger, self.log = recorded_logger()

    def pay(self, **params: Any) -> str:
        """Makes a payment; returns its id."""
        body = self.world.pay(self.merchant, **params).body
        return str(body.get("id") or body["error"]["payment_intent"]["id"])

    def refund(self, payment: str, amount: int) -> None:
        order = {"payment_intent": payment, "amount": amount}
        self.world.call("POST", "/v1/refunds", order, merchant=self.merchant)

    def quiet(self, *endpoints: str) -> None:
        """Has everything told, and lets the time go by that the audit waits."""
        self.world.relay(*endpoints)
        self.world.clock.advance(QUIET_MS)

    def audit(self, payments: PaymentStore | None = None) -> dict[str, Any]:
        """Runs the audit once."""
        world = self.world
        observer = Observer(
            payments or world.payments, world.ledger, world.documents, self.record, world.clock
        )
        walk = DynamoPaymentWalk(world.client, world.tables["payments"], world.tables["audit"])
        return Audit(walk, observer, self.logger).run()

    def reports(self) -> list[tuple[str, str]]:
        """Returns rule and payment of every violation in the log."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [(line["rule"], line["payment"]) for line in lines if line.get("violated") is True]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with mock_aws():
        yield Bench()


def key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def test_audit_sound_payments_are_judged_by_every_rule(bench: Bench) -> None:
    # given
    paid = bench.pay()
    bench.world.settle(paid)
    for amount in (300, 400):
        bench.refund(paid, amount)
    bench.pay(capture_method="manual")
    bench.pay(confirm="false")
    bench.pay(payment_method="pm_card_chargeDeclined")
    bench.quiet()
    # when
    summary = bench.audit()
    # then
    assert summary == {
        "payments": 4,
        "judged": 4,
        "violations": 0,
        "walked": True,
        "skipped": {},
    }
    assert bench.reports() == []


def test_audit_writes_nothing_but_its_place(bench: Bench) -> None:
    # given
    bench.refund(bench.pay(), 300)
    bench.quiet()
    before = bench.world.items()
    # when
    bench.audit()
    # then
    after = bench.world.items()
    assert len(after.pop("audit")) == 1
    assert before.pop("audit") == []
    assert after == before


def test_audit_leaves_alone_what_changed_lately(bench: Bench) -> None:
    # given
    bench.pay()
    bench.world.clock.advance(QUIET_MS - 1)
    # then: though no event object was made yet
    assert bench.audit()["judged"] == 0
    # when
    bench.world.clock.advance(1)
    # then
    assert bench.audit()["judged"] == 1
    assert {rule for rule, _ in bench.reports()} == {Rule.TOLD_ONCE}


class Meddler(TellingStore):
    """Has somebody change the payment once its events were read."""

    def __init__(self, bench: Bench, payment: str) -> None:
        super().__init__(bench.world.payments)
        self._bench, self._payment = bench, payment

    def events(self, payment_id: str) -> tuple[Event, ...]:
        found = super().events(payment_id)
        self._bench.world.settle(self._payment)
        return found


def test_audit_leaves_alone_what_changes_while_it_looks(bench: Bench) -> None:
    # given
    meddler = Meddler(bench, bench.pay())
    bench.quiet()
    # when
    summary = bench.audit(meddler)
    # then
    assert (summary["payments"], summary["judged"]) == (1, 0)


def lose_journal(bench: Bench, payment: Payment) -> None:
    sk = f"{payment.id}/fee/{payment.latest_charge.id}"
    bench.world.client.delete_item(TableName="ledger", Key=key(payment.id, sk))


def lose_event(bench: Bench, payment: Payment) -> None:
    bench.world.client.delete_item(TableName="payments", Key=key(payment.id, "EV#00000003"))


def lose_event_object(bench: Bench, payment: Payment) -> None:
    told = bench.world.telling.told[payment.id][0]
    bench.world.client.delete_item(TableName="objects", Key=key(told.id, "OBJECT"))


def change_snapshot(bench: Bench, payment: Payment) -> None:
    text = json.dumps({**payment.to_dict(), "amount_received_minor": 1})
    bench.world.client.update_item(
        TableName="payments",
        Key=key(payment.id, "STATE"),
        UpdateExpression="SET body = :body",
        ExpressionAttributeValues={":body": {"S": text}},
    )


def charge_again(bench: Bench, _: Payment) -> None:
    (sale,) = bench.world.provider.effects(Operation.SALE)
    bench.record.more.append(sale)


def unbalance_journal(bench: Bench, payment: Payment) -> None:
    item = {
        **key(payment.id, f"{payment.id}/odd/1"),
        "body": {"S": json.dumps({**ODD_JOURNAL, "subject": payment.id})},
    }
    bench.world.client.put_item(TableName="ledger", Item=item)


def garble_event(bench: Bench, payment: Payment) -> None:
    bench.world.client.update_item(
        TableName="payments",
        Key=key(payment.id, "EV#00000002"),
        UpdateExpression="SET body = :body",
        ExpressionAttributeValues={":body": {"S": '{"secret": "4242424242424242"'}},
    )


ODD_JOURNAL: Mapping[str, Any] = {
    "id": "odd",
    "account": "acct_one",
    "livemode": False,
    "kind": "odd",
    "reference": "1",
    "occurred_at_ms": 1,
    "posted_at_ms": 1,
    "postings": [
        {
            "account": "4000",
            "currency": "usd",
            "debit_minor": 1,
            "credit_minor": 0,
            "layer": "posted",
        }
    ],
}
FAULTS = [
    (lose_journal, Rule.BOOKS_AGREE),
    (lose_event, Rule.STATE_IS_REPLAY),
    (lose_event_object, Rule.TOLD_ONCE),
    (change_snapshot, Rule.STATE_IS_REPLAY),
    (charge_again, Rule.NETWORK_AGREES),
    (charge_again, Rule.ONE_EFFECT),
    (unbalance_journal, Rule.RECORD_IS_READABLE),
    (garble_event, Rule.RECORD_IS_READABLE),
]


@pytest.mark.parametrize(
    ("fault", "rule"), FAULTS, ids=[f"{fault.__name__}-{rule}" for fault, rule in FAULTS]
)
def test_audit_reports_what_is_broken_and_judges_the_others(
    bench: Bench, fault: Any, rule: Rule
) -> None:
    # given
    broken = bench.pay()
    sound = bench.pay(confirm="false")
    bench.quiet()
    fault(bench, bench.world.load(broken))
    # when
    summary = bench.audit()
    # then
    reports = bench.reports()
    assert (str(rule), broken) in reports
    assert sound not in {payment for _, payment in reports}
    assert summary["violations"] == len(reports)
    assert summary["payments"] == 2
    assert "4242" not in bench.log.getvalue()


def test_audit_event_that_nobody_tried_to_deliver_is_reported(bench: Bench) -> None:
    # given: two endpoints, of which one was tried
    payment = bench.pay(confirm="false")
    bench.quiet("we_1", "we_2")
    (told,) = bench.world.telling.told[payment]
    bench.world.client.update_item(
        TableName="objects",
        Key=key(told.id, "OBJECT"),
        UpdateExpression="ADD tried :one",
        ExpressionAttributeValues={":one": {"SS": ["we_1"]}},
    )
    # when
    bench.audit()
    # then
    assert bench.reports() == [(Rule.DELIVERY_TRIED, payment)]
    assert "not sent to 1 webhook" in bench.log.getvalue()


def test_audit_operation_that_nobody_looks_after_is_reported_an_hour_late(bench: Bench) -> None:
    # given
    fail_provider(bench.world, None, "after_effect", UnknownOutcomeError("lost"), times=9)
    payment = bench.pay()
    bench.quiet()
    bench.audit()
    assert bench.reports() == []
    # when
    bench.world.clock.advance(OVERDUE_AFTER_MS)
    bench.audit()
    # then
    assert bench.reports() == [(Rule.NOT_OVERDUE, payment)]


@pytest.mark.parametrize("error", [ProviderUnavailableError, UnknownOutcomeError])
def test_audit_network_that_does_not_answer_is_asked_once_and_skipped(
    bench: Bench, error: type[Exception]
) -> None:
    # given
    bench.pay()
    bench.pay()
    bench.quiet()
    bench.record.error = error("gone")
    # when
    summary = bench.audit()
    # then
    assert bench.record.calls == 1
    assert summary["judged"] == 2
    assert summary["violations"] == 0
    assert summary["skipped"] == dict.fromkeys(NETWORK_RULES, 2)


def test_audit_reads_all_pages_of_the_network(bench: Bench) -> None:
    # given
    payment = bench.pay()
    bench.refund(payment, 300)
    bench.refund(payment, 400)
    bench.quiet()
    bench.record.pages = 1
    # when
    summary = bench.audit()
    # then
    assert bench.record.calls == 3
    assert (summary["judged"], summary["violations"], summary["skipped"]) == (1, 0, {})


class ShortWalk:
    """A walk of one payment each page."""

    def __init__(self, payments: list[str]) -> None:
        self.payments = payments
        self.kept: list[str | None] = [None]

    def place(self) -> str | None:
        return self.kept[-1]

    def page(self, place: str | None) -> tuple[list[str], str | None]:
        index = self.payments.index(place) + 1 if place else 0
        payment = self.payments[index]
        return [payment], payment if index + 1 < len(self.payments) else None

    def keep(self, place: str | None) -> None:
        self.kept.append(place)


def test_audit_goes_so_far_at_each_run_and_then_on(bench: Bench) -> None:
    # given
    payments = [bench.pay(confirm="false") for _ in range(PAGES_MAX + 2)]
    bench.quiet()
    world, walk = bench.world, ShortWalk(payments)
    observer = Observer(world.payments, world.ledger, world.documents, None, world.clock)
    # when
    runs = [Audit(walk, observer, bench.logger).run() for _ in range(3)]
    # then: two runs are a walk, and the third begins anew
    assert [run["payments"] for run in runs] == [PAGES_MAX, 2, PAGES_MAX]
    assert [run["walked"] for run in runs] == [False, True, False]
    assert walk.kept[1:] == [*payments[: PAGES_MAX + 1], None, *payments[:PAGES_MAX]]
    assert set(runs[0]["skipped"]) == NETWORK_RULES


def test_handler_sample_event_is_a_run_over_the_tables(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    bench.pay(confirm="false")
    bench.world.relay()
    monkeypatch.setenv("AWS_REGION", REGION)
    for name, table in bench.world.tables.items():
        monkeypatch.setenv(f"{name.upper()}_TABLE", table)
    monkeypatch.setenv("FARTHING_STAGE", "test")
    monkeypatch.setenv("EVENT_KEY_ARN", "not used: it writes no event")
    forget_composition()
    # when
    summary = audit_invariants.handler(json.loads(SAMPLE.read_text()), None)
    forget_composition()
    # then
    assert summary["payments"] == 1
    assert summary["walked"]
