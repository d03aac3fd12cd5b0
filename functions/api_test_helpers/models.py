"""Parameters of the test helpers."""

from typing import Annotated, Literal

from pydantic import Field

from shared.domain.documents import LIMIT_DEFAULT, LIMIT_MAX
from shared.edge.fields import Integer, ObjectId, Shipping, Text
from shared.edge.methods import PaymentMethodData
from shared.edge.params import Params

PaymentIntentId = Annotated[str, Field(pattern=r"^pi_[A-Za-z0-9]{1,64}$")]
TransactionId = Annotated[str, Field(pattern=r"^ntx_[0-9]{13}[A-Za-z0-9]{1,64}$")]


class ListNetworkTransactions(Params):
    """Parameters of GET /v1/test_helpers/network_transactions; newest first, forwards only."""

    payment_intent: PaymentIntentId | None = None
    limit: Annotated[Integer, Field(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    starting_after: TransactionId | None = None


class CreateConfirmationToken(Params):
    """Parameters of POST /v1/test_helpers/confirmation_tokens."""

    payment_method: ObjectId | None = None
    payment_method_data: PaymentMethodData | None = None
    return_url: Text | None = None
    setup_future_usage: Literal["off_session", "on_session"] | None = None
    shipping: Shipping | None = None
