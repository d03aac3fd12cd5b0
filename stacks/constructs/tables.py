"""Tables: how each is kept, and the few ways in which functions use them."""

from collections.abc import Sequence

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

GET = ["dynamodb:GetItem"]
GET_MANY = ["dynamodb:GetItem", "dynamodb:BatchGetItem"]
BATCH_GET = ["dynamodb:BatchGetItem"]
QUERY = ["dynamodb:Query"]
SCAN = ["dynamodb:Scan"]
PUT = ["dynamodb:PutItem"]
UPDATE = ["dynamodb:UpdateItem"]
DELETE = ["dynamodb:DeleteItem"]
TTL_ATTRIBUTE = "expires_at"


def keyed_table(
    scope: Construct,
    construct_id: str,
    *,
    has_sort_key: bool = True,
    has_ttl: bool = False,
    has_stream: bool = False,
    goes_with_stack: bool = False,
    is_forgotten: bool = False,
    indexes: Sequence[dynamodb.GlobalSecondaryIndexPropsV2] = (),
) -> dynamodb.TableV2:
    """Makes a table with string keys pk and sk, paid per request.

    The books outlive their stack (retained, protected from deletion) and any of their last 35
    days can be restored. They are encrypted under DynamoDB's key in this account: its use shows
    in CloudTrail, and no function needs a right on it. A key of our own would give the sealing
    vault function kms:Decrypt, which it must not have; card data has its own encryption inside.

    Args: goes_with_stack: what it holds can be made again. is_forgotten: what is deleted must not
    be recoverable, so the table has no backup, and is not retained when its stack goes. indexes:
    beside the keys.
    """
    text = dynamodb.AttributeType.STRING
    is_kept = not (goes_with_stack or is_forgotten)
    return dynamodb.TableV2(
        scope,
        construct_id,
        partition_key=dynamodb.Attribute(name="pk", type=text),
        sort_key=dynamodb.Attribute(name="sk", type=text) if has_sort_key else None,
        billing=dynamodb.Billing.on_demand(),
        encryption=dynamodb.TableEncryptionV2.aws_managed_key(),
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=not is_forgotten
        ),
        dynamo_stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if has_stream else None,
        global_secondary_indexes=list(indexes),
        time_to_live_attribute=TTL_ATTRIBUTE if has_ttl else None,
        deletion_protection=not goes_with_stack,
        removal_policy=RemovalPolicy.RETAIN if is_kept else RemovalPolicy.DESTROY,
    )
