"""A picture's resolution and its author's credit, written anew into what we send. Worker only."""

from __future__ import annotations

import io
import struct
from xml.sax.saxutils import escape

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from apps.core.pictures import jpeg, png
from apps.core.pictures.imprint import Imprint

_ARTIST, _COPYRIGHT, _X_RESOLUTION, _Y_RESOLUTION, _UNIT, _INCH = 0x013B, 0x8298, 0x011A, 0x011B, 0x0128, 2


def exif_of(imprint: Imprint) -> bytes:
    """A TIFF structure with resolution, artist and copyright; empty where there are none."""
    exif = Image.Exif()
    if imprint.density_xy is not None:
        across, down = (IFDRational(round(side * 1_000), 1_000) for side in imprint.density_xy)
        exif[_X_RESOLUTION], exif[_Y_RESOLUTION], exif[_UNIT] = across, down, _INCH
    for tag, text in ((_ARTIST, imprint.artist), (_COPYRIGHT, imprint.copyright)):
        if text:
            exif[tag] = text.encode()  # UTF-8, as programs write it; Pillow would make question marks of it
    return exif.tobytes().removeprefix(b"Exif\0\0") if len(exif) else b""


def xmp_of(imprint: Imprint) -> bytes:
    """An XMP packet with creator, rights, usage terms and statement; empty where there are none."""
    parts = [
        _listed("dc:creator", "Seq", imprint.creators),
        _listed("dc:rights", "Alt", (imprint.rights,)),
        _listed("xmpRights:UsageTerms", "Alt", (imprint.terms,)),
        f"<xmpRights:WebStatement>{escape(imprint.statement)}</xmpRights:WebStatement>" if imprint.statement else "",
    ]
    body = "".join(parts)
    if not body:
        return b""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/">'
        f'{body}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def _listed(name: str, kind: str, values: tuple[str, ...]) -> str:
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    items = "".join(f"<rdf:li{language}>{escape(value)}</rdf:li>" for value in values if value)
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>" if items else ""


def into_png(file: bytes, imprint: Imprint) -> bytes:
    """
    Add pHYs, eXIf and text chunks before the pixels.

    Args:
        file: a whole one.
    """
    chunks = []
    if imprint.density_xy is not None:
        across, down = (round(side / 0.0254) for side in imprint.density_xy)
        chunks.append(png.pack_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if imprint.has_text:
        chunks.append(png.pack_chunk(b"eXIf", exif_of(imprint)))
        texts = ((b"Author", imprint.artist), (b"Copyright", imprint.copyright))
        chunks += [_international(keyword, text.encode()) for keyword, text in texts if text]
        chunks.append(_international(b"XML:com.adobe.xmp", xmp_of(imprint)))
    if not chunks:
        return file
    return b"".join([file[: png.IHDR_END], *chunks, file[png.IHDR_END :]])


def _international(keyword: bytes, text: bytes) -> bytes:
    return png.pack_chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)


def into_jpeg(file: bytes, imprint: Imprint) -> bytes:
    """
    Set JFIF's density and add EXIF and XMP behind it.

    Args:
        file: a whole one that begins with a JFIF segment.
    """
    texts = [jpeg.EXIF_TAG + exif_of(imprint), jpeg.XMP_TAG + xmp_of(imprint)] if imprint.has_text else []
    if imprint.density_xy is None and not texts:
        return file
    _, place, length = next(jpeg.segments(io.BytesIO(file)))
    end = place + 4 + length
    head = bytearray(file[:end])
    if imprint.density_xy is not None:
        struct.pack_into(">BHH", head, place + 11, 1, *(round(side) for side in imprint.density_xy))
    return b"".join([head, *(jpeg.pack_segment(jpeg.APP1, text) for text in texts), file[end:]])
