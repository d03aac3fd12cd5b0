"""The sandbox card network as a card provider, over HTTP."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from shared.adapters.http import BodyTooLargeError, read_bounded
from shared.adapters.secrets import Secret
from shared.domain.errors import (
    InvariantError,
    ProviderUnavailableError,
    RejectedError,
    UnknownOutcomeError,
)
from shared.domain.providers import AuthorizationRequest, ProviderAnswer, VerificationRequest
from shared.domain.sandbox_network import TransactionPage, answer_of_json

CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 8.0
ANSWER_BYTES_MAX = 1024 * 1024
CONNECTIONS_MAX = 4
ADDRESS_LENGTH_MAX = 200
NOT_PROCESSED = "not_processed"

_TOO_EARLY = (NewConnectionError, ConnectTimeoutError)
_UNAVAILABLE = "The card network cannot be reached."
_UNKNOWN = "The card network gave no readable answer."


class SandboxProvider:
    """Moves no money: asks the sandbox network, as a real provider would be asked.

    Args: base_url: of the network's API. secret: its bearer secret.
    """

    name = "sandbox"
    has_sale = True

    def __init__(self, base_url: str, secret: Secret) -> None:
        self._base_url = base_url.rstrip("/")
        self._secret = secret
        self._pool = urllib3.PoolManager(
            maxsize=CONNECTIONS_MAX,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
            retries=False,
        )

    def authorize(self, request: AuthorizationRequest) -> ProviderAnswer:
        """Reserves money, or takes it when `request.capture`."""
        body = {
            **_card_facts(request),
            "payment_intent": request.payment_id,
            "amount": request.amount_minor,
            "currency": request.currency,
            "capture": request.capture,
            "off_session": request.off_session,
        }
        return self._post("/v1/authorizations", body, request.idempotency_key)

    def verify(self, request: VerificationRequest) -> ProviderAnswer:
        """Asks the issuer about a card, without money."""
        body = {**_card_facts(request), "setup_intent": request.setup_id}
        return self._post("/v1/verifications", body, request.idempotency_key)

    def increment(self, reference: str, more_minor: int, idempotency_key: str) -> ProviderAnswer:
        """Reserves more money beside what is reserved."""
        path = f"/v1/authorizations/{quote(reference, safe='')}/increments"
        return self._post(path, {"amount": more_minor}, idempotency_key)

    def capture(self, reference: str, amount_minor: int, idempotency_key: str) -> ProviderAnswer:
        """Takes reserved money; the rest of the reservation is given back."""
        path = f"/v1/authorizations/{quote(reference, safe='')}/captures"
        return self._post(path, {"amount": amount_minor}, idempotency_key)

    def void(self, reference: str, idempotency_key: str) -> ProviderAnswer:
        """Gives a reservation, or a sale, back in full."""
        path = f"/v1/authorizations/{quote(reference, safe='')}/voids"
        return self._post(path, {}, idempotency_key)

    def refund(
        self, reference: str, refund_id: str, amount_minor: int, idempotency_key: str
    ) -> ProviderAnswer:
        """Gives taken money back."""
        path = f"/v1/authorizations/{quote(reference, safe='')}/refunds"
        return self._post(path, {"amount": amount_minor, "refund": refund_id}, idempotency_key)

    def find(self, idempotency_key: str) -> ProviderAnswer | None:
        """Looks up what has become of an operation; None when the network has not seen it."""
        query = urlencode({"idempotency_key": idempotency_key})
        status, body = self._send("GET", f"/v1/operations?{query}", None, None)
        found = _judged(status, body)
        try:
            return answer_of_json(found["data"][0]) if found["data"] else None
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UnknownOutcomeError(_UNKNOWN) from error

    def transactions(
        self,
        account: str,
        payment_id: str | None = None,
        limit: int = 10,
        starting_after: str | None = None,
    ) -> TransactionPage:
        """Reads the network's own record of an account, newest first.

        Raises: RejectedError when `starting_after` names no transaction.
        """
        query = {"merchant": account, "limit": str(limit)}
        if payment_id is not None:
            query["payment_intent"] = payment_id
        if starting_after is not None:
            query["starting_after"] = starting_after
        status, body = self._send("GET", f"/v1/transactions?{urlencode(query)}", None, None)
        if status == 400:
            raise RejectedError(
                f"No such network transaction: '{starting_after}'",
                code="resource_missing",
                param="starting_after",
            )
        answer = _judged(status, body)
        return TransactionPage(tuple(answer["data"]), bool(answer["has_more"]))

    def _post(self, path: str, body: Mapping[str, Any], idempotency_key: str) -> ProviderAnswer:
        content = json.dumps(body).encode()
        status, answer = self._send("POST", path, content, idempotency_key)
        try:
            return answer_of_json(_judged(status, answer))
        except (KeyError, TypeError, ValueError) as error:
            raise UnknownOutcomeError(_UNKNOWN) from error

    def _send(
        self, method: str, path: str, content: bytes | None, idempotency_key: str | None
    ) -> tuple[int, bytes]:
        status, body = self._exchange(method, path, content, idempotency_key)
        # A rotated secret: the network refused before it did anything, so asking again is safe.
        if status == 401 and self._secret.renew():
            return self._exchange(method, path, content, idempotency_key)
        return status, body

    def _exchange(
        self, method: str, path: str, content: bytes | None, idempotency_key: str | None
    ) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._secret.text()}"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        try:
            response = self._pool.request(
                method,
                f"{self._base_url}{path}",
                body=content,
                headers=headers,
                redirect=False,
                preload_content=False,
            )
            return response.status, read_bounded(response, ANSWER_BYTES_MAX)
        except _TOO_EARLY as error:
            raise ProviderUnavailableError(_UNAVAILABLE) from error
        except (HTTPError, BodyTooLargeError) as error:
            raise UnknownOutcomeError(_UNKNOWN) from error


def _card_facts(request: AuthorizationRequest | VerificationRequest) -> dict[str, Any]:
    card = {
        "number": request.card.number,
        "exp_month": request.card.exp_month,
        "exp_year": request.card.exp_year,
    }
    if request.card.cvc is not None:
        card["cvc"] = request.card.cvc
    return {
        "merchant": request.account,
        "livemode": False,
        "reference": request.reference,
        "card": card,
        "address": {
            "line1": _bounded(request.address_line1),
            "postal_code": _bounded(request.address_postal_code),
        },
        # Said where it is wanted only: a network that does not know of it yet serves all others.
        **({"authenticate": True} if request.authenticate else {}),
    }


def _bounded(text: str | None) -> str | None:
    # An address check compares the first characters; the network takes no more than these.
    return text if text is None else text[:ADDRESS_LENGTH_MAX]


def _judged(status: int, body: bytes) -> Mapping[str, Any]:
    """Returns the answer of a request that was served.

    Raises: ProviderUnavailableError when the network says that nothing was done;
    UnknownOutcomeError when it does not say; InvariantError when the request was malformed.
    """
    # 401 and 429 come before any work; a 503 may come from a gateway after the work was begun.
    if status in {401, 403, 429} or (status == 503 and _says_not_processed(body)):
        raise ProviderUnavailableError(_UNAVAILABLE)
    if 400 <= status < 500:
        raise InvariantError(f"the card network refused the form of a request with {status}")
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise UnknownOutcomeError(_UNKNOWN) from error
    if status != 200 or not isinstance(answer, dict):
        raise UnknownOutcomeError(_UNKNOWN)
    return answer


def _says_not_processed(body: bytes) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    error = answer.get("error") if isinstance(answer, dict) else None
    return isinstance(error, dict) and error.get("code") == NOT_PROCESSED
