"""One view for all operations, one for jobs: they fetch, check, submit, wait; every decision lies in the core."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from rest_framework import exceptions as drf
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.core import jobs, lifecycle
from apps.core.api.fields import checked_params, request_fields
from apps.core.api.negotiation import AnswerForm, answer_form
from apps.core.dialects.base import Answer, Dialect
from apps.core.dialects.envelope import ENVELOPE, envelope, job_data, job_meta
from apps.core.errors import AppError, ErrorCode
from apps.core.funding import funding_named
from apps.core.models import FINAL_STATES, Job, State
from apps.core.operations import Operation
from apps.core.results import error_of, outcome_of, visible_state
from apps.core.uploads import choose_source, open_source


class EndpointView(APIView):
    """What all our endpoints share: the dialect that answers, the body's cap, and the order method, credential, limits."""

    dialect: Dialect = ENVELOPE
    body_cap_bytes: ClassVar[int] = 1_048_576

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method.lower() not in self.allowed:
            error = drf.MethodNotAllowed(request.method)
            error.allow = ", ".join(self.allowed_methods)
            raise error
        super().initial(request, *args, **kwargs)

    @property
    def allowed_methods(self) -> list[str]:
        return [name.upper() for name in self.allowed]

    @property
    def allowed(self) -> list[str]:
        """The methods that this view answers, in lower case."""
        return [name for name in ("get", "post", "put", "patch", "delete") if hasattr(self, name)]


class OperationView(EndpointView):
    """`POST`: one operation on one image, in the dialect of its route."""

    operation: Operation = None
    dialect: Dialect = ENVELOPE

    def post(self, request: Request) -> HttpResponse:
        form = answer_form(request, binary_default=self.operation.binary_default)
        job = jobs.submit(self._order(request, form))
        job = jobs.wait(job, timeout_s=form.wait_s)
        answer = Answer(job, self.operation, form.binary, form.applied)
        if job.state not in FINAL_STATES:
            if form.late_is_accepted:
                return self.dialect.accepted(answer, request)
            job = jobs.give_up(job)
        if job.state == State.SUCCEEDED:
            return self.dialect.success(answer, request)
        raise error_of(job)

    def _order(self, request: Request, form: AnswerForm) -> jobs.Order:
        """Fields, then the URL's fetch, then the image, then admission: nothing costs before all of them are right."""
        fields = request_fields(request)
        params = checked_params(self.operation, fields)
        upload = open_source(choose_source(fields), limits=self.operation.image_limits)
        jobs.admit(request.auth.account_id, deadline_s=form.wait_s if form.wait_s else None)
        return jobs.Order(
            operation=self.operation,
            account_id=request.auth.account_id,
            funding=request.auth.funding,
            price_credits=funding_named(request.auth.funding).price(self.operation),
            params=params,
            uploads={"image": upload},
            request_id=request.request_id,
            retention_s=settings.RESULT_TTL_S,
        )


class JobView(EndpointView):
    """`GET` and `DELETE` of one job, for the account that submitted it."""

    def get(self, request: Request, job_id: str) -> HttpResponse:
        job = own_job(request, job_id)
        state = visible_state(job)
        outcome = outcome_of(job) if state == State.SUCCEEDED else None
        response = envelope(
            request,
            data=job_data(job),
            warnings=outcome.warnings if outcome else (),
            meta=job_meta(job, outcome) if outcome else None,
        )
        if state not in FINAL_STATES:
            response.headers["Retry-After"] = "1"
        return response

    def delete(self, request: Request, job_id: str) -> HttpResponse:
        lifecycle.delete(own_job(request, job_id))
        return HttpResponse(status=204)


def own_job(request: Request, job_id: str) -> Job:
    """The caller's job. Raises AppError(NOT_FOUND) for an unknown, deleted or foreign one alike."""
    job = Job.objects.filter(id=job_id, account_id=request.auth.account_id, deleted_at=None).first()
    if job is None:
        raise AppError(ErrorCode.NOT_FOUND, "There is no such job.")
    return job
