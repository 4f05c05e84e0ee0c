"""Unit and API tests: real PostgreSQL, Valkey and S3 (tests/servers_plugin.py), quick limits."""

import ipaddress

from config.settings.base import *

SECRET_KEY = "test-only-not-a-secret"  # noqa: S105
# The test database is dropped while a pool would still hold connections to it.
DATABASES["default"] |= {"OPTIONS": {"connect_timeout": 3}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
FETCH_ALLOW_CIDRS = [ipaddress.ip_network("127.0.0.0/8")]
CELERY_TASK_ALWAYS_EAGER = True  # run_next() runs where the wake-up is sent; tests/stack/ has workers as processes
