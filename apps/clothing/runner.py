"""Clothing segmentation in the worker: decode, find the garments, draw each class and all together, store."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from apps.core.errors import Fault, invalid
from apps.core.outcome import Box, Outcome, WarningCode
from apps.core.pictures.colour import WHITE
from apps.core.pictures.decoding import Photo
from apps.core.work.engine import Engine, Runner
from apps.core.work.execution import File, Work
from apps.core.work.loading import load_or_do_without
from ml.clothing.pipeline import Garment
from ml.picture import compositing
from ml.picture.foreground import estimate_foreground
from ml.picture.types import AlphaChannel, RgbImage

_ABSENT = {"present": False, "areaRatio": 0.0, "bbox": None, "confidence": 0.0}


class ClothingRunner(Runner):
    """Without its weights it refuses, and the rest works."""

    def __init__(self, engine: Engine) -> None:
        self._clothing = load_or_do_without(
            engine.models,
            engine.models.clothing,
            what="the network for garments",
            lost="Requests for garments are refused.",
        )
        self.loaded = (self._clothing,)

    def run(self, work: Work) -> Outcome:
        """
        Do the job.

        Raises:
            AppError: VALIDATION_ERROR when the file can't be decoded after all; OVERLOADED without weights.
        """
        photo, garments = self._find(work)
        return self._keep(work, photo, garments)

    def _find(self, work: Work) -> tuple[Photo, dict[str, Garment]]:
        """The photo, and those of the requested classes that it shows."""
        pipeline = self._clothing.needed()
        photo = work.photo()
        with work.stage("infer", progress=0.2):
            is_separate = work.params["dress"] == "separate"
            found = pipeline.run(photo.to_srgb(), separate_dress=is_separate, opacity=photo.opacity).garments
        return photo, {name: found[name] for name in work.params["cloth_class"] if name in found}

    def _keep(self, work: Work, photo: Photo, garments: dict[str, Garment]) -> Outcome:
        """Draw and store the pictures, and tell what is on them."""
        with work.stage("encode", progress=0.6):
            photo = photo.over(WHITE if work.params["return_form"] == "whiteBK" else None)
            files = _files(work, photo, garments)
        for name, file in files.items():
            work.store(name, file)
        told = {name: _told(garments[name]) if name in garments else _ABSENT for name in work.params["cloth_class"]}
        return work.outcome(
            self._clothing,
            facts={"classes": told},
            box_xywh=_common_box(garments),
            warnings=() if garments else (WarningCode.NO_GARMENT,),
            chargeable=bool(garments),
        )


class CostumeRunner(ClothingRunner):
    """The same for a form that knows no empty success."""

    def run(self, work: Work) -> Outcome:
        """Do the job. Raises AppError(VALIDATION_ERROR) as the ClothingRunner does, and where there is no garment."""
        photo, garments = self._find(work)
        if not garments:
            classes = ", ".join(work.params["cloth_class"])
            issue = f"The image shows no garment of the requested classes ({classes}); nothing was charged."
            raise invalid(work.operation.image_fields.file, issue, Fault.NO_GARMENT)
        return self._keep(work, photo, garments)


def _files(work: Work, photo: Photo, garments: dict[str, Garment]) -> dict[str, File]:
    """All together as `image`, then each class under its name."""
    image = _file(work, photo, _together(photo, garments))
    if len(garments) == 1:  # nothing else to draw
        return {"image": image, **dict.fromkeys(garments, image)}
    return {"image": image, **{name: _file(work, photo, garment.alpha) for name, garment in garments.items()}}


def _together(photo: Photo, garments: dict[str, Garment]) -> AlphaChannel:
    alpha = np.zeros(photo.rgb.shape[:2], np.uint8)
    for garment in garments.values():  # they never add up to more than 255; if they did, this would stop there
        alpha = np.asarray(cv2.add(alpha, garment.alpha), np.uint8)
    return alpha


def _file(work: Work, photo: Photo, alpha: AlphaChannel) -> File:
    picture = _picture(photo, alpha, form=work.params["return_form"])
    return work.encode(picture, format="png", icc_profile=photo.icc_profile, imprint=photo.imprint)


def _picture(photo: Photo, alpha: AlphaChannel, *, form: str) -> NDArray[np.uint8]:
    """(H, W), (H, W, 3) or (H, W, 4) uint8, in the photo's own colours."""
    if form == "mask":
        return alpha
    foreground = estimate_foreground(photo.rgb, alpha)
    return _on_white(foreground, alpha) if form == "whiteBK" else compositing.cut_out(foreground, alpha)


def _on_white(foreground: RgbImage, alpha: AlphaChannel) -> RgbImage:
    """Mixing takes 45 ms a megapixel, and a garment fills a small part of the photo: it is mixed in its box alone."""
    picture = np.full_like(foreground, 255)
    left, top, width, height = cv2.boundingRect(alpha)
    if width and height:
        inside = slice(top, top + height), slice(left, left + width)
        picture[inside] = compositing.over_colour(foreground[inside], alpha[inside], WHITE)
    return picture


def _told(garment: Garment) -> dict[str, Any]:
    return {
        "present": True,
        "areaRatio": round(float(garment.area_ratio), 4),
        "bbox": [int(side) for side in garment.bbox_xywh],
        "confidence": round(float(garment.confidence), 3),
    }


def _common_box(garments: dict[str, Garment]) -> Box | None:
    """The smallest box around all of them."""
    if not garments:
        return None
    boxes = [garment.bbox_xywh for garment in garments.values()]
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return int(left), int(top), int(right - left), int(bottom - top)
