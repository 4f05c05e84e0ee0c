from __future__ import annotations

import io
import struct
from itertools import product

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile
from PIL.BmpImagePlugin import BmpRleDecoder

from apps.core.errors import AppError, ErrorCode, Fault
from apps.core.pictures import decoding, stripping
from apps.core.pictures.decoding import Photo, decode
from apps.core.pictures.inspection import ImageFormat, ImageHeader, ImageLimits
from apps.core.pictures.stripping import strip
from tests.drawing import (
    cmyk_profile,
    exif_of,
    four_corners,
    grey_profile,
    photo_file,
    png_chunk,
    png_chunk_names,
    png_file,
    saved,
    soft_photo,
    stored_for,
    wide_rgb_profile,
)
from tests.limits import MB, roomy

LIMITS = roomy(max_bytes=10 * MB)
FORMATS = [each.value for each in ImageFormat]


def opened(data: bytes) -> Photo:
    return decode(data, limits=LIMITS)


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def corners_off(photo: Photo) -> int:
    """Largest difference in the middle of each quarter of `four_corners`: lossy edges do not count."""
    wanted, height, width = four_corners(), 32, 48
    spots = [(y, x) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    assert photo.rgb.shape == wanted.shape
    return max(difference(photo.rgb[spot], wanted[spot]) for spot in spots)


# Orientation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(image_format: str, orientation: int) -> None:
    photo = opened(photo_file(image_format, orientation))

    assert corners_off(photo) <= 6
    assert photo.rgb.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
def test_opacity_is_turned_with_the_picture(orientation: int) -> None:
    upright = np.dstack([four_corners(), np.arange(48 * 32, dtype=np.uint8).reshape(32, 48)])

    photo = opened(saved(stored_for(upright, orientation), "PNG", exif=exif_of(orientation)))

    assert photo.opacity is not None
    assert difference(np.dstack([photo.rgb, photo.opacity]), upright) == 0


# Formats and modes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_decodes(image_format: str) -> None:
    photo = opened(photo_file(image_format))

    assert corners_off(photo) <= 6
    assert (photo.rgb.dtype, photo.opacity, photo.icc_profile) == (np.uint8, None, None)
    assert not photo.is_animated


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}, {"subsampling": 1}])
def test_the_fast_jpeg_path_gives_pillows_pixels(options: dict[str, object]) -> None:
    data = saved(soft_photo(101, 67), "JPEG", quality=85, **options)

    photo = opened(data)

    assert difference(photo.rgb, np.asarray(Image.open(io.BytesIO(data)))) <= 1


@pytest.mark.parametrize("options", [{}, {"lossless": True}])
@pytest.mark.parametrize("channels", [3, 4])
def test_the_fast_webp_path_gives_pillows_pixels(options: dict[str, object], channels: int) -> None:
    drawn = np.dstack([soft_photo(61, 47), np.tile(np.arange(61, dtype=np.uint8) * 4, (47, 1))])[:, :, :channels]
    data = saved(np.ascontiguousarray(drawn), "WEBP", **options)

    photo = opened(data)

    wanted = np.asarray(Image.open(io.BytesIO(data)))
    assert difference(photo.rgb, wanted[:, :, :3]) == 0
    assert (photo.opacity is None) == (channels == 3)
    assert photo.opacity is None or difference(photo.opacity, wanted[:, :, 3]) == 0


def packed_bmp(depth: int, width: int = 37, height: int = 23) -> bytes:
    """A run-length encoded BMP of 4 or 8 bits, in which runs and plain pixels take turns."""
    random = np.random.default_rng(depth)
    body = b""
    for _ in range(height):
        for left in range(0, width, 8):
            count = min(8, width - left)
            if left % 16 and count == 8:
                body += bytes([0, count]) + random.integers(0, 16, count * depth // 8, np.uint8).tobytes()
            else:
                body += bytes([count, random.integers(0, 16)])
        body += b"\0\0"
    palette = random.integers(0, 256, (16, 4), np.uint8).tobytes()
    head = struct.pack("<2sIHHI", b"BM", 118 + len(body), 0, 0, 118)
    kind = {8: 1, 4: 2}[depth]
    return (
        head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, kind, len(body), 0, 0, 16, 0) + palette + body
    )


