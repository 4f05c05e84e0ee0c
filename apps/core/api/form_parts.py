"""
A multipart/form-data body as clients really send it, rewritten into the one that Django's parser reads rightly.

Django takes a part for a file by its filename alone, and drops one whose filename is empty; it looks for the boundary in the
middle of lines; it leaves out parts without a name. So the body is cut into parts here, each gets a plain header and a
boundary that no file can hold, and what nobody could read gets a sentence. Nothing is kept: the bytes flow through.
"""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Collection, Iterator
from typing import IO

from django.utils.http import parse_header_parameters

from apps.core.errors import AppError, Fault, invalid
from apps.core.pictures.foreign_files import is_text

_CHUNK_BYTES = 64 * 1024
_LONGEST_HEADERS = 4 * 1024
_LONGEST_PADDING = 200  # blanks behind a boundary
_LONGEST_NAME = 200
_TELLING_BYTES = 512
_ENCODED = re.compile(r";[^;=]*\*\s*=[^;]*")
_AS_IT_IS = frozenset({"", "7bit", "8bit", "binary"})


class FormParts:
    """
    A stream for Django's MultiPartParser; `content_type` names the boundary that it will find.

    Args:
        stream: the body.
        content_type: the request's; its boundary must be usable.
        file_fields: the names whose parts are files where they hold no text, whatever their header says.

    Raises:
        AppError: VALIDATION_ERROR on `body`, from the constructor and from `read`.
    """

    def __init__(self, stream: IO[bytes], content_type: str, *, file_fields: Collection[str]) -> None:
        self._stream = stream
        self._needle = b"\n--" + _boundary(content_type)
        self._line = re.compile(re.escape(self._needle) + rb"[ \t]{0,%d}(\r?\n|--)" % _LONGEST_PADDING)
        self._file_fields = file_fields
        self._buffer = b"\r\n"  # the first boundary has no line before it
        self._is_last = False
        boundary = secrets.token_hex(24)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._delimiter = f"--{boundary}".encode()
        self._rewritten = self._parts()

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - a little more or less is as good
        return next(self._rewritten, b"")

    def _parts(self) -> Iterator[bytes]:
        for _ in self._data():
            pass  # the preamble, which is for nobody
        while not self._is_last:
            name, filename, is_base64 = _described(self._headers())
            data = self._data()
            first = next(data, b"")
            if not filename and name in self._file_fields:
                while len(first) < _TELLING_BYTES and (more := next(data, b"")):
                    first += more
                # Text has a sentence of its own: it is an address or base64 in the wrong field, never one of our images.
                filename = "file" if is_base64 or not is_text(first[:_TELLING_BYTES]) else ""
            yield self._delimiter + _header(name, filename, is_base64=is_base64) + first
            yield from data
            yield b"\r\n"
        yield self._delimiter + b"--\r\n"

    def _headers(self) -> bytes:
        """The lines up to the empty one. Raises AppError."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0 and len(self._buffer) < _LONGEST_HEADERS and self._fill():
            pass
        head = self._buffer[:end] if end >= 0 else self._buffer
        if len(head) > _LONGEST_HEADERS:
            head, end = head[:_LONGEST_HEADERS], -1
        if re.search(rb"(?<!\r)\n", head):
            raise _bare_lines()
        if end < 0:
            raise unreadable("A part's headers are too long.") if len(head) == _LONGEST_HEADERS else cut_off()
        self._buffer = self._buffer[end + 2 :]
        return head

    def _data(self) -> Iterator[bytes]:
        """
        The bytes up to the next boundary, which is taken from the buffer but for its line's end. Raises AppError.

        The buffer begins with the line's end before them: it belongs to the boundary where there is nothing in between.
        """
        start = 2
        unsure = len(self._needle) + _LONGEST_PADDING + 8  # bytes that may be a boundary with its line not yet whole
        while (line := self._line.search(self._buffer) if self._needle in self._buffer else None) is None:
            if len(self._buffer) > start + unsure:
                yield self._buffer[start:-unsure]
                self._buffer, start = self._buffer[-unsure:], 0
            if not self._fill():
                raise cut_off()
        self._is_last = line[1] == b"--"
        if self._buffer[line.start() - 1 : line.start()] != b"\r" or line[1] == b"\n":
            raise _bare_lines()
        data, self._buffer = self._buffer[start : line.start() - 1], self._buffer[line.start(1) :]
        if data:
            yield data

    def _fill(self) -> bool:
        chunk = self._stream.read(_CHUNK_BYTES)
        self._buffer += chunk
        return bool(chunk)


def cut_off() -> AppError:
    return unreadable(
        "The form does not end with the boundary that Content-Type names: it was cut off, or the boundary is another."
    )


def unreadable(issue: str) -> AppError:
    """The refusal of a body that cannot be read."""
    return invalid("body", issue, Fault.UNREADABLE_FILE)


def _bare_lines() -> AppError:
    return unreadable(
        "The form's lines end with LF alone; multipart/form-data needs CR LF around boundaries and headers."
    )


def _boundary(content_type: str) -> bytes:
    boundary = _header_parameters(content_type)[1].get("boundary", "")
    if not re.fullmatch(r"[ -~]{0,199}[!-~]", boundary):
        raise unreadable("Content-Type names no usable boundary for the form; let your HTTP library set that header.")
    return boundary.encode("ascii")


def _header_parameters(text: str) -> tuple[str, dict[str, str]]:
    """A header's value and its parameters, names in lower case; what cannot be read is left out."""
    try:
        value, parameters = parse_header_parameters(text)
    except (ValueError, LookupError):  # a parameter in a charset that nobody knows
        value, parameters = parse_header_parameters(_ENCODED.sub("", text))
    return value, {name.lower(): told for name, told in parameters.items()}


def _described(head: bytes) -> tuple[str, str, bool]:
    """A part's name, its filename or "", and whether it is in base64. Raises AppError."""
    name, filename, coding = "", "", ""
    for line in head.split(b"\r\n"):
        told, parameters = _header_parameters(line.decode(errors="replace"))
        header, _, value = told.partition(":")
        header = header.strip()
        if header == "content-disposition":
            name, filename = parameters.get("name", "").strip(), parameters.get("filename", "")
        elif header == "content-transfer-encoding":
            coding = value.strip()
    if not name:
        raise unreadable('A part has no name that can be read; each needs Content-Disposition: form-data; name="...".')
    if coding not in {*_AS_IT_IS, "base64"}:
        raise unreadable(f"A part is sent as {coding[:20]} (Content-Transfer-Encoding); send its bytes as they are.")
    return name[:_LONGEST_NAME], _tail(filename), coding == "base64"


def _tail(filename: str) -> str:
    """The filename without folders; a name for a file that has none but those."""
    plain = "".join(each for each in re.split(r"[/\\]", html.unescape(filename))[-1] if each.isprintable())
    return "file" if filename and plain in {"", ".", ".."} else plain[-_LONGEST_NAME:]


def _header(name: str, filename: str, *, is_base64: bool) -> bytes:
    told = f'; filename="{_quoted(filename)}"' if filename else ""
    coding = "\r\nContent-Transfer-Encoding: base64" if is_base64 else ""
    return f'\r\nContent-Disposition: form-data; name="{_quoted(name)}"{told}{coding}\r\n\r\n'.encode()


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
