"""Each region is complete by itself: a merchant at home in any of them is served there whole."""

import json
import subprocess
import sys

import pytest
import stripe

from local.build import ROOT
from local.demo import await_webhook, listener, take_payment
from local.home import STAGE, aws_environment, regions
from local.ministack import NAME as MINISTACK
from tests.e2e.conftest import COMMAND_TIMEOUT_S, Platform
from tests.support.live import eventually, read_all, read_json

pytestmark = pytest.mark.e2e


def merchant_of(platform: Platform, region: str) -> dict[str, str]:
    """Creates a merchant with the operator's command, as on a stage in AWS."""
    command = (sys.executable, "-m", "ops.merchant", "create", "--stage", STAGE, "--home", region)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=aws_environment(platform.home.read("ports.json")[MINISTACK]),
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_TIMEOUT_S,
    )
    return dict(json.loads(done.stdout))


def test_merchant_of_the_second_region_is_served_there_whole(platform: Platform) -> None:
    # given
    first, second = regions()[:2]
    bases = platform.summary["regions"]
    merchant = merchant_of(platform, second)
    client = platform.client(merchant, bases[second])
    with listener() as (url, deliveries):
        endpoint = client.v1.webhook_endpoints.create(
            {"url": url, "enabled_events": ["payment_intent.succeeded"]}
        )
        # when
        payment = take_payment(client)
        refund = client.v1.refunds.create({"payment_intent": payment.id, "amount": 500})
        # then
        event = await_webhook(deliveries, str(endpoint.secret), payment.id)
    assert (event.type, refund.status) == ("payment_intent.succeeded", "succeeded")
    network = read_all(client, "/v1/test_helpers/network_transactions")
    assert [item["type"] for item in network] == ["refund", "sale"]
    totals = eventually(lambda: read_json(client, "/v1/ledger/trial_balance")["totals"], bool)
    assert [total["net"] for total in totals] == [0]
    eventually(
        client.v1.balance.retrieve,
        lambda balance: balance.pending[0].amount == 0 != balance.available[0].amount,
    )
    with pytest.raises(stripe.PermissionError, match=second):
        platform.client(merchant, bases[first]).v1.payment_intents.list()


def test_object_of_one_region_is_not_known_in_the_other(platform: Platform) -> None:
    # given
    first, second = regions()[:2]
    bases = platform.summary["regions"]
    here = platform.client(merchant_of(platform, first), bases[first])
    there = platform.client(merchant_of(platform, second), bases[second])
    customer = here.v1.customers.create({"name": "Jenny"})
    # when, then
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        there.v1.customers.retrieve(customer.id)
