"""Queues, streams and the bus: nothing is lost without an alarm."""

import json
import re
from collections import Counter
from typing import Any

import pytest

from shared.adapters.eventbridge import SOURCE
from shared.domain.announcements import ANNOUNCED_KINDS
from shared.domain.webhooks import RESEND
from stacks.events import ASIDE_CONCURRENCY
from stacks.ledger import BROKEN_METRIC
from tests.support.synthesis import Platform, Resource

QUEUE = "AWS::SQS::Queue"
MAPPING = "AWS::Lambda::EventSourceMapping"
ALARM = "AWS::CloudWatch::Alarm"


def queues(platform: Platform) -> dict[tuple[str, str], Resource]:
    return platform.of_type(QUEUE)


def dead_letter_queues(platform: Platform) -> set[tuple[str, str]]:
    """Returns all queues that something fails into: redrive, stream, and rule targets."""
    found = set()
    for (stack, _), queue in queues(platform).items():
        redrive = queue["Properties"].get("RedrivePolicy")
        if redrive:
            found.add((stack, redrive["deadLetterTargetArn"]["Fn::GetAtt"][0]))
    for (stack, _), mapping in platform.of_type(MAPPING).items():
        destination = mapping["Properties"].get("DestinationConfig")
        if destination:
            found.add((stack, destination["OnFailure"]["Destination"]["Fn::GetAtt"][0]))
    for (stack, _), rule in platform.of_type("AWS::Events::Rule").items():
        for target in rule["Properties"]["Targets"]:
            found.add((stack, target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]))
    return found


def test_queue_without_a_dead_letter_queue_is_one(platform: Platform) -> None:
    last = {
        where
        for where, queue in queues(platform).items()
        if "RedrivePolicy" not in queue["Properties"]
    }

    assert last == dead_letter_queues(platform)


