"""What a PNG says of its own colours: seen as a browser shows it, and written so that every viewer does."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from apps.core.pictures.decoding import Photo, decode
from apps.core.pictures.formats import ImageFormat
from apps.core.pictures.inspection import ImageLimits
from tests import drawing

LIMITS = ImageLimits(frozenset({ImageFormat.PNG}), 10_000_000, 4000, 4000, 16_000_000)
SRGB_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_CHRM = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
ADOBE_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
LINEAR = (b"gAMA", struct.pack(">I", 100_000))
MAC = (b"gAMA", struct.pack(">I", 55_556))
PLAIN = (b"gAMA", struct.pack(">I", 45_455))
SRGB = (b"sRGB", b"\0")
TRUE = np.array([[(32, 144, 224), (200, 90, 60), (128, 128, 128), (250, 250, 250)]], np.uint8)
"""What the eye shall see, sRGB."""


def light(srgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    x = srgb / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def to_levels(signal: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.round(np.clip(signal, 0, 1) * 255).astype(np.uint8)


def linear(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As a file with a gAMA of 1 stores them, for a display of 2.2."""
    return to_levels((levels / 255) ** 2.2)


def pq(linear: NDArray[np.float64], white_nits: float = 203) -> NDArray[np.float64]:
    y = (linear * white_nits / 10_000) ** (2610 / 16384)
    power: NDArray[np.float64] = ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)
    return power


def hlg(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    scene = (linear * 0.2032) ** (1 / 1.2)
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene, 1) - 0.28466892) + 0.55991073
    )


def png(pixels: NDArray[np.uint8], *chunks: tuple[bytes, bytes], behind: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).tobytes()
    colour = 0 if pixels.ndim == 2 else {3: 2, 4: 6}[pixels.shape[2]]
    whole = drawing.png_file(width, height, depth=8, colour=colour, rows=rows, extra=chunks)
    end = whole.index(b"IEND") - 4
    return whole[:end] + b"".join(drawing.png_chunk(*chunk) for chunk in behind) + whole[end:]


def icc(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"p\0\0" + zlib.compress(profile)


def opened(data: bytes) -> Photo:
    return decode(data, limits=LIMITS)


def off_by(photo: Photo, true: NDArray[np.uint8] = TRUE) -> int:
    """Levels, at most, between what the networks see and what the eye shall see."""
    return int(np.abs(photo.to_srgb().astype(int) - true).max())


@pytest.mark.parametrize(
    ("name", "stored", "chunks"),
    [
        ("linear", linear(TRUE), [LINEAR]),
        ("linear, sRGB's primaries", linear(TRUE), [LINEAR, (b"cHRM", SRGB_CHRM)]),
        ("gamma 1.8", to_levels((TRUE / 255) ** (2.2 / 1.8)), [MAC]),
        ("gamma 1.8, order turned", to_levels((TRUE / 255) ** (2.2 / 1.8)), [(b"cHRM", SRGB_CHRM), MAC]),
        ("cICP, gamma 2.2", to_levels(light(TRUE) ** (1 / 2.2)), [(b"cICP", bytes([1, 4, 0, 1]))]),
        ("cICP, linear", to_levels(light(TRUE)), [(b"cICP", bytes([1, 8, 0, 1]))]),
        ("cICP, PQ", to_levels(pq(light(TRUE))), [(b"cICP", bytes([1, 16, 0, 1]))]),
        ("cICP, HLG", to_levels(hlg(light(TRUE))), [(b"cICP", bytes([1, 18, 0, 1]))]),
        ("cICP, narrow", np.round(16 + TRUE / 255 * 219).astype(np.uint8), [(b"cICP", bytes([1, 13, 0, 0]))]),
    ],
)  # fmt: skip
def test_the_curve_is_honoured(name: str, stored: NDArray[np.uint8], chunks: list[tuple[bytes, bytes]]) -> None:
    photo = opened(png(stored, *chunks))

    assert off_by(photo) <= 3, name
    shown = photo.over(None)
    assert shown.icc_profile is None
    assert np.abs(shown.rgb.astype(int) - TRUE).max() <= 3


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"cICP", bytes([12, 13, 0, 1]))],
        [(b"cICP", bytes([12, 13, 0, 1])), LINEAR, SRGB],
        [(b"cICP", bytes([12, 13, 0, 1])), icc(drawing.grey_profile(1.0)), SRGB],
    ],
)
def test_cicps_primaries_are_honoured_and_win(chunks: list[tuple[bytes, bytes]]) -> None:
    """Display P3 to sRGB by the matrix of CSS Color 4."""
    stored = np.array([[(204, 77, 51), (90, 160, 90)]], np.uint8)
    matrix = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])

    seen = opened(png(stored, *chunks)).to_srgb()

    assert np.abs(light(seen) - light(stored) @ matrix.T).max() <= 0.015


def test_gama_with_chrm_is_adobes_space() -> None:
    stored = np.array([[(120, 200, 90)]], np.uint8)
    linear = (stored / 255) ** 2.2
    xyz = np.array([[0.5767, 0.1856, 0.1882], [0.2973, 0.6274, 0.0753], [0.0270, 0.0707, 0.9911]])
    to_srgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    flat = np.clip(linear[0, 0] @ xyz.T @ to_srgb.T, 0, 1)
    true = np.where(flat <= 0.0031308, flat * 12.92, 1.055 * flat ** (1 / 2.4) - 0.055) * 255

    photo = opened(png(stored, PLAIN, (b"cHRM", ADOBE_CHRM)))

    assert np.abs(photo.to_srgb()[0, 0] - true).max() <= 3


