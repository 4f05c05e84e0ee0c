"""One machine, embedded servers: what `make run` and `make start` use. It starts with the secret that they make, or not."""

import hashlib

from django.core.exceptions import ImproperlyConfigured

from config.env import env
from config.known_addresses import KNOWN_TO_EVERYBODY, MPP_TEST_RECIPIENT, X402_TEST_PAY_TO
from config.settings.base import *

# Sessions, and the secret of MPP's challenges below, hang on it: one that is written here would be everybody's.
if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured(
        "DJANGO_SECRET_KEY must be set to at least 32 random characters. `make start` makes one and keeps it in var/stack.env, "
        "where manage.py finds it for whoever started the stack; servers that you start yourself use config.settings.prod."
    )

# Both rails on, on the two test networks, to addresses that are everybody's. The 402 is written without asking anybody.
if "PAYMENT_RAILS" not in env.ENVIRON:
    PAYMENT_RAILS = ["x402", "mpp"]
if "X402_NETWORK" not in env.ENVIRON:
    X402_NETWORK = "base-sepolia"
if "MPP_CHAIN_ID" not in env.ENVIRON:
    MPP_CHAIN_ID = 42431
if X402_NETWORK == "base-sepolia":
    X402_PAY_TO = X402_PAY_TO or X402_TEST_PAY_TO
if MPP_CHAIN_ID == 42431:
    MPP_RECIPIENT = MPP_RECIPIENT or MPP_TEST_RECIPIENT
_RAILS = {*PAYMENT_RAILS, *(_rail for _offered in PAYMENT_RAIL_HOSTS.values() for _rail in _offered)}
for _name, _address, _is_real in (
    ("X402_PAY_TO", X402_PAY_TO, "x402" in _RAILS and X402_NETWORK == "base"),
    ("MPP_RECIPIENT", MPP_RECIPIENT, "mpp" in _RAILS and MPP_CHAIN_ID == 4217),
):
    if _is_real and (not _address or _address.lower() in KNOWN_TO_EVERYBODY):
        raise ImproperlyConfigured(f"{_name} must be an address of yours on a network whose money is real.")
X402_FACILITATOR_URL = X402_FACILITATOR_URL or ("" if X402_FACILITATOR_KEY else "https://x402.org/facilitator")
SECRETS_KEYS = SECRETS_KEYS or [hashlib.sha256(f"seals:{SECRET_KEY}".encode()).hexdigest()]
MPP_SECRETS = MPP_SECRETS or [hashlib.sha256(f"mpp:{SECRET_KEY}".encode()).hexdigest()]
