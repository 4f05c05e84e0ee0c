"""Reading what form of answer the client wants: the image or JSON, now or later."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.request import MediaType
from rest_framework.negotiation import BaseContentNegotiation

from apps.core.errors import AppError, ErrorCode

RESPOND_ASYNC = "respond-async"
_MOST_RANGES = 50
_LONGEST_RANGE = 200
_UNPACKED = frozenset(
    {"", "identity", "utf-8", "utf8"}
)  # the last two: a charset in the wrong place, which does no harm
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d+)\"?(?=$|[,;\s])", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async(?=$|[,;\s])", re.IGNORECASE)


class AlwaysJson(BaseContentNegotiation):
    """DRF's own negotiation would answer 406 to `Accept: image/png`; our views choose the form themselves."""

    def select_parser(self, request: Any, parsers: Iterable[Any]) -> Any:
        """The parser for the body's type. Raises AppError for another one, and for a compressed body."""
        refuse_compressed(request)
        media_type = media_type_of(request)
        parsers = list(parsers)
        parser = next((parser for parser in parsers if parser.media_type == media_type), None)
        if parser is None:
            raise other_type(request, taken=[parser.media_type for parser in parsers])
        return parser

    def select_renderer(self, request: Any, renderers: Iterable[Any], format_suffix: Any = None) -> Any:  # noqa: ARG002
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


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


def media_type_of(request: HttpRequest) -> str:
    """The body's type in lower case, without parameters; empty where none is stated."""
    return str(request.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()


def other_type(request: HttpRequest, *, taken: Sequence[str]) -> AppError:
    """The refusal of a body whose type is none of those that the address takes."""
    told = media_type_of(request)[:60]
    wanted = f"{', '.join(taken[:-1])} or {taken[-1]}" if taken[1:] else taken[0]
    stated = f"Content-Type says {told}" if told else "there is no Content-Type"
    return AppError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"Send {wanted}; {stated}.")


def refuse_compressed(request: HttpRequest) -> None:
    """Raises AppError(UNSUPPORTED_MEDIA_TYPE) that names the body's `Content-Encoding`, where it has one."""
    codings = [coding.strip() for coding in request.headers.get("Content-Encoding", "").split(",")]
    packed = [coding[:40] for coding in codings if coding.lower() not in _UNPACKED]
    if packed:
        raise AppError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"The body is compressed (Content-Encoding: {', '.join(packed[:5])}), which is not taken here: "
            "send it as it is, without that header.",
        )


def answer_form(
    request: HttpRequest, *, binary_default: bool, can_defer: bool = True, answer: str | None = None
) -> AnswerForm:
    """
    Read `Accept` and `Prefer` (RFC 7240); whatever they say, there is an answer and never a 406.

    Args:
        binary_default: what a client gets who states no wish.
        can_defer: whether the dialect knows a 202; otherwise `Prefer` is ignored, as the RFC allows.
        answer: `image` or `json`, where the request has the field of that name: it wins over `Accept`.
    """
    wanted = _wants_binary(request.headers.get("Accept", ""), default=binary_default)
    binary = wanted if answer is None else answer == "image"
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
        return AnswerForm(binary, 0.0, late_is_accepted=True, applied=RESPOND_ASYNC)
    return AnswerForm(binary, limit_s, late_is_accepted=not binary)


def _wants_binary(accept: str, *, default: bool) -> bool:
    """
    JSON where it is liked better than images and than anything; an image where one is named and liked no less than JSON.

    What is named says more than `*/*`, which many libraries add on their own: where that alone speaks for a form, or nothing
    does, the endpoint's default stands.
    """
    ranges = [read for text in accept.split(",")[:_MOST_RANGES] if (read := _range(text))]
    json = _most(ranges, "application", "json")
    image = _most(ranges, "image", "")
    anything = _most(ranges, "*", "") or 0.0
    if image == 0:
        return default if json == 0 else False
    if json == 0:
        return True
    if image is not None and image >= (anything if json is None else json):
        return True
    if json is not None and json > max(image or 0.0, anything):
        return False
    return default


def _range(text: str) -> tuple[str, str, float] | None:
    """A media range's main type, subtype and quality; None for what cannot be read, which counts as not said."""
    try:
        media = MediaType(text[:_LONGEST_RANGE].lower())
    except (ValueError, LookupError):  # a parameter in a charset that nobody knows
        return None
    main, sub = media.main_type.strip(), media.sub_type.strip()
    quality = media.quality if media.quality == media.quality else 1.0  # nan
    if main == "application" and sub.endswith("+json"):
        sub = "json"
    if main == "image" and quality == 0 and sub not in {"*", "png"}:
        return None  # a format that is no answer unless it is asked for: who refuses GIFs may well want the PNG
    return main, sub, quality


def _most(ranges: Sequence[tuple[str, str, float]], main: str, sub: str) -> float | None:
    """The quality of a type; of its whole family (`application/*`) where it is not named itself. None: not named at all."""
    of_main = [(named, quality) for family, named, quality in ranges if family == main]
    exact = [quality for named, quality in of_main if named == sub]
    family = [quality for named, quality in of_main if not sub or named == "*"]
    return max(exact or family, default=None)
