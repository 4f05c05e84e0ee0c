"""Fixtures for tests of the API in one process: real PostgreSQL, Valkey and S3, a quick stand-in for the network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client

from tests import drawing
from tests.garments import GarmentsByColour
from tests.watermarks import MarksByColour


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Between tests Django empties every table with TRUNCATE, which the ledger refuses: its guard sleeps in the test database."""
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_ledgerentry DISABLE TRIGGER billing_ledger_truncate_guard")


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


class NotTheCornersColour:
    """Stands in for the network: the subject is what differs from the top left corner's colour."""

    device = "cpu"

    def predict_native(self, image: Any) -> Any:
        difference = np.abs(image.astype(np.int16) - image[0, 0].astype(np.int16)).max(axis=2)
        # The pipeline shows it the photo grown to a square: an edge is where half of the way is gone.
        return (difference > max(24, int(difference.max()) // 2)).astype(np.float32)


@dataclass
class SeenColours:
    """Stands in for SAM's embedding: the picture itself."""

    features: Any
    shape_hw: tuple[int, int]


class OneColour:
    """Stands in for SAM: what is meant is what hangs together in the clicked pixel's colour, or fills the box."""

    device = "cpu"

    def __init__(self) -> None:
        self.looks = 0

    def embed(self, image: Any) -> SeenColours:
        self.looks += 1
        return SeenColours(image, image.shape[:2])

    def segment(self, embedding: SeenColours, *, points_xy: Any, labels: Any, box_xyxy: Any, is_ambiguous: bool) -> Any:
        mask = np.zeros(embedding.shape_hw, bool)
        if box_xyxy is not None:
            x0, y0, x1, y1 = np.asarray(box_xyxy, int)
            mask[y0:y1, x0:x1] = True
        elif labels[0] == 1:
            mask = self._region(embedding.features, points_xy[0])
        logits = np.where(mask, 5, -5).astype(np.float32)[None]
        return (np.repeat(logits, 3, 0), np.full(3, 0.9)) if is_ambiguous else (logits, np.full(1, 0.9))

    def _region(self, image: Any, point_xy: Any) -> Any:
        column, row = int(point_xy[0]), int(point_xy[1])
        same = (np.abs(image.astype(np.int16) - image[row, column].astype(np.int16)).max(axis=2) < 25).astype(np.uint8)
        labels = cv2.connectedComponents(same)[1]
        return labels == labels[row, column]


@pytest.fixture(scope="session")
def sam_stand_in() -> OneColour:
    """What the in-process worker points with."""
    return OneColour()


@pytest.fixture(scope="session")
def _worker(sam_stand_in: OneColour) -> None:
    """Make this process a worker whose networks are stand-ins."""
    from apps.background.removebg_runner import RemoveBgRunner
    from apps.background.runner import BackgroundRunner
    from apps.clothing.runner import ClothingRunner, CostumeRunner
    from apps.core.work.engine import Engine
    from apps.core.work.worker import Worker, adopt_worker
    from apps.watermark.runner import WatermarkRunner
    from ml import registry
    from ml.background.pipeline import BackgroundPipeline
    from ml.pointing.pipeline import PointingPipeline
    from ml.sessions.slots import InferenceSlots

    patch = pytest.MonkeyPatch()
    stand_in = BackgroundPipeline(NotTheCornersColour(), model_name="stand-in", model_version="1")
    patch.setattr(registry, "load_background", lambda *_, **__: stand_in)
    pointing = PointingPipeline(
        sam_stand_in, matte=NotTheCornersColour().predict_native, model_name="one-colour", model_version="1"
    )
    patch.setattr(registry, "load_pointing", lambda *_, **__: pointing)
    patch.setattr(registry, "load_clothing", lambda *_, **__: GarmentsByColour())
    patch.setattr(registry, "load_watermark", lambda *_, **__: MarksByColour())
    engine = Engine(profile="best", weights_dir=Path(), slots=InferenceSlots(1))
    background = BackgroundRunner(engine)
    runners = {
        "remove-bg": background,
        "removebg": RemoveBgRunner(engine),
        "remove-background": background,
        "clothing-segmentation": ClothingRunner(engine),
        "apparel-background-removal": CostumeRunner(engine),
        "watermark-removal": WatermarkRunner(engine),
    }
    patch.undo()
    adopt_worker(Worker(name="in-process", runners=runners, facts={}))


@pytest.fixture
def api(transactional_db: None, _worker: None, settings: Any) -> Api:
    """An account with a key and plenty of credits, against an in-process worker."""
    from apps.core.storage import result_store

    result_store().ensure_bucket()
    return make_api("tester")


def make_api(name: str, *, plan: str = "CUSTOM", credits: int = 1000, **key: Any) -> Api:
    """A caller with an account of its own."""
    from apps.accounts.models import Account, ApiKey
    from apps.billing.ledger import grant

    account, _ = Account.objects.get_or_create(name=name, defaults={"plan": plan})
    if credits:
        grant(account.id, credits, actor="test", reason="test")
    _, secret = ApiKey.issue(account, **key)
    return Api(key=secret, account=account)
