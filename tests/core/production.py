"""Settings with which production starts."""

from __future__ import annotations

OURS = "0x52908400098527886E0F7030069857D2E4169EE7"


GOOD = {
    "DJANGO_SETTINGS_MODULE": "config.settings.prod",
    "DJANGO_SECRET_KEY": "s3cret-" * 10,
    "ALLOWED_HOSTS": "pay.example.com",
    "METRICS_TOKEN": "metrics-" * 3,
    "SECRETS_KEY": "sealed-" * 5,
    "DATABASE_URL": "postgresql://keyline:pw@127.0.0.1:9/keyline",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "S3_ENDPOINT_URL": "http://127.0.0.1:9",
    "S3_BUCKET": "keyline",
    "S3_ACCESS_KEY_ID": "id",
    "S3_SECRET_ACCESS_KEY": "secret",
    "PAYMENT_RAILS": "x402,mpp",
    "X402_PAY_TO": OURS,
    "X402_FACILITATOR_URL": "https://facilitator.example.com",
    "MPP_RECIPIENT": OURS.lower(),
    "MPP_SECRET": "0123456789abcdef" * 2,
}
