from __future__ import annotations

import io
import struct
import subprocess
import sys
from dataclasses import replace

import pytest
from PIL import Image

from apps.core.errors import AppError, ErrorCode, Fault
from apps.core.pictures.inspection import ImageFormat, ImageHeader, ImageLimits, inspect
from tests.drawing import PNG_SIGNATURE, exif_of, four_corners, photo_file, png_chunk, png_claiming, png_file, saved
from tests.limits import MB, roomy

LIMITS = roomy(max_bytes=100 * MB)
FORMATS = [each.value for each in ImageFormat]


class CountingFile(io.BytesIO):
    """Counts what its reader does, so that a bound on work needs no clock."""

    calls = 0
    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.calls += 1
        self.bytes_read += len(data)
        return data


def refused(data: bytes, limits: ImageLimits = LIMITS) -> AppError:
    file = CountingFile(data)
    with pytest.raises(AppError) as caught:
        inspect(file, limits=limits, field="photo")
    assert file.tell() == 0
    assert caught.value.code is ErrorCode.VALIDATION_ERROR
    assert caught.value.details[0].field == "photo"
    assert file.calls < 250_000
    assert file.bytes_read < 1_000_000
    return caught.value


def fault_of(data: bytes, limits: ImageLimits = LIMITS) -> Fault:
    return refused(data, limits).details[0].fault


@pytest.mark.parametrize(
    ("side_px", "depth", "colour", "is_taken"),
    [(10_000, 16, 6, False), (8_090, 16, 6, True), (10_000, 16, 2, False), (10_000, 16, 4, True), (10_000, 8, 6, True)],
)
def test_deep_png_that_takes_long_to_unfilter_is_refused_by_its_header(
    side_px: int, depth: int, colour: int, is_taken: bool
) -> None:
    data = png_file(side_px, side_px, depth=depth, colour=colour, rows=b"")
    limits = replace(LIMITS, max_width_px=10_000, max_height_px=10_000, max_pixels=10**8)
    if is_taken:
        assert inspect(io.BytesIO(data), limits=limits).width == side_px
        return

    error = refused(data, limits)

    assert error.details[0].fault is Fault.RESOLUTION_TOO_HIGH
    assert "the limit is 500 MB. Save it with 8 bits a channel." in error.details[0].issue


def narrow(**bounds: int) -> ImageLimits:
    values = {"max_bytes": MB, "max_width_px": 100, "max_height_px": 100, "max_pixels": 10_000, **bounds}
    return ImageLimits(frozenset(ImageFormat), **values)


@pytest.mark.parametrize("image_format", FORMATS)
def test_format_and_size_come_from_the_bytes(image_format: str) -> None:
    file = io.BytesIO(photo_file(image_format))

    header = inspect(file, limits=LIMITS)

    assert header == ImageHeader(ImageFormat(image_format), 48, 32, 1, is_animated=False)
    assert file.tell() == 0


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_the_upright_one(image_format: str, orientation: int) -> None:
    header = inspect(io.BytesIO(photo_file(image_format, orientation)), limits=LIMITS)

    assert (header.width, header.height, header.orientation) == (48, 32, orientation)


@pytest.mark.parametrize("webp", [{"lossless": True}, {"quality": 80}, {"quality": 80, "exif": exif_of(1)}])
def test_every_kind_of_webp_is_measured(webp: dict[str, object]) -> None:
    header = inspect(io.BytesIO(saved(four_corners(33, 21), "WEBP", **webp)), limits=LIMITS)

    assert (header.width, header.height) == (33, 21)


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II",
        b"rubbish" * 9,
        exif_of(9),
        exif_of(0),
        exif_of(6)[:12],
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*" + b"\xff" * 99,
    ],
)
def test_broken_exif_counts_as_none(exif: bytes) -> None:
    chunk = png_chunk(b"eXIf", exif)
    data = photo_file("PNG")
    data = data[:33] + chunk + saved(four_corners(), "PNG")[33:]

    assert inspect(io.BytesIO(data), limits=LIMITS).orientation == 1


def test_exif_may_be_big_endian_and_may_follow_the_pixels() -> None:
    plain = saved(four_corners(), "PNG")
    data = plain[:-12] + png_chunk(b"eXIf", exif_of(8, order=">")) + plain[-12:]

    assert inspect(io.BytesIO(data), limits=LIMITS).orientation == 8


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"hello, this is text", "text"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"%PDF-1.7\n", "PDF"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"BMW is a text, too", "text"),
        (b"\x01\x02\x03\x04", "not an image"),
    ],
)
def test_other_types_are_named_and_refused(data: bytes, name: str) -> None:
    error = refused(data)

    assert error.details[0].fault is Fault.UNSUPPORTED_FORMAT
    assert name in error.message
    assert "JPEG, PNG, WEBP, GIF, BMP" in error.message


