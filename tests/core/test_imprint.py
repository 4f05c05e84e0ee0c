"""Resolution, author and rights survive in every format; what tells of a person, a place or a camera does not."""

from __future__ import annotations

import io
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo

from apps.core.pictures.decoding import decode
from apps.core.pictures.encoding import encode_jpeg, encode_png, encode_webp
from apps.core.pictures.formats import ImageFormat
from apps.core.pictures.imprint import MAX_TEXT, NO_IMPRINT, Imprint, read_imprint
from apps.core.pictures.inspection import ImageLimits, inspect
from tests import drawing

ENCODERS = {"PNG": encode_png, "JPEG": encode_jpeg, "WEBP": encode_webp}
FORMATS = [*ENCODERS, "BMP"]
LIMITS = ImageLimits(frozenset(ImageFormat), 10_000_000, 4000, 4000, 16_000_000)
FULL = Imprint(
    (300.0, 300.0),
    "Zoë Köhler",
    "© 2026 Köhler",
    ("Zoë Köhler", "A. N. Other"),
    "© 2026 Köhler & Co <all>",
    "No resale",
    "https://k.example/?a=1&b=2",
)
PHOTO = drawing.soft_photo(96, 64)
XMP = """<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmp:CreatorTool="Secret Editor 9" exif:GPSLatitude="52,31.2N"
 xmpRights:WebStatement="https://k.example/terms">
 <dc:creator><rdf:Seq><rdf:li>Jane Doe</rdf:li><rdf:li>J. R. Hartley</rdf:li></rdf:Seq></dc:creator>
 <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">(c) Jane Doe</rdf:li></rdf:Alt></dc:rights>
 <xmpRights:Owner><rdf:Bag><rdf:li>Secret Owner</rdf:li></rdf:Bag></xmpRights:Owner>
 <xmpRights:UsageTerms><rdf:Alt><rdf:li xml:lang="x-default">Ask first</rdf:li></rdf:Alt></xmpRights:UsageTerms>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"""


def read(data: bytes, image_format: str, orientation: int = 1) -> Imprint:
    return read_imprint(data, ImageFormat(image_format), orientation=orientation)


def exif(**more: Any) -> bytes:
    made = Image.Exif()
    made[0x013B], made[0x8298] = "Jane Doe", "(c) Jane Doe"
    for tag, value in more.items():
        made[int(tag[1:], 16)] = value
    return made.tobytes()


def xmp_file(image_format: str, xmp: str = XMP, **options: Any) -> bytes:
    if image_format != "PNG":
        return drawing.saved(PHOTO, image_format, xmp=xmp.encode(), **options)
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    return drawing.saved(PHOTO, "PNG", pnginfo=info, **options)


def iptc_jpeg(*records: tuple[int, bytes]) -> bytes:
    data = b"".join(b"\x1c\x02" + struct.pack(">BH", number, len(text)) + text for number, text in records)
    other = b"8BIM\x04\x25\0\0" + struct.pack(">I", 3) + b"abc\0"
    block = b"Photoshop 3.0\0" + other + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data
    jpeg = drawing.saved(PHOTO, "JPEG")
    return jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


@pytest.mark.parametrize("image_format", ENCODERS)
def test_a_written_imprint_is_read_again(image_format: str) -> None:
    data = ENCODERS[image_format](PHOTO, imprint=FULL)

    found = read(data, image_format)

    assert found.density_xy == pytest.approx((300, 300), abs=0.02)
    assert (found.artist, found.copyright, found.creators) == (FULL.artist, FULL.copyright, FULL.creators)
    assert (found.rights, found.terms, found.statement) == (FULL.rights, FULL.terms, FULL.statement)


@pytest.mark.parametrize("image_format", ENCODERS)
def test_others_read_it_and_the_pixels_are_the_same(image_format: str) -> None:
    plain, data = (ENCODERS[image_format](PHOTO, imprint=each) for each in (NO_IMPRINT, FULL))

    image = Image.open(io.BytesIO(data))

    assert np.array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(plain))))
    tags = image.getexif()
    assert tags[0x013B].encode("latin-1").decode() == "Zoë Köhler"
    assert set(tags) <= {0x013B, 0x8298, 0x011A, 0x011B, 0x0128}
    dpi = image.info["dpi"] if image_format != "WEBP" else (tags[0x011A], tags[0x011B])
    assert dpi == pytest.approx((300, 300), abs=0.02)
    packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
    assert "A. N. Other" in (packet if isinstance(packet, str) else packet.decode())


