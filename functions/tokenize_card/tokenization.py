"""Payment methods and tokens made of cards: the card goes to the vault, a summary stays."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from functions.tokenize_card.models import (
    CardParams,
    CreatePaymentMethod,
    CreateToken,
    TokenCardParams,
)
from functions.tokenize_card.validation import checked_card, require_belonging
from shared.domain import sandbox_cards
from shared.domain.audit_trail import created, updated
from shared.domain.card_brands import brand_of
from shared.domain.cards import CardNumber, CardSummary
from shared.domain.documents import Document, ListEntry, Scope
from shared.domain.errors import InvariantError, RejectedError
from shared.domain.lists import stripes_of
from shared.domain.ports import DocumentStore
from shared.domain.sandbox_cards import SandboxCard
from shared.domain.vault import CardSealer
from shared.edge.api import Reply, Request
from shared.edge.documents import ScopedDocuments, storable
from shared.edge.fields import merge_metadata
from shared.edge.methods import billing_details_of, filled_in
from shared.wire import objects

_DAY_MS = 24 * 60 * 60 * 1000
_TOKEN_PARAM = "card[token]"
# More than what is known of a card.
_SUMMARY_BYTES_MAX = 2 * 1024


@dataclass(frozen=True, slots=True)
class StagePolicy:
    """Which cards a stage takes.

    Args: takes_live_cards: real ones, in live mode. has_sandbox_cards: test cards by name.
    """

    takes_live_cards: bool
    has_sandbox_cards: bool


@dataclass(frozen=True, slots=True)
class _Source:
    """What a payment method is made of.

    Args: used: the token that is used up by it.
    """

    card: CardSummary
    billing_details: Mapping[str, Any]
    used: Document | None = None


class Tokenizer:
    """Makes payment methods and tokens."""

    def __init__(self, sealer: CardSealer, documents: DocumentStore, policy: StagePolicy) -> None:
        self._sealer = sealer
        self._documents = documents
        self._policy = policy

    def create_payment_method(self, request: Request[CreatePaymentMethod]) -> Reply:
        """Makes a payment method of a card, or of a token that stands for one."""
        params = request.params
        metadata = merge_metadata({}, params.metadata)
        details = billing_details_of(params.billing_details)
        told = {
            "type": "card",
            "customer": None,
            "metadata": metadata,
            "allow_redisplay": params.allow_redisplay,
        }
        # Refused before the card is sealed, which would stay without anything that names it.
        storable({**told, "billing_details": details}, spare_bytes=_SUMMARY_BYTES_MAX)
        source = self._source(request)
        data = {
            **told,
            "card": asdict(source.card),
            "billing_details": filled_in(details, source.billing_details),
        }
        method = request.document(request.new_id("pm"), "payment_method", data)
        listed = ListEntry("payment_method", method.created_ms, method.id)
        account = request.references.get(request.scope.account)
        stripes = stripes_of(account, livemode=request.scope.livemode)
        writes = [created(method, request.context, listed=[listed], stripes=stripes)]
        if source.used is not None:
            used = {**source.used.data, "used": True}
            writes.append(updated(source.used, used, request.context))
        reply = Reply(200, objects.payment_method(method))
        self._documents.commit(writes, request.answered(reply))
        return reply

    def create_token(self, request: Request[CreateToken]) -> Reply:
        """Makes a token of a card, which can be used once."""
        card = request.params.card
        holder = storable(_holder(card), spare_bytes=_SUMMARY_BYTES_MAX)
        data = {
            "type": "card",
            "card": asdict(self._tokenized(request, card)),
            "card_id": request.new_id("card"),
            "billing_details": holder,
            "used": False,
        }
        token = request.document(request.new_id("tok"), "token", data)
        reply = Reply(200, objects.token(token))
        self._documents.commit([created(token, request.context)], request.answered(reply))
        return reply

    def describe_alias(self, alias: str, account: str) -> dict[str, Any] | None:
        """Describes a test card by its name, for a payment method that is used without being
        created.

        Args: alias: such as "pm_card_visa".
        Returns: the fields of CardSummary, or None where this stage has no such card.
        """
        card = sandbox_cards.by_alias(alias) if self._policy.has_sandbox_cards else None
        return asdict(self._named(card, account)) if card else None

    def _source(self, request: Request[CreatePaymentMethod]) -> _Source:
        card = request.params.card
        if card.token is None:
            return _Source(self._tokenized(request, card), {})
        if card.model_fields_set != {"token"}:
            raise RejectedError(
                "You may only specify one of these parameters: card[token], card[number].",
                param="card",
            )
        return self._of_token(request.scope, card.token)

    def _of_token(self, scope: Scope, token_id: str) -> _Source:
        if not scope.livemode and self._policy.has_sandbox_cards:
            named = sandbox_cards.by_alias(token_id)
            if named is not None and token_id.startswith(sandbox_cards.TOKEN_PREFIX):
                return _Source(self._named(named, scope.account), {})
        scoped = ScopedDocuments(self._documents, scope)
        token = scoped.named_by_param("token", token_id, _TOKEN_PARAM)
        if token.data["used"]:
            raise RejectedError(
                f"You cannot use a Stripe token more than once: {token.id}.",
                code="token_already_used",
                param=_TOKEN_PARAM,
            )
        return _Source(CardSummary.of(token.data["card"]), token.data["billing_details"], token)

    def _tokenized(
        self, request: Request[Any], params: CardParams | TokenCardParams
    ) -> CardSummary:
        scope = request.scope
        card = checked_card(
            params.number, params.exp_month, params.exp_year, params.cvc, now_ms=request.now_ms
        )
        require_belonging(
            card.number,
            livemode=scope.livemode,
            takes_live_cards=self._policy.takes_live_cards,
        )
        sealed = self._sealer.seal(scope.account, card, _request_name(request))
        return _summary(card, sealed.vault_token, sealed.fingerprint)

    def _named(self, card: SandboxCard, account: str) -> CardSummary:
        fingerprint = self._sealer.fingerprint(account, card.number)
        number = CardNumber(card.number, sandbox_cards.EXP_MONTH, sandbox_cards.EXP_YEAR, card.cvc)
        return _summary(number, sandbox_cards.vault_token(card), fingerprint)


def _request_name(request: Request[Any]) -> str:
    """Names a request to the vault, the same for its retries.

    A retry after a crash finds the card it sealed. A key may be used anew once a day has passed,
    which the day in the name tells apart.
    """
    if request.idempotency_key is None:
        return request.entropy.token(24)
    return f"{request.scope.mode}|{request.now_ms // _DAY_MS}|{request.idempotency_key}"


def _summary(card: CardNumber, vault_token: str, fingerprint: str) -> CardSummary:
    brand = brand_of(card.number)
    if brand is None:
        raise InvariantError("a card without a brand passed validation")
    known = sandbox_cards.by_number(card.number)
    return CardSummary(
        vault_token=vault_token,
        brand=brand.name,
        last4=card.number[-4:],
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        # Of a real card only its issuer knows these; no table of issuers is at hand.
        funding=known.funding if known else "unknown",
        country=known.country if known else "",
        fingerprint=fingerprint,
        network_risk=known.risk if known else "normal",
    )


def _holder(card: TokenCardParams) -> dict[str, Any]:
    """Writes a token's holder in the shape of billing details."""
    return {
        "address": {
            "city": card.address_city,
            "country": card.address_country,
            "line1": card.address_line1,
            "line2": card.address_line2,
            "postal_code": card.address_zip,
            "state": card.address_state,
        },
        "email": None,
        "name": card.name,
        "phone": None,
        "tax_id": None,
    }
