"""Requests that pay a real service, and what is done to its processes and chains."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import requests

from tests.drawing import photo_png
from tests.payments.paying import Rig
from tests.payments.rig.chains import Chain
from tests.payments.wallet import mpp_header, x402_header
from tests.stack.service import Stack

PHOTO = photo_png()


OPEN = ("claimed", "working", "settling", "unknown")


PATIENCE_S = float(os.environ.get("RIG_PATIENCE_S", "600"))  # longer where the machine is busy with other things


def ask(service: Stack, headers: dict[str, str] | None = None) -> tuple[int, bytes, dict[str, str]]:
    """One request; 0 where the server died."""
    named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    try:
        answer = requests.post(
            f"{service.url}/v1/remove-background",
            data=PHOTO,
            headers={"Content-Type": "image/png", **named},
            timeout=120,
        )
    except requests.ConnectionError:
        return 0, b"", {}
    return answer.status_code, answer.content, {name.lower(): value for name, value in answer.headers.items()}


def insist(service: Stack, headers: dict[str, str]) -> tuple[bytes, list[int]]:
    """Repeat the very same payment until it gives the picture, as a client should. Never may a 402 come in between."""
    seen: list[int] = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        status, content, told = ask(service, headers)
        seen.append(status)
        if status == 200:
            return content, seen
        assert status in {0, 409, 500, 503}, (status, content)
        time.sleep(min(3.0, float(told.get("retry-after", 1))))
    raise AssertionError(f"no picture in {PATIENCE_S} s: {seen}")


def payment(rail: str, service: Stack) -> dict[str, str]:
    """A fresh payment for the photo, as request headers."""
    if rail == "x402":
        return x402_header()
    answer = requests.post(
        f"{service.url}/v1/remove-background", data=PHOTO, headers={"Content-Type": "image/png"}, timeout=PATIENCE_S
    )
    text = answer.headers["WWW-Authenticate"].partition(" ")[2]
    pairs = [part.partition("=") for part in text.split(", ")]
    return mpp_header({name: value.strip('"') for name, _, value in pairs})


def chain_of(rail: str, rig: Rig) -> Chain:
    return rig.x402 if rail == "x402" else rig.mpp


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process, or a process group where `pid` is negative, that hangs."""
    send = (lambda sig: os.killpg(-pid, sig)) if pid < 0 else (lambda sig: os.kill(pid, sig))
    send(signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            send(signal.SIGCONT)


@contextlib.contextmanager
def no_mining(chain: Chain) -> Iterator[None]:
    chain.pause_mining()
    try:
        yield
    finally:
        chain.resume_mining()
