"""Sagas as synchronous Express executions of Step Functions."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from shared.domain.errors import TransientError, UnknownOutcomeError

if TYPE_CHECKING:
    from types_boto3_stepfunctions.client import SFNClient

_THROTTLED = {"ThrottlingException", "TooManyRequestsException"}


class StepFunctionsRunner:
    """Implements SagaRunner.

    Args: client: with a read timeout longer than a saga, and without retries: an execution that
    is started twice runs twice. machines: ARN by saga name.
    """

    def __init__(self, client: "SFNClient", machines: Mapping[str, str]) -> None:
        self._client = client
        self._machines = machines

    def run(self, saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        """Runs a saga to its output.

        Raises: TransientError when it was not started; UnknownOutcomeError when it was, and gave
        no output.
        """
        try:
            execution = self._client.start_sync_execution(
                stateMachineArn=self._machines[saga], input=json.dumps(saga_input)
            )
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            raise TransientError("The payment could not be started; try again.") from error
        except ClientError as error:
            if error.response["Error"]["Code"] in _THROTTLED:
                raise TransientError("Too many payments at once; try again.") from error
            raise
        except (BotoConnectionError, HTTPClientError) as error:
            raise UnknownOutcomeError("The payment's outcome is not known yet.") from error
        if execution["status"] != "SUCCEEDED":
            raise UnknownOutcomeError(f"The saga {saga} ended as {execution['status']}.")
        output: Mapping[str, Any] = json.loads(execution["output"])
        return output
