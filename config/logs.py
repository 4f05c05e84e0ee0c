"""Log lines as JSON, one object a line, with the request's id bound to every line of its thread."""

from __future__ import annotations

import json
import logging

import structlog


class JsonFormatter(logging.Formatter):
    """Standard-library records with structlog's context variables merged in."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **structlog.contextvars.get_contextvars(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
