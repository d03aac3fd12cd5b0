"""Stages as cdk.json describes them."""

import pytest

from stacks.stage import StageConfig

STAGES = {
    "local": {"account": "000000000000", "regions": ["us-east-1"], "sandbox_network": True},
    "production": {
        "regions": ["us-east-1", "eu-west-1"],
        "network_url": "https://network.example",
        "network_secret_name": "network",
    },
}


def test_stage_of_a_known_name_has_its_facts() -> None:
    stage = StageConfig.of("production", STAGES, ministack_port=None)

    assert stage.regions == ("us-east-1", "eu-west-1")
    assert stage.is_production
    assert not stage.is_local


def test_stage_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"no stage prod in cdk\.json; there are local, production"
    ):
        StageConfig.of("prod", STAGES, ministack_port=None)


def test_stage_without_a_card_network_is_refused() -> None:
    with pytest.raises(ValueError, match="stage bare needs either sandbox_network or both"):
        StageConfig("bare", ("us-east-1",), network_url="https://network.example")


def test_stage_with_sandbox_and_own_network_is_refused() -> None:
    with pytest.raises(ValueError, match="stage both needs either"):
        StageConfig(
            "both",
            ("us-east-1",),
            sandbox_network=True,
            network_url="https://network.example",
            network_secret_name="network",
        )


def test_stage_local_without_the_emulators_port_is_refused() -> None:
    with pytest.raises(ValueError, match="stage local needs the context value ministack_port"):
        StageConfig.of("local", STAGES, ministack_port=None)
