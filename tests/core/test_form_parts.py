"""Forms as clients really send them, cut into the parts that Django's parser then reads."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from django.http.multipartparser import MultiPartParser
from django.test import override_settings

from apps.core.api.form_parts import FormParts
from apps.core.errors import AppError
from tests.drawing import photo_png

KIND = "multipart/form-data; boundary=XX"
CODING = "Content-Transfer-Encoding"
BYTES = bytes(range(256)) * 3 + b"\r\n--X\r\n--XXY\r\n-- XX\n--XX -"  # what looks like a boundary and is none


class Drip(io.BytesIO):
    """A body that comes in pieces of `size` bytes."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._size)


def form(*parts: bytes, end: bytes = b"--XX--\r\n", line: bytes = b"--XX\r\n") -> bytes:
    return b"".join(line + part + b"\r\n" for part in parts) + end


def part(disposition: str, data: bytes = b"v", more: str = "") -> bytes:
    return f"Content-Disposition: {disposition}\r\n{more}\r\n".encode() + data


@override_settings(FILE_UPLOAD_HANDLERS=["django.core.files.uploadhandler.MemoryFileUploadHandler"])
def read(body: bytes, kind: str = KIND, *, piece: int = 64 * 1024) -> tuple[dict[str, Any], dict[str, Any]]:
    """Texts and files by name; a file as its name and its bytes."""
    from django.core.files.uploadhandler import TemporaryFileUploadHandler

    parts = FormParts(Drip(body, piece), kind, file_fields=("image",))
    meta = {"CONTENT_TYPE": parts.content_type, "CONTENT_LENGTH": str(len(body))}
    texts, files = MultiPartParser(meta, parts, [TemporaryFileUploadHandler()]).parse()
    return dict(texts.items()), {name: (file.name, file.read()) for name, file in files.items()}


@pytest.mark.parametrize("piece", [1, 7, 64 * 1024])
def test_bytes_arrive_as_they_were_whatever_looks_like_a_boundary(piece: int) -> None:
    body = form(part('form-data; name="image"; filename="a.png"', BYTES), part('form-data; name="a"', b"\xc3\xa9"))

    assert read(body, piece=piece) == ({"a": "\u00e9"}, {"image": ("a.png", BYTES)})


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="image"',
        'form-data; name="image"; filename=""',
        "form-data; name=image; filename=",
        "form-data; name=image",
        'Form-Data; Name="image"; FileName=""',
        'form-data;name="image";filename="/"',
        'form-data; name="image"; filename=".."',
        'form-data; filename=""; name="image"',
        "form-data; name=\"image\"; filename*=nobody''x",
    ],
)
def test_a_file_needs_no_filename(disposition: str) -> None:
    assert read(form(part(disposition, BYTES))) == ({}, {"image": ("file", BYTES)})


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("form-data; name=\"image\"; filename*=UTF-8''caf%C3%A9.jpg", "caf\u00e9.jpg"),
        ('form-data; name="image"; filename="caf\u00e9.jpg"', "caf\u00e9.jpg"),
        ('form-data; name="image"; filename="C:\\photos\\a.jpg"', "a.jpg"),
        ('form-data; name="image"; filename="../../a.jpg"', "a.jpg"),
        ('form-data; name="image"; filename="a;b.jpg"', "a;b.jpg"),
        ("form-data; name=image; filename=a.jpg", "a.jpg"),
        ('form-data; name="image"; filename="' + "x" * 900 + '.jpg"', "x" * 196 + ".jpg"),
    ],
)
def test_a_filename_is_kept_without_folders(disposition: str, name: str) -> None:
    assert read(form(part(disposition))) == ({}, {"image": (name, b"v")})


@pytest.mark.parametrize("piece", [1, 7, 64 * 1024])
@pytest.mark.parametrize("data", [photo_png(), b"\x89PN\x1a", "caf\u00e9".encode()])
def test_a_file_is_told_from_text_however_its_bytes_arrive(data: bytes, piece: int) -> None:
    texts, files = read(form(part("form-data; name=image", data)), piece=piece)

    assert (texts, files) == (({"image": "caf\u00e9"}, {}) if data[:3] == b"caf" else ({}, {"image": ("file", data)}))


def test_empty_part_is_no_file_and_other_names_stay_text() -> None:
    chosen_none = form(part('form-data; name="image"; filename=""', b""))
    no_line = b'--XX\r\nContent-Disposition: form-data; name="image"\r\n\r\n--XX--\r\n'
    text = form(part('form-data; name="format"; filename=""', b"webp"))

    assert read(chosen_none) == read(no_line) == ({"image": ""}, {})
    assert read(text) == ({"format": "webp"}, {})


@pytest.mark.parametrize(
    "kind",
    [
        "Multipart/Form-Data; Boundary=XX",
        'MULTIPART/FORM-DATA; BOUNDARY="XX"',
        "multipart/form-data;boundary=XX ",
        "multipart/form-data; charset=utf-8; boundary=XX",
        "multipart/form-data; boundary=XX; charset=utf-8",
    ],
)
def test_content_type_as_it_may_be_written(kind: str) -> None:
    assert read(form(part('form-data; name="a"')), kind) == ({"a": "v"}, {})


