"""`/v1/watermark-templates`: a customer's own marks."""

from __future__ import annotations

import uuid
from typing import Annotated, Self

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from apps.core import idempotency
from apps.core.answers import Envelope, Moment, Part, Quote, Uuid, about
from apps.core.api.fields import ignored_names, is_dry_run, refuse_contradictions, request_fields
from apps.core.api.views import EndpointView, place_if
from apps.core.dialects.envelope import envelope
from apps.core.errors import AppError, ErrorCode
from apps.core.openapi.endpoints import Endpoint
from apps.core.request_facts import facts_of, identity_of
from apps.core.results import iso
from apps.core.storage import LARGE_BYTES
from apps.watermark import models
from apps.watermark.models import Kind
from apps.watermark.operation import BODY_CAP_BYTES, WATERMARK_REMOVAL
from apps.watermark.template_files import FORM, PHOTO_FIELDS, TemplateSerializer, read_files
from apps.watermark.templates import MOST_TEMPLATES, discard, make_template, templates_of

_FIELDS = ("name", "image", *PHOTO_FIELDS, "dry_run")
_Positive = Annotated[int, msgspec.Meta(ge=1)]


class WatermarkTemplate(Part):
    """The template."""

    id: Annotated[Uuid, about("What template= takes.")]
    name: str
    kind: Annotated[Kind, about("How it was given: as a PNG with alpha, or by photos that carry it.")]
    files: _Positive
    width: _Positive
    height: _Positive
    bytes: _Positive
    created_at: Moment

    @classmethod
    def of(cls, row: models.WatermarkTemplate) -> Self:
        return cls(
            id=str(row.id),
            name=row.name,
            kind=Kind(row.kind),
            files=row.files,
            width=row.width,
            height=row.height,
            bytes=row.size_bytes,
            created_at=iso(row.created_at),
        )


class WatermarkTemplates(Part):
    """The templates."""

    templates: Annotated[list[WatermarkTemplate], about("The newest first.")]


class TemplateEndpoint(EndpointView):
    """For keys that may remove watermarks."""

    chapter = "watermark-removal"
    refusals = (ErrorCode.FORBIDDEN,)

    def check_permissions(self, request: Request) -> None:
        super().check_permissions(request)
        if not identity_of(request).may_use(WATERMARK_REMOVAL.slug):
            raise AppError(ErrorCode.FORBIDDEN, f"This key's scopes do not include {WATERMARK_REMOVAL.slug}.")


class TemplatesView(TemplateEndpoint):
    """`POST` makes one, `GET` lists them."""

    body_cap_bytes = BODY_CAP_BYTES
    file_fields = ("image", *PHOTO_FIELDS)

    @Endpoint("list_watermark_templates", "Your own marks", Envelope[WatermarkTemplates])
    def get(self, request: Request) -> HttpResponse:
        rows = templates_of(identity_of(request))
        return envelope(request, WatermarkTemplates(templates=[WatermarkTemplate.of(row) for row in rows]))

    @Endpoint(
        "create_watermark_template",
        "Give your own mark once, so that it is removed precisely; free of charge, kept until you delete it",
        Envelope[WatermarkTemplate],
        status=201,
        about=f"At most {MOST_TEMPLATES} an account. The mark is learned at its first use: what no mark can be "
        "learned from is refused then, on template. With dry_run=true the files are only checked.",
        body={"multipart/form-data": {"schema": FORM}},
        takes_ticket=True,
    )
    def post(self, request: Request) -> HttpResponse:
        fields = request_fields(request)
        serializer = TemplateSerializer(data={"name": fields.get("name") or ""})
        serializer.is_valid(raise_exception=True)
        refuse_contradictions(fields, ["name"])
        facts_of(request).unknown_fields = tuple(ignored_names(request, fields, in_body=_FIELDS))
        is_quote = is_dry_run(request, fields)
        kind, uploads = read_files(fields)
        named = {str(number): upload for number, upload in enumerate(uploads)}
        owner = identity_of(request)
        asked = {"name": fields.get("name"), "kind": kind.value} | ({"dry_run": True} if is_quote else {})
        ticket = idempotency.ticket_for(request, owner, asked, named)
        first = idempotency.first_answer(ticket)
        if is_quote and first is None:
            return envelope(request, Quote.of(0))
        is_large = sum(upload.size_bytes for upload in uploads) > LARGE_BYTES
        name = serializer.validated_data["name"]
        with place_if(is_large and not (first and first.made.stored_at), owner.account_id):
            template, is_replay = make_template(owner, name=name, kind=kind, uploads=uploads, ticket=ticket)
        response = envelope(request, WatermarkTemplate.of(template), status=201)
        response.headers["Location"] = f"/v1/watermark-templates/{template.id}"
        return idempotency.as_replay(response) if is_replay else response


class TemplateView(TemplateEndpoint):
    """`GET` and `DELETE` of one, for the account and the mode that it was made in."""

    @Endpoint("get_watermark_template", "One of your own marks", Envelope[WatermarkTemplate])
    def get(self, request: Request, template_id: uuid.UUID) -> HttpResponse:
        return envelope(request, WatermarkTemplate.of(_own(request, template_id)))

    @Endpoint("delete_watermark_template", "Delete a mark and its files", status=204)
    def delete(self, request: Request, template_id: uuid.UUID) -> HttpResponse:
        discard(_own(request, template_id))
        return HttpResponse(status=204)


def _own(request: Request, template_id: uuid.UUID) -> models.WatermarkTemplate:
    """Raises AppError(NOT_FOUND) for an unknown, deleted or foreign one alike."""
    template = templates_of(identity_of(request)).filter(id=template_id).first()
    if template is None:
        raise AppError(ErrorCode.NOT_FOUND, "There is no such template.")
    return template
