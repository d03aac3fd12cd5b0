"""Risk of a payment: features in, score out. The scorer of today has rules only."""

from dataclasses import dataclass

SCORE_MAX = 100
_ELEVATED_FROM = 65
_HIGHEST_FROM = 85
_NETWORK_RISK = {"normal": 0, "elevated": 65, "highest": 100}
# Minor units of any currency: the rule asks for attention, it is not an exchange rate.
_LARGE_AMOUNT_MINOR = 1_000_000


@dataclass(frozen=True, slots=True)
class RiskFeatures:
    """What is known of a payment before it is authorized.

    Args: card_country, merchant_country: ISO 3166 alpha-2, a card's
    may be unknown (""). network_risk: the card network's own
    word, "normal", "elevated" or "highest".
    """

    amount_minor: int
    currency: str
    card_country: str
    merchant_country: str
    network_risk: str


@dataclass(frozen=True, slots=True)
class RiskScore:
    """A score of 0 (safe) to 100, its level, the rules that fired, and whether to go on.

    Args: level: "normal", "elevated" or "highest". action: "allow" or "block".
    """

    score: int
    level: str
    action: str
    reasons: tuple[str, ...]


class RulesScorer:
    """Scores by rules: a large amount, a foreign card, the network's own risk level."""

    def score(self, features: RiskFeatures) -> RiskScore:
        """Adds the points of the rules that fire; the highest level is blocked."""
        points = {
            "network_risk": _NETWORK_RISK[features.network_risk],
            "country_mismatch": 15 * _is_foreign(features),
            "large_amount": 20 * (features.amount_minor >= _LARGE_AMOUNT_MINOR),
        }
        # Amount and country alone never lift a normal card to the elevated level, nor an elevated
        # one, which test cards promise to be paid, to the highest.
        ceiling = SCORE_MAX if features.network_risk == "highest" else _HIGHEST_FROM - 1
        score = min(ceiling, 5 + sum(points.values()))
        level = _level(score)
        return RiskScore(
            score=score,
            level=level,
            action="block" if level == "highest" else "allow",
            reasons=tuple(name for name, value in points.items() if value),
        )


def _is_foreign(features: RiskFeatures) -> bool:
    return features.card_country not in {"", features.merchant_country}


def _level(score: int) -> str:
    if score >= _HIGHEST_FROM:
        return "highest"
    return "elevated" if score >= _ELEVATED_FROM else "normal"
