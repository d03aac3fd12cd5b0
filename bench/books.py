"""The books after a day of mixed trade on the platform that `make up` left serving.

10,000 payments, captures in part, refunds, reversals and declines, by several merchants at once; or
as many as BOOKS_PAYMENTS says. Then everything is held against everything: the network's record,
the journals, every balance, what hledger adds up, what is rebuilt from the events, the signed
evidence; and an export that was tampered with is refused, whatever was done to it.
"""

import csv
import functools
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import stripe

from bench.mixed import open_client, serving, trade
from local import verify
from local.build import ROOT
from local.home import STAGE
from local.observations import read_all
from local.up import create_merchant
from local.verify_running import operate

PAYMENTS, MERCHANTS, WORKERS, SEED = 10_000, 4, 16, 20_261_122
# After the last answer: a rebuild that begins later must find no difference.
SETTLED_WITHIN_S = 600
POLL_S = 5
# Characters of the differences.
TOLD_MAX = 2_000
PAGES_MAX = 5_000
HLEDGER = ROOT / ".local" / "hledger" / "hledger"
HLEDGER_TIMEOUT_S = 300
Json = Mapping[str, Any]
Checks = dict[str, bool]


def main() -> bool:
    """Prints what was held against what; tells whether all of it agrees."""
    platform = serving()
    if platform is None:
        return False
    summary, port = platform
    merchants = [create_merchant(port) for _ in range(MERCHANTS)]
    clients = [open_client(summary, merchant) for merchant in merchants]
    payments = int(os.environ.get("BOOKS_PAYMENTS", PAYMENTS))
    started = time.monotonic()
    done = trade(clients, payments, WORKERS, SEED)
    took = time.monotonic() - started
    print(f"{payments} payments in {took:.0f} s, seed {SEED}: {dict(done.kinds)}")
    print(f"refused or unanswered: {dict(done.errors) or 'none'}")
    waited = _settle(port)
    print(f"rebuilt without a difference {waited:.0f} s after the last answer")
    checks: Checks = {"every request was answered": not done.errors}
    for merchant, client in zip(merchants, clients, strict=True):
        checks.update(_books(port, merchant["account"], client))
    with tempfile.TemporaryDirectory(prefix="books-") as folder:
        checks.update(_evidence(port, Path(folder)))
    for what, holds in checks.items():
        print(f"{'ok' if holds else 'NO':3} {what}")
    return all(checks.values())


def _settle(port: int) -> float:
    """Waits until all that follows the answers is over; returns the seconds it took.

    Raises: TimeoutError when the projections differ from what they are made of after that.
    """
    started = time.monotonic()
    while True:
        began_s = time.monotonic() - started
        try:
            operate(port, "rebuild", "--stage", STAGE)
        except subprocess.CalledProcessError as error:
            if began_s >= SETTLED_WITHIN_S:
                what = f"rebuilt {began_s:.0f} s after the last answer, there are differences"
                raise TimeoutError(f"{what}:\n{error.stdout[:TOLD_MAX]}") from error
            time.sleep(POLL_S)
        else:
            return time.monotonic() - started


def _books(port: int, account: str, client: stripe.StripeClient) -> Checks:
    def read(path: str) -> Any:
        return client.raw_request("get", path).data

    balance = read("/v1/ledger/trial_balance")
    rows = {row["account"]: row for row in balance["data"]}
    journals = read_all(read, "/v1/ledger/journals", pages_max=PAGES_MAX)
    network = read_all(read, "/v1/test_helpers/network_transactions", pages_max=PAGES_MAX)
    taken, receivable = _taken(network), _receivable(rows)
    what = f"{account}, {len(journals)} journals, {len(rows)} accounts:"
    return {
        f"{what} the trial balance is zero": not any(t["net"] for t in balance["totals"]),
        f"{what} every balance is the sum of its journals": _summed(journals) == _shown(rows),
        f"{what} the network's record is the receivable {receivable}": taken == receivable,
        f"{what} hledger agrees to the unit": _hledger(port, account) == _nets(rows),
    }


def _taken(network: Iterable[Json]) -> dict[str, int]:
    """Adds up what the network took and gave back, by currency."""
    signs = {"sale": 1, "capture": 1, "refund": -1}
    moved: Counter[str] = Counter()
    for item in network:
        moved[item["currency"]] += signs.get(item["type"], 0) * item["amount"]
    return {currency: amount for currency, amount in sorted(moved.items()) if amount}


def _receivable(rows: Mapping[str, Json]) -> dict[str, int]:
    names = sorted(name for name in rows if name.startswith("1100:") and rows[name]["net"])
    return {name.rpartition(":")[2]: rows[name]["net"] for name in names}


