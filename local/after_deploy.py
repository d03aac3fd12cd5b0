"""What MiniStack leaves out of a deployment, done through its API: the one list of it."""

from collections.abc import Callable

import boto3

from local.home import ACCESS, STAGE, Home, regions
from shared.config import CHECKPOINT_RETENTION_DAYS


def lock_checkpoints(home: Home, ministack_port: int) -> None:
    """Switches Object Lock on for the checkpoints' buckets, which templates cannot."""
    outputs = home.read("outputs.json")
    for region in regions():
        s3 = boto3.client(
            "s3",
            region_name=region,
            endpoint_url=f"http://127.0.0.1:{ministack_port}",
            aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
        )
        s3.put_object_lock_configuration(
            Bucket=outputs[f"Farthing-{STAGE}-{region}-Data"]["CheckpointBucket"],
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {
                    "DefaultRetention": {"Mode": "COMPLIANCE", "Days": CHECKPOINT_RETENTION_DAYS}
                },
            },
        )


FIXES: tuple[Callable[[Home, int], None], ...] = (lock_checkpoints,)


def apply(home: Home, ministack_port: int) -> None:
    """Runs every fix; each may run again without effect."""
    for fix in FIXES:
        fix(home, ministack_port)
