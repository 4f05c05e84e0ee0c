"""What may be paid for is what can be decoded: `check_whole` before, `decode` after."""

from __future__ import annotations

import io
import random
import struct
import sys
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from apps.core.errors import AppError, Fault
from apps.core.pictures import wholeness
from apps.core.pictures.decoding import decode
from apps.core.pictures.formats import HeaderError
from apps.core.pictures.inspection import inspect
from apps.core.pictures.jpeg import MAX_SCANS
from apps.core.pictures.jpeg_layout import MAX_BLOCK_VISITS
from apps.core.pictures.wholeness import check_whole
from tests.drawing import (
    PNG_SIGNATURE,
    jpeg_blocks,
    jpeg_of,
    jpeg_of_scans,
    jpeg_scan,
    photo_file,
    png_chunk,
    png_file,
    saved,
    soft_photo,
)
from tests.limits import MB, roomy

LIMITS = roomy(max_bytes=30 * MB)
END = b"\xff\xd9"
TAILS = {
    "nothing": b"",
    "a vendor's trailer": b"\0\0\0\x0a\x0e\0\0\0Image_UTC_Data15" + bytes(range(1, 200)) * 40 + b"SEFT",
    "a film": b"\0\0\0\x18ftypmp42" + bytes(3000),
    "noise": random.Random(5).randbytes(9000),
    "another JPEG": photo_file("JPEG"),
}
IEND_BYTES = 12


def is_accepted(data: bytes) -> bool:
    """By the web process."""
    file = io.BytesIO(data)
    try:
        check_whole(file, inspect(file, limits=LIMITS))
    except (AppError, HeaderError):
        return False
    assert file.tell() == 0
    return True


def is_decoded(data: bytes) -> bool:
    """By the worker."""
    try:
        decode(data, limits=LIMITS)
    except AppError:
        return False
    return True


def grainy() -> Image.Image:
    return Image.fromarray(
        np.clip(soft_photo(83, 60) + np.random.default_rng(3).normal(0, 9, (60, 83, 3)), 0, 255).astype(np.uint8)
    )


