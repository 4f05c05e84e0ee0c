"""Following points and a box in the worker: the pipeline, what to say where it is missing, and a memory of the last photos."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from apps.core.errors import AppError, Detail, ErrorCode
from apps.core.work.engine import Engine
from apps.core.work.execution import Work
from apps.core.work.loading import Loaded, load_or_do_without
from apps.core.work.recent import Recent
from ml.picture.subject import FoundSubject
from ml.picture.types import AlphaChannel, RgbImage
from ml.pointing.pipeline import PointingPipeline, Prompts, SeenPhoto

KEPT_COUNT = 16
KEPT_BYTES = 80_000_000
"""Sixteen looks at 5 MB: an embedding of 4 MB and a matte of at most 1 MB."""

KEPT_S = 300.0


class Pointing:
    """One for the process."""

    def __init__(self, engine: Engine) -> None:
        self._looks: Recent[SeenPhoto] = Recent(max_count=KEPT_COUNT, max_bytes=KEPT_BYTES, max_age_s=KEPT_S)
        self._engine = engine
        self._loading = threading.Lock()
        self._loaded: Loaded[PointingPipeline] | None = None

    @property
    def loaded(self) -> Loaded[PointingPipeline]:
        """The pipeline, or why there is none. Whoever comes first waits until it is loaded: torch's import takes seconds."""
        with self._loading:
            if self._loaded is None:
                models, lost = self._engine.models, "Requests with points or box are refused."
                self._loaded = load_or_do_without(models, models.pointing, what="SAM", lost=lost)
            return self._loaded

    def run(self, work: Work, data: bytes, image: RgbImage, opacity: AlphaChannel | None) -> FoundSubject:
        """
        Cut out what the job's parameters point at.

        Args:
            data: the file's bytes: the next click on the same file finds what was seen in it.
            image, opacity: what is in the file, as the pipeline takes them.

        Raises:
            AppError: VALIDATION_ERROR where this worker has no SAM: the client can only leave the fields out.
        """
        pipeline = self.loaded.pipeline
        if pipeline is None:
            raise _refusal(work.params)
        # With the account in the key, nobody can tell from an answer's speed what others have sent.
        key = work.owner.account_id, hashlib.sha256(data).digest()
        look = self._looks.get(key)
        if look is None:
            look = pipeline.look(image, opacity=opacity)
            if work.is_kept:
                self._looks.put(key, look)
        return pipeline.run(image, prompts_of(work.params), look=look, opacity=opacity)


def points_at_something(params: dict[str, Any]) -> bool:
    """Whether the client says what to keep, instead of leaving it to the network."""
    return bool(params.get("points") or params.get("box"))


def prompts_of(params: dict[str, Any]) -> Prompts:
    """The job's `points` and `box`."""
    points = params.get("points", [])
    box = params.get("box")
    return Prompts(
        keep_xy=tuple((x, y) for x, y, label in points if label == 1),
        drop_xy=tuple((x, y) for x, y, label in points if label == 0),
        box_xyxy=None if box is None else (box[0], box[1], box[2], box[3]),
    )


def _refusal(params: dict[str, Any]) -> AppError:
    issue = (
        "This service is set up without SAM, so it cannot follow points or a box. Leave them out, or ask its operator."
    )
    details = [Detail(name, issue) for name in ("points", "box") if name in params]
    return AppError(ErrorCode.VALIDATION_ERROR, issue, details=details)
