"""What a smear mask asks for, and what it is refused for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ml.errors import SmearEmptyError, SmearSizeError, SmearTooLargeError
from ml.watermark.smear import read_smear


def _mask(background: int, colour: tuple[int, int, int]) -> np.ndarray:
    image = np.full((120, 160, 3), background, np.uint8)
    image[40:80, 30:120] = colour
    return image


def _opacity(alpha: int) -> np.ndarray:
    opacity = np.zeros((120, 160), np.uint8)
    opacity[40:80, 30:120] = alpha
    return opacity


@pytest.mark.parametrize("background", [0, 255])
@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 0, 255), (128, 128, 128), (255, 255, 0), (12, 12, 12), (240, 240, 240)]
)
def test_strokes_of_any_colour_are_read(background: int, colour: tuple[int, int, int]) -> None:
    strokes = read_smear(_mask(background, colour), size_wh=(160, 120))

    assert strokes[45:75, 35:115].all()
    assert strokes.sum() <= 40 * 90


@pytest.mark.parametrize("background", [0, 255])
@pytest.mark.parametrize("quality", [40, 75, 95])
def test_jpeg_noise_is_no_stroke(background: int, quality: int) -> None:
    image = _mask(background, (220, 30, 40))
    noisy = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)

    strokes = read_smear(noisy, size_wh=(160, 120))

    assert strokes[45:75, 35:115].mean() > 0.99
    assert not strokes[:32].any()
    assert not strokes[:, 136:].any()


@pytest.mark.parametrize("alpha", [26, 60, 102, 127, 128, 255])
@pytest.mark.parametrize("untouched", [0, 77, 255])
def test_a_brush_that_lets_the_photo_shine_through_is_a_stroke(alpha: int, untouched: int) -> None:
    strokes = read_smear(_mask(untouched, (255, 0, 0)), size_wh=(160, 120), opacity=_opacity(alpha))

    assert strokes[40:80, 30:120].all()
    assert strokes.sum() == 40 * 90


@pytest.mark.parametrize(
    ("alpha", "colour"), [(25, (255, 0, 0)), (0, (255, 0, 0)), (60, (0, 0, 0)), (60, (255, 255, 255))]
)
def test_less_than_a_tenth_and_pure_black_or_white_are_no_strokes(alpha: int, colour: tuple[int, int, int]) -> None:
    with pytest.raises(SmearEmptyError):
        read_smear(_mask(77, colour), size_wh=(160, 120), opacity=_opacity(alpha))


@pytest.mark.parametrize("value", [0, 255, 2, 253])
def test_a_mask_without_strokes_is_refused(value: int) -> None:
    with pytest.raises(SmearEmptyError, match="no stroke"):
        read_smear(np.full((50, 60, 3), value, np.uint8), size_wh=(60, 50))


def test_pure_white_on_pure_black_is_no_stroke() -> None:
    with pytest.raises(SmearEmptyError):
        read_smear(_mask(0, (255, 255, 255)), size_wh=(160, 120))


def test_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(SmearSizeError, match=r"160x120.*161x120"):
        read_smear(_mask(0, (255, 0, 0)), size_wh=(161, 120))


def test_a_smear_over_nearly_everything_is_refused() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, :65] = (255, 0, 0)

    with pytest.raises(SmearTooLargeError, match="65%"):
        read_smear(image, size_wh=(100, 100))
