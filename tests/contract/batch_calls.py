"""How tests send batches and read them."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from django.http import HttpResponse

from apps.core import tasks
from apps.core.models import Job, State
from tests import drawing
from tests.api import Api, upload

PATH = "/v1/batches"


def send(
    api: Api, images: list[bytes] | None = None, *, names: list[str] | None = None, query: str = "", **more: Any
) -> HttpResponse:
    """POST a form with these files; headers are those whose name has a capital."""
    headers = {name: more.pop(name) for name in list(more) if name[0].isupper()}
    fields: dict[str, Any] = {"operation": "remove-bg", **more}
    if images is not None:
        told = names or [f"photo-{number}.png" for number in range(len(images))]
        fields["images"] = [upload(image, name) for image, name in zip(images, told, strict=True)]
    return api.post(PATH + query, {name: value for name, value in fields.items() if value is not None}, **headers)


def send_json(api: Api, body: Any, **headers: str) -> HttpResponse:
    return api.post(PATH, body, as_json=True, **headers)


def made(response: HttpResponse) -> dict[str, Any]:
    assert response.status_code == 202, response.content
    data: dict[str, Any] = response.json()["data"]
    assert response.headers["Location"] == f"{PATH}/{data['batchId']}"
    return data


def shown(api: Api, batch: dict[str, Any]) -> dict[str, Any]:
    response = api.get(f"{PATH}/{batch['batchId']}")
    assert response.status_code == 200, response.content
    return response.json()["data"]


def archive_of(api: Api, batch: dict[str, Any]) -> zipfile.ZipFile:
    response = api.get(f"{PATH}/{batch['batchId']}/archive")
    assert response.status_code == 200, response.content
    content = b"".join(response.streaming_content)
    assert response.headers["Content-Length"] == str(len(content))
    return zipfile.ZipFile(io.BytesIO(content))


def manifest_of(archive: zipfile.ZipFile) -> dict[str, Any]:
    return json.loads(archive.read("manifest.json"))


def photos(count: int) -> list[bytes]:
    """Different files that show the same."""
    photo = drawing.photo_png()
    return [photo + b"%d" % number for number in range(count)]


def zip_of(files: dict[str, bytes] | list[tuple[str, bytes]], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return packed.getvalue()


def work() -> None:
    """Do all that waits."""
    while Job.objects.filter(state=State.QUEUED, awaits_input=False).exists():
        tasks.run_next()
