"""
What the stack will run with: addresses, ports and secrets, settled before anything starts.

A value set from outside wins. Else the previous run's value stays, else a new one is made. A part whose
URL comes from outside is somebody else's server and is not started here.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from apps.stack.errors import StackError
from apps.stack.ports import free_ports, is_free

PARTS = {"valkey": "REDIS_URL", "s3": "S3_ENDPOINT_URL", "postgres": "DATABASE_URL"}
S3_PORT_NAMES = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
    "admin.port",
)
DEFAULT_WEB_PORT = 8000
_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Plan:
    """The settled environment, and sentences about what was not as wished."""

    env: dict[str, str]
    notes: tuple[str, ...] = ()


class _Planner:
    def __init__(self, outside: Mapping[str, str], previous: Mapping[str, str]) -> None:
        self._outside = outside
        self._previous = previous
        self._was_embedded = set(previous.get("KEYLINE_EMBEDDED", "").split(","))
        self._taken: set[int] = set()
        self.notes: list[str] = []

    def secret(self, name: str, *, default: str | None = None) -> str:
        return self._outside.get(name) or self._previous.get(name) or default or secrets.token_hex(24)

    def is_external(self, part: str) -> bool:
        """A URL from outside is somebody else's, unless it is our own, sourced from stack.env."""
        url = self._outside.get(PARTS[part])
        return bool(url) and not (part in self._was_embedded and url == self._previous.get(PARTS[part]))

    def previous_url(self, part: str) -> str:
        return self._previous.get(PARTS[part], "") if part in self._was_embedded else ""

    def port(self, wished: int | None) -> int:
        """The wished port if it is free, else a free one."""
        if wished is not None and wished not in self._taken and is_free(wished):
            port = wished
        else:
            port = free_ports(1, avoid=frozenset(self._taken))[0]
        self._taken.add(port)
        return port

    def s3_ports(self) -> str:
        """SeaweedFS's inner ports; the last one's neighbour 10,000 above is used too."""
        before = [int(word) for word in self._previous.get("KEYLINE_S3_PORTS", "").split(",") if word]
        usable = len(before) == len(S3_PORT_NAMES) and all(map(is_free, [*before, before[-1] + 10_000]))
        if not usable:
            before = free_ports(len(S3_PORT_NAMES), avoid=frozenset(self._taken), offset=10_000)
        self._taken.update(before)
        return ",".join(map(str, before))

    def web(self) -> tuple[str, int]:
        """KEYLINE_URL, and the port to listen on."""
        url = self._outside.get("KEYLINE_URL", "")
        asked = self._outside.get("KEYLINE_PORT") or (urlsplit(url).port if _is_loopback(url) else None)
        if asked:
            port = _port_number(str(asked))
            if not is_free(port):
                raise StackError(f"Port {port} is taken: stop what listens there, or set another KEYLINE_PORT.")
            self._taken.add(port)
        else:
            wished = int(self._previous.get("KEYLINE_PORT") or DEFAULT_WEB_PORT)
            port = self.port(wished)
            if port != wished:
                self.notes.append(f"Port {wished} is taken, so the service listens on {port}.")
        return url or f"http://{_HOST}:{port}", port


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "localhost"}


def _port_number(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise StackError(f"KEYLINE_PORT={text} is no port: use a number from 1 to 65535.")
    return int(text)


def plan(outside: Mapping[str, str], previous: Mapping[str, str]) -> Plan:
    """
    Settle every value of `stack.env`.

    Args:
        outside: the environment of the one who starts the stack.
        previous: the last `stack.env`, or nothing.

    Raises:
        StackError: a port that was asked for by name is taken or is no port.
    """
    planner = _Planner(outside, previous)
    url, web_port = planner.web()
    env = {
        "KEYLINE_URL": url,
        "KEYLINE_PORT": str(web_port),
        "KEYLINE_API_KEY": outside.get("KEYLINE_API_KEY") or previous.get("KEYLINE_API_KEY", ""),
        "KEYLINE_RAPIDAPI_SECRET": planner.secret("KEYLINE_RAPIDAPI_SECRET"),
        "KEYLINE_ADMIN_USER": planner.secret("KEYLINE_ADMIN_USER", default="admin"),
        "KEYLINE_ADMIN_PASSWORD": planner.secret("KEYLINE_ADMIN_PASSWORD"),
        "DJANGO_SECRET_KEY": planner.secret("DJANGO_SECRET_KEY", default=secrets.token_hex(32)),
        "S3_BUCKET": planner.secret("S3_BUCKET", default="keyline"),
        "S3_ACCESS_KEY_ID": planner.secret("S3_ACCESS_KEY_ID"),
        "S3_SECRET_ACCESS_KEY": planner.secret("S3_SECRET_ACCESS_KEY"),
    }
    embedded = [part for part in PARTS if not planner.is_external(part)]
    for part, variable in PARTS.items():
        before = planner.previous_url(part)
        if part not in embedded:
            env[variable] = outside[variable]
        else:
            port, secret = planner.port(urlsplit(before).port), urlsplit(before).password
            env[variable] = _embedded_url(part, port, secret=secret or secrets.token_hex(24))
    if "s3" in embedded:
        env["KEYLINE_S3_PORTS"] = planner.s3_ports()
    env["KEYLINE_EMBEDDED"] = ",".join(embedded)
    return Plan(env, tuple(planner.notes))


def _embedded_url(part: str, port: int, *, secret: str) -> str:
    return {
        "valkey": f"redis://:{secret}@{_HOST}:{port}/0",
        "s3": f"http://{_HOST}:{port}",
        "postgres": f"postgresql://keyline:{secret}@{_HOST}:{port}/keyline",
    }[part]
