"""What `make up` and `make merchant` promise."""

import http.client
import json
import re
from urllib.parse import urlsplit

import boto3
import pytest
import stripe
from botocore.exceptions import ClientError

from local.demo import await_folded, await_webhook, listener, read, take_payment
from local.deployment import api_id
from local.home import regions
from local.ministack import NAME as MINISTACK
from local.up import ROLES
from tests.e2e.conftest import Platform

pytestmark = pytest.mark.e2e

TIMEOUT_S = 30
BARE_ADDRESS = re.compile(r"http://127\.0\.0\.1:[0-9]+")


def get(base: str, target: str, key: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=TIMEOUT_S)
    try:
        connection.request("GET", target, headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_summary_names_bare_addresses_and_the_demo_merchant(platform: Platform) -> None:
    summary = platform.summary
    assert set(summary) == {"api_base", "account", "secret_key", "publishable_key", "regions"}
    assert set(summary["regions"]) == set(regions())
    assert summary["api_base"] == summary["regions"][regions()[0]]
    for base in summary["regions"].values():
        assert BARE_ADDRESS.fullmatch(base)


def test_merchant_command_creates_an_empty_store(platform: Platform) -> None:
    # when
    merchant = platform.merchant()
    # then
    assert set(merchant) == {"account", "secret_key", "publishable_key"}
    client = platform.client(merchant)
    assert client.v1.payment_intents.list().data == []
    assert client.v1.customers.list().data == []
    assert client.v1.events.list().data == []


def test_key_at_another_region_is_told_its_home(platform: Platform) -> None:
    # given
    home, other = regions()[:2]
    # when
    status, headers, body = get(
        platform.summary["regions"][other], "/v1/balance", platform.summary["secret_key"]
    )
    # then
    error = json.loads(body)["error"]
    assert status == 403
    assert error["code"] == "account_home_region_mismatch"
    assert home in error["message"]
    assert headers["farthing-home-region"] == home


def test_payment_is_booked_and_announced(platform: Platform) -> None:
    # given
    client = platform.client(platform.merchant())
    with listener() as (url, deliveries):
        endpoint = client.v1.webhook_endpoints.create(
            {"url": url, "enabled_events": ["payment_intent.succeeded"]}
        )
        # when
        payment = take_payment(client)
        # then
        event = await_webhook(deliveries, str(endpoint.secret), payment.id)
    assert event.type == "payment_intent.succeeded"
    journals = read(client, f"/v1/ledger/journals?payment_intent={payment.id}")["data"]
    assert {"hold", "capture", "fee"} <= {journal["kind"] for journal in journals}
    await_folded(client, journals[0]["id"])
    totals = read(client, "/v1/ledger/trial_balance")["totals"]
    assert [(total["currency"], total["net"]) for total in totals] == [("usd", 0)]


@pytest.fixture
def enforcing(platform: Platform) -> Platform:
    """The platform, where it enforces roles: that of make test does, that of make up does not."""
    if not platform.home.read(ROLES)["enforced"]:
        pytest.skip("this platform does not enforce roles")
    return platform


def test_roles_are_enforced_by_the_emulator(enforcing: Platform) -> None:
    # given: credentials that nobody issued
    port = enforcing.home.read("ports.json")[MINISTACK]
    client = boto3.client(
        "dynamodb",
        region_name=regions()[0],
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="nobody",
    )
    # when, then
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        client.list_tables()


def test_function_role_cannot_read_the_vault(enforcing: Platform) -> None:
    # given: the credentials of a function outside of card-data scope
    port = enforcing.home.read("ports.json")[MINISTACK]
    endpoint = f"http://127.0.0.1:{port}"
    region = regions()[0]
    root = boto3.Session("test", "test", region_name=region)
    functions = root.client("lambda", endpoint_url=endpoint).get_paginator("list_functions")
    role = next(
        function["Role"]
        for page in functions.paginate()
        for function in page["Functions"]
        if function["Handler"] == "functions.api_customers.handler.handler"
    )
    sts = root.client("sts", endpoint_url=endpoint)
    granted = sts.assume_role(RoleArn=role, RoleSessionName="end-to-end")["Credentials"]
    outputs = enforcing.home.read("outputs.json")
    vault = outputs[f"Farthing-local-{region}-Vault"]["VaultTable"]
    client = boto3.client(
        "dynamodb",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=granted["AccessKeyId"],
        aws_secret_access_key=granted["SecretAccessKey"],
        aws_session_token=granted["SessionToken"],
    )
    # when, then
    with pytest.raises(ClientError, match="AccessDenied"):
        client.get_item(TableName=vault, Key={"pk": {"S": "vlt_1"}, "sk": {"S": "CARD"}})


def test_every_route_of_the_templates_is_served(platform: Platform) -> None:
    port = platform.home.read("ports.json")[MINISTACK]
    for region in regions():
        template = (
            platform.home.folder / "cdk.out" / f"Farthing-local-{region}-Payments.template.json"
        )
        resources = json.loads(template.read_text())["Resources"].values()
        wanted = {
            resource["Properties"]["RouteKey"]
            for resource in resources
            if resource["Type"] == "AWS::ApiGatewayV2::Route"
        }
        client = boto3.client(
            "apigatewayv2",
            region_name=region,
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        routes = client.get_routes(ApiId=api_id(region), MaxResults="500")["Items"]
        assert {route["RouteKey"] for route in routes} == wanted


def test_target_reaches_the_api_as_it_was_sent(platform: Platform) -> None:
    status, headers, body = get(
        platform.base,
        "/v1/customers?created%5Bgte%5D=1&created%5Blte%5D=2&limit=1",
        platform.summary["secret_key"],
    )
    assert (status, json.loads(body)["data"]) == (200, [])
    assert headers["request-id"].startswith("req_")


def test_unknown_key_is_refused_through_the_sdk(platform: Platform) -> None:
    client = platform.client({"secret_key": "sk_test_nobody0000000000"})
    with pytest.raises(stripe.AuthenticationError):
        client.v1.balance.retrieve()
