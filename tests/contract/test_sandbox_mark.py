"""Whatever a sandbox key gets carries the mark: every operation, every result, every form of it. New ones are walked too."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from django.test import Client
from PIL import Image

from apps.core.dialects.raw import RawDialect
from apps.core.models import Job, State
from apps.core.operations import Operation
from apps.core.results import outcome_of
from apps.core.storage import result_store
from config.routes import ROUTES, Route
from ml.picture.stamp import stamp
from tests.api import Api, make_api, upload
from tests.drawing import photo_png
from tests.garments import garments_png
from tests.watermarks import marked_png

PHOTOS = {
    "clothing-segmentation": garments_png(side=120),
    "apparel-background-removal": garments_png(side=120),
    "watermark-removal": marked_png(),
}
FORMS: dict[str, list[dict[str, Any]]] = {
    "remove-bg": [
        {"output_format": "transparent", "format": "webp"},
        {"output_format": "white_bg", "format": "jpg"},
        {"output_format": "mask"},
        {"output_format": "mask", "mask_mode": "binary"},
        {"output_format": "crop"},
        {"points": "[[30, 30, 1]]"},
    ],
    "removebg": [
        {"format": "jpg", "bg_color": "ff0000"},
        {"format": "zip"},
        {"format": "webp"},
        {"channels": "alpha"},
        {"channels": "alpha", "format": "jpg"},
        {"crop": "true", "add_shadow": "true", "shadow_type": "drop"},
    ],
    "remove-background": [{"format": "webp"}],
    "clothing-segmentation": [{"return_form": "mask"}, {"return_form": "whiteBK"}],
    "apparel-background-removal": [{"return_form": "mask"}, {"return_form": "whiteBK"}],
    "watermark-removal": [{"format": "jpg"}, {"format": "webp"}, {"detect_only": "true"}],
}
WALK = [(route, form) for route in ROUTES for form in [{}, *FORMS.get(route.operation.slug, [])]]


@pytest.mark.parametrize(("route", "form"), WALK, ids=[f"{route.path} {form}" for route, form in WALK])
def test_every_result_of_a_sandbox_key_is_marked(api: Api, route: Route, form: dict[str, Any]) -> None:
    sandbox = make_api("tester", credits=0, sandbox=True)

    plain, marked = results(api, route, form), results(sandbox, route, form)

    assert plain.keys() == marked.keys() != set()
    for name, picture in plain.items():
        assert is_stamped(marked[name], picture), name


def results(caller: Api, route: Route, form: dict[str, Any]) -> dict[str, Image.Image]:
    """Every picture of the job that this makes, by name; a ZIP's by their names in it."""
    send(caller, route, form)
    job = Job.objects.order_by("-created_at").first()
    assert job is not None
    assert job.state == State.SUCCEEDED, job.error
    files = {name: result_store().get(made.key) for name, made in outcome_of(job).artifacts.items()}
    for name, data in list(files.items()):
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(files.pop(name))) as archive:
                files |= {f"{name}/{member}": archive.read(member) for member in archive.namelist()}
    return {name: Image.open(io.BytesIO(data)) for name, data in files.items()}


def send(caller: Api, route: Route, form: dict[str, Any]) -> None:
    operation: Operation = route.operation
    photo = PHOTOS.get(operation.slug, photo_png(120, 90, box=(20, 15, 90, 75)))
    fields = operation.image_fields
    if isinstance(route.dialect, RawDialect):
        answer = Client().post(
            f"/{route.path}?{urlencode(form)}", photo, "image/png", headers={"X-Api-Key": caller.key}
        )
    elif fields.takes_file:
        answer = caller.post(f"/{route.path}", {fields.file: upload(photo), **form})
    else:
        answer = caller.post(f"/{route.path}", {fields.base64: base64.b64encode(photo).decode(), **form}, as_json=True)
    assert answer.status_code < 300, (answer.status_code, answer.content)


def is_stamped(marked: Image.Image, plain: Image.Image) -> bool:
    """Whether it is the other one with the mark on it; lossy files differ by a little everywhere."""
    expected = stamp(np.asarray(plain))
    found = np.asarray(marked)
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    unmarked = np.abs(found.astype(int) - np.asarray(plain))
    return bool(difference.mean() < 6 and unmarked.mean() > 4 * difference.mean())
