"""Log lines as JSON, one object a line, with the request's id bound to every line of its thread."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType

import structlog

_QUERY = re.compile(r"(?P<address>\b[a-z][a-z0-9+.-]*://[^\s?'\"<>]+)\?[^\s'\"<>]*", re.IGNORECASE)
_PASSWORD = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://[^\s:/@'\"]*):[^\s/@'\"]+@", re.IGNORECASE)
_KEY = re.compile(r"\b(?P<prefix>kl_(?:live|test)_[\w-]{3})[\w-]{8,}")


def without_secrets(text: str) -> str:
    """The text without the queries of addresses (links are signed there), passwords in them, and all but the start of keys."""
    text = _QUERY.sub(r"\g<address>?...", text)
    return _KEY.sub(r"\g<prefix>...", _PASSWORD.sub(r"\g<scheme>:...@", text))


class JsonFormatter(logging.Formatter):
    """Standard-library records with structlog's context variables merged in."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": without_secrets(record.getMessage()),
            **structlog.contextvars.get_contextvars(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = without_secrets(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = without_secrets(record.stack_info)
        return json.dumps(line, default=str)


def speak_json() -> None:
    """
    What is no log line by itself becomes one: uncaught exceptions of any thread, and Python's warnings.

    Called first thing in every process. On a terminal, where a person reads, Python speaks as it does.
    """
    if sys.stderr.isatty():
        return
    logging.captureWarnings(True)
    if not logging.root.handlers:  # until Django has read its settings, and wherever it never does
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def last_words(sentence: str) -> int:
    """Say why this process ends, as a line of the log or to the person at the terminal. Returns the exit code."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{sentence}\n")
    else:
        logging.getLogger("keyline").critical(sentence)
    return 1


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("keyline").critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and told.exc_type is not SystemExit:
        facts = {"thread": told.thread.name if told.thread else ""}
        trace = (told.exc_type, told.exc_value, told.exc_traceback)
        logging.getLogger("keyline").critical("uncaught exception in a thread", exc_info=trace, extra={"facts": facts})


def _unraisable(told: sys.UnraisableHookArgs) -> None:
    if told.exc_value is not None:
        trace = (told.exc_type, told.exc_value, told.exc_traceback)
        logging.getLogger("keyline").error("exception that nobody could catch", exc_info=trace)
