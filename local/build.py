"""Builds the Lambda assets without docker: one dependency layer and four code assets.

The layer is unpacked from manylinux wheels of the pinned runtime requirements, so any host can
build for Lambda's arm64. Bytecode is compiled in hash mode, because the zip that CDK makes resets
modification times and Lambda would reject, and compile again at every cold start, bytecode that
is checked by time. Unchanged inputs give unchanged files, so an asset keeps its hash.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.lock import locked

ROOT = Path(__file__).resolve().parents[1]
LAMBDA_PYTHON = (3, 13)
# Lambda's python3.13 runs on Amazon Linux 2023, glibc 2.34.
LAMBDA_PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_28_aarch64", "manylinux_2_34_aarch64")
# The AWS services that runtime code calls; the layer holds no other service's model.
SERVICES = (
    "dynamodb",
    "events",
    "kms",
    "lambda",
    "s3",
    "secretsmanager",
    "sqs",
    "stepfunctions",
    "sts",
)
VAULT_FUNCTIONS = (
    "tokenize_card",
    "authorize_payment",
    "delete_card_verification",
    "resolve_payment",
    "verify_card",
)
NETWORK_FUNCTIONS = ("sandbox_network",)
# Serves the API's reference page, whose viewer no other function shall have to load.
REFERENCE_FUNCTIONS = ("api_default",)
VIEWER_PACKAGE = "node_modules/swagger-ui-dist"
VIEWER_FOLDER = "functions/api_default/viewer"
VIEWER_FILES = (
    "LICENSE",
    "NOTICE",
    "swagger-ui-bundle.js",
    "swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui.css",
)
VAULT_MODULES = (
    "shared/adapters/dynamodb_verifications.py",
    "shared/adapters/vault_kms.py",
    "shared/bootstrap_vault.py",
)
COMMAND_TIMEOUT_S = 300


class BuildError(Exception):
    """Says why an asset cannot be built, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the assets will run.

    Args: name: folder below build/. python: compiles the bytecode, so of the runtime's minor
    version. platforms: wheel platforms, or none for the host's own.
    """

    name: str
    python: Path
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeAsset:
    """A selection of the source tree.

    Args: only: the functions it holds, or none for all but the `without` ones. hidden: files of
    shared/ that it must not hold. has_viewer: it holds the viewer of the reference page, too.
    """

    name: str
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    has_viewer: bool = False

    def holds(self, path: str) -> bool:
        """Tells whether a source file, named from the root with slashes, belongs to the asset."""
        top, _, rest = path.partition("/")
        if top == "shared":
            return path not in self.hidden
        function, separator, _ = rest.partition("/")
        if not separator:
            return True
        return function in self.only if self.only else function not in self.without


CODE_ASSETS = (
    CodeAsset(
        "platform",
        without=VAULT_FUNCTIONS + NETWORK_FUNCTIONS + REFERENCE_FUNCTIONS,
        hidden=VAULT_MODULES,
    ),
    CodeAsset("vault", only=VAULT_FUNCTIONS),
    CodeAsset("network", only=NETWORK_FUNCTIONS, hidden=VAULT_MODULES),
    CodeAsset("reference", only=REFERENCE_FUNCTIONS, hidden=VAULT_MODULES, has_viewer=True),
)


def target_for(name: str, ministack_python: Path) -> Target:
    """Describes the target "aws" (arm64, Lambda's Python) or "local" (this host, MiniStack's).

    Raises: BuildError when no interpreter of Lambda's version is at hand.
    """
    if name == "local":
        return Target("local", ministack_python)
    return Target("aws", _lambda_python(), LAMBDA_PLATFORMS)


def _lambda_python() -> Path:
    if sys.version_info[:2] == LAMBDA_PYTHON:
        return Path(sys.executable)
    wanted = ".".join(map(str, LAMBDA_PYTHON))
    found = subprocess.run(
        ["sh", str(ROOT / "local" / "python.sh"), wanted],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_TIMEOUT_S,
    )
    if found.returncode != 0:
        raise BuildError(
            f"Assets for AWS need Python {wanted}, Lambda's version, to compile their bytecode, "
            f"and none was found.\nInstall it with one of: pyenv install {wanted} | "
            f"uv python install {wanted} | your system's packages; then run this again."
        )
    return Path(found.stdout.strip())


def build(target: Target, source: Path = ROOT, out: Path | None = None) -> Path:
    """Brings all assets of a target up to date.

    Returns: the folder that holds layer/, platform/, vault/, network/ and reference/.
    Raises: BuildError when a command fails or the layer holds an unpinned package.
    """
    folder = (out or source / "build") / target.name
    with locked(folder / ".lock"):
        version = _interpreter(target.python)
        _layer(target, version, source / "requirements.txt", folder)
        files = sorted(_source_files(source))
        for asset in CODE_ASSETS:
            held = {name: name for name in files if asset.holds(name)}
            if asset.has_viewer:
                held |= _viewer(source)
            inputs = _digest([source / name for name in held.values()], version, *held)
            with _Fresh(folder / asset.name, inputs) as work:
                if work is not None:
                    _copy(source, held, work)
                    _compile(target.python, work, "/var/task")
    return folder


def _viewer(source: Path) -> dict[str, str]:
    """Returns where the viewer's files go in an asset, and where they come from."""
    files = {f"{VIEWER_FOLDER}/{name}": f"{VIEWER_PACKAGE}/{name}" for name in VIEWER_FILES}
    if not all((source / name).is_file() for name in files.values()):
        raise BuildError(f"{VIEWER_PACKAGE} is not there; install it with: npm ci")
    return files


