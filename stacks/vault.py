"""The vault: card data's own table and keys."""

from aws_cdk import aws_kms as kms
from constructs import Construct

from stacks.base import FarthingStack
from stacks.constructs.function import FarthingFunction
from stacks.constructs.keys import kept_key
from stacks.constructs.tables import BATCH_GET, DELETE, PUT, keyed_table
from stacks.stage import StageConfig

# What the vault's functions bind every data key to; a key asked for with less is refused.
ENCRYPTION_CONTEXT = {
    "StringEquals": {"kms:EncryptionContext:purpose": "card"},
    "Null": {"kms:EncryptionContext:account": "false"},
}


class VaultStack(FarthingStack):
    """Holds encrypted cards and the keys to them; stateful.

    Sealing and opening are rights of different functions: who can seal cannot open.

    Security codes have a table of their own, without backups or a stream: PCI DSS 3.3 forbids to
    keep one after authorization, and a copy of a deleted one, under a key that lives on, would be
    kept. Nothing in it is meant to outlive ten minutes, so it is not retained when its stack goes;
    it is protected from deletion, because no card can be sealed or opened without it.
    """

    def __init__(self, scope: Construct, *, stage: StageConfig, region: str) -> None:
        super().__init__(scope, "Vault", stage=stage, region=region, is_stateful=True)
        self.table = keyed_table(self, "Vault")
        self.verifications = keyed_table(
            self, "Verifications", has_sort_key=False, has_ttl=True, is_forgotten=True
        )
        self.key = kept_key(self, "CardKey", "Wraps the data keys of card data")
        # Without rotation, which HMAC keys do not have: a fingerprint is the same for ever.
        self.fingerprint_key = kept_key(
            self,
            "FingerprintKey",
            "Makes fingerprints of card numbers",
            spec=kms.KeySpec.HMAC_256,
            usage=kms.KeyUsage.GENERATE_VERIFY_MAC,
        )
        self.tell("VaultTable", self.table.table_name)
        self.tell("VerificationsTable", self.verifications.table_name)
        self.tell("VaultKeyArn", self.key.key_arn)
        self.tell("FingerprintKeyArn", self.fingerprint_key.key_arn)

    @property
    def sealing_environment(self) -> dict[str, str]:
        """What a function needs to know to seal cards."""
        return {
            **self.opening_environment,
            "FINGERPRINT_KEY_ARN": self.fingerprint_key.key_arn,
        }

    @property
    def opening_environment(self) -> dict[str, str]:
        """What a function needs to know to open cards."""
        return {
            **self.deleting_environment,
            "VAULT_TABLE": self.table.table_name,
            "VAULT_KEY_ARN": self.key.key_arn,
        }

    @property
    def deleting_environment(self) -> dict[str, str]:
        """What a function needs to know to delete verification values."""
        return {"VERIFICATIONS_TABLE": self.verifications.table_name}

    def allow_sealing(self, function: FarthingFunction) -> None:
        """Lets a function store cards."""
        function.allow(PUT, self.table.table_arn)
        function.allow(PUT, self.verifications.table_arn)
        function.allow(["kms:GenerateDataKey"], self.key.key_arn, ENCRYPTION_CONTEXT)
        function.allow(["kms:GenerateMac"], self.fingerprint_key.key_arn)

    def allow_opening(self, function: FarthingFunction) -> None:
        """Lets a function read a card and use up its verification value."""
        function.allow(BATCH_GET, self.table.table_arn)
        function.allow(BATCH_GET + DELETE, self.verifications.table_arn)
        function.allow(["kms:Decrypt"], self.key.key_arn, ENCRYPTION_CONTEXT)

    def allow_deleting(self, function: FarthingFunction) -> None:
        """Lets a function delete verification values, unread."""
        function.allow(DELETE, self.verifications.table_arn)
