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
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import IO, Any, cast

from django.core.exceptions import TooManyFieldsSent, TooManyFilesSent
from django.db import connection
from django.utils.datastructures import MultiValueDict
from rest_framework import parsers
from rest_framework.exceptions import ParseError

from apps.core.api.form_parts import FormParts, unreadable
from apps.core.errors import AppError, Detail, ErrorCode, Fault, invalid
from apps.core.intake.inline import LongText

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
        _refuse_long(parser_context)
        with _turn(parser_context):
            value = _loads(stream.read())
            if isinstance(value, dict):
                return {_checked(name): _kept(name, item) for name, item in value.items()}
            return value


class FormParser(parsers.MultiPartParser):
    """multipart/form-data; a body that was cut off is refused, not read as far as it goes."""

    def parse(  # DRF leaves media type and context open; it always gives both
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Context | None = None
    ) -> Any:
        parser_context = parser_context or {}
        parts = FormParts(stream, media_type or "", file_fields=parser_context["view"].file_fields)
        with _turn(parser_context):
            try:
                parsed = super().parse(cast(IO[bytes], parts), parts.content_type, parser_context)
            except ParseError as error:
                raise unreadable(_multipart_fault(str(error.detail))) from error
            except (TooManyFieldsSent, TooManyFilesSent) as error:
                raise unreadable("The form has too many parts; send the fields that are documented.") from error
            return parsers.DataAndFiles(_texts(parsed.data), parsed.files)


class UrlencodedParser(parsers.FormParser):
    """application/x-www-form-urlencoded, for the dialects that take it."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Context | None = None) -> Any:
        with _turn(parser_context):
            try:
                return _texts(super().parse(stream, media_type, parser_context))
            except TooManyFieldsSent as error:
                raise unreadable("The form has too many fields; send those that are documented.") from error


def _refuse_long(context: Context | None) -> None:
    """Where files may be far larger than any JSON (`json_cap_bytes` of a view): it is read into memory. Raises AppError."""
    most = getattr(context["view"], "json_cap_bytes", None) if context else None
    if context and most is not None and int(context["request"].META.get("CONTENT_LENGTH") or 0) > most:
        issue = f"A JSON body of at most {most // 1_048_576} MB is taken here; files are parts of a form."
        raise AppError(ErrorCode.PAYLOAD_TOO_LARGE, issue, details=[Detail("body", issue, Fault.FILE_TOO_LARGE)])


@contextlib.contextmanager
def _turn(context: Context | None) -> Iterator[None]:
    meta = context["request"].META if context else {}
    if int(meta.get("CONTENT_LENGTH") or 0) <= _BIG_BYTES:
        yield
        return
    connection.close()  # back to the pool: who waits here must not keep it from those who need only the rows
    with getattr(context["view"], "parse_gate", _gate) if context else _gate:
        yield


def _loads(body: bytes) -> Any:
    # Each value costs a hundred bytes and more, however short it is in the body: "[],[],[]" would fill the memory.
    if body.count(b",") + body.count(b"[") + body.count(b"{") > _MOST_VALUES:
        raise unreadable(f"The JSON body holds too many values; {_MOST_VALUES:,} are more than any request needs.")
    if body.startswith(b"--"):
        raise unreadable("The body is a form, and Content-Type says JSON; let your HTTP library set that header.")
    if (encoding := json.detect_encoding(body)) not in {"utf-8", "utf-8-sig"}:
        raise unreadable(f"The JSON body is not in UTF-8 but in {encoding[:6].upper()}; send it in UTF-8.")
    try:
        text = body.decode("utf-8-sig")
        del body
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise unreadable("The JSON body is not in UTF-8.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise unreadable(f"The body is not valid JSON: {error.msg} at {where}.") from error
    except RecursionError as error:
        raise unreadable("The JSON body is nested too deeply.") from error
    except ValueError as error:  # an integer of thousands of digits
        raise unreadable("The JSON body holds a number that is too long.") from error
    if _is_deeper(value, _DEEPEST):
        raise unreadable("The JSON body is nested too deeply.")
    return value


def _refuse_constant(name: str) -> None:
    raise unreadable(f"The body is not valid JSON: {name} is no JSON number.")


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two members of one name a parser takes whichever it likes: who pays should not have to guess which."""
    value = dict(members)
    if len(value) < len(members):
        twice = next(name for name, count in Counter(name for name, _ in members).items() if count > 1)
        raise invalid(_checked(twice)[:100], "This member is in the JSON body twice; send one.")
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner if isinstance(item, dict | list))


def _texts(form: MultiValueDict[str, str]) -> MultiValueDict[str, str]:
    """A form's texts, checked; Django puts U+FFFD where the bytes are no UTF-8."""
    for name, texts in form.lists():
        if "\ufffd" in name or any("\ufffd" in text for text in texts):
            raise invalid(
                name[:100], "This field is not text in UTF-8. A file's bytes belong into a part with a filename."
            )
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
        raise invalid(name, "This field is no text: it holds a NUL character, or half a surrogate pair.")
    return text


def _multipart_fault(words: str) -> str:
    if "base64" in words:
        return "A part says that it is base64 and is not."
    return "The form cannot be read: it is not valid multipart/form-data."
