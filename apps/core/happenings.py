"""
What customers may want to hear of: services announce it, and whoever carries news (webhooks) writes it down.

An announcement commits with what happened, or not at all. Services know nothing of each other:

    happenings.register_teller("batch.finished", tell=batch_data)              # in BatchesConfig.ready()
    happenings.announce(Happening("batch.finished", account_id=..., mode=..., subject_id=str(batch.id)))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from apps.core.answers import Part

Teller: TypeAlias = "Callable[[str], Part | None]"


@dataclass(frozen=True)
class Happening:
    """
    One piece of news.

    Args:
        type: as customers subscribe to it, such as `batch.finished`.
        account_id: whose news it is, with `mode`.
        subject_id: what it is about; news about one subject arrive in the order of their making.
        operation: which one it is about, where it is about one: a key whose scopes leave it out hears nothing.
        data: what is told, as it stands now (JSON values); None where the type's teller says it anew at every try.
    """

    type: str
    account_id: int
    mode: str
    subject_id: str
    operation: str | None = None
    data: dict[str, Any] | None = None


Listener: TypeAlias = Callable[[Happening], None]

_listeners: list[Listener] = []
_tellers: dict[str, Teller] = {}


def register_listener(listen: Listener) -> None:
    """Called once by whoever carries news, when it starts; `listen` only writes rows, in the transaction of what happened."""
    _listeners.append(listen)


def register_teller(kind: str, tell: Teller) -> None:
    """
    Say what is told of a type of news; called once by the service that announces it, when it starts.

    Args:
        tell: subject's id -> what GET shows of it, with fresh links; None where its owner deleted it.
    """
    _tellers[kind] = tell


def announce(happening: Happening) -> None:
    """Tell everybody who listens. Call it inside the transaction of what happened."""
    for listen in _listeners:
        listen(happening)


def told_of(kind: str, subject_id: str) -> Part | None:
    """What the type's teller says of a subject now; None where there is nothing to tell any more."""
    tell = _tellers.get(kind)
    return tell(subject_id) if tell else None
