"""Background removal with remove.bg's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rest_framework import serializers

from apps.background.operation import REMOVE_BACKGROUND, CutOut
from apps.background.removebg_fields import Colour, CropMargins, Length, Position, Region, Scale
from apps.core.errors import AppError, Detail, ErrorCode, Fault, invalid
from apps.core.fields import Choice, FileFormat
from apps.core.operations import MEGABYTE, ImageInput, SourceFields
from apps.core.own_words import WholeNumber, YesNo
from apps.core.pictures.inspection import ImageHeader

MEGAPIXELS = {
    "preview": 0.25,
    "small": 0.25,
    "regular": 0.25,
    "medium": 1.5,
    "hd": 4.0,
    "full": 25.0,
    "4k": 25.0,
    "auto": 25.0,
    "50MP": 50.0,
}
MOST_PNG_MEGAPIXELS = 10.0
SUBJECTS = {"person": "human", "product": "product", "car": "product", "transportation": "product"}
TYPES = (
    "auto", "person", "product", "car", "animal", "graphic", "transportation", "other", "graphics", "car_interior", "car_part",
)  # fmt: skip
COARSE_TYPES = frozenset({"person", "product", "animal", "car"})
SHADOWS = ("none", "auto", "car", "3D", "drop")
SEMITRANSPARENCIES = ("auto", "car", "none")
DEFAULT_SHADOW_OPACITY = 60
_BACKGROUNDS = ("bg_color", "bg_image_file", "bg_image_url")


class RemoveBgSerializer(serializers.Serializer[Any]):
    """Validated data holds JSON values only, and nothing that is still to be decided but for `format=auto`."""

    size = Choice(
        tuple(MEGAPIXELS),
        default="preview",
        help_text="The largest answer: preview, small and regular 0.25 MP, medium 1.5 MP, hd 4 MP, full, 4k and auto 25 MP, "
        "50MP 50 MP; a PNG has 10 MP at most. A smaller photo keeps its size.",
    )
    type = Choice(TYPES, default="auto", help_text="What to keep.")
    type_level = Choice(
        ("none", "1", "2", "latest"), default="1", help_text="How finely X-Type names the subject; none: no X-Type."
    )
    format = FileFormat(
        ("auto", "png", "jpg", "jpeg", "webp", "zip"),
        default="auto",
        help_text="auto: png, or jpg where nothing is transparent. zip: color.jpg and alpha.png. "
        "jpg has no transparency: white lies under it.",
    )
    channels = Choice(("rgba", "alpha"), default="rgba", help_text="alpha: the subject's mask, one channel.")
    roi = Region(required=False, help_text="Only what lies in this region can be subject.")
    crop = YesNo(default=False, help_text="Cut off all empty regions.")
    crop_margin = CropMargins(required=False, help_text="With crop: room around the subject.")
    scale = Scale(default=None, help_text="The subject's size, as a share of the canvas.")
    position = Position(
        required=False, help_text="Where the subject stands: by default original, or center where scale is given."
    )
    bg_color = Colour(required=False, help_text="Colour to put under the subject; not with a background image.")
    semitransparency = YesNo(default=True, help_text="false: everything solid but for a soft edge.")
    semitransparency_type = Choice(
        SEMITRANSPARENCIES, default="auto", help_text="none: the same as semitransparency=false."
    )
    add_shadow = YesNo(default=False, help_text="The same as shadow_type=auto.")
    shadow_type = Choice(
        SHADOWS,
        required=False,
        help_text="car, 3D: on the ground under the subject. drop: on a wall behind it. auto: the one that suits.",
    )
    shadow_opacity = WholeNumber(
        default=DEFAULT_SHADOW_OPACITY, min_value=0, max_value=100, help_text="Of the shadow, in percent."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = [name for name in _BACKGROUNDS if self.initial_data.get(name)]
        if len(given) > 1:
            issue = f"Send one background: {' or '.join(_BACKGROUNDS)}."
            details = [Detail(name, issue, Fault.SEVERAL_SOURCES) for name in given]
            raise AppError(ErrorCode.VALIDATION_ERROR, issue, details=details)
        attrs["has_bg_image"] = bool(given) and given[0] != "bg_color"
        attrs["subject"] = SUBJECTS.get(attrs["type"], "universal")
        attrs.setdefault("crop_margin", [[0.0, "px"]] * 4)
        attrs.setdefault("position", None if attrs["scale"] is None else [0.5, 0.5])
        attrs.setdefault("shadow_type", "auto" if attrs["add_shadow"] else "none")
        attrs["semitransparency"] = attrs["semitransparency"] and attrs["semitransparency_type"] != "none"
        return attrs


def region_px(roi: list[Length], size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """
    A region of interest in pixels.

    Args:
        roi: x1, y1, x2, y2.
        size_wh: of the upright image.

    Returns:
        Left, top, right, bottom; the last two are not in it.

    Raises:
        AppError: it leaves the image, or nothing lies in it.
    """
    edges = [
        round(value if unit == "px" else value / 100 * side)
        for (value, unit), side in zip(roi, size_wh * 2, strict=True)
    ]
    left, top, right, bottom = edges
    width, height = size_wh
    if max(left, right) > width or max(top, bottom) > height:
        raise invalid("roi", f"The region leaves the image, which has {width} x {height} px.")
    if right <= left or bottom <= top:
        raise invalid("roi", "The region is empty: x2 must be right of x1, and y2 below y1.", Fault.EMPTY_REGION)
    return left, top, right, bottom


def x_type(params: Mapping[str, Any]) -> str | None:
    """What X-Type says: what the client said it is, as finely as it asked; None where it wants to hear nothing."""
    level, told = params["type_level"], params["type"]
    if level == "none":
        return None
    return told if told in COARSE_TYPES or (level != "1" and told != "auto") else "other"


def _check(params: Mapping[str, Any], headers: Mapping[str, ImageHeader]) -> None:
    if "roi" in params:
        region_px(params["roi"], (headers["image"].width, headers["image"].height))


_LIMITS = replace(REMOVE_BACKGROUND.image_limits, max_bytes=22 * MEGABYTE)


class RemoveBgCutOut(CutOut):
    """As a job shows it; remove.bg's own form says the same in other words."""

    type: str | None


REMOVE_BG = replace(
    REMOVE_BACKGROUND,
    slug="removebg",
    title="Remove the background of a photo, with remove.bg's parameters",
    serializer=RemoveBgSerializer,
    runner="apps.background.removebg_runner.RemoveBgRunner",
    image_limits=_LIMITS,
    body_cap_bytes=50 * MEGABYTE,
    result=RemoveBgCutOut,
    image_fields=SourceFields("image_file", "image_url", "image_file_b64"),
    more_images=(ImageInput("bg_image", SourceFields("bg_image_file", "bg_image_url"), _LIMITS, required=False),),
    check=_check,
)
