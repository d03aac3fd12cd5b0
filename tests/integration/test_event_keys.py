"""Day keys in KMS: who makes one, who finds it, and what is kept of it."""

import hashlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from moto import mock_aws

from shared import bootstrap
from shared.adapters.event_keys import KEYS_MAX, KmsEventSigner, hkdf_sha256
from shared.adapters.memory import MemoryClock
from shared.domain.errors import InvariantError, TransientError
from shared.domain.signatures import DAY_MS, Signature
from shared.observability import logger
from tests.support.aws import REGION, create_table
from tests.support.composition import forget_composition

HASH = hashlib.sha256(b"event").hexdigest()
NOON_MS = 1_751_284_800_000
TO_MIDNIGHT_MS = DAY_MS // 2
TODAY, TOMORROW = "2025-06-30", "2025-07-01"


@dataclass
class World:
    """The stores that signers share, and the calls that they make."""

    dynamodb: Any
    kms: Any
    key_id: str
    clock: MemoryClock = field(default_factory=lambda: MemoryClock(NOON_MS))
    calls: list[str] = field(default_factory=list)

    def signer(self, **changed: Any) -> KmsEventSigner:
        facts = {"stage": "test", "region": REGION, "table": "evidence", "key_id": self.key_id}
        return KmsEventSigner(
            dynamodb=self.dynamodb, kms=lambda: self.kms, clock=self.clock, **{**facts, **changed}
        )

    def record(self, **facts: Any) -> None:
        self.calls.append(facts["model"].name)

    def day_keys(self) -> dict[str, Any]:
        found = self.dynamodb.query(
            TableName="evidence",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "DAYKEY"}},
        )
        return {item["sk"]["S"]: item for item in found["Items"]}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", REGION)
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name=REGION)
        kms = boto3.client("kms", region_name=REGION)
        create_table(dynamodb, "evidence")
        made = World(dynamodb, kms, kms.create_key()["KeyMetadata"]["Arn"])
        for client in (dynamodb, kms):
            client.meta.events.register("before-call.*.*", made.record)
        yield made


def test_day_key_is_made_by_the_first_and_unwrapped_by_the_others(world: World) -> None:
    # when
    world.signer().sign(HASH)
    # then
    assert world.calls == ["GetItem", "GenerateDataKey", "PutItem"]
    # when
    world.calls.clear()
    world.signer().sign(HASH)
    # then
    assert world.calls == ["GetItem", "Decrypt"]


def test_day_key_is_asked_for_once_a_day(world: World) -> None:
    # given
    signer = world.signer()
    signer.prepare()
    world.calls.clear()
    # when
    for _ in range(3):
        signer.sign(HASH)
    world.clock.advance(TO_MIDNIGHT_MS - 1)
    late = signer.sign(HASH)
    # then
    assert late.key_id == TODAY
    assert world.calls == []
    # when
    world.clock.advance(1)
    keys = {signer.sign(HASH).key_id for _ in range(3)}
    # then
    assert keys == {TOMORROW}
    assert world.calls == ["GetItem", "GenerateDataKey", "PutItem"]


def test_day_key_changes_some_time_after_midnight_where_an_environment_is_told_so(
    world: World,
) -> None:
    # given
    signer = world.signer(change_ms=60_000)
    signer.prepare()
    # when
    world.clock.advance(TO_MIDNIGHT_MS + 59_999)
    before = signer.sign(HASH)
    world.clock.advance(1)
    after = signer.sign(HASH)
    # then
    assert (before.key_id, after.key_id) == (TODAY, TOMORROW)
    assert world.signer().verify(HASH, before)


def test_day_key_that_two_make_at_once_is_the_winners(world: World) -> None:
    # given: the other makes the key between this one's look and its own
    other = world.signer()
    signer = world.signer()
    put = world.dynamodb.put_item

    class Overtaken:
        get_item = staticmethod(world.dynamodb.get_item)

        @staticmethod
        def put_item(**arguments: Any) -> Any:
            other.prepare()
            return put(**arguments)

    signer._dynamodb = Overtaken()  # type: ignore[assignment]
    # when
    signature = signer.sign(HASH)
    # then
    assert signature == other.sign(HASH)
    assert list(world.day_keys()) == [TODAY]
    assert world.calls.count("GenerateDataKey") == 2