@pytest.mark.parametrize("image_format", ENCODERS)
def test_nothing_is_written_where_nothing_is_known(image_format: str) -> None:
    data = ENCODERS[image_format](PHOTO)

    assert data == ENCODERS[image_format](PHOTO, imprint=Imprint())
    for mark in (b"Exif", b"eXIf", b"EXIF", b"pHYs", b"iTXt", b"xmp", b"XMP "):
        assert mark not in data


@pytest.mark.parametrize("image_format", FORMATS)
def test_resolution_is_read(image_format: str) -> None:
    options: dict[str, Any] = {"dpi": (240, 240)}
    if image_format == "WEBP":
        options = {"exif": exif(x011A=240.0, x011B=240.0, x0128=2)}

    assert read(drawing.saved(PHOTO, image_format, **options), image_format).density_xy == pytest.approx(
        (240, 240), abs=0.1
    )


def test_resolution_in_centimetres_by_exif_alone_and_turned() -> None:
    metric = exif(x011A=100.0, x011B=50.0, x0128=3)
    data = drawing.saved(PHOTO, "JPEG", exif=metric)

    assert read(data, "JPEG").density_xy == pytest.approx((254, 127))
    assert read(data, "JPEG", 6).density_xy == pytest.approx((127, 254))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_exifs_artist_and_copyright_are_read(image_format: str) -> None:
    found = read(drawing.saved(PHOTO, image_format, exif=exif()), image_format)

    assert (found.artist, found.copyright) == ("Jane Doe", "(c) Jane Doe")
    assert (found.creators, found.rights) == (("Jane Doe",), "(c) Jane Doe")  # for those who read XMP alone


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("text", ["Zoë", "日本太郎", "J"])
def test_exif_in_either_order_and_any_script(order: str, text: str) -> None:
    raw = text.encode() + b"\0"
    entry = struct.pack(order + "HHI", 0x013B, 2, len(raw))
    where = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(order + "I", 26)
    tiff = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, 1) + entry + where + bytes(4) + raw

    assert read(drawing.saved(PHOTO, "JPEG", exif=b"Exif\0\0" + tiff), "JPEG").artist == text


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_xmps_creators_and_rights_are_read_and_nothing_else(image_format: str) -> None:
    found = read(xmp_file(image_format), image_format)

    assert found.creators == ("Jane Doe", "J. R. Hartley")
    assert found.artist == "Jane Doe; J. R. Hartley"
    assert (found.rights, found.copyright, found.terms) == ("(c) Jane Doe", "(c) Jane Doe", "Ask first")
    assert found.statement == "https://k.example/terms"
    assert "Secret" not in repr(found)


def test_xmp_as_attributes_and_as_plain_text() -> None:
    short = XMP[: XMP.index("<rdf:Description")] + (
        '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:rights="mine"><dc:creator>Jane</dc:creator>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )

    found = read(xmp_file("JPEG", short), "JPEG")

    assert (found.creators, found.rights) == (("Jane",), "mine")


@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
def test_iptcs_by_line_and_notice_are_read(coding: str) -> None:
    data = iptc_jpeg((80, "Zoë".encode(coding)), (5, b"a title"), (90, b"Berlin"), (116, "© Zoë".encode(coding)))

    found = read(data, "JPEG")

    assert (found.artist, found.creators) == ("Zoë", ("Zoë",))
    assert (found.copyright, found.rights) == ("© Zoë", "© Zoë")
    assert IptcImagePlugin.getiptcinfo(Image.open(io.BytesIO(data)))  # it is what others take for IPTC, too


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iTXt packed"])
@pytest.mark.parametrize("is_late", [False, True])
def test_pngs_own_texts_are_read(kind: bytes, is_late: bool) -> None:
    text = "Zoë"
    content = {
        b"tEXt": text.encode("latin-1"),
        b"zTXt": b"\0" + zlib.compress(text.encode("latin-1")),
        b"iTXt": b"\0\0de\0Autor\0" + text.encode(),
        b"iTXt packed": b"\1\0\0\0" + zlib.compress(text.encode()),
    }[kind]
    png = drawing.saved(PHOTO, "PNG")
    at = len(png) - 12 if is_late else 33
    chunk = drawing.png_chunk(kind[:4], b"Author\0" + content) + drawing.png_chunk(kind[:4], b"Comment\0" + content)

    found = read(png[:at] + chunk + png[at:], "PNG")

    assert (found.artist, found.creators) == ("Zoë", ("Zoë",))


def test_masks_keep_their_resolution_alone() -> None:
    assert FULL.of_a_mask() == Imprint((300.0, 300.0))
    data = encode_png(PHOTO[..., 0].copy(), imprint=FULL.of_a_mask())

    assert drawing.png_chunk_names(data)[:2] == ["IHDR", "pHYs"]


def test_control_characters_go_and_length_is_bounded() -> None:
    long = "x" * 60_000
    found = read(drawing.saved(PHOTO, "JPEG", exif=exif(x8298=long, x013B="Jane\x1b[31m\r\nDoe\x07")), "JPEG")

    assert found.artist == "Jane [31m Doe"
    assert found.copyright == "x" * MAX_TEXT


def test_the_longest_texts_fit_into_every_format() -> None:
    worst = Imprint(
        (72.0, 72.0), "&" * MAX_TEXT, "🜍" * MAX_TEXT, ("<" * MAX_TEXT,), "&" * MAX_TEXT, *["&" * MAX_TEXT] * 2
    )

    for name, encode in ENCODERS.items():
        assert read(encode(PHOTO, imprint=worst), name).rights == "&" * MAX_TEXT


LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1 or str()};" * 10}">' for i in range(1, 9))
    + "]>"
)


