"""PRODUCT section 6 through the API: every kind of photo comes out upright, in its own colours, and without its owner."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from numpy.typing import NDArray
from PIL import Image

from apps.core.models import Job
from tests import drawing
from tests.api import Api, upload
from tests.contract.scenes import BACK, HEIGHT, MARK, SUBJECT, WIDTH, opened, pixels, scene
from tests.garments import garments_png

OUTPUTS: dict[str, dict[str, str]] = {
    "transparent": {},
    "transparent webp": {"format": "webp"},
    "white jpg": {"output_format": "white_bg"},
    "white png": {"output_format": "white_bg", "format": "png"},
    "white webp": {"output_format": "white_bg", "format": "webp"},
    "colour jpg": {"bg_color": "00ff00", "format": "jpg"},
    "crop": {"output_format": "crop"},
    "crop webp": {"output_format": "crop", "format": "webp"},
    "mask": {"output_format": "mask"},
    "matte": {"output_format": "mask", "mask_mode": "matte"},
}
GPS = {0x8825: {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}}
MARKS = (b"SERIAL-4711", b"Olga Owner", b"Editor 9", b"52.51111")


def is_the_scene(rgba: NDArray[np.uint8], *, tolerance: int = 12) -> bool:
    """Cut out, upright and in its colours."""
    height, width = rgba.shape[:2]
    inside = {
        (height * 3 // 8, width * 3 // 8): MARK,
        (height * 5 // 8, width * 5 // 8): SUBJECT,
        (height * 5 // 8, width * 3 // 8): SUBJECT,
        (height * 3 // 8, width * 5 // 8): SUBJECT,
    }
    right = all(np.abs(rgba[at][:3].astype(int) - colour).max() <= tolerance for at, colour in inside.items())
    return right and all(rgba[at][3] == 255 for at in inside) and rgba[2, 2, 3] == 0 and rgba[-3, -3, 3] == 0


# --- orientation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_photo_comes_out_upright_and_says_no_more_of_it(api: Api, image_format: str, orientation: int) -> None:
    stored = drawing.stored_for(scene(), orientation)
    exif = b"Exif\0\0" + drawing.exif_of(orientation, order=">" if orientation % 2 else "<")

    response = api.remove(drawing.saved(stored, image_format, exif=exif, **quality(image_format)))

    image = opened(response)
    assert image.size == (WIDTH, HEIGHT)
    assert is_the_scene(np.asarray(image))
    assert not image.getexif()
    assert response.headers["X-Width"] == str(WIDTH)
    assert int(response.headers["X-Foreground-Left"]) == pytest.approx(WIDTH // 4, abs=2)


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_every_output_is_upright(api: Api, output: dict[str, str]) -> None:
    stored = drawing.stored_for(scene(60, 90), 6)

    image = opened(
        api.remove(drawing.saved(stored, "JPEG", exif=b"Exif\0\0" + drawing.exif_of(6), quality=95), **output)
    )

    assert image.size == pytest.approx((30, 45) if output.get("output_format") == "crop" else (60, 90), abs=2)
    assert not image.getexif()


def quality(image_format: str) -> dict[str, Any]:
    return {} if image_format == "PNG" else {"quality": 95}


# --- colours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_colour_profile_is_kept_in_every_output_with_colours(api: Api, image_format: str) -> None:
    profile = drawing.wide_rgb_profile()
    photo = drawing.saved(scene(), image_format, icc_profile=profile, **quality(image_format))

    for name, output in OUTPUTS.items():
        image = opened(api.remove(photo, **output))
        has_none = output.get("output_format") == "mask" or "bg_color" in output  # which brings the photo to sRGB
        assert image.info.get("icc_profile") == (None if has_none else profile), name
        if not has_none:  # and so the numbers are the photo's own
            at = (image.width * 5 // 8, image.height * 5 // 8)
            assert np.abs(np.array(image.getpixel(at)[:3]) - SUBJECT).max() <= 14, name


def test_rubbish_for_a_profile_is_left_out_and_the_photo_served(api: Api) -> None:
    photo = drawing.saved(scene(), "JPEG", icc_profile=b"no profile at all", quality=95)

    image = opened(api.remove(photo))

    assert "icc_profile" not in image.info
    assert is_the_scene(np.asarray(image))


def cmyk(profile: bytes | None = None) -> bytes:
    return drawing.saved(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=98, icc_profile=profile or b"")


def palette_png(*, clear: int | None = None) -> bytes:
    picture = Image.fromarray(scene()).quantize(8)
    return drawing.saved(picture, "PNG", **({} if clear is None else {"transparency": clear}))


def sixteen_bits(colour: int) -> bytes:
    """A 16-bit PNG, grey (0) or RGB (2), whose low bytes are noise."""
    wide = scene().astype(np.uint16) * 257
    if colour == 0:
        wide = np.asarray(Image.fromarray(scene()).convert("L"), np.uint16)[:, :, None] * 257
    rows = wide.astype(">u2").tobytes()
    return drawing.png_file(WIDTH, HEIGHT, depth=16, colour=colour, rows=rows)


COLOUR_FILES = {
    "cmyk": cmyk(),
    "palette": palette_png(),
    "16-bit rgb": sixteen_bits(2),
    "bmp": drawing.saved(scene(), "BMP"),
    "bmp of 32 bits": drawing.saved(Image.fromarray(scene()).convert("RGBA"), "BMP"),
    "gif": drawing.saved(Image.fromarray(scene()).quantize(8), "GIF"),
    "webp, lossless": drawing.saved(scene(), "WEBP", lossless=True),
    "jpeg, progressive": drawing.saved(scene(), "JPEG", quality=98, progressive=True),
    "jpeg, 4:2:0": drawing.saved(scene(), "JPEG", quality=95, subsampling=2),
    "png, interlaced bits": drawing.png_file(WIDTH, HEIGHT, depth=8, colour=2, rows=scene().tobytes()),
    "rgba, opaque": drawing.saved(Image.fromarray(scene()).convert("RGBA"), "PNG"),
}


@pytest.mark.parametrize("photo", COLOUR_FILES.values(), ids=COLOUR_FILES)
def test_every_colour_mode_comes_out_in_its_colours(api: Api, photo: bytes) -> None:
    assert is_the_scene(pixels(api.remove(photo)), tolerance=16)


def grey_values(rgba: NDArray[np.uint8]) -> list[int]:
    at = rgba[HEIGHT * 5 // 8, WIDTH * 5 // 8]
    assert at[0] == at[1] == at[2]
    return [int(at[0]), int(rgba[2, 2, 3]), int(at[3])]


@pytest.mark.parametrize(
    ("photo", "value"),
    [
        (drawing.saved(Image.fromarray(scene()).convert("L"), "PNG"), 51),
        (drawing.saved(Image.fromarray(scene()).convert("L"), "JPEG", quality=98), 51),
        (sixteen_bits(0), 51),
        (drawing.saved(Image.fromarray(scene()).convert("LA"), "PNG"), 51),
        (drawing.saved(Image.fromarray(scene()).convert("L").point(lambda v: 255 * (v > 128)).convert("1"), "PNG"), 0),
        (drawing.saved(Image.fromarray(scene()).convert("L"), "GIF"), 51),
    ],
    ids=["png", "jpeg", "16-bit", "grey and alpha", "1-bit", "gif"],
)
def test_every_grey_mode_comes_out_as_grey(api: Api, photo: bytes, value: int) -> None:
    found = grey_values(pixels(api.remove(photo)))

    assert found == [pytest.approx(value, abs=4), 0, 255]


def test_print_colours_are_converted_with_their_profile(api: Api) -> None:
    image = opened(api.remove(cmyk(drawing.cmyk_profile())))

    assert "icc_profile" not in image.info  # it is for inks; the pixels are sRGB now
    red, green, blue, _ = image.getpixel((WIDTH * 5 // 8, HEIGHT * 5 // 8))
    assert max(red, green, blue) - min(red, green, blue) < 12  # the press of this profile prints grey, whatever the ink


# --- transparency ---------------------------------------------------------------------------------------------


def with_hole(image_format: str, **options: Any) -> bytes:
    """The scene with its subject's right half erased and its lower quarter half transparent."""
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, WIDTH // 2 :] = 0
    alpha[HEIGHT * 5 // 8 :, : WIDTH // 2] = 128
    return drawing.saved(np.dstack([scene(), alpha]), image_format, **options)


@pytest.mark.parametrize("photo", [with_hole("PNG"), with_hole("WEBP", lossless=True)], ids=["png", "webp"])
def test_alpha_that_is_there_is_respected(api: Api, photo: bytes) -> None:
    cut_out = pixels(api.remove(photo))
    white = pixels(api.remove(photo, output_format="white_bg", format="png"))
    mask = pixels(api.remove(photo, output_format="mask", mask_mode="matte"))
    erased, half, whole = (
        (HEIGHT // 2, WIDTH * 5 // 8),
        (HEIGHT * 11 // 16, WIDTH * 3 // 8),
        (HEIGHT * 3 // 8, WIDTH * 3 // 8),
    )

    assert cut_out[erased][3] == mask[erased] == 0
    assert tuple(white[erased]) == (255, 255, 255)
    assert cut_out[half][3] == pytest.approx(128, abs=3)
    assert mask[half] == pytest.approx(128, abs=3)
    assert cut_out[whole][3] == mask[whole] == 255
    assert np.abs(white[whole].astype(int) - MARK).max() <= 4


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_transparent_colour_of_a_palette_is_respected(api: Api, image_format: str) -> None:
    picture = Image.fromarray(scene()).quantize(8)
    photo = drawing.saved(picture, image_format, transparency=picture.getpixel((WIDTH * 3 // 8, HEIGHT * 3 // 8)))

    cut_out = pixels(api.remove(photo))

    assert cut_out[HEIGHT * 3 // 8, WIDTH * 3 // 8, 3] == 0
    assert cut_out[HEIGHT * 5 // 8, WIDTH * 5 // 8, 3] == 255


def test_photo_that_is_all_transparent_has_no_subject_and_is_free(api: Api) -> None:
    clear = np.dstack([scene(), np.zeros((HEIGHT, WIDTH), np.uint8)])

    response = api.remove(drawing.saved(clear, "PNG"))

    assert pixels(response)[:, :, 3].max() == 0
    assert response.headers["X-Credits-Charged"] == "0"


# --- animation ------------------------------------------------------------------------------------------------


def animated(image_format: str) -> bytes:
    first, second = Image.fromarray(scene()), Image.new("RGB", (WIDTH, HEIGHT), BACK)
    options = {"lossless": True} if image_format == "WEBP" else {}
    return drawing.saved(first, image_format, save_all=True, append_images=[second], duration=100, **options)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame_and_says_so(api: Api, image_format: str) -> None:
    photo = animated(image_format)

    binary = api.remove(photo)
    envelope = api.remove(photo, accept="application/json").json()

    image = opened(binary)
    assert getattr(image, "n_frames", 1) == 1
    assert is_the_scene(np.asarray(image))
    assert binary.headers["X-Warnings"] == "FIRST_FRAME_ONLY"
    assert [warning["code"] for warning in envelope["warnings"]] == ["FIRST_FRAME_ONLY"]


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_still_of_an_animated_format_warns_of_nothing(api: Api, image_format: str) -> None:
    assert "X-Warnings" not in api.remove(drawing.saved(Image.fromarray(scene()).quantize(8), image_format)).headers


# --- privacy --------------------------------------------------------------------------------------------------


CREDIT = "Jane Doe"
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" aux:SerialNumber="SERIAL-4711" '
    'aux:OwnerName="Olga Owner"><dc:creator><rdf:Seq><rdf:li>Jane Doe</rdf:li></rdf:Seq></dc:creator></rdf:Description>'
    "</rdf:RDF>52.51111</x:xmpmeta>"
)


def telling(image_format: str) -> bytes:
    """A photo that tells who made it, and whose camera it was, with what, and where."""
    exif = Image.Exif()
    exif[0x8298], exif[0x013B], exif[0x010F], exif[0x0131] = CREDIT, CREDIT, "SERIAL-4711", "Editor 9"
    exif[0x011A], exif[0x011B], exif[0x0128] = 300.0, 300.0, 2
    exif[0x8769] = {0xA430: "Olga Owner", 0xA431: "SERIAL-4711", 0xA435: "SERIAL-4711", 0x927C: b"SERIAL-4711"}
    exif[0x8825] = GPS[0x8825]
    options: dict[str, Any] = {"exif": exif.tobytes(), "xmp": XMP.encode()}
    if image_format == "JPEG":
        options |= {"comment": b"SERIAL-4711", "quality": 95, "dpi": (300, 300)}
    elif image_format == "WEBP":
        options |= {"quality": 95}
    else:
        from PIL.PngImagePlugin import PngInfo

        options |= {"pnginfo": PngInfo(), "dpi": (300, 300)}
        options["pnginfo"].add_text("Author", CREDIT)
        options["pnginfo"].add_text("Software", "Editor 9")
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP)
        del options["xmp"]
    return drawing.saved(scene(), image_format, **options)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_nothing_that_names_an_owner_a_camera_or_a_place_survives(api: Api, image_format: str) -> None:
    photo = telling(image_format)
    assert any(mark in photo for mark in MARKS)

    for name, output in OUTPUTS.items():
        response = api.remove(photo, **output)
        image = opened(response)
        assert set(image.getexif()) <= {0x013B, 0x8298, 0x011A, 0x011B, 0x0128}, name
        assert not image.getexif().get_ifd(0x8825), name
        for mark in (*MARKS, b"GPS", b"Pillow", b"tEXt"):
            assert mark not in response.content, name


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_resolution_and_the_authors_credit_survive(api: Api, image_format: str) -> None:
    for name, output in OUTPUTS.items():
        image = opened(api.remove(telling(image_format), **output))
        tags = image.getexif()
        is_mask = output.get("output_format") == "mask"
        assert (tags.get(0x013B), tags.get(0x8298)) == ((None, None) if is_mask else (CREDIT, CREDIT)), name
        dpi = (tags[0x011A], tags[0x011B]) if image.format == "WEBP" else image.info["dpi"]
        assert dpi == pytest.approx((300, 300), abs=0.02), name
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or ""
        assert (CREDIT in (packet if isinstance(packet, str) else packet.decode())) is not is_mask, name


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_credit_survives_the_other_faces_and_operations(api: Api, kind: str) -> None:
    form = {"image_file": upload(telling("JPEG")), "size": "auto", "format": kind}
    answers = [api.post("/v1.0/removebg", form, **{"X-Api-Key": api.key})]
    form = {"image": upload(telling("JPEG")), "format": kind}
    answers.append(api.post("/v1/watermark-removal", form, Accept="image/*"))
    garments = {"image": upload(with_credit(garments_png())), "return_form": "whiteBK"}
    answers.append(api.post("/v1/clothing-segmentation", garments, Accept="image/*"))

    for answer in answers:
        image = opened(answer)
        assert image.getexif()[0x013B] == CREDIT
        assert b"SERIAL" not in answer.content


def with_credit(png: bytes) -> bytes:
    exif = Image.Exif()
    exif[0x013B], exif[0x010F] = CREDIT, "SERIAL-4711"
    return drawing.saved(Image.open(io.BytesIO(png)), "PNG", exif=exif.tobytes())


# --- size -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_wh", [(1, 1), (1, 70), (70, 1), (2, 3), (33, 77), (640, 11)])
def test_output_has_the_inputs_size(api: Api, size_wh: tuple[int, int]) -> None:
    for name, output in OUTPUTS.items():
        if output.get("output_format") != "crop":
            response = api.remove(drawing.photo_png(*size_wh), **output)
            assert opened(response).size == size_wh, name
            assert (response.headers["X-Width"], response.headers["X-Height"]) == tuple(map(str, size_wh)), name


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.exe", "photo", "фото.gif"])
def test_bytes_decide_not_the_name_nor_the_declared_type(api: Api, name: str) -> None:
    photo = drawing.saved(scene(), "WEBP", lossless=True)

    for declared in ("image/png", "text/plain", "application/octet-stream"):
        upload = SimpleUploadedFile(name, photo, content_type=declared)
        assert is_the_scene(pixels(api.post("/v1/remove-bg/universal", {"image": upload}))), declared


# Files as they come -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/remove-bg/universal", "/v1.0/removebg"])
@pytest.mark.parametrize(
    "tail", [b"", b"\0\0\0\x0a\x0e\0\0\0Image_UTC_Data15SEFT", b"\0\0\0\x18ftypmp42" + bytes(3000)]
)
def test_a_jpeg_with_every_pixel_and_no_end_marker_is_a_photo(api: Api, path: str, tail: bytes) -> None:
    field = "image_file" if path.endswith("removebg") else "image"
    whole = drawing.saved(scene(), "JPEG", quality=90)

    response = api.post(path, {field: upload(whole[:-2] + tail)})
    cut = api.post(path, {field: upload(whole[: len(whole) * 2 // 3])})

    assert response.status_code == 200, response.content
    assert cut.status_code == 400


@pytest.mark.parametrize("path", ["/v1/remove-bg/universal", "/v1.0/removebg", "/v1/clothing-segmentation"])
def test_a_thousand_scans_are_refused_before_there_is_a_job(api: Api, path: str) -> None:
    field = "image_file" if path.endswith("removebg") else "image"

    response = api.post(path, {field: upload(drawing.jpeg_of_scans(1000))})

    assert response.status_code == 400
    assert b"scans" in response.content
    assert not Job.objects.exists()
