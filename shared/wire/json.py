"""JSON as the API sends it."""

import json
from collections.abc import Mapping
from typing import Any


def dump(body: Mapping[str, Any]) -> str:
    """Writes a body the way merchants read it in their terminals: two-space indents."""
    return json.dumps(body, indent=2, ensure_ascii=False)
