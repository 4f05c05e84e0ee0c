"""What a runner gets to work with: the job's pictures, a place for results, and a stopwatch that also tells progress."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.core import lifecycle
from apps.core.errors import AppError, ErrorCode
from apps.core.models import Job
from apps.core.operations import Operation
from apps.core.outcome import Artifact, Box, Outcome, WarningCode
from apps.core.owner import Mode, Owner
from apps.core.pictures.decoding import Photo, decode
from apps.core.pictures.encoding import encode_jpeg, encode_png, encode_webp
from apps.core.pictures.imprint import NO_IMPRINT, Imprint
from apps.core.storage import ObjectGoneError, result_store
from apps.core.work.loading import Loaded
from ml.picture.stamp import stamp

_CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "zip": "application/zip"}
_ENCODERS = {"png": encode_png, "jpg": encode_jpeg, "webp": encode_webp}


@dataclass(frozen=True)
class File:
    """
    A result as a file.

    Args:
        kind: `png`, `jpg`, `webp` or `zip`.
        size_wh: of its picture, in pixels.
    """

    data: bytes
    kind: str
    size_wh: tuple[int, int]


class Work:
    """
    One claimed job, seen by the feature that does it.

    Every method raises LeaseLostError when the job was taken away, and StoreAwayError when S3 does not answer.
    """

    def __init__(self, job: Job, operation: Operation) -> None:
        self.params: dict[str, Any] = job.params
        self.operation = operation
        self.owner: Owner = job
        self.is_kept = job.retention_s > 0
        self._is_sandbox = job.mode == Mode.SANDBOX
        self._is_animated = False
        self._timings_ms: dict[str, int] = {}
        self._artifacts: dict[str, Artifact] = {}
        self._job = job

    def input(self, name: str = "image") -> bytes:
        """The uploaded file of that name. Raises AppError(PROCESSING_FAILED) when it has got lost: trying again is no use."""
        with self.timed("load"):
            try:
                return result_store().get(self._job.input_prefix + name)
            except ObjectGoneError as error:
                raise AppError(ErrorCode.PROCESSING_FAILED, "The uploaded file got lost; send it again.") from error

    def photo(self, name: str = "image", *, data: bytes | None = None) -> Photo:
        """
        The picture in the uploaded file of that name, or in `data`, its bytes, where the runner has them already.

        Raises:
            AppError: VALIDATION_ERROR when it can't be decoded after all; PROCESSING_FAILED as `input`.
        """
        given = next(image for image in self.operation.images if image.name == name)
        data = self.input(name) if data is None else data
        with self.timed("decode"):
            photo = decode(data, limits=given.limits, field=given.fields.file)
        self._is_animated |= photo.is_animated and name == "image"
        return photo

    @contextlib.contextmanager
    def stage(self, name: str, *, progress: float) -> Iterator[None]:
        """Tell the client that the job is at this stage, and measure it. `progress` is 0..1 at the stage's start."""
        lifecycle.report(self._job, stage=name, progress=progress)
        with self.timed(name):
            yield

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Measure without telling."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._timings_ms[name] = self._timings_ms.get(name, 0) + round((time.perf_counter() - began) * 1000)

    def deliver(
        self,
        name: str,
        pixels: NDArray[np.uint8],
        *,
        format: str,
        icc_profile: bytes | None = None,
        imprint: Imprint = NO_IMPRINT,
    ) -> Artifact:
        """Store a picture as the result of that name: `encode`, then `store`."""
        with self.timed("encode"):
            file = self.encode(pixels, format=format, icc_profile=icc_profile, imprint=imprint)
        return self.store(name, file)

    def encode(
        self,
        pixels: NDArray[np.uint8],
        *,
        format: str,
        icc_profile: bytes | None = None,
        imprint: Imprint = NO_IMPRINT,
    ) -> File:
        """
        Make a file of a picture; one of the sandbox's carries the mark, whatever is made of it.

        Args:
            pixels: uint8, 0..255: (H, W) a mask, (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha.
            format: `png`, `jpg` or `webp`; `jpg` has no alpha.
            icc_profile: of the colours; None means sRGB. A mask has none.
            imprint: the photo's resolution and rights; of these a mask gets what befits it.
        """
        if self._is_sandbox:
            pixels = stamp(pixels)
        height, width = pixels.shape[:2]
        if pixels.ndim == 2:
            icc_profile, imprint = None, imprint.of_a_mask()
            if format == "webp":  # it knows no grey
                pixels = np.repeat(pixels[..., None], 3, axis=2)
        data = _ENCODERS[format](pixels, icc_profile=icc_profile, imprint=imprint)
        return File(data, format, (width, height))

    def store(self, name: str, file: File) -> Artifact:
        """Store a file under a name that carries this attempt, so that two workers never write the same object."""
        if not self._job.results_stored:
            lifecycle.note_results_stored(self._job)
            self._job.results_stored = True
        key = f"{self._job.attempt_prefix}{name}.{file.kind}"
        content_type = _CONTENT_TYPES[file.kind]
        with self.timed("store"):
            result_store().put(key, file.data, content_type=content_type)
        width, height = file.size_wh
        made = Artifact(key, content_type, width, height, len(file.data), hashlib.sha256(file.data).hexdigest())
        self._artifacts[name] = made
        return made

    def outcome(
        self,
        by: Loaded[Any] | None = None,
        *,
        facts: dict[str, Any] | None = None,
        box_xywh: Box | None = None,
        warnings: Sequence[WarningCode] = (),
        chargeable: bool = True,
    ) -> Outcome:
        """
        The job's success: all that was stored, and what the core knows of how it was made.

        Args:
            by: the pipeline that did it, where one did.
            facts, box_xywh, warnings, chargeable: as of `Outcome`.
        """
        first = [WarningCode.FIRST_FRAME_ONLY] if self._is_animated else []
        return Outcome(
            artifacts=self._artifacts,
            facts=facts or {},
            box_xywh=box_xywh,
            warnings=(*first, *warnings),
            model="" if by is None else by.model,
            device="cpu" if by is None else by.device,
            precision="" if by is None else by.precision,
            timings_ms=self._timings_ms,
            chargeable=chargeable,
        )