@pytest.mark.parametrize("changed", [{"stage": "other"}, {"region": "eu-west-1"}])
def test_day_key_is_bound_to_its_stage_and_region(world: World, changed: dict[str, str]) -> None:
    # given
    world.signer().prepare()
    # then
    with pytest.raises(InvariantError, match=f"the key of {TODAY} is not what was wrapped"):
        world.signer(**changed).sign(HASH)


def test_day_key_is_bound_to_its_day(world: World) -> None:
    # given yesterday's key in the place of today's
    world.signer().prepare()
    item = world.day_keys()[TODAY]
    world.dynamodb.put_item(TableName="evidence", Item={**item, "sk": {"S": TOMORROW}})
    world.clock.advance(TO_MIDNIGHT_MS)
    # then
    with pytest.raises(InvariantError):
        world.signer().sign(HASH)


def test_subkey_is_hkdf_of_the_data_key() -> None:
    # given
    key, info = bytes(range(32)), b'{"use":"event-mac"}'
    # then
    expected = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(key)
    assert hkdf_sha256(key, info) == expected


def test_verification_of_many_days_keeps_the_last_used_keys(world: World) -> None:
    # given
    signer = world.signer()
    signed = []
    for _ in range(KEYS_MAX + 5):
        signed.append(signer.sign(HASH))
        world.clock.advance(DAY_MS)
    reader = world.signer()
    # when
    for signature in signed:
        assert reader.verify(HASH, signature)
    world.calls.clear()
    assert reader.verify(HASH, signed[-1])
    # then
    assert world.calls == []
    assert reader.verify(HASH, signed[0])
    assert world.calls == ["GetItem", "Decrypt"]


def test_verification_makes_no_key(world: World) -> None:
    # when
    assert not world.signer().verify(HASH, Signature(TODAY, "00" * 32))
    # then
    assert world.calls == ["GetItem"]


def _refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Call")


@pytest.mark.parametrize(
    ("code", "raised"),
    [("ThrottlingException", TransientError), ("AccessDeniedException", ClientError)],
)
def test_signing_without_kms_says_whether_to_try_again(
    world: World, code: str, raised: type[Exception]
) -> None:
    # given
    class Refusing:
        def generate_data_key(self, **_: Any) -> Any:
            raise _refusal(code)

    signer = world.signer()
    signer._kms = Refusing  # type: ignore[assignment]
    # then
    with pytest.raises(raised):
        signer.sign(HASH)
    # when
    signer._kms = lambda: world.kms
    # then
    assert signer.sign(HASH).key_id == TODAY


def test_keys_are_in_no_log_and_no_repr(world: World, caplog: pytest.LogCaptureFixture) -> None:
    # given
    caplog.set_level(logging.DEBUG)
    signer = world.signer()
    # when
    signer.sign(HASH)
    # then
    key = signer._keys[TODAY]
    for text in (repr(signer), repr(signer._signing), caplog.text):
        assert repr(key)[2:-1] not in text
        assert key.hex() not in text


def compose(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setenv("EVIDENCE_TABLE", "evidence")
    monkeypatch.setenv("EVENT_KEY_ARN", world.key_id)
    monkeypatch.setenv("FARTHING_STAGE", "test")
    forget_composition()
    bootstrap.session().register("before-call.*.*", world.record)


def test_environment_that_starts_has_the_key_before_the_first_payment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "step")
    compose(monkeypatch, world)
    # when
    bootstrap.start_signer()
    # then
    assert world.calls == ["GetItem", "GenerateDataKey", "PutItem"]
    bootstrap.signer().sign(HASH)
    assert len(world.calls) == 3
    forget_composition()


def test_environment_outside_of_lambda_calls_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    compose(monkeypatch, world)
    # when
    bootstrap.start_signer()
    # then
    assert world.calls == []
    forget_composition()


def test_environment_without_its_table_starts_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "step")
    compose(monkeypatch, world)
    world.dynamodb.delete_table(TableName="evidence")
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    # when
    bootstrap.start_signer()
    # then
    assert "event key not fetched at start" in log.getvalue()
    forget_composition()
