"""Production's settings: what is only good for one machine stops the start."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_FILE = "config/settings/prod.py"
_REFUSED = "tests/core/test_production.py::test_production_refuses_to_start_with"
_PAID = "tests/payments/test_production.py::test_production_refuses_to_start_with"
_COOKIES = "tests/core/test_production.py::test_admins_cookies_travel_encrypted_only"

MUTANTS = (
    Mutant("a short secret", _FILE, "if len(SECRET_KEY) < 50:", "if len(SECRET_KEY) < 10:", _REFUSED),
    Mutant("the inside open to clients' URLs", _FILE, "if FETCH_ALLOW_CIDRS:", "if False:", _REFUSED),
    Mutant("figures for everybody", _FILE, "if len(METRICS_TOKEN) < 16:", "if False:", _REFUSED),
    Mutant(
        "any host", _FILE, 'any("*" in _host or not _host.strip(".") for _host in ALLOWED_HOSTS)', "False", _REFUSED
    ),
    Mutant("no host", _FILE, "if not ALLOWED_HOSTS or any(", "if any(", _REFUSED),
    Mutant(
        "a guessable gateway's secret",
        _FILE,
        "if any(len(secret) < 16 for secret in RAPIDAPI_SECRETS):",
        "if False:",
        _REFUSED,
    ),
    Mutant("credentials that end with a session", _FILE, 'if env.str("AWS_SESSION_TOKEN", ""):', "if False:", _REFUSED),
    Mutant(
        "no secret to the store",
        _FILE,
        "if not (S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY):",
        "if not S3_ACCESS_KEY_ID:",
        _REFUSED,
    ),
    Mutant(
        "a session's cookie in the clear",
        _FILE,
        "SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True",
        "CSRF_COOKIE_SECURE = True",
        _COOKIES,
    ),
    Mutant(
        "a form's cookie in the clear",
        _FILE,
        "SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True",
        "SESSION_COOKIE_SECURE = True",
        _COOKIES,
    ),
    Mutant(
        "pay to everybody's address",
        _FILE,
        "if not _address or _address.lower() in KNOWN_TO_EVERYBODY:",
        "if not _address:",
        _PAID,
    ),
    Mutant(
        "settle with everybody's key",
        _FILE,
        "if X402_FACILITATOR_KEY and address_of(X402_FACILITATOR_KEY) in KNOWN_TO_EVERYBODY:",
        "if False:",
        _PAID,
    ),
    Mutant("a short secret of MPP's", _FILE, "any(len(secret) < 32 for secret in MPP_SECRETS)", "False", _PAID),
    Mutant(
        "money in a database without locks",
        "config/env.py",
        'if parts.scheme not in {"postgres", "postgresql"}:',
        "if False:",
        _REFUSED,
    ),
)
