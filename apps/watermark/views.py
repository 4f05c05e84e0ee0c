"""`/v1/watermark-templates`: a customer's own marks."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from apps.core import idempotency
from apps.core.api.fields import is_dry_run, request_fields
from apps.core.api.views import EndpointView, place_if
from apps.core.dialects.envelope import envelope
from apps.core.errors import AppError, ErrorCode
from apps.core.results import iso
from apps.core.storage import LARGE_BYTES
from apps.watermark.models import WatermarkTemplate
from apps.watermark.operation import BODY_CAP_BYTES, WATERMARK_REMOVAL
from apps.watermark.template_files import PHOTO_FIELDS, TemplateSerializer, read_files
from apps.watermark.templates import discard, first_template, make_template, templates_of


class TemplateEndpoint(EndpointView):
    """For keys that may remove watermarks."""

    def check_permissions(self, request: Request) -> None:
        super().check_permissions(request)
        if not request.auth.may_use(WATERMARK_REMOVAL.slug):
            raise AppError(ErrorCode.FORBIDDEN, f"This key's scopes do not include {WATERMARK_REMOVAL.slug}.")


class TemplatesView(TemplateEndpoint):
    """`POST` makes one, `GET` lists them."""

    body_cap_bytes = BODY_CAP_BYTES
    file_fields = ("image", *PHOTO_FIELDS)

    def get(self, request: Request) -> HttpResponse:
        rows = templates_of(request.auth)
        return envelope(request, data={"templates": [_told(template) for template in rows]})

    def post(self, request: Request) -> HttpResponse:
        fields = request_fields(request)
        serializer = TemplateSerializer(data={"name": fields.get("name") or ""})
        serializer.is_valid(raise_exception=True)
        is_quote = is_dry_run(request, fields)
        kind, uploads = read_files(fields)
        named = {str(number): upload for number, upload in enumerate(uploads)}
        ticket = idempotency.ticket_for(request, request.auth, {"name": fields.get("name"), "kind": kind.value}, named)
        first = first_template(ticket) if ticket else None
        if is_quote and first is None:
            return envelope(request, data={"price": {"credits": 0, "usd": "0.00"}, "valid": True})
        if first is None:
            name = serializer.validated_data["name"]
            with place_if(sum(upload.size_bytes for upload in uploads) > LARGE_BYTES, request.auth.account_id):
                template = make_template(request.auth, name=name, kind=kind, uploads=uploads, ticket=ticket)
        response = envelope(request, data=_told(first or template), status=201)
        response.headers["Location"] = f"/v1/watermark-templates/{(first or template).id}"
        if first:
            response.headers["Idempotency-Replayed"] = "true"
        return response


class TemplateView(TemplateEndpoint):
    """`GET` and `DELETE` of one, for the account and the mode that it was made in."""

    def get(self, request: Request, template_id: uuid.UUID) -> HttpResponse:
        return envelope(request, data=_told(_own(request, template_id)))

    def delete(self, request: Request, template_id: uuid.UUID) -> HttpResponse:
        discard(_own(request, template_id))
        return HttpResponse(status=204)


def _own(request: Request, template_id: uuid.UUID) -> WatermarkTemplate:
    """Raises AppError(NOT_FOUND) for an unknown, deleted or foreign one alike."""
    template = templates_of(request.auth).filter(id=template_id).first()
    if template is None:
        raise AppError(ErrorCode.NOT_FOUND, "There is no such template.")
    return template


def _told(template: WatermarkTemplate) -> dict[str, Any]:
    return {
        "id": str(template.id),
        "name": template.name,
        "kind": template.kind,
        "files": template.files,
        "width": template.width,
        "height": template.height,
        "bytes": template.size_bytes,
        "createdAt": iso(template.created_at),
    }
