"""The settings of development start with a secret that the stack or an operator made, never with one that all can read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from apps.stack.paths import ROOT
from apps.stack.ports import free_ports
from config.known_addresses import X402_TEST_PAY_TO

BIN = Path(sys.executable).parent
SENTENCE = "DJANGO_SECRET_KEY must be set to at least 32 random characters"
SECRET = {"DJANGO_SECRET_KEY": "5ecret" * 8}
SETTINGS = "from django.conf import settings; print(settings.SECRET_KEY)"


def start(folder: Path, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """One of our processes, with nothing of this one's settings and no stack's folder."""
    bare = {"PATH": os.environ["PATH"], "KEYLINE_VAR_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "config.settings.dev"}
    return subprocess.run(
        command, cwd=ROOT, env=bare | environ, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "manage.py", "runserver", "--noreload", str(free_ports(1)[0])),
        (sys.executable, "manage.py", "sweep"),
        (str(BIN / "granian"), "--interface", "rsgi", "--port", str(free_ports(1)[0]), "config.rsgi:application"),
        (str(BIN / "celery"), "-A", "config.inference_worker", "worker", "--pool", "threads"),
        (str(BIN / "celery"), "-A", "config.io_worker", "worker", "--pool", "threads"),
    ],
    ids=["runserver", "sweeper", "web", "worker", "io"],
)
def test_no_process_starts_without_a_secret(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = start(tmp_path, *command)

    assert done.returncode != 0
    assert SENTENCE in done.stdout + done.stderr


@pytest.mark.parametrize("short", ["", "development-only-not-a-secret", "x" * 31])
def test_a_secret_that_is_none_is_refused(tmp_path: Path, short: str) -> None:
    done = start(tmp_path, sys.executable, "-c", SETTINGS, DJANGO_SECRET_KEY=short)

    assert done.returncode != 0
    assert f"ImproperlyConfigured: {SENTENCE}" in done.stderr.splitlines()[-1]


def test_the_secret_of_a_stacks_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "stack.env").write_text(f"DJANGO_SECRET_KEY={SECRET['DJANGO_SECRET_KEY']}\n")

    assert start(tmp_path, sys.executable, "-c", SETTINGS).stdout.strip() == SECRET["DJANGO_SECRET_KEY"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"X402_NETWORK": "base"}, "X402_PAY_TO"),
        ({"X402_NETWORK": "base", "X402_PAY_TO": X402_TEST_PAY_TO.lower()}, "X402_PAY_TO"),
        ({"MPP_CHAIN_ID": "4217"}, "MPP_RECIPIENT"),
        ({"PAYMENT_RAILS": "", "PAYMENT_RAIL_HOSTS": "pay.example.com=mpp", "MPP_CHAIN_ID": "4217"}, "MPP_RECIPIENT"),
    ],
)
def test_real_money_never_goes_to_an_address_that_is_everybodys(
    tmp_path: Path, changes: dict[str, str], name: str
) -> None:
    done = start(tmp_path, sys.executable, "-c", SETTINGS, **SECRET | changes)

    assert done.returncode != 0
    assert f"ImproperlyConfigured: {name} must be an address of yours" in done.stderr.splitlines()[-1]


def test_the_test_networks_need_no_address(tmp_path: Path) -> None:
    assert start(tmp_path, sys.executable, "-c", SETTINGS, **SECRET).returncode == 0
