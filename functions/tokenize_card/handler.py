"""The vault's API: POST /v1/payment_methods and POST /v1/tokens, which alone take card numbers.

Also answers {"describe_alias": "pm_card_visa", "account": "acct_..."}, an invocation by the
payments API, with what may be known of a test card. HTTP clients cannot send it: API Gateway
writes the event.
"""

import functools
from collections.abc import Mapping
from typing import Any

from functions.tokenize_card.models import CreatePaymentMethod, CreateToken
from functions.tokenize_card.tokenization import StagePolicy, Tokenizer
from shared import bootstrap, bootstrap_api, bootstrap_vault
from shared.domain.vault import CardSealer
from shared.edge.api import Api, ApiPorts
from shared.observability import logger


def make_api(ports: ApiPorts, tokenizer: Tokenizer, sealer: CardSealer) -> Api:
    """Registers the operations."""
    api = Api(ports)
    api.post(
        "/v1/payment_methods",
        CreatePaymentMethod,
        returns="payment_method",
        publishable=True,
        conceal=sealer.digest,
        # Tells over how many shards its list is spread.
        references=lambda _, scope: [scope.account],
    )(tokenizer.create_payment_method)
    api.post("/v1/tokens", CreateToken, publishable=True, conceal=sealer.digest)(
        tokenizer.create_token
    )
    return api


@functools.cache
def _tokenizer() -> Tokenizer:
    is_production = bootstrap_vault.is_production()
    policy = StagePolicy(takes_live_cards=is_production, has_sandbox_cards=not is_production)
    return Tokenizer(bootstrap_vault.sealer(), bootstrap.audited_documents(), policy)


@functools.cache
def _api() -> Api:
    return make_api(bootstrap_api.ports(), _tokenizer(), bootstrap_vault.sealer())


def _described(alias: str, account: str) -> dict[str, Any] | None:
    card = _tokenizer().describe_alias(alias, account)
    logger.info("alias described", account=account, found=card is not None)
    return card


bootstrap_vault.start_vault()
bootstrap.start_signer()


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any] | None:
    """Handles an HTTP request, or the description of a test card."""
    if "describe_alias" in event:
        return _described(event["describe_alias"], event["account"])
    return _api().handle(event, context)
