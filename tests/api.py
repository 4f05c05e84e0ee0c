"""A caller of the API in this process, as tests see it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client

from tests import drawing


@dataclass
class Api:
    """A caller with a key."""

    key: str
    account: Any

    def post(self, path: str, data: Any = None, *, as_json: bool = False, **headers: str) -> HttpResponse:
        body = {"data": json.dumps(data), "content_type": "application/json"} if as_json else {"data": data or {}}
        return self._client.post(path, **body, headers=self._headers(headers))

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self._client.get(path, headers=self._headers(headers))

    def patch(self, path: str, data: Any) -> HttpResponse:
        body = json.dumps(data)
        return self._client.patch(path, body, content_type="application/json", headers=self._headers({}))

    def delete(self, path: str) -> HttpResponse:
        return self._client.delete(path, headers=self._headers({}))

    def remove(
        self, image: bytes | None = None, *, to: str = "universal", accept: str = "", **fields: Any
    ) -> HttpResponse:
        """POST a multipart form to /v1/remove-bg/{to}; a drawn photo unless told otherwise."""
        image = drawing.photo_png() if image is None else image
        headers = {"accept": accept} if accept else {}
        return self.post(f"/v1/remove-bg/{to}", {"image": upload(image), **fields}, **headers)

    def send(self, image: bytes | None = None, *, fields: dict[str, Any] | None = None, **headers: str) -> HttpResponse:
        """POST /v1/remove-bg/universal with these headers, underscores for hyphens."""
        image = drawing.photo_png() if image is None else image
        return self.post("/v1/remove-bg/universal", {"image": upload(image), **(fields or {})}, **headers)

    @property
    def _client(self) -> Client:
        return Client(raise_request_exception=False)

    def _headers(self, more: dict[str, str]) -> dict[str, str]:
        return {"X-Api-Key": self.key, **{name.replace("_", "-"): value for name, value in more.items()}}


def upload(data: bytes, name: str = "photo.bin") -> SimpleUploadedFile:
    """A file part whose name says nothing about its format."""
    return SimpleUploadedFile(name, data, content_type="application/octet-stream")


def make_api(name: str, *, plan: str = "CUSTOM", credits: int = 1000, **key: Any) -> Api:
    """A caller with an account of its own."""
    from apps.accounts.models import Account, ApiKey
    from apps.billing.ledger import grant

    account, _ = Account.objects.get_or_create(name=name, defaults={"plan": plan})
    if credits:
        grant(account.id, credits, actor="test", reason="test")
    _, secret = ApiKey.issue(account, **key)
    return Api(key=secret, account=account)


def error_of(response: HttpResponse) -> tuple[int, str, list[str]]:
    error = response.json()["error"]
    return response.status_code, error["code"], [detail["field"] for detail in error["details"]]