@pytest.mark.parametrize("depth", [4, 8])
def test_a_large_packed_bmp_is_not_unpacked_in_python(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed_bmp(depth)
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    monkeypatch.setattr(decoding, "MAX_SLOW_PIXELS", 100)
    monkeypatch.setattr(BmpRleDecoder, "decode", None)

    photo = opened(data)

    assert difference(photo.rgb, wanted) == 0
    with pytest.raises(AppError):
        opened(data[:-60])


@pytest.mark.parametrize(
    ("image_format", "mode"),
    [*product(["PNG", "BMP", "GIF"], ["1", "L", "P"]), ("PNG", "LA"), ("PNG", "RGBA"), ("WEBP", "L")],
)
def test_modes_match_pillows_own_conversion(image_format: str, mode: str) -> None:
    image = Image.fromarray(soft_photo()).convert(mode)
    data = saved(image, image_format)

    photo = opened(data)

    assert difference(photo.rgb, np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))) == 0


def test_grey_jpeg() -> None:
    data = saved(Image.fromarray(soft_photo()).convert("L"), "JPEG")

    assert difference(opened(data).rgb, np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))) == 0


def test_sixteen_bit_grey_keeps_its_whole_scale() -> None:
    levels = np.array([[0, 257, 25_700, 32_768, 65_000, 65_535]], np.uint16)

    photo = opened(saved(Image.fromarray(levels), "PNG"))

    assert photo.rgb[0].tolist() == [[v] * 3 for v in (0, 1, 100, 128, 253, 255)]


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_colour_and_alpha(colour: int, channels: int) -> None:
    samples = np.array([0, 0x8080, 0xFFFF, 0x4040] * channels, ">u2")
    photo = opened(png_file(4, 1, depth=16, colour=colour, rows=samples.tobytes()))

    wanted = (samples >> 8).reshape(1, 4, channels)
    assert difference(photo.rgb, np.broadcast_to(wanted[:, :, : 3 if channels > 2 else 1], (1, 4, 3))) == 0
    assert (photo.opacity is None) == (channels == 3)
    assert photo.opacity is None or difference(photo.opacity, wanted[:, :, -1]) == 0


