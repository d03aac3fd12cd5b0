"""Composed ports, forgotten between tests: each test has tables and settings of its own."""

import sys


def forget_composition() -> None:
    """Empties the caches of every composition root and handler that was imported."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("functions.", "shared.bootstrap")):
            for member in vars(module).values():
                if hasattr(member, "cache_clear"):
                    member.cache_clear()
