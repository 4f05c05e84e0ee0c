"""What payments are tried with: the chains, the clients, a facilitator that says what it is told."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apps.payments import mpp_desk, rails, reconciler, settlement, x402_desk
from apps.payments.facilitator import Settlement
from tests.payments.fakes import FakeFacilitator
from tests.payments.rig import chains
from tests.payments.rig.chains import KEYS, PAYER, Chain

HERE = Path(__file__).parent


@dataclass
class Rig:
    """Both chains."""

    x402: Chain
    mpp: Chain


def forget_settings() -> None:
    """What was made from the settings is made anew."""
    for made in (rails.x402_rail, rails.mpp_rail, settlement.facilitator, reconciler._node):
        made.cache_clear()
    mpp_desk._node.clear()


def settled_by(monkeypatch: pytest.MonkeyPatch, *outcomes: Settlement) -> FakeFacilitator:
    fake = FakeFacilitator(list(outcomes))
    monkeypatch.setattr(x402_desk, "facilitator", lambda: fake)
    return fake


def run_client(name: str, rig: Rig, *arguments: str, key: str = KEYS[PAYER]) -> dict[str, Any]:
    """Run one of the real clients as a process of its own. Returns what it printed."""
    script = HERE / "clients" / name
    command = ["node"] if name.endswith(".mjs") else [str(chains.PYTHON), "-W", "ignore"]
    if name.endswith(".mjs"):  # it finds its packages beside itself
        (chains.NODE_MODULES.parent / name).write_bytes(script.read_bytes())
        script = chains.NODE_MODULES.parent / name
    env = {**os.environ, "PAYER_KEY": key, "X402_RIG_RPC_URL": rig.x402.url, "MPP_RIG_RPC_URL": rig.mpp.url}
    done = subprocess.run(
        [*command, str(script), *arguments], env=env, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
