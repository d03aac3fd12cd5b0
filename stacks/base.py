"""What all stacks share: where they go, how they are named, what they tell their operator."""

import aws_cdk as cdk
from constructs import Construct

from stacks.stage import StageConfig


class FarthingStack(cdk.Stack):
    """A stack of one stage and region.

    Args: name: last part of its id. is_stateful: protects it from deletion; only stacks that hold
    what cannot be made again are stateful.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        stage: StageConfig,
        region: str,
        is_stateful: bool = False,
    ) -> None:
        # The emulator enforces roles but has no bootstrap roles to assume.
        synthesizer = cdk.CliCredentialsStackSynthesizer() if stage.is_local else None
        super().__init__(
            scope,
            f"Farthing-{stage.name}-{region}-{name}",
            env=cdk.Environment(account=stage.account, region=region),
            synthesizer=synthesizer,
            termination_protection=is_stateful,
            description=f"Farthing {name}, stage {stage.name}",
        )
        self.stage_config = stage
        cdk.Tags.of(self).add("farthing:stage", stage.name)

    def tell(self, name: str, value: str) -> None:
        """Adds an output for operators and their tools."""
        cdk.CfnOutput(self, name, value=value)
