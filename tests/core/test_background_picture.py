"""What the runner of background removal makes of a photo and what was found in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from apps.background import runner
from apps.core.pictures.decoding import Photo
from ml.picture.subject import FoundSubject
from ml.picture.types import AlphaChannel, RgbImage

CUT_OUT = {"output_format": "transparent", "crop_margin": {"value": 0, "unit": "px"}}


def picture(rgb: RgbImage, opacity: AlphaChannel | None, alpha: AlphaChannel) -> Any:
    photo = Photo(rgb, opacity, None, is_animated=False)
    found = FoundSubject(alpha, (0, 0, 64, 64), 0.5, 0.9, is_empty=False)
    return runner._picture(photo, found, CUT_OUT, colour=None, max_pixels=10**8)


def noisy() -> RgbImage:
    rgb = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    rgb[:, 32:] //= 8
    return rgb


@pytest.mark.parametrize("level", [1, 60, 150, 254])
def test_a_veil_that_the_photo_had_keeps_its_own_colours(level: int) -> None:
    """A file's colours are the subject's alone, whatever its alpha; only what is cut here lies on a background."""
    opacity = np.full((64, 64), level, np.uint8)
    alpha = opacity.copy()
    alpha[:, :16] = 0

    made = picture(noisy(), opacity, alpha)

    assert np.array_equal(made[:, 16:, :3], noisy()[:, 16:])
    assert np.array_equal(made[..., 3], alpha)


def test_an_edge_that_is_cut_here_gets_the_subjects_colour_under_a_veil_too() -> None:
    rgb = np.full((64, 64, 3), 250, np.uint8)
    rgb[:, 32:] = 20
    rgb[:, 30:32] = 135
    cut = np.where(rgb[..., 0] == 20, 255, np.where(rgb[..., 0] == 135, 128, 0)).astype(np.uint8)

    plain = picture(rgb, None, cut)
    veiled = picture(rgb, np.full((64, 64), 128, np.uint8), (cut // 2 + cut % 2).astype(np.uint8))

    assert plain[:, 30:32, :3].max() < 60
    assert np.abs(veiled[:, 30:, :3].astype(int) - plain[:, 30:, :3]).max() <= 3
