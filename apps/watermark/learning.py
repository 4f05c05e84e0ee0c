"""From a template's files to the mark that the pipeline looks for: learned at its first use, remembered for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from apps.core.decoding import decode
from apps.core.errors import invalid
from apps.core.storage import ObjectGoneError, result_store
from apps.watermark.models import Kind, WatermarkTemplate
from apps.watermark.template_files import MARK_LIMITS, PHOTO_LIMITS
from apps.watermark.templates import template_of
from ml.errors import TemplateError
from ml.mark_template import MarkTemplate, template_from_photos, template_from_png
from ml.recent import Recent

_MOST_KEPT = 16
_MOST_BYTES = 256 * 1024 * 1024
_KEPT_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Learned:
    mark: MarkTemplate

    @property
    def size_bytes(self) -> int:
        return self.mark.alpha.nbytes + self.mark.ink.nbytes


class TemplateMemory:
    """The marks of a process, used from many threads."""

    def __init__(self) -> None:
        self._recent: Recent[_Learned] = Recent(max_count=_MOST_KEPT, max_bytes=_MOST_BYTES, max_age_s=_KEPT_S)

    def recall(self, account_id: int, template_id: str) -> MarkTemplate:
        """
        The account's mark.

        Raises:
            AppError: VALIDATION_ERROR on `template` where there is no such template any more, or no mark can be learned from
                it; StoreAwayError.
        """
        template = template_of(account_id, template_id)
        known = self._recent.get(template.id)
        if known is None:
            known = _Learned(_learn(template))
            self._recent.put(template.id, known)
        return known.mark


def _learn(template: WatermarkTemplate) -> MarkTemplate:
    learn: Callable[[list[bytes]], MarkTemplate] = _from_png if template.kind == Kind.PNG else _from_photos
    try:
        return learn([result_store().get(key) for key in template.keys])
    except (TemplateError, ObjectGoneError) as error:
        told = str(error) if isinstance(error, TemplateError) else "The template's files got lost; make it again."
        raise invalid("template", told) from error


def _from_png(files: list[bytes]) -> MarkTemplate:
    mark = _decoded(files[0], is_photo=False)
    return template_from_png(mark)


def _from_photos(files: list[bytes]) -> MarkTemplate:
    return template_from_photos([_decoded(data, is_photo=True) for data in files])


def _decoded(data: bytes, *, is_photo: bool) -> np.ndarray:
    """(H, W, 3) uint8 for a photo, else (H, W, 4); sRGB. Raises AppError."""
    photo = decode(data, limits=PHOTO_LIMITS if is_photo else MARK_LIMITS, field="template")
    if is_photo:
        return photo.to_srgb()
    opacity = np.full(photo.rgb.shape[:2], 255, np.uint8) if photo.opacity is None else photo.opacity
    return np.dstack([photo.to_srgb(), opacity])
