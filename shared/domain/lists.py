"""Lists: over how many shards an account's list rows are spread, so that no key is hot.

A merchant's payments write to a few lists, one key each, and a key takes so many writes a second.
A hot merchant's account has stripes: a payment keeps the number that it was created with, and all
its rows, new or removed, are in the shard that its number and the object's id give. A reader merges
the shards of the account's number as it reads it. The number only ever grows: whoever reads it
before a row is written cannot be older than the row, so no reader misses what was there when it
asked, and nobody has to wait.
"""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from shared.domain.documents import Document, mode_of
from shared.domain.errors import InvariantError

# A merchant of 10,000 payments/s needs 200.
STRIPES_MAX = 256
# The lists that grow with an account's payments. Those of one customer, and of what is created by
# hand, are one shard each.
_SPREAD = frozenset({"payment_intent", "charge", "refund", "payment_method", "event"})


def stripes_of(account: Document | None, *, livemode: bool) -> int:
    """Returns the stripes of an account's lists: 1 where nobody raised them."""
    stripes: Mapping[str, int] = account.data.get("stripes", {}) if account is not None else {}
    return stripes.get(mode_of(livemode=livemode), 1)


def with_stripes(account: Document, count: int, *, livemode: bool) -> Mapping[str, Any]:
    """Returns an account's data with at least so many stripes; they never become fewer.

    Raises: InvariantError when the count is not 1 to STRIPES_MAX.
    """
    if not 1 <= count <= STRIPES_MAX:
        raise InvariantError(f"lists have 1 to {STRIPES_MAX} stripes: {count}")
    most = max(count, stripes_of(account, livemode=livemode))
    stripes = {**account.data.get("stripes", {}), mode_of(livemode=livemode): most}
    return {**account.data, "stripes": stripes}


def is_spread(collection: str) -> bool:
    """Tells whether a list is spread over its account's stripes."""
    return collection in _SPREAD


def shard_of_row(collection: str, object_id: str, stripes: int) -> int:
    """Returns the shard that a row is in, written with so many stripes."""
    return crc32(object_id.encode()) % stripes if is_spread(collection) else 0
