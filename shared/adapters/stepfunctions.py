"""Sagas as executions of Step Functions: synchronous Express, or Standard where they last."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from shared.domain.errors import OverloadedError, TransientError, UnknownOutcomeError

if TYPE_CHECKING:
    from types_boto3_stepfunctions.client import SFNClient

_STARTED_BEFORE = "ExecutionAlreadyExists"
_THROTTLED = {"ThrottlingException", "TooManyRequestsException"}


class StepFunctionsRunner:
    """Implements SagaRunner.

    Args: client: without retries: an execution that is started twice runs twice. Its read timeout
    ends before the API's own, and an execution goes on without its reader. machine: the ARN of a
    saga.
    """

    def __init__(self, client: "SFNClient", machine: Callable[[str], str]) -> None:
        self._client = client
        self._machine = machine

    def run(self, saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        """Runs a saga to its output.

        Raises: TransientError when it was not started, OverloadedError where that is for the
        number of those that run; UnknownOutcomeError when it was, and gave
        no output.
        """
        try:
            execution = self._client.start_sync_execution(
                stateMachineArn=self._machine(saga), input=json.dumps(saga_input)
            )
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            raise TransientError("The payment could not be started; try again.") from error
        except ClientError as error:
            if error.response["Error"]["Code"] in _THROTTLED:
                # Refused at once: what is queued is paid for by customers who wait.
                raise OverloadedError("Too many payments at once; try again.") from error
            raise
        except (BotoConnectionError, HTTPClientError) as error:
            raise UnknownOutcomeError("The payment's outcome is not known yet.") from error
        if execution["status"] != "SUCCEEDED":
            raise UnknownOutcomeError(f"The saga {saga} ended as {execution['status']}.")
        output: Mapping[str, Any] = json.loads(execution["output"])
        return output

    def start(self, saga: str, name: str, saga_input: Mapping[str, Any]) -> None:
        """Starts a lasting saga; one of the same name that was started before is the same.

        Raises: TransientError when it may not have been started.
        """
        try:
            self._client.start_execution(
                stateMachineArn=self._machine(saga), name=name, input=json.dumps(saga_input)
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != _STARTED_BEFORE:
                raise TransientError("The saga could not be started; try again.") from error
        except (BotoConnectionError, HTTPClientError) as error:
            raise TransientError("The saga could not be started; try again.") from error
