"""What the import contracts can't see: what a process has loaded in the end, lazy imports included."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from apps.stack.paths import ROOT

HEAVY = {"torch", "onnxruntime", "openvino", "segment_anything", "cv2", "numpy", "pyvips", "ml.background.pipeline"}
WEB = """
import json, sys
from config.wsgi import application
from django.test import Client
for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/v1/version", "/metrics", "/v1/account", "/v1/nothing"):
    Client(raise_request_exception=False).get(path)
print(json.dumps(sorted(sys.modules)))
"""


IO = """
import json, sys
import config.io_worker
config.io_worker.app.finalize()
import django
django.setup()
from apps.core import errands, jobs, sweeper, tasks
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize("process", [WEB, IO], ids=["web", "io"])
def test_process_loads_neither_networks_nor_pixels(process: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", process], cwd=ROOT, capture_output=True, text=True, check=True
    )

    loaded = set(json.loads(done.stdout.splitlines()[-1]))

    assert not loaded & HEAVY


def test_import_contracts_hold() -> None:
    done = subprocess.run([f"{sys.prefix}/bin/lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
