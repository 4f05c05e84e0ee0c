"""Alpha channels of noise in large WebPs: what libwebp takes long over, done here."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from apps.core.pictures import webp_alpha
from apps.core.pictures.decoding import decode
from apps.core.pictures.encoding import encode_webp
from apps.core.pictures.formats import ImageFormat
from apps.core.pictures.imprint import Imprint
from apps.core.pictures.inspection import ImageLimits
from tests.drawing import icc_file

LIMITS = ImageLimits(
    formats=frozenset({ImageFormat.WEBP}), max_bytes=10**8, max_width_px=999, max_height_px=999, max_pixels=10**6
)
_random = np.random.default_rng(11)


def photo(height: int, width: int, levels: int) -> NDArray[np.uint8]:
    rgba = np.full((height, width, 4), 90, np.uint8)
    rgba[..., :3] += _random.integers(0, 60, (height, width, 1), np.uint8)
    rgba[..., 3] = _random.integers(0, levels, (height, width), np.uint8) * (255 // (levels - 1))
    if levels < 256:  # of those, noise through and through, which no code makes smaller
        rgba[: height // 3, ..., 3] = 0
    return rgba


@pytest.fixture
def nothing_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webp_alpha, "LARGE_PIXELS", 1)
    monkeypatch.setattr(webp_alpha, "ROW_STEP", 1)


@pytest.mark.usefixtures("nothing_too_small")
@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("shape_hw", [(3, 7), (64, 64), (301, 199)])
def test_noise_comes_back_bit_for_bit(shape_hw: tuple[int, int], levels: int) -> None:
    rgba = photo(*shape_hw, levels)
    assert webp_alpha.is_large_noise(rgba[..., 3])

    file = encode_webp(rgba, icc_profile=None)

    opened = Image.open(io.BytesIO(file))
    assert (opened.mode, opened.size) == ("RGBA", shape_hw[::-1])
    assert np.array_equal(np.asarray(opened)[..., 3], rgba[..., 3])
    seen = decode(file, limits=LIMITS)
    assert seen.opacity is not None
    assert np.array_equal(seen.opacity, rgba[..., 3])


@pytest.mark.parametrize(("levels", "is_stored"), [(5, False), (256, True)])
def test_noise_that_no_code_makes_smaller_is_stored_as_it_is(levels: int, is_stored: bool) -> None:
    alpha = _random.integers(0, levels, (300, 200), np.uint8)

    packed = webp_alpha.pack(alpha)

    assert (packed == b"\0" + alpha.tobytes()) is is_stored
    assert len(packed) < alpha.size * (1.1 if is_stored else 0.4)


@pytest.mark.usefixtures("nothing_too_small")
def test_colours_profile_and_rights_stay_as_libwebp_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rgba = photo(90, 120, 5)
    rgba[..., 3] = np.maximum(rgba[..., 3], 1)
    profile, imprint = icc_file(b"RGB ", b"XYZ ", b"mntr", {}), Imprint(artist="Ada")
    ours = Image.open(io.BytesIO(encode_webp(rgba, icc_profile=profile, imprint=imprint)))
    monkeypatch.setattr(webp_alpha, "LARGE_PIXELS", 1 << 30)
    theirs = Image.open(io.BytesIO(encode_webp(rgba, icc_profile=profile, imprint=imprint)))

    assert ours.info["icc_profile"] == profile
    assert dict(ours.getexif()) == dict(theirs.getexif()) != {}
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_rare_levels_have_codes_that_the_format_can_hold() -> None:
    counts = np.zeros(256, np.int64)
    counts[:40] = [round(1.7**power) for power in range(40)]

    lengths = webp_alpha.code_lengths(counts)

    assert lengths[:40].min() > 0
    assert lengths.max() <= webp_alpha.MAX_BITS
    assert (0.5 ** lengths[:40].astype(float)).sum() == 1, "every bit string is a code"
    assert not lengths[40:].any()


def test_edges_and_gradients_are_left_to_libwebp() -> None:
    edge = np.zeros((4096, 4096), np.uint8)
    edge[:, 1000:3000] = 255
    ramp = np.repeat((np.arange(4096) // 16).astype(np.uint8)[None], 4096, axis=0)
    noise = _random.integers(0, 5, (4096, 4096), np.uint8)

    told = [webp_alpha.is_large_noise(alpha) for alpha in (edge, ramp, noise, noise[:2048])]

    assert told == [False, False, True, False]
