"""The evidence of a running platform: verified by an outsider, locked, and corrected only once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe
from botocore.exceptions import ClientError

from local.build import ROOT
from local.home import aws_environment, regions
from local.ministack import NAME as MINISTACK
from tests.e2e.conftest import Platform
from tests.support.deployed import Deployed
from tests.support.live import eventually, read_json

pytestmark = pytest.mark.e2e

TIMEOUT_S = 120
WITHIN_S = 90


def run(module: str, *arguments: str, environment: dict[str, str]) -> tuple[int, str]:
    """Runs a command of the checkout; returns its exit code and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    return done.returncode, done.stdout + done.stderr


def operate(platform: Platform, *arguments: str) -> tuple[int, str]:
    """Runs the operator's command for the ledger."""
    port = int(platform.home.read("ports.json")[MINISTACK])
    stage = ("--stage", "local")
    return run("ops.ledger", *arguments, *stage, environment=aws_environment(port))


@pytest.fixture(scope="module")
def payment(client: stripe.StripeClient) -> stripe.PaymentIntent:
    """A payment that was authorized, captured in part a second later, and refunded in part."""
    made = client.v1.payment_intents.create(
        {
            "amount": 3_000,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "capture_method": "manual",
        }
    )
    # What was then is asked for by the second.
    now = made.created
    eventually(lambda: int(time.time()), lambda second: second > now + 1)
    client.v1.payment_intents.capture(made.id, {"amount_to_capture": 2_000})
    client.v1.refunds.create({"payment_intent": made.id, "amount": 500})
    return made


@pytest.mark.usefixtures("payment")
def test_running_platform_is_verified_by_its_public_keys(platform: Platform) -> None:
    # given
    environment = {**os.environ, "FARTHING_HOME": str(platform.home.folder)}

    # when
    def verified() -> tuple[int, str]:
        return run("local.verify_running", environment=environment)

    # then: the first checkpoint comes ten seconds after the first payment
    code, said = eventually(verified, lambda answer: answer[0] == 0, within_s=WITHIN_S)
    assert code == 0
    assert "carry the platform's signature" in said


@pytest.mark.usefixtures("payment")
def test_projections_are_what_they_are_made_of(platform: Platform) -> None:
    code, said = eventually(
        lambda: operate(platform, "rebuild"), lambda answer: answer[0] == 0, within_s=WITHIN_S
    )
    assert code == 0, said


def test_payment_is_shown_as_it_was(
    client: stripe.StripeClient, payment: stripe.PaymentIntent
) -> None:
    # when
    then = read_json(client, f"/v1/ledger/payment_intents/{payment.id}?as_of={payment.created}")
    now = read_json(client, f"/v1/ledger/payment_intents/{payment.id}")
    # then
    assert (then["status"], then["amount_capturable"]) == ("requires_capture", 3_000)
    assert (now["status"], now["amount_received"]) == ("succeeded", 2_000)


def test_changes_are_told_with_who_made_them(
    client: stripe.StripeClient, payment: stripe.PaymentIntent
) -> None:
    # when
    records = read_json(client, f"/v1/ledger/audit_log?entity={payment.id}&limit=100")["data"]
    # then
    actions = {record["action"]: record["actor"] for record in records}
    assert actions["payment_captured"].startswith("key:")
    assert {"payment_authorized", "refund_requested", "refund_succeeded"} <= actions.keys()


def checkpoints(platform: Platform, region: str) -> tuple[Any, str, Sequence[Any]]:
    """Returns a client, the bucket, and the versions of the checkpoints in it."""
    deployed = Deployed(platform.home)
    session, endpoint = deployed.session(region)
    client: Any = session.client("s3", endpoint_url=endpoint)
    bucket = deployed.outputs("Data", region)["CheckpointBucket"]
    versions = client.list_object_versions(Bucket=bucket, Prefix="checkpoints/").get("Versions", ())
    return client, bucket, versions


@pytest.mark.usefixtures("payment")
@pytest.mark.parametrize("region", regions())
def test_checkpoint_cannot_be_taken_back(platform: Platform, region: str) -> None:
    # given
    client, bucket, versions = eventually(
        lambda: checkpoints(platform, region), lambda found: bool(found[2]), within_s=WITHIN_S
    )
    version = {"Key": versions[0]["Key"], "VersionId": versions[0]["VersionId"]}
    # when
    with pytest.raises(ClientError) as refused:
        client.delete_object(Bucket=bucket, BypassGovernanceRetention=True, **version)
    # then
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    signed = json.loads(client.get_object(Bucket=bucket, **version)["Body"].read())
    assert signed["checkpoint"]["region"] == region


def test_journal_reversed_by_several_at_once_is_reversed_once(
    platform: Platform, client: stripe.StripeClient, payment: stripe.PaymentIntent
) -> None:
    # given
    journals = read_json(client, f"/v1/ledger/journals?payment_intent={payment.id}&limit=100")
    (fee,) = [journal["id"] for journal in journals["data"] if journal["kind"] == "fee"]
    reason = ("--reason", "charged by mistake", "--operator", "test")
    # when
    with ThreadPoolExecutor(4) as pool:
        tries = [pool.submit(operate, platform, "reverse", fee, *reason) for _ in range(4)]
        codes = [one.result()[0] for one in tries]
    # then
    assert sorted(code == 0 for code in codes) == [False, False, False, True]
    journals = read_json(client, f"/v1/ledger/journals?payment_intent={payment.id}&limit=100")
    (correction,) = [one for one in journals["data"] if one["reverses"] == fee]
    assert (correction["reason"], correction["id"]) == ("charged by mistake", f"{fee}/reversal")
    told = read_json(client, f"/v1/ledger/audit_log?entity={fee}")["data"]
    assert {record["actor"] for record in told} == {"operator:test"}
    totals = eventually(
        lambda: read_json(client, "/v1/ledger/trial_balance"),
        lambda balance: (
            not any(row["net"] for row in balance["data"] if row["account"].startswith("4000:"))
        ),
    )["totals"]
    assert [total["net"] for total in totals] == [0]
