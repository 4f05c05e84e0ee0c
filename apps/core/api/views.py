"""One view for all operations, one for jobs: they fetch, check, submit, wait; every decision lies in the core."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework import exceptions as drf
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.core import answers, idempotency, jobs, lifecycle
from apps.core.answers import Envelope
from apps.core.api.access import note_charge, when_sent
from apps.core.api.exceptions import answer_in
from apps.core.api.fields import (
    asked_form,
    checked_params,
    checked_retention,
    checked_upload_url,
    ignored_names,
    is_dry_run,
    refuse_contradictions,
    refuse_dry_run,
    request_fields,
    unknown_fields,
)
from apps.core.api.negotiation import RESPOND_ASYNC, AnswerForm, answer_form
from apps.core.api.parsers import JsonParser, UrlencodedParser
from apps.core.api.terms import PATIENT, Share, Terms
from apps.core.api.throttles import count_anonymous
from apps.core.dialects.base import Answer, Dialect
from apps.core.dialects.envelope import ENVELOPE, envelope, job_data, job_meta
from apps.core.errors import AppError, ErrorCode
from apps.core.funding import funding_named
from apps.core.identity import Identity
from apps.core.intake.uploads import Upload, has_url, open_uploads
from apps.core.models import FINAL_STATES, Job, State
from apps.core.openapi.endpoints import Endpoint
from apps.core.operations import Operation
from apps.core.request_facts import facts_of, identity_of
from apps.core.results import error_of, outcome_of, visible_state

_WITH_BODY = {"POST", "PUT", "PATCH"}
_READING = {"GET", "HEAD"}
_MORE_BODIES = 16  # beyond an account's jobs at once: what is refused, replayed or asked at the same moment


class EndpointView(APIView):
    """What all our endpoints share: the dialect that answers, the body's cap, and the order method, credential, limits."""

    dialect: Dialect = ENVELOPE
    chapter: ClassVar[str] = "system"
    refusals: ClassVar[Collection[ErrorCode]] = ()
    body_cap_bytes: ClassVar[int] = 1_048_576
    file_fields: Collection[str] = ()
    """The fields of a form that carry files, with a filename or without."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        method = request.method or ""
        if method.lower() not in self.allowed:
            raise drf.MethodNotAllowed(method)
        super().initial(request, *args, **kwargs)
        if method in _READING:
            self._look_at_address(request)
        elif method == "DELETE":
            refuse_dry_run(request)

    def _look_at_address(self, request: Request) -> None:
        """What the address of something that is read says: told where it is not known, refused where it contradicts itself."""
        known = [each["name"] for each in self.get.endpoint.query]  # type: ignore[attr-defined]  # which HEAD has too
        refuse_contradictions(request.GET, known)
        facts_of(request).unknown_fields = tuple(ignored_names(request, in_address=known))

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """Cut the rings that DRF ties (view, request, answer): an image would stay until the next full collection."""
        response = super().dispatch(request, *args, **kwargs)
        self.request.parser_context = {}
        del self.response
        return cast(HttpResponse, response)

    def terms(self, request: HttpRequest) -> Terms | None:
        """
        On what terms the body of this request is taken; None for one that `initial` will refuse, or that nobody reads.

        Asked by the headers alone, before the body is there; nothing is counted, and `initial` checks it all once more.

        Raises:
            AppError: the credential is wrong.
        """
        if request.method not in _WITH_BODY or request.method.lower() not in self.allowed:
            return None
        asked = Request(request, authenticators=self.get_authenticators())
        self.check_permissions(asked)
        identity: Identity | None = cast(Any, asked.auth)
        if identity is None:
            return None
        places = identity.limits.jobs_at_once + _MORE_BODIES
        return Terms(PATIENT, (Share(f"account:{identity.account_id}", places),))

    def perform_authentication(self, request: Request) -> None:
        """A wrong or missing credential counts against the address before it is refused."""
        try:
            super().perform_authentication(request)
            facts_of(request).identity = cast(Any, request.auth)  # for the access line
            self.check_permissions(request)
        except AppError as error:
            if error.code is ErrorCode.UNAUTHENTICATED:
                count_anonymous(request._request)
            raise

    def finalize_response(  # type: ignore[override]  # DRF says Response; our views answer with Django's
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        answer: HttpResponse = super().finalize_response(request, response, *args, **kwargs)
        facts = facts_of(request)
        if quota := facts.quota:
            told = {**quota.headers, **(quota.vendor_headers if self.dialect.has_vendor_limits else {})}
            for name, value in told.items():
                answer.headers[name] = value
        if facts.job_id:  # errors too: a client that lost its answer can still ask for the job
            answer.headers["X-Job-Id"] = facts.job_id
        return answer

    @property
    def allowed_methods(self) -> list[str]:
        return [name.upper() for name in self.allowed]

    @property
    def allowed(self) -> list[str]:
        """The methods that this view answers, in lower case; HEAD wherever there is GET."""
        return [name for name in ("get", "head", "post", "put", "patch", "delete") if hasattr(self, name)]


class OperationView(EndpointView):
    """`POST`: one operation on one image, in the dialect of its route."""

    operation: Operation = None  # type: ignore[assignment]  # as_view() sets it
    dialect: Dialect = ENVELOPE

    def get_parsers(self) -> list[BaseParser]:
        if not self.operation.image_fields.takes_file:
            return [JsonParser()]
        return [*super().get_parsers(), *([UrlencodedParser()] if self.dialect.takes_urlencoded else [])]

    @property
    def file_fields(self) -> Collection[str]:  # type: ignore[override]
        return [image.fields.file for image in self.operation.images if image.fields.takes_file]

    def fields_of(self, request: Request) -> Mapping[str, Any]:
        """The fields of the body."""
        return request_fields(request)

    def post(self, request: Request) -> HttpResponse:
        form = answer_form(
            request,
            binary_default=self.operation.binary_default,
            can_defer=self.dialect.can_defer,
            answer=asked_form(request, request_fields(request), known=self.dialect.forms),
        )
        if self.dialect is ENVELOPE:  # vendors' clients send what only the vendor knows
            facts_of(request).unknown_fields = tuple(unknown_fields(self.operation, request, request_fields(request)))
        return self._answer_order(self._order(request, form), request, form)

    def _answer_order(self, order: jobs.Order, request: Request, form: AnswerForm) -> HttpResponse:
        """The first answer to its key again, a quote, or the work itself."""
        if first := idempotency.first_answer(order.ticket):
            return self._replay(first, order, request, form)
        if is_dry_run(request, self.fields_of(request)):
            return self.dialect.quote(order.price_credits, request)
        try:
            with place_if(form.wait_s > 0 or order.is_large, order.identity.account_id):
                return self._run(order, request, form)
        except jobs.CrowdedError as error:
            if form.applied or order.is_large or not self.dialect.can_defer:
                raise
            advice = f"{error.message.rstrip('.')}, or send Prefer: respond-async."
            raise AppError(error.code, advice, retry_after_s=error.retry_after_s) from error

    def _run(self, order: jobs.Order, request: Request, form: AnswerForm) -> HttpResponse:
        """Admission, hold, submit, wait, answer."""
        deadline_s = None if form.applied else form.wait_s  # who states a preference takes a 202 as well
        try:
            with jobs.admitted(order, deadline_s=deadline_s):
                job = jobs.submit(order)
        except idempotency.KeyTakenError as taken:
            return self._replay(idempotency.answer_of_the_faster(taken), order, request, form)
        facts_of(request).job_id = str(job.id)
        job = jobs.wait(job, timeout_s=form.wait_s)
        response = self._answer(job, request, form)
        if idempotency.note_answer(order.ticket, job, status=response.status_code, binary=form.binary):
            facts_of(request).billed_credits = funding_named(job.funding).bill(job)
        note_charge(request._request, job.charged_credits)
        return response

    def _answer(self, job: Job, request: Request, form: AnswerForm) -> HttpResponse:
        answer = Answer(job, self.operation, form.binary, form.applied)
        if job.state not in FINAL_STATES:
            if form.late_is_accepted:
                return self.dialect.accepted(answer, request)
            job = jobs.give_up(job)
        if job.state == State.SUCCEEDED:
            return self._success(answer, request)
        raise error_of(job)

    def _success(self, answer: Answer, request: Request) -> HttpResponse:
        """The result; with retention=0 it is expired from here on, and deleted when the answer has been sent."""
        response = self.dialect.success(answer, request)
        if answer.job.retention_s == 0:
            lifecycle.expire(answer.job)
            when_sent(response, partial(lifecycle.purge_if_reachable, answer.job))
        return response

    def _replay(self, first: idempotency.First, order: jobs.Order, request: Request, form: AnswerForm) -> HttpResponse:
        """The first answer again, in its first form, with fresh links and without a second charge."""
        job: Job = first.made
        binary = form.binary if first.row.answered_status is None else first.row.answered_binary
        answer = Answer(job, self.operation, binary)
        if self._is_deferred(first, form):
            response = self.dialect.accepted(answer, request)
        elif job.state == State.FAILED:
            response = answer_in(self.dialect, error_of(job), request)
        else:
            response = self._success(answer, request)
        if idempotency.note_answer(order.ticket, job, status=response.status_code, binary=binary):
            # The request that ran the job died unanswered, or is slower: this is the first answer that goes out.
            facts_of(request).billed_credits = funding_named(job.funding).bill(job)
        return idempotency.as_replay(response)

    def _is_deferred(self, first: idempotency.First, form: AnswerForm) -> bool:
        """Whether the first answer left the result for later; one that never went out is given as it is asked for now."""
        status = first.row.answered_status
        return form.applied == RESPOND_ASYNC if status is None else status == HTTPStatus.ACCEPTED

    def _order(self, request: Request, form: AnswerForm) -> jobs.Order:
        """Fields, then the URL's fetch, then the image, then the key: nothing costs before all of them are right."""
        fields = request_fields(request)
        params = checked_params(self.operation, fields)
        if self.dialect is ENVELOPE:
            facts_of(request).idle_fields = tuple(self.operation.idle(params))
        retention_s = checked_retention(fields, form) if self.dialect.offers_retention else settings.RESULT_TTL_S
        is_dry_run(request, fields)
        identity = identity_of(request)
        self.operation.authorize(params, identity)
        hands_over = self.dialect.offers_retention and bool(fields.get("upload_url"))
        with place_if(hands_over or has_url(self.operation, fields), identity.account_id):
            upload_url = (
                checked_upload_url(fields, retention_s=retention_s, account_id=identity.account_id)
                if hands_over
                else None
            )
            uploads = open_uploads(self.operation, fields, caller=identity.account_id)
        self.operation.check(params, {name: upload.header for name, upload in uploads.items()})
        order = self.order_for(
            request, identity, params=params, uploads=uploads, fields=fields, retention_s=retention_s
        )
        return replace(order, upload_url=upload_url) if upload_url else order

    def order_for(
        self,
        request: Request,
        identity: Identity,
        *,
        params: dict[str, Any],
        uploads: dict[str, Upload],
        fields: Mapping[str, Any],
        retention_s: int,
    ) -> jobs.Order:
        """What is checked, with its price and its key. `fields` are those of the body, which the key's request means."""
        return jobs.Order(
            operation=self.operation,
            identity=identity,
            price_credits=funding_named(identity.funding).price(self.operation.tariff(params)),
            params=params,
            uploads=uploads,
            request_id=facts_of(request).request_id,
            retention_s=retention_s,
            ticket=idempotency.ticket_for(request, identity, fields, uploads),
        )


