"""The snippets of docs/payments.md are lines of the clients that really pay; its settings are settings."""

from __future__ import annotations

import re

from apps.stack.paths import ROOT

PAGE = (ROOT / "docs" / "payments.md").read_text()
CLIENTS = ROOT / "tests" / "payments" / "clients"


def test_every_line_of_a_snippet_stands_in_a_client_that_pays() -> None:
    lines = {line.strip() for file in CLIENTS.iterdir() if file.is_file() for line in file.read_text().splitlines()}
    snippets = re.findall(r"```(?:typescript|python)\n(.*?)```", PAGE, re.DOTALL)

    told = [line.strip() for snippet in snippets for line in snippet.splitlines() if not line.startswith(("//", "#"))]

    assert len(snippets) == 5
    assert [line for line in told if line not in lines] == []


def test_every_client_is_named_and_every_file_exists() -> None:
    named = set(re.findall(r"tests/payments/clients/(\w+\.(?:mjs|py))\)", PAGE))

    assert named == {"x402_v1.mjs", "x402_v2.mjs", "x402_httpx.py", "mppx.mjs", "mpp_python.py"}
    assert all((CLIENTS / name).is_file() for name in named)


def test_versions_are_those_that_are_tested() -> None:
    pins = (ROOT / "tests" / "payments" / "rig" / "package.json").read_text()
    pins += (ROOT / "requirements" / "rig.txt").read_text()

    for name, version in re.findall(r"(@?[\w/-]+)@(\d[\d.]+)", PAGE):
        assert f'"{name}": "{version}"' in pins
    for name, version in re.findall(r'pip install "(\w+)\[[\w,]+\]==([\d.]+)"', PAGE):
        assert re.search(rf"{name}\[[\w,]+\]=={re.escape(version)}", pins)


def test_every_setting_of_going_live_is_one() -> None:
    table = PAGE.partition("## Going live")[2].partition("\n\n1. ")[0]
    names = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", table)) - {"DJANGO_SETTINGS_MODULE"}
    known = (ROOT / "config" / "settings" / "base.py").read_text()

    assert len(names) >= 14
    assert [name for name in names if f'"{name}"' not in known] == []
