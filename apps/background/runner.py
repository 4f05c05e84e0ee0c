"""Background removal in the worker: decode, infer, cut out, encode, store."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from apps.background.pointing import Pointing, points_at_something
from apps.core.outcome import Outcome, WarningCode
from apps.core.pictures.colour import WHITE
from apps.core.pictures.decoding import Photo
from apps.core.work.engine import Engine, Runner
from apps.core.work.execution import Work
from apps.core.work.loading import load
from ml.background.confidence import LOW_BELOW
from ml.picture import compositing
from ml.picture.foreground import estimate_foreground
from ml.picture.subject import FoundSubject
from ml.picture.types import AlphaChannel, BoxXywh


class BackgroundRunner(Runner):
    """It holds the networks, and what pointing has seen of the last photos."""

    def __init__(self, engine: Engine) -> None:
        self._background = load(engine.models, engine.models.background)
        self._pointing = Pointing(engine)
        self.loaded = (self._background,)

    def load_the_rest(self) -> None:
        """Load what follows points: torch alone takes seconds to import."""
        self.loaded = (self._background, self._pointing.loaded)

    def run(self, work: Work) -> Outcome:
        """Do the job. Raises AppError(VALIDATION_ERROR) when the file can't be decoded after all."""
        data = work.input()
        colour = _ground(work.params)
        photo = work.photo(data=data)
        is_pointed_at = points_at_something(work.params)
        with work.stage("infer", progress=0.2):
            photo = photo.over(colour)  # first: else the networks have its colours converted once more
            if is_pointed_at:
                result = self._pointing.run(work, data, photo.to_srgb(), photo.opacity)
            else:
                result = self._background.needed().run(
                    photo.to_srgb(),
                    subject=work.params["subject"],
                    quality=work.params["quality"],
                    opacity=photo.opacity,
                )
        with work.stage("encode", progress=0.8):
            most_pixels = work.operation.image_limits.max_pixels
            pixels = _picture(photo, result, work.params, colour=colour, max_pixels=most_pixels)
        work.deliver(
            "image", pixels, format=work.params["format"], icc_profile=photo.icc_profile, imprint=photo.imprint
        )
        subject = _subject(result)
        return work.outcome(
            self._pointing.loaded if is_pointed_at else self._background,
            facts={"subject": subject},
            box_xywh=subject["bbox"],
            warnings=warnings_about(result),
            chargeable=not result.is_empty,
        )


def warnings_about(result: FoundSubject) -> list[WarningCode]:
    """What a person who does not see the cut-out should know of it."""
    if result.is_empty:
        return [WarningCode.NO_FOREGROUND]
    told = {
        WarningCode.LOW_CONFIDENCE: result.confidence < LOW_BELOW,
        WarningCode.TOUCHES_BORDER: result.touches_border,
        WarningCode.MULTIPLE_SUBJECTS: result.subjects > 1,
    }
    return [code for code, applies in told.items() if applies]


def _subject(result: FoundSubject) -> dict[str, Any]:
    box = None if result.is_empty else result.bbox_xywh
    return {
        "bbox": None if box is None else [int(side) for side in box],
        "areaRatio": 0.0 if result.is_empty else round(float(result.area_ratio), 4),
        "confidence": round(float(result.confidence), 3),
    }


def _ground(params: dict[str, Any]) -> tuple[int, int, int] | None:
    """The colour under the subject, sRGB; None for none."""
    if params.get("bg_color"):
        red, green, blue = params["bg_color"]
        return red, green, blue
    return WHITE if params["output_format"] == "white_bg" else None


def _picture(
    photo: Photo,
    result: FoundSubject,
    params: dict[str, Any],
    *,
    colour: tuple[int, int, int] | None,
    max_pixels: int,
) -> np.ndarray:
    """The picture asked for: (H, W), (H, W, 3) or (H, W, 4) uint8, in the photo's own colours."""
    alpha: AlphaChannel = np.zeros_like(result.alpha) if result.is_empty else result.alpha
    output = params["output_format"]
    if output == "mask":
        return compositing.binary_mask(alpha) if params["mask_mode"] == "binary" else alpha
    foreground = photo.rgb if result.is_as_given else estimate_foreground(photo.rgb, _cut(alpha, photo.opacity))
    if output == "crop" and result.bbox_xywh is not None:  # before the colours, which then cost only what is kept
        wished_xy = _margin_px(params["crop_margin"], result.bbox_xywh)
        x_px, y_px = compositing.fitting_margins(result.bbox_xywh[2:], wished_xy, max_pixels=max_pixels)
        foreground, alpha = (
            compositing.crop(layer, result.bbox_xywh, margin_x_px=x_px, margin_y_px=y_px)
            for layer in (foreground, alpha)
        )
    if colour is None:
        return compositing.cut_out(foreground, alpha)
    return compositing.over_colour(foreground, alpha, colour)


def _cut(alpha: AlphaChannel, opacity: AlphaChannel | None) -> AlphaChannel:
    """What was cut here of an alpha channel that is bounded by the photo's own: under that one colours are not mixed."""
    return alpha if opacity is None else np.asarray(cv2.divide(alpha, opacity, scale=255), np.uint8)


def _margin_px(margin: dict[str, Any], box_xywh: BoxXywh) -> tuple[int, int]:
    _, _, width, height = box_xywh
    if margin["unit"] == "%":
        return round(width * margin["value"] / 100), round(height * margin["value"] / 100)
    return round(margin["value"]), round(margin["value"])
