"""`POST` of raw image bytes: the same operations, without a form around the file."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.http import HttpResponse
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from apps.core import jobs
from apps.core.api.access import when_sent
from apps.core.api.fields import asked_form, checked_params, is_dry_run
from apps.core.api.negotiation import AnswerForm, media_type_of, other_type, refuse_compressed
from apps.core.api.views import OperationView
from apps.core.dialects.raw import RAW
from apps.core.errors import AppError, ErrorCode, Fault, invalid
from apps.core.identity import Identity
from apps.core.intake.uploads import Upload
from apps.core.pictures.formats import HeaderError, ImageFormat
from apps.core.pictures.inspection import inspect, unreadable
from apps.core.pictures.wholeness import check_whole
from apps.core.request_facts import facts_of, identity_of

CONTENT_TYPES = {
    "image/png": ImageFormat.PNG,
    "image/jpeg": ImageFormat.JPEG,
    "image/jpg": ImageFormat.JPEG,
    "image/webp": ImageFormat.WEBP,
}
_TOLD = ("image/png", "image/jpeg", "image/webp")
FORM = AnswerForm(binary=True, wait_s=float(settings.SYNC_LIMIT_S), late_is_accepted=False)
_IN_MEMORY_BYTES = 64 * 1024
_PIECE_BYTES = 262_144


@dataclass(frozen=True)
class Body:
    """The request's body, read once: seekable, with its length and its SHA-256."""

    file: BinaryIO
    size_bytes: int
    sha256: bytes


class RawOperationView(OperationView):
    """One operation on the image that is the body; parameters stand in the query. For callers with a key."""

    dialect = RAW

    def get_parsers(self) -> list[BaseParser]:
        return []

    def post(self, request: Request) -> HttpResponse:
        return self._answer_order(self.raw_order(request, self.read_body(request), identity_of(request)), request, FORM)

    def fields_of(self, request: Request) -> Mapping[str, Any]:  # noqa: ARG002 - the body is the image
        return {}

    def read_body(self, request: Request) -> Body:
        """
        Read the body to its end: in memory while it is small, on disk beyond that.

        Raises:
            AppError: UNSUPPORTED_MEDIA_TYPE, before anything is read.
        """
        refuse_compressed(request)
        if is_other_type(request):
            raise other_type(request, taken=_TOLD)
        file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - closed with the answer
        facts_of(request).body_file = file
        digest, size_bytes = hashlib.sha256(), 0
        while piece := request._request.read(_PIECE_BYTES):
            digest.update(piece)
            size_bytes += len(piece)
            if size_bytes > self.operation.body_cap_bytes:
                raise AppError(ErrorCode.PAYLOAD_TOO_LARGE)
            file.write(piece)
        return Body(cast(BinaryIO, file), size_bytes, digest.digest())

    def raw_order(self, request: Request, body: Body, identity: Identity) -> jobs.Order:
        """Parameters, then the image, whole: nothing costs before both are right."""
        params = self.raw_params(request)
        uploads = {"image": self.open_body(request, body)}
        return self.order_for(
            request, identity, params=params, uploads=uploads, fields={}, retention_s=settings.RESULT_TTL_S
        )

    def raw_params(self, request: Request) -> dict[str, Any]:
        """The query's parameters. Raises rest_framework.ValidationError, AppError."""
        is_dry_run(request)
        asked_form(request, {}, known=self.dialect.forms)
        asked: Mapping[str, Any] = request.query_params
        return checked_params(self.operation, asked)

    def open_body(self, request: Request, body: Body) -> Upload:
        """
        The image, checked from its first byte to its last.

        Raises:
            AppError: VALIDATION_ERROR.
        """
        header = inspect(body.file, limits=self.operation.image_limits, field="body")
        declared = media_type_of(request)
        if CONTENT_TYPES[declared] is not header.format:
            issue = f"Content-Type says {declared}, but the bytes are {header.format.value}; send the right one."
            raise invalid("Content-Type", issue, Fault.UNSUPPORTED_FORMAT)
        try:
            check_whole(body.file, header)
        except HeaderError as error:
            raise unreadable("body") from error
        return Upload(file=body.file, header=header)

    def finalize_response(  # type: ignore[override]  # DRF says Response; our views answer with Django's
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        answer: HttpResponse = super().finalize_response(request, response, *args, **kwargs)
        file = facts_of(request).body_file
        if file is not None:
            when_sent(answer, file.close)
        return answer


def is_other_type(request: Request) -> bool:
    """Whether the declared type is none that is taken here; no body needs none."""
    declared = media_type_of(request)
    return declared not in CONTENT_TYPES and bool(declared or _has_body(request))


def _has_body(request: Request) -> bool:
    return request.META.get("CONTENT_LENGTH") not in (None, "", "0")
