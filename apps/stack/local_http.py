"""HTTP to this machine: never through a proxy, whatever the environment says."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping

LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float = 5.0,
    context: ssl.SSLContext | None = None,
) -> tuple[int, bytes]:
    """Status and body of a GET, for https with the certificates of `context`; status 0 and the reason where nobody answers."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310
    opener = LOCAL if context is None else _with_certificates(context)
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (OSError, ValueError) as error:
        return 0, str(error).encode()


def _with_certificates(context: ssl.SSLContext) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
