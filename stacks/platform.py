"""The platform: one complete set of stacks per region of a stage."""

import aws_cdk as cdk

from stacks.audit import AuditStack
from stacks.constructs.local_only import LocalOnly
from stacks.data import DataStack
from stacks.events import EventsStack
from stacks.ledger import LedgerStack
from stacks.network import SandboxNetworkStack
from stacks.operations import OperationsStack
from stacks.payments import PaymentsStack, Surroundings
from stacks.stage import Assets, StageConfig
from stacks.vault import VaultStack


def add_platform(app: cdk.App, stage: StageConfig, assets: Assets) -> None:
    """Adds the stacks of every region; no region needs another."""
    for region in stage.regions:
        _add_region(app, stage, region, assets)
    if stage.is_local:
        cdk.Aspects.of(app).add(LocalOnly())


def _add_region(app: cdk.App, stage: StageConfig, region: str, assets: Assets) -> None:
    alarms = OperationsStack(app, stage=stage, region=region).alarms
    books = DataStack(app, stage=stage, region=region).books
    vault = VaultStack(app, stage=stage, region=region)
    sandbox = None
    if stage.sandbox_network:
        sandbox = SandboxNetworkStack(app, stage=stage, region=region, assets=assets, alarms=alarms)
    given = Surroundings(books=books, vault=vault, sandbox=sandbox, alarms=alarms)
    PaymentsStack(app, stage=stage, region=region, assets=assets, given=given)
    EventsStack(app, stage=stage, region=region, assets=assets, books=books, alarms=alarms)
    LedgerStack(app, stage=stage, region=region, assets=assets, books=books, alarms=alarms)
    AuditStack(
        app,
        stage=stage,
        region=region,
        assets=assets,
        books=books,
        sandbox=sandbox.network if sandbox else None,
        alarms=alarms,
    )
