"""Saga step: scores the risk of a payment, beside the reservation of its funds."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.domain.ports import RiskScorer
from shared.domain.risk import RiskFeatures, RulesScorer
from shared.domain.saga import Outcome
from shared.domain.work import Work
from shared.observability import step


def run(state: Mapping[str, Any], scorer: RiskScorer) -> dict[str, Any]:
    """Returns "allow" or "block" with the score."""
    work = Work.of(state)
    money = work.order["create"] or {**work.order["before"], **work.order["update"]}
    card = work.order["payment_method"]["card"]
    score = scorer.score(
        RiskFeatures(
            amount_minor=money["amount_minor"],
            currency=money["currency"],
            card_country=card["country"],
            merchant_country=work.order["merchant_country"],
            network_risk=card["network_risk"],
        )
    )
    blocked = score.action == "block"
    return {"outcome": Outcome.BLOCK if blocked else Outcome.ALLOW, **asdict(score)}


_SCORER = RulesScorer()

handler = step(lambda state: run(state, _SCORER))
