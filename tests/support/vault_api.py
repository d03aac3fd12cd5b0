"""A client of the vault's API, over whatever stores it is given."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from functions.tokenize_card.handler import make_api
from functions.tokenize_card.tokenization import StagePolicy, Tokenizer
from shared.adapters.system import SystemEntropy
from shared.domain.documents import Document
from shared.domain.ports import Clock, DocumentStore, IdempotencyStore
from shared.domain.vault import CardSealer
from shared.edge.api import ApiPorts
from shared.edge.auth import key_record_id
from tests.support.documents import audited

REGION = "us-east-1"
SECRET = "sk_test_SampleKeyOfTheDemoMerchant"
PUBLISHABLE = "pk_test_SampleKeyOfTheDemoMerchant"
LIVE = "sk_live_SampleKeyOfTheDemoMerchant"
OTHER = "sk_test_SampleKeyOfAnotherMerchant"

NUMBER, CVC = "378282246310005", "7395"
CARD = {
    "card[number]": NUMBER,
    "card[exp_month]": "12",
    "card[exp_year]": "2040",
    "card[cvc]": CVC,
}
METHOD = {"type": "card", **CARD}
REAL_LOOKING = {**METHOD, "card[number]": "4111111111111111", "card[cvc]": "123"}

DEVELOPMENT = StagePolicy(takes_live_cards=False, has_sandbox_cards=True)
PRODUCTION = StagePolicy(takes_live_cards=True, has_sandbox_cards=False)


@dataclass
class Answer:
    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def error(self) -> dict[str, Any]:
        return dict(self.body["error"])


class VaultApi:
    """Sends forms as merchants' SDKs do; accounts acct_1 and acct_2 exist."""

    def __init__(
        self,
        sealer: CardSealer,
        documents: DocumentStore,
        claims: IdempotencyStore,
        clock: Clock,
        policy: StagePolicy,
    ) -> None:
        self.documents = documents
        self.tokenizer = Tokenizer(sealer, documents, policy)
        ports = ApiPorts.of(documents, claims, clock, SystemEntropy(), REGION)
        self._api = make_api(ports, self.tokenizer, sealer)
        _register_keys(documents)

    def post(
        self,
        path: str,
        form: Mapping[str, str],
        *,
        key: str = SECRET,
        idempotency_key: str | None = None,
    ) -> Answer:
        headers = {
            "authorization": f"Bearer {key}",
            "content-type": "application/x-www-form-urlencoded",
        }
        if idempotency_key is not None:
            headers["idempotency-key"] = idempotency_key
        event = {
            "rawPath": path,
            "rawQueryString": "",
            "headers": headers,
            "requestContext": {"http": {"method": "POST"}},
            "body": base64.b64encode(urlencode(form).encode()).decode(),
            "isBase64Encoded": True,
        }
        answer = self._api.handle(event, None)
        return Answer(answer["statusCode"], json.loads(answer["body"]), answer["headers"])

    def method(self, form: Mapping[str, str] = METHOD, **options: Any) -> Answer:
        return self.post("/v1/payment_methods", form, **options)

    def token(self, form: Mapping[str, str] = CARD, **options: Any) -> Answer:
        return self.post("/v1/tokens", form, **options)

    def stored(self, object_id: str) -> Document:
        document = self.documents.get(object_id)
        assert document is not None
        return document


def _register_keys(documents: DocumentStore) -> None:
    keys = {
        SECRET: ("acct_1", "secret"),
        PUBLISHABLE: ("acct_1", "publishable"),
        LIVE: ("acct_1", "secret"),
        OTHER: ("acct_2", "secret"),
    }
    for key, (account, kind) in keys.items():
        livemode = key == LIVE
        data = {
            "account": account,
            "livemode": livemode,
            "kind": kind,
            "home_region": REGION,
        }
        record = Document(key_record_id(key), "api_key", account, livemode, 1, 0, data)
        documents.commit([audited(record)])
