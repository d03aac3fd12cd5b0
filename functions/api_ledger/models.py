"""Parameters of the balance and the ledger."""

from shared.edge.fields import ObjectId
from shared.edge.params import Params


class ListJournals(Params):
    """GET /v1/ledger/journals."""

    payment_intent: ObjectId
