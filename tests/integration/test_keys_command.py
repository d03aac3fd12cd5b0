"""The operator's commands for keys and limits, against tables in moto, and what keys then open."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ops import keys, limits, merchant, stages
from ops.api_keys import USABLE_MAX, NewKey, keys_of, name_of
from shared.adapters.dynamodb_audit import DynamoChangeStore
from shared.adapters.memory import MemoryClock, MemoryDatabase, MemoryDocumentStore
from shared.adapters.system import SystemClock
from shared.domain.audit_trail import created
from shared.domain.changes import Context
from shared.domain.documents import Document, Scope
from shared.domain.limits import DEFAULTS, LOCAL, Limits
from shared.edge.auth import CACHE_TTL_MS, KeyDirectory, authenticate, key_record_id
from shared.edge.http import HttpRequest
from shared.edge.permissions import Access
from shared.wire.errors import RequestError
from tests.support.api import http_event
from tests.support.aws import create_table

HOME, OTHER = "us-east-1", "eu-west-1"
EVENT_KEY = "alias/events"
DAY_S = 24 * 60 * 60
Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tables of every stage; moto has no CloudFormation here, so its answer is given."""
    environment = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    monkeypatch.setattr(os, "environ", {**os.environ, **environment})
    monkeypatch.setattr(stages, "stack_outputs", outputs)
    with mock_aws():
        for region in (HOME, OTHER):
            dynamodb = boto3.client("dynamodb", region_name=region)
            create_table(dynamodb, "objects")
            create_table(dynamodb, "evidence")
            kms = boto3.client("kms", region_name=region)
            key_id = kms.create_key()["KeyMetadata"]["KeyId"]
            kms.create_alias(AliasName=EVENT_KEY, TargetKeyId=key_id)
        yield


