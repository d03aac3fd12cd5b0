"""A stage: one deployment of the platform, as cdk.json describes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Assets:
    """The folder of built code: layer/, platform/, vault/, network/ and reference/."""

    folder: Path

    @property
    def layer(self) -> str:
        """Dependencies of every function."""
        return str(self.folder / "layer")

    def code(self, name: str) -> str:
        """The code asset "platform", "vault", "network" or "reference"."""
        return str(self.folder / name)


@dataclass(frozen=True, slots=True)
class StageConfig:
    """What differs between deployments.

    Args: regions: each gets a complete set of stacks. account: of the deployment, or None for
    the caller's. sandbox_network: deploys the sandbox card network and the test helpers.
    api_concurrency: invocations at the same time, by API function, which are kept for it and are
    all that it gets. network_url, network_secret_name: the card network of a stage without the
    sandbox, and the operator's Secrets Manager secret with its credential. ministack_port: of the
    local emulator.
    """

    name: str
    regions: tuple[str, ...]
    account: str | None = None
    sandbox_network: bool = False
    network_url: str | None = None
    network_secret_name: str | None = None
    ministack_port: int | None = None
    api_concurrency: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        has_own = bool(self.network_url and self.network_secret_name)
        if self.sandbox_network == has_own:
            raise ValueError(
                f"stage {self.name} needs either sandbox_network or both network_url and "
                "network_secret_name"
            )
        if self.is_local and self.ministack_port is None:
            raise ValueError(f"stage {self.name} needs the context value ministack_port")

    @classmethod
    def of(cls, name: str, stages: Mapping[str, Any], ministack_port: int | None) -> "StageConfig":
        """Reads a stage from cdk.json's `stages`.

        Raises: ValueError when there is no such stage or it is incomplete.
        """
        if name not in stages:
            raise ValueError(f"no stage {name} in cdk.json; there are {', '.join(stages)}")
        facts = dict(stages[name])
        regions = tuple(facts.pop("regions"))
        port = ministack_port if name == LOCAL else None
        return cls(name=name, regions=regions, ministack_port=port, **facts)

    @property
    def is_local(self) -> bool:
        """Tells whether the stage runs on the emulator."""
        return self.name == LOCAL

    @property
    def is_production(self) -> bool:
        """Tells whether the stage moves real money: its logs outlive its stacks."""
        return not self.sandbox_network
