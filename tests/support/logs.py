"""Loggers that write to memory, as structured as in production."""

import io
import itertools

from aws_lambda_powertools import Logger

_numbers = itertools.count()


def recorded_logger() -> tuple[Logger, io.StringIO]:
    """Returns a logger and what it wrote.

    Loggers of one service share their stream, so each is a service of its own.
    """
    stream = io.StringIO()
    return Logger(service=f"test-{next(_numbers)}", stream=stream), stream