PALETTE = (b"PLTE", bytes([10, 20, 30, 200, 100, 50, 0, 0, 0, 255, 255, 255]))
TRANSPARENT = {
    "palette, soft": (8, 3, b"\0\1\2", [PALETTE, (b"tRNS", b"\0\x80")], [0, 128, 255]),
    "palette, one": (8, 3, b"\0\1\2", [PALETTE, (b"tRNS", b"\xff\0")], [255, 0, 255]),
    "2 bits": (2, 0, bytes([0b00_10_11_00]), [(b"tRNS", b"\0\2")], [255, 0, 255]),
    "1 bit": (1, 0, bytes([0b01000000]), [(b"tRNS", b"\0\1")], [255, 0, 255]),
    "grey": (8, 0, b"\x05\x06\x07", [(b"tRNS", b"\0\6")], [255, 0, 255]),
    "grey 16": (16, 0, b"\1\1\1\2\1\3", [(b"tRNS", b"\1\2")], [255, 0, 255]),
    "rgb": (8, 2, b"abcdefghi", [(b"tRNS", b"\0d\0e\0f")], [255, 0, 255]),
    "rgb 16": (16, 2, b"aabbccddeeffgghhii", [(b"tRNS", b"ddeeff")], [255, 0, 255]),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_png_transparency_of_every_kind(name: str) -> None:
    depth, colour, rows, extra, wanted = TRANSPARENT[name]

    photo = opened(png_file(3, 1, depth=depth, colour=colour, rows=rows, extra=extra))

    assert photo.opacity is not None
    assert photo.opacity.tolist() == [wanted]


def test_an_opaque_alpha_channel_counts_as_none() -> None:
    assert opened(saved(Image.fromarray(soft_photo()).convert("RGBA"), "PNG")).opacity is None


def test_a_transparent_gif() -> None:
    image = Image.fromarray(np.array([[0, 1, 2, 1]], np.uint8)).convert("P")
    image.putpalette([9, 9, 9, 80, 90, 100, 255, 0, 0])

    photo = opened(saved(image, "GIF", transparency=2))

    assert photo.opacity is not None
    assert photo.opacity.tolist() == [[255, 255, 0, 255]]
    assert photo.rgb[0, 1].tolist() == [80, 90, 100]


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation(image_format: str) -> None:
    first, second = Image.fromarray(four_corners()), Image.fromarray(255 - four_corners())

    photo = opened(saved(first, image_format, save_all=True, append_images=[second], duration=40))

    assert photo.is_animated
    assert corners_off(photo) <= 16


def bmp_file(bits: int, pixels: bytes, *, width: int, height: int, compression: int = 0, palette: bytes = b"") -> bytes:
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) if compression == 3 else b""
    size = 56 if masks else 40
    head = struct.pack(
        "<IiiHHIIiiII", size, width, height, 1, bits, compression, len(pixels), 0, 0, len(palette) // 4, 0
    )
    offset = 14 + size + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + head + masks + palette + pixels


def test_bmp_alpha_is_kept_unless_all_of_it_is_zero() -> None:
    some = opened(bmp_file(32, b"\1\2\3\x80\4\5\6\xff", width=2, height=1, compression=3))
    none = opened(bmp_file(32, b"\1\2\3\0\4\5\6\0", width=2, height=1, compression=3))

    assert some.opacity is not None
    assert some.opacity.tolist() == [[128, 255]]
    assert none.opacity is None
    assert some.rgb.tolist() == none.rgb.tolist() == [[[3, 2, 1], [6, 5, 4]]]


def test_bmp_stored_from_the_top_and_run_length_coded() -> None:
    upside = opened(bmp_file(24, b"\1\1\1\0\2\2\2\0", width=1, height=-2))
    runs = opened(bmp_file(8, b"\3\1\0\1", width=3, height=1, compression=1, palette=b"\0\0\0\0\x1e\x14\x0a\0"))

    assert upside.rgb[:, 0, 0].tolist() == [1, 2]
    assert runs.rgb.tolist() == [[[10, 20, 30]] * 3]


# Colour -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_an_rgb_profile_is_kept_with_untouched_pixels(image_format: str) -> None:
    profile = wide_rgb_profile()
    plain = opened(photo_file(image_format))

    photo = opened(photo_file(image_format, icc_profile=profile))

    assert photo.icc_profile == profile
    assert difference(photo.rgb, plain.rgb) == 0
    assert difference(photo.to_srgb(), photo.rgb) > 20


def test_a_jpeg_profile_in_several_segments_is_joined_in_order() -> None:
    profile = wide_rgb_profile()
    profile += bytes(150_000 - len(profile))
    profile = struct.pack(">I", len(profile)) + profile[4:]

    assert opened(photo_file("JPEG", icc_profile=profile)).icc_profile == profile


def test_srgb_and_no_profile_need_no_second_picture() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for photo in (opened(photo_file("PNG")), opened(photo_file("PNG", icc_profile=srgb))):
        assert photo.to_srgb() is photo.rgb


def test_the_networks_picture_is_scaled_down_and_never_up() -> None:
    photo = opened(photo_file("PNG", icc_profile=wide_rgb_profile()))

    assert photo.to_srgb(24).shape == (16, 24, 3)
    assert photo.to_srgb(500).shape == (32, 48, 3)
    assert opened(saved(four_corners(400, 1), "PNG")).to_srgb(40).shape == (1, 40, 3)


