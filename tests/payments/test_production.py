"""Production with rails on: it refuses to start with what is everybody's, by a sentence that says what to set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from apps.stack.paths import ROOT
from config.known_addresses import KNOWN_TO_EVERYBODY, MPP_TEST_RECIPIENT, X402_TEST_PAY_TO
from tests.core.production import GOOD, OURS
from tests.payments.rig.chains import ADDRESSES, KEYS, SETTLER

REFUSED = {
    "x402 to the test address": ({"X402_PAY_TO": X402_TEST_PAY_TO}, "X402_PAY_TO must be an address of yours"),
    "MPP to the test address": ({"MPP_RECIPIENT": MPP_TEST_RECIPIENT}, "MPP_RECIPIENT must be an address of yours"),
    "another test address, lower case": (
        {"X402_PAY_TO": ADDRESSES[1].lower()},
        "X402_PAY_TO must be an address of yours",
    ),
    "no address": ({"X402_PAY_TO": ""}, "X402_PAY_TO must be an address of yours"),
    "the test address of a host name": (
        {"PAYMENT_RAILS": "", "PAYMENT_RAIL_HOSTS": "pay.example.com=x402", "X402_PAY_TO": X402_TEST_PAY_TO},
        "X402_PAY_TO must be an address of yours",
    ),
    "a slip of the pen": ({"X402_PAY_TO": OURS.replace("E0F", "e0F")}, "X402_PAY_TO has a typing error"),
    "no address at all": ({"X402_PAY_TO": "0x1234"}, "X402_PAY_TO must be an address: 0x and 40 hex digits"),
    "nobody to settle": ({"X402_FACILITATOR_URL": ""}, "x402 needs X402_FACILITATOR_URL, or X402_FACILITATOR_KEY"),
    "a test key to settle with": (
        {"X402_FACILITATOR_KEY": KEYS[SETTLER]},
        "X402_FACILITATOR_KEY must be a key of yours",
    ),
    "every host": ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS must name the hosts"),
    "every host beside one": ({"ALLOWED_HOSTS": "*, pay.example.com"}, "ALLOWED_HOSTS must name the hosts"),
    "a star in a host": ({"ALLOWED_HOSTS": "pay.example.com,*.example.com"}, "ALLOWED_HOSTS must name the hosts"),
    "a dot for a host": ({"ALLOWED_HOSTS": "."}, "ALLOWED_HOSTS must name the hosts"),
    "no host": ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS must name the hosts"),
    "a short secret": ({"MPP_SECRET": "short"}, "MPP_SECRET must be set to at least 32 random characters"),
    "a chain of its own without a node": ({"MPP_CHAIN_ID": "1234"}, "MPP_RPC_URL must be set"),
}


def start(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Start Django as a process of its own, with nothing of this one's settings; it prints where it is paid."""
    code = (
        "import django; django.setup(); from django.conf import settings; import config.urls;"
        "print('started', settings.X402_PAY_TO, settings.MPP_RECIPIENT, settings.PAYMENT_RAILS)"
    )
    environ = {"PATH": os.environ["PATH"], "KEYLINE_VAR_DIR": str(folder)} | GOOD | changes
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=600
    )


def test_production_starts_with_addresses_of_its_own(tmp_path: Path) -> None:
    done = start(tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["started", OURS, OURS.lower()]


def test_production_starts_without_rails_and_without_addresses(tmp_path: Path) -> None:
    done = start(tmp_path, PAYMENT_RAILS="", X402_PAY_TO="", MPP_RECIPIENT="", MPP_SECRET="", X402_FACILITATOR_URL="")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", REFUSED)
def test_production_refuses_to_start_with(name: str, tmp_path: Path) -> None:
    changes, sentence = REFUSED[name]

    done = start(tmp_path, **changes)

    assert done.returncode != 0
    assert f"ImproperlyConfigured: {sentence}" in done.stderr.splitlines()[-1]


def test_every_account_of_the_rig_is_known() -> None:
    assert {address.lower() for address in ADDRESSES} <= KNOWN_TO_EVERYBODY
