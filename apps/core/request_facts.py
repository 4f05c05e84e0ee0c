"""What a request gathers on its way, in one typed place: each fact is written once, by the stage that its line names."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import IO, cast

from django.http import HttpRequest
from rest_framework.request import Request

from apps.core.errors import ErrorCode
from apps.core.identity import Identity
from apps.core.limits import Quota

_KEY = "keyline.facts"


@dataclass
class RequestFacts:
    """
    Attributes:
        request_id: what clients and every line of the log call this request.
        began: `time.monotonic()` when it had come whole.
        body_file: the spooled body of an address that takes raw bytes (parsing).
        identity: who asks; None for nobody (authentication).
        quota: how often the caller may still ask (throttling).
        pays: a payment came with it (authentication of the paid address).
        has_paid: True when it moved money, False when it got a result for nothing (the paid address).
        unknown_fields: those that the address does not know (validation).
        idle_fields: those that have no effect beside the others (validation).
        job_id: of the job that it made or found (submission).
        credits: what this very answer has cost (the answer).
        billed_credits: what RapidAPI is to bill for it (the answer).
        error_code: what it is refused with (the answer).
    """

    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: float = field(default_factory=time.monotonic)
    body_file: IO[bytes] | None = None
    identity: Identity | None = None
    quota: Quota | None = None
    pays: bool = False
    has_paid: bool | None = None
    unknown_fields: tuple[str, ...] = ()
    idle_fields: tuple[str, ...] = ()
    job_id: str | None = None
    credits: int = 0
    billed_credits: int = 0
    error_code: ErrorCode | None = None


def facts_of(request: HttpRequest | Request) -> RequestFacts:
    """The request's facts; made when they are first asked for, which the first middleware does."""
    facts: RequestFacts | None = request.META.get(_KEY)
    if facts is None:
        facts = request.META[_KEY] = RequestFacts()
    return facts


def identity_of(request: Request) -> Identity:
    """Who asks, at an address that nobody may ask without a credential: its permissions have seen to that."""
    return cast(Identity, request.auth)
