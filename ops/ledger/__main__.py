"""Looks after the ledger of a deployed stage: `python -m ops.ledger COMMAND --stage dev ...`.

    export       write the evidence to a folder, for `python -m local.verify`
    check-macs   check the signatures of the events in an export, with the platform's keys
    public-key   print the key that checkpoints are verified with
    rebuild      make all projections again beside the live ones, and print where they differ
    report       print trial-balance, statement or general-ledger of a book, as CSV or for hledger
    reverse      take a journal back by a new one
    floor        set how far an available balance may go
    stripes      spread a hot merchant's lists and books over more keys and ledger shards

Uses the AWS credentials, and the endpoint, that the environment gives.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.ledger import corrections, reports
from ops.ledger.export import check_macs, export
from ops.ledger.rebuild import Difference, Workspace, rebuild, rebuild_one
from ops.ledger.stage import Ledger, open_ledger, public_key
from ops.stages import OperatorError, actor_of, ask_operator, stage_region
from shared.adapters.system import SystemClock
from shared.domain.changes import Context
from shared.domain.errors import PaymentError
from shared.domain.lists import STRIPES_MAX

DIFFERENT = 1
Run = Callable[[argparse.Namespace, Ledger], int]


def _export(arguments: argparse.Namespace, ledger: Ledger) -> int:
    return _print(export(ledger, arguments.stage, arguments.out, SystemClock().now_ms()))


def _check_macs(arguments: argparse.Namespace, ledger: Ledger) -> int:
    return _print(check_macs(ledger.signer, arguments.export))


def _public_key(arguments: argparse.Namespace, ledger: Ledger) -> int:
    sys.stdout.write(public_key(arguments.stage, ledger.region))
    return 0


def _rebuild(arguments: argparse.Namespace, ledger: Ledger) -> int:
    if arguments.payment is not None:
        return _tell(rebuild_one(ledger, arguments.payment))
    with tempfile.TemporaryDirectory(prefix="rebuild-") as folder:
        workspace = Workspace(Path(folder) / "workspace.sqlite")
        try:
            return _tell(rebuild(ledger, workspace))
        finally:
            workspace.close()


def _tell(differences: Iterable[Difference]) -> int:
    count = 0
    for difference in differences:
        print(difference)
        count += 1
    print(f"{count} differences" if count else "no difference", file=sys.stderr)
    return DIFFERENT if count else 0


def _report(arguments: argparse.Namespace, ledger: Ledger) -> int:
    as_of_ms = None if arguments.as_of is None else arguments.as_of * 1000 + 999
    what = (ledger, _book(arguments), arguments.format, as_of_ms)
    if arguments.report == "statement":
        if arguments.account_name is None:
            raise OperatorError("a statement is of one account: name it with --account-name")
        lines = reports.statement(*what, arguments.account_name)
    elif arguments.report == "trial-balance":
        lines = reports.trial_balance(*what)
    else:
        lines = reports.general_ledger(*what)
    sys.stdout.writelines(lines)
    return 0


def _reverse(arguments: argparse.Namespace, ledger: Ledger) -> int:
    context = _context(arguments)
    journal, reason = arguments.journal, arguments.reason
    return _print(corrections.reverse_journal(ledger, journal, reason, context))


def _floor(arguments: argparse.Namespace, ledger: Ledger) -> int:
    book, name, floor = _book(arguments), arguments.account_name, arguments.floor_minor
    context = _context(arguments)
    return _print(corrections.set_floor(ledger, book, name, floor, arguments.reason, context))


def _stripes(arguments: argparse.Namespace, ledger: Ledger) -> int:
    book, context = _book(arguments), _context(arguments)
    return _print(corrections.set_stripes(ledger, book, arguments.count, arguments.reason, context))


def _context(arguments: argparse.Namespace) -> Context:
    if arguments.reason is None:
        raise OperatorError("say why with --reason: who reads the books later will ask")
    return Context(SystemClock().now_ms(), actor=actor_of(arguments))


def _book(arguments: argparse.Namespace) -> str:
    return f"{arguments.account}/{arguments.mode}"


def _print(answer: dict[str, Any]) -> int:
    print(json.dumps(answer))
    return 0


def _moment(text: str) -> int:
    """Reads epoch seconds, or a time in ISO 8601, in UTC where it names no other zone."""
    if text.isdecimal():
        return int(text)
    found = datetime.fromisoformat(text)
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops.ledger",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Run) -> argparse.ArgumentParser:
        added = commands.add_parser(name)
        added.set_defaults(run=run)
        added.add_argument("--stage", required=True)
        added.add_argument("--region", help="merchant's home; the stage's first one by default")
        return added

    command("export", _export).add_argument("--out", type=Path, required=True, metavar="DIR")
    command("check-macs", _check_macs).add_argument("export", type=Path, metavar="DIR")
    command("public-key", _public_key)
    command("rebuild", _rebuild).add_argument("--payment", metavar="pi_...")
    report = command("report", _report)
    report.add_argument("report", choices=("trial-balance", "statement", "general-ledger"))
    report.add_argument("--format", choices=reports.FORMATS, default=reports.CSV)
    report.add_argument("--account-name", metavar="2010:merchant:...")
    report.add_argument("--as-of", type=_moment, metavar="TIME", help="epoch seconds or ISO 8601")
    reverse = command("reverse", _reverse)
    reverse.add_argument("journal", metavar="pi_.../capture/ch_...")
    floor = command("floor", _floor)
    floor.add_argument("account_name", metavar="2010:merchant:...")
    floor.add_argument("floor_minor", type=int, metavar="AMOUNT", help="minor units, such as -5000")
    stripes = command("stripes", _stripes)
    counts = range(1, STRIPES_MAX + 1)
    stripes.add_argument("count", type=int, choices=counts, metavar=f"1..{STRIPES_MAX}")
    for of_book in (report, floor, stripes):
        of_book.add_argument("--account", required=True, metavar="acct_...")
        of_book.add_argument("--mode", choices=("test", "live"), required=True)
    for audited in (reverse, floor, stripes):
        ask_operator(audited)
    return parser


def main() -> None:
    """Runs the command line."""
    arguments = _parser().parse_args()
    try:
        region = stage_region(arguments.stage, arguments.region)
        code = arguments.run(arguments, open_ledger(arguments.stage, region))
    except (OperatorError, PaymentError) as error:
        sys.exit(f"ops.ledger: {error}")
    sys.exit(code)


if __name__ == "__main__":
    main()