def interlaced(depth: int = 8) -> bytes:
    """A PNG of 5 x 3 in seven passes, two of which are empty or narrow."""
    passes = [(1, 1), (1, 1), (2, 0), (1, 1), (3, 1), (2, 2), (5, 1)]
    rows = b"".join((b"\0" + bytes(range(columns * 3 * depth // 8))) * count for columns, count in passes)
    ihdr = struct.pack(">IIBBBBB", 5, 3, depth, 2, 0, 0, 1)
    chunks = [(b"IHDR", ihdr), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(png_chunk(name, data) for name, data in chunks)


def in_three_scans() -> bytes:
    """A sequential JPEG, one colour channel after the other."""
    data = jpeg_blocks(12)
    return jpeg_of(b"".join(jpeg_scan([number], data=data) for number in (1, 2, 3)), width=32, height=24) + END


@cache
def jpegs() -> dict[str, bytes]:
    picture = grainy()
    return {
        "plain": saved(picture, "JPEG"),
        "without subsampling": saved(picture, "JPEG", subsampling=0, quality=95),
        "halved": saved(picture, "JPEG", subsampling=1),
        "optimised": saved(picture, "JPEG", optimize=True),
        "restarts by rows": saved(picture, "JPEG", restart_marker_rows=1),
        "restarts by blocks": saved(picture, "JPEG", restart_marker_blocks=2),
        "grey": saved(picture.convert("L"), "JPEG"),
        "inks": saved(picture.convert("CMYK"), "JPEG"),
        "RGB": saved(picture, "JPEG", keep_rgb=True),
        "in three scans": in_three_scans(),
        "progressive": saved(picture, "JPEG", progressive=True),
        "progressive with restarts": saved(picture, "JPEG", progressive=True, restart_marker_blocks=9),
        "flat": saved(Image.new("RGB", (70, 50), (200, 90, 20)), "JPEG"),
        "mid-grey": saved(Image.new("RGB", (70, 50), (128, 128, 128)), "JPEG"),
        "a pixel": saved(Image.new("RGB", (1, 1), (9, 9, 9)), "JPEG"),
    }


@cache
def files() -> dict[str, bytes]:
    picture, other = grainy(), Image.fromarray(255 - np.asarray(grainy()))
    veiled = Image.fromarray(np.dstack([np.asarray(picture), np.tile(np.arange(83, dtype=np.uint8), (60, 1))]))
    pngs: dict[str, Image.Image] = {f"PNG {mode}": picture.convert(mode) for mode in ("RGB", "P", "1", "LA", "RGBA")}
    bmps: dict[str, Image.Image] = {f"BMP {mode}": picture.convert(mode) for mode in ("RGB", "P", "1", "L")}
    return {
        **{f"JPEG {name}": data for name, data in jpegs().items()},
        **{name: saved(each, "PNG") for name, each in pngs.items()},
        **{name: saved(each, "BMP") for name, each in bmps.items()},
        "PNG interlaced": interlaced(),
        "PNG interlaced, 16 bits": interlaced(16),
        "PNG 16 bits": png_file(4, 2, depth=16, colour=6, rows=bytes(range(64))),
        "PNG animated": saved(picture, "PNG", save_all=True, append_images=[other]),
        "WebP": saved(picture, "WEBP"),
        "WebP lossless": saved(picture, "WEBP", lossless=True),
        "WebP with alpha": saved(veiled, "WEBP"),
        "WebP animated": saved(picture, "WEBP", save_all=True, append_images=[other]),
        "GIF": saved(picture, "GIF"),
    }


@pytest.mark.parametrize("name", files())
def test_a_whole_file_is_accepted_and_decoded_with_whatever_follows(name: str) -> None:
    data = files()[name]

    verdicts = {told: (is_accepted(data + tail), is_decoded(data + tail)) for told, tail in TAILS.items()}

    assert set(verdicts.values()) == {(True, True)}, verdicts


@pytest.mark.parametrize("name", files())
def test_a_cut_file_is_refused_by_both_or_by_neither(name: str) -> None:
    data = files()[name]
    lengths = {
        *range(max(1, len(data) - 40), len(data)),
        *random.Random(1).sample(range(1, len(data)), min(60, len(data) - 1)),
    }
    lzw = len(data) - 3 if name == "GIF" else len(data)  # where its last block has no end, only decoding tells

    verdicts = {length: (is_accepted(data[:length]), is_decoded(data[:length])) for length in lengths if length < lzw}

    assert {length: both for length, both in verdicts.items() if both[0] != both[1]} == {}
    most = min(0.9 * len(data), len(data) - IEND_BYTES)  # all pixels of a PNG may be there without it
    assert not any(accepted for length, (accepted, _) in verdicts.items() if length < most)


IHDR_CHUNK = {colour: struct.pack(">IIBBBBB", 4, 3, 8, colour, 0, 0, 0) for colour in (0, 2, 3)}
PIXELS = {colour: zlib.compress(bytes(3 * (1 + 4 * channels))) for colour, channels in ((0, 1), (2, 3), (3, 1))}
NEARLY_PNGS = {
    "rows are missing": (2, [(b"IDAT", zlib.compress(bytes(2 * 13)))], False),
    "no IEND": (2, [(b"IDAT", PIXELS[2])], True),
    "a transparent colour without bytes": (2, [(b"tRNS", b""), (b"IDAT", PIXELS[2])], False),
    "a grey of one byte": (0, [(b"tRNS", b"1"), (b"IDAT", PIXELS[0])], False),
    "a transparent colour": (2, [(b"tRNS", bytes(6)), (b"IDAT", PIXELS[2])], True),
    "300 opacities": (3, [(b"PLTE", bytes(12)), (b"tRNS", bytes(300)), (b"IDAT", PIXELS[3])], False),
    "300 colours": (3, [(b"PLTE", bytes(900)), (b"IDAT", PIXELS[3])], False),
    "a palette": (3, [(b"PLTE", bytes(12)), (b"tRNS", bytes(4)), (b"IDAT", PIXELS[3])], True),
}


@pytest.mark.parametrize("name", NEARLY_PNGS)
def test_png_that_is_odd_is_taken_by_both_or_by_neither(name: str) -> None:
    colour, chunks, is_whole = NEARLY_PNGS[name]
    data = PNG_SIGNATURE + b"".join(png_chunk(kind, told) for kind, told in [(b"IHDR", IHDR_CHUNK[colour]), *chunks])

    assert (is_accepted(data), is_decoded(data)) == (is_whole, is_whole)
    if is_whole:  # an end that is damaged says nothing either
        assert is_decoded(data + png_chunk(b"IEND", b"")[:-2] + b"!!")


CANVAS_AT = {"flags": 20, "width": 24, "height": 27}


@pytest.mark.parametrize("still", ["WebP lossless", "WebP"])
@pytest.mark.parametrize(
    ("part", "change"), [("flags", 2), ("width", 1), ("width", -1), ("height", 1), ("flags", 0x10)]
)
def test_webp_whose_header_contradicts_its_picture_is_refused_by_both(still: str, part: str, change: int) -> None:
    bitstream = files()[still][12:]
    canvas = bytes([0, 0, 0, 0]) + (82).to_bytes(3, "little") + (59).to_bytes(3, "little")
    content = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + canvas + bitstream
    data = bytearray(b"RIFF" + struct.pack("<I", len(content)) + content)
    assert is_accepted(bytes(data))

    data[CANVAS_AT[part]] += change

    is_harmless = change == 0x10  # it says that there is alpha, which nobody insists on
    assert (is_accepted(bytes(data)), is_decoded(bytes(data))) == (is_harmless, is_harmless)


def broken(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, left out or doubled; a JPEG may be closed again, a PNG have its checksums made right."""
    at, length = chance.randrange(12, len(data) - 5), chance.randrange(1, 40)
    match chance.randrange(5):
        case 0:
            data = data[:at] + data[at + length :]
        case 1:
            data = data[: at + length] + data[at:]
        case 2 if data.startswith(b"\xff\xd8"):
            data = data[:at] + END
        case _:
            changed = bytearray(data)
            for _ in range(chance.choice((1, 1, 2, 5))):
                changed[chance.randrange(12, len(data))] = chance.randrange(256)
            data = bytes(changed)
    return with_right_sums(data) if data.startswith(PNG_SIGNATURE) and chance.random() < 0.5 else data


def with_right_sums(png: bytes) -> bytes:
    out, place = png[:8], 8
    while place + 8 <= len(png):
        length, name = struct.unpack_from(">I4s", png, place)
        out += png_chunk(name, png[place + 8 : place + 8 + length])
        place += 12 + length
    return out


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", files())
def test_a_damaged_file_that_is_refused_before_payment_would_not_decode(name: str) -> None:
    """
    The other way round, damage inside compressed data is seen by its decoder alone, for which somebody may have paid: a bit
    in Huffman codes or LZW, a JPEG cut and closed again. A PNG's is seen before: its checksums, its stream and its filters.
    """
    chance = random.Random(2)
    damaged = [broken(files()[name], chance) for _ in range(120)]

    verdicts = [(is_accepted(data), is_decoded(data)) for data in damaged]

    assert (False, True) not in verdicts
    assert (True, False) not in verdicts or not name.startswith("PNG")
    assert (False, False) in verdicts


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_png_with_too_few_rows_is_cut_although_it_has_its_end(rows: int) -> None:
    assert not is_accepted(png_file(4, 4, depth=8, colour=2, rows=bytes(rows * (1 + 4 * 3))))
    assert is_accepted(png_file(4, 4, depth=8, colour=2, rows=bytes(4 * (1 + 4 * 3))))


# JPEG -----------------------------------------------------------------------------------------------------------


NO_TELLING = {("mid-grey", "a film")}  # zeros behind a picture of exactly libjpeg's own grey say nothing


@pytest.mark.parametrize(
    ("name", "tail"), [(name, tail) for name in jpegs() for tail in TAILS if (name, tail) not in NO_TELLING]
)
def test_a_jpeg_without_its_end_marker_is_whole(name: str, tail: str) -> None:
    whole = jpegs()[name]

    photo = decode(whole[:-2] + TAILS[tail], limits=LIMITS)

    assert is_accepted(whole[:-2] + TAILS[tail])
    assert (photo.rgb == decode(whole, limits=LIMITS).rgb).all()


SEVERAL_SCANS = ("in three scans", "progressive", "progressive with restarts")


@pytest.mark.parametrize("tail", ["", "closed"])
@pytest.mark.parametrize("name", [name for name in jpegs() if name not in {"mid-grey", "a pixel", *SEVERAL_SCANS}])
def test_a_jpeg_that_lacks_a_byte_of_its_pixels_is_cut(name: str, tail: str) -> None:
    """Closed again, only the decoder sees it."""
    whole = jpegs()[name]
    for missing in (1, 2, 3, 5, 12, 40, len(whole) // 8):
        cut = whole[: -2 - missing] + (END if tail else b"")

        assert not is_decoded(cut), missing
        assert tail or not is_accepted(cut), missing


@pytest.mark.parametrize("name", SEVERAL_SCANS)
def test_a_jpeg_in_several_scans_that_lacks_the_end_of_its_last_is_cut(name: str) -> None:
    whole = jpegs()[name]
    for missing in (4, 8, 40, 120):
        cut = whole[: -2 - missing]

        assert (is_accepted(cut), is_decoded(cut)) == (False, False), missing


@pytest.mark.parametrize("name", SEVERAL_SCANS)
def test_a_jpeg_that_lacks_whole_scans_is_cut(name: str) -> None:
    whole = jpegs()[name]
    places = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]

    cuts = [whole[:at] for at in places[1:]]

    assert len(cuts) >= 2
    assert not any(is_accepted(cut) or is_decoded(cut) for cut in cuts)


def test_a_jpeg_without_one_of_its_channels_is_cut_even_with_an_end_marker() -> None:
    whole = in_three_scans()

    cut = whole[: whole.rindex(b"\xff\xda")] + END

    assert (is_accepted(cut), is_decoded(cut)) == (False, False)


def without_segment(data: bytes, marker: int) -> bytes:
    at = data.index(bytes([0xFF, marker]))
    return data[:at] + data[at + 2 + struct.unpack_from(">H", data, at + 2)[0] :]


def with_byte(data: bytes, marker: int, offset: int, value: int) -> bytes:
    """Another value `offset` bytes behind the start of that marker's first segment."""
    at = data.index(bytes([0xFF, marker])) + offset
    return data[:at] + bytes([value]) + data[at + 1 :]


@pytest.mark.parametrize(
    "data",
    [
        with_byte(jpegs()["plain"], 0xC4, 5, 3),
        with_byte(jpegs()["plain"], 0xC4, 4, 0x0F),
        with_byte(jpegs()["plain"], 0xDB, 4, 0x07),
        with_byte(jpegs()["plain"], 0xC0, 11, 0x44),
        with_byte(jpegs()["plain"], 0xDA, 6, 0x33),
        without_segment(jpegs()["progressive"], 0xC4),
    ],
    ids=["too many short codes", "code table 15", "step table 7", "units too large", "a table never sent", "no codes"],
)
def test_headers_that_libjpeg_refuses_are_refused_before_payment(data: bytes) -> None:
    assert (is_accepted(data), is_decoded(data)) == (False, False)


def test_a_panorama_and_a_motion_photo_decode_without_what_is_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    real = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda data, *a, **k: (seen.append(data), real(data, *a, **k))[1])
    whole = jpegs()["plain"]

    for tail in TAILS.values():
        decode(whole + tail, limits=LIMITS)

    assert {len(data) for data in seen} == {len(whole)}


def test_a_jpeg_is_decoded_once_whatever_the_decoder_complains_of(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = simplejpeg.decode_jpeg
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    whole = jpegs()["plain"]
    padded = whole[:-2] + bytes(40) + END

    assert is_decoded(padded)
    assert len(calls) == 1


# What a hostile file costs --------------------------------------------------------------------------------------


def steps_of(work: Callable[[], Any]) -> int:
    """Calls made while `work` runs, of Python's and of C's functions: a bound on work that needs no clock."""
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def endless_png(rows: int, more: int, *, width: int = 64) -> bytes:
    """`rows` rows, and as much again as `more` MB of zeros in the same stream."""
    packer = zlib.compressobj(9)
    body = packer.compress(bytes((width * 3 + 1) * rows)) + b"".join(packer.compress(bytes(MB)) for _ in range(more))
    ihdr = struct.pack(">IIBBBBB", width, rows, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", ihdr), (b"IDAT", body + packer.flush()), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(png_chunk(name, data) for name, data in chunks)


class CountingInflater:
    """Stands before the real one and counts what comes out."""

    came_out = 0

    def __init__(self) -> None:
        self._real = REAL_INFLATER()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def decompress(self, data: bytes, most: int) -> bytes:
        out = self._real.decompress(data, most)
        CountingInflater.came_out += len(out)
        return out


REAL_INFLATER = wholeness.isal_zlib.decompressobj


@pytest.fixture
def inflater(monkeypatch: pytest.MonkeyPatch) -> type[CountingInflater]:
    CountingInflater.came_out = 0
    monkeypatch.setattr(wholeness.isal_zlib, "decompressobj", CountingInflater)
    return CountingInflater


def test_a_png_is_inflated_until_its_picture_is_full(inflater: type[CountingInflater]) -> None:
    data = endless_png(64, 40)

    assert is_accepted(data)
    assert inflater.came_out == 64 * (64 * 3 + 1)


def test_no_more_than_its_bound_is_inflated_of_a_png(
    inflater: type[CountingInflater], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wholeness, "MAX_INFLATED_BYTES", 2 * MB)

    assert is_accepted(endless_png(6000, 0, width=500))
    assert inflater.came_out == 2 * MB


JPEG = jpegs()["plain"]
START = JPEG.index(b"\xff\xda") + 14
HOSTILE = {
    "markers that stand alone": JPEG[:START] + b"\xff\x01" * 2 * MB + END,
    "restarts": JPEG[:START] + b"\xff\xd0" * 2 * MB + END,
    "fill bytes": JPEG[:START] + b"\xff" * 4 * MB + END,
    "fill bytes within the data": JPEG[:START] + b"\xff\xff\0" * MB + END,
    "segments behind the scan": saved(grainy(), "JPEG", progressive=True)[:-2] + b"\xff\xfe\0\2" * MB + END,
    "tables between the scans": jpegs()["progressive"][:-400] + b"\xff\xdd\0\4\0\0" * MB + END,
    "bytes before the segments": b"\xff\xd8\xff" + (bytes(4095) + b"\xff\xfe\0\2") * 1023 + JPEG[2:],
    "PNG chunks": photo_file("PNG")[:33] + png_chunk(b"IDAT", b"") * 300_000 + photo_file("PNG")[33:],
    "WebP chunks": b"RIFF"
    + struct.pack("<I", 4 + 30 + 8 * 300_000)
    + b"WEBP"
    + saved(Image.new("RGB", (4, 4)), "WEBP")[12:42].ljust(30, b"\0")
    + b"teSt\0\0\0\0" * 300_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_a_bounded_number_of_steps(name: str) -> None:
    data = HOSTILE[name]

    assert steps_of(lambda: is_accepted(data)) < 450_000


def fault_of(data: bytes) -> AppError:
    with pytest.raises(AppError) as caught:
        inspect(io.BytesIO(data), limits=LIMITS)
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        jpeg_of_scans(MAX_SCANS + 1, side_px=16),
        jpeg_of_scans(MAX_BLOCK_VISITS // 1250**2, side_px=10_000),
        jpeg_of_scans(2, side_px=6_000, frame=0xCA),
        jpeg_of(jpeg_scan([1]), width=10_000, height=10_000, frame=0xC9, components=1) + END,
    ],
    ids=["too many scans", "too many for its size", "arithmetic", "arithmetic in one scan"],
)
def test_scans_that_would_keep_a_worker_are_refused_from_the_header_on(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = fault_of(data)

    assert error.details[0].fault is Fault.UNREADABLE_FILE
    assert "more scans than an image of its size may have" in error.message
    monkeypatch.setattr(simplejpeg, "decode_jpeg", None)
    assert not is_decoded(data)


def test_an_ordinary_progressive_jpeg_of_100_megapixels_has_few_enough_scans() -> None:
    ten = jpegs()["progressive"].count(b"\xff\xda")

    header = inspect(io.BytesIO(jpeg_of_scans(ten, side_px=10_000)), limits=LIMITS)

    assert ten == 10
    assert header.layout is not None
    assert header.layout.block_visits < MAX_BLOCK_VISITS / 2


def test_scans_of_a_film_behind_a_jpeg_are_not_counted() -> None:
    assert is_decoded(jpegs()["plain"] + b"\xff\xda" * 5000)
    assert is_decoded(jpegs()["progressive"] + b"\xff\xda" * 5000)
