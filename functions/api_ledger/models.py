"""Parameters of balances and the ledger."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.edge.fields import Integer, ListParams, ObjectId, PageParams
from shared.edge.params import Params

# Milliseconds have 13 digits in keys, with room for what is sealed later.
SECOND_MAX = 9_999_999_000

Moment = Annotated[Integer, Field(ge=0, le=SECOND_MAX)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ListBalanceTransactions(ListParams):
    """GET /v1/balance_transactions."""

    currency: Word | None = None
    payout: ObjectId | None = None
    source: ObjectId | None = None
    type: Word | None = None


class AsOf(Params):
    """The parameters of what can be read as it was."""

    as_of: Moment | None = None


class ListAccounts(PageParams):
    """GET /v1/ledger/accounts."""

    as_of: Moment | None = None


class ListEntries(ListParams):
    """GET /v1/ledger/accounts/{account}/entries."""


class ListJournals(ListParams):
    """GET /v1/ledger/journals."""

    kind: Word | None = None
    payment_intent: ObjectId | None = None


class ListCheckpoints(PageParams):
    """GET /v1/ledger/checkpoints."""
