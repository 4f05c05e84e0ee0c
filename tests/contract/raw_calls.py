"""The call of the raw address: bytes in, bytes out."""

from __future__ import annotations

from django.http import HttpResponse
from django.test import Client

from tests.api import Api

PATH = "/v1/remove-background"


def send(api: Api | None, body: bytes, *, query: str = "", media: str = "image/png", **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if api is not None:
        named.setdefault("X-Api-Key", api.key)
    return Client(raise_request_exception=False).post(PATH + query, data=body, content_type=media, headers=named)
