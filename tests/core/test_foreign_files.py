"""What people send by mistake is called by its name."""

from __future__ import annotations

import io

import pytest

from apps.core.errors import AppError
from apps.core.pictures.formats import ImageFormat
from apps.core.pictures.inspection import ImageLimits, inspect

LIMITS = ImageLimits(frozenset(ImageFormat), max_bytes=1000, max_width_px=99, max_height_px=99, max_pixels=9999)


def box(major: bytes, *compatible: bytes) -> bytes:
    """The first box of ISO's media container."""
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body + b"\0\0\0\x08mdat"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (box(b"heic", b"mif1", b"heic"), "a HEIC"),
        (box(b"heix", b"mif1"), "a HEIC"),
        (box(b"hevc", b"msf1", b"hevc"), "a HEIC"),
        (box(b"mif1", b"mif1", b"heic"), "a HEIC"),
        (box(b"msf1", b"msf1", b"hevc"), "a HEIC"),
        (box(b"mif1", b"avif", b"miaf"), "an AVIF"),
        (box(b"avif", b"mif1"), "an AVIF"),
        (box(b"avis", b"avif"), "an AVIF"),
        (box(b"mif1", b"mif1", b"miaf"), "a HEIF"),
        (box(b"msf1"), "a HEIF"),
        (box(b"crx ", b"crx "), "a camera's raw file (CR3)"),
        (box(b"isom", b"mp42"), "a video"),
        (box(b"qt  "), "a video"),
        (box(b"M4A ", b"mp42"), "sound (M4A)"),
        (b"II*\0\x08\0\0\0", "a TIFF or a camera's raw file"),
        (b"II*\0\x10\0\0\0CR\2\0", "a camera's raw file (CR2)"),
        (b"RIFF\0\0\0\0AVI LIST", "a video (AVI)"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound (WAV)"),
        (b"\x1aE\xdf\xa3\x9f", "a video (WebM or Matroska)"),
        (b"\0\0\1\xba\x44", "a video (MPEG)"),
        (b"\xff\x0a\xfa", "a JPEG XL"),
        (b"II\xbc\1", "a JPEG XR"),
        (b"qoif\0\0\0\1", "a QOI"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\3\4\x14", "a ZIP archive"),
        (b"\x1f\x8b\x08", "compressed with gzip"),
        (b"\xd0\xcf\x11\xe0", "an Office document"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        (b'{"error": "no such file"}', "JSON"),
        (b"https://shop.example/1.jpg\n", "an address in text, not the picture behind it"),
        (b"iVBORw0KGgoAAAANSUhEUg", "base64 text, not the picture itself"),
        (b"data:image/jpeg;base64,/9j/4AAQ", "base64 text, not the picture itself"),
        (b"hello", "text"),
    ],
)
def test_what_is_no_image_of_ours_is_named_with_what_would_be(head: bytes, name: str) -> None:
    with pytest.raises(AppError) as refusal:
        inspect(io.BytesIO(head + bytes(20 * (not head.isascii()))), limits=LIMITS)

    assert refusal.value.message.startswith(f"The file is {name}; send one of ")
    assert all(image_format in refusal.value.message for image_format in ImageFormat)
