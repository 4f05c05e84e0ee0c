"""One walker for each format: what it says of a file's parts leads back to every byte of it."""

from __future__ import annotations

import io
import struct
from itertools import pairwise

import pytest
from PIL import Image

from apps.core.pictures import bmp, gif, jpeg, png, webp
from apps.core.pictures.formats import HeaderError
from tests.drawing import jpeg_segment, photo_file, png_chunk, saved, soft_photo

PHOTO = soft_photo()


def test_chunks_of_a_png_follow_each_other_without_a_gap() -> None:
    data = photo_file("PNG", dpi=(300, 300))

    walked = list(png.chunks(io.BytesIO(data + b"a trailer")))

    assert [name for name, _, _ in walked] == [b"pHYs", b"eXIf", b"IDAT", b"IEND"]
    parts = [png.pack_chunk(name, data[place + 8 : place + 8 + length]) for name, place, length in walked]
    assert data[: png.IHDR_END] + b"".join(parts) == data


def test_a_damaged_chunk_of_a_png_is_told_from_a_whole_one() -> None:
    data = photo_file("PNG")[: png.IHDR_END] + png_chunk(b"IDAT", b"whole") + png_chunk(b"IDAT", b"hurt")[:-1] + b"!"
    file = io.BytesIO(data)

    assert [png.is_intact(file, name, length) for name, _, length in png.chunks(file)] == [True, False]
    with pytest.raises(HeaderError):
        png.is_intact(file, b"IDAT", 1)  # the file has ended


def test_segments_of_a_jpeg_follow_each_other_up_to_the_scan() -> None:
    data = saved(PHOTO, "JPEG", comment=b"hello", dpi=(300, 300))

    walked = list(jpeg.segments(io.BytesIO(data)))

    assert [marker for marker, _, _ in walked][:2] == [jpeg.APP0, jpeg.COM]
    assert [marker for marker, _, _ in walked].index(jpeg.SOS) == len(walked) - 1
    parts = [jpeg.pack_segment(marker, data[place + 4 : place + 4 + length]) for marker, place, length in walked]
    assert data.startswith(b"\xff\xd8" + b"".join(parts))


def test_every_scan_of_a_jpeg_and_its_end_are_found_behind_the_first() -> None:
    data = saved(PHOTO, "JPEG", progressive=True)
    scans = data.count(b"\xff\xda")
    last = data.rindex(b"\xff\xda")
    data = data[:last] + jpeg_segment(jpeg.COM, b"\xff\xda is what one looks like") + data[last:]
    *_, (_, place, length) = jpeg.segments(io.BytesIO(data))

    walked = list(jpeg.segments_behind(io.BytesIO(data + b"a film"), place + 4 + length))

    assert sum(marker == jpeg.SOS for marker, _, _ in walked) == scans - 1 > 1
    assert all(data[place : place + 2] == bytes([0xFF, marker]) for marker, place, _ in walked)
    assert walked[-1] == (jpeg.EOI, len(data) - 2, -1)


def test_a_jpeg_that_just_ends_has_the_marker_0_there() -> None:
    data = saved(PHOTO, "JPEG")[:-2]
    *_, (_, place, length) = jpeg.segments(io.BytesIO(data))

    assert list(jpeg.segments_behind(io.BytesIO(data), place + 4 + length)) == [(0, len(data), -1)]
    assert list(jpeg.segments_behind(io.BytesIO(data + b"\xff\xe1\0"), place)) == [
        (jpeg.SOS, place, length),
        (jpeg.APP1, len(data), -1),
    ]


def test_a_restart_is_found_by_its_number() -> None:
    data = b"\xff\xd0" + b"\0" * 262_141 + b"\xff\xd1" + b"\0\xff\0" * 9 + b"\xff\xd2" + b"end"

    found = [jpeg.behind_restart(io.BytesIO(data), 0, len(data), count=count) for count in (1, 2, 3, 4)]

    assert found == [2, 262_145, len(data) - 3, None]


def test_chunks_of_a_webp_follow_each_other_without_a_gap() -> None:
    data = saved(PHOTO, "WEBP", exif=b"Exif\0\0odd", xmp=b"<x/>")
    end = webp.read_end(io.BytesIO(data + b"a trailer"))

    walked = list(webp.chunks(io.BytesIO(data)))

    assert [name for name, _, _ in walked] == [b"VP8X", b"VP8 ", b"EXIF", b"XMP "]
    places = [place for _, place, _ in walked] + [end]
    assert [b - a for a, b in pairwise(places)] == [8 + n + n % 2 for _, _, n in walked]
    assert end == len(data)


def test_images_of_a_gif_are_found_with_the_ends_of_their_data() -> None:
    data = saved(PHOTO, "GIF", save_all=True, append_images=[Image.fromarray(255 - PHOTO)], comment=b"c" * 600)

    walked = list(gif.blocks(io.BytesIO(data + b"a trailer")))

    assert [kind for kind, _ in walked] == [gif.IMAGE, gif.TERMINATOR] * 2
    assert all(data[place - 1 : place] == kind for kind, place in walked)
    assert walked[-1][1] == len(data) - 1


@pytest.mark.parametrize(("lost", "beyond"), [(0, 0), (1, 0), (2, 1), (3, 2)])
def test_data_of_a_gif_ends_beyond_the_file_where_a_piece_is_cut(lost: int, beyond: int) -> None:
    head = b"GIF89a" + struct.pack("<HHBBB", 2, 2, 0, 0, 0) + b"," + struct.pack("<4HB", 0, 0, 2, 2, 0) + b"\2"
    data = head + b"\2D\1" + b"\3abc\0"
    data = data[: len(data) - lost]

    blocks = gif.blocks(io.BytesIO(data))
    kind, end = [next(blocks), next(blocks)][1]

    assert kind == gif.TERMINATOR
    assert end == len(data) + beyond
    with pytest.raises(HeaderError):
        next(blocks)  # there is no trailer


@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_the_last_row_of_a_bmp_ends_where_its_padding_begins(mode: str) -> None:
    data = saved(Image.fromarray(PHOTO[:, :61]).convert(mode), "BMP", dpi=(300, 300))

    info = bmp.read_info(io.BytesIO(data))

    assert (info.width, info.height) == (61, len(PHOTO))
    assert not info.is_packed
    assert 0 <= len(data) - info.end <= 3
    assert bmp.read_resolution(io.BytesIO(data)) == pytest.approx((11_811, 11_811), abs=1)


def test_what_is_packed_is_walked() -> None:
    assert png.pack_chunk(b"teSt", b"payload") == png_chunk(b"teSt", b"payload")
    assert jpeg.pack_segment(jpeg.COM, b"payload") == jpeg_segment(0xFE, b"payload")
