"""The paid address's form: the raw one, and a problem for who pays by MPP."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from django.http import HttpRequest, HttpResponse

from apps.core.answers import as_json
from apps.core.dialects.raw import RawDialect, RawError
from apps.core.errors import AppError
from apps.payments import mpp
from apps.payments.models import Rail
from apps.payments.rails import rails_on


class PaidRawDialect(RawDialect):
    """A request with `Authorization: Payment` hears of every error as RFC 9457 has it, with the raw form's members beside it."""

    def failure(self, error: AppError, request: HttpRequest) -> HttpResponse:
        response = super().failure(error, request)
        if not (Rail.MPP in rails_on() and mpp.is_payment(request.headers.get("Authorization", ""))):
            return response
        said = msgspec.json.decode(response.content, type=RawError)
        status = HTTPStatus(response.status_code)
        problem = mpp.PaymentProblem(
            type="about:blank",
            title=status.phrase,
            status=status.value,
            detail=said.error.message,
            error=said.error,
            request_id=said.request_id,
        )
        response.content = msgspec.json.encode(as_json(problem))
        response.headers["Content-Type"] = mpp.PROBLEM_TYPE
        return response


PAID_RAW = PaidRawDialect()
