"""What lies in the store, and for how long."""

from __future__ import annotations

import re
import urllib.error
import urllib.request

from apps.core.storage import result_store


def stored_below(prefix: str) -> list[str]:
    listing = result_store()._call("list_objects_v2", Prefix=prefix)
    return [item["Key"] for item in listing.get("Contents", [])]


def lives_s(url: str) -> int:
    """Seconds that a link is signed for."""
    found = re.search(r"[?&]X-Amz-Expires=(\d+)&", url)
    assert found, url
    return int(found[1])


def is_gone(url: str) -> bool:
    try:
        urllib.request.urlopen(url).close()
    except urllib.error.HTTPError as error:
        return error.code == 404
    return False
