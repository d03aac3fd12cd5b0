"""What the local emulator (MiniStack 1.5) cannot take, in one place.

The local stage deploys the same stacks as AWS. This Aspect is the only code that changes them:
whatever is not named here is deployed, and enforced, as written.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jsii
from aws_cdk import Annotations, CfnResource, IAspect, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import IConstruct

# Condition keys that the emulator's policy evaluation does not know, so that it denies what AWS
# allows. The functions send the encryption context all the same, and the emulator's KMS binds it.
STRIPPED_CONDITIONS: Mapping[str, str] = {
    "kms:EncryptionContext:": "absent from the emulator's request context: every call is denied",
}

# Rights that AWS checks for several calls and the emulator for one: it knows the others by name.
SPLIT_ACTIONS: Mapping[str, str] = {"sqs:SendMessage": "sqs:SendMessageBatch"}

# The emulator is reached over plain HTTP, so a policy that demands TLS denies every call.
TLS_CONDITION = "aws:SecureTransport"

# Types that the stacks use and the emulator deploys. It rejects a whole template for one type
# that it does not know, so an unlisted type is an error here, at synthesis, with its name.
SUPPORTED_TYPES = frozenset(
    {
        "AWS::ApiGatewayV2::Api",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::Stage",
        "AWS::CDK::Metadata",
        "AWS::CloudWatch::Alarm",
        "AWS::DynamoDB::GlobalTable",
        "AWS::Events::EventBus",
        "AWS::Events::Rule",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::KMS::Key",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Function",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::Logs::MetricFilter",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::Schedule",
        "AWS::SecretsManager::Secret",
        "AWS::StepFunctions::StateMachine",
    }
)


@jsii.implements(IAspect)
class LocalOnly:
    """Fits the stacks to the emulator."""

    def visit(self, node: IConstruct) -> None:
        """Changes one construct, called for each of the tree."""
        if not isinstance(node, CfnResource):
            return
        if node.cfn_resource_type not in SUPPORTED_TYPES:
            reason = f"the local emulator does not deploy {node.cfn_resource_type}"
            Annotations.of(node).add_error(f"{reason}; see stacks/constructs/local_only.py")
        if isinstance(node, sqs.CfnQueuePolicy | sns.CfnTopicPolicy | s3.CfnBucketPolicy):
            _allow_plain_http(node)
        if isinstance(node, iam.CfnPolicy):
            document = Stack.of(node).resolve(node.policy_document)
            for path in _stripped(document):
                node.add_property_deletion_override(path)
            for path, actions in _split(document):
                node.add_property_override(path, actions)


def _allow_plain_http(
    policy: sqs.CfnQueuePolicy | sns.CfnTopicPolicy | s3.CfnBucketPolicy,
) -> None:
    """Leaves out the statement that demands TLS, and the policy if it says nothing else."""
    statements = Stack.of(policy).resolve(policy.policy_document)["Statement"]
    remaining = [
        statement
        for statement in statements
        if TLS_CONDITION not in statement.get("Condition", {}).get("Bool", {})
    ]
    if remaining:
        policy.add_property_override("PolicyDocument.Statement", remaining)
    elif policy.node.scope is not None:
        policy.node.scope.node.try_remove_child(policy.node.id)


def _stripped(document: Mapping[str, Any]) -> Iterator[str]:
    """Finds the conditions that name a stripped key."""
    for index, statement in enumerate(document["Statement"]):
        for operator, facts in statement.get("Condition", {}).items():
            for key in facts:
                if key.startswith(tuple(STRIPPED_CONDITIONS)):
                    escaped = key.replace(".", "\\.")
                    yield f"PolicyDocument.Statement.{index}.Condition.{operator}.{escaped}"


def _split(document: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Finds the rights that the emulator checks under more names."""
    for index, statement in enumerate(document["Statement"]):
        actions = statement["Action"]
        held = [actions] if isinstance(actions, str) else list(actions)
        added = [SPLIT_ACTIONS[action] for action in held if action in SPLIT_ACTIONS]
        if added:
            yield f"PolicyDocument.Statement.{index}.Action", held + added
