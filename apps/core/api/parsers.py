"""
Bodies to fields, in bounded memory and with errors that a client can act on.

The body lies whole in memory or on disk already (front.py), so parsing waits for nobody and a gate may stand before it: a few
large bodies at a time. What comes out is small, however many requests then wait for their image: files are on disk, and so
are long texts (an image in base64).
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.core.exceptions import TooManyFieldsSent, TooManyFilesSent
from django.db import connection
from django.utils.datastructures import MultiValueDict
from rest_framework import parsers
from rest_framework.exceptions import ParseError

from apps.core.errors import AppError, Fault, invalid
from apps.core.inline import LongText

_BIG_BYTES = 1_048_576
_BIG_AT_ONCE = 2
_LONG_CHARS = 64 * 1024
_MOST_VALUES = 20_000  # of a JSON body; 100 URLs with their commas need a tenth
_DEEPEST = 32
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")  # PostgreSQL stores neither NUL nor half a surrogate pair
_gate = threading.BoundedSemaphore(_BIG_AT_ONCE)

Context = Mapping[str, Any]


class JsonParser(parsers.BaseParser):
    """JSON in UTF-8, as RFC 8259 has it; a byte order mark is forgiven."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Context | None = None) -> Any:  # noqa: ARG002
        with _turn(parser_context):
            value = _loads(stream.read())
            if isinstance(value, dict):
                return {_checked(name): _kept(name, item) for name, item in value.items()}
            return value


class FormParser(parsers.MultiPartParser):
    """multipart/form-data; a body that was cut off is refused, not read as far as it goes."""

    def parse(self, stream: IO[bytes], media_type: str, parser_context: Context) -> parsers.DataAndFiles:
        tail = _Tail(stream)
        with _turn(parser_context):
            try:
                parsed = super().parse(tail, media_type, parser_context)
            except ParseError as error:
                raise _unreadable(_multipart_fault(str(error.detail))) from error
            except (TooManyFieldsSent, TooManyFilesSent) as error:
                raise _unreadable("The form has too many parts; send the fields that are documented.") from error
            if not tail.ends_a_form(media_type):
                raise _unreadable(
                    "The form does not end with the boundary that Content-Type names: it was cut off, or the boundary is another."
                )
            return parsers.DataAndFiles(_texts(parsed.data), parsed.files)


class UrlencodedParser(parsers.FormParser):
    """application/x-www-form-urlencoded, for the dialects that take it."""

    def parse(self, stream: IO[bytes], media_type: str, parser_context: Context) -> MultiValueDict:
        with _turn(parser_context):
            try:
                return _texts(super().parse(stream, media_type, parser_context))
            except TooManyFieldsSent as error:
                raise _unreadable("The form has too many fields; send those that are documented.") from error


class _Tail:
    """A stream that remembers its last bytes."""

    _KEPT = 512  # a boundary has 70 characters at most; some clients append line breaks

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._last = b""

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._last = (self._last + data[-self._KEPT :])[-self._KEPT :]
        return data

    def ends_a_form(self, media_type: str) -> bool:
        found = re.search(r'boundary="?([^";]+)"?', media_type)
        return found is not None and f"--{found[1].strip()}--".encode() in self._last


@contextlib.contextmanager
def _turn(context: Context | None) -> Iterator[None]:
    meta = context["request"].META if context else {}
    if int(meta.get("CONTENT_LENGTH") or 0) <= _BIG_BYTES:
        yield
        return
    connection.close()  # back to the pool: who waits here must not keep it from those who need only the rows
    with _gate:
        yield


def _loads(body: bytes) -> Any:
    # Each value costs a hundred bytes and more, however short it is in the body: "[],[],[]" would fill the memory.
    if body.count(b",") + body.count(b"[") + body.count(b"{") > _MOST_VALUES:
        raise _unreadable(f"The JSON body holds too many values; {_MOST_VALUES:,} are more than any request needs.")
    try:
        text = body.decode("utf-8-sig")
        del body
        value = json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise _unreadable("The JSON body is not in UTF-8.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _unreadable(f"The body is not valid JSON: {error.msg} at {where}.") from error
    except RecursionError as error:
        raise _unreadable("The JSON body is nested too deeply.") from error
    except ValueError as error:  # an integer of thousands of digits
        raise _unreadable("The JSON body holds a number that is too long.") from error
    if _is_deeper(value, _DEEPEST):
        raise _unreadable("The JSON body is nested too deeply.")
    return value


def _refuse_constant(name: str) -> None:
    raise _unreadable(f"The body is not valid JSON: {name} is no JSON number.")


def _is_deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner if isinstance(item, dict | list))


def _texts(form: MultiValueDict) -> MultiValueDict:
    return MultiValueDict({_checked(name): [_kept(name, text) for text in texts] for name, texts in form.lists()})


def _kept(name: str, value: Any) -> Any:
    """The value, checked in all its depths; a long text moves to disk."""
    if isinstance(value, str):
        _checked(value, name)
        return LongText(value) if len(value) > _LONG_CHARS else value
    if isinstance(value, list):
        return [_kept(name, item) for item in value]
    if isinstance(value, dict):
        return {_checked(key, name): _kept(name, item) for key, item in value.items()}
    return value


def _checked(text: str, name: str = "body") -> str:
    if _NO_TEXT.search(text):
        raise invalid(name, "A NUL character or half a surrogate pair is no text; leave it out.")
    return text


def _unreadable(issue: str) -> AppError:
    return invalid("body", issue, Fault.UNREADABLE_FILE)


def _multipart_fault(words: str) -> str:
    if "boundary" in words:
        return "Content-Type names no usable boundary for the form; let your HTTP library set that header."
    if "base64" in words:
        return "A part says that it is base64 and is not."
    if "header" in words:
        return "A part's headers are too long."
    return "The form cannot be read: it is not valid multipart/form-data."
