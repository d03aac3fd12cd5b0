"""The operator's command for the ledger, on a platform in memory; hledger reads its reports."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local import verify
from ops.ledger import corrections, reports
from ops.ledger.export import check_macs, export
from ops.ledger.rebuild import Workspace, rebuild, rebuild_one
from ops.ledger.stage import Ledger
from ops.stages import OperatorError
from shared.adapters.memory_checkpoints import MemoryCheckpointLog
from shared.adapters.memory_walk import MemoryPaymentWalk
from shared.domain.changes import Context
from shared.domain.evidence import SHARDS
from shared.domain.ledger import Posting, reverse
from shared.domain.stripes import NOTICE_MS, Stripes
from shared.wire.reports import decimal
from tests.support.hledger import hledger
from tests.support.world import REGION, Merchant, World

BOOK = "acct_one/test"
AVAILABLE = "2010:merchant:acct_one:available:usd"
CURRENCIES = ("usd", "jpy", "kwd")
DAY_MS = 24 * 60 * 60 * 1000
NOW_MS = 1_800_000_000_000


@pytest.fixture
def merchant(world: World) -> Merchant:
    """A merchant with payments of many kinds, over more than one stripe."""
    merchant = world.merchant()
    for number in range(12):
        currency = CURRENCIES[number % 3]
        paid = world.pay(merchant, amount=1000 + 10 * number, currency=currency).body["id"]
        world.pay(merchant, currency=currency, amount=5000, capture_method="manual")
        world.pay(merchant, payment_method="pm_card_chargeDeclined")
        order = {"payment_intent": paid, "amount": 10 * (number + 1)}
        if number % 2:
            world.settle(paid)
        answer = world.call("POST", "/v1/refunds", order, merchant=merchant)
        assert answer.status == 200, answer.text
        if number == 4:
            before = Stripes()
            world.stripes.change(BOOK, before, before.changed(5, world.clock.now_ms()))
            world.clock.advance(NOTICE_MS)
        world.clock.advance(DAY_MS // 3)
        world.seal()
    return merchant


@pytest.fixture
def ledger(world: World, merchant: Merchant) -> Ledger:
    return Ledger(
        region=REGION,
        payments=world.payments,
        events=world.events,
        walk=MemoryPaymentWalk(world.database),
        documents=world.documents,
        changes=world.changes,
        journals=world.ledger,
        available=world.available,
        blocks=world.blocks,
        pages=world.pages,
        stripes=world.stripes,
        checkpoints=world.checkpoints,
        archive=world.archive,
        signer=world.database.signer,
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path / "rebuild.sqlite")
    yield workspace
    workspace.close()


def differences(ledger: Ledger, workspace: Workspace) -> list[str]:
    return [str(difference) for difference in rebuild(ledger, workspace)]


def operator(world: World) -> Context:
    return Context(world.clock.now_ms(), actor="operator:jo")


# --- export


def test_export_is_verified_by_an_outsider(world: World, ledger: Ledger, tmp_path: Path) -> None:
    # given
    key = tmp_path / "key.pem"
    key.write_text(world.checkpoint_key.public_key_pem())
    # when
    counts = export(ledger, "dev", tmp_path / "export", NOW_MS)
    # then
    assert verify.main([str(tmp_path / "export"), "--public-key", str(key)]) == verify.OK
    kept = world.database
    events = sum(len(history) for history in kept.events.values())
    changes = sum(len(history) for history in kept.changes.values())
    assert counts["records"] == events + len(kept.journals) + changes
    assert check_macs(ledger.signer, tmp_path / "export") == {"signatures": events + changes}


def test_export_of_an_edited_journal_is_refused_by_the_verifier(
    world: World, ledger: Ledger, tmp_path: Path
) -> None:
    # given
    key = tmp_path / "key.pem"
    key.write_text(world.checkpoint_key.public_key_pem())
    name, item = next((n, j) for n, j in world.database.journals.items() if j.kind == "fee")
    world.database.journals[name] = replace(item, reference="ch_other")
    # when
    export(ledger, "dev", tmp_path / "export", NOW_MS)
    # then
    assert verify.main([str(tmp_path / "export"), "--public-key", str(key)]) == verify.BAD


def test_export_of_a_lost_journal_names_it(world: World, ledger: Ledger, tmp_path: Path) -> None:
    # given
    name = next(iter(world.database.journals))
    del world.database.journals[name]
    # then
    with pytest.raises(OperatorError, match=name):
        export(ledger, "dev", tmp_path / "export", NOW_MS)


@pytest.mark.parametrize("left", [0, 3])
def test_export_without_the_newest_checkpoints_is_none(
    world: World, ledger: Ledger, tmp_path: Path, left: int
) -> None:
    # given: somebody took their rows away, and could take all blocks behind them as well
    rolled_back = MemoryCheckpointLog(world.checkpoints.page(0, left))
    # then
    with pytest.raises(OperatorError, match=f"checkpoint {left + 1} is archived"):
        export(replace(ledger, checkpoints=rolled_back), "dev", tmp_path / "export", NOW_MS)


def test_export_overwrites_nothing(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    with pytest.raises(OperatorError, match="not empty"):
        export(ledger, "dev", tmp_path, NOW_MS)


def test_signature_of_another_is_found(ledger: Ledger, tmp_path: Path) -> None:
    # given
    export(ledger, "dev", tmp_path / "export", NOW_MS)
    path = sorted((tmp_path / "export").glob("shard-*.jsonl"))[0]
    lines = path.read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if '"mac":' in line)
    row = json.loads(lines[number])
    row["record"]["data"]["mac"] = "00" * 32
    lines[number] = json.dumps(row)
    path.write_text("\n".join(lines) + "\n")
    # then
    with pytest.raises(OperatorError, match=f"{path.name} line {number + 1}"):
        check_macs(ledger.signer, tmp_path / "export")


# --- rebuild


def test_rebuilt_projections_are_the_live_ones(ledger: Ledger, workspace: Workspace) -> None:
    assert differences(ledger, workspace) == []


def first_payment(world: World) -> str:
    return next(name for name, payment in world.database.payments.items() if payment.refunds)


def forge_snapshot(world: World) -> str:
    name = first_payment(world)
    payments = world.database.payments
    payments[name] = replace(payments[name], amount_received_minor=1)
    return "amount_received_minor"


def lose_journal(world: World) -> str:
    name = next(name for name in world.database.journals if "/capture/" in name)
    del world.database.journals[name]
    return f"the journal {name} is missing"


def forge_journal(world: World) -> str:
    name, item = next((n, j) for n, j in world.database.journals.items() if j.kind == "capture")
    postings = tuple(
        Posting(p.account, p.currency, 2 * p.debit_minor, 2 * p.credit_minor, p.layer)
        for p in item.postings
    )
    world.database.journals[name] = replace(item, postings=postings)
    return f"the journal {name} is not what its event posts"


def invent_journal(world: World) -> str:
    item = next(j for j in world.database.journals.values() if j.kind == "capture")
    name = f"{item.subject}/capture/ch_invented"
    world.database.journals[name] = replace(item, id=name, reference="ch_invented")
    return f"the journal {name} follows from no event"


def forge_correction(world: World) -> str:
    item = next(j for j in world.database.journals.values() if j.kind == "capture")
    correction = reverse(item, "a gift", item.posted_at_ms)
    gift = (Posting("2900:suspense:usd", "usd", 99, 0), Posting(AVAILABLE, "usd", 0, 99))
    world.database.journals[correction.id] = replace(correction, postings=gift)
    return f"the journal {correction.id} does not take {item.id} back"


def lose_row(world: World) -> str:
    name = first_payment(world)
    for rows in world.database.lists.values():
        rows.difference_update({row for row in rows if row[1] == name})
    return f"{name}: is not in the list payment_intent"


def lose_page(world: World) -> str:
    pages = next(pages for (book, _), pages in world.pages.books.items() if book == BOOK)
    del pages[max(pages)]
    return f"{BOOK} has no page of it"


def forge_page(world: World) -> str:
    pages = next(pages for (book, _), pages in world.pages.books.items() if book == BOOK)
    pages[min(pages)] = replace(pages[min(pages)], closing={})
    return f"the page of {BOOK} does not follow from it"


def forge_available(world: World) -> str:
    world.database.change_available(BOOK, AVAILABLE, 1)
    return f"{AVAILABLE}: "


@pytest.mark.parametrize(
    "forge",
    [
        forge_snapshot,
        lose_journal,
        forge_journal,
        invent_journal,
        forge_correction,
        lose_row,
        lose_page,
        forge_page,
        forge_available,
    ],
)
def test_rebuild_tells_what_differs(
    world: World, ledger: Ledger, workspace: Workspace, forge: Any
) -> None:
    # given
    expected = forge(world)
    # then
    assert any(expected in difference for difference in differences(ledger, workspace))


def test_rebuild_tells_of_a_journal_that_no_balance_counts(
    world: World, merchant: Merchant, ledger: Ledger, workspace: Workspace
) -> None:
    # given: the stream never told of it
    paid = world.pay(merchant).body["id"]
    # when
    found = differences(ledger, workspace)
    # then
    assert sorted(name.partition(":")[0] for name in found) == [
        journal.id for journal in world.ledger.of_subject(paid)
    ]


def test_one_payment_is_rebuilt_by_itself(world: World, ledger: Ledger) -> None:
    name = first_payment(world)
    assert list(rebuild_one(ledger, name)) == []
    lose_row(world)
    assert [str(found) for found in rebuild_one(ledger, name)] == [
        f"{name}: is not in the list payment_intent"
    ]
    forge_snapshot(world)
    assert {found.name for found in rebuild_one(ledger, name)} == {name}
    with pytest.raises(OperatorError, match="no payment pi_1"):
        list(rebuild_one(ledger, "pi_1"))


# --- corrections


def test_journal_is_taken_back_once_and_on_record(
    world: World, ledger: Ledger, workspace: Workspace
) -> None:
    # given
    name = next(n for n in world.database.journals if "/fee/" in n)
    # when
    done = corrections.reverse_journal(ledger, name, "charged twice", operator(world))
    # then
    assert done == {"reversed": name, "by": f"{name}/reversal", "book": BOOK}
    assert world.database.journals[f"{name}/reversal"].reason == "charged twice"
    (record,) = ledger.changes.of_entity(name, 10)
    assert (record.change.actor, record.change.action) == ("operator:jo", "journal_reversed")
    assert record.change.metadata == {"reason": "charged twice"}
    with pytest.raises(OperatorError, match="already"):
        corrections.reverse_journal(ledger, name, "again", operator(world))
    with pytest.raises(OperatorError, match="is not reversed"):
        corrections.reverse_journal(ledger, f"{name}/reversal", "why not", operator(world))
    with pytest.raises(OperatorError, match="no journal"):
        corrections.reverse_journal(ledger, "pi_1/fee/ch_1", "why not", operator(world))
    # and: it is sealed and told like any, and follows from no event without being a difference
    world.seal()
    assert differences(ledger, workspace) == []


def test_floor_of_an_account_is_set_on_record(world: World, ledger: Ledger) -> None:
    # when
    corrections.set_floor(ledger, BOOK, AVAILABLE, -5, "new terms", operator(world))
    # then
    assert {item.account: item.floor_minor for item in ledger.available.of_book(BOOK)}[
        AVAILABLE
    ] == -5
    (record,) = ledger.changes.of_entity(f"{BOOK}/{AVAILABLE}", 10)
    assert (record.change.old, record.change.new) == (
        {"floor_minor": -1_000_000},
        {"floor_minor": -5},
    )
    for account, words in (
        ("2010:nobody", "the chart has no account"),
        ("2010:merchant:acct_two:available:usd", "no account of acct_one"),
    ):
        with pytest.raises(OperatorError, match=words):
            corrections.set_floor(ledger, BOOK, account, 0, "x", operator(world))
    with pytest.raises(OperatorError, match="no floor"):
        corrections.set_floor(ledger, BOOK, "4000:platform_fee:usd", 0, "x", operator(world))


def test_floors_of_live_and_test_accounts_have_histories_of_their_own(
    world: World, merchant: Merchant, ledger: Ledger
) -> None:
    # given
    corrections.set_floor(ledger, BOOK, AVAILABLE, -1, "a trial", operator(world))
    for number in range(3):
        book = "acct_one/live"
        corrections.set_floor(ledger, book, AVAILABLE, -number, "new terms", operator(world))
    # when
    asked = {"entity": f"{BOOK}/{AVAILABLE}", "limit": 1}
    answer = world.call("GET", "/v1/ledger/audit_log", asked, merchant=merchant)
    # then
    (record,) = answer.body["data"]
    assert (record["version"], record["new_value"]) == (1, {"floor_minor": -1})


def test_stripes_are_not_changed_by_a_clock_that_is_behind(world: World, ledger: Ledger) -> None:
    # given
    before = ledger.stripes.of_books([BOOK])[BOOK]
    behind = replace(operator(world), now_ms=world.clock.now_ms() - DAY_MS)
    # then
    with pytest.raises(OperatorError, match="clock is behind"):
        corrections.set_stripes(ledger, BOOK, 64, "hot", behind)
    assert ledger.stripes.of_books([BOOK])[BOOK] == before
    assert ledger.changes.of_entity(BOOK, 10) == ()


def test_stripes_of_a_book_are_changed_on_record(world: World, ledger: Ledger) -> None:
    # when
    done = corrections.set_stripes(ledger, BOOK, 64, "a big day", operator(world))
    # then
    assert done["from_ms"] == world.clock.now_ms() + NOTICE_MS
    stripes = ledger.stripes.of_books([BOOK])[BOOK]
    assert stripes.count_at(done["from_ms"]) == 64
    (record,) = ledger.changes.of_entity(BOOK, 10)
    assert record.change.action == "stripes_set"
    with pytest.raises(OperatorError):
        corrections.set_stripes(ledger, BOOK, 8, "too soon", operator(world))
    (account, _) = ledger.changes.of_entity("acct_one", 10)
    assert account.change.metadata == {"reason": "a big day"}
    assert account.change.new == {"stripes": {"test": 64}}


def test_stripes_beyond_what_a_book_has_are_the_lists_alone(world: World, ledger: Ledger) -> None:
    # when
    done = corrections.set_stripes(ledger, BOOK, 200, "a huge day", operator(world))
    # then
    assert (done["stripes"], done["lists"]) == (SHARDS, 200)
    world.clock.advance(NOTICE_MS)
    done = corrections.set_stripes(ledger, BOOK, 2, "over", operator(world))
    assert (done["stripes"], done["lists"]) == (2, 200)


@pytest.mark.parametrize(
    ("book", "count", "words"),
    [("acct_none/test", 8, "no account"), (BOOK, 257, "1 to 256"), (BOOK, 0, "1 to 64")],
)
def test_stripes_that_nobody_could_have_are_refused(
    world: World, ledger: Ledger, book: str, count: int, words: str
) -> None:
    with pytest.raises(OperatorError, match=words):
        corrections.set_stripes(ledger, book, count, "x", operator(world))
    assert ledger.changes.of_entity(book, 10) == ()


def test_rebuild_finds_the_rows_of_payments_with_stripes(
    world: World, merchant: Merchant, ledger: Ledger
) -> None:
    # given
    corrections.set_stripes(ledger, BOOK, 64, "a big day", operator(world))
    payment_id = world.pay(merchant).body["id"]
    # then
    assert list(rebuild_one(ledger, payment_id)) == []
    # when
    for rows in world.database.lists.values():
        rows.clear()
    # then
    assert len(list(rebuild_one(ledger, payment_id))) == 2


# --- reports


def table(lines: Iterator[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(lines))))


def test_hledger_agrees_with_the_books_to_the_cent(
    world: World, merchant: Merchant, ledger: Ledger, tmp_path: Path
) -> None:
    # given
    name = next(n for n in world.database.journals if "/fee/" in n)
    corrections.reverse_journal(ledger, name, "charged twice", operator(world))
    world.seal()
    path = tmp_path / "books.journal"
    path.write_text("".join(reports.general_ledger(ledger, BOOK, "hledger", None)))
    # when
    checked = hledger(path, "check", "--strict", "ordereddates")
    real = hledger(path, "balance", "--real", "--flat", "--output-format", "csv")
    # then
    assert (checked.returncode, checked.stderr) == (0, "")
    held = {row["account"]: row["balance"] for row in csv.DictReader(io.StringIO(real.stdout))}
    assert held.pop("total") == "0"
    assert {account.partition(":")[2]: balance for account, balance in held.items()} == {
        account: f"{decimal(-amount, code)} {code.upper()}"
        for account, amount in world.balances(merchant).items()
        for code in [account.rpartition(":")[2]]
    }


@pytest.mark.parametrize("report", ["trial_balance", "statement", "general_ledger"])
@pytest.mark.parametrize("as_of_days", [None, 2])
def test_report_is_accepted_by_hledger(
    world: World, ledger: Ledger, tmp_path: Path, report: str, as_of_days: int | None
) -> None:
    # given
    as_of_ms = None if as_of_days is None else world.clock.now_ms() - as_of_days * DAY_MS
    path = tmp_path / "report.journal"
    write: Any = getattr(reports, report)
    name = [AVAILABLE] if report == "statement" else []
    # when
    path.write_text("".join(write(ledger, BOOK, "hledger", as_of_ms, *name)))
    # then
    checked = hledger(path, "check", "--strict")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "AVAILABLE" in hledger(path, "accounts").stdout.upper()


def test_hledger_refuses_books_that_are_a_cent_off(ledger: Ledger, tmp_path: Path) -> None:
    # given
    path = tmp_path / "books.journal"
    lines = list(reports.general_ledger(ledger, BOOK, "hledger", None))
    stated = next(n for n, line in enumerate(lines) if " = " in line)
    before, _, amount = lines[stated].rstrip().rpartition(" = ")
    lines[stated] = f"{before} = 9{amount}\n"
    path.write_text("".join(lines))
    # then
    assert hledger(path, "check", "--strict").returncode == 1


def test_csv_reports_agree_with_each_other(world: World, ledger: Ledger) -> None:
    # when
    balances = table(reports.trial_balance(ledger, BOOK, "csv", None))
    postings = table(reports.general_ledger(ledger, BOOK, "csv", None))
    # then
    assert {row["account"] for row in postings} == {row["account"] for row in balances}
    assert len(postings) == sum(len(j.postings) for j in world.database.journals.values())
    for row in balances:
        lines = table(reports.statement(ledger, BOOK, "csv", None, row["account"]))
        side = "" if row["kind"] in {"asset", "expense"} else "-"
        assert lines[-1]["balance"] == decimal_of(f"{side}{row['balance']}")
    with pytest.raises(OperatorError, match="no account"):
        reports.statement(ledger, BOOK, "csv", None, "2010:nobody")


def decimal_of(text: str) -> str:
    """Takes signs together: "--5" is "5", and there is no "-0"."""
    plain = text.removeprefix("--")
    return plain.removeprefix("-") if not plain.strip("-0.") else plain


def test_report_of_a_past_moment_ends_there(world: World, ledger: Ledger) -> None:
    # given
    as_of_ms = world.clock.now_ms() - 2 * DAY_MS
    # when
    postings = table(reports.general_ledger(ledger, BOOK, "csv", as_of_ms))
    # then
    wanted = [j for j in world.database.journals.values() if j.posted_at_ms <= as_of_ms]
    assert {row["journal"] for row in postings} == {journal.id for journal in wanted}


def test_of_two_operators_one_takes_a_journal_back(
    world: World, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: another operator who does the same between this one's look and post
    name = next(n for n in world.database.journals if "/fee/" in n)
    post = ledger.journals.post

    def post_second(journal: Any) -> None:
        monkeypatch.setattr(ledger.journals, "post", post)
        corrections.reverse_journal(ledger, name, "me too", operator(world))
        post(journal)

    monkeypatch.setattr(ledger.journals, "post", post_second)
    # when
    with pytest.raises(OperatorError, match="already"):
        corrections.reverse_journal(ledger, name, "charged twice", operator(world))
    # then: one correction, and both attempts on record
    assert [n for n in world.database.journals if n.startswith(f"{name}/")] == [f"{name}/reversal"]
    assert len(ledger.changes.of_entity(name, 10)) == 2


def test_correction_that_stopped_halfway_is_made_by_the_next_try(
    world: World, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    name = next(n for n in world.database.journals if "/fee/" in n)

    def stop(_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ledger.journals, "post", stop)
        with pytest.raises(KeyboardInterrupt):
            corrections.reverse_journal(ledger, name, "charged twice", operator(world))
    # when
    corrections.reverse_journal(ledger, name, "charged twice", operator(world))
    # then
    assert f"{name}/reversal" in world.database.journals
