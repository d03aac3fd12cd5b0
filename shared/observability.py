"""One structured log line per invocation, and the frames of saga steps and of consumers."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from aws_lambda_powertools import Logger

from shared.domain.payment import RefundStatus
from shared.domain.saga import Outcome

# The level is stated: Powertools would take it from whatever LOG_LEVEL the host happens to have.
logger = Logger(service="farthing", level="INFO", utc=True)

# What a saga is about, and how its steps' log lines call it.
_SUBJECTS = {
    "payment_id": "payment",
    "setup_intent_id": "setup_intent",
    "setup_attempt_id": "setup_attempt",
}

StepHandler = Callable[[Mapping[str, Any], object], dict[str, Any]]
_Made = TypeVar("_Made")


class DeadLetters(Protocol):
    """Keeps what cannot be processed."""

    def put(self, letter: Mapping[str, str | None]) -> None:
        """Keeps one letter."""


def is_unresolved(output: Mapping[str, Any]) -> bool:
    """Tells whether a saga ends here with an operation whose outcome is not known.

    A metric filter counts these lines, and an alarm fires on the first.
    """
    payment, setup = output.get("payment"), output.get("setup")
    if output["outcome"] == Outcome.DONE and setup is not None:
        return bool(setup["is_open"])
    if output["outcome"] != Outcome.DONE or payment is None:
        return False
    # A refund that the provider accepted takes its time, and nobody need look after it.
    unheard = [
        refund
        for refund in payment["refunds"]
        if refund["status"] == RefundStatus.PENDING and refund["provider_reference"] is None
    ]
    return payment["pending"] is not None or bool(unheard)


def step(run: Callable[[Mapping[str, Any]], dict[str, Any]]) -> StepHandler:
    """Makes a Lambda handler of a saga step: runs it and logs its outcome, never its data."""

    def handler(state: Mapping[str, Any], _context: object) -> dict[str, Any]:
        started = time.perf_counter()
        output = run(state)
        logger.info(
            "step",
            saga=state["saga"],
            **{noun: state[name] for name, noun in _SUBJECTS.items() if name in state},
            account=state["account"],
            request_id=state["request_id"],
            outcome=str(output["outcome"]),
            unresolved=is_unresolved(output),
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )
        return output

    return handler


def each_message(
    event: Mapping[str, Any],
    act: Callable[[Mapping[str, Any]], object],
    *,
    summary: str,
    failure: str,
    log: Logger = logger,
) -> dict[str, Any]:
    """Acts on each message of a queue's batch; what fails is received again, and alone.

    Args: act: takes the message's JSON. summary, failure: how the log calls the batch, and a
    message that failed.
    Returns: SQS partial batch response.
    """
    failures = []
    for record in event["Records"]:
        try:
            act(json.loads(record["body"]))
        except Exception:  # one poisoned message must not hold up the others
            log.exception(failure, message_id=record["messageId"])
            failures.append({"itemIdentifier": record["messageId"]})
    log.info(summary, records=len(event["Records"]), failures=len(failures))
    return {"batchItemFailures": failures}


def spared(
    record: Mapping[str, Any],
    make: Callable[[Mapping[str, Any]], _Made],
    dead_letters: DeadLetters,
    *,
    failure: str,
    log: Logger = logger,
) -> _Made | None:
    """Makes something of a stream's record, or nothing where it is poison: that is set aside.

    Args: failure: how the log calls a record that nothing can be made of.
    """
    try:
        return make(record)
    except Exception as error:
        keys = record.get("dynamodb", {}).get("Keys", {})
        letter = {
            "stream": record.get("eventSourceARN"),
            "record": record.get("eventID"),
            "pk": keys.get("pk", {}).get("S"),
            "sk": keys.get("sk", {}).get("S"),
            "error": type(error).__name__,
        }
        log.exception(failure, **letter)
        dead_letters.put(letter)
        return None
