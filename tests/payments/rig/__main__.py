"""
`make payments-rig`: the two chains, and the settings that point a service at them, until Ctrl-C.

    make payments-rig                       # in one terminal: prints what to set, and writes var/rig/rig.env
    set -a; . var/rig/rig.env; set +a; make run     # in another one
"""

from __future__ import annotations

import signal
import sys

from apps.stack.paths import ROOT
from tests.payments.rig.chains import (
    ADDRESSES,
    KEYS,
    MERCHANT,
    PAYER,
    SETTLER,
    RigError,
    install,
    start_mpp_chain,
    start_x402_chain,
)

PORTS = {"x402": 18545, "mpp": 18546}


def settings_for(x402_url: str, mpp_url: str) -> dict[str, str]:
    """What a service needs to take payments on the rig's chains, settling with a key of its own."""
    return {
        "PAYMENT_RAILS": "x402,mpp",
        "X402_NETWORK": "base-sepolia",
        "X402_PAY_TO": ADDRESSES[MERCHANT],
        "X402_FACILITATOR_KEY": KEYS[SETTLER],
        "X402_RPC_URL": x402_url,
        "MPP_CHAIN_ID": "42431",
        "MPP_RECIPIENT": ADDRESSES[MERCHANT],
        "MPP_RPC_URL": mpp_url,
    }


def main() -> int:
    try:
        install()
        chains = [start_x402_chain(PORTS["x402"]), start_mpp_chain(PORTS["mpp"])]
    except RigError as error:
        print(error, file=sys.stderr)
        return 1
    settings = settings_for(chains[0].url, chains[1].url) | {
        "PAYER_KEY": KEYS[PAYER], "X402_RIG_RPC_URL": chains[0].url, "MPP_RIG_RPC_URL": chains[1].url,
    }  # fmt: skip
    file = ROOT / "var" / "rig" / "rig.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    print(f"Two chains on loopback: {chains[0].url} (like Base Sepolia), {chains[1].url} (like Tempo's testnet).")
    print("Their accounts are test accounts that everybody knows. For a service that is paid on them:\n")
    print(f"    set -a; . {file.relative_to(ROOT)}; set +a; make run\n\nCtrl-C ends the chains.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        signal.pause()
    except KeyboardInterrupt:
        for chain in chains:
            chain.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
