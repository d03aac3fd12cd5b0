"""The vault's description of the sandbox's named test cards, asked once per card and account."""

import json
from collections import OrderedDict
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.cards import CardSummary
from shared.domain.errors import TransientError

if TYPE_CHECKING:
    from types_boto3_lambda.client import LambdaClient

_CACHED_MAX = 1_000
_UNAVAILABLE = "The vault is not available; try again."


class VaultSandboxCards:
    """Implements SandboxCards by asking the vault's function.

    Args: client: of Lambda. function: name of the tokenization function.
    """

    def __init__(self, client: "LambdaClient", function: str) -> None:
        self._client = client
        self._function = function
        self._known: OrderedDict[tuple[str, str], CardSummary | None] = OrderedDict()

    def describe(self, alias: str, account: str) -> CardSummary | None:
        """Returns what may be known of the card, from memory where possible."""
        key = (account, alias)
        if key not in self._known:
            self._known[key] = self._ask(alias, account)
            if len(self._known) > _CACHED_MAX:
                self._known.popitem(last=False)
        return self._known[key]

    def _ask(self, alias: str, account: str) -> CardSummary | None:
        try:
            answer = self._client.invoke(
                FunctionName=self._function,
                Payload=json.dumps({"describe_alias": alias, "account": account}),
            )
        except (BotoCoreError, ClientError) as error:
            raise TransientError(_UNAVAILABLE) from error
        if "FunctionError" in answer:
            raise TransientError(_UNAVAILABLE)
        described = json.loads(answer["Payload"].read())
        return CardSummary.of(described) if described else None