@pytest.mark.parametrize(
    "xmp",
    [
        LAUGHS + XMP.replace("Jane Doe", "&a8;"),
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + XMP.replace("Jane Doe", "&a;"),
        XMP[: len(XMP) // 3],
        "<a>" * 100_000,
        "\0\1\2rubbish",
        "",
    ],
)
def test_hostile_xmp_is_read_for_nothing(xmp: str) -> None:
    begun = time.process_time()

    found = read(xmp_file("PNG", xmp), "PNG")

    assert found.creators == ()
    assert time.process_time() - begun < 2


def test_hostile_exif_costs_little() -> None:
    entries = b"".join(struct.pack("<HHII", 0x013B + i % 2, 2, 60_000, 8) for i in range(5_000))
    loop = b"II*\0" + struct.pack("<IH", 8, 5_000) + entries
    far = b"II*\0" + struct.pack("<I", 2**32 - 1)
    by_nothing = b"II*\0" + struct.pack("<IHHHIIHHIIII", 8, 2, 0x011A, 5, 1, 38, 0x0128, 3, 1, 2, 300, 0)

    for tiff in (loop, far, by_nothing, b"II*\0", b"MM"):
        found = read(drawing.saved(PHOTO, "JPEG", exif=b"Exif\0\0" + tiff), "JPEG")
        assert found.density_xy is None
        assert len(found.artist) <= MAX_TEXT


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_damaged_metadata_never_costs_the_photo(image_format: str) -> None:
    whole, rng = ENCODERS[image_format](PHOTO, imprint=FULL), np.random.default_rng(2)
    start = whole.index(b"Jane" if b"Jane" in whole else b"Zo") - 60

    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(start, start + 700, 6):
            data[at % len(data)] = int(rng.integers(256))
        assert isinstance(read(bytes(data), image_format), Imprint)


def test_the_photo_brings_it_along() -> None:
    photo = decode(encode_png(PHOTO, imprint=FULL), limits=LIMITS)

    assert photo.imprint.artist == FULL.artist
    assert photo.in_srgb().imprint == photo.imprint


def test_os2_bitmap_has_no_resolution() -> None:
    """Its header ends before the place where the later ones tell it: pixels stand there."""
    rows = struct.pack("<ii", 11811, 11811) * 12  # 300 dpi, if it were read
    data = struct.pack("<2sIHHI", b"BM", 26 + len(rows), 0, 0, 26) + struct.pack("<IHHHH", 12, 4, 8, 1, 24) + rows

    assert Image.open(io.BytesIO(data)).size == (4, 8)
    assert read_imprint(data, ImageFormat.BMP) == NO_IMPRINT


def webp_and_behind(*, name: bytes, payload: bytes) -> bytes:
    """A whole WebP, and behind its end a chunk that is none of it."""
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "WEBP", exif=b"", lossless=True)
    return file.getvalue() + name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def test_chunks_behind_the_end_of_a_webp_are_no_part_of_it() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B], exif[0x011A], exif[0x011B] = 6, "Somebody Else", 300.0, 300.0
    late_exif = webp_and_behind(name=b"EXIF", payload=exif.tobytes().removeprefix(b"Exif\0\0"))
    late_frames = webp_and_behind(name=b"ANMF", payload=bytes(32)) + b"ANMF" + struct.pack("<I", 32) + bytes(32)
    late_profile = webp_and_behind(name=b"ICCP", payload=b"no profile")

    header = inspect(io.BytesIO(late_exif), limits=LIMITS, field="image")

    assert read_imprint(late_exif, ImageFormat.WEBP) == NO_IMPRINT
    assert (header.width, header.height) == (PHOTO.shape[1], PHOTO.shape[0])
    assert not inspect(io.BytesIO(late_frames), limits=LIMITS, field="image").is_animated
    for data in (late_exif, late_frames, late_profile):
        assert np.array_equal(decode(data, limits=LIMITS, field="image").rgb, PHOTO)
