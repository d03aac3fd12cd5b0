"""Manages the API keys of a merchant on a deployed stage.

`python -m ops.keys list --stage dev --account acct_... --last-used`
`python -m ops.keys create --stage dev --account acct_... --kind restricted --allow charge:read`
`python -m ops.keys roll --stage dev --account acct_... --key key:... --overlap 24h`
`python -m ops.keys revoke --stage dev --account acct_... --key key:... --reason "was in a log"`

A key is shown once, by the command that makes it; only its hash is kept. Keys are named as the
audit log and the functions' logs name them. What is revoked opens nothing after half a minute.
When a key was last used is asked of the logs, and costs nothing until then.
Merchants have no API for it: like Stripe's, their keys are made for them.
Uses the AWS credentials, and the endpoint, that the environment gives. Prints JSON.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3

from ops.api_keys import (
    OVERLAP_MAX_S,
    USABLE_MAX,
    NewKey,
    created_key,
    ended,
    is_usable,
    key_document,
    keys_of,
    name_of,
    new_secret,
    revoked,
)
from ops.key_usage import last_used, log_groups
from ops.merchant import open_store
from ops.stages import CLIENT, OperatorError, actor_of, ask_operator, stage_regions
from shared.adapters.system import SystemClock, SystemEntropy
from shared.domain.changes import Context
from shared.domain.documents import Document, DocumentWrite, Scope, mode_of
from shared.domain.errors import PaymentError
from shared.domain.ports import DocumentStore, Entropy
from shared.edge.permissions import FAMILIES, Access

_SECONDS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}
_OVERLAP = re.compile(r"(\d{1,6})([smhd])")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Regions:
    """The objects of an account in every region of its stage.

    Args: account: as its home has it. others, home: the stores; the home is written last, so that
    a key that works there is known, as foreign, everywhere else.
    """

    account: Document
    others: Sequence[DocumentStore]
    home: DocumentStore

    def commit(self, writes: Sequence[Sequence[DocumentWrite]]) -> None:
        """Writes to every region what is meant for it, in the order of `stores`."""
        for store, meant in zip(self.stores, writes, strict=True):
            store.commit(meant)

    @property
    def stores(self) -> tuple[DocumentStore, ...]:
        """All of them, the home last."""
        return (*self.others, self.home)


def open_regions(stage: str, account: str) -> Regions:
    """Opens the objects of an account.

    Raises: OperatorError when there is no such account.
    """
    stores = {region: open_store(stage, region) for region in stage_regions(stage)}
    found = next(iter(stores.values())).get(account)
    if found is None or found.kind != "account":
        raise OperatorError(f"no account {account} on {stage}")
    home = found.data["home_region"]
    others = [store for region, store in stores.items() if region != home]
    at_home = stores[home].get(account)
    if at_home is None:
        raise OperatorError(f"the account {account} is not known in its home {home}")
    return Regions(at_home, others, stores[home])


def list_keys(regions: Regions, now_ms: int, used: Mapping[str, str] | None = None) -> Json:
    """Returns the keys that there were of an account, without what they are.

    Args: used: when each was last used, by name; None where nobody asked.
    """
    account = regions.account.id
    keys = [
        key for livemode in (True, False) for key in keys_of(regions.home, Scope(account, livemode))
    ]
    shown = [_shown(key, now_ms) for key in keys]
    if used is not None:
        shown = [{**key, "last_used": used.get(key["key"])} for key in shown]
    return {"account": account, "keys": shown}


def _shown(key: Document, now_ms: int) -> Json:
    return {
        "key": name_of(key),
        "kind": key.data["kind"],
        "livemode": key.livemode,
        "label": key.data.get("label"),
        "permissions": key.data.get("permissions"),
        "created": key.created_ms // 1000,
        "expires_at": key.data["expires_at_s"],
        "revoked": key.data["revoked"],
        "usable": is_usable(key, now_ms),
    }


def create(
    regions: Regions, new: NewKey, secret: str, context: Context, reason: str | None = None
) -> Json:
    """Makes a key.

    Raises: OperatorError when the account has too many that are usable.
    """
    _require_room(regions, Scope(new.account, new.livemode), context.now_ms)
    key = key_document(new, secret, context.now_ms)
    write = created_key(key, context, reason)
    regions.commit([[write] for _ in regions.stores])
    return {**_shown(key, context.now_ms), "secret": secret}


def roll(
    regions: Regions,
    named: str,
    entropy: Entropy,
    context: Context,
    *,
    overlap_s: int,
    reason: str | None = None,
) -> Json:
    """Makes a key in place of one, which goes on for a while.

    Both happen at once in each region.
    Raises: OperatorError when there is no such key, it opens nothing any more, or there would be
    too many while both work.
    """
    old = _find(regions.home, regions.account.id, named)
    if not is_usable(old, context.now_ms):
        raise OperatorError(f"{named} opens nothing any more: create a key")
    if overlap_s:
        _require_room(regions, old.scope, context.now_ms)
    data = old.data
    secret = new_secret(data["kind"], entropy, livemode=old.livemode)
    fresh = key_document(
        NewKey(
            account=old.account,
            home=data["home_region"],
            kind=data["kind"],
            livemode=old.livemode,
            limits={mode_of(livemode=old.livemode): data.get("limits")},
            permissions={name: Access(at) for name, at in data.get("permissions", {}).items()},
            label=data.get("label"),
        ),
        secret,
        context.now_ms,
    )
    write = created_key(fresh, context, reason)
    held = [_find(store, regions.account.id, named) for store in regions.stores]
    ends = [ended(key, context, reason, after_s=overlap_s) for key in held]
    regions.commit([[write, end] for end in ends])
    return {
        **_shown(fresh, context.now_ms),
        "secret": secret,
        "replaces": _shown(ends[-1].document, context.now_ms),
    }


def revoke(regions: Regions, named: str, context: Context, reason: str | None = None) -> Json:
    """Revokes a key everywhere, its home first; a region where it is revoked stays as it is."""
    for store in reversed(regions.stores):
        key = _find(store, regions.account.id, named)
        if not key.data["revoked"]:
            store.commit([revoked(key, context, reason)])
    return _shown(_find(regions.home, regions.account.id, named), context.now_ms)


def _require_room(regions: Regions, scope: Scope, now_ms: int) -> None:
    usable = [key for key in keys_of(regions.home, scope) if is_usable(key, now_ms)]
    if len(usable) >= USABLE_MAX:
        raise OperatorError(f"{scope.account} has {USABLE_MAX} keys of this mode: revoke one first")


def _find(store: DocumentStore, account: str, named: str) -> Document:
    for livemode in (True, False):
        for key in keys_of(store, Scope(account, livemode)):
            if name_of(key) == named:
                return key
    raise OperatorError(f"{account} has no key {named}: see the command list")


def permissions_of(grants: Sequence[str]) -> Mapping[str, Access]:
    """Reads what a restricted key is allowed, such as "charge:read".

    Raises: OperatorError when a grant names no family or no level.
    """
    found: dict[str, Access] = {}
    for grant in grants:
        family, _, level = grant.partition(":")
        if family not in FAMILIES or level not in set(Access):
            known = ", ".join(sorted(FAMILIES))
            raise OperatorError(f"{grant} allows nothing: FAMILY:none|read|write, of {known}")
        found[family] = Access(level)
    return found


def overlap_of(text: str) -> int:
    """Reads how long a key goes on, such as "24h", in seconds.

    Raises: OperatorError when it is no such time, or too long.
    """
    match = _OVERLAP.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else OVERLAP_MAX_S + 1
    if seconds > OVERLAP_MAX_S:
        raise OperatorError(f"{text} is no time of at most seven days, such as 30m, 24h or 7d")
    return seconds


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("list", "print the keys that there were of an account"),
        ("create", "make a key"),
        ("roll", "make a key in place of another"),
        ("revoke", "end a key now"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("--stage", required=True)
        command.add_argument("--account", required=True, metavar="acct_...")
        if name in {"roll", "revoke"}:
            command.add_argument("--key", required=True, metavar="key:...")
        if name == "roll":
            command.add_argument("--overlap", default="0s", help="how long both work, up to 7d")
        if name == "create":
            command.add_argument(
                "--kind", default="secret", choices=("secret", "publishable", "restricted")
            )
            command.add_argument("--live", action="store_true", help="of live mode, not of test")
            command.add_argument(
                "--allow", action="append", default=[], metavar="FAMILY:LEVEL", help="a right of it"
            )
            command.add_argument("--label", help="what it is for")
        if name == "list":
            command.add_argument(
                "--last-used", action="store_true", help="ask the logs of the last 30 days"
            )
        else:
            ask_operator(command)
    return parser.parse_args()


def _create(arguments: argparse.Namespace, context: Context) -> Json:
    permissions = permissions_of(arguments.allow)
    if bool(permissions) != (arguments.kind == "restricted"):
        raise OperatorError("restricted keys, and they alone, are made with --allow")
    regions = open_regions(arguments.stage, arguments.account)
    profile = regions.account.data
    new = NewKey(
        account=arguments.account,
        home=profile["home_region"],
        kind=arguments.kind,
        livemode=arguments.live,
        limits=profile.get("limits") or {},
        permissions=permissions,
        label=arguments.label,
    )
    secret = new_secret(new.kind, SystemEntropy(), livemode=new.livemode)
    return create(regions, new, secret, context, arguments.reason)


def _last_used(regions: Regions, stage: str, now_ms: int) -> Mapping[str, str]:
    home = regions.account.data["home_region"]
    logs = boto3.client("logs", region_name=home, config=CLIENT)
    groups = log_groups(stage, home)
    return last_used(logs, groups, regions.account.id, now_ms // 1000)


def _run(arguments: argparse.Namespace) -> Json:
    now_ms, stage, account = SystemClock().now_ms(), arguments.stage, arguments.account
    if arguments.command == "list":
        regions = open_regions(stage, account)
        used = _last_used(regions, stage, now_ms) if arguments.last_used else None
        return list_keys(regions, now_ms, used)
    context, reason = Context(now_ms, actor=actor_of(arguments)), arguments.reason
    if arguments.command == "create":
        return _create(arguments, context)
    if arguments.command == "revoke":
        return revoke(open_regions(stage, account), arguments.key, context, reason)
    overlap_s, regions = overlap_of(arguments.overlap), open_regions(stage, account)
    entropy = SystemEntropy()
    return roll(regions, arguments.key, entropy, context, overlap_s=overlap_s, reason=reason)


def main() -> None:
    """Runs the command line."""
    try:
        answer = _run(_arguments())
    except (OperatorError, PaymentError) as error:
        sys.exit(f"ops.keys: {error}")
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
