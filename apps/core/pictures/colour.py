"""Colour profiles: which are usable, and pixels to sRGB in strips, so that Pillow never holds a whole photo."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ml.picture.types import RgbImage

GreyImage: TypeAlias = NDArray[np.uint8]
"""(H, W) uint8, 0..255."""

WHITE = (255, 255, 255)

_PROGRAMS = (b"D2B", b"B2D")

_STRIP_PIXELS = 1_000_000  # Pillow holds 4 bytes of each beside ours
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION  # as browsers and Photoshop do


def usable_profile(icc_profile: bytes | None, mode: str) -> bytes | None:
    """
    Pass a profile on if pixels of that mode can be converted with it.

    Args:
        icc_profile: any bytes.
        mode: Pillow's name of what the pixels are: `RGB`, `L` or `CMYK`.

    Returns:
        The profile; None for rubbish and for a profile of another colour space.
    """
    return icc_profile if icc_profile and _transform(icc_profile, mode) else None


def rgb_to_srgb(rgb: RgbImage, icc_profile: bytes | None) -> RgbImage:
    """
    Convert from the profile's space.

    Args:
        rgb: (H, W, 3) uint8, 0..255, in the profile's space.
        icc_profile: None means sRGB already; one that is unusable counts as None.

    Returns:
        (H, W, 3) uint8, sRGB: `rgb` itself where nothing changes by more than one level.
    """
    transform = _transform(icc_profile, "RGB") if icc_profile else None
    if transform is None or _is_identity(transform):
        return rgb
    return _by_strips(rgb.shape[0], rgb.shape[1], lambda rows: Image.fromarray(rgb[rows]), transform)


def is_white_white(icc_profile: bytes | None) -> bool:
    """Does a profile show its whitest pixel as sRGB's pure white? Those of screens do, those of papers may not."""
    white = np.full((1, 1, 3), 255, np.uint8)
    return bool((rgb_to_srgb(white, icc_profile) == 255).all())


def srgb_to_rgb(rgb: RgbImage, icc_profile: bytes | None) -> RgbImage:
    """
    Convert to the profile's space: what `rgb_to_srgb` undoes, to within a level or two.

    Args:
        rgb: (H, W, 3) uint8, sRGB, 0..255.
        icc_profile: None means sRGB; one that is unusable, or that leads only to sRGB, counts as None.

    Returns:
        (H, W, 3) uint8: `rgb` itself where nothing changes by more than one level.
    """
    transform = _from_srgb(icc_profile) if icc_profile else None
    if transform is None or _is_identity(transform):
        return rgb
    return _by_strips(rgb.shape[0], rgb.shape[1], lambda rows: Image.fromarray(rgb[rows]), transform)


def grey_to_srgb(grey: GreyImage, icc_profile: bytes | None) -> RgbImage:
    """
    Convert grey, with its profile's tone curve where it has one.

    Args:
        grey: (H, W) uint8, 0..255.
        icc_profile: a grey one; any other counts as None.

    Returns:
        (H, W, 3) uint8, sRGB.
    """
    transform = _transform(icc_profile, "L", flags=_FLAGS | ImageCms.Flags.NOOPTIMIZE) if icc_profile else None
    if transform is None:
        return np.repeat(grey[:, :, None], 3, axis=2)
    levels = np.arange(256, dtype=np.uint8)[None]
    # One row of all levels, unoptimised: LittleCMS's own table for grey is up to 10 levels off in the dark
    table = np.asarray(ImageCms.applyTransform(Image.fromarray(levels), transform))[0]
    return np.take(table, grey, axis=0)


def cmyk_to_srgb(image: Image.Image, icc_profile: bytes | None) -> RgbImage:
    """
    Convert print colours, with their profile where there is one, else by Pillow's plain formula.

    Args:
        image: mode CMYK, 0 no ink.
        icc_profile: a CMYK one; any other counts as None.

    Returns:
        (H, W, 3) uint8, sRGB.
    """
    transform = _transform(icc_profile, "CMYK") if icc_profile else None

    def strip(rows: slice) -> Image.Image:
        return image.crop((0, rows.start, image.width, rows.stop))

    return _by_strips(image.height, image.width, strip, transform)


def row_strips(height: int, width: int) -> Iterator[slice]:
    """Rows of about a megapixel each, from the top."""
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def _by_strips(
    height: int,
    width: int,
    strip: Callable[[slice], Image.Image],
    transform: ImageCms.ImageCmsTransform | None,
) -> RgbImage:
    out = np.empty((height, width, 3), np.uint8)
    for rows in row_strips(height, width):
        image = strip(rows)
        converted = ImageCms.applyTransform(image, transform) if transform else image.convert("RGB")
        out[rows] = np.asarray(converted)
    return out


def _transform(icc_profile: bytes, mode: str, *, flags: ImageCms.Flags = _FLAGS) -> ImageCms.ImageCmsTransform | None:
    """To sRGB; None where LittleCMS cannot read the profile, or it is for another kind of pixels."""
    try:
        source = _opened(icc_profile)
        return ImageCms.buildTransform(source, _srgb(), mode, "RGB", _INTENT, flags)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _from_srgb(icc_profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        target = _opened(icc_profile)
        return ImageCms.buildTransform(_srgb(), target, "RGB", "RGB", _INTENT, _FLAGS)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _opened(icc_profile: bytes) -> ImageCms.ImageCmsProfile:
    """
    A profile without its programs (tags `D2Bx` and `B2Dx`), which LittleCMS would prefer to its tables.

    A table of a few kilobytes may call one matrix of 15 x 15 a thousand times, which costs 6 s of CPU for each transform
    that is built, and one of megabytes hours. Browsers know no programs either.
    """
    data = bytearray(icc_profile)
    count = int.from_bytes(data[128:132], "big")
    for entry in range(132, min(132 + 12 * count, len(data) - 11), 12):
        if data[entry : entry + 3] in _PROGRAMS:
            data[entry : entry + 3] = data[entry : entry + 3].lower()  # a name that means nothing, and is still its own
    return ImageCms.ImageCmsProfile(io.BytesIO(bytes(data)))


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _lattice() -> RgbImage:
    """(9, 81, 3) uint8: nine levels of each channel, in every combination."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(9, 81, 3)


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    converted = ImageCms.applyTransform(Image.fromarray(_lattice()), transform)
    difference = np.asarray(converted).astype(np.int16) - _lattice()
    return bool(np.abs(difference).max() <= 1)
