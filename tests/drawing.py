"""Pictures, files and colour profiles, drawn for a test and kept nowhere."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def four_corners(width: int = 48, height: int = 32) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: red, green, blue and white quarters, so that every turn and mirror shows."""
    image = np.empty((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    image[:top, :left], image[:top, left:] = (220, 30, 30), (30, 200, 40)
    image[top:, :left], image[top:, left:] = (40, 50, 210), (250, 250, 250)
    return image


def soft_photo(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """(height, width, 3) uint8: smooth shades of many colours with a little grain."""
    y, x = np.mgrid[0:height, 0:width]
    shades = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=-1)
    grain = np.random.default_rng(7).normal(0, 2, shades.shape)
    return np.clip(shades + grain, 0, 255).astype(np.uint8)


def stored_for(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The pixels as a camera stores them, so that EXIF `orientation` (1..8) turns them into `upright`."""
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    return np.ascontiguousarray(undo[orientation](upright))


def exif_of(orientation: int, *, order: str = "<") -> bytes:
    """A TIFF structure with nothing but tag 0x0112."""
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def saved(image: Image.Image | NDArray[np.uint8], image_format: str, **options: object) -> bytes:
    """A file, by Pillow."""
    out = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(out, image_format, **options)
    return out.getvalue()


def photo_file(image_format: str, orientation: int = 1, **options: object) -> bytes:
    """`four_corners` as a file that needs turning."""
    pixels = stored_for(four_corners(), orientation)
    if image_format in {"JPEG", "PNG", "WEBP"}:
        options["exif"] = b"Exif\0\0" + exif_of(orientation)
    if image_format in {"JPEG", "WEBP"}:
        options.setdefault("quality", 95)
    return saved(pixels, image_format, **options)


# PNG by hand ------------------------------------------------------------------------------------------------


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_file(
    width: int, height: int, *, depth: int, colour: int, rows: bytes, extra: Iterable[tuple[bytes, bytes]] = ()
) -> bytes:
    """
    A PNG of any kind.

    Args:
        colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        rows: packed pixels of all rows, without filter bytes.
        extra: chunks before the pixels, name and data.
    """
    stride = len(rows) // height if height else 0
    filtered = b"".join(b"\0" + rows[y * stride : (y + 1) * stride] for y in range(height if rows else 0))
    ihdr = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", ihdr), *extra, (b"IDAT", zlib.compress(filtered)), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(png_chunk(name, data) for name, data in chunks)


def png_claiming(width: int, height: int) -> bytes:
    """A header of that size, and no pixels to speak of."""
    return png_file(width, height, depth=8, colour=2, rows=b"")


def png_chunk_names(data: bytes) -> list[str]:
    names, position = [], 8
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        names.append(name.decode())
        position += 12 + length
    return names


# ICC by hand ------------------------------------------------------------------------------------------------


def icc_file(space: bytes, pcs: bytes, device: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, device, space, pcs)
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


WIDE_MATRIX = np.array([[0.5151, 0.2919, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
WIDE_GAMMA = 2.2


def wide_rgb_profile() -> bytes:
    """Display P3's primaries with a plain gamma."""
    columns = {name: _xyz(*WIDE_MATRIX[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    curves = {name: _gamma(WIDE_GAMMA) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return icc_file(b"RGB ", b"XYZ ", b"mntr", {b"wtpt": _xyz(0.9642, 1.0, 0.8249), **columns, **curves})


def paper_profile() -> bytes:
    """An RGB profile of a device whose whitest is a light yellow."""
    matrix = WIDE_MATRIX * [[0.9], [0.9], [0.6]]
    columns = {name: _xyz(*matrix[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    curves = {name: _gamma(WIDE_GAMMA) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return icc_file(b"RGB ", b"XYZ ", b"mntr", {b"wtpt": _xyz(0.9642, 1.0, 0.8249), **columns, **curves})


def grey_profile(gamma: float) -> bytes:
    return icc_file(b"GRAY", b"XYZ ", b"mntr", {b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"kTRC": _gamma(gamma)})


def cmyk_profile() -> bytes:
    """A press on which any ink at all prints mid grey and none prints white."""
    identity = bytes(range(256))
    grid = b"".join(bytes([255 if corner == 0 else 128, 128, 128]) for corner in range(16))
    matrix = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + identity * 4 + grid + identity * 3
    return icc_file(b"CMYK", b"Lab ", b"prtr", {b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"A2B0": lut})


def photo_png(
    width: int = 96, height: int = 64, *, box: tuple[int, int, int, int] | None = (24, 16, 72, 48), noise: bool = False
) -> bytes:
    """A PNG of a dark red subject, `box` (x0, y0, x1, y1), on light grey; a flat grey where `box` is None."""
    picture = Image.new("RGB", (width, height), (230, 230, 230))
    if box is not None:
        x0, y0, x1, y1 = box
        if (width, height) != (96, 64) and box == (24, 16, 72, 48):
            x0, y0, x1, y1 = width // 4, height // 4, width * 3 // 4, height * 3 // 4
        picture.paste((120, 20, 30), (x0, y0, x1, y1))
    if noise:
        picture = Image.effect_noise((width, height), 80).convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


# JPEG by hand -------------------------------------------------------------------------------------------------


def jpeg_segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def jpeg_scan(
    components: Iterable[int], *, band: tuple[int, int] = (0, 63), bits: tuple[int, int] = (0, 0), data: bytes = b""
) -> bytes:
    """A scan's header and data; `bits` are the ones before and after, of a progressive JPEG."""
    numbers = list(components)
    named = b"".join(bytes([number, 0]) for number in numbers)
    header = bytes([len(numbers)]) + named + bytes([*band, bits[0] << 4 | bits[1]])
    return jpeg_segment(0xDA, header) + data


def jpeg_of(scans: bytes, *, width: int, height: int, frame: int = 0xC0, components: int = 3) -> bytes:
    """
    A JPEG without subsampling whose tables know two codes each, and no end marker.

    Its codes for a block's mean: 0 as before, 10 and three bits more; for the rest of a block: 0, nothing follows.
    """
    shape = struct.pack(">BHHB", 8, height, width, components)
    shape += b"".join(bytes([number, 0x11, 0]) for number in range(1, components + 1))
    mean = jpeg_segment(0xC4, bytes([0x00, 1, 1, *bytes(14), 0, 3]))
    rest = jpeg_segment(0xC4, bytes([0x10, 1, *bytes(15), 0]))
    tables = jpeg_segment(0xDB, bytes([0]) + b"\x10" * 64) + mean + rest
    return b"\xff\xd8" + tables + jpeg_segment(frame, shape) + scans


def jpeg_blocks(count: int) -> bytes:
    """The data of so many blocks that go up from grey, each by 7 steps."""
    bits = "101110" * count
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def jpeg_of_scans(count: int, *, side_px: int = 64, frame: int = 0xC2) -> bytes:
    """A progressive JPEG of so many scans, none of which is complete: each is a pass over the whole picture."""
    first = jpeg_scan([1, 2, 3], band=(0, 0), bits=(0, 1))
    more = jpeg_scan([1], band=(1, 63), bits=(0, 1)) * (count - 1)
    return jpeg_of(first + more, width=side_px, height=side_px, frame=frame) + b"\xff\xd9"