def test_dead_letter_queue_alarms_at_its_first_message(platform: Platform) -> None:
    watched = set()
    for (stack, _), alarm in platform.of_type(ALARM).items():
        facts = alarm["Properties"]
        if facts["MetricName"] == "ApproximateNumberOfMessagesVisible":
            (dimension,) = facts["Dimensions"]
            watched.add((stack, dimension["Value"]["Fn::GetAtt"][0]))
            assert facts["Threshold"] == 1
            assert facts["EvaluationPeriods"] == 1
            assert facts["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"

    assert watched == dead_letter_queues(platform)


def test_alarm_tells_operators_and_says_what_it_means(platform: Platform) -> None:
    for where, alarm in platform.of_type(ALARM).items():
        assert len(alarm["Properties"]["AlarmActions"]) == 1, where
        assert "Alarms" in json.dumps(alarm["Properties"]["AlarmActions"]), where
        assert len(alarm["Properties"]["AlarmDescription"]) > 40, where


def test_queue_is_encrypted_and_refuses_plain_http(dev: Platform) -> None:
    refusing = set()
    for (stack, _), policy in dev.of_type("AWS::SQS::QueuePolicy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            insecure = statement.get("Condition", {}).get("Bool") == {
                "aws:SecureTransport": "false"
            }
            if statement["Effect"] == "Deny" and insecure:
                refusing |= {(stack, queue["Ref"]) for queue in policy["Properties"]["Queues"]}

    assert refusing == set(queues(dev))
    for where, queue in queues(dev).items():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True, where


def test_queue_hides_a_message_six_times_as_long_as_its_consumer_runs(
    platform: Platform,
) -> None:
    for (stack, _), mapping in platform.of_type(MAPPING).items():
        source = mapping["Properties"]["EventSourceArn"].get("Fn::GetAtt")
        if source is None:
            continue
        resources = platform.templates[stack].body["Resources"]
        queue = resources[source[0]]["Properties"]
        function = resources[mapping["Properties"]["FunctionName"]["Ref"]]["Properties"]
        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
        assert mapping["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert queue["RedrivePolicy"]["maxReceiveCount"] == 5


def test_what_hangs_is_waited_for_by_a_bounded_number_of_environments(dev: Platform) -> None:
    bounded = {}
    for mapping in dev.stack("Events").of_type(MAPPING).values():
        source = mapping["Properties"]["EventSourceArn"].get("Fn::GetAtt", [""])[0]
        bounded[source[:-8]] = mapping["Properties"].get("ScalingConfig")

    assert bounded.pop("DeliveriesAsideQueue") == {"MaximumConcurrency": ASIDE_CONCURRENCY}
    assert bounded.pop("DeliveriesQueue") is None


def streams(platform: Platform, stack: str) -> dict[str, dict[str, Any]]:
    mappings = platform.stack(stack).of_type(MAPPING).values()
    followed = {}
    for mapping in mappings:
        source = json.dumps(mapping["Properties"]["EventSourceArn"])
        name = re.search(r"FnGetAtt(\w+?)[0-9A-F]{8}StreamArn", source)
        if name is not None:
            followed[name[1]] = dict(mapping["Properties"])
    return followed


@pytest.mark.parametrize(
    ("stack", "batch", "retries", "dead_letters"),
    # The sealer gives nothing up: it is tried again until the stream forgets it.
    [("Events", 100, 10, "RelayDeadLetters"), ("Ledger", 500, None, "SealDeadLetters")],
)
def test_stream_consumer_sets_aside_what_fails_again_and_again(
    production: Platform, stack: str, batch: int, retries: int | None, dead_letters: str
) -> None:
    for name, mapping in streams(production, stack).items():
        assert mapping["BatchSize"] == batch, name
        assert mapping["BisectBatchOnFunctionError"] is True, name
        assert mapping.get("MaximumRetryAttempts") == retries, name
        assert mapping["StartingPosition"] == "TRIM_HORIZON", name
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name
        assert dead_letters in json.dumps(mapping["DestinationConfig"]), name


def test_relay_is_woken_by_what_is_announced_only(production: Platform) -> None:
    filters = {
        name: [json.loads(item["Pattern"]) for item in mapping["FilterCriteria"]["Filters"]]
        for name, mapping in streams(production, "Events").items()
    }

    changes = ["INSERT", "MODIFY"]
    kinds = sorted({*ANNOUNCED_KINDS, RESEND})
    announced = {"Keys": {"sk": {"S": ["STATE"]}}, "NewImage": {"announced": {"BOOL": [True]}}}
    assert filters == {
        "Payments": [{"eventName": changes, "dynamodb": announced}],
        "Objects": [{"eventName": changes, "dynamodb": {"NewImage": {"kind": {"S": kinds}}}}],
    }


def test_sealer_is_woken_by_every_event_and_every_journal(production: Platform) -> None:
    filters = {
        name: [json.loads(item["Pattern"]) for item in mapping["FilterCriteria"]["Filters"]]
        for name, mapping in streams(production, "Ledger").items()
    }

    events = {"eventName": ["INSERT"], "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "EV#"}]}}}}
    assert filters == {
        "Ledger": [{"eventName": ["INSERT"]}],
        "Payments": [events],
        "Objects": [events],
    }


def test_stream_has_no_more_than_the_two_readers_that_it_serves(production: Platform) -> None:
    read = Counter([*streams(production, "Events"), *streams(production, "Ledger")])

    assert read == {"Payments": 2, "Objects": 2, "Ledger": 1}


def test_stream_consumer_that_stays_behind_alarms(production: Platform) -> None:
    for stack in ("Events", "Ledger"):
        alarms = production.stack(stack).of_type(ALARM).values()
        (lag,) = [a["Properties"] for a in alarms if a["Properties"]["MetricName"] == "IteratorAge"]
        assert (lag["Threshold"], lag["EvaluationPeriods"]) == (60_000, 3)


def test_checkpoint_requests_wait_ten_seconds_and_are_deduplicated(production: Platform) -> None:
    made = production.stack("Ledger").of_type(QUEUE)

    facts = {
        name[:-8]: (queue["Properties"].get("FifoQueue"), queue["Properties"].get("DelaySeconds"))
        for name, queue in made.items()
    }

    assert facts == {
        "CheckpointRequestsQueue": (True, 10),
        "CheckpointRequestsDeadLettersQueue": (True, None),
        "SealDeadLettersQueue": (None, None),
    }


def test_checkpoint_that_is_refused_or_fails_alarms(production: Platform) -> None:
    ledger = production.stack("Ledger")
    (counted,) = [f["Properties"] for f in ledger.of_type("AWS::Logs::MetricFilter").values()]
    names = {alarm["Properties"]["MetricName"] for alarm in ledger.of_type(ALARM).values()}

    assert counted["FilterPattern"] == "{ $.broken IS TRUE }"
    assert counted["LogGroupName"]["Ref"].startswith("SignCheckpoint")
    assert {BROKEN_METRIC, "Errors", "IteratorAge"} <= names


def test_bus_feeds_each_queue_with_what_its_consumer_is_for(
    production: Platform,
) -> None:
    rules = production.stack("Events").of_type("AWS::Events::Rule").values()

    fed = {
        rule["Properties"]["Targets"][0]["Arn"]["Fn::GetAtt"][0][:-8]: rule["Properties"][
            "EventPattern"
        ]
        for rule in rules
    }

    assert fed == {
        "DeliveriesQueue": {"source": [SOURCE], "detail": {"webhooks": [True]}},
        "SettlementsQueue": {"source": [SOURCE], "detail-type": ["payment_intent.succeeded"]},
        "ComparisonsQueue": {
            "source": [SOURCE],
            "detail-type": [
                "payment_intent.succeeded",
                "payment_intent.amount_capturable_updated",
            ],
            "detail": {"livemode": [True]},
        },
    }


def test_security_codes_wait_ten_minutes_for_their_deletion(production: Platform) -> None:
    made = production.stack("Payments").of_type(QUEUE)

    delays = {name[:-8]: queue["Properties"].get("DelaySeconds") for name, queue in made.items()}

    assert delays == {"VerificationsQueue": 600, "VerificationsDeadLettersQueue": None}
