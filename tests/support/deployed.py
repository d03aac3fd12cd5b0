"""Looking into a deployed platform as its operator can: logs, tables and stack outputs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from local.home import ACCESS, Home, regions
from local.ministack import NAME as MINISTACK

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient


@dataclass(frozen=True)
class Deployed:
    """The local stage of a home, with its root credentials."""

    home: Home

    def session(self, region: str) -> tuple[boto3.Session, str]:
        """Returns a session, and the address to use it at."""
        port = self.home.read("ports.json")[MINISTACK]
        session = boto3.Session(
            ACCESS["AWS_ACCESS_KEY_ID"], ACCESS["AWS_SECRET_ACCESS_KEY"], region_name=region
        )
        return session, f"http://127.0.0.1:{port}"

    def dynamodb(self, region: str) -> "DynamoDBClient":
        """Opens the tables of a region."""
        session, endpoint = self.session(region)
        return session.client("dynamodb", endpoint_url=endpoint)

    def outputs(self, stack: str, region: str) -> Mapping[str, str]:
        """Reads what a stack tells operators."""
        outputs: Mapping[str, str] = self.home.read("outputs.json")[
            f"Farthing-local-{region}-{stack}"
        ]
        return outputs

    def log_lines(self, since_ms: int) -> Iterator[tuple[str, str]]:
        """Reads every line that any function of any region has logged since; with its group."""
        for region in regions():
            session, endpoint = self.session(region)
            client: Any = session.client("logs", endpoint_url=endpoint)
            for groups in client.get_paginator("describe_log_groups").paginate():
                for group in groups["logGroups"]:
                    name = group["logGroupName"]
                    pages = client.get_paginator("filter_log_events").paginate(
                        logGroupName=name, startTime=since_ms
                    )
                    for page in pages:
                        yield from ((name, event["message"]) for event in page["events"])

    def items(self, region: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Reads every item of every table of a region; with its table."""
        client = self.dynamodb(region)
        for tables in client.get_paginator("list_tables").paginate():
            for table in tables["TableNames"]:
                for page in client.get_paginator("scan").paginate(TableName=table):
                    yield from ((table, item) for item in page["Items"])
