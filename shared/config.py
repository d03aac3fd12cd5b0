"""Settings: the one place that reads the environment."""

import os
from collections.abc import Mapping

# The index of what has a due date, as the tables' stack and its reader name it.
DUE_INDEX = "due"
# Seven years, two of them leap: how long checkpoints cannot be altered, as the bucket has it too.
CHECKPOINT_RETENTION_DAYS = 7 * 365 + 2


class Settings:
    """Reads named settings; a missing one fails at the first use with its name.

    Args: environment: variables of the function, set by its stack.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def __getitem__(self, name: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            raise LookupError(f"the setting {name} is missing from the function's environment")
        return value

    def flag(self, name: str) -> bool:
        """Tells whether an optional switch is set to "1"."""
        return self._environment.get(name, "") == "1"

    @property
    def is_lambda(self) -> bool:
        """Tells whether this is an environment of a Lambda function, which names it."""
        return bool(self._environment.get("AWS_LAMBDA_FUNCTION_NAME"))

    @property
    def region(self) -> str:
        """The AWS region this function runs in."""
        return self["AWS_REGION"]

    @property
    def stage(self) -> str:
        """The stage this deployment is, such as "local" or "production"."""
        return self["FARTHING_STAGE"]
