"""Whose something is: an account, in one of its two modes."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Mode(StrEnum):
    """Which of an account's two worlds something belongs to: what a sandbox key makes, live keys never see, nor it theirs."""

    LIVE = "live"
    SANDBOX = "sandbox"


class Owner(Protocol):
    """An account in one of its modes. An Identity is one, and so is a job."""

    @property
    def account_id(self) -> int: ...

    @property
    def mode(self) -> str: ...