def place_if(is_slow: bool, account_id: int) -> contextlib.AbstractContextManager[None]:
    """A place among those who wait, for what may hold its thread: a job, a client's server, a large upload to the store."""
    return jobs.waiting_room(account_id) if is_slow else contextlib.nullcontext()


class JobView(EndpointView):
    """`GET` and `DELETE` of one job, for the keys that it belongs to."""

    chapter = "jobs"

    @Endpoint("get_job", "A job's state, and its result when it has one", Envelope[answers.Job])
    def get(self, request: Request, job_id: str) -> HttpResponse:
        job = own_job(request, job_id)
        state = visible_state(job)
        outcome = outcome_of(job) if state == State.SUCCEEDED else None
        response = envelope(
            request,
            job_data(job),
            warnings=outcome.warnings if outcome else (),
            meta=job_meta(job, outcome) if outcome else None,
        )
        if state not in FINAL_STATES:
            response.headers["Retry-After"] = "1"
        return response

    @Endpoint("delete_job", "Delete a job and its objects; an open one is cancelled and not charged", status=204)
    def delete(self, request: Request, job_id: str) -> HttpResponse:
        lifecycle.delete(own_job(request, job_id))
        return HttpResponse(status=204)


def own_job(request: Request, job_id: str) -> Job:
    """
    The caller's job.

    Raises:
        AppError: NOT_FOUND for an unknown, deleted or foreign one alike, for one of the account's other mode, and for one of
            an operation that the key's scopes leave out.
    """
    job = jobs.visible_to(identity_of(request)).filter(id=job_id).first()
    if job is None:
        raise AppError(ErrorCode.NOT_FOUND, "There is no such job.")
    return job
