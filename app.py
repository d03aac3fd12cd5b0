"""The CDK application: the only place that reads its context (`cdk <command> -c stage=dev`).

Context: stage (a key of cdk.json's `stages`, "local" by default); ministack_port (local stage
only); build_dir (the assets' folder, build/local or build/aws by default).
"""

from pathlib import Path

import aws_cdk as cdk

from stacks import nag
from stacks.platform import add_platform
from stacks.stage import LOCAL, Assets, StageConfig

ROOT = Path(__file__).resolve().parent


def main() -> None:
    """Synthesizes the stacks of one stage."""
    app = cdk.App()
    name = app.node.try_get_context("stage") or LOCAL
    port = app.node.try_get_context("ministack_port")
    stage = StageConfig.of(
        name, app.node.get_context("stages"), int(port) if port is not None else None
    )
    folder = app.node.try_get_context("build_dir")
    default = ROOT / "build" / ("local" if stage.is_local else "aws")
    add_platform(app, stage, Assets(Path(folder) if folder else default))
    if not stage.is_local:
        nag.check(app)
    app.synth()


main()
