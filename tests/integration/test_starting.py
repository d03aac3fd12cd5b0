"""What steps fetch while their environment starts: the network's secret, the key of the day."""

import importlib
import io
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.api_payments import handler as api_payments
from functions.api_setup_intents import handler as api_setup_intents
from functions.authorize_payment import handler as authorize_payment
from functions.capture_payment import handler as capture_payment
from functions.increment_authorization import handler as increment_authorization
from functions.refund_capture import handler as refund_capture
from functions.release_funds import handler as release_funds
from functions.reserve_funds import handler as reserve_funds
from functions.resolve_payment import handler as resolve_payment
from functions.verify_card import handler as verify_card
from functions.void_authorization import handler as void_authorization
from shared import bootstrap
from shared.observability import logger
from tests.support.aws import REGION, create_table
from tests.support.composition import forget_composition

STEPS = [
    authorize_payment,
    capture_payment,
    increment_authorization,
    refund_capture,
    verify_card,
    void_authorization,
]
SIGNING = [
    *STEPS,
    api_payments,
    api_setup_intents,
    release_funds,
    reserve_funds,
    resolve_payment,
]
SIGNS = ["GetItem", "GenerateDataKey", "PutItem"]
HASH = "ab" * 32
NAME, SECRET = "network", "sandbox-network-secret"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Returns the names of the AWS calls that composed clients make."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("FARTHING_STAGE", "test")
    monkeypatch.setenv("NETWORK_SECRET_ARN", NAME)
    monkeypatch.setenv("EVIDENCE_TABLE", "evidence")
    made: list[str] = []

    def record(**facts: Any) -> None:
        made.append(facts["model"].name)

    with mock_aws():
        forget_composition()
        create_table(boto3.client("dynamodb", region_name=REGION), "evidence")
        key = boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]
        monkeypatch.setenv("EVENT_KEY_ARN", key["Arn"])
        bootstrap.session().register("before-call.*.*", record)
        yield made
    forget_composition()


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "step")


def put_secret() -> None:
    boto3.client("secretsmanager", region_name=REGION).create_secret(Name=NAME, SecretString=SECRET)


@pytest.mark.usefixtures("in_lambda")
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__.split(".")[1])
def test_step_that_asks_the_provider_has_its_secret_before_the_first_payment(
    step: ModuleType, calls: list[str]
) -> None:
    # given
    put_secret()
    # when
    importlib.reload(step)
    # then
    assert calls == ["GetSecretValue", *SIGNS]
    assert bootstrap.network_secret().text() == SECRET
    assert calls == ["GetSecretValue", *SIGNS]


@pytest.mark.usefixtures("in_lambda")
@pytest.mark.parametrize("function", SIGNING, ids=lambda one: one.__name__.split(".")[1])
def test_function_that_changes_payments_has_the_key_of_the_day_before_the_first_one(
    function: ModuleType, calls: list[str]
) -> None:
    # given
    put_secret()
    # when
    importlib.reload(function)
    made = len(calls)
    # then
    assert calls[-len(SIGNS) :] == SIGNS
    bootstrap.signer().sign(HASH)
    assert len(calls) == made


@pytest.mark.parametrize("step", SIGNING, ids=lambda step: step.__name__.split(".")[1])
def test_step_loaded_outside_of_lambda_calls_nobody(
    step: ModuleType, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given not even a setting
    monkeypatch.delenv("NETWORK_SECRET_ARN")
    monkeypatch.delenv("EVENT_KEY_ARN")
    # when
    importlib.reload(step)
    # then
    assert calls == []


@pytest.mark.usefixtures("in_lambda")
def test_secret_that_cannot_be_fetched_at_start_is_fetched_by_the_first_use(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    # when
    bootstrap.start_provider()
    # then
    assert "ResourceNotFoundException" in log.getvalue()
    put_secret()
    assert bootstrap.network_secret().text() == SECRET
    assert calls == ["GetSecretValue"] * 2
