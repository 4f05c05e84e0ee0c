"""Reading what form of answer the client wants: the image or JSON, now or later."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.negotiation import BaseContentNegotiation

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d+)\"?(?=$|[,;\s])", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async(?=$|[,;\s])", re.IGNORECASE)


class AlwaysJson(BaseContentNegotiation):
    """DRF's own negotiation would answer 406 to `Accept: image/png`; our views choose the form themselves."""

    def select_parser(self, request: Any, parsers: Sequence[Any]) -> Any:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(self, request: Any, renderers: Sequence[Any], format_suffix: Any = None) -> Any:  # noqa: ARG002
        return renderers[0], renderers[0].media_type


@dataclass(frozen=True)
class AnswerForm:
    """
    How to answer.

    Args:
        binary: the image itself, else JSON.
        wait_s: seconds to wait for the job; 0 answers at once.
        late_is_accepted: a job that is not done in time is answered with 202 and goes on.
        applied: value of `Preference-Applied`, "" when the client stated no preference.
    """

    binary: bool
    wait_s: float
    late_is_accepted: bool
    applied: str = ""


def answer_form(request: HttpRequest, *, binary_default: bool, can_defer: bool = True) -> AnswerForm:
    """
    Read `Accept` and `Prefer` (RFC 7240); whatever they say, there is an answer and never a 406.

    Args:
        binary_default: what a client gets who states no wish.
        can_defer: whether the dialect knows a 202; otherwise `Prefer` is ignored, as the RFC allows.
    """
    binary = _wants_binary(request.headers.get("Accept", ""), default=binary_default)
    prefer = request.headers.get("Prefer", "")
    limit_s = float(settings.SYNC_LIMIT_S)
    if not can_defer:
        return AnswerForm(binary, limit_s, late_is_accepted=False)
    wait = _WAIT.search(prefer)
    respond_async = bool(_ASYNC.search(prefer))
    if wait:
        wait_s = min(float(wait[1]), limit_s)
        applied = f"wait={wait_s:.0f}" + (", respond-async" if respond_async else "")
        return AnswerForm(binary, wait_s, late_is_accepted=True, applied=applied)
    if respond_async:
        return AnswerForm(binary, 0.0, late_is_accepted=True, applied="respond-async")
    return AnswerForm(binary, limit_s, late_is_accepted=not binary)


def _wants_binary(accept: str, *, default: bool) -> bool:
    ranges = []
    for place, part in enumerate(accept.split(",")[:50]):
        media, *parameters = [piece.strip().lower() for piece in part.split(";")]
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if quality > 0:
            ranges.append((-quality, place, media))
    for _, _, media in sorted(ranges):
        if media in {"application/json", "application/*"} or media.endswith("+json"):
            return False
        if media.startswith("image/"):
            return True
        if media == "*/*":
            return default
    return default
