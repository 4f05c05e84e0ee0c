"""
Arrays to files. Worker only. A file holds the pixels and the colour profile it is given, nothing else.

PNG by libvips, level 3, filter "up": the fastest of 32 settings that stays within 25 % of Pillow's level 6 on every
kind of content. CPU ms and file size against Pillow level 6; one core, 12-megapixel cut-outs of real products
(0 under alpha 0), drawings 9 megapixels:

| encoder                  | cut-out       | photo, RGB    | soft mask    | binary mask  | drawing      | gradient |
|--------------------------|---------------|---------------|--------------|--------------|--------------|----------|
| libvips 3, up (used)     | 184 ms  1.13  | 452 ms  1.10  | 13 ms  1.04  | 11 ms  1.14  | 37 ms  1.01  | 1.02     |
| libvips 2, avg           | 160 ms  1.11  | 357 ms  1.06  | 14 ms  1.14  | 12 ms  1.46  | 40 ms  1.22  | 12.4     |
| libvips 1, up            | 110 ms  1.75  | 276 ms  1.70  | 13 ms  2.20  | 11 ms  5.26  |              |          |
| OpenCV 1, avg            | 208 ms  1.19  | 367 ms  1.11  | 20 ms  1.73  | 19 ms  3.58  | 64 ms  1.36  | 16.9     |
| OpenCV 1, paeth, RLE     | 233 ms  0.98  | 413 ms  0.99  | 29 ms  0.99  | 27 ms  1.03  | 77 ms  1.01  | 0.96 [1] |
| Pillow 1                 | 419 ms  1.22  | 1010 ms  1.16 | 46 ms  1.61  | 39 ms  2.91  |              |          |
| Pillow 6                 | 1158 ms  1.00 | 3642 ms  1.00 | 59 ms  1.00  | 53 ms  1.00  | 233 ms  1.00 | 1.00     |

[1] but 4.0 on photos that repeat themselves. A cut-out whose background is still there under alpha 0 is 3.2 times
as large: zero it first.

JPEG by simplejpeg: 31 ms at quality 95, 4:4:4 (Pillow: 64 ms). 4:4:4 because white backgrounds have hard, coloured
edges, which 4:2:0 smears over two pixels; it costs a third more bytes. WebP by Pillow, method 2: 728 ms for the
cut-out, 359 ms for RGB. Method 1 is no faster there, and it cannot encode a detailed photo of 40 megapixels or more
(libwebp's first partition overflows); method 4 takes 1257 ms for 8 % less.
"""

from __future__ import annotations

import io
import struct

import numpy as np
import pyvips
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

pyvips.cache_set_max(0)  # the operation cache keeps whole results
pyvips.concurrency_set(1)  # parallel jobs fill the cores; threads inside one only add memory

_ICC_TAG = b"ICC_PROFILE\0"
_SEGMENT_BYTES = 65_535 - 2 - len(_ICC_TAG) - 2


def encode_png(array: NDArray[np.uint8], *, icc_profile: bytes | None = None) -> bytes:
    """
    Encode losslessly, 8 bits a channel.

    Args:
        array: uint8, 0..255: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha.
        icc_profile: of the array's RGB space; None means sRGB.

    Raises:
        ValueError: any other shape or dtype; a profile with a grey array.
    """
    _check(array, channels={1, 3, 4}, icc_profile=icc_profile)
    kind = "b-w" if array.ndim == 2 else "srgb"
    image = pyvips.Image.new_from_array(np.ascontiguousarray(array), interpretation=kind)
    if icc_profile:
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc_profile)
    data: bytes = image.pngsave_buffer(compression=3, filter="up", keep="icc")
    return _without_density(data)


def encode_webp(array: NDArray[np.uint8], *, icc_profile: bytes | None = None, quality: int = 90) -> bytes:
    """
    Encode with lossy colour and lossless alpha.

    Args:
        array: uint8, 0..255: (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha; 16383 px a side at most.
        icc_profile: of the array's RGB space; None means sRGB.
        quality: 0..100.

    Raises:
        ValueError: any other shape or dtype, or too large for WebP.
    """
    _check(array, channels={3, 4}, icc_profile=icc_profile)
    if max(array.shape) > 16_383:
        raise ValueError(f"WebP holds 16383 px a side, not {array.shape}")
    out = io.BytesIO()
    # exact: what stands under alpha 0 stays, which saves a pass over the image and is 0 in a cut-out anyway
    Image.fromarray(array).save(
        out, "WEBP", quality=quality, alpha_quality=100, method=2, exact=True, icc_profile=icc_profile or b""
    )
    return out.getvalue()


def encode_jpeg(array: NDArray[np.uint8], *, icc_profile: bytes | None = None, quality: int = 95) -> bytes:
    """
    Encode without chroma subsampling (4:4:4).

    Args:
        array: uint8, 0..255: (H, W) grey or (H, W, 3) RGB.
        icc_profile: of the array's RGB space; None means sRGB.
        quality: 1..100.

    Raises:
        ValueError: any other shape or dtype; a profile with a grey array, or one larger than JPEG can hold.
    """
    _check(array, channels={1, 3}, icc_profile=icc_profile)
    if array.ndim == 2:
        grey = np.ascontiguousarray(array)[:, :, None]
        return simplejpeg.encode_jpeg(grey, quality=quality, colorspace="GRAY", colorsubsampling="Gray")
    data = simplejpeg.encode_jpeg(
        np.ascontiguousarray(array), quality=quality, colorspace="RGB", colorsubsampling="444"
    )
    return _with_jpeg_profile(data, icc_profile) if icc_profile else data


def _check(array: NDArray[np.uint8], *, channels: set[int], icc_profile: bytes | None) -> None:
    found = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if array.dtype != np.uint8 or found not in channels or (found == 1 and array.ndim == 3) or not array.size:
        raise ValueError(f"cannot encode {array.dtype} of shape {array.shape}")
    if icc_profile and found == 1:
        raise ValueError("an RGB profile does not fit a grey image")


def _without_density(png: bytes) -> bytes:
    """Cut out the pHYs chunk, which libvips always writes, always before the pixels."""
    position = 8
    while True:
        length, name = struct.unpack_from(">I4s", png, position)
        if name == b"pHYs":
            return png[:position] + png[position + 12 + length :]
        if name == b"IDAT":
            return png
        position += 12 + length


def _with_jpeg_profile(jpeg: bytes, icc_profile: bytes) -> bytes:
    """Insert APP2 segments after the JFIF one."""
    count = -(-len(icc_profile) // _SEGMENT_BYTES)
    if count > 255:
        raise ValueError("a JPEG holds 255 segments of a profile at most")
    segments = []
    for number in range(count):
        payload = icc_profile[number * _SEGMENT_BYTES : (number + 1) * _SEGMENT_BYTES]
        head = struct.pack(">HH12sBB", 0xFFE2, 2 + 14 + len(payload), _ICC_TAG, number + 1, count)
        segments.append(head + payload)
    start = 4 + struct.unpack_from(">H", jpeg, 4)[0]
    return b"".join([jpeg[:start], *segments, jpeg[start:]])
