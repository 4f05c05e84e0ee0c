"""Background removal in the worker: decode, infer, cut out, encode, store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from apps.background.pointing import Pointing, points_at_something
from apps.core.outcome import Outcome, WarningCode
from apps.core.pictures.colour import WHITE
from apps.core.pictures.decoding import Photo, decode
from apps.core.pictures.encoding import encode_jpeg, encode_png, encode_webp
from apps.core.work.engine import Engine
from apps.core.work.execution import Work
from ml import registry
from ml.background.confidence import LOW_BELOW
from ml.picture import compositing
from ml.picture.foreground import estimate_foreground
from ml.picture.stamp import stamp
from ml.picture.subject import FoundSubject
from ml.picture.types import AlphaChannel, BoxXywh

_CONTENT_TYPES = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
_ENCODERS = {"png": encode_png, "webp": encode_webp, "jpg": encode_jpeg}


class BackgroundRunner:
    """One for the process; it holds the networks and nothing of any job."""

    def __init__(self, engine: Engine) -> None:
        with ThreadPoolExecutor(1) as beside:  # torch takes seconds to import, and the networks seconds to compile
            pointing = beside.submit(Pointing, engine)
            self._pipeline = registry.load_background(engine.profile, engine.weights_dir, slots=engine.slots)
            self._pointing = pointing.result()
        self.models = [f"{self._pipeline.model_name}@{self._pipeline.model_version}", *self._pointing.models]
        self.device = self._pipeline.device
        self.warnings = [*self._pipeline.warnings, *self._pointing.warnings]

    def run(self, work: Work) -> Outcome:
        """Do the job. Raises AppError(VALIDATION_ERROR) when the file can't be decoded after all."""
        data = work.input("image")
        with work.timed("decode"):
            photo = decode(data, limits=work.operation.image_limits)
        with work.stage("infer", progress=0.2):
            if points_at_something(work.params):
                result = self._pointing.run(work, data, photo.to_srgb(), photo.opacity)
            else:
                result = self._pipeline.run(
                    photo.to_srgb(),
                    subject=work.params["subject"],
                    quality=work.params["quality"],
                    opacity=photo.opacity,
                )
        with work.stage("encode", progress=0.8):
            colour = _ground(work.params)
            photo = photo.over(colour)
            most_pixels = work.operation.image_limits.max_pixels
            pixels = _picture(photo, result, work.params, colour=colour, max_pixels=most_pixels)
            if work.is_sandbox:
                pixels = stamp(pixels)
            profile, imprint = photo.icc_profile, photo.imprint
            if pixels.ndim == 2:
                profile, imprint = None, imprint.of_a_mask()
            encoded = _ENCODERS[work.params["format"]](pixels, icc_profile=profile, imprint=imprint)
        height, width = pixels.shape[:2]
        content_type = _CONTENT_TYPES[work.params["format"]]
        image = work.keep("image", encoded, content_type=content_type, size_wh=(width, height))
        warnings = [WarningCode.FIRST_FRAME_ONLY] if photo.is_animated else []
        warnings += warnings_about(result)
        return Outcome(
            artifacts={"image": image},
            facts={"subject": _subject(result)},
            warnings=tuple(warnings),
            model=self.models[-1] if points_at_something(work.params) else self.models[0],
            device=self.device,
            timings_ms=work.timings_ms,
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
    foreground = photo.rgb if result.is_as_given else estimate_foreground(photo.rgb, alpha)
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


def _margin_px(margin: dict[str, Any], box_xywh: BoxXywh) -> tuple[int, int]:
    _, _, width, height = box_xywh
    if margin["unit"] == "%":
        return round(width * margin["value"] / 100), round(height * margin["value"] / 100)
    return round(margin["value"]), round(margin["value"])
