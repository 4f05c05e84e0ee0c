"""Production refuses to start with what is only good for one developer's machine, and says which setting it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apps.stack.paths import ROOT
from tests.core.production import GOOD

NO_RAILS = {"PAYMENT_RAILS": "", "X402_PAY_TO": "", "X402_FACILITATOR_URL": "", "MPP_RECIPIENT": "", "MPP_SECRET": ""}
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "no secret": ({"DJANGO_SECRET_KEY": ""}, "DJANGO_SECRET_KEY"),
    "a short secret": ({"DJANGO_SECRET_KEY": "x" * 49}, "DJANGO_SECRET_KEY"),
    "the inside open to clients' URLs": ({"FETCH_ALLOW_CIDRS": "10.0.0.0/8"}, "FETCH_ALLOW_CIDRS"),
    "loopback open to clients' URLs": ({"FETCH_ALLOW_CIDRS": "127.0.0.1/32"}, "FETCH_ALLOW_CIDRS"),
    "any host": ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
    "no host": ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS"),
    "a guessable gateway's secret": ({"KEYLINE_RAPIDAPI_SECRET": "x" * 15}, "KEYLINE_RAPIDAPI_SECRET"),
    "a guessable second secret": (
        {"KEYLINE_RAPIDAPI_SECRET": "x" * 40, "KEYLINE_RAPIDAPI_SECRET_PREVIOUS": "y"},
        "KEYLINE_RAPIDAPI_SECRET",
    ),
    "nothing to seal secrets with": ({"SECRETS_KEY": ""}, "SECRETS_KEY"),
    "a guessable key for secrets": ({"SECRETS_KEY": "x" * 31}, "SECRETS_KEY"),
    "a guessable second key for secrets": ({"SECRETS_KEY": "x" * 40, "SECRETS_KEY_PREVIOUS": "y"}, "SECRETS_KEY"),
    "figures for everybody": ({"METRICS_TOKEN": ""}, "METRICS_TOKEN"),
    "a guessable token": ({"METRICS_TOKEN": "x" * 15}, "METRICS_TOKEN"),
    "anybody's word for encryption": ({"BEHIND_TLS_PROXY": "1", "TRUSTED_PROXIES": ""}, "TRUSTED_PROXIES"),
    "credentials that end with a session": ({"AWS_SESSION_TOKEN": "token"}, "presigned URLs must live 24 h"),
    "no key to the store": ({"S3_ACCESS_KEY_ID": ""}, "S3_ACCESS_KEY_ID"),
    "no secret to the store": ({"S3_SECRET_ACCESS_KEY": ""}, "S3_SECRET_ACCESS_KEY"),
    "a database without the locks that money needs": ({"DATABASE_URL": "sqlite:///db"}, "DATABASE_URL"),
}
ASKED = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "DEBUG", "ALLOWED_HOSTS", "FETCH_ALLOW_CIDRS",
         "SECURE_SSL_REDIRECT", "SECURE_REDIRECT_EXEMPT", "SECURE_HSTS_SECONDS", "AUTH_PASSWORD_VALIDATORS",
         "SECURE_PROXY_SSL_HEADER", "SESSION_COOKIE_AGE", "SESSION_COOKIE_SAMESITE", "CSRF_COOKIE_HTTPONLY")  # fmt: skip


def load(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Import the production settings in a process of their own, with nothing of this one's; they are printed as JSON."""
    code = (
        f"import json, config.settings.prod as it; print(json.dumps({{name: getattr(it, name) for name in {ASKED}}}))"
    )
    environ = {"PATH": os.environ["PATH"], "KEYLINE_VAR_DIR": str(folder)} | GOOD | NO_RAILS | changes
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a good configuration becomes."""
    done = load(tmp_path_factory.mktemp("var"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_production_starts_with_its_own_secrets_and_hosts(started: dict[str, Any]) -> None:
    assert (started["ALLOWED_HOSTS"], started["FETCH_ALLOW_CIDRS"]) == (["pay.example.com"], [])
    assert started["DEBUG"] is False


@pytest.mark.parametrize("name", ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"])
def test_admins_cookies_travel_encrypted_only(name: str, started: dict[str, Any]) -> None:
    assert started[name] is True


def test_production_is_encrypted_from_the_first_visit_on(started: dict[str, Any]) -> None:
    assert started["SECURE_SSL_REDIRECT"] is True
    assert started["SECURE_HSTS_SECONDS"] >= 365 * 24 * 3600
    assert started["SECURE_REDIRECT_EXEMPT"] == ["^healthz$", "^readyz$", "^metrics$"]
    assert started["SECURE_PROXY_SSL_HEADER"] is None  # until a proxy of ours is named


def test_administrators_have_good_passwords_and_short_sessions(started: dict[str, Any]) -> None:
    assert len(started["AUTH_PASSWORD_VALIDATORS"]) == 4
    assert started["SESSION_COOKIE_AGE"] <= 12 * 3600
    assert (started["SESSION_COOKIE_SAMESITE"], started["CSRF_COOKIE_HTTPONLY"]) == ("Strict", True)


@pytest.mark.parametrize("name", REFUSED)
def test_production_refuses_to_start_with(name: str, tmp_path: Path) -> None:
    changes, told = REFUSED[name]

    done = load(tmp_path, **changes)

    assert done.returncode != 0
    assert "ImproperlyConfigured: " in done.stderr.splitlines()[-1]
    assert told in done.stderr.splitlines()[-1]