@pytest.mark.parametrize(
    ("name", "chunks"),
    [
        ("sRGB's own gamma", [PLAIN]),
        ("sRGB's own gamma and primaries", [PLAIN, (b"cHRM", SRGB_CHRM)]),
        ("sRGB beats gAMA", [SRGB, LINEAR, (b"cHRM", P3_CHRM)]),
        ("cICP's sRGB beats a profile", [(b"cICP", bytes([1, 13, 0, 1])), icc(drawing.wide_rgb_profile())]),
        ("primaries without a gamma", [(b"cHRM", P3_CHRM)]),
        ("gamma of nothing", [(b"gAMA", struct.pack(">I", 0))]),
        ("gamma of everything", [(b"gAMA", struct.pack(">I", 2**32 - 1))]),
        ("gamma cut short", [(b"gAMA", b"\0\1\x86")]),
        ("cICP cut short", [(b"cICP", b"\x0c\x0d\0")]),
        ("cICP with YCbCr", [(b"cICP", bytes([12, 13, 1, 1]))]),
        ("cICP of unknown primaries", [(b"cICP", bytes([99, 13, 0, 1]))]),
        ("cICP unspecified", [(b"cICP", bytes([2, 2, 0, 1]))]),
        ("cICP with a third range", [(b"cICP", bytes([12, 13, 0, 7]))]),
    ],
)
def test_what_is_srgb_or_makes_no_sense_changes_nothing(name: str, chunks: list[tuple[bytes, bytes]]) -> None:
    photo = opened(png(TRUE, *chunks))

    assert photo.icc_profile is None, name
    assert np.array_equal(photo.to_srgb(), TRUE)


@pytest.mark.parametrize(
    "chrm",
    [
        b"",
        bytes(32),
        struct.pack(">8I", *[33333] * 8),
        struct.pack(">8I", 31270, 32900, *[2**31 + 5] * 6),
        SRGB_CHRM[:-4],
    ],
)
def test_impossible_primaries_leave_the_gamma(chrm: bytes) -> None:
    assert off_by(opened(png(linear(TRUE), LINEAR, (b"cHRM", chrm)))) <= 3


def test_a_profile_beats_srgb_and_gama_and_a_broken_one_does_not() -> None:
    stored = linear(TRUE)
    wide = opened(png(TRUE, icc(drawing.wide_rgb_profile()), SRGB, LINEAR))
    broken = opened(png(stored, icc(b"no profile"), LINEAR))

    assert wide.icc_profile == drawing.wide_rgb_profile()
    assert wide.over(None) is wide  # the client's own: it stays
    assert off_by(broken) <= 3


def test_a_damaged_or_late_statement_is_none() -> None:
    damaged = bytearray(png(TRUE, LINEAR))
    damaged[damaged.index(b"gAMA") + 8] ^= 1

    assert np.array_equal(opened(bytes(damaged)).to_srgb(), TRUE)
    assert np.array_equal(opened(png(TRUE, behind=(LINEAR,))).to_srgb(), TRUE)
    assert np.array_equal(opened(png(TRUE, PLAIN, LINEAR)).to_srgb(), TRUE)  # the first of two


def test_grey_and_alpha_follow_too() -> None:
    grey = linear(TRUE[..., 0])
    rgba = np.dstack([linear(TRUE), np.array([[255, 128, 9, 0]], np.uint8)])

    photo, seen = opened(png(grey, MAC)), opened(png(rgba, LINEAR))

    assert np.array_equal(photo.rgb, np.repeat(grey[..., None], 3, axis=2))  # as stored: what isn't changed stays so
    expected = np.repeat(TRUE[..., :1], 3, axis=2)
    assert off_by(opened(png(grey, LINEAR)), expected) <= 3
    assert off_by(seen) <= 3
    assert seen.opacity is not None
    assert seen.opacity.tolist() == [[255, 128, 9, 0]]


def test_what_is_brighter_than_white_is_white() -> None:
    bright = to_levels(np.broadcast_to(pq(np.array([1.0, 5.0, 40.0]))[None, :, None], (1, 3, 3)))

    seen = opened(png(bright, (b"cICP", bytes([9, 16, 0, 1])))).to_srgb()

    assert seen.min() >= 253


@pytest.mark.parametrize("chunk", [LINEAR, (b"cICP", bytes([12, 13, 0, 1])), (b"cICP", bytes([9, 16, 0, 0]))])
def test_the_made_profile_is_one_that_others_read(chunk: tuple[bytes, bytes]) -> None:
    photo = opened(png(TRUE, chunk))

    assert photo.icc_profile is not None
    profile = ImageCms.ImageCmsProfile(io.BytesIO(photo.icc_profile))
    seen = ImageCms.profileToProfile(Image.fromarray(TRUE), profile, ImageCms.createProfile("sRGB"))
    assert seen is not None
    assert np.abs(np.asarray(seen).astype(int) - photo.to_srgb()).max() <= 2
