"""Watermark removal in the worker: decode, read smear and template, find and remove, encode, store."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from apps.core.errors import invalid
from apps.core.outcome import Outcome, WarningCode
from apps.core.pictures.colour import WHITE, srgb_to_rgb
from apps.core.pictures.decoding import Photo
from apps.core.work.engine import Engine, Runner
from apps.core.work.execution import Work
from apps.core.work.loading import load_or_do_without
from apps.watermark.learning import TemplateMemory
from ml.errors import SmearError
from ml.picture import compositing
from ml.picture.types import AlphaChannel, Mask, RgbImage
from ml.watermark.pipeline import Removal, WatermarkPipeline
from ml.watermark.smear import read_smear

_BEGINS, _ENDS = 0.1, 0.8
"""The pipeline's share of the progress."""

_TOLD_EVERY = 0.1


class WatermarkRunner(Runner):
    """Without its weights it refuses, and the rest works."""

    def __init__(self, engine: Engine) -> None:
        self._watermark = load_or_do_without(
            engine.models,
            engine.models.watermark,
            what="the network for watermarks",
            lost="Requests to remove watermarks are refused.",
        )
        self.loaded = (self._watermark,)
        if self._watermark.pipeline is not None:
            self._templates = TemplateMemory(self._watermark.pipeline)

    def run(self, work: Work) -> Outcome:
        """
        Do the job.

        Raises:
            AppError: VALIDATION_ERROR when a file can't be decoded after all, the smear or the template says nothing that can
                be done; OVERLOADED without weights.
        """
        pipeline = self._watermark.needed()
        photo = work.photo()
        smear = _smear(work, photo)
        removal = self._remove(work, pipeline, photo, smear)
        return self._keep(work, photo, removal)

    def _remove(self, work: Work, pipeline: WatermarkPipeline, photo: Photo, smear: Mask | None) -> Removal:
        template = None
        if "template" in work.params:
            with work.stage("template", progress=_BEGINS / 2):
                template = self._templates.recall(work.owner, work.params["template"])
        with _Stages(work) as stages:
            return pipeline.run(
                photo.to_srgb(),
                smear=smear,
                sensitivity=work.params["sensitivity"],
                detect_only=work.params["detect_only"],
                template=template,
                on_stage=stages.begin,
            )

    def _keep(self, work: Work, photo: Photo, removal: Removal) -> Outcome:
        """Encode and store both pictures, and tell what is on them."""
        mask, kind = removal.mask, work.params["format"]
        with work.stage("encode", progress=_ENDS):
            restored = photo.rgb if work.params["detect_only"] or not mask.any() else _restored(photo, removal)
            seen = replace(photo, rgb=restored)
            if kind == "jpg" and photo.opacity is not None:
                seen = seen.over(WHITE)
            picture = _picture(seen.rgb, photo.opacity, is_flat=kind == "jpg")
        work.deliver("image", picture, format=kind, icc_profile=seen.icc_profile, imprint=photo.imprint)
        work.deliver("mask", mask, format="png", imprint=photo.imprint)
        return work.outcome(
            self._watermark,
            facts=_facts(removal),
            warnings=() if removal.detected else (WarningCode.NO_WATERMARK,),
            chargeable=removal.detected,
        )


class _Stages(contextlib.ExitStack):
    """The pipeline's stages as the job's; of many small steps only every tenth of the way is told, for each is a write."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._told = ("", 0.0)

    def begin(self, name: str, done: float) -> None:
        """What begins, and how much of all the pipeline's work is done, 0..1."""
        if name == self._told[0] and done - self._told[1] < _TOLD_EVERY:
            return
        self._told = (name, done)
        self.close()
        self.enter_context(self._work.stage(name, progress=_BEGINS + (_ENDS - _BEGINS) * done))


def _smear(work: Work, photo: Photo) -> Mask | None:
    """(H, W) bool, or None where the client sent none. Raises AppError."""
    smear = work.operation.more_images[0]
    if not work.params["has_smear"]:
        return None
    drawn = work.photo(smear.name)
    height, width = photo.rgb.shape[:2]
    try:
        return read_smear(drawn.to_srgb(), size_wh=(width, height), opacity=drawn.opacity)
    except SmearError as error:
        raise invalid(smear.fields.file, str(error)) from error


def _restored(photo: Photo, removal: Removal) -> RgbImage:
    """The photo in its own colours, with what was restored inside the mask; every other pixel is its own still."""
    left, top, width, height = cv2.boundingRect(removal.mask)
    box = slice(top, top + height), slice(left, left + width)
    restored = photo.rgb.copy()
    inside = srgb_to_rgb(np.ascontiguousarray(removal.image[box]), photo.icc_profile)
    np.copyto(restored[box], inside, where=(removal.mask[box] > 0)[..., None])
    return restored


def _picture(rgb: RgbImage, opacity: AlphaChannel | None, *, is_flat: bool) -> NDArray[np.uint8]:
    """(H, W, 3), or (H, W, 4) where the photo came with transparency and the file can hold it."""
    if opacity is None:
        return rgb
    return compositing.over_colour(rgb, opacity, WHITE) if is_flat else np.dstack([rgb, opacity])


def _facts(removal: Removal) -> dict[str, Any]:
    regions = [
        {
            "bbox": [int(side) for side in region.bbox_xywh],
            "score": round(float(region.score), 3),
            "kind": region.kind,
        }
        for region in removal.regions
    ]
    return {"regions": regions, "detected": removal.detected}
