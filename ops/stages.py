"""The stages of cdk.json, and what is deployed of them, as operator commands find it."""

import argparse
import getpass
import json
import re
from collections.abc import Sequence
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.adapters.event_keys import KmsEventSigner
from shared.adapters.system import SystemClock

ROOT = Path(__file__).resolve().parents[1]
CLIENT = Config(
    connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4}
)
REASON_LENGTH_MAX = 500
_NAME = re.compile(r"[0-9A-Za-z._@+-]{1,64}")


class OperatorError(Exception):
    """Says what the operator has to change."""


def ask_operator(command: argparse.ArgumentParser) -> None:
    """Adds the options that say who does something, and why."""
    command.add_argument("--operator", metavar="NAME", help="who you are; your login by default")
    command.add_argument("--reason", help="why, as the audit log will tell it")


def actor_of(arguments: argparse.Namespace) -> str:
    """Returns who does it, as records name them.

    Raises: OperatorError when the name, or the reason that is given, is not fit for records.
    """
    name, reason = arguments.operator or _login(), arguments.reason
    if not _NAME.fullmatch(name):
        raise OperatorError(f"{name!r} names no operator: use up to 64 letters, digits, . _ @ + -")
    if reason is not None and not 0 < len(reason.strip()) <= len(reason) <= REASON_LENGTH_MAX:
        raise OperatorError(f"a reason is some words, up to {REASON_LENGTH_MAX} characters")
    return f"operator:{name}"


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise OperatorError("nobody is logged in: say who you are with --operator") from error


def stage_regions(stage: str) -> tuple[str, ...]:
    """Returns the regions of a stage in cdk.json.

    Raises: OperatorError when there is no such stage.
    """
    stages = json.loads((ROOT / "cdk.json").read_text())["context"]["stages"]
    if stage not in stages:
        raise OperatorError(f"no stage {stage} in cdk.json; there are {', '.join(stages)}")
    return tuple(stages[stage]["regions"])


def stage_region(stage: str, named: str | None) -> str:
    """Returns the named region of a stage, its first one where none is named.

    Raises: OperatorError when there is no such stage, or it is not in that region.
    """
    regions = stage_regions(stage)
    region = named or regions[0]
    if region not in regions:
        raise OperatorError(f"{region} is not a region of {stage}: {', '.join(regions)}")
    return region


def stack_outputs(stack: str, region: str) -> dict[str, str]:
    """Returns what a deployed stack tells operators.

    Raises: OperatorError when the stack is not deployed there, or may not be read.
    """
    client = boto3.client("cloudformation", region_name=region, config=CLIENT)
    try:
        found = client.describe_stacks(StackName=stack)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"cannot read the stack {stack} in {region}: {error}") from error
    outputs = found.get("Outputs", ())
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def data_outputs(stage: str, region: str, names: Sequence[str]) -> tuple[str, ...]:
    """Returns what a stage's data stack in a region tells under these names, such as its tables.

    Raises: OperatorError when they cannot be found.
    """
    stack = f"Farthing-{stage}-{region}-Data"
    outputs = stack_outputs(stack, region)
    missing = [name for name in names if name not in outputs]
    if missing:
        raise OperatorError(f"the stack {stack} in {region} has no output {', '.join(missing)}")
    return tuple(outputs[name] for name in names)


def event_signer(stage: str, region: str) -> KmsEventSigner:
    """Composes the signer of what operators write, with the rights of who calls.

    Raises: OperatorError when the stage's key and table cannot be found.
    """
    table, key = data_outputs(stage, region, ("EvidenceTable", "EventKeyArn"))
    return KmsEventSigner(
        dynamodb=boto3.client("dynamodb", region_name=region, config=CLIENT),
        kms=lambda: boto3.client("kms", region_name=region, config=CLIENT),
        table=table,
        key_id=key,
        stage=stage,
        region=region,
        clock=SystemClock(),
        change_ms=0,
    )
