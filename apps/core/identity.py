"""Who calls, as far as the core needs to know; `accounts` and `payments` make these from credentials."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.limits import Limits
from apps.core.owner import Mode


@dataclass(frozen=True)
class Identity:
    """
    A caller whose credential was right.

    Args:
        account_id: the account's row.
        account_name: for people.
        plan: the plan's name, in capitals.
        limits: what the plan allows.
        funding: slug of the Funding that pays for this caller's jobs.
        rate_key: whose requests are counted together.
        scopes: operations that the key may call; None for all.
        mode: in the sandbox results are free and marked, and nothing of the live mode is seen.
        key_prefix: the key's first characters, for people; empty where the credential is no key of ours.
    """

    account_id: int
    account_name: str
    plan: str
    limits: Limits
    funding: str
    rate_key: str
    scopes: frozenset[str] | None = None
    mode: Mode = Mode.LIVE
    key_prefix: str = ""

    def may_use(self, operation_slug: str) -> bool:
        """Whether the credential's scopes include the operation."""
        return self.scopes is None or operation_slug in self.scopes
