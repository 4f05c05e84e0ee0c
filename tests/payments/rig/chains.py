"""
Two chains on loopback, from npm's anvil: one like Base Sepolia with a dollar at USDC's own address, one in Tempo's mode.

Accounts are those of the mnemonic "test test ... junk": 0 settles, 1 pays, 2 is paid, 3 and on are spare payers.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from apps.payments.signatures import call_data
from apps.stack.paths import ROOT
from apps.stack.ports import free_ports

HERE = Path(__file__).parent
LOCK = ROOT / "requirements" / "rig.lock"
NODE_MODULES = ROOT / "var" / "rig" / "node_modules"
PYTHON = ROOT / "var" / "rig" / "python" / "bin" / "python"
USDC = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
PATH_USD = "0x20c0000000000000000000000000000000000000"
X402_CHAIN, MPP_CHAIN = 84532, 42431
START_MICROS = 1_000_000_000
KEYS = (
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
)
ADDRESSES = (
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
)
SETTLER, PAYER, MERCHANT, OTHER = range(4)


class RigError(Exception):
    """The rig does not come up; the sentence says what to do."""


@dataclass
class Chain:
    """One running anvil."""

    url: str
    token: str
    process: subprocess.Popen[bytes]

    def rpc(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        said = requests.post(self.url, json=body, timeout=30).json()
        if "error" in said:
            raise RigError(f"{method}: {said['error']}")
        return said["result"]

    def balance(self, address: str) -> int:
        """Millionths of the chain's dollar."""
        return int(
            self.rpc("eth_call", {"to": self.token, "data": call_data("balanceOf(address)", address)}, "latest"), 16
        )

    def transactions(self) -> int:
        """Transactions in all blocks; pending ones not counted."""
        height = int(self.rpc("eth_blockNumber"), 16)
        return sum(
            len(self.rpc("eth_getBlockByNumber", hex(number), False)["transactions"]) for number in range(height + 1)
        )

    def pause_mining(self) -> None:
        self.rpc("evm_setAutomine", False)

    def resume_mining(self) -> None:
        self.rpc("evm_setAutomine", True)
        self.rpc("evm_mine")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def why_not() -> str:
    """What this machine lacks for the rig, as a sentence; nothing where it can have one."""
    if platform.machine() != "x86_64":
        return "the rig's anvil is made for Linux on x86-64 alone"
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "Node.js 20 or later with npm is not installed"
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout  # as v20.20.2
    if not said.startswith("v") or int(said[1:].partition(".")[0]) < 20:
        return f"Node.js 20 or later is needed, and here is {said.strip() or 'one that does not start'}"
    return ""


def install() -> None:
    """npm's and PyPI's packages of the rig, apart from the service's own; once for each set of pins."""
    folder = NODE_MODULES.parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:  # several test sessions may begin at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(folder)


def _install(folder: Path) -> None:
    pins = (HERE / "package.json").read_text() + LOCK.read_text()
    mark = folder / ".installed"
    if mark.is_file() and mark.read_text() == pins:
        return
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_text((HERE / name).read_text())
    quiet = ["-qq", "--disable-pip-version-check", "--no-input"]
    commands = [
        ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", "--legacy-peer-deps"],
        [sys.executable, "-m", "venv", str(folder / "python")],
        [str(PYTHON), "-m", "pip", "install", *quiet, "--require-hashes", "-r", str(LOCK)],
    ]
    try:
        for command in commands:
            subprocess.run(command, cwd=folder, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RigError("The rig needs Node.js 20 or later with npm, and the registries of npm and PyPI.") from error
    mark.write_text(pins)


def start_x402_chain(port: int | None = None) -> Chain:
    """Base Sepolia's stand-in, with the rig's dollar where USDC is; every account has a thousand."""
    chain = _start("x402", ["--chain-id", str(X402_CHAIN)], USDC, port)
    chain.rpc("anvil_setCode", USDC, json.loads((HERE / "token" / "RigDollar.json").read_text())["runtime"])
    for address in ADDRESSES[1:]:
        if address != ADDRESSES[MERCHANT]:
            mint(chain, address, START_MICROS)
    return chain


def start_mpp_chain(port: int | None = None) -> Chain:
    """Tempo's stand-in; its pathUSD is a part of the chain, and every account has plenty."""
    return _start("mpp", ["--network", "tempo", "--hardfork", "T4", "--chain-id", str(MPP_CHAIN)], PATH_USD, port)


def mint(chain: Chain, address: str, micros: int) -> None:
    """Rig dollars out of nothing."""
    data = call_data("mint(address,uint256)", address, micros)
    chain.rpc("eth_sendTransaction", {"from": ADDRESSES[SETTLER], "to": USDC, "data": data})


def _start(name: str, options: list[str], token: str, port: int | None) -> Chain:
    if platform.machine() != "x86_64":
        raise RigError("The rig's anvil is pinned for Linux on x86-64.")
    port = port or free_ports(1)[0]
    program = NODE_MODULES / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
    (ROOT / "var" / "log").mkdir(parents=True, exist_ok=True)
    log = (ROOT / "var" / "log" / f"rig-{name}-{port}.log").open("wb")
    argv = [str(program), "--host", "127.0.0.1", "--port", str(port), "--silent", *options]
    from apps.parent_death import die_with_parent

    parent = os.getpid()
    process = subprocess.Popen(
        argv,
        stdout=log,
        stderr=log,
        preexec_fn=lambda: die_with_parent(parent_pid=parent),  # noqa: PLW1509
    )
    chain = Chain(f"http://127.0.0.1:{port}", token, process)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            chain.rpc("eth_chainId")
        except (requests.RequestException, ValueError):
            time.sleep(0.1)
        else:
            return chain
    chain.stop()
    raise RigError(f"anvil for {name} does not answer on port {port}")