def _summed(journals: Iterable[Json]) -> dict[str, tuple[int, ...]]:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for journal in journals:
        for posting in journal["postings"]:
            offset = 0 if posting["layer"] == "posted" else 2
            sums[posting["account"]][offset] += posting["debit"]
            sums[posting["account"]][offset + 1] += posting["credit"]
    return {account: tuple(found) for account, found in sums.items()}


def _shown(rows: Mapping[str, Json]) -> dict[str, tuple[int, ...]]:
    columns = ("debits", "credits", "pending_debits", "pending_credits")
    return {account: tuple(row[name] for name in columns) for account, row in rows.items()}


def _nets(rows: Mapping[str, Json]) -> dict[str, int]:
    return {account: row["net"] for account, row in rows.items() if row["net"]}


def _hledger(port: int, account: str) -> dict[str, int]:
    """Returns what hledger adds up of the general ledger, in minor units."""
    what = ("general-ledger", "--account", account, "--mode", "test", "--format", "hledger")
    text = operate(port, "report", "--stage", STAGE, *what)
    program = shutil.which("hledger") or str(HLEDGER)
    for command in (["check", "--strict"], ["balance", "--real", "--flat", "-O", "csv", "-N"]):
        found = subprocess.run(
            [program, "--file", "-", *command],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            timeout=HLEDGER_TIMEOUT_S,
        ).stdout
    balances: dict[str, int] = {}
    for name, amount in list(csv.reader(io.StringIO(found)))[1:]:
        # "assets:1100:...:usd", "20.00 USD": digits without the point are minor units.
        balances[name.partition(":")[2]] = int(amount.partition(" ")[0].replace(".", ""))
    return balances


def _evidence(port: int, folder: Path) -> Checks:
    export, key = folder / "export", folder / "key.pem"
    counts = json.loads(operate(port, "export", "--stage", STAGE, "--out", str(export)))
    key.write_text(operate(port, "public-key", "--stage", STAGE))
    macs = json.loads(operate(port, "check-macs", "--stage", STAGE, str(export)))
    started = time.perf_counter()
    checks = {
        f"the export verifies: {counts}": _verified(export, key),
        f"{macs['signatures']} events and changes carry their signature": macs["signatures"] > 0,
    }
    seconds = time.perf_counter() - started
    print(f"verified {counts['records']} records in {seconds:.1f} s")
    for what, tamper in _tamperings(export):
        altered = folder / "altered"
        shutil.copytree(export, altered)
        tamper(altered)
        checks[f"found: {what}"] = not _verified(altered, key)
        shutil.rmtree(altered)
    return checks


def _verified(export: Path, key: Path) -> bool:
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        return verify.main([str(export), "--public-key", str(key)]) == verify.OK


Tampering = Callable[[Path], None]


def _tamperings(export: Path) -> Iterator[tuple[str, Tampering]]:
    """Yields what an insider may do to stored rows, each on a row in the midst of the export."""
    for kind in ("event", "journal", "change", "block", "checkpoint"):
        name, number = _row_of(export, kind)
        for what, change in _CHANGES.items():
            yield f"{kind} {what}", _on(name, functools.partial(change, number=number))
    name, number = _row_of(export, "block")
    yield "a shard truncated", _on(name, functools.partial(_truncate, number=number))


def _row_of(export: Path, kind: str) -> tuple[str, int]:
    """Finds a row of a kind, away from the beginning and the end of its file."""
    if kind == "checkpoint":
        return "checkpoints.jsonl", len(_lines(export / "checkpoints.jsonl")) // 2
    longest = max(export.glob("shard-*.jsonl"), key=lambda path: path.stat().st_size)
    marker = '{"block":' if kind == "block" else f'"kind":"{kind}"'
    start = '{"block":' if kind == "block" else '{"record":'
    rows = [
        number
        for number, line in enumerate(_lines(longest))
        if line.startswith(start) and marker in line
    ]
    return longest.name, rows[len(rows) // 2]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def _on(name: str, change: Callable[[list[str]], object]) -> Tampering:
    def tamper(folder: Path) -> None:
        lines = _lines(folder / name)
        change(lines)
        (folder / name).write_text("".join(lines))

    return tamper


def _edit(lines: list[str], number: int) -> None:
    """Changes the first digit of one of a row's times, which keeps it well-formed."""
    place = lines[number].index('_ms":1') + len('_ms":')
    lines[number] = f"{lines[number][:place]}2{lines[number][place + 1 :]}"


def _delete(lines: list[str], number: int) -> None:
    del lines[number]


def _insert(lines: list[str], number: int) -> None:
    lines.insert(number, lines[number])


def _swap(lines: list[str], number: int) -> None:
    lines[number], lines[number + 1] = lines[number + 1], lines[number]


def _truncate(lines: list[str], number: int) -> None:
    del lines[number:]


_CHANGES: Mapping[str, Callable[..., None]] = {
    "edited": _edit,
    "deleted": _delete,
    "inserted twice": _insert,
    "swapped with the next": _swap,
}
