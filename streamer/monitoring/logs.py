"""Logs as one JSON object per line. What another library says is withheld: it may quote a file name or a header."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

_OWN = "streamer"
_WITHHELD = "withheld: another library's words"


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, place, and of an exception its kind and places, never its words.

    Example:
        >>> record = logging.LogRecord("streamer.app", logging.INFO, "x.py", 7, "ready", None, None)
        >>> json.loads(JsonFormatter().format(record))["message"]
        'ready'
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        own = record.name == _OWN or record.name.startswith(f"{_OWN}.")
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage() if own else _WITHHELD,
            "place": f"{record.module}:{record.lineno}",
        }
        if record.exc_info and record.exc_info[0] is not None:
            entry["exception"] = record.exc_info[0].__name__
            entry["trace"] = [f"{one.filename}:{one.lineno}" for one in traceback.extract_tb(record.exc_info[2])]
        return json.dumps(entry, ensure_ascii=False)


@contextmanager
def json_logs(stream: IO[str] | None = None) -> Iterator[None]:
    """Write all logs as JSON lines while the context is open, and nothing else.

    Args:
        stream: where to; standard error if None.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root, own = logging.getLogger(), logging.getLogger(_OWN)
    before = root.handlers[:], root.level, own.level
    root.handlers, root.level = [handler], logging.WARNING
    own.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers, level, own_level = before
        root.setLevel(level)
        own.setLevel(own_level)
