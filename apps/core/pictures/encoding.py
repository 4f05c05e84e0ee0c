"""
Arrays to files. Worker only. A file holds the pixels, the colour profile and the imprint it is given, nothing else.

PNG by ISA-L: filter "up", igzip level 2, a sixth of what libvips takes. Its deflate never gets below a two hundredth
of the pixels, so what it makes small (masks, drawings, ramps: cheap ones all) is done again by libvips, level 3,
filter "up". CPU ms and file size against Pillow level 6; one core, 1 megapixel each, 3 megapixels the last two:

| encoder         | cut-out     | photo, RGB  | on white    | soft mask   | binary mask | drawing     | ramp        |
|-----------------|-------------|-------------|-------------|-------------|-------------|-------------|-------------|
| both, as used   | 3.1 ms 1.11 | 11 ms 1.04  | 3.3 ms 1.11 | 0.5 ms 1.18 | 3.7 ms 1.12 | 5.2 ms 1.04 | 18 ms 1.03  |
| ISA-L 2, up     | 3.1 ms 1.11 | 11 ms 1.04  | 3.3 ms 1.11 | 0.5 ms 1.18 | 0.2 ms 1.58 | 5.2 ms 1.04 | 1.8 ms 3.65 |
| libvips 3, up   | 19 ms 1.06  | 52 ms 0.99  | 20 ms 1.05  | 4.5 ms 1.10 | 3.5 ms 1.12 | 32 ms 0.99  | 16 ms 1.03  |
| ISA-L 2, avg    | 3.3 ms 1.12 | 11 ms 1.05  | 3.4 ms 1.07 | 0.6 ms 1.17 | 0.3 ms 1.91 | 7.6 ms 1.24 | 1.9 ms 8.97 |
| ISA-L 2, none   | 3.1 ms 1.38 | 12 ms 1.61  | 3.1 ms 1.45 | 0.4 ms 1.11 | 0.2 ms 1.43 | 5.3 ms 0.89 | 3.9 ms 24.8 |
| libdeflate 1    | 14 ms 1.07  |             |             |             |             |             |             |
| zlib-ng 2, up   | 9.6 ms 1.07 |             |             |             |             |             |             |

OpenCV took 208 ms, libvips 184 and Pillow 1158 for 12 megapixels. A cut-out whose background is still there under
alpha 0 is 3.2 times as large: zero it first.

JPEG by simplejpeg: 31 ms at quality 95, 4:4:4 (Pillow: 64 ms). 4:4:4 because white backgrounds have hard, coloured
edges, which 4:2:0 smears over two pixels; it costs a third more bytes. WebP by Pillow, method 2: 728 ms for the
cut-out, 359 ms for RGB. Method 1 is no faster there, and it cannot encode a detailed photo of 40 megapixels or more
(libwebp's first partition overflows); method 4 takes 1257 ms for 8 % less.
An alpha channel of noise, from 16 megapixels on, by `webp_alpha`: 7 to 15 s less for 100 megapixels. Colours of noise, which
quality 90 would give more than a byte a pixel (photos 0.1 to 0.5), at quality 70 from there on: 9.4 s instead of 12.7.
"""

from __future__ import annotations

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pyvips
import simplejpeg
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image

from apps.core.pictures import jpeg, png
from apps.core.pictures.imprint import NO_IMPRINT, Imprint
from apps.core.pictures.imprint_writing import exif_of, into_jpeg, into_png, xmp_of
from apps.core.pictures.webp_alpha import LARGE_PIXELS, add_alpha, is_large_noise, pack

pyvips.cache_set_max(0)  # the operation cache keeps whole results
pyvips.concurrency_set(1)  # parallel jobs fill the cores; threads inside one only add memory

_PROFILE_BYTES = 65_535 - 2 - len(jpeg.ICC_TAG) - 2  # in one segment
_STRIP_BYTES = 1 << 20  # filtered and packed at once, so that 100 megapixels need no second copy
_SMALL_SHARE = 1 / 25  # of the pixels: below it the quick way's files may be far from the smallest
_NOISY_BYTES_A_PIXEL, _NOISE_QUALITY = 1.0, 70
_PROBE_PX, _PROBES_A_SIDE = 256, 3
_UP = 2  # PNG's number of the filter
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}