def test_a_format_outside_the_operations_list_is_refused_by_name() -> None:
    limits = ImageLimits(frozenset({ImageFormat.PNG}), MB, 100, 100, 10_000)

    error = refused(photo_file("GIF"), limits)

    assert error.message == "The file is GIF; send one of PNG."


def test_empty_file() -> None:
    assert fault_of(b"") is Fault.EMPTY_FILE


def test_too_many_bytes_are_stated_and_never_rounded_down_to_the_limit() -> None:
    error = refused(b"\xff" * (10 * MB + 1), narrow(max_bytes=10 * MB))

    assert error.details[0].fault is Fault.FILE_TOO_LARGE
    assert error.message == "The image is 10.1 MB; the limit is 10 MB. Send a smaller file."
    assert inspect(io.BytesIO(photo_file("PNG")), limits=narrow(max_bytes=len(photo_file("PNG"))))


@pytest.mark.parametrize(
    ("size_wh", "fault"),
    [
        ((101, 50), Fault.RESOLUTION_TOO_HIGH),
        ((50, 101), Fault.RESOLUTION_TOO_HIGH),
        ((90, 90), Fault.RESOLUTION_TOO_HIGH),
        ((50, 51), Fault.RESOLUTION_TOO_LOW),
        ((51, 50), Fault.RESOLUTION_TOO_LOW),
    ],
)
def test_dimensions_outside_the_limits(size_wh: tuple[int, int], fault: Fault) -> None:
    limits = narrow(min_width_px=51, min_height_px=51, max_pixels=8_000)

    error = refused(saved(four_corners(*size_wh), "PNG"), limits)

    assert error.details[0].fault is fault
    assert f"{size_wh[0]} x {size_wh[1]} px" in error.message


@pytest.mark.parametrize("size_wh", [(51, 51), (80, 100), (100, 51)])
def test_bounds_are_inclusive(size_wh: tuple[int, int]) -> None:
    limits = narrow(min_width_px=51, min_height_px=51, max_pixels=8_000)

    assert inspect(io.BytesIO(saved(four_corners(*size_wh), "PNG")), limits=limits)


def test_limits_hold_for_the_upright_image() -> None:
    data = saved(four_corners(90, 30), "JPEG", exif=b"Exif\0\0" + exif_of(6))

    assert fault_of(data, narrow(max_height_px=80)) is Fault.RESOLUTION_TOO_HIGH
    assert inspect(io.BytesIO(data), limits=narrow(max_width_px=80))


@pytest.mark.parametrize("size_wh", [(1, 1), (1, 40), (40, 1)])
@pytest.mark.parametrize("image_format", FORMATS)
def test_a_single_row_or_pixel_is_an_image(image_format: str, size_wh: tuple[int, int]) -> None:
    header = inspect(io.BytesIO(saved(four_corners(*size_wh), image_format)), limits=LIMITS)

    assert (header.width, header.height) == size_wh


def bombs() -> dict[str, bytes]:
    jpeg = photo_file("JPEG")
    frame = jpeg.index(b"\xff\xc0")
    webp = b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\xff" * 2
    bmp = b"BM" + struct.pack("<IIIIiiHHI", 54, 0, 54, 40, 30_000, 30_000, 1, 8, 1).ljust(52, b"\0")
    return {
        "png": png_claiming(30_000, 30_000),
        "png, huge": png_claiming(65_500, 65_500),
        "png, absurd": png_claiming(2**31 - 1, 2**31 - 1),
        "jpeg": jpeg[: frame + 5] + struct.pack(">HH", 65_500, 65_500) + jpeg[frame + 9 :],
        "webp": webp.ljust(72, b"\0"),
        "gif": b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b"," + struct.pack("<4HB", 0, 0, 1, 1, 0),
        "gif, by its frame": b"GIF89a"
        + bytes([1, 0, 1, 0, 0, 0, 0])
        + b","
        + struct.pack("<4HB", 60_000, 0, 50_000, 9, 0),
        "bmp": bmp,
    }


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_by_its_header(name: str) -> None:
    assert fault_of(bombs()[name]) is Fault.RESOLUTION_TOO_HIGH


