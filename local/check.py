"""What `make check` runs: format, lint, types, layers, and the templates of the AWS stages."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from local.build import CODE_ASSETS, ROOT
from local.deployment import cdk_environment
from local.home import STAGE

TOOLS = Path(sys.executable).parent
FOLDER = ROOT / ".local" / "check"
CHECK_TIMEOUT_S = 300
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Check:
    """A command that passes when it exits with zero."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def aws_stages() -> tuple[str, ...]:
    """Returns the stages that go to AWS."""
    stages = json.loads((ROOT / "cdk.json").read_text())["context"]["stages"]
    return tuple(stage for stage in stages if stage != STAGE)


def checks() -> tuple[Check, ...]:
    """Returns all checks, those that take longest first."""
    python_folders = [folder.name for folder in ROOT.iterdir() if _has_code(folder)]
    return (
        Check("mypy", (_tool("mypy"), *sorted(python_folders), "app.py")),
        *(_template_check(stage) for stage in aws_stages()),
        Check("import-linter", (_tool("lint-imports"), "--no-cache")),
        Check("ruff", (_tool("ruff"), "check", ".")),
        Check("ruff format", (_tool("ruff"), "format", "--check", ".")),
    )


def _has_code(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in {"build", "cdk.out", "node_modules"}
    return folder.is_dir() and not hidden and any(folder.rglob("*.py"))


def _tool(name: str) -> str:
    return str(TOOLS / name)


def _template_check(stage: str) -> Check:
    """Synthesizes a stage, which runs cdk-nag, and has cfn-lint read every template."""
    command = (sys.executable, "-m", "local.check", "--templates", stage)
    return Check(f"cdk-nag and cfn-lint, {stage}", command)


def check_templates(stage: str) -> int:
    """Synthesizes one stage with placeholders for the assets, and lints its templates.

    One region's templates are made and read for all: they differ in the region's name alone.

    Returns: the exit code.
    """
    out = FOLDER / stage
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    context |= {"stage": stage, "build_dir": str(_placeholder_assets())}
    regions = context["stages"][stage]["regions"]
    context["stages"][stage]["regions"] = regions[:1]
    environment = {
        **cdk_environment(0),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_OUTDIR": str(out),
    }
    for old in out.glob("*.template.json"):
        old.unlink()
    synthesis = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, check=False, timeout=CHECK_TIMEOUT_S
    )
    if synthesis.returncode != 0:
        return synthesis.returncode
    templates = [str(path) for path in sorted(out.glob("*.template.json"))]
    command = [_tool("cfn-lint"), "--regions", *regions, "--template", *templates]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=CHECK_TIMEOUT_S).returncode


def _placeholder_assets() -> Path:
    """Makes assets with nothing in them: templates name them by hash only."""
    folder = FOLDER / "assets"
    for name in ("layer", *(asset.name for asset in CODE_ASSETS)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "placeholder").write_text(name)
    return folder


def _run(check: Check) -> tuple[Check, int, str, float]:
    began = time.monotonic()
    done = subprocess.run(
        check.command,
        cwd=ROOT,
        env={**os.environ, **check.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=CHECK_TIMEOUT_S,
    )
    return check, done.returncode, done.stdout, time.monotonic() - began


def main() -> None:
    """Runs all checks and exits with 1 when one fails."""
    if sys.argv[1:2] == ["--templates"]:
        sys.exit(check_templates(sys.argv[2]))
    failed = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for check, code, output, took_s in pool.map(_run, checks()):
            print(
                f"{'ok    ' if code == 0 else 'FAILED'} {check.name} ({took_s:.1f} s)", flush=True
            )
            if code != 0:
                failed.append(check.name)
                print(output, flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