@pytest.mark.parametrize("boundary", ["a b", "a;b", "(a)'+_,-./:=?", "-" * 70, "=_x"])
def test_boundary_in_quotes(boundary: str) -> None:
    body = form(part('form-data; name="a"', b"v"), line=f"--{boundary}\r\n".encode(), end=f"--{boundary}--".encode())

    assert read(body, f'multipart/form-data; boundary="{boundary}"') == ({"a": "v"}, {})


@pytest.mark.parametrize(
    ("line", "end", "before"),
    [
        (b"--XX  \r\n", b"--XX--  \r\n", b""),
        (b"--XX\t\r\n", b"--XX--", b"a preamble\r\n"),
        (b"--XX\r\n", b"--XX--\r\n" + b"an epilogue " * 200, b"\r\n"),
        (b"--XX\r\n", b"--XX--\r\n--XX\r\nan epilogue", b""),
    ],
)
def test_what_stands_around_the_parts_is_left_alone(line: bytes, end: bytes, before: bytes) -> None:
    assert read(before + form(part('form-data; name="a"'), line=line, end=end)) == ({"a": "v"}, {})


@pytest.mark.parametrize("coding", ["base64", "BASE64", "Base64 "])
def test_base64_parts_are_decoded(coding: str) -> None:
    import base64

    more = f"Content-Transfer-Encoding: {coding}\r\n"
    body = form(part("form-data; name=image", base64.encodebytes(BYTES), more))

    assert read(body) == ({}, {"image": ("file", BYTES)})


@pytest.mark.parametrize("coding", ["8bit", "7bit", "Binary"])
def test_parts_that_say_they_are_as_they_are(coding: str) -> None:
    body = form(part("form-data; name=image", BYTES, f"Content-Transfer-Encoding: {coding}\r\n"))

    assert read(body) == ({}, {"image": ("file", BYTES)})


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (form(part("form-data; name=a")).replace(b"\r\n", b"\n"), KIND, "LF alone"),
        (form(part("form-data; name=a")).replace(b"\r\n", b"\n", 4), KIND, "LF alone"),
        (form(part("form-data; name=a")).replace(b"\r\n", b"\n", 1), KIND, "LF alone"),
        (form(b"Content-Disposition: form-data; name=a\n\nv"), KIND, "LF alone"),
        (form(b"Content-Disposition: form-data; name=a\n\n" + BYTES * 9), KIND, "LF alone"),
        (form(part("form-data; name=a")).replace(b"\r\n--XX--", b"\n--XX--"), KIND, "LF alone"),
        (form(part("form-data")), KIND, "no name"),
        (form(part('form-data; name=""')), KIND, "no name"),
        (form(part('form-data; name=" "')), KIND, "no name"),
        (form(b"Content-Type: image/png\r\n\r\nv"), KIND, "no name"),
        (form(b"\r\nv"), KIND, "no name"),
        (form(part("form-data; name=image", b"=FF", f"{CODING}: Quoted-Printable\r\n")), KIND, "quoted-printable"),
        (form(part("form-data; name=image", b"v", f"{CODING}: x-uuencode\r\n")), KIND, "x-uuencode"),
        (form(part("form-data; name=" + "n" * 5000)), KIND, "headers are too long"),
        (form(part("form-data; name=a"), end=b""), KIND, "cut off"),
        (form(part("form-data; name=a"), end=b"--XX"), KIND, "cut off"),
        (b"--XX\r\n", KIND, "cut off"),
        (b"--XX\r\nContent-Dis", KIND, "cut off"),
        (b"no form at all" * 99, KIND, "cut off"),
        (form(part("form-data; name=a")), "multipart/form-data; boundary=YY", "boundary is another"),
        (form(part("form-data; name=a")), "multipart/form-data", "no usable boundary"),
        (form(part("form-data; name=a")), 'multipart/form-data; boundary=""', "no usable boundary"),
        (form(part("form-data; name=a")), "multipart/form-data; boundary=\u00e9", "no usable boundary"),
        (form(part("form-data; name=a")), "multipart/form-data; boundary*=nobody''XX", "no usable boundary"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("piece", [1, 64 * 1024])
def test_what_cannot_be_read_gets_its_sentence(body: bytes, kind: str, told: str, piece: int) -> None:
    with pytest.raises(AppError) as refusal:
        read(body, kind, piece=piece)

    (detail,) = refusal.value.details
    assert detail.field == "body"
    assert told in detail.issue


def test_false_boundaries_cost_neither_memory_nor_time() -> None:
    import tracemalloc

    body = form(part("form-data; name=image", b"\r\n--XXq" * 2_000_000 + b"\r\n--XX -" * 1_000_000))
    parts = FormParts(io.BytesIO(body), KIND, file_fields=("image",))
    tracemalloc.start()
    began = time.thread_time()

    total = sum(len(piece) for piece in iter(parts.read, b""))

    took, peak = time.thread_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total > 20_000_000
    assert took < 10  # seconds of CPU; a quadratic one takes minutes
    assert peak < 2_000_000
