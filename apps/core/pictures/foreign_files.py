"""What people send by mistake, by its first bytes: an error that names it is acted on at once."""

from __future__ import annotations

import re

_SIGNATURES = (
    (b"%PDF", "a PDF"),
    (b"II*\0\x10\0\0\0CR", "a camera's raw file (CR2)"),
    (b"II*\0", "a TIFF or a camera's raw file"),
    (b"MM\0*", "a TIFF or a camera's raw file"),
    (b"II+\0", "a TIFF"),
    (b"MM\0+", "a TIFF"),
    (b"IIU\0", "a camera's raw file (RW2)"),
    (b"IIRO", "a camera's raw file (ORF)"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file (RAF)"),
    (b"II\xbc", "a JPEG XR"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\0\0\2\0", "a cursor (CUR)"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"qoif", "a QOI"),
    (b"v/1\1", "an OpenEXR"),
    (b"#?RADIANCE", "a Radiance HDR"),
    (b"DDS ", "a DDS texture"),
    (b"\xd7\xcd\xc6\x9a", "a WMF drawing"),
    (b"\x1aE\xdf\xa3", "a video (WebM or Matroska)"),
    (b"\0\0\1\xba", "a video (MPEG)"),
    (b"\0\0\1\xb3", "a video (MPEG)"),
    (b"FLV\1", "a video (FLV)"),
    (b"OggS", "sound or a video (Ogg)"),
    (b"ID3", "sound (MP3)"),
    (b"fLaC", "sound (FLAC)"),
    (b"PK\3\4", "a ZIP archive"),
    (b"PK\5\6", "a ZIP archive"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_RIFF = {b"AVI ": "a video (AVI)", b"WAVE": "sound (WAV)"}
# Of ISO's media container: the first brand that says it, of all that the file is compatible with.
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis", b"av01"), "an AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "a HEIC"),
    b"crx ": "a camera's raw file (CR3)",
    **dict.fromkeys((b"M4A ", b"M4B "), "sound (M4A)"),
}
_STILL_BRANDS = (b"mif1", b"mif2", b"msf1", b"miaf")
_BASE64 = re.compile(rb"(?:data:image/|/9j/|ivborw0kg|r0lgod|ukligr)")


def name_of(head: bytes) -> str | None:
    """
    What a file is that is none of the images that we take.

    Args:
        head: its first bytes; 512 tell most.

    Returns:
        "a PDF", "text" and the like, for "The file is ..."; None where it is not cheap to tell.
    """
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _media(head)
    return _text(head.removeprefix(b"\xef\xbb\xbf").lstrip())


def _media(head: bytes) -> str:
    length = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[place : place + 4] for place in range(16, min(length, len(head)), 4))]
    for brand in brands:
        if brand in _BRANDS:
            return _BRANDS[brand]
    return "a HEIF" if any(brand in _STILL_BRANDS for brand in brands) else "a video"


def _text(text: bytes) -> str | None:
    start = text.lower()
    if b"<svg" in start:
        return "an SVG"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if not is_text(text):
        return None
    if start.startswith((b"http://", b"https://")):
        return "an address in text, not the picture behind it"
    if _BASE64.match(start):
        return "base64 text, not the picture itself"
    if start.startswith(b"<?xml"):
        return "XML"
    return "JSON" if start.startswith((b"{", b"[")) else "text"


def is_text(head: bytes) -> bool:
    """Whether no byte of it is a control character that texts don't have."""
    return not any(byte < 9 or 13 < byte < 32 for byte in head)
