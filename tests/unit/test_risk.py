"""The rules that score a payment."""

from itertools import product

import pytest

from shared.domain.risk import SCORE_MAX, RiskFeatures, RulesScorer

PLAIN = {
    "amount_minor": 2000,
    "currency": "usd",
    "card_country": "US",
    "merchant_country": "US",
    "network_risk": "normal",
}


def features(**changes: object) -> RiskFeatures:
    return RiskFeatures(**{**PLAIN, **changes})  # type: ignore[arg-type]


def test_ordinary_payment_is_normal_and_allowed() -> None:
    # when
    score = RulesScorer().score(features())
    # then
    assert (score.level, score.action, score.reasons) == ("normal", "allow", ())


@pytest.mark.parametrize(
    ("changes", "level", "action", "reasons"),
    [
        ({"card_country": "BR"}, "normal", "allow", ("country_mismatch",)),
        ({"amount_minor": 1_000_000}, "normal", "allow", ("large_amount",)),
        ({"amount_minor": 999_999}, "normal", "allow", ()),
        (
            {"card_country": "BR", "amount_minor": 99_999_999},
            "normal",
            "allow",
            ("country_mismatch", "large_amount"),
        ),
        ({"network_risk": "elevated"}, "elevated", "allow", ("network_risk",)),
        ({"network_risk": "highest"}, "highest", "block", ("network_risk",)),
        (
            {"network_risk": "elevated", "card_country": "BR", "amount_minor": 99_999_999},
            "elevated",
            "allow",
            ("network_risk", "country_mismatch", "large_amount"),
        ),
    ],
)
def test_rule_that_fires_raises_the_score_and_is_named(
    changes: dict[str, object], level: str, action: str, reasons: tuple[str, ...]
) -> None:
    # when
    score = RulesScorer().score(features(**changes))
    # then
    assert (score.level, score.action, score.reasons) == (level, action, reasons)


def test_score_stays_in_bounds_repeats_and_blocks_the_highest_only() -> None:
    scorer = RulesScorer()
    for risk, country, amount in product(
        ("normal", "elevated", "highest"), ("US", "BR"), (1, 1_000_000, 99_999_999)
    ):
        # when
        asked = features(network_risk=risk, card_country=country, amount_minor=amount)
        score = scorer.score(asked)
        # then
        assert 0 <= score.score <= SCORE_MAX
        assert score == scorer.score(asked)
        assert (score.action == "block") == (score.level == "highest")
