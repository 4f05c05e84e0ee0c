"""HTTP to this machine: never through a proxy, whatever the environment says."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping

LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, headers: Mapping[str, str] | None = None, *, timeout_s: float = 5.0) -> tuple[int, bytes]:
    """Status and body of a GET; status 0 and the reason where nobody answers."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310
    try:
        with LOCAL.open(request, timeout=timeout_s) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (OSError, ValueError) as error:
        return 0, str(error).encode()
