"""What else happens when a job ends: services say it here, and it commits with the end or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from apps.core.models import Job, State

Hook: TypeAlias = "Callable[[Job, State], None]"

_hooks: list[Hook] = []


def register_ending(hook: Hook) -> None:
    """
    Let a service write rows of its own with the end of a job; called once, when the service starts.

    Args:
        hook: (job, final state) -> None, called once for every job that ends, inside the transaction that ends it. The job is
            as its worker or its owner had it: who sent it and what it is are right, its state, its charge and its outcome are
            not; the row has them. It raises nothing but the database's errors, and waits for nothing but its rows.
    """
    _hooks.append(hook)


def tell(job: Job, ended_as: State) -> None:
    """Call every hook; `lifecycle` does, inside the transaction that ends the job."""
    for hook in _hooks:
        hook(job, ended_as)