def _interpreter(python: Path) -> str:
    code = "import platform, sys; print(sys.implementation.cache_tag, platform.machine())"
    return _run([str(python), "-c", code])


def _layer(target: Target, version: str, requirements: Path, folder: Path) -> None:
    inputs = _digest([requirements, Path(__file__)], version, *target.platforms)
    with _Fresh(folder / "layer", inputs) as work:
        if work is None:
            return
        packages = work / "python"
        _install(target, requirements, packages)
        _trim(packages)
        _check_pins(packages, requirements)
        _compile(target.python, packages, "/opt/python")


def _install(target: Target, requirements: Path, packages: Path) -> None:
    wheels = ["--only-binary=:all:", "--implementation", "cp"]
    python = target.python
    if target.platforms:
        wheels += [f"--platform={platform}" for platform in target.platforms]
        wheels += ["--python-version", ".".join(map(str, LAMBDA_PYTHON))]
        python = Path(sys.executable)
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore", *wheels]
    _run([*command, "--target", str(packages), "--requirement", str(requirements)])


def _trim(packages: Path) -> None:
    """Drops what no function reads: other services' models, examples, scripts, tests."""
    models = packages / "botocore" / "data"
    for entry in models.iterdir() if models.is_dir() else ():
        if entry.is_dir() and entry.name not in SERVICES:
            shutil.rmtree(entry)
    shutil.rmtree(packages / "bin", ignore_errors=True)
    for pattern in ("**/tests", "**/examples-1.json", "**/*.pyi", "**/py.typed"):
        for path in sorted(packages.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    # A package's name and version stay readable to vulnerability scanners; the rest of its
    # record names build paths and times.
    for info in packages.glob("*.dist-info"):
        for entry in info.iterdir():
            if entry.name != "METADATA":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _check_pins(packages: Path, requirements: Path) -> None:
    lines = [line.strip() for line in requirements.read_text().splitlines()]
    pinned = {_distribution(line) for line in lines if line and not line.startswith("#")}
    held = {
        _distribution("==".join(info.name.removesuffix(".dist-info").split("-")[:2]))
        for info in packages.glob("*.dist-info")
    }
    if held != pinned:
        raise BuildError(f"{requirements.name} and the layer differ in: {sorted(held ^ pinned)}")


def _distribution(requirement: str) -> str:
    return requirement.lower().replace("_", "-")


def _source_files(source: Path) -> Iterator[str]:
    for top in ("functions", "shared"):
        for path in (source / top).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md":
                yield path.relative_to(source).as_posix()


def _copy(source: Path, names: Mapping[str, str], work: Path) -> None:
    for target, name in names.items():
        copy = work / target
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, copy)


def _compile(python: Path, folder: Path, runtime_path: str) -> None:
    """Compiles in hash mode; the runtime's path, not the build's, goes into tracebacks."""
    command = [str(python), "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    _run([*command, "-s", str(folder), "-p", runtime_path, str(folder)], {"PYTHONHASHSEED": "0"})


class _Fresh:
    """Yields an empty folder to build in, or None when the built one has the same inputs.

    The folder takes the built one's place only when the block succeeds.
    """

    def __init__(self, built: Path, inputs: str) -> None:
        self._built = built
        self._inputs = inputs
        self._stamp = built.parent / f".{built.name}.json"
        self._work: Path | None = None

    def __enter__(self) -> Path | None:
        if self._built.is_dir() and _read_stamp(self._stamp) == self._inputs:
            return None
        self._built.parent.mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(prefix=f".{self._built.name}-", dir=self._built.parent))
        return self._work

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._work is None:
            return
        if kind is not None:
            shutil.rmtree(self._work)
            return
        self._stamp.unlink(missing_ok=True)
        if self._built.exists():
            shutil.rmtree(self._built)
        self._work.chmod(0o755)
        self._work.rename(self._built)
        self._stamp.write_text(json.dumps({"inputs": self._inputs}) + "\n")


def _read_stamp(stamp: Path) -> str | None:
    if not stamp.is_file():
        return None
    return str(json.loads(stamp.read_text())["inputs"])


def _digest(files: Iterable[Path], *facts: str) -> str:
    digest = hashlib.sha256(json.dumps(facts).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _run(command: list[str], extra: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=COMMAND_TIMEOUT_S,
            env={**os.environ, **(extra or {})},
        )
    except subprocess.CalledProcessError as error:
        raise BuildError(f"{' '.join(command)}\n{error.stdout}{error.stderr}") from error
    return done.stdout.strip()


def main() -> None:
    """Builds the assets of the target named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=("aws", "local"), default="aws")
    ministack = ROOT / ".local" / "ministack-venv" / "bin" / "python"
    try:
        folder = build(target_for(parser.parse_args().target, ministack))
    except BuildError as error:
        sys.exit(str(error))
    print(folder.relative_to(ROOT))


if __name__ == "__main__":
    main()
