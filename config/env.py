"""
Settings from the environment, typed and strict: a bad value stops the start with a sentence.

Secrets may also come from a file whose path is in `<NAME>_FILE` (Docker and Kubernetes secrets).
`var/stack.env`, which the running stack writes, fills in what the environment leaves open.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from config.postgres import BoundedConnection

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("KEYLINE_VAR_DIR", ROOT / "var"))

env = environ.FileAwareEnv()
if os.access(
    VAR / "stack.env", os.R_OK
):  # the stack's own processes have its values in their environment, and may not read it
    env.read_env(VAR / "stack.env")


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """A whole number within `low..high`, both included."""
    value: int = env.int(name, default)
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name}={value} is out of range: use {low} to {high}.")
    return value


def choice(name: str, default: str, *, allowed: tuple[str, ...]) -> str:
    """One of a few words."""
    value: str = env.str(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}={value} is none of {', '.join(allowed)}.")
    return value


def names(name: str, default: str = "") -> list[str]:
    """A comma-separated list without blanks."""
    return [part.strip() for part in env.str(name, default).split(",") if part.strip()]


def choices(name: str, allowed: tuple[str, ...]) -> list[str]:
    """Some of a few words, comma separated; none of them by default."""
    return _some_of(name, names(name), allowed)


def rail_hosts(name: str, allowed: tuple[str, ...]) -> dict[str, list[str]]:
    """`host=word` or `host=word+word`, comma separated: the words of each host name."""
    pairs = [part.partition("=") for part in names(name)]
    return {host.strip().lower(): _some_of(name, words.split("+"), allowed) for host, _, words in pairs}


def _some_of(name: str, given: list[str], allowed: tuple[str, ...]) -> list[str]:
    if unknown := [word for word in given if word not in allowed]:
        raise ImproperlyConfigured(f"{name}: {unknown[0]!r} is none of {', '.join(allowed)}.")
    return given


def address(name: str) -> str:
    """An EVM address, or nothing."""
    return _hex(name, digits=40, what="an address")


def private_key(name: str) -> str:
    """A secp256k1 private key, or nothing."""
    return _hex(name, digits=64, what="a private key")


def _hex(name: str, *, digits: int, what: str) -> str:
    value: str = env.str(name, "")
    if value and not re.fullmatch(rf"0x[0-9a-fA-F]{{{digits}}}", value):
        raise ImproperlyConfigured(f"{name} must be {what}: 0x and {digits} hex digits.")
    return value


def database(url: str, *, pool_size: int) -> dict[str, object]:
    """Django's DATABASES entry for a PostgreSQL URL; other engines lack the locks that money needs."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must be postgresql://user:password@host:port/name.")
    # The web process sets it (config/wsgi.py): its clients wait. Migrations and reports take as long as they take.
    BoundedConnection.patience_s = integer("DATABASE_PATIENCE_S", 0, low=0, high=600) or None
    return {
        "ENGINE": "django_prometheus.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            # A thread that waits for a worker gives its connection back, so few serve many.
            "pool": {
                "min_size": 1,
                "max_size": pool_size,
                "timeout": 4,
                "max_idle": 120,
                "reconnect_timeout": 5,  # then the next request tries; left alone, the pauses double to minutes
                "connection_class": BoundedConnection,
            },
            "connect_timeout": 3,
            # A server whose machine has gone away is noticed in half a minute, not in hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,  # ms
        },
    }
