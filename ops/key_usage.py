"""When keys were last used, as the log lines of the API functions tell it.

Each request's line names its key. Asking the logs costs when it is asked; recording each use would
cost a write that somebody waits for, or a function that reads every line. The lines of the last
minute or so may be missing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import boto3

from ops.stages import CLIENT, OperatorError

DAYS = 30
_PREFIXES = ("Api", "TokenizeCard")
_GROUP = "AWS::Logs::LogGroup"
_POLL_S = 1.0
_POLLS_MAX = 60
_RUNNING = {"Scheduled", "Running"}

Pause = Callable[[float], None]


def log_groups(stage: str, region: str) -> tuple[str, ...]:
    """Returns the log groups of a stage's API functions."""
    client = boto3.client("cloudformation", region_name=region, config=CLIENT)
    pages = client.get_paginator("list_stack_resources").paginate(
        StackName=f"Farthing-{stage}-{region}-Payments"
    )
    return tuple(
        resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] == _GROUP and is_of_the_api(resource["LogicalResourceId"])
    )


def is_of_the_api(log_group: str) -> bool:
    """Tells whether a log group, by its logical id, is of a function that keys are used at."""
    return log_group.startswith(_PREFIXES) and "AccessLog" not in log_group


def last_used(
    logs: Any, groups: Sequence[str], account: str, now_s: int, pause: Pause = time.sleep
) -> Mapping[str, str]:
    """Returns when each key of an account was last used in the last thirty days, by its name.

    Args: logs: a client of CloudWatch Logs. account: one that there is: it becomes part of a query.
    Raises: OperatorError when the logs do not answer within a minute.
    """
    query = logs.start_query(
        logGroupNames=list(groups),
        startTime=now_s - DAYS * 24 * 60 * 60,
        endTime=now_s,
        queryString=(
            f'filter message = "request" and account = "{account}" and ispresent(key)'
            " | stats max(@timestamp) as used by key"
        ),
    )["queryId"]
    for _ in range(_POLLS_MAX):
        answer = logs.get_query_results(queryId=query)
        if answer["status"] not in _RUNNING:
            break
        pause(_POLL_S)
    if answer["status"] != "Complete":
        raise OperatorError(f"the logs were not searched: {answer['status']}")
    rows = [{cell["field"]: cell["value"] for cell in row} for row in answer["results"]]
    return {row["key"]: row["used"] for row in rows if "key" in row}
