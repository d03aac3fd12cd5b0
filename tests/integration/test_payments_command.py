"""The operator's command for payments, against tables in moto."""

import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ops import payments, stages
from shared.adapters.dynamodb_due import DynamoDueIndex
from shared.adapters.memory import MemoryClock, MemoryDatabase, MemoryPaymentStore
from shared.domain.changes import Context, Draft, PaymentChange
from shared.domain.errors import VersionConflictError
from shared.domain.events import EventType
from shared.domain.payment import Payment
from shared.domain.ports import PaymentStore
from shared.domain.resolution import SWEEP_AFTER_MS
from tests.support.aws import create_payment_tables
from tests.support.payments import (
    AUTHORIZED,
    CAPTURED,
    CHARGE_ID,
    CONFIRMED,
    CONTEXT,
    CREATED,
    OUTCOME_UNKNOWN,
    PAYMENT_ID,
    REFUND_ID,
    REFUND_PENDING,
    REFUND_REQUESTED,
    SETTLED,
    advance,
)

HOME, OTHER = "us-east-1", "eu-west-1"
EVENT_KEY = "alias/events"
NOW_MS = CONTEXT.now_ms + 5_000
TAKEN = (CREATED, CONFIRMED, AUTHORIZED, CAPTURED)
PARKED = (CREATED, CONFIRMED, (OUTCOME_UNKNOWN[0], {**OUTCOME_UNKNOWN[1], "due_at_ms": None}))
PARKED_REFUND = (
    *TAKEN,
    REFUND_REQUESTED,
    (REFUND_PENDING[0], {**REFUND_PENDING[1], "due_at_ms": None}),
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryClock]:
    """The operator's clock; the tables of the stage "dev" are there.

    moto has no CloudFormation here, so its answer is given.
    """
    environment = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    monkeypatch.setattr(os, "environ", {**os.environ, **environment})
    monkeypatch.setattr(stages, "stack_outputs", outputs)
    clock = MemoryClock(NOW_MS)
    monkeypatch.setattr(payments, "SystemClock", lambda: clock)
    with mock_aws():
        for region in (HOME, OTHER):
            create_payment_tables(boto3.client("dynamodb", region_name=region))
            kms = boto3.client("kms", region_name=region)
            kms.create_alias(
                AliasName=EVENT_KEY, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"]
            )
        yield clock


def outputs(stack: str, region: str) -> dict[str, str]:
    assert stack == f"Farthing-dev-{region}-Data"
    tables = {output: table for table, output in payments.TABLES.items()}
    return {**tables, "EvidenceTable": "evidence", "EventKeyArn": EVENT_KEY}


def given(store: PaymentStore, *drafts: Draft) -> Payment:
    payment, events = advance(None, PAYMENT_ID, drafts, CONTEXT)
    store.commit(PaymentChange(0, payment, events))
    return payment


def stored(region: str = HOME) -> Payment | None:
    return payments.open_store("dev", region).load(PAYMENT_ID)


def swept(now_ms: int) -> list[str]:
    """Returns what a sweep finds at that time."""
    index = DynamoDueIndex(boto3.client("dynamodb", region_name=HOME), "payments")
    return list(index.overdue(now_ms - SWEEP_AFTER_MS, 64))


