"""From a template's files to the mark that the pipeline looks for: learned at its first use, kept beside them."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from apps.core.errors import invalid
from apps.core.owner import Owner
from apps.core.pictures.decoding import decode
from apps.core.storage import ObjectGoneError, result_store
from apps.core.work.recent import Recent
from apps.watermark.models import Kind, WatermarkTemplate
from apps.watermark.template_files import MARK_LIMITS, PHOTO_LIMITS
from apps.watermark.templates import keep_learned, template_of
from ml.errors import TemplateError
from ml.picture.types import RgbaImage, RgbImage
from ml.watermark.template.mark import MarkTemplate, template_from_png

_MOST_KEPT = 16
_MOST_BYTES = 256 * 1024 * 1024
_KEPT_S = 3600.0
_LEARNED_PIXELS = 4_000_000  # of all photos together


class Learner(Protocol):
    """What learns marks: `ml.watermark.pipeline.WatermarkPipeline`, or a test's fake."""

    def learn(self, photos: Sequence[RgbImage]) -> MarkTemplate:
        """Learn a mark from photos that carry it at the same place. Raises TemplateError."""
        ...


@dataclass(frozen=True, slots=True)
class _Learned:
    mark: MarkTemplate

    @property
    def size_bytes(self) -> int:
        return self.mark.alpha.nbytes + self.mark.ink.nbytes


class TemplateMemory:
    """The marks of a process, used from many threads."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._recent: Recent[_Learned] = Recent(max_count=_MOST_KEPT, max_bytes=_MOST_BYTES, max_age_s=_KEPT_S)
        self._learning = threading.Lock()

    def recall(self, owner: Owner, template_id: str) -> MarkTemplate:
        """
        The owner's mark.

        Raises:
            AppError: VALIDATION_ERROR on `template` where there is no such template any more, or no mark can be learned from
                it; StoreAwayError.
        """
        template = template_of(owner, template_id)
        if (known := self._recent.get(template.id)) is None:
            with self._learning:  # one at a time: it takes seconds and a core, and the next may want the same one
                if (known := self._recent.get(template.id)) is None:
                    known = _Learned(_stored(template) or _learn(template, self._learner))
                    self._recent.put(template.id, known)
        return known.mark


def _stored(template: WatermarkTemplate) -> MarkTemplate | None:
    """What a worker learned before; None where it is to be learned (again). Raises StoreAwayError."""
    if template.kind == Kind.PNG:
        return None
    try:
        return MarkTemplate.from_bytes(result_store().get(template.learned_key))
    except (ObjectGoneError, TemplateError):
        return None


def _learn(template: WatermarkTemplate, learner: Learner) -> MarkTemplate:
    try:
        files = [result_store().get(key) for key in template.keys]
        if template.kind == Kind.PNG:
            return template_from_png(_mark(files[0]))
        mark = learner.learn([_photo(data, share=len(files)) for data in files])
    except (TemplateError, ObjectGoneError) as error:
        told = str(error) if isinstance(error, TemplateError) else "The template's files got lost; make it again."
        raise invalid("template", told) from error
    keep_learned(template, mark.to_bytes())
    return mark


def _mark(data: bytes) -> RgbaImage:
    photo = decode(data, limits=MARK_LIMITS, field="template")
    opacity = np.full(photo.rgb.shape[:2], 255, np.uint8) if photo.opacity is None else photo.opacity
    return np.dstack([photo.to_srgb(), opacity])


def _photo(data: bytes, *, share: int) -> RgbImage:
    """Of `share` photos that are learned from together; learning takes 3 to 11 s of a core for each megapixel."""
    photo = decode(data, limits=PHOTO_LIMITS, field="template")
    height, width = photo.rgb.shape[:2]
    scale = min(1.0, math.sqrt(_LEARNED_PIXELS / share / (height * width)))
    return photo.to_srgb(max_side_px=max(1, int(max(height, width) * scale)))
