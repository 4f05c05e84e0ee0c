"""Operations that are submitted in one request and asked for in others, whatever the client prefers."""

from __future__ import annotations

import uuid
from typing import BinaryIO, cast

from django.http import HttpResponse
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from apps.core import idempotency, jobs
from apps.core.answers import Part
from apps.core.api.fields import asked_form, request_fields
from apps.core.api.negotiation import RESPOND_ASYNC, AnswerForm
from apps.core.api.parsers import JsonParser
from apps.core.api.views import EndpointView, OperationView
from apps.core.dialects.base import Answer, json_response
from apps.core.dialects.code_message import (
    CODE_MESSAGE,
    EXAMPLE_RESULT,
    EXAMPLE_TASK_ID,
    TaskResultAnswer,
    task_result,
)
from apps.core.errors import Fault, invalid
from apps.core.models import Job
from apps.core.openapi.endpoints import Endpoint
from apps.core.own_words import named
from apps.core.pictures.formats import HeaderError
from apps.core.pictures.inspection import unreadable
from apps.core.pictures.wholeness import check_whole
from apps.core.request_facts import identity_of

# `applied` is as of a client that sent `Prefer: respond-async`: only the queue's cap refuses it.
AT_ONCE = AnswerForm(binary=False, wait_s=0.0, late_is_accepted=True, applied=RESPOND_ASYNC)


class SubmitView(OperationView):
    """
    `POST`: check the images from their first byte to their last, queue the job, and answer with its id at once.

    What only pixels tell (a smear without a stroke) would take numpy or a hundred megapixels of memory in this process; the
    worker finds it, and the task fails with that sentence, uncharged.
    """

    dialect = CODE_MESSAGE

    def post(self, request: Request) -> HttpResponse:
        asked_form(request, request_fields(request), known=self.dialect.forms)
        return self._answer_order(self._order(request, AT_ONCE), request, AT_ONCE)

    def _order(self, request: Request, form: AnswerForm) -> jobs.Order:
        order = super()._order(request, form)
        for image in self.operation.images:
            upload = order.uploads.get(image.name)
            try:
                if upload is not None:
                    check_whole(cast(BinaryIO, upload.file), upload.header)
            except HeaderError as error:
                raise unreadable(image.fields.file) from error
        return order

    def _answer(self, job: Job, request: Request, form: AnswerForm) -> HttpResponse:
        return self.dialect.accepted(Answer(job, self.operation, form.binary), request)

    def _is_deferred(self, first: idempotency.First, form: AnswerForm) -> bool:  # noqa: ARG002 - every answer is a task's id
        return True


class TaskQuery(Part, rename=None):
    """Which task."""

    task_id: str


class TaskResultView(EndpointView):
    """`POST` of `{"task_id"}`: how far a job is that the caller's account submitted."""

    dialect = CODE_MESSAGE
    chapter = "compatible"
    operation_slug = ""

    def get_parsers(self) -> list[BaseParser]:
        return [JsonParser()]

    @Endpoint(
        "api_ext_get_task_result",
        "How far a watermark removal task is, and its image",
        TaskResultAnswer,
        body=TaskQuery(task_id=EXAMPLE_TASK_ID),
        example=EXAMPLE_RESULT,
    )
    def post(self, request: Request) -> HttpResponse:
        job = self._own_task(request, _task_id(request))
        return json_response(task_result(job))

    def _own_task(self, request: Request, task_id: uuid.UUID | None) -> Job:
        """Raises AppError for an unknown, deleted or foreign one alike, and for one that the key's mode or scopes leave out."""
        rows = jobs.visible_to(identity_of(request)).filter(operation=self.operation_slug)
        job = rows.filter(id=task_id).first() if task_id else None
        if job is None:
            raise invalid("task_id", "There is no task with this task_id.")
        return job


def _task_id(request: Request) -> uuid.UUID | None:
    """None for a text that can be nobody's id. Raises AppError."""
    given = request_fields(request).get("task_id")
    if given in (None, ""):
        raise invalid("task_id", "Send the task_id that the submitting address gave you.", Fault.MISSING)
    if not isinstance(given, str):
        raise invalid("task_id", f"task_id must be a string, not {named(given)}.")
    try:
        return uuid.UUID(given)
    except ValueError:
        return None
