"""What the local stage changes, and that it changes no more."""

import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Annotations, Match, Template

from stacks.constructs.local_only import (
    SPLIT_ACTIONS,
    STRIPPED_CONDITIONS,
    SUPPORTED_TYPES,
    TLS_CONDITION,
    LocalOnly,
)
from tests.support.synthesis import Platform


def test_local_stage_has_types_that_the_emulator_deploys_only(local: Platform) -> None:
    types = {
        resource["Type"]
        for template in local.templates.values()
        for resource in template.body["Resources"].values()
    }

    assert types <= SUPPORTED_TYPES


def test_local_stage_policies_name_no_condition_that_the_emulator_lacks(local: Platform) -> None:
    for policy in local.of_type("AWS::IAM::Policy").values():
        text = json.dumps(policy["Properties"]["PolicyDocument"])
        for key in STRIPPED_CONDITIONS:
            assert key not in text


def test_local_stage_needs_no_bootstrap_roles(local: Platform) -> None:
    for template in local.templates.values():
        assert "BootstrapVersion" not in template.body.get("Parameters", {})


def normal(value: Any) -> Any:
    """Takes stage names, conditions and the emulator's own action names out of a template part."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in {"Condition", "Tags"}}
        return {key: normal(item) for key, item in kept.items()}
    if isinstance(value, list):
        items = [normal(item) for item in value if item not in SPLIT_ACTIONS.values()]
        return items[0] if len(items) == 1 else items
    return value.replace("-local-", "-dev-") if isinstance(value, str) else value


def test_local_stage_roles_are_those_of_aws(local: Platform, dev: Platform) -> None:
    for name, template in local.templates.items():
        twin = dev.templates[name.replace("-local-", "-dev-")]
        for kind in ("AWS::IAM::Role", "AWS::IAM::Policy"):
            expected = {key: item["Properties"] for key, item in twin.of_type(kind).items()}
            found = {key: item["Properties"] for key, item in template.of_type(kind).items()}
            assert normal(found) == normal(expected), name


@pytest.fixture
def stack() -> cdk.Stack:
    """An empty stack under the Aspect."""
    app = cdk.App(analytics_reporting=False)
    cdk.Aspects.of(app).add(LocalOnly())
    return cdk.Stack(app, "Stack")


def test_local_only_unknown_type_is_an_error_with_its_name(stack: cdk.Stack) -> None:
    # given
    cdk.CfnResource(stack, "Archive", type="AWS::Events::Archive")

    # then
    message = Match.string_like_regexp("does not deploy AWS::Events::Archive")
    Annotations.from_stack(stack).has_error("/Stack/Archive", message)


def test_local_only_other_conditions_are_kept(stack: cdk.Stack) -> None:
    # given
    table = dynamodb.TableV2(
        stack,
        "Table",
        partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
    )
    conditions = {
        "StringEquals": {"aws:SourceAccount": "1", "kms:EncryptionContext:purpose": "card"}
    }
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    role.add_to_policy(
        iam.PolicyStatement(
            actions=["kms:Decrypt"], resources=[table.table_arn], conditions=conditions
        )
    )

    # when
    (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()

    # then
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "1"}}


def test_local_stage_queues_topics_and_buckets_are_reached_over_plain_http(local: Platform) -> None:
    for kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy"):
        policies = local.of_type(kind)
        assert policies
        for policy in policies.values():
            assert TLS_CONDITION not in json.dumps(policy)


def test_local_stage_bus_may_still_send_to_its_queues(local: Platform) -> None:
    senders = [
        statement["Principal"]
        for policy in local.stack("Events").of_type("AWS::SQS::QueuePolicy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]

    # three queues, and what they did not take
    assert senders == [{"Service": "events.amazonaws.com"}] * 6
