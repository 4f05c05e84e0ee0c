"""What makes two requests the same: method, path, query, fields and file bytes, and nothing else."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from apps.core.idempotency import ticket_for
from apps.core.intake.uploads import Upload
from apps.core.owner import Mode
from apps.core.pictures.inspection import ImageFormat, ImageHeader

PATH = "/v1/remove-bg/universal"
FIELDS = {"output_format": "mask", "subject": "human"}
CHANGES: dict[str, dict[str, Any]] = {
    "method": {"method": "PUT"},
    "path": {"path": "/v1/remove-bg/human"},
    "query": {"query": "lang=en"},
    "a field's value": {"fields": FIELDS | {"subject": "product"}},
    "a field less": {"fields": {"output_format": "mask"}},
    "a field's name": {"fields": {"output_format": "mask", "object": "human"}},
    "the file's bytes": {"files": {"image": b"other"}},
    "the file's field": {"files": {"smear": b"photo"}},
    "a second file": {"files": {"image": b"photo", "smear": b"photo"}},
}


def fingerprint(
    *,
    method: str = "POST",
    path: str = PATH,
    query: str = "lang=de&lang=fr",
    fields: dict[str, Any] = FIELDS,
    files: dict[str, bytes] | None = None,
    **headers: str,
) -> str:
    request: HttpRequest = RequestFactory().generic(
        method, f"{path}?{query}", headers={"Idempotency-Key": "k", **headers}
    )
    files = {"image": b"photo"} if files is None else files
    header = ImageHeader(ImageFormat.PNG, 1, 1, 1, is_animated=False)
    uploads = {name: Upload(io.BytesIO(data), header) for name, data in files.items()}
    ticket = ticket_for(request, SimpleNamespace(account_id=1, mode=Mode.LIVE), fields, uploads)
    assert ticket is not None
    return ticket.fingerprint


@pytest.mark.parametrize("what", CHANGES)
def test_another_request_has_another_fingerprint(what: str) -> None:
    assert fingerprint(**CHANGES[what]) != fingerprint()


def test_order_of_fields_and_headers_make_no_other_request() -> None:
    turned = dict(reversed(FIELDS.items()))

    assert fingerprint(fields=turned, **{"Content-Type": "multipart/form-data; boundary=other"}) == fingerprint()
