"""Every kind of POST that an account may send with an Idempotency-Key, behind one face."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from apps.core import idempotency, jobs, lifecycle, tasks
from apps.core.errors import AppError, ErrorCode
from apps.core.models import Job, State
from apps.core.storage import ResultStore, StoreAwayError
from apps.watermark import views as template_views
from apps.watermark.models import WatermarkTemplate
from tests.api import Api, make_api, upload
from tests.contract.books import asleep, credits
from tests.contract.raw_calls import send as send_raw
from tests.contract.task_calls import SUBMIT
from tests.contract.task_calls import post as post_task
from tests.drawing import photo_png
from tests.garments import garments_png
from tests.watermarks import mark_png, marked_png

Shot = Callable[[], HttpResponse]
PHOTOS = (photo_png(), photo_png(97, 64))

COSTUME = "/api/cutout/general/apparel-background-removal"
TEMPLATES = "/v1/watermark-templates"


class DiedError(BaseException):
    """Nothing of ours catches it, as nothing catches a SIGKILL."""


def dies(*_: Any, **__: Any) -> Any:
    raise DiedError


class Sender(Protocol):
    """
    One kind of POST.

    Attributes:
        ok: the status of its success.
        is_deferred: its answer does not wait for the result.
    """

    ok: int
    is_deferred: bool

    def prepare(self, key: str, *, body: int = 0, query: str = "", owner: int = 0) -> Shot:
        """A request that is ready to go: the first or the second body, of the first or the second owner."""

    def made(self) -> int:
        """How many things there are now."""

    def spent(self) -> int:
        """How much was charged, or how often."""

    def told(self, response: HttpResponse) -> Any:
        """What of an answer is the same when it is given again."""

    def delete(self) -> None:
        """Delete what was made."""

    def die_at_work(self, patch: pytest.MonkeyPatch) -> None:
        """Requests die when what they make is there, and not done."""

    def die_unanswered(self, patch: pytest.MonkeyPatch) -> None:
        """Requests die when everything is done, and their answer is not out."""

    def recover(self) -> None:
        """What goes on by itself after a death at work has gone on."""

    def break_down(self, patch: pytest.MonkeyPatch) -> None:
        """Requests fail by our fault."""


@dataclass
class OfAnAccount:
    """What all senders with a key share; the first owner's sandbox key is the third."""

    api: Api
    ok = 200
    is_deferred = False
    callers: list[Api] = field(init=False)

    def __post_init__(self) -> None:
        self.callers = [self.api, make_api("other"), make_api("tester", credits=0, sandbox=True)]

    def spent(self) -> int:
        return 1000 - credits(self.api)["balance"]


