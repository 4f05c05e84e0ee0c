"""What a runner gets to work with: the job's inputs, a place for results, and a stopwatch that also tells progress."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator
from typing import Any

from apps.core import lifecycle
from apps.core.errors import AppError, ErrorCode
from apps.core.models import Job
from apps.core.operations import Operation
from apps.core.outcome import Artifact
from apps.core.owner import Mode, Owner
from apps.core.storage import ObjectGoneError, result_store

_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "application/zip": "zip"}


class Work:
    """
    One claimed job, seen by the feature that does it.

    Every method raises LeaseLostError when the job was taken away, and StoreAwayError when S3 does not answer.
    """

    def __init__(self, job: Job, operation: Operation) -> None:
        self.params: dict[str, Any] = job.params
        self.operation = operation
        self.is_sandbox = job.mode == Mode.SANDBOX
        self.owner: Owner = job
        self.is_kept = job.retention_s > 0
        self.timings_ms: dict[str, int] = {}
        self._job = job

    def input(self, name: str) -> bytes:
        """The uploaded file of that name. Raises AppError(PROCESSING_FAILED) when it has got lost: trying again is no use."""
        with self.timed("load"):
            try:
                return result_store().get(self._job.input_prefix + name)
            except ObjectGoneError as error:
                raise AppError(ErrorCode.PROCESSING_FAILED, "The uploaded file got lost; send it again.") from error

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
            self.timings_ms[name] = self.timings_ms.get(name, 0) + round((time.perf_counter() - began) * 1000)

    def keep(self, name: str, data: bytes, *, content_type: str, size_wh: tuple[int, int]) -> Artifact:
        """Store one result under a name that carries this attempt, so that two workers never write the same object."""
        if not self._job.results_stored:
            lifecycle.note_results_stored(self._job)
            self._job.results_stored = True
        key = f"{self._job.attempt_prefix}{name}.{_EXTENSIONS[content_type]}"
        with self.timed("store"):
            result_store().put(key, data, content_type=content_type)
        return Artifact(
            key=key,
            content_type=content_type,
            width=size_wh[0],
            height=size_wh[1],
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