BROKEN_PROFILES = {
    "garbage": b"\x93" * 700,
    "cut": wide_rgb_profile()[:200],
    "of CMYK": cmyk_profile(),
    "grey": grey_profile(2.2),
    "endless": bytes(5 * MB),
}


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("name", BROKEN_PROFILES)
def test_an_unusable_profile_is_ignored(image_format: str, name: str) -> None:
    photo = opened(photo_file(image_format, icc_profile=BROKEN_PROFILES[name]))

    assert photo.icc_profile is None
    assert corners_off(photo) <= 6


def test_a_profile_is_inflated_no_further_than_the_largest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = saved(soft_photo(), "PNG", icc_profile=wide_rgb_profile())
    monkeypatch.setattr(stripping, "MAX_PROFILE_BYTES", 100)

    assert stripping.strip(picture, ImageFormat.PNG).icc_profile is None


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"iCCP", b""),
        png_chunk(b"iCCP", b"name\0\1junk"),
        png_chunk(b"zTXt", b"no zero"),
        png_chunk(b"iCCP", b"x\0\0")[:-4] + b"BAD!",
        png_chunk(b"eXIf", b"\xff" * 100),
        png_chunk(b"zTXt", b"k\0\0" + b"\x78\x9c" + bytes(200)),
        png_chunk(b"acTL", bytes(8)),
    ],
)
def test_broken_metadata_does_not_cost_the_photo(chunk: bytes) -> None:
    data = photo_file("PNG")

    assert corners_off(opened(data[:33] + chunk + data[33:])) == 0


def test_grey_with_a_grey_profile_becomes_srgb() -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8), (2, 1))

    photo = opened(saved(Image.fromarray(grey), "PNG", icc_profile=grey_profile(1.0)))

    linear = np.arange(256) / 255
    wanted = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert photo.icc_profile is None
    assert np.abs(photo.rgb[0, :, 0] - wanted).max() <= 2


def test_cmyk_is_converted_by_its_own_profile() -> None:
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, 8:] = 255
    image = Image.frombytes("CMYK", (16, 16), inks.tobytes())

    plain = opened(saved(image, "JPEG"))
    profiled = opened(saved(image, "JPEG", icc_profile=cmyk_profile()))
    wrong = opened(saved(image, "JPEG", icc_profile=wide_rgb_profile()))

    assert plain.rgb[0, 2].min() >= 250
    assert plain.rgb[0, 13].max() <= 5
    assert 100 < profiled.rgb[0, 13, 0] < 140
    assert difference(wrong.rgb, plain.rgb) == 0
    assert profiled.icc_profile is None


def test_ycck_is_cmyk_too() -> None:
    inverted = np.full((16, 16, 4), 255, np.uint8)
    inverted[:, :, 0] = 0  # all cyan, as Adobe stores it
    data = simplejpeg.encode_jpeg(inverted, colorspace="CMYK", colorsubsampling="444", quality=95)

    photo = opened(data)

    assert photo.rgb[8, 8, 0] < 10
    assert photo.rgb[8, 8, 1:].min() > 245


# Damage -----------------------------------------------------------------------------------------------------


