"""The folder that one local platform keeps its state in, so that several can run side by side."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.build import ROOT

MINISTACK_PYTHON = ROOT / ".local" / "ministack-venv" / "bin" / "python"
CDK = ROOT / "node_modules" / ".bin" / "cdk"
STAGE = "local"
# MiniStack's root credentials; they open nothing else.
ACCESS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
AWS_ACCOUNT = "0" * 12


@dataclass(frozen=True, slots=True)
class Home:
    """Names the files of a local platform.

    Args: folder: `.local`, or what the variable FARTHING_HOME says. enforces_roles: whether the
    emulator checks signatures and the functions' roles, as AWS does; that costs a quarter of its
    throughput.
    """

    folder: Path
    enforces_roles: bool = False

    @classmethod
    def current(cls) -> "Home":
        """Returns the home that the environment names."""
        return cls(ROOT / os.environ.get("FARTHING_HOME", ".local"))

    @property
    def logs(self) -> Path:
        """Where the processes and the deployment write what they do."""
        return self.folder / "logs"

    @property
    def temporary(self) -> Path:
        """Where MiniStack unpacks functions; emptied when it starts."""
        return self.folder / "tmp"

    @property
    def lock(self) -> Path:
        """Held while a command changes what runs."""
        return self.folder / ".lock"

    @property
    def summary(self) -> Path:
        """Where users, tests and tools read the platform's addresses and demo merchant."""
        return self.folder / "farthing.json"

    def path(self, name: str) -> Path:
        """Returns a file of the home; its folder exists afterwards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def read(self, name: str) -> dict[str, Any]:
        """Reads a JSON object, empty where there is no such file."""
        path = self.folder / name
        return dict(json.loads(path.read_text())) if path.is_file() else {}

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Replaces a JSON file in one step, so that a reader never sees half of it."""
        path = self.path(name)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(json.dumps(value, indent=2) + "\n")
        draft.replace(path)


def regions() -> tuple[str, ...]:
    """Returns the regions of the local stage, the demo merchant's home first."""
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    return tuple(context["stages"][STAGE]["regions"])


def base_environment() -> dict[str, str]:
    """Returns the few variables that a child process needs from the caller's environment.

    AWS settings of the user are left out on purpose: nothing local may reach a real account.
    """
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "USER")
    return {name: os.environ[name] for name in kept if name in os.environ}


def aws_environment(ministack_port: int) -> dict[str, str]:
    """Returns the variables that point AWS tools at the local platform and nowhere else."""
    return {
        **base_environment(),
        **ACCESS,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ministack_port}",
        "AWS_DEFAULT_REGION": regions()[0],
        "AWS_REGION": regions()[0],
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
