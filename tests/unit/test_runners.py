"""Errors of AWS, translated to what a caller may do about them."""

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from shared.adapters.dynamodb import batch_get, get_each, key_in_use, transact, write_in_turn
from shared.adapters.stepfunctions import StepFunctionsRunner
from shared.domain.available import insufficient_funds
from shared.domain.errors import (
    InsufficientFundsError,
    KeyInUseError,
    TransientError,
    UnknownOutcomeError,
    VersionConflictError,
)

URL = "http://aws.example"
MACHINES = {"pay": "arn:aws:states:us-east-1:1:stateMachine:pay"}


def client_error(code: str, **response: Any) -> ClientError:
    answer: Any = {"Error": {"Code": code}, **response}
    return ClientError(answer, "Operation")


class Client:
    """A client whose calls fail, or answer."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []

    def call(self, **arguments: Any) -> Any:
        self.calls.append(arguments)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    start_sync_execution = start_execution = transact_write_items = batch_get_item = call


def run(answer: Any) -> Any:
    client: Any = Client(answer)
    return StepFunctionsRunner(client, MACHINES.__getitem__).run("pay", {"a": 1})


def test_runner_returns_the_output_of_an_execution() -> None:
    # given
    client: Any = Client({"status": "SUCCEEDED", "output": '{"outcome": "done"}'})
    # when
    output = StepFunctionsRunner(client, MACHINES.__getitem__).run("pay", {"a": 1})
    # then
    assert output == {"outcome": "done"}
    assert client.calls == [{"stateMachineArn": MACHINES["pay"], "input": '{"a": 1}'}]


def start(answer: Any) -> list[dict[str, Any]]:
    client: Any = Client(answer)
    StepFunctionsRunner(client, MACHINES.__getitem__).start("pay", "pi_1-5", {"a": 1})
    calls: list[dict[str, Any]] = client.calls
    return calls


@pytest.mark.parametrize("answer", [{}, client_error("ExecutionAlreadyExists")])
def test_runner_starts_an_execution_of_a_name_once(answer: Any) -> None:
    (call,) = start(answer)
    assert call == {"stateMachineArn": MACHINES["pay"], "name": "pi_1-5", "input": '{"a": 1}'}


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException"),
        client_error("ServiceUnavailable"),
        client_error("InternalServerError"),
        client_error("ExecutionLimitExceeded"),
        ConnectionClosedError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
        EndpointConnectionError(endpoint_url=URL),
    ],
    ids=str,
)
def test_runner_that_may_not_have_started_says_so(error: Exception) -> None:
    with pytest.raises(TransientError):
        start(error)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_runner_execution_without_output_is_unknown(status: str) -> None:
    with pytest.raises(UnknownOutcomeError):
        run({"status": status})


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
    ],
    ids=lambda error: type(error).__name__,
)
def test_runner_call_without_an_answer_is_unknown(error: Exception) -> None:
    with pytest.raises(UnknownOutcomeError):
        run(error)


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
        client_error("ThrottlingException"),
        client_error("TooManyRequestsException"),
    ],
    ids=str,
)
def test_runner_call_that_was_not_taken_may_be_made_again(error: Exception) -> None:
    with pytest.raises(TransientError):
        run(error)


def test_runner_refused_call_is_a_bug() -> None:
    with pytest.raises(ClientError):
        run(client_error("AccessDeniedException"))


def canceled(*codes: str) -> ClientError:
    reasons = [{"Code": code} for code in codes]
    return client_error("TransactionCanceledException", CancellationReasons=reasons)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (canceled("None", "ConditionalCheckFailed"), KeyInUseError),
        (canceled("ConditionalCheckFailed", "ConditionalCheckFailed"), KeyInUseError),
        (canceled("ConditionalCheckFailed", "None"), VersionConflictError),
        (canceled("None", "None", "ConditionalCheckFailed"), InsufficientFundsError),
        (
            canceled("None", "ConditionalCheckFailed", "ConditionalCheckFailed"),
            KeyInUseError,
        ),
        (
            canceled("ConditionalCheckFailed", "None", "ConditionalCheckFailed"),
            VersionConflictError,
        ),
        (canceled("TransactionConflict", "None"), VersionConflictError),
        (canceled("None", "TransactionConflict"), VersionConflictError),
        (canceled("ThrottlingError", "None"), TransientError),
        (canceled("ProvisionedThroughputExceeded", "None"), TransientError),
        (canceled("ValidationError", "None"), ClientError),
        (client_error("ThrottlingException"), TransientError),
        (client_error("ProvisionedThroughputExceededException"), TransientError),
        (client_error("TransactionInProgressException"), TransientError),
        (client_error("AccessDeniedException"), ClientError),
    ],
)
def test_transaction_refused_says_what_to_do(error: ClientError, expected: type[Exception]) -> None:
    # given
    client: Any = Client(*[error] * 9)
    # then
    with pytest.raises(expected):
        transact(client, [], {1: key_in_use(), 2: insufficient_funds()}, pause=no_wait)


def no_wait(_seconds: float) -> None:
    """Waits not at all."""


def test_transaction_that_was_throttled_is_sent_again_after_longer_and_longer_waits() -> None:
    # given
    throttled = canceled("None", "ThrottlingError")
    client: Any = Client(throttled, throttled, {})
    waits: list[float] = []
    # when
    transact(client, [], pause=waits.append)
    # then
    first, second = waits
    assert 0.01 <= first <= 0.03 < second * 1.3
    assert len(client.calls) == 3


def test_transaction_that_stays_throttled_is_given_up() -> None:
    # given
    client: Any = Client(*[canceled("ProvisionedThroughputExceeded")] * 9)
    # when
    with pytest.raises(TransientError):
        transact(client, [], pause=no_wait)
    # then
    assert len(client.calls) == 4


def test_transaction_that_was_refused_beside_being_throttled_is_not_sent_again() -> None:
    # given
    client: Any = Client(canceled("ConditionalCheckFailed", "ThrottlingError"))
    # then
    with pytest.raises(VersionConflictError):
        transact(client, [], pause=no_wait)
    assert len(client.calls) == 1


def test_write_that_meets_a_transaction_is_made_again() -> None:
    # given
    conflict = client_error("TransactionConflictException")
    refused = client_error("ConditionalCheckFailedException")
    # then
    assert write_in_turn(Client(conflict, conflict, {}).call, pause=no_wait)
    assert not write_in_turn(Client(conflict, refused).call, pause=no_wait)
    with pytest.raises(TransientError):
        write_in_turn(Client(*[conflict] * 9).call, pause=no_wait)
    with pytest.raises(ClientError):
        write_in_turn(Client(client_error("AccessDeniedException")).call, pause=no_wait)


def test_transaction_without_a_claim_has_no_key_in_use() -> None:
    # given
    client: Any = Client(canceled("ConditionalCheckFailed"))
    # then
    with pytest.raises(VersionConflictError):
        transact(client, [])


def test_batch_read_asks_again_for_what_was_left_out() -> None:
    # given
    left = {"t": {"Keys": [{"pk": {"S": "2"}}]}}
    client: Any = Client(
        {"Responses": {"t": [{"pk": {"S": "1"}}]}, "UnprocessedKeys": left},
        {"Responses": {"t": [{"pk": {"S": "2"}}]}, "UnprocessedKeys": {}},
    )
    # when
    items = list(batch_get(client, "t", [{"pk": {"S": "1"}}, {"pk": {"S": "2"}}]))
    # then
    assert [item["pk"]["S"] for item in items] == ["1", "2"]
    assert client.calls[1]["RequestItems"] == left
    assert client.calls[0]["RequestItems"]["t"]["ConsistentRead"] is True


def test_batch_read_that_stays_unread_gives_up() -> None:
    # given
    left = {"Responses": {}, "UnprocessedKeys": {"t": {"Keys": [{"pk": {"S": "1"}}]}}}
    client: Any = Client(*([left] * 20))
    # then
    with pytest.raises(TransientError):
        list(batch_get(client, "t", [{"pk": {"S": "1"}}]))
    assert len(client.calls) < 20


def test_read_of_several_tables_asks_again_for_what_was_left_out() -> None:
    # given a third table whose item there is not
    left = {"t2": {"Keys": [{"pk": {"S": "2"}}], "ConsistentRead": True}}
    client: Any = Client(
        {"Responses": {"t1": [{"pk": {"S": "1"}}], "t3": []}, "UnprocessedKeys": left},
        {"Responses": {"t2": [{"pk": {"S": "2"}}]}, "UnprocessedKeys": {}},
    )
    # when
    found = get_each(client, {f"t{n}": {"pk": {"S": str(n)}} for n in (1, 2, 3)})
    # then
    assert found == {"t1": {"pk": {"S": "1"}}, "t2": {"pk": {"S": "2"}}}
    assert all(read["ConsistentRead"] for read in client.calls[0]["RequestItems"].values())
    assert client.calls[1]["RequestItems"] == left


def test_read_of_several_tables_that_stays_unread_gives_up() -> None:
    # given
    left = {"Responses": {}, "UnprocessedKeys": {"t": {"Keys": [{"pk": {"S": "1"}}]}}}
    client: Any = Client(*([left] * 20))
    # then
    with pytest.raises(TransientError):
        get_each(client, {"t": {"pk": {"S": "1"}}})
    assert len(client.calls) < 20
