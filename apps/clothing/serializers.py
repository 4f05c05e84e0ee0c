"""The parameters of clothing segmentation, in our form and in AILabTools'."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.fields import Choice, Choices
from ml.clothing.garments import DRESS, GARMENTS

PLAIN_GARMENTS = tuple(name for name in GARMENTS if name != DRESS)
"""The classes where dresses count as skirts."""

SEPARATE = "separate"


class ClothingSerializer(serializers.Serializer[Any]):
    """Validated data holds JSON values only; `cloth_class` is always decided, in the order of `GARMENTS`."""

    cloth_class = Choices(
        GARMENTS,
        required=False,
        help_text=f"The garments to cut out: one or more of {', '.join(PLAIN_GARMENTS)}, comma separated or repeated; with "
        "dress=separate also dress. Default: all of them.",
    )
    return_form = Choice(
        ("rgba", "mask", "whiteBK"),
        default="rgba",
        help_text="rgba: cut-out with transparency. mask: one channel, 255 is the garment. whiteBK: over pure white, "
        "three channels. All are PNG at the photo's size.",
    )
    dress = Choice(
        ("skirt", SEPARATE), default="skirt", help_text="Where dresses count: as skirt, or as a class of their own."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        is_separate = attrs["dress"] == SEPARATE
        attrs.setdefault("cloth_class", list(GARMENTS if is_separate else PLAIN_GARMENTS))
        if DRESS in attrs["cloth_class"] and not is_separate:
            raise serializers.ValidationError(
                {"cloth_class": "dress is a class of its own only with dress=separate; without it ask for skirt."}
            )
        return attrs


class CostumeSerializer(serializers.Serializer[Any]):
    """AILabTools' parameters; validated data is what the ClothingSerializer gives."""

    cloth_class = Choices(
        PLAIN_GARMENTS,
        required=False,
        help_text=f"The garments to cut out: one or more of {', '.join(PLAIN_GARMENTS)}, comma separated. "
        "Default: all of them. Dresses count as skirt.",
    )
    return_form = Choice(
        ("mask", "whiteBK"),
        required=False,
        help_text="mask: one channel. whiteBK: over pure white. Absent: a four-channel PNG.",
    )
    out_mode = Choice(
        ("0", "1"), default="0", help_text="Taken and without effect: image_url always holds what cloth_class names."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        whole = ClothingSerializer(data={name: attrs[name] for name in ("cloth_class", "return_form") if name in attrs})
        whole.is_valid(raise_exception=True)
        return dict(whole.validated_data)
