"""Parameters of the test helpers."""

from typing import Annotated

from pydantic import Field

from shared.domain.documents import LIMIT_DEFAULT, LIMIT_MAX
from shared.edge.fields import Integer
from shared.edge.params import Params

PaymentIntentId = Annotated[str, Field(pattern=r"^pi_[A-Za-z0-9]{1,64}$")]
TransactionId = Annotated[str, Field(pattern=r"^ntx_[0-9]{13}[A-Za-z0-9]{1,64}$")]


class ListNetworkTransactions(Params):
    """Parameters of GET /v1/test_helpers/network_transactions; newest first, forwards only."""

    payment_intent: PaymentIntentId | None = None
    limit: Annotated[Integer, Field(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    starting_after: TransactionId | None = None
