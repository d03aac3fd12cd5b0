"""Shows and sets how much a merchant may ask of the API of a deployed stage.

`python -m ops.limits show --stage dev --account acct_...`
`python -m ops.limits set --stage dev --account acct_... --live --requests-per-s 500`

What is not named stays as it is. Every environment knows within half a minute.
Uses the AWS credentials, and the endpoint, that the environment gives. Prints JSON.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from ops.api_keys import is_usable, keys_of, limited
from ops.keys import Regions, open_regions
from ops.stages import OperatorError, actor_of, ask_operator
from shared.adapters.system import SystemClock
from shared.domain.audit_trail import updated
from shared.domain.changes import Context
from shared.domain.documents import DocumentWrite, Scope, mode_of
from shared.domain.errors import PaymentError
from shared.domain.limits import Limits

# Far above what one account can be served; what is more is a slip of the hand.
RATE_MAX = 1_000_000

Json = dict[str, Any]


def show(regions: Regions) -> Json:
    """Returns what an account may ask for in each mode."""
    held = regions.account.data.get("limits") or {}
    scopes = [Scope(regions.account.id, livemode) for livemode in (True, False)]
    modes = {
        scope.mode: asdict(Limits.of(held.get(scope.mode), livemode=scope.livemode))
        for scope in scopes
    }
    return {"account": regions.account.id, **modes}


def change(
    regions: Regions,
    wanted: Mapping[str, int],
    context: Context,
    *,
    livemode: bool,
    reason: str | None = None,
) -> Json:
    """Sets limits on the account and on each of its usable keys, in one transaction a region.

    Args: wanted: by field of Limits; the others stay.
    Raises: OperatorError when a limit is none; VersionConflictError when somebody else changes the
    account or a key at the same time: the same command sets what is not set yet.
    """
    if not wanted or not all(0 < limit <= RATE_MAX for limit in wanted.values()):
        raise OperatorError(f"say what to set, each from 1 to {RATE_MAX}")
    mode, account = mode_of(livemode=livemode), regions.account.id
    writes: list[list[DocumentWrite]] = []
    for store in regions.stores:
        profile = store.get(account)
        if profile is None:
            raise OperatorError(f"a region does not know {account}")
        held = profile.data.get("limits") or {}
        limits = asdict(Limits.of({**held.get(mode, {}), **wanted}, livemode=livemode))
        data = {**profile.data, "limits": {**held, mode: limits}}
        keys = keys_of(store, Scope(account, livemode))
        usable = [key for key in keys if is_usable(key, context.now_ms)]
        writes.append(
            [
                updated(profile, data, context, reason=reason),
                *limited(usable, limits, context, reason),
            ]
        )
    regions.commit(writes)
    return {"account": account, mode: limits}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (("show", "print them"), ("set", "change them")):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("--stage", required=True)
        command.add_argument("--account", required=True, metavar="acct_...")
        if name == "set":
            command.add_argument("--live", action="store_true", help="of live mode, not of test")
            for limit in fields(Limits):
                command.add_argument(f"--{limit.name.replace('_', '-')}", type=int, metavar="N")
            ask_operator(command)
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> Json:
    if arguments.command == "show":
        return show(open_regions(arguments.stage, arguments.account))
    context = Context(SystemClock().now_ms(), actor=actor_of(arguments))
    told = {limit.name: getattr(arguments, limit.name) for limit in fields(Limits)}
    wanted = {name: limit for name, limit in told.items() if limit is not None}
    regions = open_regions(arguments.stage, arguments.account)
    livemode, reason = arguments.live, arguments.reason
    return change(regions, wanted, context, livemode=livemode, reason=reason)


def main() -> None:
    """Runs the command line."""
    try:
        answer = _run(_arguments())
    except (OperatorError, PaymentError) as error:
        sys.exit(f"ops.limits: {error}")
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