def encode_png(array: NDArray[np.uint8], *, icc_profile: bytes | None = None, imprint: Imprint = NO_IMPRINT) -> bytes:
    """
    Encode losslessly, 8 bits a channel.

    Args:
        array: uint8, 0..255: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha.
        icc_profile: of the array's RGB space; None means sRGB.
        imprint: resolution, and who made the picture.

    Raises:
        ValueError: any other shape or dtype; a profile with a grey array.
    """
    _check(array, channels={1, 3, 4}, icc_profile=icc_profile)
    array = np.ascontiguousarray(array)
    parts = _pack(array)
    if sum(map(len, parts)) < array.nbytes * _SMALL_SHARE:
        return into_png(_encode_small_png(array, icc_profile), imprint)
    height, width = array.shape[:2]
    kind = _COLOUR_TYPES[1 if array.ndim == 2 else array.shape[2]]
    chunks = [png.pack_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if icc_profile:
        chunks.append(png.pack_chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc_profile)))
    pixels = [png.pack_chunk(b"IDAT", part) for part in parts]
    return into_png(b"".join([png.SIGNATURE, *chunks, *pixels, png.pack_chunk(b"IEND", b"")]), imprint)


def _pack(array: NDArray[np.uint8]) -> list[bytes]:
    """The filtered rows as parts of one zlib stream; every row is its difference from the one above it."""
    rows = array.reshape(len(array), -1)
    strip_rows = max(1, _STRIP_BYTES // rows.shape[1])
    packer, parts = isal_zlib.compressobj(level=2), []
    for top in range(0, len(rows), strip_rows):
        strip = rows[top : top + strip_rows]
        filtered = np.empty((len(strip), 1 + rows.shape[1]), np.uint8)
        filtered[:, 0] = _UP
        np.subtract(strip[0], rows[top - 1] if top else 0, out=filtered[0, 1:])
        np.subtract(strip[1:], strip[:-1], out=filtered[1:, 1:])
        parts.append(packer.compress(filtered))
    parts.append(packer.flush())
    return [part for part in parts if part]


def _encode_small_png(array: NDArray[np.uint8], icc_profile: bytes | None) -> bytes:
    """For what packs well: libvips takes longer and finds more."""
    kind = "b-w" if array.ndim == 2 else "srgb"
    image = pyvips.Image.new_from_array(array, interpretation=kind)
    if icc_profile:
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc_profile)
    data: bytes = image.pngsave_buffer(compression=3, filter="up", keep="icc")
    return _without_density(data)


def encode_webp(
    array: NDArray[np.uint8], *, icc_profile: bytes | None = None, imprint: Imprint = NO_IMPRINT, quality: int = 90
) -> bytes:
    """
    Encode with lossy colour and lossless alpha.

    Args:
        array: uint8, 0..255: (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha; 16383 px a side at most.
        icc_profile: of the array's RGB space; None means sRGB.
        imprint: resolution, and who made the picture.
        quality: 0..100; less for noise of `LARGE_PIXELS` and more.

    Raises:
        ValueError: any other shape or dtype, or too large for WebP.
    """
    _check(array, channels={3, 4}, icc_profile=icc_profile)
    if max(array.shape) > 16_383:
        raise ValueError(f"WebP holds 16383 px a side, not {array.shape}")
    quality = _affordable(array, quality)
    if array.shape[2] == 3 or not is_large_noise(array[..., 3]):
        return _encode_webp(array, icc_profile, imprint, quality)
    with ThreadPoolExecutor(1) as beside:
        packed = beside.submit(pack, array[..., 3])
        rgb: Any = cv2.cvtColor(array, cv2.COLOR_RGBA2RGB)
        colours = _encode_webp(rgb, icc_profile, imprint, quality)
    height, width = array.shape[:2]
    return add_alpha(colours, packed.result(), size_wh=(width, height))