def refused(data: bytes) -> AppError:
    with pytest.raises(AppError) as caught:
        decode(data, limits=LIMITS, field="photo")
    assert caught.value.code is ErrorCode.VALIDATION_ERROR
    assert caught.value.details[0].field == "photo"
    return caught.value


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_truncated_file_is_refused(image_format: str, share: float) -> None:
    data = saved(soft_photo(200, 150), image_format)

    error = refused(data[: int(len(data) * share)])

    assert error.details[0].fault is Fault.UNREADABLE_FILE
    assert "truncated or damaged" in error.message
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("image_format", [*FORMATS, "animated", "grey"])
def test_damaged_bytes_give_a_photo_or_a_refusal(image_format: str) -> None:
    second = Image.fromarray(255 - soft_photo())
    data = {
        "animated": lambda: saved(soft_photo(), "WEBP", save_all=True, append_images=[second]),
        "grey": lambda: saved(Image.fromarray(soft_photo()).convert("L"), "JPEG"),
    }.get(image_format, lambda: photo_file(image_format))()
    random = np.random.default_rng(3)
    codes = set()
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(random.integers(1, 6)):
            damaged[random.integers(12, len(data))] = random.integers(256)
        try:
            opened(bytes(damaged))
        except AppError as error:
            codes.add(error.code)

    assert codes <= {ErrorCode.VALIDATION_ERROR}


def test_limits_are_checked_again_before_decoding() -> None:
    narrow = ImageLimits(frozenset(ImageFormat), MB, 40, 40, 1_600)

    with pytest.raises(AppError) as caught:
        decode(photo_file("PNG"), limits=narrow)

    assert caught.value.details[0].fault is Fault.RESOLUTION_TOO_HIGH


def out_of_bounds(*args: object, **kwargs: object) -> None:
    raise RuntimeError("decoded all the same")  # no error that damage could raise


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_decoder_that_sees_another_size_is_stopped(image_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = ImageHeader(ImageFormat(image_format), 20, 10, 1, is_animated=False)
    monkeypatch.setattr(decoding, "inspect", lambda *args, **kwargs: checked)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", out_of_bounds)
    monkeypatch.setattr(ImageFile.ImageFile, "load", out_of_bounds)

    assert refused(photo_file(image_format)).details[0].fault is Fault.UNREADABLE_FILE


def test_decoders_see_no_metadata() -> None:
    jpeg = photo_file("JPEG", 6, comment=b"made by someone", icc_profile=wide_rgb_profile())
    png = photo_file("PNG", 6, icc_profile=wide_rgb_profile(), dpi=(300, 300))

    stripped, profile, _ = strip(jpeg, ImageFormat.JPEG)

    assert profile == wide_rgb_profile()
    assert not [word for word in (b"Exif", b"someone", b"ICC_PROFILE") if word in stripped]
    assert set(png_chunk_names(strip(png, ImageFormat.PNG)[0])) == {"IHDR", "IDAT", "IEND"}


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_jpeg_that_was_cut_and_closed_again_is_refused(kept: float) -> None:
    whole = photo_file("JPEG")

    cut = whole[: int(len(whole) * kept)] + b"\xff\xd9"

    assert refused(cut).details[0].fault is Fault.UNREADABLE_FILE


def test_a_warning_of_the_strict_decoder_leaves_the_judgement_to_pillow() -> None:
    data = photo_file("JPEG")
    padded = data[:-2] + bytes(40) + data[-2:]

    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(padded, strict=True)
    assert corners_off(opened(padded)) <= 6


def test_only_the_five_plugins_can_run() -> None:
    assert {plugin.format for plugin in decoding._PLUGINS.values()} == set(FORMATS)
    assert refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").details[0].fault is Fault.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"JFIF\0\x01", b"JFIF\0\x07"),
        (b"\xff\xdb\0\x43", b"\0\0\0\xff\xdb\0\x43"),
        (b"\xff\xdb\0\x43", b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x09\xff\xdb\0\x43"),
    ],
    ids=["a revision that nobody knows", "bytes between two segments", "a transform that nobody knows"],
)
def test_jpeg_whose_header_is_odd_gives_its_pixels_and_nobody_elses(old: bytes, new: bytes) -> None:
    """libjpeg complains before it has written a pixel: what the memory held before must not come out."""
    whole = saved(soft_photo(), "JPEG", quality=95)
    odd = whole.replace(old, new, 1)
    assert odd != whole

    found = decode(odd, limits=LIMITS)

    assert np.abs(found.rgb.astype(int) - decode(whole, limits=LIMITS).rgb).max() == 0
