"""The reference: the OpenAPI document, and a page that shows it, which loads everything from here."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from apps.core.api.pages import for_reading
from apps.core.api.security import DOCS
from apps.core.openapi.document import openapi_document

_REDOC = "drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js"
_LOGO_ELSEWHERE = "https://cdn.redoc.ly/redoc/logo-mini.svg"
_FONT = "system-ui, sans-serif"
_THEME = json.dumps({"typography": {"fontFamily": _FONT, "headings": {"fontFamily": _FONT}}})


@for_reading
def openapi(request: HttpRequest) -> JsonResponse:
    """`GET /openapi.json`, with `?bodies=all` for every body type of every address."""
    document = openapi_document(all_bodies=request.GET.get("bodies") == "all")
    return JsonResponse(document, headers={"Cache-Control": "max-age=300"})


@for_reading
def docs(request: HttpRequest) -> HttpResponse:
    """`GET /docs`."""
    page = render(request, "core/docs.html", {"theme": _THEME})
    page.headers["Content-Security-Policy"] = DOCS
    return page


@for_reading
def docs_script(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - Django's signature
    """Redoc, without the one picture that it would fetch from its makers."""
    headers = {"Cache-Control": "public, max-age=3600"}
    return HttpResponse(_script(), content_type="text/javascript; charset=utf-8", headers=headers)


@lru_cache(maxsize=1)
def _script() -> bytes:
    path = finders.find(_REDOC)
    return Path(str(path)).read_text(encoding="utf-8").replace(_LOGO_ELSEWHERE, "data:,").encode()
