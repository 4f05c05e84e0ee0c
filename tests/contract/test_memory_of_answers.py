"""Answers carry megabytes; nothing may hold them once they are sent."""

from __future__ import annotations

import gc
import weakref

from django.test import RequestFactory

from apps.core.api.views import JobView
from tests.api import Api

UNKNOWN = "00000000-0000-0000-0000-000000000000"


def test_an_answer_is_freed_without_the_garbage_collector(api: Api) -> None:
    request = RequestFactory().get(f"/v1/jobs/{UNKNOWN}", headers={"X-Api-Key": api.key})
    request.request_id, request.began = "test", 0.0
    gc.disable()
    try:
        answer = weakref.ref(JobView.as_view()(request, job_id=UNKNOWN))
    finally:
        gc.enable()

    assert answer() is None
