import sys
from pathlib import Path

import pytest

from local import build as building
from local.build import (
    CODE_ASSETS,
    VIEWER_FILES,
    VIEWER_PACKAGE,
    BuildError,
    Target,
    build,
)

FILES = {
    "functions/__init__.py": "",
    "functions/api_default/handler.py": "VALUE = 0\n",
    "functions/api_default/openapi.json": "{}\n",
    "functions/api_payments/handler.py": "VALUE = frozenset({'a', 'b', 'c'})\n",
    "functions/authorize_payment/handler.py": "VALUE = 1\n",
    "functions/delete_card_verification/handler.py": "VALUE = 2\n",
    "functions/sandbox_network/handler.py": "VALUE = 3\n",
    "functions/tokenize_card/handler.py": "VALUE = 4\n",
    "functions/tokenize_card/__pycache__/stale.pyc": "stale",
    "shared/__init__.py": "",
    "shared/adapters/dynamodb_verifications.py": "VALUE = 5\n",
    "shared/adapters/vault_kms.py": "VALUE = 7\n",
    "shared/bootstrap_vault.py": "VALUE = 8\n",
    "shared/domain/money.py": "VALUE = 9\n",
    **{f"{VIEWER_PACKAGE}/{name}": name for name in (*VIEWER_FILES, "swagger-ui.js")},
}
ASSETS = ("layer", "platform", "vault", "network", "reference")
HERE = Target("local", Path(sys.executable))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny tree, with an installer that needs no network."""
    root = tmp_path / "source"
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "requirements.txt").write_text("# pinned\nsome-package==1.0\n")
    monkeypatch.setattr(building, "_install", install)
    return root


def install(_: Target, __: Path, packages: Path) -> None:
    for name in ("some_package/code.py", "some_package-1.0.dist-info/METADATA", "bin/script"):
        path = packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("NAME = 'some'\n")
    (packages / "some_package-1.0.dist-info" / "RECORD").write_text("with paths and times\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_build_of_same_sources_in_two_places_is_identical(source: Path, tmp_path: Path) -> None:
    # when
    first = build(HERE, source, tmp_path / "first")
    second = build(HERE, source, tmp_path / "second")
    # then
    for name in ASSETS:
        assert contents(first / name) == contents(second / name)


def test_build_unchanged_sources_leaves_the_folders_alone(source: Path, tmp_path: Path) -> None:
    # given
    folder = build(HERE, source, tmp_path / "out")
    before = {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    # when
    build(HERE, source, tmp_path / "out")
    # then
    after = {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    assert after == before


def test_build_changed_file_rebuilds_its_asset_only(source: Path, tmp_path: Path) -> None:
    # given
    folder = build(HERE, source, tmp_path / "out")
    before = {name: contents(folder / name) for name in ASSETS}
    # when
    (source / "functions/tokenize_card/handler.py").write_text("VALUE = 40\n")
    build(HERE, source, tmp_path / "out")
    # then
    changed = [name for name, held in before.items() if contents(folder / name) != held]
    assert changed == ["vault"]


def test_build_bytecode_is_checked_by_hash_not_time(source: Path, tmp_path: Path) -> None:
    # when
    folder = build(HERE, source, tmp_path / "out")
    # then
    compiled = list(folder.rglob("*.pyc"))
    assert compiled
    # PEP 552: bit 0 says hash-based; bit 1, unset, says that the source is not read again.
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\x01\0\0\0"}


def test_build_code_assets_keep_card_data_code_apart(source: Path, tmp_path: Path) -> None:
    # when
    folder = build(HERE, source, tmp_path / "out")
    # then
    held = {
        asset.name: {name for name in contents(folder / asset.name) if name.endswith(".py")}
        for asset in CODE_ASSETS
    }
    common = {"functions/__init__.py", "shared/__init__.py", "shared/domain/money.py"}
    assert held == {
        "platform": common | {"functions/api_payments/handler.py"},
        "network": common | {"functions/sandbox_network/handler.py"},
        "reference": common | {"functions/api_default/handler.py"},
        "vault": common
        | {
            "functions/authorize_payment/handler.py",
            "functions/delete_card_verification/handler.py",
            "functions/tokenize_card/handler.py",
            "shared/adapters/dynamodb_verifications.py",
            "shared/adapters/vault_kms.py",
            "shared/bootstrap_vault.py",
        },
    }


def test_build_viewer_is_in_the_asset_of_the_reference_page_alone(
    source: Path, tmp_path: Path
) -> None:
    # when
    folder = build(HERE, source, tmp_path / "out")
    # then
    held = {asset.name: contents(folder / asset.name) for asset in CODE_ASSETS}
    viewer = {f"functions/api_default/viewer/{name}" for name in VIEWER_FILES}
    assert set(held["reference"]) >= viewer | {"functions/api_default/openapi.json"}
    for name in ("platform", "vault", "network"):
        assert not [file for file in held[name] if "swagger" in file or "openapi" in file]


def test_build_without_the_viewer_is_refused(source: Path, tmp_path: Path) -> None:
    # given
    (source / VIEWER_PACKAGE / "swagger-ui.css").unlink()
    # when, then
    with pytest.raises(BuildError, match="npm ci"):
        build(HERE, source, tmp_path / "out")


def test_build_layer_holds_no_record_of_its_build(source: Path, tmp_path: Path) -> None:
    # when
    folder = build(HERE, source, tmp_path / "out")
    # then
    names = {name for name in contents(folder / "layer") if not name.endswith(".pyc")}
    assert names == {
        "python/some_package/code.py",
        "python/some_package-1.0.dist-info/METADATA",
    }


def test_build_layer_with_an_unpinned_package_is_refused(source: Path, tmp_path: Path) -> None:
    # given
    (source / "requirements.txt").write_text("other-package==1.0\n")
    # when, then
    with pytest.raises(BuildError, match="other-package"):
        build(HERE, source, tmp_path / "out")
    assert not (tmp_path / "out" / "local" / "layer").exists()
