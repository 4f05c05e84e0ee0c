"""The 402: both rails at once, written without asking anybody."""

from __future__ import annotations

import hashlib

from django.http import HttpResponse, JsonResponse

from apps.core.answers import Part, as_json
from apps.payments import mpp, x402
from apps.payments.models import Rail
from apps.payments.rails import mpp_rail, x402_rail
from apps.payments.visit import Visit

_EMPTY_SHA256 = hashlib.sha256(b"").digest()
_NO_STORE = {"Cache-Control": "no-store"}


def payment_required(visit: Visit, *, error: str = "Payment required") -> HttpResponse:
    """Version 1 of x402 in the body, version 2 in PAYMENT-REQUIRED, MPP in WWW-Authenticate."""
    return challenge(
        rails=visit.rails,
        amount=visit.amount,
        url=visit.url,
        route=mpp.route_of(visit.request._request),
        body_sha256=visit.body_sha256,
        error=error,
    )


def challenge(
    *, rails: tuple[Rail, ...], amount: int, url: str, route: str, body_sha256: bytes = _EMPTY_SHA256, error: str
) -> HttpResponse:
    """The same from its parts."""
    body: Part = x402.PaymentRequired(error=error)
    headers = dict(_NO_STORE)
    if Rail.X402 in rails:
        body = x402.challenge_v1(x402_rail(), amount=amount, url=url, error=error)
        headers["PAYMENT-REQUIRED"] = x402.challenge_v2(x402_rail(), amount=amount, url=url, error=error)
    if Rail.MPP in rails:
        offered = mpp.new_challenge(mpp_rail(), amount=amount, route=route, body_sha256=body_sha256)
        headers["WWW-Authenticate"] = mpp.www_authenticate(offered)
        if Rail.X402 not in rails:
            detail = "Payment is required; see WWW-Authenticate."
            body = mpp.problem("payment-required", status=402, detail=detail, challenge_id=offered.id)
            return JsonResponse(as_json(body), status=402, headers=headers, content_type=mpp.PROBLEM_TYPE)
    return JsonResponse(as_json(body), status=402, headers=headers)


def mpp_refusal(visit: Visit, kind: str, detail: str, *, may_have_moved: bool) -> HttpResponse:
    """
    The refusal of an MPP credential as a problem.

    Args:
        may_have_moved: then it is a 403 without a challenge: a client that is challenged pays again.
    """
    if kind in {"bad-request", "method-unsupported"} or may_have_moved:
        status = 403 if may_have_moved else 400
        body = mpp.problem(kind, status=status, detail=detail)
        return JsonResponse(as_json(body), status=status, headers=_NO_STORE, content_type=mpp.PROBLEM_TYPE)
    fresh = payment_required(visit)
    offered = fresh.headers["WWW-Authenticate"].partition('id="')[2].partition('"')[0]
    body = mpp.problem(kind, status=402, detail=detail, challenge_id=offered)
    response = JsonResponse(as_json(body), status=402, headers=_NO_STORE, content_type=mpp.PROBLEM_TYPE)
    for name in ("WWW-Authenticate", "PAYMENT-REQUIRED"):
        if name in fresh.headers:
            response.headers[name] = fresh.headers[name]
    return response
