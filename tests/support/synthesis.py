"""Synthesized stages, read as plain JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from stacks import nag
from stacks.platform import add_platform
from stacks.stage import Assets, StageConfig

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Template:
    """A stack's template."""

    name: str
    is_protected: bool
    body: Mapping[str, Any] = field(repr=False)

    def of_type(self, kind: str) -> dict[str, Resource]:
        """Returns the resources of a type by logical id."""
        resources = self.body.get("Resources", {})
        return {name: item for name, item in resources.items() if item["Type"] == kind}


@dataclass(frozen=True)
class Platform:
    """The stacks of a stage."""

    stage: StageConfig
    templates: Mapping[str, Template] = field(repr=False)

    def stack(self, name: str, region: str = REGION) -> Template:
        """Returns a stack by the last part of its name."""
        return self.templates[f"Farthing-{self.stage.name}-{region}-{name}"]

    def of_type(self, kind: str) -> dict[tuple[str, str], Resource]:
        """Returns the resources of a type in all stacks, by stack and logical id."""
        return {
            (template.name, name): item
            for template in self.templates.values()
            for name, item in template.of_type(kind).items()
        }


def cdk_context() -> dict[str, Any]:
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return context


def synthesize(folder: Path, name: str, regions: tuple[str, ...] | None = None) -> Platform:
    """Synthesizes a stage of cdk.json, on tiny assets, as app.py does.

    Raises: RuntimeError when a rule of cdk-nag is broken.
    """
    context = cdk_context()
    for asset in ("layer", "platform", "vault", "network", "reference"):
        (folder / asset).mkdir()
        (folder / asset / "code.py").write_text(f"ASSET = {asset!r}\n")
    stage = StageConfig.of(name, context["stages"], ministack_port=4566)
    if regions is not None:
        stage = replace(stage, regions=regions)
    app = cdk.App(context=context, outdir=str(folder / "cdk.out"), analytics_reporting=False)
    add_platform(app, stage, Assets(folder))
    if not stage.is_local:
        nag.check(app)
    return Platform(stage, _templates(Path(app.synth().directory)))


def _templates(assembly: Path) -> dict[str, Template]:
    manifest = json.loads((assembly / "manifest.json").read_text())
    templates = {}
    for name, artifact in manifest["artifacts"].items():
        if artifact["type"] == "aws:cloudformation:stack":
            facts = artifact["properties"]
            body = json.loads((assembly / facts["templateFile"]).read_text())
            templates[name] = Template(name, facts.get("terminationProtection", False), body)
    return templates