class Command:
    """Runs the command line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.printed = ""

    def __call__(self, name: str, *arguments: str, payment: str = PAYMENT_ID) -> Any:
        argv = ["ops.payments", name, "--stage", "dev", *arguments, payment]
        self._monkeypatch.setattr(sys, "argv", argv)
        payments.main()
        self.printed = self._capsys.readouterr().out
        return json.loads(self.printed)


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clock: MemoryClock
) -> Command:
    return Command(monkeypatch, capsys)


def test_show_operation_that_waits_tells_what_is_open_and_where_to_look(command: Command) -> None:
    # given
    given(payments.open_store("dev", HOME), *PARKED)
    # when
    shown = command("show")
    # then
    assert (shown["payment"], shown["status"], shown["version"]) == (PAYMENT_ID, "processing", 3)
    assert shown["waits_for_person"] is True
    assert shown["open"] == [
        {
            "operation": "authorization",
            "amount_minor": 1500,
            "requested_at": "2026-09-21T14:13:20.000+00:00",
            "due_at": None,
            "waits_for_person": True,
        }
    ]
    assert shown["provider"]["charge"] == CHARGE_ID
    assert f"{CHARGE_ID}/sale" in shown["provider"]["idempotency_keys"]
    assert f"{CHARGE_ID}/capture" in shown["provider"]["idempotency_keys"]
    assert [event["type"] for event in shown["events"]] == [draft[0] for draft in PARKED]
    assert {datetime.fromisoformat(event["at"]).timestamp() for event in shown["events"]} == {
        CONTEXT.now_ms / 1000
    }


def test_show_refund_tells_the_references_of_the_refund(command: Command) -> None:
    given(payments.open_store("dev", HOME), *PARKED_REFUND)
    shown = command("show")
    (refund,) = shown["open"]
    assert (refund["operation"], refund["refund"]) == ("refund", REFUND_ID)
    assert refund["idempotency_key"] == f"{REFUND_ID}/refund"
    assert refund["provider_reference"] == "ntx_2"
    assert (refund["amount_minor"], refund["due_at"]) == (500, None)
    assert shown["provider"]["reference"] == "ntx_1"


@pytest.mark.parametrize("drafts", [PARKED, PARKED_REFUND])
@pytest.mark.parametrize("name", ["show", "look-again"])
def test_command_tells_nothing_of_the_card_and_no_secret(
    command: Command, name: str, drafts: tuple[Draft, ...]
) -> None:
    given(payments.open_store("dev", HOME), *drafts)
    command(name)
    assert PAYMENT_ID in command.printed
    for hidden in ("4242", "test:visa", "visa", "fingerprint", "_secret_", "pm_1"):
        assert hidden not in command.printed


def test_show_payment_without_a_charge_and_with_many_events_tells_the_last(
    command: Command,
) -> None:
    # given
    update: Draft = (EventType.PAYMENT_UPDATED, {"changes": {"details": {}}})
    updates = [update] * payments.EVENTS_SHOWN
    given(payments.open_store("dev", HOME), CREATED, *updates)
    # when
    shown = command("show")
    # then
    assert shown["provider"] is None
    assert shown["open"] == []
    assert len(shown["events"]) == payments.EVENTS_SHOWN
    assert shown["events"][-1]["version"] == shown["version"]


@pytest.mark.parametrize("drafts", [PARKED, PARKED_REFUND])
def test_look_again_has_the_sweeper_find_what_waited(
    command: Command, clock: MemoryClock, drafts: tuple[Draft, ...]
) -> None:
    # given
    before = given(payments.open_store("dev", HOME), *drafts)
    assert swept(NOW_MS + 120_000) == []
    # when
    done = command("look-again")
    # then
    assert command.printed.count("\n") == 1
    assert (done["payment"], done["version"]) == (PAYMENT_ID, before.version + 1)
    (work,) = done["looked_after"]
    assert datetime.fromisoformat(work["due_at"]).timestamp() == NOW_MS / 1000
    payment = stored()
    assert payment is not None
    assert not payment.waits_for_person
    assert payment.due_at_ms == NOW_MS
    assert swept(NOW_MS + 120_000) == [PAYMENT_ID]


def test_look_again_in_the_named_region_leaves_the_other_alone(command: Command) -> None:
    for region in (HOME, OTHER):
        given(payments.open_store("dev", region), *PARKED)
    command("look-again", "--region", OTHER)
    home, other = stored(HOME), stored(OTHER)
    assert home is not None
    assert other is not None
    assert (home.waits_for_person, other.waits_for_person) == (True, False)


def test_look_again_is_recorded_with_who_asked_and_why(command: Command) -> None:
    # given
    given(payments.open_store("dev", HOME), *PARKED)
    # when
    command("look-again", "--operator", "ada", "--reason", "case 17")
    # then
    event = payments.open_store("dev", HOME).events(PAYMENT_ID)[-1]
    assert event.request == {"id": None, "idempotency_key": None, "actor": "operator:ada"}
    assert event.data["reason"] == "case 17"


def test_look_again_at_what_is_overdue_keeps_its_date(command: Command, clock: MemoryClock) -> None:
    # given: it is past its date, so that the sweeper finds it without being told
    before = given(payments.open_store("dev", HOME), CREATED, CONFIRMED)
    clock.advance(60_000)
    # when
    done = command("look-again")
    # then
    (work,) = done["looked_after"]
    assert work["due_at"] == "2026-09-21T14:14:20.000+00:00"
    assert stored() == before


@pytest.mark.parametrize("drafts", [(CREATED, CONFIRMED), TAKEN, (*TAKEN, REFUND_REQUESTED)])
def test_look_again_where_nothing_waits_is_refused_and_changes_nothing(
    command: Command, drafts: tuple[Draft, ...]
) -> None:
    before = given(payments.open_store("dev", HOME), *drafts)
    with pytest.raises(SystemExit, match=f"nothing on {PAYMENT_ID} waits for a person"):
        command("look-again")
    assert stored() == before


def test_look_again_beside_another_writer_changes_nothing() -> None:
    # given: the payment changes after it was read
    store = MemoryPaymentStore(MemoryDatabase())
    read = given(store, *PARKED_REFUND)
    newer, events = advance(read, PAYMENT_ID, [SETTLED], CONTEXT)
    store.commit(PaymentChange(read.version, newer, events))
    # when
    with pytest.raises(VersionConflictError):
        payments.look_again(store, read, Context(NOW_MS, actor="operator:ada"))
    # then
    assert store.load(PAYMENT_ID) == newer


@pytest.mark.parametrize("name", ["show", "look-again"])
@pytest.mark.parametrize(
    ("arguments", "payment", "reason"),
    [
        ((), "pi_000000000000000000000000", f"no payment pi_0+ in {HOME}; .*--region {OTHER}"),
        (("--region", OTHER), PAYMENT_ID, f"in {OTHER}; .*--region {HOME}"),
        ((), CHARGE_ID, f"{CHARGE_ID} is not the id of a payment"),
        ((), "pi_1", "pi_1 is not the id of a payment"),
        (("--region", "ap-south-1"), PAYMENT_ID, "ap-south-1 is not a region of dev"),
        (("--stage", "nowhere"), PAYMENT_ID, "no stage nowhere"),
    ],
)
def test_command_with_wrong_arguments_says_what_to_change(
    command: Command, name: str, arguments: tuple[str, ...], payment: str, reason: str
) -> None:
    given(payments.open_store("dev", HOME), *PARKED)
    with pytest.raises(SystemExit, match=reason) as refused:
        command(name, *arguments, payment=payment)
    assert isinstance(refused.value.code, str)  # the interpreter prints it and exits with 1
