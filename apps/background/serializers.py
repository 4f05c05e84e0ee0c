"""The parameters of background removal, and which of them contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from apps.background.pointing_fields import Box, Points, refuse_without_keep
from apps.core.fields import Choice, FileFormat, HexColour, Margin

SUBJECTS = ("universal", "human", "product")
OUTPUT_FORMATS = ("transparent", "white_bg", "mask", "crop")
MASK_MODES = ("binary", "matte")
QUALITIES = ("best", "fast")
FILE_FORMATS = ("png", "webp", "jpg", "jpeg")
WHITE = [255, 255, 255]


class RemoveBackgroundSerializer(serializers.Serializer[Any]):
    """Validated data holds JSON values only; `format` and `crop_margin` are always decided."""

    subject = Choice(SUBJECTS, default="universal", help_text="What to keep.")
    output_format = Choice(
        OUTPUT_FORMATS,
        default="transparent",
        help_text="transparent: RGBA cut-out. white_bg: the subject over pure white. "
        "mask: one channel, 255 is the subject. crop: RGBA, cut to the subject's box.",
    )
    format = FileFormat(
        FILE_FORMATS,
        required=False,
        help_text="File format; jpg only where there is no transparency. Default: png, or jpg for white_bg.",
    )
    mask_mode = Choice(MASK_MODES, default="binary", help_text="With mask: hard (0 and 255) or soft (0..255).")
    quality = Choice(
        QUALITIES,
        default="best",
        help_text="fast: without the second opinion, the network that knows people and the edges' refinement, "
        "in about four fifths of the time.",
    )
    crop_margin = Margin(
        required=False,
        help_text="With crop: room around the subject. Default 0. Narrower where the picture would have more than "
        "100 megapixels or 16383 pixels a side.",
    )
    bg_color = HexColour(required=False, help_text="Colour to put under the subject.")
    points = Points(
        required=False,
        help_text="What to keep and what not: [x, y, 1] keeps what is there, [x, y, 0] drops it; at most 50, in pixels of "
        "the upright photo. Several keep all that they point at.",
    )
    box = Box(
        required=False,
        help_text="A box around what to keep: [x0, y0, x1, y1], in pixels of the upright photo. Points may add and take away.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        refuse_without_keep(attrs)
        output = attrs["output_format"]
        if output == "mask" and "bg_color" in attrs:
            raise serializers.ValidationError({"bg_color": "A mask has no background; leave bg_color out."})
        attrs.setdefault("crop_margin", {"value": 0.0, "unit": "px"})
        attrs.setdefault("format", "jpg" if output == "white_bg" else "png")
        if output == "mask" and attrs["format"] != "png":
            raise serializers.ValidationError({"format": "A mask is always a PNG; leave format out, or send png."})
        if attrs["format"] == "jpg" and output != "white_bg" and "bg_color" not in attrs:
            raise serializers.ValidationError(
                {"format": "JPEG has no transparency: use png or webp, or set bg_color or output_format=white_bg."}
            )
        return attrs


def idle_parameters(params: Mapping[str, Any]) -> list[str]:
    """A sentence for each parameter that asks for something and has no effect beside the others."""
    output, colour = params["output_format"], params.get("bg_color")
    told = []
    if output == "white_bg" and colour and colour != WHITE:
        told.append("output_format=white_bg was sent with bg_color: the background has bg_color, and is not white.")
    if output != "crop" and params["crop_margin"]["value"]:
        told.append("crop_margin has an effect with output_format=crop alone, and was ignored.")
    if output != "mask" and params["mask_mode"] != "binary":
        told.append("mask_mode has an effect with output_format=mask alone, and was ignored.")
    if params["quality"] != "best" and (params.get("points") or params.get("box")):
        told.append("quality has no effect beside points or box, and was ignored.")
    return told