def _affordable(array: NDArray[np.uint8], quality: int) -> int:
    """The quality, or a lower one where places all over a large picture say that it is noise, which no quality keeps."""
    height, width = array.shape[:2]
    if height * width < LARGE_PIXELS or min(height, width) < _PROBE_PX or quality <= _NOISE_QUALITY:
        return quality
    tops, lefts = (np.linspace(0, side - _PROBE_PX, _PROBES_A_SIDE).astype(int) for side in (height, width))
    probes = [[array[top:, left:][:_PROBE_PX, :_PROBE_PX, :3] for left in lefts] for top in tops]
    probe = np.concatenate([np.concatenate(row, axis=1) for row in probes])
    size_bytes = len(_encode_webp(probe, None, NO_IMPRINT, quality))
    return _NOISE_QUALITY if size_bytes > _NOISY_BYTES_A_PIXEL * probe.shape[0] * probe.shape[1] else quality


def _encode_webp(array: NDArray[np.uint8], icc_profile: bytes | None, imprint: Imprint, quality: int) -> bytes:
    out = io.BytesIO()
    # exact: what stands under alpha 0 stays, which saves a pass over the image and is 0 in a cut-out anyway
    Image.fromarray(array).save(
        out,
        "WEBP",
        quality=quality,
        alpha_quality=100,
        method=2,
        exact=True,
        icc_profile=icc_profile or b"",
        exif=exif_of(imprint),
        xmp=xmp_of(imprint),
    )
    return out.getvalue()


def encode_jpeg(
    array: NDArray[np.uint8], *, icc_profile: bytes | None = None, imprint: Imprint = NO_IMPRINT, quality: int = 95
) -> bytes:
    """
    Encode without chroma subsampling (4:4:4).

    Args:
        array: uint8, 0..255: (H, W) grey or (H, W, 3) RGB.
        icc_profile: of the array's RGB space; None means sRGB.
        imprint: resolution, and who made the picture.
        quality: 1..100.

    Raises:
        ValueError: any other shape or dtype; a profile with a grey array, or one larger than JPEG can hold.
    """
    _check(array, channels={1, 3}, icc_profile=icc_profile)
    if array.ndim == 2:
        grey = np.ascontiguousarray(array)[:, :, None]
        data = simplejpeg.encode_jpeg(grey, quality=quality, colorspace="GRAY", colorsubsampling="Gray")
        return into_jpeg(data, imprint)
    data = simplejpeg.encode_jpeg(
        np.ascontiguousarray(array), quality=quality, colorspace="RGB", colorsubsampling="444"
    )
    return into_jpeg(_with_jpeg_profile(data, icc_profile) if icc_profile else data, imprint)


def _check(array: NDArray[np.uint8], *, channels: set[int], icc_profile: bytes | None) -> None:
    found = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if array.dtype != np.uint8 or found not in channels or (found == 1 and array.ndim == 3) or not array.size:
        raise ValueError(f"cannot encode {array.dtype} of shape {array.shape}")
    if icc_profile and found == 1:
        raise ValueError("an RGB profile does not fit a grey image")


def _without_density(data: bytes) -> bytes:
    """Cut out the pHYs chunk, which libvips always writes, always before the pixels."""
    for name, place, length in png.chunks(io.BytesIO(data)):
        if name == b"pHYs":
            return data[:place] + data[place + 12 + length :]
        if name == b"IDAT":
            break
    return data


def _with_jpeg_profile(data: bytes, icc_profile: bytes) -> bytes:
    """Insert APP2 segments after the JFIF one."""
    count = -(-len(icc_profile) // _PROFILE_BYTES)
    if count > 255:
        raise ValueError("a JPEG holds 255 segments of a profile at most")
    parts = (icc_profile[number * _PROFILE_BYTES : (number + 1) * _PROFILE_BYTES] for number in range(count))
    payloads = (jpeg.ICC_TAG + bytes([number, count]) + part for number, part in enumerate(parts, start=1))
    _, place, length = next(jpeg.segments(io.BytesIO(data)))
    start = place + 4 + length
    return b"".join([data[:start], *(jpeg.pack_segment(jpeg.APP2, payload) for payload in payloads), data[start:]])
