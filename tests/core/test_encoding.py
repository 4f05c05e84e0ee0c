from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from apps.core.pictures import encoding
from apps.core.pictures.encoding import encode_jpeg, encode_png, encode_webp
from tests.drawing import png_chunk_names, saved, soft_photo, wide_rgb_profile


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def cut_out(width: int = 60, height: int = 44) -> NDArray[np.uint8]:
    """(height, width, 4) uint8: a soft-edged disc of a photo, 0 outside."""
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot(x - width / 2, y - height / 2)
    alpha = np.clip((min(width, height) / 2.5 - distance) * 64, 0, 255).astype(np.uint8)
    return np.dstack([soft_photo(width, height) * (alpha > 0)[:, :, None], alpha])


def long_profile() -> bytes:
    profile = wide_rgb_profile().ljust(150_000, b"\7")
    return struct.pack(">I", len(profile)) + profile[4:]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_gives_every_pixel_back(channels: int) -> None:
    array = cut_out()[:, :, 3] if channels == 1 else cut_out()[:, :, :channels]

    image = opened(encode_png(array))

    assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    assert np.array_equal(np.asarray(image), array)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_of_many_strips_gives_every_pixel_back(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_STRIP_BYTES", 4_000)
    array = np.random.default_rng(2).integers(0, 256, (601, 403, channels), np.uint8).squeeze()

    data = encode_png(array)

    assert png_chunk_names(data).count("IDAT") > 1
    assert np.array_equal(np.asarray(opened(data)), array)


@pytest.mark.parametrize("size_wh", [(1, 1), (1, 90), (90, 1)])
def test_thin_pictures_encode(size_wh: tuple[int, int]) -> None:
    array = cut_out(*size_wh)

    assert np.array_equal(np.asarray(opened(encode_png(array))), array)
    assert opened(encode_webp(array)).size == size_wh
    assert opened(encode_jpeg(array[:, :, :3])).size == size_wh


@pytest.mark.parametrize("view", [np.s_[::2, ::-1], np.s_[:, :, ::-1], np.s_[5:30, 7:41]])
def test_views_encode_as_what_they_show(view: tuple[slice, ...]) -> None:
    array = cut_out()[view]

    assert np.array_equal(np.asarray(opened(encode_png(array))), array)
    assert opened(encode_webp(array)).size == array.shape[1::-1]
    assert opened(encode_jpeg(array[:, :, :3])).size == array.shape[1::-1]


def test_nothing_but_pixels_and_profile_is_written() -> None:
    profile = wide_rgb_profile()

    assert set(png_chunk_names(encode_png(cut_out()))) == {"IHDR", "IDAT", "IEND"}
    assert set(png_chunk_names(encode_png(cut_out(), icc_profile=profile))) == {"IHDR", "iCCP", "IDAT", "IEND"}
    assert set(opened(encode_webp(cut_out())).info) <= {"loop", "background", "timestamp", "duration"}
    assert set(opened(encode_jpeg(soft_photo())).info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("profile", [wide_rgb_profile(), long_profile()])
def test_the_profile_survives_in_every_format(profile: bytes) -> None:
    files = [
        encode_png(cut_out(), icc_profile=profile),
        encode_webp(cut_out(), icc_profile=profile),
        encode_jpeg(soft_photo(), icc_profile=profile),
    ]

    for data in files:
        image = opened(data)
        image.load()
        assert image.info["icc_profile"] == profile


def test_webp_alpha_is_lossless_and_colour_close() -> None:
    array = cut_out()

    image = np.asarray(opened(encode_webp(array)))

    solid = array[:, :, 3] == 255
    assert np.array_equal(image[:, :, 3], array[:, :, 3])
    assert np.abs(image[solid].astype(int) - array[solid]).mean() < 4


def test_a_large_noisy_photo_fits_into_webp() -> None:
    """Methods 0 and 1 of libwebp fail here: "encoding error 6"."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)

    assert opened(encode_webp(np.tile(noise, (12, 12, 1)))).size == (6000, 6000)


def test_jpeg_keeps_full_colour_resolution() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = (250, 20, 20)
    stripes[:, 1::2] = (20, 20, 250)

    image = opened(encode_jpeg(stripes))

    assert get_sampling(image) == 0  # 4:4:4
    assert np.abs(np.asarray(image).astype(int) - stripes).max() <= 12


def test_grey_jpeg() -> None:
    mask = cut_out()[:, :, 3]

    image = opened(encode_jpeg(mask))

    assert image.mode == "L"
    assert np.abs(np.asarray(image).astype(int) - mask).mean() < 3


def test_quality_decides_the_size() -> None:
    assert len(encode_jpeg(soft_photo(), quality=50)) < len(encode_jpeg(soft_photo()))
    assert len(encode_webp(soft_photo(), quality=30)) < len(encode_webp(soft_photo()))


@pytest.mark.parametrize("kind", ["cut-out", "photo", "mask", "binary mask", "gradient", "flat"])
def test_png_is_at_most_a_quarter_larger_than_pillows_best(kind: str) -> None:
    picture = cut_out(900, 700)
    ramp = np.tile(np.linspace(0, 255, 900).astype(np.uint8), (700, 1))
    array = {
        "cut-out": picture,
        "photo": soft_photo(900, 700),
        "mask": picture[:, :, 3],
        "binary mask": (picture[:, :, 3] > 127) * np.uint8(255),
        "flat": np.full((700, 900, 4), 255, np.uint8),
        "gradient": np.dstack([ramp, ramp, ramp]),
    }[kind]

    ours, pillows = len(encode_png(array)), len(saved(np.ascontiguousarray(array), "PNG", compress_level=6))

    assert ours <= pillows * 1.25 + 400  # a gradient is a few hundred bytes in all


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4), np.bool_),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: NDArray[np.uint8]) -> None:
    for encode in (encode_png, encode_webp, encode_jpeg):
        with pytest.raises(ValueError, match="cannot encode"):
            encode(array)


def test_what_a_format_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot encode"):
        encode_jpeg(cut_out())
    with pytest.raises(ValueError, match="cannot encode"):
        encode_webp(cut_out()[:, :, 3])
    with pytest.raises(ValueError, match="16383"):
        encode_webp(np.zeros((1, 16_384, 3), np.uint8))
    with pytest.raises(ValueError, match="255 segments"):
        encode_jpeg(soft_photo(), icc_profile=bytes(17_000_000))
    with pytest.raises(ValueError, match="does not fit"):
        encode_png(cut_out()[:, :, 3], icc_profile=wide_rgb_profile())


@pytest.mark.parametrize(("amplitude", "quality"), [(8, 90), (256, 70)])
def test_large_webp_of_noise_is_coded_at_less_and_a_grainy_photo_is_not(
    amplitude: int, quality: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = np.random.default_rng(3).integers(0, amplitude, (700, 800, 3), np.uint8)
    rgb += (np.arange(800, dtype=np.uint8) % 200 if amplitude < 50 else np.zeros(800, np.uint8))[None, :, None]
    monkeypatch.setattr(encoding, "LARGE_PIXELS", 1 << 30)
    ordinary = encode_webp(rgb, quality=quality)
    monkeypatch.setattr(encoding, "LARGE_PIXELS", 700 * 800)

    assert encode_webp(rgb) == ordinary
    assert encode_webp(rgb, quality=50) != ordinary  # what is asked for below that stays