@dataclass
class JobSender(OfAnAccount):
    """
    A form in which a job is asked for.

    Args:
        send: posts an image with a query and headers.
        images: two of them.
    """

    send: Callable[[Api, bytes, str, dict[str, str]], HttpResponse]
    images: tuple[bytes, bytes] = PHOTOS
    ok: int = 200
    is_deferred: bool = False

    def prepare(self, key: str, *, body: int = 0, query: str = "", owner: int = 0) -> Shot:
        return lambda: self.send(self.callers[owner], self.images[body], query, {"Idempotency-Key": key})

    def made(self) -> int:
        return Job.objects.count()

    def told(self, response: HttpResponse) -> Any:
        if not response.headers["Content-Type"].endswith("json"):
            return response.content
        data = response.json()["data"]
        return data.get("jobId") or data.get("task_id") or response.headers["X-Job-Id"]

    def delete(self) -> None:
        assert self.api.delete(f"/v1/jobs/{Job.objects.get().id}").status_code == 204

    def die_at_work(self, patch: pytest.MonkeyPatch) -> None:
        asleep(patch)
        patch.setattr(jobs, "wait", dies)

    def die_unanswered(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(idempotency, "note_answer", dies)

    def recover(self) -> None:
        tasks.run_next()

    def break_down(self, patch: pytest.MonkeyPatch) -> None:
        fail_jobs(patch, ErrorCode.PROCESSING_FAILED)


@dataclass
class TemplateSender(OfAnAccount):
    """Customers' own marks."""

    ok: int = 201

    def prepare(self, key: str, *, body: int = 0, query: str = "", owner: int = 0) -> Shot:
        mark = (mark_png(), mark_png((1, 2, 3)))[body]
        headers = {"Idempotency-Key": key}
        return lambda: self.callers[owner].post(TEMPLATES + query, {"image": upload(mark)}, **headers)

    def made(self) -> int:
        return WatermarkTemplate.objects.count()

    def told(self, response: HttpResponse) -> Any:
        return response.json()["data"]

    def delete(self) -> None:
        assert self.api.delete(f"{TEMPLATES}/{WatermarkTemplate.objects.get().id}").status_code == 204

    def die_at_work(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(ResultStore, "put", dies)

    def die_unanswered(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(template_views, "envelope", dies)

    def recover(self) -> None:
        WatermarkTemplate.objects.update(created_at=timezone.now() - timedelta(seconds=61))

    def break_down(self, patch: pytest.MonkeyPatch) -> None:
        def away(*_: Any, **__: Any) -> None:
            raise StoreAwayError

        patch.setattr(ResultStore, "put", away)


def fail_jobs(patch: pytest.MonkeyPatch, code: ErrorCode) -> None:
    """Whoever would do a job finds this error instead."""

    def claim(worker: str) -> None:
        for job in Job.objects.filter(state=State.QUEUED):
            lifecycle.fail(job, AppError(code))

    patch.setattr(lifecycle, "claim", claim)


def base64_of(image: bytes) -> str:
    return base64.b64encode(image).decode()


def job_form(path: str, field: str = "image", **more: str) -> Callable[[Api, bytes, str, dict[str, str]], HttpResponse]:
    """A multipart form with the image in this field; `more` are headers."""
    return lambda api, image, query, headers: api.post(path + query, {field: upload(image)}, **headers, **more)


def job_json(api: Api, image: bytes, query: str, headers: dict[str, str]) -> HttpResponse:
    body = {"image_base64": base64_of(image)}
    return api.post(f"/v1/remove-bg/universal{query}", body, as_json=True, Accept="application/json", **headers)


def elements(api: Api, image: bytes, query: str, headers: dict[str, str]) -> HttpResponse:
    headers = {"ailabapi-api-key": api.key, **headers}
    return Client(raise_request_exception=False).post(COSTUME + query, {"image": upload(image)}, headers=headers)


def task(api: Api, image: bytes, query: str, headers: dict[str, str]) -> HttpResponse:
    return post_task(api, SUBMIT + query, {"image_base64": base64_of(image)}, **headers)


def raw(api: Api, image: bytes, query: str, headers: dict[str, str]) -> HttpResponse:
    return send_raw(api, image, query=query, **headers)


MARKED = (marked_png(), marked_png((4, 4, 40, 20)))
DRESSED = (garments_png(), garments_png(side=130))
OF_ACCOUNTS: dict[str, Callable[[Api], Sender]] = {
    "envelope, JSON": lambda api: JobSender(api, job_json),
    "envelope, image": lambda api: JobSender(api, job_form("/v1/remove-bg/universal")),
    "envelope, 202": lambda api: JobSender(
        api, job_form("/v1/remove-bg/universal", Prefer="respond-async"), ok=202, is_deferred=True
    ),
    "remove.bg": lambda api: JobSender(api, job_form("/v1.0/removebg", "image_file")),
    "elements": lambda api: JobSender(api, elements, DRESSED),
    "codes and messages": lambda api: JobSender(api, task, MARKED, is_deferred=True),
    "raw": lambda api: JobSender(api, raw),
    "template": TemplateSender,
}
