"""
Answers as a client got them, and what in them differs from call to call.

A sample is recorded once; a test compares a fresh answer with it, members in their order, after `masked`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
_PASSING = {
    "requestId": r"[0-9a-f-]{36}",
    "request_id": r"[0-9a-f-]{36}",
    "log_id": r"[0-9a-f-]{36}",
    "jobId": r"[0-9a-f-]{36}",
    "createdAt": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "expiresAt": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "sha256": r"[0-9a-f]{64}",
    "bytes": r"\d+",
    "processingMs": r"\d+",
    "stagesMs": r".*",
}
_URL = re.compile(
    r"https?://\S+/results/[0-9a-f]{32}/\d+/(\w+\.png)\?\S*X-Amz-Expires=86[34]\d\d&\S*X-Amz-Signature=[0-9a-f]{64}"
)


def same_as_sample(body: dict[str, Any], name: str) -> bool:
    """Whether an answer is the recorded one but for what passes; on a difference the assertion shows both."""
    recorded = json.loads((_FOLDER / f"{name}.json").read_text())
    assert json.dumps(masked(body), indent=1) == json.dumps(masked(recorded), indent=1)
    return True


def masked(value: Any, name: str = "") -> Any:
    """Replace ids, times and signatures by what kind of thing stands there."""
    if name in _PASSING and re.fullmatch(_PASSING[name], str(value)):
        return f"<{name}>"
    if isinstance(value, dict):
        return {key: masked(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    if isinstance(value, str) and (url := _URL.fullmatch(value)):
        return f"<presigned {url[1]}>"
    return value
