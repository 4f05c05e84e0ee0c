from __future__ import annotations

import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from apps.core.pictures import colour
from apps.core.pictures.colour import cmyk_to_srgb, grey_to_srgb, rgb_to_srgb, row_strips, srgb_to_rgb, usable_profile
from tests.drawing import (
    WIDE_GAMMA,
    WIDE_MATRIX,
    cmyk_profile,
    grey_profile,
    icc_file,
    soft_photo,
    wide_rgb_profile,
)

# linear sRGB to XYZ, adapted to D50 (Lindbloom)
SRGB_MATRIX = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7142]])


def srgb_curve(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """0..1 light to 0..255 levels (IEC 61966-2-1)."""
    clipped = np.clip(linear, 0, 1)
    return 255 * np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)


def test_wide_colours_become_srgb_as_the_equations_say() -> None:
    rgb = soft_photo(90, 60)

    converted = rgb_to_srgb(rgb, wide_rgb_profile())

    xyz = (rgb / 255) ** WIDE_GAMMA @ WIDE_MATRIX.T
    linear = xyz @ np.linalg.inv(SRGB_MATRIX).T
    inside = ((linear > 0.02) & (linear < 1)).all(axis=2)  # clipping at the gamut's edge is the profile's business
    error = np.abs(converted - srgb_curve(linear)).max(axis=2)
    assert inside.mean() > 0.3
    assert error[inside].max() <= 3


def test_srgb_under_another_name_is_left_alone() -> None:
    rgb = soft_photo()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert rgb_to_srgb(rgb, srgb) is rgb
    assert rgb_to_srgb(rgb, None) is rgb
    assert rgb_to_srgb(rgb, b"rubbish") is rgb


def test_srgb_goes_back_to_the_profiles_colours() -> None:
    rgb = soft_photo(90, 60) // 4 + 96  # well inside sRGB, so that nothing was clipped on the way
    profile = wide_rgb_profile()
    srgb = rgb_to_srgb(rgb, profile)
    assert np.abs(srgb.astype(int) - rgb).max() > 4

    back = srgb_to_rgb(srgb, profile)

    assert np.abs(back.astype(int) - rgb).max() <= 2


def test_srgb_stays_where_there_is_no_other_space() -> None:
    rgb = soft_photo()

    assert srgb_to_rgb(rgb, None) is rgb
    assert srgb_to_rgb(rgb, b"rubbish") is rgb


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_every_grey_level_follows_its_profile(gamma: float) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)

    converted = grey_to_srgb(grey, grey_profile(gamma))

    wanted = srgb_curve((grey / 255) ** gamma)
    assert converted.shape == (16, 16, 3)
    assert np.abs(converted - wanted[:, :, None]).max() <= 2


def test_strips_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, profile = soft_photo(50, 41), wide_rgb_profile()
    inks = Image.fromarray(255 - rgb).convert("CMYK")
    whole = rgb_to_srgb(rgb, profile), cmyk_to_srgb(inks, None)

    monkeypatch.setattr(colour, "_STRIP_PIXELS", 200)

    assert np.array_equal(rgb_to_srgb(rgb, profile), whole[0])
    assert np.array_equal(cmyk_to_srgb(inks, None), whole[1])


@pytest.mark.parametrize(("height", "width"), [(1, 5_000_000), (3000, 1000), (2001, 1000), (1, 1)])
def test_strips_cover_every_row_once(height: int, width: int) -> None:
    rows = [row for strip in row_strips(height, width) for row in range(strip.start, strip.stop)]

    assert rows == list(range(height))


def test_a_profile_is_usable_for_its_own_colour_space_only() -> None:
    profiles = {"RGB": wide_rgb_profile(), "L": grey_profile(2.2), "CMYK": cmyk_profile()}

    usable = {(name, mode) for name, data in profiles.items() for mode in profiles if usable_profile(data, mode)}

    assert usable == {("RGB", "RGB"), ("L", "L"), ("CMYK", "CMYK")}
    assert usable_profile(None, "RGB") is None
    assert usable_profile(b"\0" * 500, "RGB") is None


def _program(steps: int) -> bytes:
    """A tag's content that swaps red and blue, and calls one matrix so many times."""
    swap, keep = np.eye(3, dtype=">f4")[::-1], np.eye(3, dtype=">f4")
    matrices = [
        b"matf\0\0\0\0" + struct.pack(">HH", 3, 3) + each.tobytes() + np.zeros(3, ">f4").tobytes()
        for each in (swap, keep)
    ]
    start, length = 16 + 8 * steps, len(matrices[0])
    places = [start, *[start + length] * (steps - 1)]
    table = b"".join(struct.pack(">II", place, length) for place in places)
    return b"mpet\0\0\0\0" + struct.pack(">HHI", 3, 3, steps) + table + b"".join(matrices)


def _with_tag(profile: bytes, name: bytes, content: bytes) -> bytes:
    count = struct.unpack_from(">I", profile, 128)[0]
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * number) for number in range(count)]
    tags = {tag: profile[at : at + length] for tag, at, length in entries}
    return icc_file(b"RGB ", b"XYZ ", b"mntr", {**tags, name: content})


@pytest.mark.parametrize("name", [b"D2B0", b"D2B1"])
def test_a_profiles_program_is_not_run(name: bytes) -> None:
    """It has as many steps as somebody likes, and costs them for each of 36,000 colours, each time that it is built."""
    rgb, profile = soft_photo(90, 60), wide_rgb_profile()

    converted = rgb_to_srgb(rgb, _with_tag(profile, name, _program(3)))

    assert np.array_equal(converted, rgb_to_srgb(rgb, profile))


def test_a_profile_that_is_a_program_alone_is_unusable() -> None:
    profile = icc_file(b"RGB ", b"XYZ ", b"mntr", {b"D2B1": _program(3)})

    assert usable_profile(profile, "RGB") is None
    assert usable_profile(_with_tag(wide_rgb_profile(), b"B2D1", _program(3)), "RGB") is not None


@pytest.mark.parametrize("length", [0, 3, 127, 130, 132, 140, 200])
def test_a_cut_profile_is_unusable(length: int) -> None:
    assert usable_profile(wide_rgb_profile()[:length], "RGB") is None
