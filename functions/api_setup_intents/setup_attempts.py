"""What became of each confirmation of a setup intent, and mandates."""

from functions.api_setup_intents.models import ListSetupAttempts
from shared.domain.ports import DocumentStore
from shared.domain.setups import ATTEMPT, INTENT, attempts_of
from shared.edge.api import Api, Reply, Request
from shared.edge.documents import ScopedDocuments
from shared.edge.fields import NoParams
from shared.wire.errors import no_such
from shared.wire.setups import setup_attempt

_URL = "/v1/setup_attempts"


def register(api: Api, documents: DocumentStore) -> None:
    """Adds the operations to an API."""

    def attempts(request: Request[ListSetupAttempts]) -> Reply:
        """Lists the attempts of one setup intent, newest first."""
        params = request.params
        scoped = ScopedDocuments(documents, request.scope)
        intent = scoped.named_by_param(INTENT, params.setup_intent, "setup_intent")
        page = scoped.list(ATTEMPT, attempts_of(intent.id), params, setup_attempt, _URL)
        return Reply(200, page)

    api.list(_URL, ListSetupAttempts, returns=ATTEMPT)(attempts)
    api.get("/v1/mandates/{id}", NoParams)(_mandate)


def _mandate(request: Request[NoParams]) -> Reply:
    """Says that there is none: cards need no mandate, and no other payment method is served."""
    raise no_such("mandate", request.path["id"], "mandate")
