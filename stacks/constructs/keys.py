"""Keys of our own, in KMS."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct


def kept_key(
    scope: Construct,
    construct_id: str,
    description: str,
    *,
    spec: kms.KeySpec | None = None,
    usage: kms.KeyUsage | None = None,
) -> kms.Key:
    """Makes a key that outlives its stack, and thirty days longer than the wish to delete it.

    Args: spec, usage: of a key that is not for encryption. Such a key does not rotate: KMS cannot
    rotate it.
    """
    return kms.Key(
        scope,
        construct_id,
        description=description,
        key_spec=spec,
        key_usage=usage,
        enable_key_rotation=True if spec is None else None,
        removal_policy=RemovalPolicy.RETAIN,
        pending_window=Duration.days(30),
    )
