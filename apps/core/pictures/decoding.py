"""
A client's file as pixels, upright, whatever its colour mode. Worker only.

Memory at 100 megapixels, beside the file: an ordinary JPEG is 300 MB (one copy), 600 MB while it is turned; a
WebP 600 MB with its BGR twin; the other formats 4 bytes a pixel in Pillow and 3 or 4 here, filled strip by strip.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from apps.core.pictures import bmp, png, webp
from apps.core.pictures.colour import (
    WHITE,
    GreyImage,
    cmyk_to_srgb,
    grey_to_srgb,
    is_white_white,
    rgb_to_srgb,
    row_strips,
    usable_profile,
)
from apps.core.pictures.formats import HeaderError, ImageFormat
from apps.core.pictures.imprint import NO_IMPRINT, Imprint, read_imprint
from apps.core.pictures.inspection import ImageHeader, ImageLimits, inspect, unreadable
from apps.core.pictures.jpeg_decoding import decode_channels, trimmed
from apps.core.pictures.jpeg_layout import JpegLayout
from apps.core.pictures.stripping import Stripped, strip
from apps.core.pictures.wholeness import check_whole
from ml.picture.types import AlphaChannel, RgbImage

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_FATAL)  # a client's damaged WebP is no news for the log

# The plugins by hand: `Image.open` would hand a JPEG on to the MPO plugin; its bomb check is `inspect`'s here.
_PLUGINS: dict[ImageFormat, type[ImageFile.ImageFile]] = {
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.PNG: PngImageFile,
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.GIF: GifImageFile,
    ImageFormat.BMP: BmpImageFile,
}
_DAMAGED = (
    HeaderError,
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    NotImplementedError,  # of a layout that a plugin does not know
    struct.error,
    zlib.error,
    cv2.error,
    Image.DecompressionBombError,
)  # everything that Pillow's plugins let through on bad bytes
MAX_SLOW_PIXELS = 10_000_000
"""Of a run-length encoded BMP, which Pillow unpacks in Python: 1 s for these, 10 s for 100 megapixels."""

_BMP_PADDING = bytes(3)  # Pillow insists on the last row's, which may be missing


@dataclass(frozen=True, eq=False)
class Photo:
    """
    Args:
        rgb: (H, W, 3) uint8, 0..255, upright; in `icc_profile`'s space, or sRGB where that is None.
        opacity: (H, W) uint8, 255 opaque: the alpha channel it came with; None where all is opaque.
            The colours under 0 are whatever the file holds.
        icc_profile: a usable RGB profile, to be attached to every output in these colours.
        is_animated: this is the first frame of several.
        is_profile_made: the file came without it: it is what a PNG says of its colours in numbers.
        imprint: its resolution and its author's credit, for what is made of it.
    """

    rgb: RgbImage
    opacity: AlphaChannel | None
    icc_profile: bytes | None
    is_animated: bool
    is_profile_made: bool = False
    imprint: Imprint = NO_IMPRINT

    def over(self, ground_rgb: tuple[int, ...] | None) -> Photo:
        """
        Get ready for a new ground: in colours in which these three numbers, sRGB, look as they are meant.

        Args:
            ground_rgb: 0..255 each; None for a transparent ground.

        Returns:
            The photo itself where any ground of that kind fits it (none, and white, in nearly every profile), else the same
            in sRGB. In sRGB, too, where its profile was made here: so any viewer shows its colours.
        """
        is_fitting = ground_rgb is None or (tuple(ground_rgb) == WHITE and is_white_white(self.icc_profile))
        return self if is_fitting and not self.is_profile_made else self.in_srgb()

    def in_srgb(self) -> Photo:
        """The photo in sRGB, whatever its profile: itself where it has none."""
        if self.icc_profile is None:
            return self
        return replace(self, rgb=self.to_srgb(), icc_profile=None, is_profile_made=False)

    def to_srgb(self, max_side_px: int | None = None) -> RgbImage:
        """
        The picture in the networks' colours.

        Args:
            max_side_px: scale down first so that the long side is at most this.

        Returns:
            (H, W, 3) uint8, sRGB, 0..255: `rgb` itself where neither size nor colours change.
        """
        rgb = self.rgb
        height, width = rgb.shape[:2]
        scale = (max_side_px or max(height, width)) / max(height, width)
        if scale < 1:
            size_wh = max(1, round(width * scale)), max(1, round(height * scale))
            rgb = cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        return rgb_to_srgb(rgb, self.icc_profile)


def decode(data: bytes, *, limits: ImageLimits, field: str = "image") -> Photo:
    """
    Check a file's header again, then decode it.

    Args:
        data: the whole file.
        limits: as for `inspect`.
        field: the request's field, for the error.

    Raises:
        AppError: `VALIDATION_ERROR` on `field`, as from `inspect`, and `UNREADABLE_FILE` where the pixels
            are damaged or cut.
    """
    header = inspect(io.BytesIO(data), limits=limits, field=field)
    try:
        # Asked before somebody paid, and again of every file: so nobody pays for what is refused here.
        layout = check_whole(io.BytesIO(data), header)
        stripped = strip(trimmed(data, layout) if layout else data, header.format)
        rgb, opacity, icc_profile = _pixels(stripped, header, layout)
    except _DAMAGED as error:
        raise unreadable(field) from error
    rgb = _upright(rgb, header.orientation)
    if rgb.shape[:2] != (header.height, header.width):
        raise unreadable(field)
    return Photo(
        rgb,
        None if opacity is None else _upright(opacity, header.orientation),
        icc_profile,
        header.is_animated,
        is_profile_made=stripped.is_profile_made,
        imprint=read_imprint(data, header.format, orientation=header.orientation),
    )


def _pixels(
    stripped: Stripped, header: ImageHeader, layout: JpegLayout | None
) -> tuple[RgbImage, AlphaChannel | None, bytes | None]:
    """RGB, opacity and the profile that still holds for them; all as stored, not yet upright."""
    data, icc_profile, is_made = stripped
    channels = decode_channels(data, layout) if layout else None
    if channels is not None:
        return _jpeg_rgb(channels, icc_profile)
    if header.format is ImageFormat.WEBP and not _has_frames(data):
        rgb, opacity = _still_webp(data)
        return rgb, _significant(opacity, header), usable_profile(icc_profile, "RGB")
    is_bmp = header.format is ImageFormat.BMP
    if is_bmp and header.width * header.height > MAX_SLOW_PIXELS and bmp.read_info(io.BytesIO(data)).is_packed:
        return _packed_bmp(data), None, None
    padding = _BMP_PADDING if is_bmp else b""
    image = _PLUGINS[header.format](io.BytesIO(data + padding))
    _check_size(image.size, header)
    image.load()
    match image.mode:
        case "CMYK":
            return cmyk_to_srgb(image, icc_profile), None, None
        case "1" | "L" | "LA" | "I;16":
            grey, opacity = _grey(image, data)
            kept = icc_profile if is_made else None
            return grey_to_srgb(grey, icc_profile), _significant(opacity, header), kept
        case "RGB" | "RGBA" | "P" | "PA":
            rgb, opacity = _rgb(image, data)
            return rgb, _significant(opacity, header), usable_profile(icc_profile, "RGB")
    raise HeaderError(f"unexpected mode {image.mode}")


def _jpeg_rgb(channels: NDArray[np.uint8], icc_profile: bytes | None) -> tuple[RgbImage, None, bytes | None]:
    match channels.shape[2]:
        case 1:
            return grey_to_srgb(channels[:, :, 0], icc_profile), None, None
        case 3:
            return channels, None, usable_profile(icc_profile, "RGB")
        case _:  # inks, which Adobe's programs store the other way round, and everybody as they do
            inks = Image.fromarray(np.subtract(255, channels, out=channels), mode="CMYK")
            return cmyk_to_srgb(inks, icc_profile), None, None


def _still_webp(data: bytes) -> tuple[RgbImage, AlphaChannel | None]:
    bgr: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if bgr is None or bgr.ndim != 3:
        raise HeaderError("undecodable WebP")
    opacity = bgr[:, :, 3].copy() if bgr.shape[2] == 4 else None
    rgb: Any = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB if opacity is None else cv2.COLOR_BGRA2RGB)
    return rgb, opacity


def _packed_bmp(data: bytes) -> RgbImage:
    """By OpenCV, which is quick, and refuses runs that go on beyond their row, where Pillow is kind and written in Python."""
    bgr: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise HeaderError("undecodable BMP")
    rgb: Any = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)
    return rgb


def _check_size(found_wh: tuple[int, int], header: ImageHeader) -> None:
    """Before memory is taken: the decoder must see the size that was checked against the limits."""
    if found_wh != header.stored_wh:
        raise HeaderError("two sizes in one file")


def _has_frames(data: bytes) -> bool:
    return any(name == b"ANMF" for name, _, _ in webp.chunks(io.BytesIO(data)))


def _rgb(image: Image.Image, data: bytes) -> tuple[RgbImage, AlphaChannel | None]:
    """Colour and palette modes: (H, W, 3), and (H, W) where there is transparency."""
    clear = image.info.get("transparency")
    has_alpha = "A" in image.mode or (image.mode == "P" and clear is not None)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    opacity = np.empty(rgb.shape[:2], np.uint8) if has_alpha or clear is not None else None
    for rows in row_strips(image.height, image.width):
        crop = image.crop((0, rows.start, image.width, rows.stop))
        pixels: Any = np.asarray(crop if crop.mode in {"RGB", "RGBA"} else crop.convert("RGBA" if has_alpha else "RGB"))
        if has_alpha:  # OpenCV takes apart in a fifth of numpy's time
            cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB, dst=rgb[rows])
            cv2.extractChannel(pixels, 3, dst=cast(AlphaChannel, opacity)[rows])
            continue
        rgb[rows] = pixels
        if opacity is not None:
            colour = np.array(clear) >> (8 if _png_depth(data) == 16 else 0)
            opacity[rows] = np.where((pixels == colour).all(axis=2), 0, 255)
    return rgb, opacity


def _grey(image: Image.Image, data: bytes) -> tuple[GreyImage, AlphaChannel | None]:
    """Grey modes: (H, W) twice, the second where there is transparency."""
    clear = image.info.get("transparency")
    grey = np.empty((image.height, image.width), np.uint8)
    opacity = np.empty_like(grey) if image.mode == "LA" or clear is not None else None
    if clear is not None and image.mode == "L":
        clear = clear * 255 // (2 ** _png_depth(data) - 1)  # Pillow scales the pixels up from 2 and 4 bits, not this
    for rows in row_strips(image.height, image.width):
        crop = image.crop((0, rows.start, image.width, rows.stop))
        pixels: Any = np.asarray(crop.convert("L") if crop.mode == "1" else crop)
        if image.mode == "LA":
            grey[rows] = pixels[:, :, 0]
        elif image.mode == "I;16":  # 65535 = 257 * 255; a plain cast would clip, and the photo come out white
            grey[rows] = (pixels.astype(np.uint32) + 128) // 257
        else:
            grey[rows] = pixels
        if opacity is not None:
            opacity[rows] = pixels[:, :, 1] if image.mode == "LA" else np.where(pixels == clear, 0, 255)
    return grey, opacity


def _png_depth(data: bytes) -> int:
    """Bits a channel; only PNG has a transparent colour without a palette, but for 8-bit GIF."""
    return png.read_ihdr(io.BytesIO(data)).depth if data.startswith(png.SIGNATURE) else 8


def _significant(opacity: AlphaChannel | None, header: ImageHeader) -> AlphaChannel | None:
    """None where all is opaque, or where a BMP says that nothing is: programs leave that byte at zero."""
    if opacity is None or opacity.min() == 255:
        return None
    if header.format is ImageFormat.BMP and opacity.max() == 0:
        return None
    return opacity


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn and mirror as EXIF 1..8 asks; the array itself for 1."""
    turned: Any = pixels
    match orientation:
        case 2:
            turned = cv2.flip(pixels, 1)
        case 3:
            turned = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            turned = cv2.flip(pixels, 0)
        case 5:
            turned = cv2.transpose(pixels)
        case 6:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.flip(cv2.transpose(pixels), -1)
        case 8:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return turned
