"""Unit and API tests: real PostgreSQL, Valkey and S3 (tests/servers_plugin.py), quick limits."""

import ipaddress
import os
import secrets

# mypy reads these settings without a server beside it; nothing is signed with this one.
os.environ.setdefault("DJANGO_SECRET_KEY", secrets.token_hex(32))

from config.settings.base import *

SECRET_KEY = "test-only-not-a-secret"  # noqa: S105
# The test database is dropped while a pool would still hold connections to it.
DATABASES["default"] |= {"OPTIONS": {"connect_timeout": 3}}
PUBLIC_URL = "http://testserver"  # whatever a stack beside the tests calls itself
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
FETCH_ALLOW_CIDRS = [ipaddress.ip_network("127.0.0.0/8")]
CELERY_TASK_ALWAYS_EAGER = True  # run_next() runs where the wake-up is sent; tests/stack/ has workers as processes

SECRETS_KEYS = ["test-only-key-of-more-than-32-characters"]

# Rails are off unless a test turns them on, but their settings stand.
PAYMENT_RAILS = []
X402_NETWORK, MPP_CHAIN_ID = "base-sepolia", 42431
X402_PAY_TO = MPP_RECIPIENT = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
X402_FACILITATOR_URL, X402_FACILITATOR_KEY = "", ""
X402_RPC_URL = MPP_RPC_URL = "http://127.0.0.1:9"  # nobody listens there
MPP_SECRETS = ["test-only-secret-of-more-than-32-characters"]
