"""Creates a merchant on a deployed stage: `python -m ops.merchant create --stage dev`.

Uses the AWS credentials, and the endpoint, that the environment gives. Prints one line of JSON:
{"account", "secret_key", "publishable_key"}. The keys are shown this once; only hashes are kept.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import boto3

from ops.api_keys import NewKey, created_key, key_document, new_secret
from ops.stages import (
    CLIENT,
    OperatorError,
    actor_of,
    ask_operator,
    data_outputs,
    event_signer,
    stage_region,
    stage_regions,
)
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.adapters.system import SystemClock, SystemEntropy
from shared.domain.audit_trail import created
from shared.domain.changes import Context
from shared.domain.currencies import EXPONENTS
from shared.domain.documents import Document, DocumentWrite
from shared.domain.limits import LOCAL, Limits
from shared.domain.ports import DocumentStore, Entropy
from shared.edge.auth import KeyKind

ACCOUNT_LENGTH = 16
LOCAL_STAGE = "local"


@dataclass(frozen=True, slots=True)
class Merchant:
    """What is asked for.

    Args: home: region whose ledger the merchant's money is kept in. country: ISO 3166 alpha-2.
    currency: ISO 4217, lower case; payouts and reports default to it. test_limits: where they are
    not the default's.
    """

    home: str
    country: str = "US"
    currency: str = "usd"
    email: str | None = None
    test_limits: Limits | None = None

    @property
    def limits(self) -> Mapping[str, Mapping[str, int]]:
        """What the account may ask for, by mode, where that is not the default."""
        return {} if self.test_limits is None else {"test": asdict(self.test_limits)}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The new account and its keys in the clear; they leave the process on standard output only."""

    account: str
    secret_key: str
    publishable_key: str


def new_credentials(entropy: Entropy) -> Credentials:
    """Draws an account id and a test key pair."""
    return Credentials(
        account=f"acct_{entropy.token(ACCOUNT_LENGTH)}",
        secret_key=new_secret("secret", entropy, livemode=False),
        publishable_key=new_secret("publishable", entropy, livemode=False),
    )


def documents(
    merchant: Merchant, credentials: Credentials, context: Context, reason: str | None = None
) -> tuple[DocumentWrite, ...]:
    """Returns what every region must hold for the merchant: the account and its two keys."""
    account, created_ms = credentials.account, context.now_ms
    profile = {
        "home_region": merchant.home,
        "country": merchant.country,
        "email": merchant.email,
        "default_currency": merchant.currency,
        "created_by": "ops.merchant",
        "limits": merchant.limits,
    }
    keys: tuple[tuple[KeyKind, str], ...] = (
        ("secret", credentials.secret_key),
        ("publishable", credentials.publishable_key),
    )
    profiled = Document(
        account, "account", account, livemode=False, version=1, created_ms=created_ms, data=profile
    )
    opened = [
        key_document(NewKey(account, merchant.home, kind, limits=merchant.limits), key, created_ms)
        for kind, key in keys
    ]
    return (
        created(profiled, context, reason=reason),
        *(created_key(key, context, reason) for key in opened),
    )


def create(stores: Sequence[DocumentStore], writes: Sequence[DocumentWrite]) -> None:
    """Writes the merchant everywhere; the last store is the home's.

    The home comes last, so that a key that works there is known, as foreign, everywhere else.
    """
    *others, home = stores
    for store in (*others, home):
        store.commit(writes)


def open_store(stage: str, region: str) -> DocumentStore:
    """Opens the objects of a stage in a region, found by its data stack's outputs.

    Raises: OperatorError when they cannot be found.
    """
    objects, idempotency = data_outputs(stage, region, ("ObjectsTable", "IdempotencyTable"))
    client = boto3.client("dynamodb", region_name=region, config=CLIENT)
    return DynamoDocumentStore(client, objects, idempotency, event_signer(stage, region))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    command = parser.add_subparsers(required=True).add_parser("create", help="create a merchant")
    command.add_argument("--stage", required=True)
    command.add_argument("--home", help="home region; the stage's first one by default")
    command.add_argument("--country", default="US", help="ISO 3166 alpha-2")
    command.add_argument("--currency", default="usd", choices=sorted(EXPONENTS), metavar="ISO4217")
    command.add_argument("--email")
    ask_operator(command)
    return parser.parse_args()


def _create(arguments: argparse.Namespace) -> Credentials:
    actor, regions = actor_of(arguments), stage_regions(arguments.stage)
    home = stage_region(arguments.stage, arguments.home)
    country = arguments.country.upper()
    if len(country) != 2 or not country.isascii() or not country.isalpha():
        raise OperatorError(f"{arguments.country} is not a two-letter country code")
    ordered = [region for region in regions if region != home] + [home]
    with ThreadPoolExecutor(max_workers=len(ordered)) as pool:
        stores = list(pool.map(lambda region: open_store(arguments.stage, region), ordered))
    limits = LOCAL if arguments.stage == LOCAL_STAGE else None
    merchant = Merchant(home, country, arguments.currency, arguments.email, limits)
    credentials = new_credentials(SystemEntropy())
    context = Context(SystemClock().now_ms(), actor=actor)
    create(stores, documents(merchant, credentials, context, arguments.reason))
    return credentials


def main() -> None:
    """Runs the command line."""
    try:
        credentials = _create(_arguments())
    except OperatorError as error:
        sys.exit(f"ops.merchant: {error}")
    answer = {
        "account": credentials.account,
        "secret_key": credentials.secret_key,
        "publishable_key": credentials.publishable_key,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
