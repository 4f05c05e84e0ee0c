"""schemathesis against a running service: no 5xx, and no answer that the OpenAPI document does not know."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.service import Stack

pytestmark = pytest.mark.stack

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "ignored_auth",
)
# Where the contract has a 502 for an address of the client's that cannot be fetched.
CONFIG = f"""
[checks]
enabled = false
{"".join(f"{name}.enabled = true" + chr(10) for name in CHECKS)}
[[operations]]
include-path = ["/api/ext/v1/submit_watermark_removal", "/api/cutout/general/apparel-background-removal"]
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "502"]

# remove.bg's errors are 400, a wrong method too.
[[operations]]
include-path = ["/v1.0/removebg", "/v1.0/account"]
checks.unsupported_method.enabled = false
"""
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "8")


def test_every_answer_is_in_the_document(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{stack.url}/openapi.json?bodies=all",
        *("--header", f"X-Api-Key: {stack.api_key}"),
        *("--phases", "examples,coverage,fuzzing,stateful"),
        *("--max-examples", EXAMPLES),
        *("--seed", "1"),
        *("--request-timeout", "120"),
        *("--suppress-health-check", "all"),
        "--no-color",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=1800)

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
