"""A chain's node over JSON-RPC: what it says, what it refuses, and when it does not answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import requests

_TIMEOUT_S = 8.0
_POLL_FIRST_S = 0.05
_POLL_LAST_S = 0.5


class NodeAwayError(Exception):
    """No answer, or none that makes sense: whatever was asked may or may not have happened."""


class RefusedError(Exception):
    """The node's own error for a call: it was understood, and not done."""


@contextlib.contextmanager
def sense() -> Iterator[None]:
    """Read what a node has said; what makes none is as good as no answer. Raises NodeAwayError."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise NodeAwayError(f"no sense: {type(error).__name__}") from error


class Node:
    """
    One node.

    Every method raises NodeAwayError when it does not answer and RefusedError when it answers with an error.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def call(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call."""
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            answer = self._session.post(self._url, json=body, timeout=_TIMEOUT_S, allow_redirects=False)
            said = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise NodeAwayError(f"{method}: {type(error).__name__}") from error
        if not isinstance(said, dict):
            raise NodeAwayError(f"{method}: no JSON-RPC")
        if said.get("error"):
            raise RefusedError(str(said["error"].get("message", said["error"]))[:300])
        if "result" not in said:
            raise NodeAwayError(f"{method}: HTTP {answer.status_code}")
        return said["result"]

    def number(self, method: str, *params: Any) -> int:
        """A call whose answer is a number."""
        with sense():
            return int(self.call(method, *params), 16)

    def view(self, contract: str, data: str) -> int:
        """Call a contract's view; its one word as a number, 0 for an empty answer."""
        said = self.call("eth_call", {"to": contract, "data": data}, "latest")
        with sense():
            return int(said, 16) if len(said) > 2 else 0

    def receipt(self, transaction: str) -> dict[str, Any] | None:
        """The receipt of a mined transaction, None before."""
        found = self.call("eth_getTransactionReceipt", transaction)
        return found if isinstance(found, dict) and found.get("blockNumber") else None

    def wait_for_receipt(self, transaction: str, *, timeout_s: float) -> dict[str, Any] | None:
        """Ask until it is mined, None after the time; a node that is away for a moment is asked again."""
        deadline, pause_s = time.monotonic() + timeout_s, _POLL_FIRST_S
        while True:
            try:
                if (found := self.receipt(transaction)) is not None:
                    return found
            except RefusedError:
                pass  # some nodes refuse what they do not know yet
            except NodeAwayError:
                if time.monotonic() > deadline:
                    raise
            if time.monotonic() > deadline:
                return None
            time.sleep(pause_s)
            pause_s = min(_POLL_LAST_S, pause_s * 1.5)
