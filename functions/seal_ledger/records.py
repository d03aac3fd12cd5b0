"""Reads records from the images that streams tell of what was written."""

from collections.abc import Callable, Mapping
from typing import Any

from shared.adapters import dynamodb
from shared.adapters.dynamodb_ledger import journal_of_image
from shared.adapters.dynamodb_payments import event_of_image
from shared.domain.errors import InvariantError
from shared.domain.evidence import Record
from shared.domain.records import change_record, event_record, journal_record

Image = Mapping[str, Any]
# Pages are ordered by times of 13 digits.
_TIMES_MS = range(10**13)


def record_of(told: Mapping[str, Any]) -> Record | None:
    """Returns the record that a stream tells of; None where it is none, such as a snapshot.

    Args: told: a record of a DynamoDB stream.
    Raises: whatever its image makes impossible to read.
    """
    if told["eventName"] != "INSERT":
        return None
    image = told["dynamodb"]["NewImage"]
    read = _reader(image)
    if read is None:
        return None
    record = read(image)
    if record.at_ms not in _TIMES_MS:
        raise InvariantError(f"{record.id} was written at no time: {record.at_ms}")
    # What cannot be hashed would keep a whole block from being sealed.
    _ = record.leaf_hash
    return record


def _reader(image: Image) -> Callable[[Image], Record] | None:
    pk, sk = image["pk"]["S"], image["sk"]["S"]
    if sk.startswith(f"{pk}/"):
        return _journal
    if not sk.startswith(dynamodb.HISTORY_PREFIX):
        return None
    return _event if "type" in image else _change


def _journal(image: Image) -> Record:
    return journal_record(journal_of_image(image))


def _event(image: Image) -> Record:
    return event_record(event_of_image(image), image["book"]["S"])


def _change(image: Image) -> Record:
    signed = {name: image[name]["S"] for name in ("hash", "previous_hash", "key_id", "mac")}
    return change_record({**dynamodb.load(image, "body"), **signed}, image["book"]["S"])