def hostile_files() -> dict[str, bytes]:
    png, jpeg = photo_file("PNG"), photo_file("JPEG")
    webp = b"RIFF\xff\xff\xff\0WEBP" + photo_file("WEBP")[12:]
    return {
        "a million empty comments": b"\xff\xd8" + b"\xff\xfe\0\2" * 1_000_000 + jpeg[2:],
        "20 MB of APP1": b"\xff\xd8" + (b"\xff\xe1\xff\xff" + bytes(65_533)) * 310 + jpeg[2:],
        "endless fill bytes": b"\xff\xd8" + b"\xff" * 1_000_000,
        "a million empty chunks": png[:33] + png_chunk(b"teSt", b"") * 1_000_000 + png[33:],
        "20 MB of iCCP": png[:33] + png_chunk(b"iCCP", bytes(20 * MB)) + png[33:],
        "a million pieces of pixels": png[:33] + png_chunk(b"IDAT", b"") * 1_000_000,
        "a million webp chunks": webp + b"teSt\0\0\0\0" * 1_000_000,
        "a million gif comments": b"GIF89a" + bytes(7) + b"!\xfe\0" * 1_000_000,
        "a gif comment of a million blocks": b"GIF89a" + bytes(7) + b"!\xfe" + b"\1x" * 1_000_000,
    }


@pytest.mark.parametrize("name", hostile_files())
def test_work_on_a_hostile_header_is_bounded(name: str) -> None:
    assert fault_of(hostile_files()[name]) is Fault.UNREADABLE_FILE  # `refused` counts the reads


def test_text_is_never_inflated() -> None:
    png = photo_file("PNG")
    bomb = png_chunk(b"zTXt", b"k\0\0" + bytes(3 * MB))
    file = CountingFile(png[:33] + bomb + png[33:])

    inspect(file, limits=LIMITS)

    assert file.bytes_read < 10_000


def frames(count: int, image_format: str) -> bytes:
    drawn = [four_corners(8, 6) // (i + 1) for i in range(count)]
    first, *rest = [Image.fromarray(frame) for frame in drawn]
    return saved(first, image_format, save_all=True, append_images=rest, duration=50, loop=0)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_animation_is_noticed(image_format: str) -> None:
    assert inspect(io.BytesIO(frames(3, image_format)), limits=LIMITS).is_animated
    assert not inspect(io.BytesIO(frames(1, image_format)), limits=LIMITS).is_animated


def test_a_gif_of_a_hundred_thousand_frames_is_read_no_further_than_its_second() -> None:
    frame = b"," + struct.pack("<4HB", 0, 0, 2, 2, 0) + b"\2\2D\1\0"
    file = CountingFile(b"GIF89a" + struct.pack("<HHBBB", 2, 2, 0x80, 0, 0) + bytes(6) + frame * 100_000 + b";")

    assert inspect(file, limits=LIMITS).is_animated
    assert file.bytes_read < 1_000


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_prefix_of_a_file_is_either_a_header_or_a_refusal(image_format: str) -> None:
    data = saved(four_corners(5, 4), image_format)
    verdicts = []
    for length in range(1, len(data)):
        try:
            verdicts.append(inspect(io.BytesIO(data[:length]), limits=LIMITS).width)
        except AppError as error:
            verdicts.append(error.details[0].fault)

    assert set(verdicts) <= {5, Fault.UNREADABLE_FILE, Fault.UNSUPPORTED_FORMAT}
    assert verdicts[15] is Fault.UNREADABLE_FILE


def test_magic_bytes_alone_are_unreadable() -> None:
    for start in (PNG_SIGNATURE, b"\xff\xd8\xff", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"BM\0\0\0\0"):
        assert fault_of(start) is Fault.UNREADABLE_FILE


@pytest.mark.parametrize(
    "ihdr",
    [struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0), struct.pack(">IIBBBBB", 9, 9, 3, 2, 0, 0, 0)],
)
def test_an_impossible_png_header_is_unreadable(ihdr: bytes) -> None:
    assert fault_of(PNG_SIGNATURE + png_chunk(b"IHDR", ihdr) + photo_file("PNG")[33:]) is Fault.UNREADABLE_FILE


def test_a_bmp_with_fewer_bytes_than_pixels_is_unreadable() -> None:
    assert fault_of(photo_file("BMP")[:-500]) is Fault.UNREADABLE_FILE


def test_the_web_process_loads_no_pixel_library_for_this() -> None:
    code = (
        "import sys, apps.core.pictures.inspection, apps.core.intake.fetch, apps.core.intake.inline\n"
        "sys.exit(bool({'numpy', 'cv2', 'pyvips', 'simplejpeg', 'PIL', 'django'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
