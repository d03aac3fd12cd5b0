"""`make bench`: the numbers of the README, measured on this machine.

python -m bench             all of them but `books`
python -m bench calls       AWS calls and capacity units of one payment
python -m bench posting     requests and write units of each flow, and of a journal
python -m bench folding     journals per second, and items written, of sealing and folding
python -m bench partitions  simulation of partitions and conflicts, up to 100,000 payments/s
python -m bench verify      how fast an export is verified, and what memory it takes
python -m bench reading     AWS calls of retrieving and listing, and what they take by a model
python -m bench edge        CPU time of a request to the API, from its event to its answer
python -m bench fanout      webhooks per second, and what endpoints that hang do to the others
python -m bench cold        import cost of each function
python -m bench load        throughput and latency on the platform that `make up` started
python -m bench books       10,000 mixed payments there, and everything held against everything:
                            half an hour, so only by its name
python -m bench up          `make up` from a fresh clone, and again with nothing changed
"""

import platform
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from bench import (
    books,
    calls,
    cold,
    edge,
    fanout,
    folding,
    fresh,
    load,
    partitions,
    posting,
    reading,
    verify,
)

SECTIONS: Mapping[str, Callable[[], bool]] = {
    "calls": calls.main,
    "posting": posting.main,
    "folding": folding.main,
    "partitions": partitions.main,
    "verify": verify.main,
    "reading": reading.main,
    "edge": edge.main,
    "fanout": fanout.main,
    "cold": cold.main,
    "load": load.main,
    "books": books.main,
    "up": fresh.main,
}

# What takes too long to be run with all others.
BY_NAME = {"books"}


def main() -> int:
    """Runs the sections that are named, or all; returns 1 when one misses its bound."""
    names = sys.argv[1:] or [name for name in SECTIONS if name not in BY_NAME]
    unknown = set(names) - SECTIONS.keys()
    if unknown:
        print(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
        return 2
    print(f"Python {platform.python_version()} on {platform.machine()}, {platform.system()}")
    # Each in a process of its own: the functions keep their clients for as long as one lives.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as apart:
        results = []
        for name in names:
            print(f"\n== {name}", flush=True)
            results.append(apart.submit(SECTIONS[name]).result())
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
