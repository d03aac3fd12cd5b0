"""What `make fuzz` runs: ten minutes of schemathesis over the published interface.

Usage: python -m tests.fuzz.run [--seconds N] [--seed N]
"""

import argparse
import logging
import secrets
import sys

from tests.support.fuzzing import run

SECONDS = 600
EXAMPLES_MAX = 50
SEED_BITS = 32


def main() -> None:
    """Fuzzes, tells what was found, and exits with 1 when anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--seed", type=int, default=secrets.randbits(SEED_BITS))
    given = parser.parse_args()
    # A line for each of some hundred thousand requests would hide what was found.
    logging.disable(logging.CRITICAL)
    print(f"seed {given.seed}", flush=True)
    findings = run(given.seed, examples_max=EXAMPLES_MAX, seconds_max=given.seconds)
    print(findings)
    for name, told in findings.failures.items():
        print(f"\n{name}\n{told}")
    sys.exit(1 if findings.failures else 0)


if __name__ == "__main__":
    main()