def outputs(_stack: str, _region: str) -> dict[str, str]:
    return {
        "ObjectsTable": "objects",
        "IdempotencyTable": "idempotency",
        "EvidenceTable": "evidence",
        "EventKeyArn": EVENT_KEY,
    }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command as an operator does; returns what it prints."""

    def command(name: str, *arguments: str, stage: str = "dev") -> dict[str, Any]:
        module = {"keys": keys, "limits": limits, "merchant": merchant}[name.partition(" ")[0]]
        given = ["x", name.partition(" ")[2], "--stage", stage, *arguments]
        monkeypatch.setattr(sys, "argv", given)
        module.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return command


@pytest.fixture
def account(run: Run) -> str:
    """An account with its first pair of test keys."""
    return str(run("merchant create")["account"])


def opened(secret: str, *, later_ms: int = 0, region: str = HOME) -> Any:
    """Returns what a key is known as to the API, a while later."""
    clock = MemoryClock(SystemClock().now_ms() + later_ms)
    return authenticate(
        HttpRequest.of(
            http_event("GET", "/v1/customers", headers={"authorization": f"Bearer {secret}"})
        ),
        KeyDirectory(merchant.open_store("dev", region), clock),
        region=region,
        now_ms=clock.now_ms(),
        publishable=True,
    )


def is_open(secret: str, *, later_ms: int = 0) -> bool:
    try:
        opened(secret, later_ms=later_ms)
    except RequestError as error:
        assert (error.status, error.code) == (401, "api_key_expired")
        return False
    return True


def test_create_key_opens_its_account_and_mode_and_is_shown_once(run: Run, account: str) -> None:
    # when
    made = run("keys create", "--account", account, "--live", "--label", "the shop")
    # then
    assert made["secret"].startswith("sk_live_")
    key = opened(made["secret"])
    assert (key.account, key.livemode, key.kind) == (account, True, "secret")
    listed = run("keys list", "--account", account)
    assert made["secret"] not in json.dumps(listed)
    (shown,) = [one for one in listed["keys"] if one["key"] == made["key"]]
    assert (shown["label"], shown["usable"], shown["livemode"]) == ("the shop", True, True)


def test_create_key_stores_its_hash_alone_in_every_region(run: Run, account: str) -> None:
    # when
    secret = run("keys create", "--account", account)["secret"]
    # then
    for region in (HOME, OTHER):
        dynamodb = boto3.client("dynamodb", region_name=region)
        stored = json.dumps(dynamodb.scan(TableName="objects")["Items"], default=str)
        assert key_record_id(secret) in stored
        assert secret not in stored
        assert secret.rpartition("_")[2] not in stored


def test_create_restricted_key_may_do_what_it_is_allowed(run: Run, account: str) -> None:
    rights = ("--allow", "charge:read", "--allow", "customer:write")
    # when
    made = run("keys create", "--account", account, "--kind", "restricted", *rights)
    # then
    assert made["secret"].startswith("rk_test_")
    key = opened(made["secret"])
    assert key.permissions == {"charge": Access.READ, "customer": Access.WRITE}


def test_list_keys_tells_all_of_both_modes_newest_first(run: Run, account: str) -> None:
    made = [run("keys create", "--account", account)["key"] for _ in range(3)]
    run("keys create", "--account", account, "--live")
    # when
    listed = run("keys list", "--account", account)["keys"]
    # then
    tests = [key["key"] for key in listed if not key["livemode"]]
    assert (len(tests), len(listed)) == (5, 6)
    assert set(made) < set(tests)


def test_list_keys_tells_when_they_were_used_if_asked(
    run: Run, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    used = run("keys create", "--account", account)["key"]
    asked: list[Any] = []

    def searched(_logs: Any, groups: Any, named: str, _now_s: int) -> dict[str, str]:
        asked.append((groups, named))
        return {used: "2026-11-22 19:16:57.015"}

    monkeypatch.setattr(keys, "log_groups", lambda stage, region: (stage, region))
    monkeypatch.setattr(keys, "last_used", searched)
    # when
    listed = run("keys list", "--account", account, "--last-used")["keys"]
    # then
    assert asked == [(("dev", HOME), account)]
    told = {key["key"]: key["last_used"] for key in listed}
    assert told.pop(used) == "2026-11-22 19:16:57.015"
    assert set(told.values()) == {None}
    assert "last_used" not in run("keys list", "--account", account)["keys"][0]


def test_roll_key_lets_the_old_one_go_on_for_the_overlap(run: Run, account: str) -> None:
    # given
    rights = ("--kind", "restricted", "--allow", "charge:read", "--label", "reports")
    old = run("keys create", "--account", account, *rights)
    # when
    new = run("keys roll", "--account", account, "--key", old["key"], "--overlap", "24h")
    # then
    assert new["secret"] != old["secret"]
    assert (new["label"], new["permissions"]) == ("reports", {"charge": "read"})
    assert opened(new["secret"]).permissions == {"charge": Access.READ}
    assert is_open(old["secret"])
    assert is_open(old["secret"], later_ms=(DAY_S - 60) * 1000)
    assert not is_open(old["secret"], later_ms=(DAY_S + 60) * 1000)
    assert is_open(new["secret"], later_ms=(DAY_S + 60) * 1000)
    assert new["replaces"]["key"] == old["key"]


def test_roll_key_without_overlap_ends_the_old_one(run: Run, account: str) -> None:
    old = run("keys create", "--account", account)
    run("keys roll", "--account", account, "--key", old["key"])
    assert not is_open(old["secret"], later_ms=1_000)


def test_roll_key_that_goes_on_again_does_not_make_it_go_on_longer(run: Run, account: str) -> None:
    # given
    old = run("keys create", "--account", account)
    arguments = ("--account", account, "--key", old["key"], "--overlap")
    first = run("keys roll", *arguments, "1h")
    # when
    second = run("keys roll", *arguments, "7d")
    # then
    assert second["replaces"]["expires_at"] == first["replaces"]["expires_at"]


def test_revoke_key_opens_nothing_half_a_minute_later(run: Run, account: str) -> None:
    # given: an environment that knows the key
    made = run("keys create", "--account", account)
    clock = MemoryClock()
    directory = KeyDirectory(merchant.open_store("dev", HOME), clock)
    assert directory.find(made["secret"])
    # when
    answer = run("keys revoke", "--account", account, "--key", made["key"], "--reason", "leaked")
    # then
    assert answer["usable"] is False
    clock.advance(CACHE_TTL_MS)
    known = directory.find(made["secret"])
    assert known is not None
    assert known.revoked
    for region in (HOME, OTHER):
        stored = merchant.open_store("dev", region).get(key_record_id(made["secret"]))
        assert stored is not None
        assert stored.data["revoked"]
    assert run("keys revoke", "--account", account, "--key", made["key"])["usable"] is False


def test_what_happens_to_a_key_is_recorded_with_who_did_it_and_why(run: Run, account: str) -> None:
    # given
    told = ("--operator", "ada", "--reason", "was in a log")
    made = run("keys create", "--account", account, *told)
    named = ("--account", account, "--key", made["key"], *told)
    # when
    run("keys roll", *named, "--overlap", "1h")
    run("keys revoke", *named)
    # then
    for region in (HOME, OTHER):
        changes = DynamoChangeStore(boto3.client("dynamodb", region_name=region), "objects")
        records = changes.of_entity(key_record_id(made["secret"]), 10)
        assert [record.change.action for record in records] == ["updated", "updated", "created"]
        for record in records:
            assert record.change.actor == "operator:ada"
            assert record.change.metadata == {"reason": "was in a log"}
            assert stages.event_signer("dev", region).verify(record.hash, record.signature)
            assert made["secret"] not in json.dumps(record.to_dict())


@pytest.mark.parametrize(
    ("command", "arguments", "reason"),
    [
        ("keys list", ("--account", "acct_nobody"), "no account acct_nobody"),
        ("keys create", ("--kind", "restricted"), "are made with --allow"),
        ("keys create", ("--allow", "charge:read"), "are made with --allow"),
        ("keys create", ("--kind", "restricted", "--allow", "charge:all"), "allows nothing"),
        ("keys create", ("--kind", "restricted", "--allow", "money:read"), "allows nothing"),
        ("keys create", ("--operator", "ada lovelace"), "names no operator"),
        ("keys roll", ("--key", "key:0", "--overlap", "8d"), "at most seven days"),
        ("keys roll", ("--key", "key:0", "--overlap", "soon"), "at most seven days"),
        ("keys roll", ("--key", "key:0"), "has no key key:0"),
        ("keys revoke", ("--key", "key:0"), "has no key key:0"),
        ("limits set", (), "say what to set"),
        ("limits set", ("--requests-per-s", "0"), "from 1 to"),
    ],
)
def test_command_with_wrong_arguments_says_what_to_change(
    run: Run, account: str, command: str, arguments: tuple[str, ...], reason: str
) -> None:
    given = arguments if "--account" in arguments else ("--account", account, *arguments)
    with pytest.raises(SystemExit, match=reason):
        run(command, *given)


def test_roll_key_that_is_over_is_refused(run: Run, account: str) -> None:
    made = run("keys create", "--account", account)
    run("keys revoke", "--account", account, "--key", made["key"])
    with pytest.raises(SystemExit, match="opens nothing any more"):
        run("keys roll", "--account", account, "--key", made["key"])


def test_create_key_is_refused_where_there_are_too_many(
    run: Run, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "USABLE_MAX", 4)
    made = [run("keys create", "--account", account) for _ in range(2)]
    with pytest.raises(SystemExit, match="revoke one first"):
        run("keys create", "--account", account)
    run("keys revoke", "--account", account, "--key", made[0]["key"])
    assert run("keys create", "--account", account)["usable"]


def test_roll_key_with_overlap_is_refused_where_there_are_too_many(
    run: Run, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(keys, "USABLE_MAX", 3)
    made = run("keys create", "--account", account)
    rolling = ("keys roll", "--account", account, "--key", made["key"])
    # when
    with pytest.raises(SystemExit, match="revoke one first"):
        run(*rolling, "--overlap", "7d")
    # then: without an overlap it takes the place of the other
    assert run(*rolling)["replaces"]["usable"] is False


def test_set_limits_hold_for_every_key_of_the_mode(run: Run, account: str) -> None:
    # given
    test = run("keys create", "--account", account)
    live = run("keys create", "--account", account, "--live")
    # when
    run("limits set", "--account", account, "--requests-per-s", "500", "--reason", "grew")
    # then
    raised = Limits(500)
    assert opened(test["secret"]).limits == raised
    assert opened(live["secret"]).limits == DEFAULTS[True]
    later = run("keys create", "--account", account)
    assert opened(later["secret"]).limits == raised
    rolled = run("keys roll", "--account", account, "--key", test["key"])
    assert opened(rolled["secret"]).limits == raised
    shown = run("limits show", "--account", account)
    assert (shown["test"]["requests_per_s"], shown["live"]["requests_per_s"]) == (500, 100)


def test_set_limits_leaves_the_others_as_they_are(run: Run, account: str) -> None:
    run("limits set", "--account", account, "--requests-per-s", "500")
    # when
    answer = run("limits set", "--account", account, "--search-per-s", "50")
    # then
    assert answer["test"]["requests_per_s"] == 500
    assert answer["test"]["search_per_s"] == 50


def test_set_limits_of_as_many_keys_as_there_may_be_is_one_transaction() -> None:
    # given
    home, context = MemoryDocumentStore(MemoryDatabase()), Context(1_000)
    profile = Document("acct_1", "account", "acct_1", False, 1, 0, {"home_region": HOME})
    home.commit([created(profile, context)])
    regions = keys.Regions(profile, [], home)
    for number in range(USABLE_MAX):
        new = NewKey("acct_1", HOME, "secret")
        keys.create(regions, new, f"sk_test_0000000{number:02}", context)
    # when
    limits.change(regions, {"endpoint_per_s": 60}, context, livemode=False)
    # then: DynamoDB takes a hundred items in a transaction, two of each document
    stored = keys_of(home, Scope("acct_1", livemode=False))
    assert {key.data["limits"]["endpoint_per_s"] for key in stored} == {60}
    assert 2 * (len(stored) + 1) <= 100


def test_merchant_of_the_local_stage_has_limits_that_tests_do_not_reach(run: Run) -> None:
    local = run("merchant create", stage="local")
    assert opened(local["secret_key"]).limits == LOCAL


def test_name_of_key_is_the_actor_of_what_it_does(run: Run, account: str) -> None:
    made = run("keys create", "--account", account)
    stored = merchant.open_store("dev", HOME).get(key_record_id(made["secret"]))
    assert stored is not None
    assert made["key"] == name_of(stored) == opened(made["secret"]).actor
