"""The deletion of security codes: apart from the vault, because it needs no key and no cipher."""

from typing import TYPE_CHECKING

from shared.adapters.aws_calls import calling

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class DynamoVerifications:
    """Deletes security codes; implements Verifications and needs no key.

    Args: table: of the security codes.
    """

    def __init__(self, *, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def delete(self, vault_token: str) -> None:
        """Deletes a code; see Verifications."""
        key = {"pk": {"S": vault_token}}
        calling(self._dynamodb.delete_item, TableName=self._table, Key=key)
