"""One machine, embedded servers: what `make run` and `make start` use."""

import hashlib

from config.env import env
from config.settings.base import *
from config.test_addresses import MPP_TEST_RECIPIENT, X402_TEST_PAY_TO

SECRET_KEY = SECRET_KEY or "development-only-not-a-secret"

# Both rails on, on the two test networks, to addresses that are everybody's. The 402 is written without asking anybody.
if "PAYMENT_RAILS" not in env.ENVIRON:
    PAYMENT_RAILS = ["x402", "mpp"]
if "X402_NETWORK" not in env.ENVIRON:
    X402_NETWORK = "base-sepolia"
if "MPP_CHAIN_ID" not in env.ENVIRON:
    MPP_CHAIN_ID = 42431
X402_PAY_TO = X402_PAY_TO or X402_TEST_PAY_TO
MPP_RECIPIENT = MPP_RECIPIENT or MPP_TEST_RECIPIENT
X402_FACILITATOR_URL = X402_FACILITATOR_URL or ("" if X402_FACILITATOR_KEY else "https://x402.org/facilitator")
MPP_SECRETS = MPP_SECRETS or [hashlib.sha256(f"mpp:{SECRET_KEY}".encode()).hexdigest()]
