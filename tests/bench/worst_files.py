"""
The worst legal files that are known: 100 megapixels in 25 MB, made so that as much as can be is to be done about them.

All show something large and dark on something light, so that the networks keep it, and noise everywhere.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from tests.drawing import icc_file, jpeg_segment, png_chunk

SIDE_PX = 10_000
MB = 1_048_576
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_LIGHT, _DARK = ((250, 240, 230), (180, 200, 220)), ((120, 20, 40), (190, 10, 30), (130, 70, 5))
_random = np.random.default_rng(5)


def _half_width(y: int, side_px: int) -> int:
    """Half the width of the dark ellipse in a row."""
    middle, radius = side_px / 2, side_px * 0.46
    return int(radius * max(0.0, 1 - ((y - middle) / radius) ** 2) ** 0.5)


def _rows(side_px: int) -> Iterator[NDArray[np.uint8]]:
    """Rows of numbers of colours: 0 and 1 light, 2 to 4 dark."""
    for y in range(side_px):
        row = np.ones(side_px, np.uint8)
        half = _half_width(y, side_px)
        row[side_px // 2 - half : side_px // 2 + half] = 2 + _random.integers(0, 3, 2 * half, np.uint8)
        yield row


def _noisy_pixels() -> NDArray[np.uint8]:
    """(H, W, 3) uint8."""
    palette = np.array([*_LIGHT, *_DARK], np.uint8)
    pixels = np.empty((SIDE_PX, SIDE_PX, 3), np.uint8)
    for y, row in enumerate(_rows(SIDE_PX)):
        pixels[y] = palette[row]
    return pixels


# PNG ----------------------------------------------------------------------------------------------------------


def _png(head: bytes, extra: Iterable[tuple[bytes, bytes]], rows: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_HUFFMAN_ONLY)
    packed = b"".join([*(packer.compress(row) for row in rows), packer.flush()])
    chunks = [(b"IHDR", head), *extra, (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, data) for name, data in chunks)


def png_of_noise(opacity: bytes = b"") -> bytes:
    """Palette colours at random, 1.5 bits a pixel; with `opacity` of each colour, a veil of noise too."""
    palette = bytes(level for colour in (*_LIGHT, *_DARK) for level in colour)
    extra = [(b"PLTE", palette)] + ([(b"tRNS", opacity)] if opacity else [])
    head = struct.pack(">IIBBBBB", SIDE_PX, SIDE_PX, 8, 3, 0, 0, 0)
    return _png(head, extra, (b"\0" + row.tobytes() for row in _rows(SIDE_PX)))


def png_in_passes(depth: int = 8, side_px: int = SIDE_PX) -> bytes:
    """RGBA, interlaced, by the slowest filter, noise in every channel: 400 MB inflated, 500 of 16 bits."""
    head = struct.pack(">IIBBBBB", side_px, side_px, depth, 6, 0, 0, 1)
    pattern = _random.integers(0, 256, 4096, np.uint8).tobytes() * 20
    packer, parts = zlib.compressobj(1), []
    for left, top, step_x, step_y in _ADAM7:
        columns, rows = -(-(side_px - left) // step_x), -(-(side_px - top) // step_y)
        parts += [packer.compress(b"\4" + pattern[: columns * depth // 2]) for _ in range(rows)]
    chunks = [(b"IHDR", head), (b"IDAT", b"".join([*parts, packer.flush()])), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, data) for name, data in chunks)


# JPEG ---------------------------------------------------------------------------------------------------------


def jpeg_of_noise(profile: bytes = b"") -> bytes:
    """A baseline JPEG of 25 MB, with a colour profile."""
    quality = 40
    while len(data := simplejpeg.encode_jpeg(_noisy_pixels(), quality=quality, colorsubsampling="444")) > 24 * MB:
        quality -= 8
    segments = [
        jpeg_segment(
            0xE2, b"ICC_PROFILE\0" + bytes([number + 1, -(-len(profile) // 65_000)]) + profile[at : at + 65_000]
        )
        for number, at in enumerate(range(0, len(profile), 65_000))
    ]
    return data[:2] + b"".join(segments) + data[2:]


def jpeg_in_scans() -> bytes:
    """Progressive, random data in as many scans as are allowed: nearly 64 million blocks visited."""
    mean, rest = bytes([0, 0, 1, 5, 1, 1, 1, 1, 1, 1, *bytes(7), *range(12)]), bytes([0x10, 0, 3, 1, *bytes(13)])
    tables = jpeg_segment(0xC4, mean) + jpeg_segment(0xC4, rest + bytes([0x01, 0x11, 0x00, 0xF0]))
    bands = [(7, 6), (6, 5), (5, 4)]
    scans = [((1, 2, 3), 0, 0, 0, 1), *(((number,), 1, 63, 0, 7) for number in (1, 2, 3))]
    scans += [((number,), 1, 63, high, low) for high, low in bands for number in (1, 2, 3)]
    return _random_jpeg(0xC2, tables, scans)


def jpeg_arithmetic() -> bytes:
    """Arithmetic-coded random data, as many pixels as are allowed."""
    return _random_jpeg(0xC9, b"", [((1,), 0, 63, 0, 0)], components=1, side_px=7_990)


def _random_jpeg(
    frame: int,
    tables: bytes,
    scans: list[tuple[tuple[int, ...], int, int, int, int]],
    *,
    components: int = 3,
    side_px: int = SIDE_PX,
) -> bytes:
    shape = struct.pack(">BHHB", 8, side_px, side_px, components)
    shape += b"".join(bytes([number + 1, 0x11, 0]) for number in range(components))
    parts = [b"\xff\xd8", jpeg_segment(0xDB, b"\0" + b"\1" * 64), tables, jpeg_segment(frame, shape)]
    for numbers, first, last, high, low in scans:
        named = b"".join(bytes([number, 0]) for number in numbers)
        parts.append(jpeg_segment(0xDA, bytes([len(numbers)]) + named + bytes([first, last, high << 4 | low])))
        parts.append(_random.integers(0, 255, int(24.9 * MB) // len(scans), np.uint8).tobytes())  # no 255
    return b"".join(parts) + b"\xff\xd9"


def profile_of_tables() -> bytes:
    """An RGB profile of 33 x 33 x 33 colours, whose white is none."""
    size = 33
    grid = np.sort(_random.integers(0, 60_000, (size**3, 3)), axis=0).astype(">u2").tobytes()
    ramp = np.linspace(0, 65_535, 256).astype(">u2").tobytes()
    one = struct.pack(">9i", *(65_536 * (number % 4 == 0) for number in range(9)))
    tables = b"mft2\0\0\0\0" + bytes([3, 3, size, 0]) + one + struct.pack(">HH", 256, 256) + ramp * 3 + grid + ramp * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65_536 * value) for value in (0.9642, 1.0, 0.8249)))
    return icc_file(b"RGB ", b"Lab ", b"scnr", {b"wtpt": white, b"A2B0": tables})


# The others ---------------------------------------------------------------------------------------------------


def webp_of_noise(*, lossless: bool) -> bytes:
    """Lossy, or lossless with every tenth pixel another."""
    out = io.BytesIO()
    if not lossless:
        Image.fromarray(_noisy_pixels()).save(out, "WEBP", quality=15, method=2)
        return out.getvalue()
    pixels = np.full((SIDE_PX, SIDE_PX, 3), 230, np.uint8)
    pixels[2000:8000, 2000:8000] = (120, 20, 30)
    pixels[_random.random((SIDE_PX, SIDE_PX), np.float32) < 0.1] ^= 8
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, method=0, quality=0)
    return out.getvalue()


def gif() -> bytes:
    """Interlaced, 10 MB."""
    noise = (_random.random((SIDE_PX, SIDE_PX), np.float32) < 0.07).astype(np.uint8)
    noise[2000:8000, 2000:8000] += 2
    picture = Image.fromarray(noise, mode="P")
    picture.putpalette([level for colour in (*_LIGHT, *_DARK) for level in colour])
    out = io.BytesIO()
    picture.save(out, "GIF", interlace=1)
    return out.getvalue()


def packed_bmp(bits: int, *, side_px: int = SIDE_PX, runs_a_row: int = 500) -> bytes:
    """Run-length encoded, 4 or 8 bits, in runs of some pixels each."""
    counts = np.full(runs_a_row, side_px // runs_a_row, np.uint8)
    counts[: side_px % runs_a_row] += 1
    middles = np.cumsum(counts.astype(int)) - counts // 2
    body = bytearray()
    for y in range(side_px):
        dark = np.abs(middles - side_px / 2) < _half_width(y, side_px)
        colours = np.where(dark, 2 + _random.integers(0, 3, runs_a_row), _random.integers(0, 2, runs_a_row))
        colours = colours * 17 if bits == 4 else colours
        body += np.stack([counts, colours.astype(np.uint8)], 1).tobytes() + b"\0\0"
    palette = b"".join(bytes([*colour[::-1], 0]) for colour in (*_LIGHT, *_DARK)).ljust(64, b"\0")
    offset, kind = 54 + len(palette), {8: 1, 4: 2}[bits]
    head = struct.pack("<2sIHHI", b"BM", offset + len(body), 0, 0, offset)
    head += struct.pack("<IiiHHIIiiII", 40, side_px, side_px, 1, bits, kind, len(body), 0, 0, 16, 0)
    return head + palette + bytes(body)


FILES: dict[str, Callable[[], bytes]] = {
    "baseline.jpg": jpeg_of_noise,
    "profile.jpg": lambda: jpeg_of_noise(profile_of_tables()),
    "scans.jpg": jpeg_in_scans,
    "arithmetic.jpg": jpeg_arithmetic,
    "noise.png": png_of_noise,
    "veil.png": lambda: png_of_noise(bytes([60, 90, 150, 180, 215])),
    "passes.png": png_in_passes,
    "passes16.png": lambda: png_in_passes(16, 8_090),
    "lossy.webp": lambda: webp_of_noise(lossless=False),
    "lossless.webp": lambda: webp_of_noise(lossless=True),
    "noise.gif": gif,
    "packed4.bmp": lambda: packed_bmp(4),
    "packed8.bmp": lambda: packed_bmp(8, side_px=7_000, runs_a_row=1_800),
}
"""Each with what makes it; 50 megapixels where only the removal of watermarks takes so many bytes."""
