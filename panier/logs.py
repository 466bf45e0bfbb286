"""Logs: one JSON object a line on stderr; nothing secret or personal. The only door to structlog.

structlog is imported when there is something to log: it takes 0.13 s, a sixth of what a command needs to start.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

_level, _out = logging.WARNING, sys.stderr


def configure(level: int = logging.WARNING) -> None:
    """Set up logging for this process, onto what is its stderr now."""
    global _level, _out
    _level, _out = level, sys.stderr


def bug(error: BaseException) -> None:
    """A fault of ours: its kind and where it happened, never its values."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}" if trace else "?"
    _logger().error("bug", kind=type(error).__name__, where=where)


def _logger() -> Any:
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_level),
        logger_factory=structlog.PrintLoggerFactory(_out),
    )
    return structlog.get_logger()
